"""Models five and ten times as large in main memory and CXL memory: what that costs, equations (28) and (29)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.decide.tiering.conditions import operators_of
from inferatlas.decide.tiering.curve import SLOWDOWN
from inferatlas.decide.tiering.grown import ways
from inferatlas.decide.tiering.setting import Setting, setting_of
from inferatlas.predict.answer import Interval
from inferatlas.predict.arrays import Floats
from inferatlas.predict.handbook.tiers import hidden_share
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import Z80, sigma, table
from inferatlas.predict.placing import place_points
from inferatlas.quantities import percent, show
from inferatlas.studies.exhibits import OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.published import said
from inferatlas.studies.reproducing.questions.words import listed, number, times

SCALES = (5.0, 10.0)  # Sharma 2025, VII-A: "models up to 5-10× larger"
FLYING = (1, 16, 256)
LENGTHS = (1024, 256)  # the study's prompt, and 256 tokens of answer as in the regimes
LINK = 64e9  # B/s, one direction of PCIe 5 x16, over which CXL 2 and 3.0 run; `tiering.setting.HOST_RATE`
RATES = LINK * 2.0 ** np.arange(7)
ROOM = "16TiB"  # holds ten times either model beside any of the parts


@dataclass(frozen=True)
class Case:
    """A model on a number of accelerators that just hold it; ``exponent``: of the popularity of experts (Zipf)."""

    model: str
    accelerator: str
    count: int
    exponent: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.model}, uneven experts (Zipf {self.exponent:g})" if self.exponent else self.model


CASES = (
    Case("llama-3.3-70b", "nvidia-h100-sxm", 2),
    Case("qwen3-235b-a22b", "nvidia-h100-sxm", 8),
    Case("qwen3-235b-a22b", "nvidia-h100-sxm", 8, exponent=2.0),
)


@dataclass(frozen=True)
class Slowed:
    """One case at one scale: ``slowdown`` [rate of the tier, requests in flight, (low, value, high)]."""

    case: Case
    scale: float
    main_bytes_per_s: float
    slowdown: Floats

    def at(self, rate: int, flying: int) -> Interval:
        low, value, high = (float(x) for x in self.slowdown[rate, flying])
        return Interval(low, value, high)

    def rate_needed(self, flying: int, most: float = SLOWDOWN) -> float | None:
        """The first of `RATES` at which it is within ``most``; None at none of them."""
        within = np.flatnonzero(self.slowdown[:, flying, 1] <= most)
        return float(RATES[within[0]]) if within.size else None


def slowed(case: Case, scales: Sequence[float] = SCALES) -> list[Slowed]:
    """Latency of a request with the model in main memory and a tier, over that in a main memory without end.

    The interval comes from the share of its rate that a tier reaches and from the error of the step, as in
    `decide.tiering.curve`.
    """
    setting = setting_of(
        case.model, case.accelerator, count=case.count, tp=None, pp=None, ep=None, dp=None,
        tier=[f"cxl:{ROOM}@64GB/s"], workload=None, isl=LENGTHS[0], osl=LENGTHS[1], concurrency=16, engine=None,
        weights=None, kv_cache=None, kv_compression=None,
        routing=Routing(exponent=case.exponent) if case.exponent else UNIFORM,
    )  # fmt: skip
    main = setting.platform.device.memory.bytes_per_s or np.nan
    return [Slowed(case, scale, main, _slowdown(setting, scale)) for scale in scales]


def _slowdown(setting: Setting, scale: float) -> Floats:
    ops, layout = operators_of(setting, scale, ways(load_model(setting.model.id))[0]), setting.layout
    base = make_points(
        0, tp=layout.tp, pp=layout.pp, ep=layout.ep, dp=layout.dp, concurrency=list(FLYING),
        input_tokens=LENGTHS[0], output_tokens=LENGTHS[1],
    )  # fmt: skip
    ideal = predict(ops, setting.boundless, base, routing=setting.routing)
    width = np.hypot(sigma(table()["offload"]["efficiency"]), ideal.latency_sigma)
    ends = np.exp(np.array([1.0, 0.0, -1.0]) * Z80 * width[:, None])  # a faster tier slows less: low first
    rates = RATES[:, None, None] * ends
    many = setting.at_rates(rates.reshape(-1, 1) / float(setting.table.dies[0]), room=1e18)
    of = np.tile(np.repeat(np.arange(len(FLYING)), 3), len(RATES))
    points = replace(base[of], platform=np.arange(rates.size, dtype=np.int32))
    placed = place_points(ops, many, points, routing=setting.routing)
    found = predict(ops, many, placed, routing=setting.routing)
    slow = np.where(found.fits, found.latency_s / ideal.latency_s[of], np.inf)
    return np.maximum(slow, 1.0).reshape(rates.shape)


def tiered_memory(cases: Sequence[Case] = CASES) -> OpenQuestion:
    """Open question 1 of Sharma 2025: five to ten times the model at no more than 30 % of slowdown?"""
    found = [one for case in cases for one in slowed(case)]
    even = [one for one in found if not one.case.exponent]
    grounds = [_ground(one, k) for one in even for k in range(len(FLYING))]
    sure, why = confidence(grounds)
    five = [one for one in found if one.scale == SCALES[0]]
    return OpenQuestion(
        id="tiered-memory",
        place="VII-A; open question 1",
        question="Can HBM with CXL memory behind it hold models 5 to 10 times as large at a slowdown of 15 to 30 %?",
        answer=_answer(five, grounds),
        confidence=sure,
        why=why,
        conditions=tuple(_conditions(five)),
        pairs=tuple(_pair(one, r, k) for one in found for r in range(len(RATES)) for k in range(len(FLYING))),
        plot=Plot("lines", x="tier (GB/s per accelerator)", colour="model", facet="size, in flight", log=True),
    )


def _ground(one: Slowed, k: int) -> Ground:
    slow = one.at(0, k)
    side = "within" if slow.value <= SLOWDOWN else "beyond"
    says = f"{one.scale:g} x {one.case.name} at {FLYING[k]} in flight is {side} {SLOWDOWN:g} times"
    return Ground(says, slow, SLOWDOWN, "extrapolated")


def _answer(five: Sequence[Slowed], grounds: Sequence[Ground]) -> str:
    middle = FLYING.index(16)
    even = [one for one in five if not one.case.exponent]
    beyond = sum(ground.found.value > SLOWDOWN for ground in grounds)
    costs = [f"{times(one.at(0, middle))} the latency of {one.case.name}" for one in even]
    words = (
        f"Behind {show(LINK, 'B/s')} an accelerator, the rate of CXL, {beyond} of {len(grounds)} cases take more than "
        f"{SLOWDOWN:g} times as long: at {FLYING[middle]} requests in flight a model {SCALES[0]:g} times as large "
        f"takes {listed(costs)}.",
        f"To stay within {SLOWDOWN:g} times, the tier needs of main memory's bandwidth, at "
        f"{listed([str(n) for n in FLYING])} requests in flight, {'; '.join(_needed(one) for one in even)}"
        f"{_uneven(five)}.",
    )
    return " ".join(words)


def _needed(one: Slowed) -> str:
    """The bandwidth of a tier that is enough, by requests in flight, relative to that of main memory."""
    rates = [one.rate_needed(k) for k in range(len(FLYING))]
    by = ["more than was tried" if rate is None else number(rate / one.main_bytes_per_s) for rate in rates]
    return f"{listed(by)} for {one.case.name}"


def _uneven(five: Sequence[Slowed]) -> str:
    """What one request costs where few experts take most tokens."""
    slow = [one.at(0, 0) for one in five if one.case.exponent]
    return (
        f"; where few experts take most tokens, one request alone takes {times(slow[0])} at that rate" if slow else ""
    )


def _conditions(five: Sequence[Slowed]) -> list[str]:
    dense = five[0]
    share = float(hidden_share(1.0, dense.main_bytes_per_s, LINK, slowdown=SLOWDOWN))
    least = 1.0 - 1.0 / SCALES[0]
    return [
        f"of the bytes that a step touches, at most {SLOWDOWN:g} x tier/main bandwidth may lie in the tier: "
        f"{share:.1%} at {show(LINK, 'B/s')} beside {show(dense.main_bytes_per_s, 'B/s')}, equation (29)",
        f"a dense model touches all its weights in every step: {SCALES[0]:g} times as large, {percent(least)} of them "
        f"lie in the tier, which then needs {number(least / SLOWDOWN)} times the bandwidth of main memory unless "
        "arithmetic hides the stream (many requests in flight, equation (28))",
        "a mixture of experts touches few weights for one request and nearly all for many; uneven popularity keeps "
        "those that are touched in main memory, evenly chosen experts do not",
        f"{LENGTHS[0]:,} input and {LENGTHS[1]} output tokens; the model asked about just fits into main memory; dense "
        "models grow by layers, mixtures by experts; main memory and tier are read at the same time",
        "slowdown: mean latency over that in a main memory without end; no measurement with slower memory is in the "
        "calibration",
    ]


def _pair(one: Slowed, rate: int, k: int) -> Pair:
    slow = one.at(rate, k)
    return Pair(
        {
            "model": one.case.name, "size, in flight": f"{one.scale:g} x, {FLYING[k]}",
            "tier (GB/s per accelerator)": f"{RATES[rate] / 1e9:g}",
        },
        "added_latency", "1",
        said("sharma-2025", "heterogeneous-loss"),
        Interval(slow.low - 1.0, slow.value - 1.0, slow.high - 1.0), "extrapolated",
    )  # fmt: skip
