"""From two values and how much they vary to a ratio with its interval and a p-value; and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
SAME = 1e-9  # relative difference that is rounding


@dataclass(frozen=True, slots=True)
class Chance:
    """``low`` and ``high``: 95 % interval of the ratio b/a (None where one of the two is not above 0)."""

    low: float | None
    high: float | None
    p: float


def unpaired(a: float, b: float, spread_a: tuple[float, int], spread_b: tuple[float, int]) -> Chance:
    """Two values that vary independently.

    Parameters
    ----------
    a, b : the values. spread_a, spread_b : standard error of each and the number of blocks, batches or runs behind it.

    Examples
    --------
    >>> found = unpaired(1.0, 1.2, (0.02, 40), (0.02, 40))
    >>> round(found.low, 2), round(found.high, 2), found.p < 1e-6
    (1.14, 1.26, True)
    """
    if a > 0 and b > 0:  # errors of logarithms are relative errors
        spread_a, spread_b = (spread_a[0] / a, spread_a[1]), (spread_b[0] / b, spread_b[1])
    variances = spread_a[0] ** 2, spread_b[0] ** 2
    total = sum(variances)
    parts = sum(v * v / max(many - 1, 1) for v, (_, many) in zip(variances, (spread_a, spread_b), strict=True))
    freedom = total * total / parts if parts > 0 else float("inf")  # Welch and Satterthwaite
    return judged(a, b, total**0.5, freedom)


def judged(a: float, b: float, error: float, freedom: float) -> Chance:
    """By Student's t, from the standard error of log(b/a) (of b - a where one of the two is not above 0)."""
    from scipy.special import stdtr, stdtrit

    logs = a > 0 and b > 0
    effect = float(np.log(b / a)) if logs else b - a
    if abs(b - a) <= SAME * max(abs(a), abs(b)):
        effect = 0.0
    known = float(min(freedom, 1e6))
    p = 1.0 if effect == 0 else 0.0 if error <= 0 else float(2.0 * stdtr(known, -abs(effect) / error))
    if not logs:
        return Chance(None, None, p)
    half = float(stdtrit(known, (1.0 + CONFIDENCE) / 2.0)) * error
    return Chance(float(np.exp(effect - half)), float(np.exp(effect + half)), p)


def error_of(replicates: Floats, blocks: int) -> float:
    """Standard error from bootstrap replicates; as of (blocks - 1), since the bootstrap divides by all of them."""
    known = replicates[np.isfinite(replicates)]
    return float(known.std()) * (blocks / (blocks - 1)) ** 0.5 if known.size and blocks > 1 else float("nan")


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p-values that hold for all tests together (Holm, 1979, Scandinavian Journal of Statistics 6:65).

    Examples
    --------
    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((value, i) for i, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    most = 0.0
    for place, (value, i) in enumerate(known):
        most = max(most, min(value * (len(known) - place), 1.0))
        found[i] = most
    return found


__all__ = ["CONFIDENCE", "Chance", "error_of", "holm", "judged", "unpaired"]
