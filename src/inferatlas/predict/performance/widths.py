"""How wide intervals are: the predictor's own account of its error, scaled to what left-out measurements showed.

An interval reaches ``exp(z sqrt((width a^elasticity)² + surplus²) factor beyond)`` either way: ``a`` is the log
standard deviation from the ranges of the constants (equation (54)), ``width`` per metric, load and level of evidence,
``surplus`` of the vendor and of a model or source that was not measured, ``factor`` of an accelerator, engine or model
that errs more or less than its level, ``beyond`` for batches and contexts larger than any that was measured. All but
the first come from calibration (`evidence.intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.calibrated import WIDTHS

UNSEEN = ("class+engine", "class", "prior")  # levels of accelerators that were never measured
LOADS = ("closed", "open", "static")
FACTORS = 0.6, 2.0  # what is known of an accelerator, an engine and a model may narrow or widen an interval by this
OTHER = "other"  # vendors without a surplus of their own
UNCALIBRATED = 1.5  # without any calibration the ranges of the priors are all there is: half as wide again


def width_table(width: Mapping[str, Any], level: str, *, is_moe: bool) -> Floats:
    """Widths [load, metric] of a platform whose closest evidence is ``level``."""
    if not width:
        return np.full((len(LOADS), len(WIDTHS)), UNCALIBRATED)
    return np.array(
        [
            [
                width["base"][metric][load]
                * width["level"][metric][level]
                * (width["experts"][metric][level] if is_moe else 1.0)
                for metric in WIDTHS
            ]
            for load in LOADS
        ]
    )


def surplus(width: Mapping[str, Any], vendor: str, level: str, *, model: bool = True, source: bool = True) -> Floats:
    """What the vendor's software adds to the error [metric], as a log standard deviation; so does a model or a source
    that was not measured.

    A new part of a vendor that was measured on another one lies midway (in logs) to a vendor never measured.
    """
    if not width:
        return np.zeros(len(WIDTHS))
    found = []
    for metric in WIDTHS:
        vendors = width["vendor"][metric]
        own, other = vendors.get(vendor, vendors[OTHER]), vendors[OTHER]
        stack = (own * other) ** 0.5 if level in UNSEEN else own
        new = (width[of][metric] for of, known in (("model", model), ("source", source)) if not known)
        found.append(np.sqrt(stack**2 + sum(x**2 for x in new)))
    return np.array(found)


def factors(width: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Product of the factors of the levels in ``names`` [metric] within `FACTORS`; a level without one has 1."""
    if not width:
        return np.ones(len(WIDTHS))
    found = [np.prod([width["slice"][metric].get(name, 1.0) for name in names]) for metric in WIDTHS]
    return np.clip(found, *FACTORS)


def elasticities(width: Mapping[str, Any]) -> Floats:
    """Exponent of the predictor's own sigma, per metric; 0 for power, whose spread is not modelled."""
    return np.array([width["elasticity"][metric] if width else float(metric != "power_w") for metric in WIDTHS])


def beyond(width: Mapping[str, Any], batch: Floats, context: Floats) -> list[Floats | float]:
    """Factor per metric for batches and contexts beyond the largest that were measured."""
    if not width:
        return [1.0] * len(WIDTHS)
    logs: list[Floats | float] = [0.0] * len(WIDTHS)
    for name, value in (("batch", batch), ("context", context)):
        doublings = np.maximum(np.log2(np.maximum(value, 1.0) / width["beyond"][name]["seen"]), 0.0)
        growth = width["beyond"][name]["per_doubling"]
        logs = [log + growth[metric] * doublings for log, metric in zip(logs, WIDTHS, strict=True)]
    return [np.exp(log) for log in logs]
