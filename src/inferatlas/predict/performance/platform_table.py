"""Platforms as a table of arrays: the rates and coefficients that a pass over many design points gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.precision import FORMATS, sixteen_bit
from inferatlas.predict.performance.calibrated import WIDTHS
from inferatlas.predict.performance.coefficients import Closest
from inferatlas.predict.performance.memories import tiers, unpacking, vector_flop_per_s
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.widths import LOADS, elasticities, factors, surplus, width_table

WHOLE = ("width", "elasticity", "surplus", "factor")  # columns that are not one value per platform


@dataclass(frozen=True)
class PlatformTable:
    """Platforms as a struct of arrays, one entry per platform; rates are per engine device (die).

    ``flop_s`` and ``flop_s_wide``: seconds per FLOP of quantised and of 16-bit products, efficiency
    included, ``vector_flop_s`` of elementwise work; ``byte_s``, ``cache_byte_s``, ``expert_byte_s``: seconds per byte
    of main memory when streaming weights, the KV cache and experts, efficiency included, ``offload_s`` of the memory
    behind it. ``unpacking``: what reading a packed cache takes, relative to its bytes. ``tier_rate``, ``tier_bytes``,
    ``tier_latency`` of the memories behind the main one [platform, tier], 0 where there is none. ``domain``: engine
    devices on one scale-up network. ``hop_scale``, ``hop_byte_scale``: latency and seconds per byte between systems
    with the model on chip, relative to the network's; 1 but where `parameters` asks what if.
    """

    platforms: tuple[Platform, ...]
    dies: Floats
    flop_s: Floats
    flop_s_wide: Floats
    vector_flop_s: Floats
    byte_s: Floats
    cache_byte_s: Floats
    unpacking: Floats
    expert_byte_s: Floats
    grouped_efficiency: Floats
    attention_efficiency: Floats
    bytes_w: Floats
    bytes_dense: Floats
    bytes_wide: Floats
    bytes_a: Floats
    bytes_kv: Floats
    kernel_s: Floats
    prefill_kernel_s: Floats
    layer_s: Floats
    routing_s: Floats
    imbalance: Floats
    sequence_s: Floats
    step_s: Floats
    request_s: Floats
    prompt_token_s: Floats
    interference: Floats
    grouping: Floats
    straggling: Floats
    accepted: Floats
    network_scale: Floats
    network_byte_scale: Floats
    hop_scale: Floats
    hop_byte_scale: Floats
    capacity: Floats
    room: Floats
    offload_s: Floats
    tier_rate: Floats
    tier_bytes: Floats
    tier_latency: Floats
    domain: Floats
    fraction: Floats
    of_free: Floats
    reserve: Floats
    block: Floats
    step_tokens: Floats
    max_sequences: Floats
    compiled: Floats
    compute_efficiency: Floats
    memory_efficiency: Floats
    rated_w: Floats
    idle_w: Floats
    sigma_compute: Floats
    sigma_memory: Floats
    sigma_overhead: Floats
    sigma_request: Floats
    power_floor: Floats
    power_memory: Floats
    power_compute: Floats
    resident: NDArray[np.bool_]
    wafer: NDArray[np.bool_]
    width: Floats  # of intervals [load, platform, metric], see `widths`
    elasticity: Floats  # [metric]
    surplus: Floats  # of vendor, model and source [platform, metric]
    factor: Floats  # of accelerator, engine and model [platform, metric]

    def astype(self, dtype: type[np.floating]) -> PlatformTable:
        """The same table with its floats in another precision."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("platforms", *WHOLE)}
        return PlatformTable(
            self.platforms,
            **{k: v if v.dtype == bool else v.astype(dtype, copy=False) for k, v in columns.items()},
            **{name: getattr(self, name) for name in WHOLE},
        )

    def at_clock(self, clock: Floats) -> PlatformTable:
        """The same with cores at a relative clock, equation (40): compute slows, memory, network and host do not."""
        if (clock == 1.0).all():
            return self
        slower = clock.astype(self.flop_s.dtype)
        rates = ("flop_s", "flop_s_wide", "vector_flop_s")
        return replace(self, **{name: getattr(self, name) / slower for name in rates})

    def rows(self, index: NDArray[np.int32], clock: Floats | None = None) -> PlatformTable:
        """The table gathered for design points: entry i is the platform of point i, at the clock of point i.

        ``mode="clip"`` spares numpy's second pass over the index, which points from this table always satisfy.
        """
        gathered = PlatformTable(
            self.platforms,
            **{
                f.name: getattr(self, f.name).take(index, axis=0, mode="clip")
                for f in fields(self)
                if f.name not in ("platforms", *WHOLE)
            },
            **{name: getattr(self, name) for name in WHOLE},
        )
        return gathered if clock is None else gathered.at_clock(clock)


def platform_table(
    platforms: list[Platform] | tuple[Platform, ...], *, is_moe: bool = False,
    tuned: Mapping[str, Floats] | None = None, closest: Sequence[Closest] | None = None,
) -> PlatformTable:  # fmt: skip
    """Lay platforms out as arrays. ``is_moe``: MXFP4 checkpoints then quantise the experts only.

    ``tuned``: coefficients that replace those of the platforms, one value per platform; ``closest`` replaces
    theirs in the widths of intervals.
    """

    def column(value) -> Floats:
        return np.array([np.nan if (v := value(p)) is None else v for p in platforms], dtype=np.float64)

    def bytes_of(name: str) -> float:
        return FORMATS[name].bytes

    def wide(p: Platform) -> str:
        return sixteen_bit(p.device.peaks) or p.compute

    def dense(p: Platform) -> str:
        return wide(p) if is_moe and p.precision.weights == "mxfp4" else p.precision.weights

    def c(name: str) -> Floats:
        if tuned is not None and name in tuned:
            return np.asarray(tuned[name], dtype=np.float64)
        return column(lambda p: getattr(p.coefficients, name))

    dies = column(lambda p: p.device.engine_devices)
    peak_byte_s = dies / column(lambda p: p.device.memory.bytes_per_s)
    vector = dies / (column(vector_flop_per_s) * c("compute_efficiency"))
    rate, room, latency = tiers(platforms)
    with np.errstate(divide="ignore"):
        offload_s = np.where(rate[:, 0] > 0, dies / rate[:, 0], np.nan)
    return PlatformTable(
        platforms=tuple(platforms),
        dies=dies,
        flop_s=dies / (column(lambda p: p.peak_flop_per_s) * c("compute_efficiency")),
        flop_s_wide=dies / (column(lambda p: p.device.peaks[FORMATS[wide(p)].rate]) * c("compute_efficiency")),
        vector_flop_s=vector,
        byte_s=peak_byte_s / c("memory_efficiency"),
        cache_byte_s=peak_byte_s / c("cache_efficiency"),
        unpacking=unpacking(platforms, peak_byte_s / c("cache_efficiency"), vector),
        expert_byte_s=peak_byte_s / c("expert_efficiency"),
        grouped_efficiency=c("grouped_efficiency"),
        attention_efficiency=c("attention_efficiency"),
        bytes_w=column(lambda p: bytes_of(p.precision.weights)),
        bytes_dense=column(lambda p: bytes_of(dense(p))),
        bytes_wide=column(lambda p: max(2.0, bytes_of(wide(p)))),
        bytes_a=column(lambda p: bytes_of(p.precision.activations)),
        bytes_kv=column(lambda p: bytes_of(p.precision.kv_cache) / p.kv_compression),
        kernel_s=c("kernel_s"),
        prefill_kernel_s=c("prefill_kernel_s"),
        layer_s=c("layer_s"),
        routing_s=c("routing_s"),
        imbalance=c("imbalance"),
        sequence_s=c("sequence_s"),
        step_s=c("step_s"),
        request_s=c("request_s"),
        prompt_token_s=c("prompt_token_s"),
        interference=c("interference"),
        grouping=c("grouping"),
        straggling=c("straggling"),
        accepted=c("accepted"),
        network_scale=c("network_scale"),
        network_byte_scale=c("network_byte_scale"),
        hop_scale=np.ones(len(platforms)),
        hop_byte_scale=np.ones(len(platforms)),
        capacity=column(lambda p: p.device.memory.bytes) / dies,
        room=np.minimum(c("room"), 1.0),  # memory holds no more than fits
        offload_s=offload_s,
        tier_rate=rate / dies[:, None],
        tier_bytes=room / dies[:, None],
        tier_latency=latency,
        domain=column(lambda p: p.network.domain),
        fraction=c("memory_fraction"),
        of_free=column(lambda p: float(p.engine.of_free)),
        reserve=c("reserve_bytes"),
        block=column(lambda p: p.engine.block_tokens),
        step_tokens=column(lambda p: p.engine.step_tokens),
        max_sequences=column(lambda p: min(p.engine.max_sequences, p.device.max_batch or 10**9)),
        compiled=column(lambda p: float(p.device.compiled_batches)),
        compute_efficiency=c("compute_efficiency"),
        memory_efficiency=c("memory_efficiency"),
        rated_w=column(lambda p: p.device.power.rated_w),
        idle_w=column(lambda p: p.device.power.idle_w),
        sigma_compute=c("sigma_compute"),
        sigma_memory=c("sigma_memory"),
        sigma_overhead=c("sigma_overhead"),
        sigma_request=c("sigma_request"),
        power_floor=c("power_floor"),
        power_memory=c("power_memory"),
        power_compute=c("power_compute"),
        resident=np.array([p.device.style in ("static_pipeline", "wafer") for p in platforms], dtype=bool),
        wafer=np.array([p.device.style == "wafer" for p in platforms], dtype=bool),
        **_intervals(platforms, closest, is_moe=is_moe),
    )


def _intervals(platforms: Sequence[Platform], closest: Sequence[Closest] | None, *, is_moe: bool) -> dict[str, Floats]:
    """What intervals need of the platforms, in the columns of `PlatformTable`; see `widths`."""
    near = [p.coefficients.closest for p in platforms] if closest is None else closest
    asked = [(p.calibration.width, p, at) for p, at in zip(platforms, near, strict=True)]
    width = np.array([width_table(learned, at.level, is_moe=is_moe) for learned, _, at in asked])
    extra = [surplus(learned, p.device.vendor, at.level, model=at.model, source=at.source) for learned, p, at in asked]
    factor = [factors(learned, p.coefficients.names) for learned, p, _ in asked]
    return {
        "width": width.reshape(-1, len(LOADS), len(WIDTHS)).swapaxes(0, 1),
        "elasticity": elasticities(asked[0][0] if asked else {}),
        "surplus": np.array(extra).reshape(-1, len(WIDTHS)),
        "factor": np.array(factor).reshape(-1, len(WIDTHS)),
    }
