"""How far errors of the predictor move the rates of split and mixed fleets, and their ratio.

The same coefficients stand behind both fleets. So each is moved alone to the ends of its 80 % range, both fleets are
asked again, and the deviations of a result from all coefficients add in squares (54). What slows both fleets alike
cancels in a ratio by itself. Two widths come on top: what measurements showed beyond the ranges of coefficients
(`performance/widths.py`) scales the deviations, and what no coefficient covers is added in squares.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.priors import Z80, sigma, spread, table

COMPUTE = ("flop_s", "flop_s_wide")
MEMORY = ("byte_s", "cache_byte_s", "expert_byte_s")
OVERHEAD = ("kernel_s", "prefill_kernel_s", "layer_s", "routing_s", "sequence_s", "step_s")
SOURCES = ("compute", "memory", "overhead", "interference")
ROWS = 1 + 2 * len(SOURCES)  # as predicted, then each slower and faster


def moved(platform: Platform, *, is_moe: bool) -> PlatformTable:
    """A platform `ROWS` times: as it is, then with compute, memory, overhead and interference slower and faster."""
    out = platform_table([platform] * ROWS, is_moe=is_moe)
    prior = table()["styles"][platform.device.style].get("interference")
    logs = {
        "compute": float(out.sigma_compute[0]), "memory": float(out.sigma_memory[0]),
        "overhead": float(out.sigma_overhead[0]), "interference": sigma(prior) if prior else 0.0,
    }  # fmt: skip
    columns = {"compute": COMPUTE, "memory": MEMORY, "overhead": OVERHEAD, "interference": ("interference",)}
    changed: dict[str, Floats] = {}
    for k, source in enumerate(SOURCES):
        factor = np.ones(ROWS)
        factor[1 + 2 * k : 3 + 2 * k] = np.exp(Z80 * logs[source] * np.array([1.0, -1.0]))
        for name in columns[source]:
            changed[name] = getattr(out, name) * factor
    return replace(out, **changed)


def scenarios(*, same: bool) -> list[tuple[int, int, float]]:
    """Rows of the tables of the prefill and the decode side, and a factor on the link; the first is as predicted.

    On one part both pools move together, on two they move one after the other.
    """
    each = range(1, ROWS)
    rows = [(k, k) for k in each] if same else [(k, 0) for k in each] + [(0, k) for k in each]
    link = float(np.exp(Z80 * spread("network")))
    return [(0, 0, 1.0), *((p, d, 1.0) for p, d in rows), (0, 0, 1.0 / link), (0, 0, link)]


def deviations(values: Floats) -> tuple[Floats, Floats]:
    """Logarithms of how far a result falls and rises, one source after the other, their squares summed.

    Parameters
    ----------
    values : [scenario, ...], the first as predicted; 0 or NaN where a scenario serves nothing counts as a tenth.

    Examples
    --------
    >>> low, high = deviations(np.array([[1.0], [0.8], [1.2], [0.9], [1.0]]))
    >>> np.round([low[0], high[0]], 3).tolist()
    [0.247, 0.182]
    """
    base = values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(values[1:] > 0, values[1:], 0.1 * base) / base)
    logs = np.where(np.isfinite(logs), logs, 0.0)
    fall = np.sqrt((np.minimum(logs, 0.0) ** 2).sum(axis=0))
    rise = np.sqrt((np.maximum(logs, 0.0) ** 2).sum(axis=0))
    return fall, rise


def unmodelled(*, ratio: bool) -> float:
    """Log deviation (80 %) of what no coefficient covers.

    Of a rate: the spread of a technique that no measurement of the calibration has used. Of a ratio of two fleets:
    two builds of a serving engine, which differ as the prior of the scheduler says.
    """
    return Z80 * (spread("scheduler") * 2.0**0.5 if ratio else spread("technique"))
