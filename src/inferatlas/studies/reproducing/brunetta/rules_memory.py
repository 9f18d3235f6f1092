"""The guideline of 80 %: at which share of memory that weights take does a larger tensor parallel size pay?

Four accelerators serve a model as T = 1, 2 or 4. Their memory is made smaller or larger (nothing else), so that the
weights of one copy take any share of one accelerator's memory. Where the best T goes from 1 to more is the boundary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Guideline, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.comparing import guideline
from inferatlas.studies.reproducing.brunetta.judging import Trial, compared, tried
from inferatlas.studies.reproducing.brunetta.pairs import OVER, TITLES, claimed, model_name, range_over
from inferatlas.studies.reproducing.brunetta.protocol import DENSE, NODES, PER_GPU, TENSOR
from inferatlas.studies.reproducing.brunetta.rules_parallel import LEVELS, SHARE, weights_share

RATE, FRUGAL = "total_tokens_per_s_per_accelerator", "total_tokens_per_joule"
GPUS = 4
SHARES = tuple(round(float(share), 3) for share in np.arange(0.30, 0.9751, 0.025))
PRECISIONS = ("", "fp8")
LOSS = 0.10  # of throughput: what is called a degradation
RATIO = "best larger T over T = 1, throughput"
CLAIM = "eighty-percent-of-memory"
Key = tuple[str, str, str, int]  # model, accelerator, precision, sequences per accelerator


def crossing(shares: Sequence[float], ratios: Sequence[float], level: float = 1.0) -> float:
    """The share at which a ratio first reaches a level from below, between two shares in proportion.

    Inf counts as beyond the level; NaN where the level is never reached, or is exceeded from the start.

    >>> crossing([0.5, 0.6, 0.7], [0.8, 0.9, 1.1]), crossing([0.5, 0.6], [0.8, 0.9])
    (0.65, nan)
    """
    for (a, low), (b, high) in pairwise(zip(shares, ratios, strict=True)):
        if low < level <= high:
            return round(a + (b - a) * (level - low) / (high - low), 6) if np.isfinite(high) else b
    return float("nan")


def keys() -> list[Key]:
    """Everything of which there is a curve over the share."""
    return [(m, gpu, form, level) for m in DENSE for gpu in NODES for form in PRECISIONS for level in LEVELS]


@cache
def grid() -> Answers:
    """Every curve at every share, in three layouts."""
    return answered([_case(*key, tp, share) for key in keys() for tp in TENSOR for share in SHARES])


def _case(model: str, gpu: str, form: str, level: int, tp: int, share: float) -> Case:
    memory = weights_share(model, gpu, 1, form) / share
    return Case(model, gpu, level * GPUS, tp=tp, dp=GPUS // tp, weights=form, memory=round(memory, 6))


@cache
def curves(quantity: str) -> dict[Key, Floats]:
    """One figure [T, share] of every curve; NaN where nothing fits."""
    found = grid().value(quantity).reshape(len(keys()), len(TENSOR), len(SHARES))
    return dict(zip(keys(), found, strict=True))


def more_over_one(figures: Floats) -> Floats:
    """The best larger T over T = 1 at each share; inf where only a larger one fits, NaN where nothing does."""
    best = np.max(np.nan_to_num(figures[1:], nan=-1.0), axis=0)
    one = np.nan_to_num(figures[0], nan=0.0)
    with np.errstate(divide="ignore"):
        return np.where(best > 0, best / one, np.nan)


def share_trials(curves_of: Mapping[str, Mapping[Key, Floats]], stated: float) -> list[Trial]:
    """Beyond the stated share a larger T must be better than T = 1, at every share where both fit."""
    return tried(
        compared(_columns(key, quantity) | {SHARE: f"{share:g}"}, float(ratio))
        for quantity, ratios in curves_of.items()
        for key, curve in ratios.items()
        for share, ratio in zip(SHARES, curve, strict=True)
        if share > stated
    )


def _columns(key: Key, quantity: str) -> dict[str, str]:
    model, gpu, form, level = key
    return {
        "metric": TITLES[quantity], "accelerator": gpu, "model": model_name(model),
        "precision": "FP8" if form else "16 bit", "sequences per GPU": str(level),
    }  # fmt: skip


def boundaries() -> dict[Key, float]:
    """The share from which a larger T has more throughput."""
    return {key: crossing(SHARES, more_over_one(one).tolist()) for key, one in curves(RATE).items()}


def degradations() -> dict[Key, float]:
    """The share from which T = 1 has lost a tenth of what it has with plenty of memory."""
    lost = {key: np.where(np.isnan(one[0]), np.inf, one[0][0] / one[0]) for key, one in curves(RATE).items()}
    return {key: crossing(SHARES, ratio.tolist(), 1.0 / (1.0 - LOSS)) for key, ratio in lost.items()}


def about(found: Mapping[Key, float], stated: Printed) -> int:
    """How many boundaries are the stated share, within a tenth of it."""
    low, high = 0.9 * (stated.low or 0.0), 1.1 * (stated.high or 0.0)
    return sum(low <= value <= high for value in found.values())


def eighty_percent() -> Guideline:
    """What the paper says holds beyond 80 %, and where our boundary lies."""
    stated = claimed(CLAIM)
    found, lost = boundaries(), degradations()
    ratios = {q: {key: more_over_one(one) for key, one in curves(q).items()} for q in (RATE, FRUGAL)}
    known = int(np.isfinite(list(found.values())).sum())
    always = sum(one[0] >= 1.0 for one in ratios[RATE].values())
    return guideline(
        "weights-80-percent", "Sec. IV-B, second box",
        "When model weights exceed 80% of GPU memory capacity, performance and energy efficiency degrade due to "
        "insufficient space for the KV cache. To mitigate this issue, it is advisable to either quantize the model to "
        "a lower precision or increase the tensor parallel size.",
        share_trials(ratios, stated.value or 0.0),
        "Nine dense models on four A100, H100 or MI300X of hypothetical memory, two precisions, every share beyond "
        f"{stated.text} at which T = 1 still fits: a larger T must give more throughput and more tokens per joule. The "
        f"batch moves the boundary: a larger T has more throughput from a share of {_by_level(found)}, and T = 1 has "
        f"lost a tenth of its throughput from {_by_level(lost)}. Of {known} boundaries {about(found, stated)} are "
        f"within a tenth of {stated.text}; {always} of {len(found)} curves have none, a larger T being better from "
        f"{SHARES[0]:.0%} on.",
        boundary=f"our boundary at {PER_GPU} sequences per GPU is {_at_level(found, PER_GPU)}, against {stated.text}",
        pairs=(*_curve_pairs(ratios[RATE]), *_boundary_pairs(found, stated)),
        plot=Plot("lines", x=SHARE, y=RATIO, colour="series", facet="accelerator"),
        notes=(
            "The engine may use 90 % of the memory, so T = 1 fits nowhere beyond that.",
            "Intervals hold 80 % of the curves of nine models and two precisions.",
        ),
    )  # fmt: skip


def _by_level(found: Mapping[Key, float]) -> str:
    """Median and interval at each number of sequences."""
    return "; ".join(f"{_at_level(found, level)} at {level} sequences per GPU" for level in LEVELS)


def _at_level(found: Mapping[Key, float], level: int) -> str:
    one = range_over(value for key, value in found.items() if key[3] == level)
    return f"{one.value:.0%} ({one.low:.0%} to {one.high:.0%})" if one else "none"


def _curve_pairs(ratios: Mapping[Key, Floats]) -> list[Pair]:
    """The ratio along the share, by accelerator and level."""
    out = []
    for gpu in NODES:
        for level in LEVELS:
            mine = [ratio for key, ratio in ratios.items() if key[1] == gpu and key[3] == level]
            for i, share in enumerate(SHARES):
                interval = range_over(float(ratio[i]) for ratio in mine)
                what = {"accelerator": gpu, "series": f"{level} sequences per GPU", SHARE: f"{share:g}"}
                if interval is not None:
                    out.append(Pair(what, RATIO, "1", None, interval, "extrapolated", OVER))
    return out


def _boundary_pairs(found: Mapping[Key, float], stated: Printed) -> list[Pair]:
    """Our boundary beside theirs, by accelerator and level."""
    return [
        Pair(
            {"accelerator": gpu, "series": f"{level} sequences per GPU", SHARE: ""},
            "share from which a larger T is better", "1", stated,
            range_over(value for key, value in found.items() if (key[1], key[3]) == (gpu, level)), "extrapolated", OVER,
        )
        for gpu in NODES for level in LEVELS
    ]  # fmt: skip


ALL = (eighty_percent,)
