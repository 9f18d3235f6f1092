"""Where many functions of one variable are 0, all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.dual import Dual, plain, settled


def root(f: Callable[[Floats], Floats], low: Floats, high: Floats, rounds: int) -> Floats:
    """Where f, above 0 at ``low`` and below it at ``high``, is 0; the end where it does not change its sign.

    False position in the form of Anderson and Björck: the end that stays twice counts less. Where f has derivatives
    (`dual.Dual`), so has the root.

    >>> float(root(lambda x: 2.0 - x * x, np.array(0.0), np.array(2.0), 6).round(5))
    1.41421
    """
    high = np.maximum(low, high)
    at_low, at_high = f(low), f(high)
    derived, ends = isinstance(at_low, Dual), np.where(at_high > 0, high, low)
    between = (at_low > 0) & (at_high < 0)
    low, high, n, at_low, at_high = (plain(x) for x in (low, high, ends, at_low, at_high))
    above = np.zeros(low.shape, dtype=np.int8)
    for _ in range(rounds):
        inside = (at_low > 0) & (at_high < 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            n = np.where(inside, (low * at_high - high * at_low) / (at_high - at_low), n)
        here = plain(f(n))
        up = inside & (here > 0)  # the root lies above
        down = inside & ~up
        with np.errstate(divide="ignore", invalid="ignore"):
            cut_high, cut_low = 1.0 - here / at_low, 1.0 - here / at_high
        cut_high, cut_low = (np.where(cut > 0, cut, 0.5) for cut in (cut_high, cut_low))
        at_high, at_low = (
            np.where(down, here, np.where(up & (above > 0), cut_high * at_high, at_high)),
            np.where(up, here, np.where(down & (above < 0), cut_low * at_low, at_low)),
        )
        low, high = np.where(up, n, low), np.where(down, n, high)
        above = np.where(up, 1, np.where(down, -1, above)).astype(np.int8)
    return settled(f, n, ends, between) if derived else n
