"""Continuous batching in closed form: where it settles, latency, spread, tail and admission, equations (44) to (46).

Predictions solve for the sequences in flight with real steps (`performance/serving.py`) and take the spread of batches
from `performance/variance.py`, which shares I(rho) (`performance/occupancy.py`) with `continuous_cov`. Rates are per
replica in 1/s, times in seconds. A system that cannot keep up (utilisation of 1 or more) has an infinite wait. None and
NaN are unknown and give NaN; a value that cannot be (a negative time) raises BadInput.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.handbook.queueing import mmc_wait, unless_saturated
from inferatlas.predict.performance.arguments import Array, floats
from inferatlas.predict.performance.occupancy import occupancy_noise
from inferatlas.predict.performance.tails import lognormal_quantile


class Occupancy(NamedTuple):
    """Where continuous batching settles: share of the capacity in use, mean batch, mean step time (s)."""

    utilisation: Array
    batch: Array
    step_s: Array


def continuous_batching(
    fixed_s: ArrayLike, per_sequence_s: ArrayLike, output_tokens: ArrayLike, rate: ArrayLike
) -> Occupancy:
    """Utilisation, batch and step time under Poisson load: equation (44). Source: arXiv:2605.15051.

    Parameters
    ----------
    fixed_s, per_sequence_s : t0 and a of the step time ``t0 + a b`` with b sequences.
    output_tokens : mean tokens per request, G.
    rate : requests per second.

    Examples
    --------
    >>> [float(part) for part in continuous_batching(1.0, 0.02, 100, 0.25)]
    [0.5, 50.0, 2.0]
    """
    t0, a = floats(fixed_s, "fixed_s", 0), floats(per_sequence_s, "per_sequence_s", 0)
    tokens = floats(output_tokens, "output_tokens", 0) * floats(rate, "rate", 0)
    load = tokens * a
    step = unless_saturated(load, t0)
    with np.errstate(invalid="ignore"):
        batch = np.where(tokens == 0, 0.0, tokens * step)  # an idle system has no batch, whatever its step
    return Occupancy(load, batch, step)


def continuous_latency(
    fixed_s: ArrayLike, per_sequence_s: ArrayLike, output_tokens: ArrayLike, rate: ArrayLike
) -> Array:
    """Mean time from arrival to the last token, in seconds: equation (44b), within 0.5 % of simulation.

    Beyond G steps it counts the arrival's own load and the wait for the step boundary.

    Examples
    --------
    >>> round(float(continuous_latency(1.0, 0.02, 100, 0.25)), 1)
    205.0
    """
    load, _, step = continuous_batching(fixed_s, per_sequence_s, output_tokens, rate)
    tokens, a = floats(output_tokens, "output_tokens", 0), floats(per_sequence_s, "per_sequence_s", 0)
    return unless_saturated(load, tokens * a) + (tokens + 0.5) * step


def continuous_cov(
    fixed_s: ArrayLike,
    per_sequence_s: ArrayLike,
    output_tokens: ArrayLike,
    rate: ArrayLike,
    output_cv: ArrayLike = 0.0,
) -> Array:
    """Coefficient of variation of that latency: equation (45), within 4.5 % of simulation.

    Parameters
    ----------
    output_cv : coefficient of variation of the tokens per request, added in squares.

    Examples
    --------
    >>> round(float(continuous_cov(1.0, 0.02, 100, 0.25)), 4)
    0.0901
    """
    load, batch, step = continuous_batching(fixed_s, per_sequence_s, output_tokens, rate)
    tokens, a = floats(output_tokens, "output_tokens", above=0), floats(per_sequence_s, "per_sequence_s", 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # batch/step is tokens per second, finite where the step is not
        occupancy = np.where(a == 0, 0.0, a**2 * batch / step**2 * occupancy_noise(load))
    square = occupancy + 1 / (12 * tokens**2) + floats(output_cv, "output_cv", 0) ** 2
    return np.sqrt(np.where(load >= 1, np.nan, square))


def occupancy_noise_closed(utilisation: ArrayLike) -> Array:
    """``(2/3)(1 + 0.45 rho)/(1 - rho)``: I(rho) of (45) within 2.2 % up to rho 0.9 and 3.4 % in the limit of 1.

    Examples
    --------
    >>> round(float(occupancy_noise_closed(0.5)), 4)
    1.6333
    """
    rho = floats(utilisation, "utilisation", 0)
    with np.errstate(divide="ignore"):
        return np.where(rho >= 1, np.inf, (2.0 / 3.0) * (1.0 + 0.45 * rho) / (1.0 - np.minimum(rho, 1.0)))


def continuous_quantile(
    fixed_s: ArrayLike,
    per_sequence_s: ArrayLike,
    output_tokens: ArrayLike,
    rate: ArrayLike,
    probability: ArrayLike = 0.99,
    output_cv: ArrayLike = 0.0,
) -> Array:
    """A quantile of that latency, lognormal about (44b) with the spread of (45); p99 within 3 % of simulation.

    Examples
    --------
    >>> round(float(continuous_quantile(1.0, 0.02, 100, 0.25)), 1)
    251.7
    """
    question = (fixed_s, per_sequence_s, output_tokens, rate)
    mean, cov = continuous_latency(*question), continuous_cov(*question, output_cv)
    quantile = lognormal_quantile(np.where(np.isinf(mean), np.nan, mean), cov, probability)
    return np.where(np.isinf(mean), np.inf, quantile)


def admission_wait(
    fixed_s: ArrayLike,
    per_sequence_s: ArrayLike,
    output_tokens: ArrayLike,
    rate: ArrayLike,
    batch_limit: ArrayLike,
    service_cv: ArrayLike = 1.0,
) -> Array:
    """Mean wait for one of ``batch_limit`` places (KV memory or the engine's limit), in seconds: equation (46).

    M/G/c with c the limit and the service time of a full batch, ``G (t0 + a c)``: Erlang C times
    ``(1 + cv^2)/2``. The wait is infinite exactly where the unlimited batch of (44) exceeds the limit; below
    it errs to the long side, since a batch that is not full is faster.

    Examples
    --------
    >>> [round(float(w), 2) for w in admission_wait(1.0, 0.02, 100, 0.25, [40, 60, 1000])]
    [inf, 17.74, 0.0]
    """
    places = np.floor(floats(batch_limit, "batch_limit", 1))
    t0, a = floats(fixed_s, "fixed_s", 0), floats(per_sequence_s, "per_sequence_s", 0)
    service = floats(output_tokens, "output_tokens", 0) * (t0 + a * places)
    return mmc_wait(service, rate, places) * (1 + floats(service_cv, "service_cv", 0) ** 2) / 2


def prefill_chunk_probability(
    rate: ArrayLike, input_tokens: ArrayLike, chunk_tokens: ArrayLike, step_s: ArrayLike
) -> Array:
    """Probability that a decode step carries a prefill chunk: ``min(1, rate ceil(S_in/c) s)``, under (45).

    Examples
    --------
    >>> round(float(prefill_chunk_probability(2.0, 1000, 512, 0.02)), 3)
    0.08
    """
    chunks = np.ceil(floats(input_tokens, "input_tokens", 0) / floats(chunk_tokens, "chunk_tokens", above=0))
    return np.minimum(1.0, floats(rate, "rate", 0) * chunks * floats(step_s, "step_s", 0))


def prefill_itl_variance(probability: ArrayLike, chunk_s: ArrayLike, output_tokens: ArrayLike = 1.0) -> Array:
    """Variance that prefill chunks add to the mean gap over G tokens, in s^2: ``p (1 - p) t^2/G``, under (45).

    With ``output_tokens`` 1 it is that of a single gap. Identity for independent steps.

    Examples
    --------
    >>> float(prefill_itl_variance(0.5, 0.1, 25))
    0.0001
    """
    p = floats(probability, "probability", 0, 1)
    return p * (1 - p) * floats(chunk_s, "chunk_s", 0) ** 2 / floats(output_tokens, "output_tokens", above=0)
