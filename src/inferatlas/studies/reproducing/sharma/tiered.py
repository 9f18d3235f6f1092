"""Fig. 9: memory behind the main one: how much larger a model it holds, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.catalogue.models import load_model
from inferatlas.decide.tiering.curve import TierPoint, Tiers, tiers
from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent, show
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import span
from inferatlas.studies.reproducing.sharma.published import claimed

ON = "nvidia-b200-sxm"
TIER = "cxl:2TiB@64GB/s"  # PCIe 5 x16, one direction: the link that CXL 2 and 3 run over today
ASKED = (("llama-2-70b", 16), ("llama-2-70b", 1), ("qwen3-235b-a22b", 1))  # model, requests in flight
LARGER, SLOWER = "heterogeneous-size", "heterogeneous-loss"


@dataclass(frozen=True)
class Tiered:
    """One model under one load, grown into the tier."""

    name: str
    flying: int
    found: Tiers

    @property
    def title(self) -> str:
        return f"{self.name}, {self.flying} in flight, by {self.found.inputs['grow']}"

    def within(self) -> float:
        """The largest model that costs no more than the printed degradation."""
        return 1.0 if self.found.knee is None else float(self.found.knee["model_scale"])

    def rates(self) -> dict[int, float | None]:
        """Bytes per second of slower memory, per accelerator, at which five times the model costs no more than that.

        By requests in flight; None: no rate does.
        """
        return {row["concurrency"]: row["rate_for_5x_bytes_per_s"] for row in self.found.conditions}


def tiered() -> list[Tiered]:
    """The curves."""
    slower = 1.0 + (claimed(SLOWER).high or 0.0)
    return [
        Tiered(load_model(name).name, flying, tiers(name, ON, tier=[TIER], concurrency=flying, slowdown=slower))
        for name, flying in ASKED
    ]


def exhibit(curves: Sequence[Tiered]) -> Exhibit:
    """Added latency over the size of the model, and how large it may be at the printed degradation."""
    return Exhibit(
        id="fig-9",
        place="Fig. 9, Sec. VII-A",
        title="Models larger than main memory, with CXL memory behind it",
        finding=finding(curves),
        pairs=tuple(pair for one in curves for pair in _pairs(one)),
        plot=Plot("lines", x="model scale", colour="curve", log=True),
        notes=(
            f"{ON}, as few as hold the model, each with {TIER.replace(':', ' memory of ').replace('@', ' at ')} "
            "(PCIe 5 x16, one direction)",
            *curves[0].found.assumptions[-4:],
        ),
    )


def _pairs(one: Tiered) -> list[Pair]:
    larger, slower = claimed(LARGER), claimed(SLOWER)
    out = []
    for point in one.found.points:
        what = {"curve": one.title, "model scale": f"{point.model_scale:g}"}
        printed = slower if _inside(point.model_scale, larger) else None
        words = f"{point.parameters / 1e9:,.0f} billion parameters, {show(point.capacity_bytes, 'B')} in all"
        out.append(Pair(what, "added_latency", "1", printed, _added(point), "extrapolated", words))
    what = {"curve": one.title, "model scale": "largest"}
    words = f"the largest model that adds no more than {percent(slower.high)}"
    out.append(Pair(what, "model_scale", "1", larger, exact(one.within()), "extrapolated", words))
    words = "of slower memory at each accelerator, for a model five times as large within that"
    for flying, rate in one.rates().items():
        what = {"curve": one.title, "model scale": "5", "in flight": str(flying)}
        ours = None if rate is None else exact(rate)
        out.append(Pair(what, "bytes_per_s", "B/s", None, ours, "extrapolated", words if ours else f"no rate {words}"))
    return out


def _inside(scale: float, printed: Printed) -> bool:
    return (printed.low or 0.0) <= scale <= (printed.high or 0.0)


def _added(point: TierPoint) -> Interval:
    return Interval(*(point.slowdown[end] - 1.0 for end in ("low", "value", "high")))


def finding(curves: Sequence[Tiered]) -> str:
    """How large a model may be at the printed degradation, what the printed capacity costs, and what it would need."""
    larger, slower = claimed(LARGER), claimed(SLOWER)
    sizes = [one.within() for one in curves]
    costs = [
        point.slowdown["value"] for one in curves for point in one.found.points if _inside(point.model_scale, larger)
    ]
    main = [float(point.placement["main_bytes"]) for one in curves for point in one.found.points[:1]]
    rates = [rate for one in curves for rate in one.rates().values() if rate is not None]
    return (
        f"With {TIER} behind {show(max(main), 'B')} or less, a model may be {span(sizes)} times as large for "
        f"{percent(slower.high)} of added latency, not {larger.text}; so much larger it takes {span(costs)} times as "
        f"long. A model five times as large would need slower memory of {span(rates, 'B/s')} at each accelerator, by "
        "requests in flight."
    )
