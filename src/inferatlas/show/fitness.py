"""`inferatlas regimes` as a page: the matrix of grades, each regime's numbers, and where a published grade differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from inferatlas.decide.regimes.cells import SHOWN, Cell
from inferatlas.decide.regimes.result import Fitness, RegimeResult
from inferatlas.show.deployment import figures_words, flat_metrics, layout_words
from inferatlas.show.fitness_against import against_rows, comparisons, hint, in_a_sentence, sections
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, counted, figure, heading, listed, quantity, with_interval
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

PUBLISHED = "After the slash: the study's grade."
NAMED = 6  # accelerators of one reason that are named where all regimes stand together
GRADING = (
    "A score is the value over the best shown (best over value where lower is better). Grades by score: {}. A grade's "
    "interval is that of its value."
)


def fitness_page(found: Fitness, typed: str) -> Page:
    """The matrix; of a single regime, its numbers instead."""
    blocks: list[Block] = [Heading(answer(found) + in_a_sentence(found))]
    figures = energy(found)
    if len(found.regimes) > 1:
        published = any(cell.paper_grade for one in found.regimes for cell in one.cells)
        foot = [Paragraph(PUBLISHED, quiet=True)] if published else []
        blocks += [matrix(found), *foot, measures(found), *absences(found)]
    else:
        one = found.regimes[0]
        figures = [*numbers(one), *figures]
        blocks += [Paragraph(one.regime.description), *numbers(one), *ungraded(one), measures(found)]
    blocks += [*comparisons(found), *energy(found), *drivers(found), *differences(found), *_closing(found, figures)]
    return [*blocks, Command("Reproduce", typed)]


def answer(found: Fitness) -> str:
    """Who is best where, in a sentence or two, and on which model where it is not the one asked about."""
    models = _models(found)
    asked = found.model if found.model in models else models[0] if len(models) == 1 else None
    best: dict[str, list[str]] = {}
    for one in found.regimes:
        if one.cells and one.cells[0].score is not None:
            on = "" if one.model == asked else f" (on {one.model})"
            best.setdefault(one.cells[0].accelerator, []).append(f"{_lowered(one.regime.title)}{on}")
    count = len({cell.accelerator for one in found.regimes for cell in one.cells})
    of = "" if asked is None else f" for {asked}"
    if asked not in (None, found.model):
        of += f" (the model of the regime{'' if len(found.regimes) == 1 else 's'}, not {found.model})"
    if not best:
        return f"None of {counted(count, 'accelerator')} can be graded{of}."
    words = "; ".join(f"{name}: {', '.join(titles)}" for name, titles in best.items())
    head = "Best of" if len(best) == 1 else "No accelerator is best everywhere. Best of"
    return f"{head} {count}{of}: {words}."


def _models(found: Fitness) -> list[str]:
    """The models that the regimes were measured on."""
    return list(dict.fromkeys(one.model for one in found.regimes))


def _lowered(title: str) -> str:
    """A title inside a sentence: its first letter small, unless it begins an acronym.

    >>> _lowered("Low-latency single stream"), _lowered("RAG at night")
    ('low-latency single stream', 'RAG at night')
    """
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def matrix(found: Fitness) -> Table:
    """Accelerators by regimes: the grade, after a slash the study's, and the value under it."""
    columns = [
        Column("accelerator\nclass"),
        Column("software"),
        *(Column(_broken(one.regime.title)) for one in found.regimes),
    ]
    rows = []
    for cells in _by_accelerator(found):
        first = cells[0]
        graded = [_graded(cell, one) for cell, one in zip(cells, found.regimes, strict=True)]
        kind = first.architectural_class.replace("_", " ")
        rows.append([f"{first.accelerator}\n{kind}", f"{first.software['level']}\n{_engine(first)}", *graded])
    return Table("Grade and value", columns, rows)


def _engine(cell: Cell) -> str:
    """The engine that runs best on the accelerator."""
    return next((name for name in cell.software if name not in ("level", "answered")), "")


def _by_accelerator(found: Fitness) -> list[list[Cell]]:
    """Cells of each accelerator in the order of the regimes; the accelerators with the highest mean score first."""
    held = [{cell.accelerator: cell for cell in one.cells} for one in found.regimes]
    rows = [[cells[name] for cells in held] for name in held[0]]
    return sorted(rows, key=lambda row: (-sum(cell.score or 0.0 for cell in row), row[0].accelerator))


def _graded(cell: Cell, one: RegimeResult) -> str:
    study = f" / {cell.paper_grade}" if cell.paper_grade else ""
    if cell.grade is None or cell.value is None:
        return f"{NONE}{study}\n{_code_words(cell)}"
    return f"{cell.grade}{study}\n{figure(cell.value.value, quantity(one.regime.metric)[1])}"


def _broken(title: str) -> str:
    """A title on two lines, broken near its middle.

    >>> _broken("Low-latency single stream")
    'Low-latency single\\nstream'
    """
    words = title.split()
    half = (len(words) + 1) // 2
    return f"{' '.join(words[:half])}\n{' '.join(words[half:])}".strip()


def measures(found: Fitness) -> Table:
    """What each regime asks and measures."""
    rows = []
    for one in found.regimes:
        regime = one.regime
        asked = f"{regime.input_tokens:,.0f} in, {regime.output_tokens:,.0f} out"
        levels = ", ".join(f"{level:,}" for level in regime.concurrency)
        rows.append(
            [
                f"{regime.title}\n{regime.name}", measure_words(one), f"{asked}\n{levels} in flight", one.model,
                ", ".join(target.text() for target in regime.slo) or NONE,
            ]
        )  # fmt: skip
    columns = [Column("regime"), Column("metric", wraps=True), Column("requests"), Column("model"), Column("targets")]
    return Table("What is measured", columns, rows)


def measure_words(one: RegimeResult) -> str:
    """The metric of a regime in words."""
    name = quantity(one.regime.metric)[0]
    per = " per accelerator" if one.regime.per == "accelerator" else ""
    hosted = f", {one.regime.hosted} models taking turns" if one.regime.hosted > 1 else ""
    return f"{name}{per}{hosted}, {one.regime.better} is better"


def numbers(one: RegimeResult) -> list[Table]:
    """The numbers behind each grade of one regime, best first; nothing where nothing is graded."""
    graded = [cell for cell in one.cells if cell.grade is not None]
    if not graded:
        return []
    per = "\nper accelerator" if one.regime.per == "accelerator" else "\nwith loading" if one.regime.hosted > 1 else ""
    columns = [
        Column("deployment\nlayout"), Column("weights\nengine"), Column("in flight", right=True),
        Column(f"{quantity(one.regime.metric)[0]}{per}", right=True), Column("grade\ninterval"),
        Column("score", right=True), Column("published"), Column("label\nsoftware"), Column("bound"),
        *(Column(heading(name), right=True) for name in _beside(one)),
    ]  # fmt: skip
    return [Table(f"{one.regime.title}: {measure_words(one)}", columns, [_numbers_row(cell, one) for cell in graded])]


def ungraded(one: RegimeResult) -> list[Block]:
    """Whom a regime cannot grade, by reasons."""
    by: dict[tuple[str, str], list[str]] = {}
    for cell in one.cells:
        if cell.grade is None:
            by.setdefault((_code_words(cell), cell.reason), []).append(cell.accelerator)
    rows = [[", ".join(names), code, why] for (code, why), names in by.items()]
    columns = [Column("accelerators", wraps=True), Column("reason"), Column("why", wraps=True)]
    return [Table("What cannot be graded", columns, rows)] if rows else []


def absences(found: Fitness) -> list[Block]:
    """Whom the regimes cannot grade, a row per regime and kind of reason; of many names and words the first."""
    by: dict[tuple[str, str], list[Cell]] = {}
    for one in found.regimes:
        for cell in one.cells:
            if cell.grade is None:
                by.setdefault((one.regime.title, _code_words(cell)), []).append(cell)
    rows = []
    for (title, code), cells in by.items():
        names, more = [cell.accelerator for cell in cells], len(cells) - NAMED
        first = "" if len({cell.reason for cell in cells}) == 1 else f"{names[0]}: "
        rows.append(
            [title, code, f"{', '.join(names[:NAMED])}{f' and {more} more' if more > 0 else ''}",
             f"{first}{cells[0].reason}"]
        )  # fmt: skip
    columns = [Column("regime"), Column("reason"), Column("accelerators", wraps=True), Column("why", wraps=True)]
    return [Table("What cannot be graded", columns, rows)] if rows else []


def _code_words(cell: Cell) -> str:
    return (cell.code or "unknown").replace("_", " ")


def _beside(one: RegimeResult) -> list[str]:
    """The metrics shown beside the regime's own, without that one again."""
    same = one.regime.per == "deployment" and one.regime.hosted == 1
    return [name for name in SHOWN if not (same and name == one.regime.metric)]


def _numbers_row(cell: Cell, one: RegimeResult) -> list[str]:
    worse, better = cell.grades or ("", "")
    between = worse if worse == better else f"{worse} – {better}"
    return [
        f"{cell.count} x {cell.accelerator}\n{layout_words(cell.layout)}", f"{cell.weights}\n{cell.engine}",
        f"{cell.concurrency:g}", with_interval(cell.value, quantity(one.regime.metric)[1]),
        f"{cell.grade}\n{between}", f"{cell.score:.2f}", cell.paper_grade or NONE,
        f"{cell.label}\n{cell.software['level']}", (cell.bound or "").replace("_", "\n", 1),
        *(with_interval(cell.metrics[name], quantity(name)[1]) for name in _beside(one)),
    ]  # fmt: skip


def energy(found: Fitness) -> list[Table]:
    """Who leads by the metric and who by energy, and whether the orders are the same; nothing without a leader."""
    rows = []
    for one in found.regimes:
        held = {cell.accelerator: cell for cell in one.cells}
        first = next((cell for cell in one.cells if cell.score is not None), None)
        if first is None:
            continue
        frugal = held.get(one.energy.get("best") or "")
        r = one.energy.get("rank_correlation")
        rows.append([one.regime.title, *_joules(first), *_joules(frugal), NONE if r is None else f"{r:.2f}"])
    columns = [Column("regime"), Column("best by the metric"), Column("tokens/J", right=True),
               Column("power", right=True), Column("best by tokens/J"), Column("tokens/J", right=True),
               Column("power", right=True), Column("rank\ncorrelation", right=True)]  # fmt: skip
    return [Table("Energy: output tokens per joule and power of the same deployments", columns, rows)] if rows else []


def _joules(cell: Cell | None) -> list[str]:
    if cell is None:
        return [NONE, NONE, NONE]
    named = ((name, quantity(name)[1]) for name in ("tokens_per_joule", "power_w"))
    return [f"{cell.count} x {cell.accelerator}", *(with_interval(cell.metrics.get(n), unit) for n, unit in named)]


def drivers(found: Fitness) -> list[Block]:
    """How closely goodness follows what the machines have: correlation of logarithms over the accelerators graded.

    Nothing where no regime grades enough of them.
    """
    names = ("memory_bandwidth", "compute", "memory_capacity")

    def word(r: float | None) -> str:
        return NONE if r is None else f"{r:.2f}"

    rows = [
        [one.regime.title, str(sum(cell.score is not None for cell in one.cells)),
         *(word(one.drivers.get(name)) for name in names)]
        for one in found.regimes if one.drivers
    ]  # fmt: skip
    if not rows:
        return []
    columns = [Column("regime"), Column("graded", right=True)]
    columns += [Column(name.replace("_", " "), right=True) for name in names]
    return [Table("Correlation of the value (better is up) with what a deployment has, logarithms", columns, rows)]


def differences(found: Fitness) -> list[Block]:
    """Cells whose published grade is another one, with the reason; what agrees is counted."""
    cells = [(cell, one) for one in found.regimes for cell in one.cells if cell.paper_grade]
    if not cells:
        return []
    differ = [(cell, one) for cell, one in cells if cell.differs]
    sources = "; ".join(sorted({one.regime.published.source for _, one in cells if one.regime.published}))
    same = len(cells) - len(differ)
    head = Paragraph(f"Of {counted(len(cells), 'grade')} published for these accelerators ({sources}), {same} "
                     f"{'is' if same == 1 else 'are'} ours too.")  # fmt: skip
    if not differ:
        return [head]
    rows = [
        [f"{cell.accelerator}\n{one.regime.name}", cell.paper_grade or NONE, cell.grade or NONE, cell.differs or ""]
        for cell, one in differ
    ]
    columns = [Column("accelerator\nregime"), Column("published"), Column("ours"), Column("why", wraps=True)]
    return [head, Table("Where they differ", columns, rows)]


def _closing(found: Fitness, figures: Sequence[Table]) -> Iterator[Block]:
    """Assumptions, grading, and how to read ``figures``: the tables with intervals."""
    yield Items("Assumed", found.assumptions)
    if found.counterpart and not found.against:
        yield hint(found.counterpart)
    thresholds = {tuple(one.regime.thresholds.items()) for one in found.regimes}
    for held in sorted(thresholds):
        yield Paragraph(GRADING.format(", ".join(f"{word} from {least:g}" for word, least in held)), quiet=True)
    if figures:
        where, unless = "Second lines under figures", "'What is measured' says per accelerator"
        yield Paragraph(figures_words(SHOWN, figures, where=where, unless=unless), quiet=True)


def fitness_rows(found: Fitness) -> list[dict[str, Any]]:
    """A row per cell, and per model compared with."""
    return against_rows(found, [_flat(cell, one) for one in found.regimes for cell in one.cells])


def _flat(cell: Cell, one: RegimeResult) -> dict[str, Any]:
    value = cell.value
    return {
        "regime": one.regime.name, "model": one.model, "metric": one.regime.metric, "per": one.regime.per,
        "accelerator": cell.accelerator, "class": cell.architectural_class, "count": cell.count,
        "value": value.value if value else None, "value_low": value.low if value else None,
        "value_high": value.high if value else None, "score": cell.score, "grade": cell.grade,
        "grade_low": cell.grades[0] if cell.grades else None, "grade_high": cell.grades[1] if cell.grades else None,
        "paper_grade": cell.paper_grade, "reason": cell.reason, "code": cell.code, "bound": cell.bound,
        **{name: cell.layout.get(name) for name in ("tp", "pp", "ep", "dp")}, "weights": cell.weights,
        "engine": cell.engine, "software": cell.software["level"], "concurrency": cell.concurrency,
        **flat_metrics(cell.metrics or dict.fromkeys(SHOWN)), "label": cell.label, "differs": cell.differs,
    }  # fmt: skip


def fitness_html(found: Fitness, typed: str) -> str:
    """The same as a page with the heat map and every regime's numbers."""
    figures = [table for one in found.regimes for table in numbers(one)] + energy(found)
    absent = absences(found) if len(found.regimes) > 1 else []
    parts = [
        Section(
            "matrix", "Regimes and accelerators", [measures(found), *absent], lambda: _heat_map(found),
            "Heat map of accelerators by regimes, the more colour the better.",
            "The more colour, the closer to the best (logarithmic). An empty frame cannot be served.",
        ),
        *sections(found),
        Section("differences", "Published grades", differences(found)),
        *(
            Section(
                one.regime.name, one.regime.title,
                [Paragraph(one.regime.description), *numbers(one), *ungraded(one)],
            )
            for one in found.regimes
        ),
        Section("energy", "Energy", energy(found)),
        Section("drivers", "What goodness follows", drivers(found)),
        Section("assumed", "Assumed", list(_closing(found, figures))),
    ]  # fmt: skip
    return html_page(
        "Which architecture for which work?", answer(found) + in_a_sentence(found), parts, typed, lead=_lead(found)
    )


def _lead(found: Fitness) -> str:
    cells = sum(len(one.cells) for one in found.regimes)
    return f"{listed(_models(found))}; {counted(len(found.regimes), 'regime')}, {counted(cells, 'cell')}."


def _heat_map(found: Fitness):
    """Nothing where nothing is graded."""
    if not any(cell.grade for one in found.regimes for cell in one.cells):
        return None
    from inferatlas.show.charts.fitness import Mark
    from inferatlas.show.charts.fitness import fitness as chart

    return chart(
        [
            Mark(
                cell.accelerator, one.regime.title, cell.score, cell.grade or "", cell.paper_grade or "",
                bool(cell.differs),
            )
            for cells in _by_accelerator(found)
            for cell, one in zip(cells, found.regimes, strict=True)
        ]
    )  # fmt: skip


__all__: Sequence[str] = ("fitness_html", "fitness_page", "fitness_rows")
