"""Starting values of the coefficients with range and origin, read from ``priors.json`` beside this file."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from importlib import resources
from typing import Any

from inferatlas.predict.hardware.device import Device
from inferatlas.predict.performance.collectives import Network

Z80 = 1.2815515655446004  # 90th percentile of the standard normal: ends of an 80 % interval


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
    """One constant of a group that holds for every machine (``power``, ``spread``)."""
    return float(table()[group][name]["value"])


def spread(name: str) -> float:
    """Log standard deviation of something no range of a coefficient covers."""
    return constant("spread", name)


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
            default_scale_out=float(defaults["scale_out_bytes_per_s"]["value"]),
            fitted={op: tuple(row) for op, row in fitted.items() if op != "origin"} if fitted else None,
        ),
        notes,
    )
