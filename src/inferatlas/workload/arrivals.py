"""When requests come: arrival times of open loops, as arrays.

Every process is one unit process (intervals with a mean of 1, drawn from the stream that is handed in) that a rate
turns into seconds: t = Λ⁻¹(u), where Λ(t) is the number of requests expected up to t. A constant rate λ divides by it,
a rate that varies stretches time where it is low. So the same seed gives the same noise at every rate and in every
shape of rate (common random numbers), and a search over rates compares like with like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload.workload import MOST_PER_S, shown

ArrivalKind = Literal["constant", "poisson", "gamma", "bursts", "diurnal"]
Times = NDArray[np.float64]

DAY_S = 86_400.0
MOST_REQUESTS = 10**8  # in one stream; arrays of more do not fit where this runs
CELLS = 2**16  # a day of the sinusoid, in cells of about 1.3 s, each with its exact mean
SHAPES: dict[str, tuple[str, ...]] = {
    "constant": (),
    "poisson": (),
    "gamma": ("burstiness",),
    "bursts": ("burst_factor", "burst_every_s", "burst_s"),
    "diurnal": ("peak_to_mean",),
}


def arrival_times(
    kind: ArrivalKind,
    count: int,
    rate: float,
    random: np.random.Generator,
    *,
    burstiness: float | None = None,
    burst_factor: float | None = None,
    burst_every_s: float | None = None,
    burst_s: float | None = None,
    peak_to_mean: float | None = None,
) -> Times:
    """Arrival times of one of the processes below, by its name.

    Parameters
    ----------
    kind : ``constant``, ``poisson``, ``gamma`` (needs ``burstiness``), ``bursts`` (``burst_factor``,
        ``burst_every_s``, ``burst_s``) or ``diurnal`` (``peak_to_mean``). The last two also take a ``burstiness``.
    count : requests. rate : requests per second, the mean.

    Returns
    -------
    shape (count,), seconds, ascending, above 0: the first request comes one interval after the start.

    Raises
    ------
    UnknownName : no such process. BadInput : a value out of range, missing, or of another process.

    Examples
    --------
    >>> arrival_times("constant", 3, 2.0, np.random.default_rng(1)).tolist()
    [0.5, 1.0, 1.5]
    >>> arrival_times("gamma", 3, 2.0, np.random.default_rng(1))
    Traceback (most recent call last):
    inferatlas.errors.BadInput: burstiness: gamma arrivals need it (allowed: a number above 0; 1 is Poisson)
    """
    if kind not in get_args(ArrivalKind):
        raise UnknownName("arrival", str(kind), get_args(ArrivalKind), field="arrival")
    shape = {
        "burstiness": burstiness,
        "burst_factor": burst_factor,
        "burst_every_s": burst_every_s,
        "burst_s": burst_s,
        "peak_to_mean": peak_to_mean,
    }
    given = {name: value for name, value in shape.items() if value is not None}
    for name in SHAPES[kind]:
        if name not in given:
            allowed = "a number above 0; 1 is Poisson" if name == "burstiness" else "a number"
            raise BadInput(f"{kind} arrivals need it", field=name, allowed=allowed)
    for name in given:
        if name not in SHAPES[kind] and not (name == "burstiness" and kind in ("bursts", "diurnal")):
            allowed = ", ".join(k for k, names in SHAPES.items() if name in names)
            raise BadInput(f"{kind} arrivals have none", field=name, allowed=f"with {allowed}")
    if kind == "constant":
        return constant(count, rate)
    process: dict[str, Callable[..., Times]] = {
        "poisson": poisson,
        "gamma": gamma,
        "bursts": bursts,
        "diurnal": diurnal,
    }
    return process[kind](count, rate, random, **given)


def constant(count: int, rate: float) -> Times:
    """One request every 1/rate seconds; their intervals do not vary."""
    return np.arange(1, _count(count) + 1) / _rate(rate)


def poisson(count: int, rate: float, random: np.random.Generator) -> Times:
    """Poisson arrivals: exponential intervals, with a coefficient of variation of 1."""
    return gamma(count, rate, random, 1.0)


def gamma(count: int, rate: float, random: np.random.Generator, burstiness: float) -> Times:
    """Gamma-distributed intervals of shape ``burstiness``, as vLLM's ``--burstiness``.

    Their coefficient of variation is 1/√burstiness: 1 is Poisson, below 1 comes in bursts, above 1 is more even.

    Examples
    --------
    >>> gaps = np.diff(gamma(200_000, 5.0, np.random.default_rng(1), 0.25))
    >>> round(float(gaps.mean()), 2), round(float(gaps.std() / gaps.mean()), 1)
    (0.2, 2.0)
    """
    return unit_process(count, random, burstiness) / _rate(rate)


def bursts(
    count: int,
    rate: float,
    random: np.random.Generator,
    *,
    burst_factor: float,
    burst_every_s: float,
    burst_s: float,
    burstiness: float = 1.0,
) -> Times:
    """A rate that is ``burst_factor`` times the mean in the last ``burst_s`` seconds of every ``burst_every_s``.

    Between bursts the rate is lower, so that the mean over a whole period is ``rate``; 0 where the bursts take all.

    Raises
    ------
    BadInput : bursts longer than their distance, or that hold more than all requests.

    Examples
    --------
    Half of all requests within a tenth of the time:

    >>> times = bursts(100_000, 10.0, np.random.default_rng(1), burst_factor=5, burst_every_s=60, burst_s=6)
    >>> round(float(np.mean(times % 60 >= 54)), 2)
    0.5
    """
    _number("burst_factor", burst_factor, 1, 1e6)
    _number("burst_every_s", burst_every_s, 1e-6, 1e9)
    if not (isinstance(burst_s, int | float) and 0 < burst_s < burst_every_s):
        message = f"bursts of {shown(burst_s)} s every {burst_every_s:g} s"
        raise BadInput(message, field="burst_s", allowed="seconds above 0, below burst_every_s")
    left = burst_every_s - burst_factor * burst_s
    if left < -1e-9 * burst_every_s:
        raise BadInput(
            f"bursts of {burst_s:g} s every {burst_every_s:g} s at {burst_factor:g} times the mean exceed the mean",
            field="burst_factor",
            allowed=f"1 to burst_every_s/burst_s, here {burst_every_s / burst_s:g}",
        )
    calm = max(left, 0.0) / (burst_every_s - burst_s)
    units = unit_process(count, random, burstiness)
    edges = np.array([0.0, burst_every_s - burst_s])
    return _repeated(units, edges, _rate(rate) * np.array([calm, burst_factor]), burst_every_s)


def diurnal(
    count: int,
    rate: float,
    random: np.random.Generator,
    *,
    peak_to_mean: float,
    burstiness: float = 1.0,
    day_s: float = DAY_S,
) -> Times:
    """A rate that follows a sine over the day: least at the start, ``peak_to_mean`` times the mean half a day later.

    rate(t) = rate·(1 - (peak_to_mean - 1)·cos 2πt/day), of which the mean over a whole day is ``rate``.

    Parameters
    ----------
    peak_to_mean : 1 to 2; at 2 the rate falls to 0 once a day.
    """
    _number("peak_to_mean", peak_to_mean, 1, 2)
    _number("day_s", day_s, 1e-3, 1e9)
    edges = np.linspace(0.0, 1.0, CELLS + 1)
    expected = edges - (peak_to_mean - 1) * np.sin(2 * np.pi * edges) / (2 * np.pi)
    rates = np.maximum(np.diff(expected) * CELLS, 0.0) * _rate(rate)
    return _repeated(unit_process(count, random, burstiness), edges[:-1] * day_s, rates, day_s)


def piecewise(
    count: int, random: np.random.Generator, starts_s: Sequence[float], rates: Sequence[float], burstiness: float = 1.0
) -> Times:
    """A rate that changes at given times; the last one stays.

    Parameters
    ----------
    starts_s : seconds, ascending from 0. rates : requests per second from each of them on, 0 or more, the last above 0.

    Examples
    --------
    No request in the first ten seconds, then four a second:

    >>> times = piecewise(4, np.random.default_rng(1), [0, 10], [0, 4])
    >>> bool(times[0] > 10), bool(np.allclose(times - 10, gamma(4, 4.0, np.random.default_rng(1), 1.0)))
    (True, True)
    """
    edges, heights = np.asarray(starts_s, np.float64), np.asarray(rates, np.float64)
    # "not (... and ...)" refuses NaN as well
    if not (edges.ndim == 1 and len(edges) and edges[0] == 0 and np.all(np.diff(edges) > 0) and edges[-1] < np.inf):
        raise BadInput("are no times at which a rate changes", field="starts_s", allowed="seconds, ascending from 0")
    if heights.shape != edges.shape:
        raise BadInput(f"{heights.size} rates for {edges.size} times", field="rates", allowed="one for each")
    if not (np.all((heights >= 0) & (heights <= MOST_PER_S)) and heights[-1] > 0):
        allowed = "requests per second, 0 or more, the last above 0"
        raise BadInput("are no rates", field="rates", allowed=allowed)
    return _changed(unit_process(count, random, burstiness), edges, heights, _expected(edges, heights))


def unit_process(count: int, random: np.random.Generator, burstiness: float = 1.0) -> Times:
    """Arrivals at a rate of 1, shape (count,): sums of gamma-distributed intervals with a mean of 1."""
    _number("burstiness", burstiness, 1e-3, 1e9)
    return np.cumsum(random.standard_gamma(burstiness, _count(count)) / burstiness)


# Time change


def _expected(edges: Times, rates: Times) -> Times:
    """Λ at the edges: requests expected up to each of them."""
    return np.concatenate([[0.0], np.cumsum(np.diff(edges) * rates[:-1])])


def _changed(units: Times, edges: Times, rates: Times, expected: Times) -> Times:
    """Λ⁻¹: to the right of equal values, so that time in which nothing comes is skipped and no rate of 0 divides."""
    cell = np.searchsorted(expected, units, side="right") - 1
    return edges[cell] + (units - expected[cell]) / rates[cell]


def _repeated(units: Times, edges: Times, rates: Times, period_s: float) -> Times:
    """Λ⁻¹ of a rate that repeats itself."""
    expected = _expected(edges, rates)
    whole = float(expected[-1] + (period_s - edges[-1]) * rates[-1])
    turns = np.floor(units / whole)
    rest = np.clip(units - turns * whole, 0.0, np.nextafter(whole, 0.0))
    times = turns * period_s + np.minimum(_changed(rest, edges, rates, expected), period_s)
    return np.maximum.accumulate(times)  # the last digit, where one period ends and the next begins


# Checks


def _count(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= MOST_REQUESTS:
        raise BadInput(f"{shown(count)} requests", field="count", allowed=f"a whole number, 1 to {MOST_REQUESTS:,}")
    return int(count)


def _rate(rate: float) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= MOST_PER_S:
        allowed = f"a number above 0 and up to {MOST_PER_S:,}"
        raise BadInput(f"{shown(rate)} requests per second", field="request_rate", allowed=allowed)
    return float(rate)


def _number(field: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadInput(f"{shown(value)} is out of range", field=field, allowed=f"{least:g} to {most:g}")
