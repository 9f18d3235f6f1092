"""Where experts sit and what that does to the busiest device, equations (14), (16) and (17) of the performance model.

Loads are visits: one token that uses one expert. Everything persistent (which device holds the popular experts)
is bias and comes from `bias_of`; what is left at fixed placement is noise and comes from `device_load`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.llm.experts import distinct, inclusion, zipf_popularity
from inferatlas.predict.llm.operators import Experts, Operators

Devices = NDArray[np.int64]  # of every expert or copy
PLACEMENTS = ("contiguous", "balanced")


@dataclass(frozen=True, slots=True)
class Routing:
    """How tokens choose experts and where these sit: Zipf exponent of popularity, placement, spare copies per layer.

    ``popularity``: measured weights of the experts of a layer, in their order, instead of a Zipf law by rank. The
    default is uniform choice, under which placement means nothing.
    """

    exponent: float = 0.0
    placement: str = "balanced"
    redundant: int = 0
    popularity: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.exponent <= 3.0:
            raise BadInput(f"{self.exponent!r} is not an exponent", field="skew", allowed="0 (uniform) to 3")
        if self.placement not in PLACEMENTS:
            raise UnknownName("placement", self.placement, PLACEMENTS)
        if self.redundant < 0 or self.redundant != int(self.redundant):
            raise BadInput(f"{self.redundant!r} spare copies", field="redundant", allowed="a whole number, 0 or more")

    @property
    def is_skewed(self) -> bool:
        """Whether some experts are more popular than others."""
        return self.exponent > 0 or bool(self.popularity)

    def as_dict(self) -> dict[str, Any]:
        """For answers: a measured popularity is named, not repeated."""
        return {
            "exponent": self.exponent, "placement": self.placement, "redundant": self.redundant,
            "measured": bool(self.popularity),
        }  # fmt: skip

    def weights(self, experts: int) -> NDArray[np.float64]:
        """Popularity of each of so many experts, summing to 1: as measured, if it was of as many, else by rank."""
        if len(self.popularity) == experts:
            return np.asarray(self.popularity)
        return zipf_popularity(experts, self.exponent)


def no_experts(ops: Operators, routing: Routing) -> BadInput:
    """The refusal of a routing for a model that has nothing to route."""
    field = "skew" if routing.is_skewed else "redundant" if routing.redundant else "placement"
    return BadInput(f"{ops.model.id} has no experts", field=field, allowed="a mixture of experts")


UNIFORM = Routing()
SPARE = 32  # copies that tables of placements try: as many as DeepSeek-V3 prefills with (arXiv:2412.19437)
GROUPS = (2, 4, 8, 16, 32, 64)  # devices that tables of placements try


@lru_cache(maxsize=64)
def distinct_table(experts: int, top_k: int, routing: Routing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of tokens, and the distinct experts that so many touch under a popularity: (14), to interpolate."""
    logs = np.linspace(0.0, math.log(1e6), 200)
    return logs, distinct(routing.weights(experts), top_k, np.exp(logs))


def contiguous(experts: int, groups: int) -> Devices:
    """Device of every expert, shape [experts], when each device takes the next slice of expert numbers.

    Where ``groups`` does not divide, the first devices hold one expert more, ceil(E/n) at most.
    Popularity in rank order makes this the worst placement: the first device holds the most popular experts.

    >>> contiguous(8, 4).tolist(), contiguous(5, 3).tolist()
    ([0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2])
    """
    _at_least(1, experts=experts, groups=groups)
    each, extra = divmod(experts, groups)
    return np.repeat(np.arange(groups), each + (np.arange(groups) < extra))


def balanced(popularity: ArrayLike, groups: int) -> Devices:
    """Device of every expert, shape of ``popularity``: longest-processing-time packing, equation (16).

    The heaviest expert left goes to the lightest device with room, ceil(E/n) experts at most (memory is equal too).
    ``popularity`` is any load per expert or copy, in any unit. In rank order the result is never worse than
    `contiguous`; in another order it can be, rarely and by little (a greedy packing is not the optimum).

    >>> balanced([0.4, 0.3, 0.2, 0.1], 2).tolist()
    [0, 1, 1, 0]
    """
    load = np.asarray(popularity, dtype=np.float64)
    _at_least(1, experts=load.size, groups=groups)
    room, total = np.full(groups, -(-load.size // groups)), np.zeros(groups)
    devices = np.empty(load.size, dtype=np.int64)
    for expert in np.argsort(-load, kind="stable"):
        device = int(total.argmin())
        devices[expert] = device
        total[device] += load[expert]
        room[device] -= 1
        if room[device] == 0:
            total[device] = np.inf  # full
    return devices


def replicate(popularity: ArrayLike, redundant: int) -> tuple[NDArray[np.float64], Devices]:
    """Load and expert of every copy, both of shape [experts + redundant], equation (16): copies split π_e equally.

    Extra copies go one after the other to the expert with the largest load per copy, as in DeepSeek's expert-parallel
    load balancer (EPLB). The first E entries are the experts themselves, the extra copies follow as they were given.

    >>> loads, expert = replicate([0.6, 0.3, 0.1], 2)
    >>> loads.round(2).tolist(), expert.tolist()
    ([0.2, 0.3, 0.1, 0.2, 0.2], [0, 1, 2, 0, 0])
    """
    load = np.asarray(popularity, dtype=np.float64)
    _at_least(1, experts=load.size)
    _at_least(0, redundant=redundant)
    copies, expert = np.ones(load.size), list(range(load.size))
    for _ in range(redundant):
        expert.append(int((load / copies).argmax()))
        copies[expert[-1]] += 1.0
    of = np.array(expert, dtype=np.int64)
    return (load / copies)[of], of


@dataclass(frozen=True, slots=True)
class Load:
    """Load of one layer's devices in one step. Visits are counts; ratios have no unit."""

    mean: float
    """Visits per device."""
    maximum: float
    """Expected visits of the busiest device, equation (16)."""
    imbalance: float
    """maximum / mean: 1 (even) to the number of devices (all on one)."""
    cov: float
    """Coefficient of variation of the busiest device's load from routing noise alone, equation (17)."""
    distinct: float
    """Expected distinct experts on the device that touches most, equation (14) over its residents."""
    skew: float
    """Persistent part of the imbalance: largest expected load over the mean. Bias, not noise."""


def device_load(pi: ArrayLike, devices: ArrayLike, tokens: float, groups: int) -> Load:
    """Load of ``groups`` devices when ``tokens`` tokens route through one layer, equations (14), (16) and (17).

    ``pi`` [experts or copies] is the probability that a token uses each (`experts.inclusion`, divided among copies
    by `replicate`), ``devices`` its device. Σπ is the top k. Two copies of one expert count as two where they meet.
    ``maximum`` is (16) with normal loads: 0 to 6 % below simulated top-k routing on 8 devices, 15 % below on 64 with
    one visit each. ``cov`` integrates what (17) prints as an asymptote (`_largest`): within 5 % from one visit each.

    >>> load = device_load(np.full(256, 8 / 256), contiguous(256, 8), 64, 8)
    >>> load.mean, round(load.imbalance, 2), round(load.cov, 3), round(load.skew, 2)
    (64.0, 1.18, 0.055, 1.0)
    """
    p, where = np.asarray(pi, dtype=np.float64), np.asarray(devices)
    _at_least(1, experts=p.size, groups=groups)
    if not 0.0 < tokens < math.inf:
        raise BadInput(f"{tokens} tokens cannot be routed", field="tokens", allowed="a positive number")
    if not (p.min() >= 0.0 and 0.0 < p.max() <= 1.0):
        raise BadInput("inclusion probabilities must be probabilities", field="pi", allowed="0 to 1, not all 0")
    if where.shape != p.shape or where.min() < 0 or where.max() >= groups:
        raise BadInput("every expert needs one device", field="devices", allowed=f"{p.size} numbers below {groups}")

    def over_devices(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(where, weights=value, minlength=groups).astype(np.float64)

    spread = p * (1.0 - p)
    load, variance = tokens * over_devices(p), np.maximum(tokens * over_devices(spread), 1e-12)
    mean, busiest = float(load.mean()), float(load.max())
    normal, _, _ = _largest(load, variance)
    # no device is expected below its own mean, and none sees more than every visit there is
    maximum = min(max(normal, busiest), mean * groups)
    third = tokens * over_devices(spread * (1.0 - 2.0 * p)) / variance**1.5
    # exactly k experts a token: draws without replacement vary by E/(E-1) more than their total allows, equal π
    centre, own, shared = _largest(load, variance * p.size / max(p.size - 1, 1), third)
    return Load(
        mean=mean,
        maximum=maximum,
        imbalance=max(maximum / mean, 1.0),
        cov=math.sqrt(max(own - shared, 0.0)) / centre if groups > 1 else 0.0,
        distinct=float(over_devices(1.0 - (1.0 - p) ** tokens).max()),
        skew=max(busiest / mean, 1.0),
    )


def layer_load(op: Experts, tokens: float, groups: int, routing: Routing = UNIFORM) -> Load:
    """Load of the devices of one layer of experts under a routing; at least one token.

    >>> deepseek = Experts("experts", 58, 256, 8, 1, 7168, 2048)
    >>> round(layer_load(deepseek, 64, 8).imbalance, 2)
    1.18
    """
    pi = inclusion(routing.weights(op.experts), op.top_k)
    load, where = _placed(pi, routing, groups)
    return device_load(load, where, max(tokens, 1.0), groups)


def by_placement(op: Experts, tokens: float, groups: int, routing: Routing) -> dict[str, Load]:
    """The same under each placement, and balanced with `SPARE` spare copies (``spare``), at one popularity."""
    choices = {"contiguous": ("contiguous", 0), "balanced": ("balanced", 0), "spare": ("balanced", SPARE)}
    return {
        name: layer_load(op, tokens, groups, replace(routing, placement=placement, redundant=copies))
        for name, (placement, copies) in choices.items()
    }


def _placed(pi: NDArray[np.float64], routing: Routing, groups: int) -> tuple[NDArray[np.float64], Devices]:
    """Load and device of every copy; spare copies that would raise the skew stay unused."""
    choices = [pi, replicate(pi, routing.redundant)[0]] if routing.redundant else [pi]
    packed = [
        (load, balanced(load, groups) if routing.placement == "balanced" else contiguous(load.size, groups))
        for load in choices
    ]
    return min(packed, key=lambda one: np.bincount(one[1], weights=one[0], minlength=groups).max())


@lru_cache(maxsize=256)
def bias_of(experts: int, top_k: int, routing: Routing, groups: tuple[int, ...]) -> NDArray[np.float64]:
    """Persistent skew ``max_g Σπ / mean`` for each count of devices, shape of ``groups``, equation (16); remembered.

    `balanced` sees the loads π; contiguous placement of a Zipf law's ranks is the worst there is, so the two bound
    what a deployment sees. Uniform choice gives 1 where the devices divide the experts, ceil(E/n)·n/E where they do
    not. Extra copies that would raise the skew stay unused, as greedy packing can do slightly worse with more pieces.

    >>> bias_of(256, 8, Routing(0.6, "contiguous"), (1, 8, 32)).round(2).tolist()
    [1.0, 2.97, 5.53]
    >>> bias_of(256, 8, Routing(0.6, "balanced", 32), (1, 8, 32)).round(2).tolist()
    [1.0, 1.0, 1.0]
    """
    _at_least(1, experts=experts, top_k=top_k)
    pi = inclusion(routing.weights(experts), top_k)

    def skew(n: int) -> float:
        load, devices = _placed(pi, routing, n)
        return float(np.bincount(devices, weights=load, minlength=n).max()) * n / float(load.sum())

    return np.array([max(skew(n), 1.0) for n in groups])


@lru_cache(maxsize=1024)
def maximum_deviation(n: int, fixed_total: bool = True) -> float:
    """Standard deviation of the largest of n equal loads over that of one load, equation (17), by integration.

    ``fixed_total``: the loads share a known total (T·k visits), which they do when experts are chosen k at a time;
    otherwise independent. (17) prints the asymptote π/sqrt(12 ln n): against independent loads it is 32 % high at
    n = 2, 3 % high at 8 and 1 % low at 64; against loads of a fixed total 156, 26 and 3 % high.
    Companion of `experts.expected_maximum`.

    >>> round(maximum_deviation(8), 4), round(maximum_deviation(8, fixed_total=False), 4), maximum_deviation(1)
    (0.498, 0.6107, 0.0)
    """
    if n == 1:
        return 0.0 if fixed_total else 1.0
    _, own, shared = _largest(np.zeros(n), np.ones(n), floor=-math.inf)
    return math.sqrt(own - shared if fixed_total else own)


def _largest(
    mean: NDArray[np.float64], variance: NDArray[np.float64], third: ArrayLike = 0.0, floor: float = 0.0
) -> tuple[float, float, float]:
    """Mean and variance of the largest of independent loads, and the part of the variance that the total explains.

    Equation (16) with loads ``μ + σ(x + γ/6·(x²-1))``, x normal and γ the skewness ``third`` (0: (16) as printed).
    Few visits lean to the right; without γ the deviation is 20 % low at 2 visits a device, 12 % low at 16.
    The total of real loads is T·k exactly: given the total, the maximum keeps ``Var - Cov(max, Σ)²/Σσ²``, with
    ``Cov = ∫ Σ_g σ_g φ(x_g)(1 + γ_g x_g/6)/Φ(x_g) · Π_h Φ(x_h) dz`` (Stein's identity).
    """
    sigma = np.sqrt(variance)
    lean = np.clip(np.asarray(third) / 6.0, -0.5, 0.5)  # beyond that a load is mostly nothing
    low = max(floor, float((mean - 9.0 * sigma).max()))
    z, step = np.linspace(low, float((mean + sigma * (9.0 + 80.0 * np.maximum(lean, 0.0))).max()), 2001, retstep=True)
    t = (z[:, None] - mean) / sigma + lean
    # the root of the quadratic in its stable form; where there is none, the load is out of reach and so is x
    x = 2.0 * t / (1.0 + np.sqrt(np.maximum(1.0 + 4.0 * lean * t, 0.0)))
    cdf = np.interp(x, *_normal_cdf(), left=0.0, right=1.0)
    below = cdf.prod(axis=1)
    above = 1.0 - below
    above[0] *= 0.5  # trapezoid rule; the other end is 0
    first = float(above.sum() * step)
    second = float((2.0 * (z - low) * above).sum() * step)
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi) * (1.0 + lean * x)
    hazard = np.divide(density, cdf, out=np.zeros_like(x), where=cdf > 0.0)
    covariance = float((hazard @ sigma * below).sum() * step)
    return low + first, second - first * first, covariance**2 / float(variance.sum())


@lru_cache(maxsize=1)
def _normal_cdf() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and values of Φ, for linear interpolation to 3e-8: a deviation keeps 4 digits, without scipy."""
    x = np.linspace(-9.0, 9.0, 18 * 1024 + 1)
    return x, np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in x.tolist()])


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise BadInput(f"{value} is too few", field=name, allowed=f"{least} or more")
