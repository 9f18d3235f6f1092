"""Waits before one server or several (42), (35), and batches that take all who wait (43).

Predictions have an M/G/1 of their own, whose service is what a prompt adds to the steps that carry it
(`performance/serving.py`). Rates are per replica in 1/s, times in seconds. A system that cannot keep up (utilisation
of 1 or more) has an infinite wait. None and NaN are unknown and give NaN; a value that cannot be (a negative time)
raises BadInput.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats


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
    return unless_saturated(load, load * service * (1 + cv**2) / 2)


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
    return unless_saturated(offered / count, erlang_c(count, offered) * service / count)


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
    return unless_saturated(load, spread * load ** (np.sqrt(2 * (count + 1)) - 1) / count * service)


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
    return unless_saturated(load, 1.5 * tau + a / 2 * (load + 2) / (1 + load))


def unless_saturated(load: Array, value: Array) -> Array:
    """``value/(1 - load)``, infinite where the load is 1 or more."""
    full = load >= 1
    return np.where(full, np.inf, value / np.where(full, 1.0, 1.0 - load))
