"""Fig. 8: the fitness matrix, every published grade beside ours, and whether one architecture dominates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.decide.regimes.cells import Cell
from inferatlas.decide.regimes.fitness import fitness
from inferatlas.decide.regimes.result import RegimeResult
from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.ledger import Table
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Label, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import listed, plural, times
from inferatlas.studies.reproducing.sharma.published import claimed, machines, stated, table
from inferatlas.studies.reproducing.sharma.serving import MODEL

TABLE = "fig-8"
LONGER = "llama-3.3-70b"  # of the same size and shape, with a context that holds the regime of long prompts
REGIMES = {  # column of the figure -> regime of this package
    "low-latency": "single-stream", "moderate-batch": "moderate-batch", "high-throughput": "high-throughput",
    "long-context": "long-context", "multi-model": "multi-model", "moe": "mixture-of-experts",
    "embedding": "embedding", "quantized": "quantized",
}  # fmt: skip
SPREAD = "performance-variation"  # the claim "up to 3.7 times between architectures"


@dataclass(frozen=True)
class Graded:
    """A column of the figure with the regime that answers it."""

    column: str
    title: str
    result: RegimeResult

    @property
    def best(self) -> Cell | None:
        return next((cell for cell in self.result.cells if cell.score is not None), None)

    @property
    def spread(self) -> float | None:
        """The best value over the worst among those that have one."""
        scores = [cell.score for cell in self.result.cells if cell.score]
        return max(scores) / min(scores) if len(scores) > 1 else None


def graded() -> list[Graded]:
    """Every column of the figure, for the accelerators that it grades."""
    held = table(TABLE)
    names = [accelerator.id for _, accelerator in machines(TABLE).values()]
    found = {one.regime.name: one for one in fitness(MODEL, accelerators=names).regimes}
    for name, one in found.items():
        if all(cell.code == "context_length" for cell in one.cells):
            found[name] = fitness(LONGER, regimes=name, accelerators=names).regimes[0]
    return [Graded(column, held.columns[column].title, found[name]) for column, name in REGIMES.items()]


def exhibit(found: Sequence[Graded]) -> Exhibit:
    """The matrix: published grade beside our score, its grade in the note with the reason where the two differ."""
    held = table(TABLE)
    return Exhibit(
        id="fig-8",
        place=f"{held.place}, Sec. IV-B",
        title=held.title,
        finding=finding(found),
        pairs=tuple(pair for one in found for pair in pairs_of(one, held)),
        plot=Plot("heatmap", x="regime", y="accelerator"),
        notes=(
            "ours: share of the best value among these accelerators; the thresholds of the grades are read off the "
            "paper's own Table IV, which states none",
            *dict.fromkeys(f"{one.title}: {one.result.model}, by {one.result.regime.metric}" for one in found),
        ),
    )


def pairs_of(one: Graded, held: Table) -> list[Pair]:
    """A column of the matrix."""
    cells = {cell.accelerator: cell for cell in one.result.cells}
    return [
        _pair(one, row.title, stated(row, one.column), cells[row.accelerator])
        for row in held.rows.values()
        if row.accelerator is not None
    ]


def _pair(one: Graded, accelerator: str, printed: Printed | None, cell: Cell) -> Pair:
    what = {"accelerator": accelerator, "regime": one.title}
    label: Label = "predicted" if cell.label == "predicted" else "extrapolated"
    if cell.value is None or cell.score is None or cell.grades is None:
        return Pair(what, "score", "1", printed, None, label, cell.reason)
    words = [f"ours: {cell.grade}, {cell.grades[0]} to {cell.grades[1]} at the ends of the interval"]
    if cell.differs:
        words.append(cell.differs)
    return Pair(what, "score", "1", printed, _score(one, cell), label, "; ".join(words))


def _score(one: Graded, cell: Cell) -> Interval:
    """The score with the ends that its value's interval gives it, against the best predicted value."""
    value, best = cell.value, one.best
    assert value is not None and best is not None and best.value is not None and cell.score is not None
    top = best.value.value
    ends = [x / top if one.result.regime.better == "higher" else top / x for x in (value.low, value.high) if x > 0]
    low, high = (min(ends), max(ends)) if len(ends) == 2 else (0.0, max(ends))
    return Interval(min(low, cell.score), cell.score, max(min(high, 1.0), cell.score))


def spreads(found: Sequence[Graded]) -> list[Pair]:
    """The best over the worst accelerator of each regime, beside the paper's largest."""
    printed = claimed(SPREAD)
    out = []
    for one in found:
        what = {"accelerator": "best over worst", "regime": one.title}
        ours = None if one.spread is None else exact(one.spread)
        out.append(Pair(what, "spread", "1", printed, ours, "extrapolated", "of predicted values"))
    return out


def finding(found: Sequence[Graded]) -> str:
    """How many grades agree, how many could, who leads where, and how far apart the accelerators are."""
    cells = [cell for one in found for cell in one.result.cells if cell.paper_grade is not None]
    same = [cell for cell in cells if cell.grade == cell.paper_grade]
    reached = [cell for cell in cells if cell not in same and _reaches(cell)]
    none = [cell for cell in cells if cell.grade is None]
    spread = {one.title: one.spread for one in found if one.spread}
    widest = max(spread, key=lambda name: spread[name])
    limit = claimed(SPREAD)
    above = sum(x > (limit.high or 0.0) for x in spread.values())
    return (
        f"{len(same)} of {len(cells)} grades are ours too, {len(reached)} more lie within our interval, and "
        f"{plural(len(none), 'cell')} cannot be had as asked. {leaders(found)} Between the best and the worst "
        f"accelerator lie up to {times(spread[widest])} ({widest}), more than the printed {limit.text} in {above} of "
        f"{len(spread)} regimes."
    )


def leaders(found: Sequence[Graded]) -> str:
    """Who leads in how many regimes."""
    first: dict[str, list[str]] = {}
    for one in found:
        if one.best is not None:
            first.setdefault(one.best.name, []).append(one.title)
    said = [f"{name} in {len(regimes)}" for name, regimes in sorted(first.items(), key=lambda item: -len(item[1]))]
    return f"Best by our values: {listed(said)} of {plural(len(found), 'regime')}."


def _reaches(cell: Cell) -> bool:
    """Whether the published grade lies between those of the ends of our interval."""
    return cell.differs is not None and "our interval reaches their grade" in cell.differs
