"""`inferatlas own` as a page: totals, their parts, what moves them, and where each figure comes from."""

from __future__ import annotations

from functools import partial
from typing import Any

from inferatlas.decide.ownership.own import Ownership
from inferatlas.decide.ownership.tornado import TOTALS, Bar
from inferatlas.quantities import percent, show
from inferatlas.show.deployment import layout_words, workload_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, as_given, figure, in_words, listed
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

# total -> what it is, its unit per million output tokens
WORDS = {
    "usd_per_million_tokens": ("cost", "USD"), "gco2e_per_million_tokens": ("carbon", "gCO2e"),
    "water_l_per_million_tokens": ("water", "L"),
}  # fmt: skip
QUIET = 5e-4  # an elasticity below it is printed as none
READ = (
    "An elasticity of 0.4: one per cent more of the input is 0.4 per cent more of the total. A dash: no influence, or "
    "the total is unknown."
)
BARS = (
    "Each input alone at the ends of its range, all others as expected. A figure marked 'given' is yours: its bar "
    "shows what another one would do, and it is not in the interval."
)


def ownership_page(found: Ownership, typed: str) -> Page:
    """The whole answer."""
    return [
        Heading(answer(found)),
        Paragraph(f"Workload {workload_words(found.inputs['workload'])}."),
        totals(found),
        parts(found),
        Paragraph(energy_words(found)),
        elasticities(found),
        Paragraph(READ, quiet=True),
        *(block for metric in TOTALS.values() for block in bars(found, metric)),
        Paragraph(BARS, quiet=True),
        sources(found),
        Items("Assumed", found.assumptions),
        Command("Reproduce", typed),
    ]


def answer(found: Ownership) -> str:
    """The totals that are known, and the names of those that are not."""
    asked = found.inputs
    where = f"{asked['model']} on {asked['count']} x {asked['accelerator']} ({layout_words(asked['layout'])}, "
    where += f"{asked['weights']} weights, {asked['engine']})"
    known = [
        f"{unit} {in_words(found.total(metric), '1')}"
        for metric, (_, unit) in WORDS.items()
        if found.total(metric) is not None
    ]
    lacking = [word for metric, (word, _) in WORDS.items() if found.total(metric) is None]
    text = f"Owning {where}: per million output tokens "
    text += ", ".join(known) if known else "nothing is known"
    if lacking:
        text += f"; {listed(lacking)} unknown ({listed(found.unknown)} not stated)"
    return f"{text} [{found.label}]."


def totals(found: Ownership) -> Table:
    """Each total with its interval."""
    rows = []
    for metric, (word, unit) in WORDS.items():
        one = found.total(metric)
        cells = [NONE] * 3 if one is None else [figure(end, "1") for end in (one.low, one.value, one.high)]
        rows.append([word, unit, *cells, "unknown" if one is None else found.label])
    columns = [Column("total"), Column("unit"), *(Column(name, right=True) for name in ("low", "value", "high"))]
    return Table("Per million output tokens, with the 80 % interval", [*columns, Column("label")], rows)


def parts(found: Ownership) -> Table:
    """What each total is made of, and the share of each part where the total is known."""
    rows = []
    for metric, (word, unit) in WORDS.items():
        whole = found.total(metric)
        for name, part in found.parts[metric].items():
            share = NONE if part is None or whole is None or whole.value == 0 else percent(part / whole.value)
            rows.append([word, name, figure(part, "1"), unit, share])
    columns = [
        Column("total"),
        Column("part"),
        Column("value", right=True),
        Column("unit"),
        Column("share", right=True),
    ]
    return Table("Made of", columns, rows, keys=2)


def energy_words(found: Ownership) -> str:
    """Energy per million tokens and the share of idle hours in it."""
    held = found.energy
    if held["kwh_per_million_tokens"] is None or held["idle_energy_share"] is None:
        return "Energy is unknown: no rated power is published."
    return (
        f"Energy at the meter: {figure(held['kwh_per_million_tokens'], '1')} kWh per million output tokens, "
        f"{percent(held['idle_energy_share'])} of it in idle hours ({percent(held['idle_hours_share'] or 0.0)} of the "
        f"usable ones); {figure(held['mean_w'], 'W')} per accelerator on average."
    )


def elasticities(found: Ownership) -> Table:
    """A row per input, a column per total; inputs without influence on any are left out."""
    held = {(row["metric"], row["parameter"]): row["value"] for row in found.elasticities}
    names = dict.fromkeys(row["parameter"] for row in found.elasticities if abs(row["value"] or 0.0) >= QUIET)

    def cell(metric: str, name: str) -> str:
        value = held[metric, name]
        return NONE if value is None or abs(value) < QUIET else f"{value:+.3f}"

    rows = [[_label(name), *(cell(metric, name) for metric in WORDS)] for name in names]
    columns = [Column("input"), *(Column(word, right=True) for word, _ in WORDS.values())]
    return Table("Elasticities", columns, rows)


def bars(found: Ownership, metric: str) -> list[Block]:
    """The tornado of one total as a table; nothing where it is unknown or nothing moves it."""
    word, unit = WORDS[metric]
    rows = [
        [_name(bar), f"{_short(bar.low)}–{_short(bar.high)} {bar.unit}".strip(), figure(bar.at_low, "1"),
         figure(bar.at_high, "1")]
        for bar in found.tornado if bar.metric == metric
    ]  # fmt: skip
    if not rows:
        return []
    columns = [Column("input"), Column("range"), Column(f"{unit} at\nits low end", right=True),
               Column(f"{unit} at\nits high end", right=True)]  # fmt: skip
    return [Table(f"What moves {word} most", columns, rows)]


def sources(found: Ownership) -> Table:
    """Every input with its value, range and source."""
    rows = []
    for one in found.figures:
        ends = "" if one.low is None or one.high is None else f"{_short(one.low)}–{_short(one.high)}"
        rows.append([_label(one.parameter), _short(one.value), one.unit, ends, one.source])
    columns = [Column("input"), Column("value", right=True), Column("unit"), Column("range", right=True),
               Column("source", wraps=True)]  # fmt: skip
    return Table("Inputs, per accelerator", columns, rows)


def _short(value: float | None) -> str:
    return NONE if value is None else as_given(float(f"{value:.4g}"))


def _label(parameter: str) -> str:
    words = {"pue": "PUE", "electricity": "electricity price", "grid": "carbon of the grid", "colo": "space",
             "embodied": "embodied carbon", "idle": "idle power", "provisioned": "provisioned power",
             "water_site": "water at the site", "water_grid": "water of the grid"}  # fmt: skip
    return words.get(parameter, parameter)


def _name(bar: Bar) -> str:
    return _label(bar.parameter) + (" (given)" if bar.given else "")


def ownership_rows(found: Ownership) -> list[dict[str, Any]]:
    """A row per total and part, then per elasticity and bar: ``kind`` says which."""
    rows: list[dict[str, Any]] = []
    for metric in WORDS:
        one = found.total(metric)
        ends = (None, None, None) if one is None else (one.low, one.value, one.high)
        rows.append({"kind": "total", "metric": metric, "name": "total"} | _ends(*ends))
        rows += [
            {"kind": "part", "metric": metric, "name": name} | _ends(None, part, None)
            for name, part in found.parts[metric].items()
        ]
    rows += [
        {"kind": "elasticity", "metric": row["metric"], "name": row["parameter"]} | _ends(None, row["value"], None)
        for row in found.elasticities
    ]
    rows += [
        {"kind": "tornado", "metric": bar.metric, "name": bar.parameter}
        | _ends(min(bar.at_low, bar.at_high), None, max(bar.at_low, bar.at_high))
        for bar in found.tornado
    ]
    return [row | {"label": found.label} for row in rows]


def _ends(low: float | None, value: float | None, high: float | None) -> dict[str, float | None]:
    return {"low": low, "value": value, "high": high}


def ownership_html(found: Ownership, typed: str) -> str:
    """The same as a page with a tornado for each total."""
    sections = [Section("totals", "Totals", [totals(found), parts(found), Paragraph(energy_words(found))])]
    for metric, (word, unit) in WORDS.items():
        text = f"Tornado: {unit} per million output tokens with each input at the ends of its range."
        held = bars(found, metric)
        caption = BARS if len(sections) == 1 else f"The line is the expected {word}."
        sections.append(Section(word, f"What moves {word}", held, partial(_chart, found, metric), text, caption))
    sections += [
        Section("elasticities", "Elasticities", [elasticities(found), Paragraph(READ, quiet=True)]),
        Section("inputs", "Inputs", [sources(found)]),
        Section("assumed", "Assumed", [Items("Assumed", found.assumptions)]),
    ]
    lead = f"Workload {workload_words(found.inputs['workload'])}."
    return html_page(
        "What does it cost to own it, and what would change that?", answer(found), sections, typed, lead=lead
    )


def _chart(found: Ownership, metric: str):
    from inferatlas.show.charts.style import Axis
    from inferatlas.show.charts.tornado import Swing, tornado

    whole, (word, unit) = found.total(metric), WORDS[metric]
    held = [bar for bar in found.tornado if bar.metric == metric]
    if whole is None or not held:
        return None
    rows = [Swing(_name(bar), bar.at_low, bar.at_high, _in_unit(bar.low, bar), _in_unit(bar.high, bar)) for bar in held]
    return tornado(rows, whole.value, Axis(f"{word} of a million output tokens", unit, True))


def _in_unit(value: float, bar: Bar) -> str:
    """The end of a range as a label: watts and tokens per second rounded, shares as per cent."""
    if bar.unit == "W":
        return show(float(f"{value:.3g}"), "W")
    if bar.unit.startswith(("of ", "per year")):
        return percent(value)
    return f"{_short(float(f'{value:.3g}'))} {bar.unit}".strip()


__all__ = ["ownership_html", "ownership_page", "ownership_rows"]
