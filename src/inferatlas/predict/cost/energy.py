"""Energy of tokens and of requests from power and throughput: equation (41)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats


def joules_per_token(power_w: ArrayLike, tokens_per_s: ArrayLike, pue: ArrayLike = 1.0) -> Array:
    """``P PUE/(tok/s)``, equation (41). Infinite where power flows and no token comes.

    Parameters
    ----------
    power_w : of the whole deployment in the scope that the result is to have (chip, board, node, rack).
    tokens_per_s : of the same deployment; output or total tokens, and so is the result.
    pue : power usage effectiveness of the site, 1 or more; 1 leaves the facility out.

    Examples
    --------
    >>> float(joules_per_token(700.0, 1400.0, 1.2))
    0.6
    """
    power = floats(power_w, "power_w", 0) * floats(pue, "pue", 1)
    tokens = floats(tokens_per_s, "tokens_per_s", 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(power / tokens)


def tokens_per_joule(power_w: ArrayLike, tokens_per_s: ArrayLike, pue: ArrayLike = 1.0) -> Array:
    """The inverse of `joules_per_token`; NaN where neither power nor tokens flow.

    Examples
    --------
    >>> float(tokens_per_joule(337.0, 246.01))
    0.73
    """
    power = floats(power_w, "power_w", 0) * floats(pue, "pue", 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(floats(tokens_per_s, "tokens_per_s", 0) / power)


def milliwatt_hours_per_query(
    power_w: ArrayLike, tokens_per_s: ArrayLike, tokens_per_query: ArrayLike, pue: ArrayLike = 1.0
) -> Array:
    """Energy of one query in mWh: ``PUE P L/(3.6 tok/s)``, equation (41).

    Parameters
    ----------
    tokens_per_query : L, tokens of one query of the kind that ``tokens_per_s`` counts.

    Examples
    --------
    >>> round(float(milliwatt_hours_per_query(700.0, 1400.0, 300.0, 1.2)), 6)
    50.0
    """
    return joules_per_token(power_w, tokens_per_s, pue) * floats(tokens_per_query, "tokens_per_query", 0) / 3.6
