"""Coefficients with range and origin, read from ``priors.json`` beside this file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from inferatlas.predict.hardware.device import Device
from inferatlas.predict.performance.collectives import Network

Z80 = 1.2815515655446004  # 90th percentile of the standard normal: ends of an 80 % interval


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What turns work into time on one kind of machine under one engine; all SI.

    ``sigma_*`` are standard deviations of the logarithm, from the stated ranges.
    """

    compute_efficiency: float
    memory_efficiency: float
    attention_efficiency: float
    kernel_s: float
    prefill_kernel_s: float
    layer_s: float
    sequence_s: float
    step_s: float
    request_s: float
    memory_fraction: float
    reserve_bytes: float
    sigma_compute: float
    sigma_memory: float
    sigma_overhead: float
    sigma_request: float
    sigma_unseen: float
    level: str  # which level answered: part, style
    checked: bool  # a published check covers accelerator, engine and weights


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The whole table of priors (cached)."""
    return json.loads(
        resources.files("inferatlas.predict.performance").joinpath("priors.json").read_text(encoding="utf-8")
    )


def sigma(entry: dict[str, Any]) -> float:
    """Standard deviation of the logarithm from ``low`` and ``high`` (10th and 90th percentile)."""
    low, high = entry["low"], entry["high"]
    return math.log(high / low) / (2.0 * Z80) if low > 0 and high > low else 0.0


def constant(group: str, name: str) -> float:
    """One constant of a group that holds for every machine (``serving``, ``power``, ``spread``)."""
    return float(table()[group][name]["value"])


def spread(name: str) -> float:
    """Log standard deviation of something no range of a coefficient covers."""
    return constant("spread", name)


def coefficients(device: Device, engine: str, weights: str, memory_fraction: float | None = None) -> Coefficients:
    """The coefficients for a device under an engine; the most specific level answers for each constant."""
    data = table()
    entries: dict[str, Any] = dict(data["styles"][device.style])
    part = data["parts"].get(device.id, {})
    entries.update(part)
    values = {name: float(entry["value"]) for name, entry in entries.items()}
    if memory_fraction is not None and device.style == "kernel":
        values["memory_fraction"] = memory_fraction
    overheads = [entries[name] for name in ("kernel_s", "layer_s", "step_s") if entries[name]["value"] > 0]
    checked = any(
        (row["accelerator"], row["engine"], row["weights"]) == (device.id, engine, weights) for row in data["evidence"]
    )
    unseen = 0.0 if checked else spread("unseen_gpu" if device.architectural_class == "gpu_simt" else "unseen_class")
    return Coefficients(
        **values,
        sigma_compute=sigma(entries["compute_efficiency"]),
        sigma_memory=sigma(entries["memory_efficiency"]),
        sigma_overhead=max((sigma(entry) for entry in overheads), default=0.0),
        sigma_request=sigma(entries["request_s"]),
        sigma_unseen=unseen,
        level="part" if part else "style",
        checked=checked,
    )


def network(device: Device) -> tuple[Network, list[str]]:
    """The network constants of a device and what had to be assumed for want of a published figure."""
    data = table()
    entry, defaults = data["networks"][device.topology], data["network_defaults"]
    notes: list[str] = []
    link = device.link_bytes_per_s
    if link is None and device.topology == "pipeline":
        link = device.scale_out_bytes_per_s  # systems are joined by their Ethernet ports only
    if link is None:
        link = float(defaults["link_bytes_per_s"]["value"])
        notes.append(
            f"{device.id} publishes no scale-up bandwidth: {link / 1e9:g} GB/s assumed (25 to 400 GB/s is possible)"
        )
    fitted = data["fitted_collectives"].get(device.id)
    return (
        Network(
            topology=device.topology,
            bytes_per_s=link,
            scale_out=device.scale_out_bytes_per_s,
            domain=device.domain * device.engine_devices,
            base_s=entry["base_s"],
            step_s=entry["step_s"],
            efficiency=entry["efficiency"],
            q=entry["q"],
            scale_out_s=float(defaults["scale_out_s"]["value"]),
            fitted={op: tuple(row) for op, row in fitted.items() if op != "origin"} if fitted else None,
        ),
        notes,
    )
