"""Prefill and decode apart: by how much, and under which lengths and targets, equation (49)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inferatlas.decide.disaggregation.answered import Disaggregation
from inferatlas.decide.disaggregation.compare import disaggregate
from inferatlas.predict.answer import Interval
from inferatlas.quantities import show
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, times


@dataclass(frozen=True)
class Case:
    """What is asked: 16 accelerators, with targets on the first token and on the gap between tokens."""

    model: str
    accelerator: str
    isl: int
    osl: int
    slo: tuple[str, ...]
    count: int = 16

    @property
    def name(self) -> str:
        return (
            f"{self.model} on {self.count} x {self.accelerator}, {self.isl:,}/{self.osl} tokens, {', '.join(self.slo)}"
        )


CASES = (
    Case("llama-3.3-70b", "nvidia-h100-sxm", 4096, 512, ("ttft<1s", "itl<25ms")),
    Case("llama-3.3-70b", "nvidia-h100-sxm", 1024, 1024, ("ttft<2s", "itl<50ms")),
)
AXES = {"isl_over_osl": "input tokens per output token", "itl_target_s": "bound on the gap between tokens (s)"}


def prefill_apart(cases: Sequence[Case] = CASES) -> OpenQuestion:
    """Brunetta et al., VII: prefill-decode disaggregation."""
    found = [
        (case, disaggregate(case.model, case.accelerator, slo=case.slo, isl=case.isl, osl=case.osl, count=case.count))
        for case in cases
    ]
    gains = [(case, one, one.gain) for case, one in found if one.gain is not None]
    grounds = [
        Ground(f"{'gain' if gain.value > 1 else 'loss'} for {case.name}", gain, 1.0, _label(one))
        for case, one, gain in gains
    ]
    sure, why = confidence(grounds)
    return OpenQuestion(
        id="prefill-decode-disaggregation",
        place="VII",
        question="When does it pay to run prefill and decode on machines of their own?",
        answer=_answer(gains),
        confidence=sure,
        why=why,
        conditions=(
            "the same number of accelerators in both; requests per second within the targets, split against the best "
            "mixed fleet; caches cross the network ports of the parts",
            "a bound on the gap that prefill steps between decode steps would break is what a split gains from; where "
            "the bound is loose, one pool idles",
        ),
        pairs=tuple(pair for case, one in found for pair in _pairs(case, one)),
        plot=Plot("lines", x="x", colour="model", facet="axis", log=True),
    )


def _label(one: Disaggregation) -> Label:
    return "predicted" if one.label == "predicted" else "extrapolated"


def _answer(gains: Sequence[tuple[Case, Disaggregation, Interval]]) -> str:
    words = [
        f"{times(gain)} the requests of the best mixed fleet for {case.name}, and gains {_pays(one.pays)}"
        for case, one, gain in gains
    ]
    won = sum(gain.value > 1.0 for _, _, gain in gains)
    return f"By the predicted values it pays in {won} of {len(gains)} cases. A split serves {'; '.join(words)}."


def _pays(rows: Sequence[dict[str, Any]]) -> str:
    """Ranges of both axes in which the split gains, for the reader."""
    ratios = [_range(row, number) for row in rows if row["axis"] == "isl_over_osl"]
    bounds = [_range(row, lambda x: show(x, "s")) for row in rows if row["axis"] == "itl_target_s"]
    first = f"{listed(ratios)} input tokens per output token" if ratios else "at no ratio of lengths tried"
    return f"{first} and {f'with gaps bound {listed(bounds)}' if bounds else 'at no bound on the gap tried'}"


def _range(row: dict[str, Any], said: Callable[[float], str]) -> str:
    first, last = said(row["x_from"]), said(row["x_to"])
    if row["from_end"] and row["to_end"]:
        return f"at {first} to {last} (all that was tried)"
    if row["to_end"]:
        return f"at {first} or more"
    return f"at {last} or less" if row["from_end"] else f"at {first} to {last}"


def _pairs(case: Case, one: Disaggregation) -> list[Pair]:
    """The gain along both axes; where a fleet does not serve, nothing."""
    return [
        Pair(
            {"model": f"{case.model}, {', '.join(case.slo)}", "axis": AXES[row["axis"]], "x": f"{row['x']:.4g}"},
            "gain_in_request_rate", "1", None, _interval(row), _label(one),
        )
        for row in one.curve
        if row["axis"] in AXES and row["gain"] is not None
    ]  # fmt: skip


def _interval(row: dict[str, Any]) -> Interval:
    ends = [row[name] if row[name] is not None else row["gain"] for name in ("gain_low", "gain_high")]
    return Interval(ends[0], row["gain"], ends[1])
