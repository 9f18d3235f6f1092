"""Waiting, batching under load and tails: equations (42) to (47), on arrays.

Rates are per replica in 1/s, times in seconds. A system that cannot keep up (utilisation of 1 or more) has an
infinite wait. None and NaN are unknown and give NaN; a value that cannot be (a negative time) raises BadInput.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats
from inferatlas.predict.performance.occupancy import occupancy_noise
from inferatlas.predict.performance.tails import lognormal_quantile


def mg1_wait(service_s: ArrayLike, rate: ArrayLike, service_cv: ArrayLike = 1.0) -> Array:
    """Mean wait before service in M/G/1, in seconds: equation (42), Pollaczek-Khinchine.

    Parameters
    ----------
    service_s : mean service time E(S).
    rate : arrivals per second, Poisson.
    service_cv : coefficient of variation of the service time; 0 is M/D/1, 1 is M/M/1.

    Examples
    --------
    >>> round(float(mg1_wait(1.0, 0.8)), 6)
    4.0
    """
    service, cv = floats(service_s, "service_s", 0), floats(service_cv, "service_cv", 0)
    load = floats(rate, "rate", 0) * service
    return _unless_saturated(load, load * service * (1 + cv**2) / 2)


def md1_ttft(prefill_s: ArrayLike, rate: ArrayLike) -> Array:
    """TTFT of prefills of one length, one at a time: ``D + rate D^2/(2 (1 - rate D))``, equation (42).

    Tensor parallelism over K devices shortens D to D/K. Source: DistServe, arXiv:2401.09670.

    Examples
    --------
    >>> round(float(md1_ttft(0.1, 5.0)), 6)
    0.15
    """
    prefill = floats(prefill_s, "prefill_s", 0)
    return prefill + mg1_wait(prefill, rate, 0.0)


def two_stage_ttft(prefill_s: ArrayLike, rate: ArrayLike) -> Array:
    """TTFT of the same prefills on a pipeline of two stages: ``D + rate D^2/(4 (2 - rate D))``, equation (42).

    Each stage serves for D/2, so the pipeline holds until ``rate D`` reaches 2. Source: DistServe.

    Examples
    --------
    >>> round(float(two_stage_ttft(0.1, 5.0)), 5)
    0.10833
    """
    prefill = floats(prefill_s, "prefill_s", 0)
    return prefill + mg1_wait(prefill / 2, rate, 0.0)


def erlang_c(servers: ArrayLike, offered: ArrayLike) -> Array:
    """Probability that an arrival waits in M/M/c, exact (Erlang C), for equations (42) and (46).

    Takes as many passes over the arrays as the largest number of servers.

    Parameters
    ----------
    servers : c, whole, 1 or more.
    offered : rate times mean service time, in servers' worth.

    Examples
    --------
    >>> round(float(erlang_c(4, 3.2)), 5)
    0.59643
    """
    count = np.floor(floats(servers, "servers", 1))
    count, load = np.broadcast_arrays(count, floats(offered, "offered", 0))
    blocked = np.ones(count.shape)  # Erlang B, by its recursion over the number of servers
    for k in range(1, int(np.max(np.nan_to_num(count), initial=0)) + 1):
        blocked = np.where(k <= count, load * blocked / (k + load * blocked), blocked)
    share = load / count  # NaN where either is unknown, and so is the answer
    return np.where(share >= 1, 1.0, blocked / (1 - np.minimum(share, 1) * (1 - blocked)))


def mmc_wait(service_s: ArrayLike, rate: ArrayLike, servers: ArrayLike) -> Array:
    """Mean wait in M/M/c, exact, in seconds.

    Examples
    --------
    >>> round(float(mmc_wait(1.0, 3.2, 4)), 5)
    0.74554
    """
    service, count = floats(service_s, "service_s", 0), np.floor(floats(servers, "servers", 1))
    offered = floats(rate, "rate", 0) * service
    return _unless_saturated(offered / count, erlang_c(count, offered) * service / count)


def ggc_wait(
    service_s: ArrayLike,
    rate: ArrayLike,
    servers: ArrayLike,
    arrival_cv: ArrayLike = 1.0,
    service_cv: ArrayLike = 1.0,
) -> Array:
    """Mean wait in G/G/c, in seconds: Sakasegawa's approximation in equation (42).

    With ``service_cv`` 0 it is M/D/c, as statically scheduled machines serve: equation (35).

    Exact for M/G/1. For M/M/c up to 128 servers it is at most 0.034 E(S) off, which matters little where waits
    are long and much, relatively, where they are short. One pass whatever the number of servers.

    Examples
    --------
    >>> round(float(ggc_wait(1.0, 3.2, 4)), 5)
    0.77155
    """
    service, count = floats(service_s, "service_s", 0), floats(servers, "servers", 1)
    load = floats(rate, "rate", 0) * service / count
    spread = (floats(arrival_cv, "arrival_cv", 0) ** 2 + floats(service_cv, "service_cv", 0) ** 2) / 2
    return _unless_saturated(load, spread * load ** (np.sqrt(2 * (count + 1)) - 1) / count * service)


def dynamic_batching_latency(per_request_s: ArrayLike, fixed_s: ArrayLike, rate: ArrayLike) -> Array:
    """Mean latency, service included, where each batch takes all that wait: equation (43).

    A batch of b takes ``a b + tau0`` seconds. Within 1.1 % of simulation. Source: Inoue, arXiv:1912.06322.

    Parameters
    ----------
    per_request_s, fixed_s : a and tau0.
    rate : arrivals per second, Poisson.

    Examples
    --------
    >>> round(float(dynamic_batching_latency(0.02, 1.0, 25.0)), 3)
    3.033
    """
    a, tau = floats(per_request_s, "per_request_s", 0), floats(fixed_s, "fixed_s", 0)
    load = floats(rate, "rate", 0) * a
    return _unless_saturated(load, 1.5 * tau + a / 2 * (load + 2) / (1 + load))


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
    step = _unless_saturated(load, t0)
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
    return _unless_saturated(load, tokens * a) + (tokens + 0.5) * step


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


def _unless_saturated(load: Array, value: Array) -> Array:
    """``value/(1 - load)``, infinite where the load is 1 or more."""
    full = load >= 1
    return np.where(full, np.inf, value / np.where(full, 1.0, 1.0 - load))
