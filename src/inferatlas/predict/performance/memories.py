"""Memories of platforms: elementwise rates, reading a packed cache, the tiers behind; (29), (30), (32)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.priors import constant, table


def vector_flop_per_s(platform: Platform) -> float:
    """Elementwise FLOP/s: the single-precision rate where it is a small part of the matrix peak, else a prior."""
    peak, share = platform.peak_flop_per_s, constant("vector", "share")
    single = platform.device.peaks.get("fp32")
    return single if single and single <= 0.5 * peak else share * peak


def unpacking(platforms: Sequence[Platform], byte_s: Floats, vector_s: Floats) -> Floats:
    """Time to read a packed cache and unpack it, relative to reading it, equation (32); 1 where it is not packed.

    A packed cache is read in fewer bytes and unpacked in elementwise work. Nothing measured shows that this is faster
    than reading it as it was, so it is never taken to be; only a unit of the device's own that unpacks on the way makes
    it so, as fast as that unit is. ``byte_s`` and ``vector_s``: seconds per byte of cache and per elementwise FLOP.
    """
    out = np.ones(len(platforms))
    for i, p in enumerate(platforms):
        plain, units = FORMATS[p.precision.kv_cache].bytes, p.device.units
        if p.kv_compression <= 1:
            continue
        reading = plain / p.kv_compression * byte_s[i]
        if units.cache_ratio:
            dies = p.device.engine_devices
            out[i] = max(reading, plain * dies / units.cache_bytes_per_s if units.cache_bytes_per_s else 0.0) / reading
        else:
            work = constant("unpacking", "flop_per_value") * vector_s[i]
            out[i] = max(reading + work, plain * byte_s[i]) / reading
    return out


def tiers(platforms: Sequence[Platform]) -> tuple[Floats, Floats, Floats]:
    """Rate, room and latency of the memories behind the main one [platform, tier], as many columns as any has."""
    most = max([1, *(len(p.device.behind) for p in platforms)])
    rate, room, latency = (np.zeros((len(platforms), most)) for _ in range(3))
    reached = constant("offload", "efficiency")
    for i, p in enumerate(platforms):
        for k, tier in enumerate(p.device.behind):
            rate[i, k] = (tier.reached_bytes_per_s or 0.0) * reached
            room[i, k] = tier.bytes
            latency[i, k] = tier_latency(tier.name) if tier.latency_s is None else tier.latency_s
    return rate, room, latency


def tier_latency(name: str) -> float:
    """Latency of a request to a kind of memory, s (prior): that of its kind, else that of a host's."""
    kinds = table()["tiers"]
    return float(kinds.get(name, kinds["host"])["latency_s"])


def tier_energy(name: str) -> float:
    """Energy of reading a byte from a kind of memory, J/B (prior, equation (38)).

    >>> tier_energy("nvme") > tier_energy("cxl") > tier_energy("host")
    True
    """
    kinds = table()["tiers"]
    return float(kinds.get(name, kinds["host"])["j_per_byte"])
