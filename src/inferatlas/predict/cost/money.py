"""What tokens cost: capital recovery, rented and owned hours, and the bill split over input and output tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats

SECONDS_PER_HOUR = 3600.0


def capital_recovery(rate: ArrayLike, years: ArrayLike) -> Array:
    """Share of a capital sum paid back each year: ``r (1+r)^y/((1+r)^y - 1)``, equation (51).

    Parameters
    ----------
    rate : interest per year as a fraction (0.08 is 8 %), 0 or more; at 0 the answer is 1/years.
    years : life, above 0.

    Examples
    --------
    >>> round(float(capital_recovery(0.08, 5)), 5)
    0.25046
    """
    r, y = floats(rate, "rate", 0), floats(years, "years", above=0)
    growth = -np.expm1(-y * np.log1p(r))  # 1 - (1+r)^-y, without cancellation at small rates
    return np.where(r == 0, 1 / y, r / np.where(growth == 0, 1.0, growth)) + 0 * y


def usd_per_million_tokens(usd_per_hour: ArrayLike, tokens_per_s: ArrayLike, utilisation: ArrayLike = 1.0) -> Array:
    """Price of a million tokens: ``1e6 ($/h)/(3600 tok/s utilisation)``, equation (51).

    Parameters
    ----------
    usd_per_hour : of the whole deployment, 0 or more.
    tokens_per_s : of the whole deployment while it works; output or total tokens, and so is the price.
        0 makes the price infinite.
    utilisation : share of the paid hours in which it works, above 0 and at most 1. A day's mean is
        0.3 to 0.6 (prior); 1 prices a machine that never waits.

    Examples
    --------
    >>> round(float(usd_per_million_tokens(8 * 1.30, 20000.0, 0.5)), 4)
    0.2889
    """
    bill = floats(usd_per_hour, "usd_per_hour", 0)
    tokens = floats(tokens_per_s, "tokens_per_s", 0) * floats(utilisation, "utilisation", above=0, high=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1e6 * bill / (SECONDS_PER_HOUR * tokens))


def split_input_output(
    usd_per_million_total_tokens: ArrayLike,
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    prefill_s: ArrayLike,
    decode_s: ArrayLike,
) -> tuple[Array, Array]:
    """Prices of a million input and a million output tokens, the bill split by the time of each phase (51).

    Parameters
    ----------
    usd_per_million_total_tokens : price over input and output tokens together.
    input_tokens, output_tokens : means per request.
    prefill_s, decode_s : time of the deployment that a request takes in each phase (its share of a batch).

    Returns
    -------
    Two arrays; ``input_tokens`` and ``output_tokens`` at these prices give the bill of a request again.
    NaN where a phase has no tokens, or neither phase takes time.

    Examples
    --------
    >>> usd_in, usd_out = split_input_output(0.2, 1000, 250, 0.02, 0.08)
    >>> round(float(usd_in), 6), round(float(usd_out), 6)
    (0.05, 0.8)
    """
    tokens_in, tokens_out = floats(input_tokens, "input_tokens", 0), floats(output_tokens, "output_tokens", 0)
    time_in, time_out = floats(prefill_s, "prefill_s", 0), floats(decode_s, "decode_s", 0)
    bill = floats(usd_per_million_total_tokens, "usd_per_million_total_tokens", 0) * (tokens_in + tokens_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = time_in / (time_in + time_out)
        prices = bill * share / tokens_in, bill * (1 - share) / tokens_out
    return np.where(tokens_in > 0, prices[0], np.nan), np.where(tokens_out > 0, prices[1], np.nan)
