"""Whether the order of accelerators changes with the model: a verdict per regime, who moves, what the order follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inferatlas.decide.regimes.result import HAS, Against, Comparison, Fitness, Place
from inferatlas.predict.answer import Interval
from inferatlas.quantities import show
from inferatlas.show.html import Section
from inferatlas.show.numbers import NONE, counted
from inferatlas.show.page import Block, Column, Paragraph, Table

if TYPE_CHECKING:
    from inferatlas.show.charts.style import AnyChart

NAMED = 4  # lines of a panel that have a name: the largest changes
SHOWN = 3  # changes of a regime in a table, beside those beyond the intervals
CAPTION = (
    "A line per accelerator graded for both models, from its rank for {} to its rank for {}, best on top. Named: the "
    "largest changes; a star marks those beyond what the intervals allow."
)


def in_a_sentence(found: Fitness) -> str:
    """How many regimes keep their order, for each model compared with; nothing where none is."""
    return "".join(f" {_sentence(found.model, one)}" for one in found.against)


def _sentence(model: str, one: Against) -> str:
    apart = [c for c in one.regimes if c.rank_correlation is not None and c.model != c.model_against]
    if not apart:
        return f"Against {one.model}: no regime compares the two models."
    changed = [c for c in apart if c.moved]
    least = min(apart, key=lambda c: c.rank_correlation.value if c.rank_correlation else math.inf)
    assert least.rank_correlation is not None
    asks = "asks" if len(apart) == 1 else "ask"
    head = f"Against {one.model}, of {counted(len(apart), 'regime')} that {asks} both, "
    if changed:
        head += f"{len(changed)} {'has' if len(changed) == 1 else 'have'} another order for {model}"
    else:
        head += f"none has another order for {model} beyond what the intervals allow"
    return f"{head} (least rank correlation {least.rank_correlation.value:.3f}, {least.name})."


def comparisons(found: Fitness) -> list[Block]:
    """All of it as tables, model after model; nothing where none is compared with."""
    return [block for one in found.against for block in (verdicts(one), *changes(one), *followed(one))]


def verdicts(one: Against) -> Table:
    """A row per regime: correlation, who is best, the verdict."""
    rows = []
    for c in one.regimes:
        other = "" if c.best == c.best_against else f"\n{c.best_against or NONE}"
        ends = NONE if c.independent is None else f"{c.independent[0]:.2f}–{c.independent[1]:.2f}"
        rows.append([c.title, str(c.compared), _correlation(c.rank_correlation), ends, f"{c.best or NONE}{other}",
                     f"{len(c.moved)}" if c.places else NONE, c.verdict])  # fmt: skip
    columns = [
        Column("regime"), Column("graded\nfor both", right=True), Column("rank\ncorrelation", right=True),
        Column("if errors are\nindependent", right=True), Column(f"best\non {one.model} if other"),
        Column("moved", right=True), Column("verdict", wraps=True),
    ]  # fmt: skip
    return Table(f"Against {one.model}: the order of accelerators", columns, rows)


def _correlation(r: Interval | None) -> str:
    return NONE if r is None else f"{r.value:.3f}\n{r.low:.3f}–{r.high:.3f}"


def changes(one: Against) -> list[Table]:
    """Who changes rank most in each regime, and everybody beyond the intervals; nothing where nobody does."""
    rows = [[c.title, *_change(place)] for c in one.regimes for place in _largest(c, SHOWN)]
    columns = [Column("regime"), *_change_columns(one)]
    return [Table(f"Against {one.model}: who changes rank", columns, rows)] if rows else []


def _largest(c: Comparison, most: int) -> list[Place]:
    """Everybody beyond the intervals, then the largest other changes up to ``most`` in all."""
    others = sorted((p for p in c.places if not p.moved and p.gained.value), key=lambda p: -abs(p.gained.value))
    return [*c.moved, *others[: max(most - len(c.moved), 0)]]


def _change_columns(one: Against) -> list[Column]:
    return [Column("accelerator"), Column("rank", right=True), Column(f"rank on\n{one.model}", right=True),
            Column("gained\nintervals allow", right=True), Column("beyond"), Column("why", wraps=True)]  # fmt: skip


def _change(place: Place) -> list[str]:
    low, value, high = (f"{x:+.0f}" for x in (place.gained.low, place.gained.value, place.gained.high))
    beyond = "yes" if place.moved else "no"
    return [place.accelerator, str(place.rank), str(place.rank_against), f"{value}\n{low} to {high}", beyond, place.why]


def followed(one: Against) -> list[Table]:
    """What goodness follows for either model, and what a request keeps in memory; nothing where both are one model."""
    rows = []
    for c in one.regimes:
        if c.drivers and c.model != c.model_against:
            pairs = ((c.drivers.get(name), c.drivers_against.get(name)) for name in HAS)
            kept = (c.kept_bytes, c.kept_bytes_against)
            rows.append([c.title, "\n".join(map(_bytes, kept)), *("\n".join(map(_two, pair)) for pair in pairs)])
    columns = [Column("regime"), Column("a request\nkeeps", right=True)]
    columns += [Column(name.replace("_", " ", 1), right=True) for name in HAS]
    title = f"Against {one.model}: what goodness follows (second lines: on {one.model}), correlation of logarithms"
    return [Table(title, columns, rows)] if rows else []


def _bytes(size: float | None) -> str:
    return NONE if size is None else show(float(f"{size:.3g}"), "B")


def _two(r: float | None) -> str:
    return NONE if r is None else f"{r:.2f}"


def sections(found: Fitness) -> list[Section]:
    """A section per model compared with: the slopes of every regime, then the tables."""
    return [
        Section(
            f"against-{one.model}", f"Against {one.model}",
            [verdicts(one), *changes(one), *followed(one), *_everybody(one)], lambda one=one: _chart(one),
            f"Ranks of accelerators for {one.model} and for {found.model}, a panel per regime.",
            CAPTION.format(one.model, found.model),
        )
        for one in found.against
    ]  # fmt: skip


def _chart(one: Against) -> AnyChart | None:
    """Nothing where no regime asks two models."""
    from inferatlas.show.charts.slopes import Panel, Slope, slopes

    panels = []
    for c in one.regimes:
        if c.places and c.model != c.model_against:
            named = {place.accelerator for place in _largest(c, NAMED)[:NAMED]}
            drawn = [
                Slope(p.accelerator, p.rank_against, p.rank, p.accelerator in named, "★" if p.moved else "")
                for p in c.places
            ]
            panels.append(Panel(c.title, c.model_against, c.model, drawn))
    return slopes(panels) if panels else None


def _everybody(one: Against) -> list[Block]:
    """Every rank, for the page that has room."""
    rows = [[c.title, *_change(place)] for c in one.regimes if c.model != c.model_against for place in c.places]
    columns = [Column("regime"), *_change_columns(one)]
    return [Table(f"Against {one.model}: every rank", columns, rows)] if rows else []


def against_rows(found: Fitness, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all cells with their ranks beside each model compared with; as they are where there is none."""
    if not found.against:
        return list(rows)
    out = []
    for one in found.against:
        held = {(c.name, place.accelerator): place for c in one.regimes for place in c.places}
        out += [row | _columns(one.model, held.get((row["regime"], row["accelerator"]))) for row in rows]
    return out


def _columns(model: str, place: Place | None) -> dict[str, Any]:
    gained = None if place is None else place.gained
    return {
        "against": model, "rank": place.rank if place else None,
        "rank_against": place.rank_against if place else None, "gained_low": gained.low if gained else None,
        "gained": gained.value if gained else None, "gained_high": gained.high if gained else None,
        "moved": place.moved if place else None, "why": place.why if place else None,
    }  # fmt: skip


def hint(model: str) -> Paragraph:
    """Where nothing is compared with: what a recurrent model may be compared with."""
    return Paragraph(
        f"Does the order change with the kind of model? --against {model}, the transformer of the catalogue nearest "
        "in size, tells.", quiet=True,
    )  # fmt: skip
