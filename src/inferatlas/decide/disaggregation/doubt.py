"""How far errors of the predictor move the rates of split and mixed fleets, and their ratio.

The same coefficients stand behind both fleets. So each is moved alone to the ends of its 80 % range, both fleets are
asked again, and the deviations of a result from all coefficients add in squares (54). What slows both fleets alike
cancels in a ratio by itself. The ranges are scaled so that together they give the errors that measurements showed
(`performance/widths.py`), that of compute by prompts, the others by steps. What no coefficient covers is added in
squares.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import Z80, sigma, spread, table

COMPUTE = ("flop_s", "flop_s_wide")
MEMORY = ("byte_s", "cache_byte_s", "expert_byte_s")
OVERHEAD = ("kernel_s", "prefill_kernel_s", "layer_s", "routing_s", "sequence_s", "step_s")
SOURCES = ("compute", "memory", "overhead", "interference")
MOST = 0.1, 3.0  # ends of a scale
Scales = tuple[float, float]
ROWS = 1 + 2 * len(SOURCES)  # as predicted, then each slower and faster


def moved(platform: Platform, *, is_moe: bool, scales: Scales = (1.0, 1.0)) -> PlatformTable:
    """A platform `ROWS` times: as it is, then with compute, memory, overhead and interference slower and faster.

    ``scales`` multiply the ranges (in logarithms) of compute and of the other coefficients: `measured_scales`.
    """
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
        scale = scales[0 if source == "compute" else 1]
        factor[1 + 2 * k : 3 + 2 * k] = np.exp(scale * Z80 * logs[source] * np.array([1.0, -1.0]))
        for name in columns[source]:
            changed[name] = getattr(out, name) * factor
    return replace(out, **changed)


def measured_scales(ops: Operators, table: PlatformTable, points: Points) -> Scales:
    """Error of measurements over that of the ranges, of a lone prompt and of a gap under load.

    Parameters
    ----------
    table : of `moved`. points : one deployment under a closed loop, on row 0.
    """
    rows = np.arange(ROWS, dtype=np.int32)
    many = replace(points[np.zeros(ROWS, dtype=np.intp)], platform=rows)
    lone = replace(
        many, concurrency=many.dp.astype(np.float64), output_tokens=np.ones_like(many.output_tokens)
    )  # fmt: skip
    first, gap = (
        _measured(predict(ops, table, asked, checked=True), name) for asked, name in ((lone, "ttft"), (many, "itl"))
    )
    return first, gap


def _measured(answers: Predictions, metric: str) -> float:
    values = getattr(answers, f"{metric}_s")
    if not np.isfinite(values).all():
        return 1.0
    logs = np.abs(np.log(values[1:] / values[0])).reshape(-1, 2).mean(axis=1)
    own = float(np.sqrt((logs**2).sum())) / Z80
    return float(np.clip(getattr(answers, f"{metric}_sigma")[0] / max(own, 1e-9), *MOST))


def scenarios(*, same: bool) -> list[tuple[int, int, float]]:
    """Rows of the tables of the prefill and the decode side, and a factor on the link; the first is as predicted.

    On one part both pools move together, on two they move one after the other.
    """
    each = range(1, ROWS)
    rows = [(k, k) for k in each] if same else [(k, 0) for k in each] + [(0, k) for k in each]
    link = float(np.exp(Z80 * spread("network")))
    return [(0, 0, 1.0), *((p, d, 1.0) for p, d in rows), (0, 0, 1.0 / link), (0, 0, link)]


COARSE = 0.02  # of a rate of a scenario


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
