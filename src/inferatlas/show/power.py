"""Measured energies as a page and as rows: windows, idle, per request and token, footprint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inferatlas.measure.metering.accounting.footprint import REMARKS as OF_FOOTPRINT
from inferatlas.measure.metering.accounting.footprint import Footprint
from inferatlas.measure.metering.energy import REASONS, REMARKS, Energy
from inferatlas.measure.metering.reporting import Report, whole
from inferatlas.quantities import percent, show
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, counted, listed, span
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

if TYPE_CHECKING:
    from inferatlas.show.charts.style import AnyChart

METHODS = {
    "counter": "difference of a counter", "average": "averaged power", "instant": "instant power",
    "model": "a model, no sensor", None: NONE,
}  # fmt: skip
FIGURES = {
    "energy_with_overhead": "energy with overhead", "carbon": "carbon", "water_site": "water at the site",
    "water_grid": "water of the grid", "cost": "electricity",
}  # fmt: skip
TITLE = "Carbon, water, cost (second lines: 80 % of the energy's uncertainty with what tables say)"
LABELS = {"manual": "read by a person"}  # where no sensor of ours is behind it
HOW = (
    "Uncertainties are standard ones (k = 1): edges, sampling, gain of the meter and clock together; a gain that "
    "nobody calibrated is a prior. Rows are different things, measured in different places, and are never added."
)


def report_page(found: Report, typed: str) -> Page:
    """What a window took, and whether to believe it."""
    return [
        Heading(report_words(found)),
        *([_windows(found.windows)] if found.windows else [_not_read(found)]),
        *_several(found.windows),
        *_explained(found.windows),
        *_checks(found.windows),
        *([_idle(found)] if found.idle else []),
        *([_per(found)] if found.per else []),
        *_footprints(found),
        *([Items("Noted on reading", found.notes)] if found.notes else []),
        *([Paragraph(HOW, quiet=True)] if found.windows else []),
        *([Paragraph(_cost(found), quiet=True)] if found.cost is not None else []),
        Command("Reproduce", typed),
    ]


def report_html(found: Report, typed: str) -> str:
    """The same as a page with the power over time."""
    sections = [
        Section(
            "power", "Power over time", [], lambda: power_chart(found), "Mean power over stretches of the window.",
            "Mean power over a hundredth of the window; a line per source and scope, over all its devices.",
        ),
        Section("energy", "Energy", [_windows(found.windows)] if found.windows else [_not_read(found)]),
        Section("devices", "Devices", _several(found.windows)),
        Section("judged", "Whether to believe it", [
            *_explained(found.windows), *_checks(found.windows),
        ]),
        Section("shares", "Idle, requests, tokens", [
            *([_idle(found)] if found.idle else []), *([_per(found)] if found.per else []),
        ]),
        Section("footprint", "Carbon, water, cost", _footprints(found)),
        Section("how", "How it was found", [
            *([Items("Noted on reading", found.notes)] if found.notes else []), Paragraph(HOW, quiet=True),
            *([Paragraph(_cost(found), quiet=True)] if found.cost is not None else []),
        ]),
    ]  # fmt: skip
    return html_page("How much energy?", report_words(found), sections, typed)


def power_chart(found: Report) -> AnyChart | None:
    """Power over the window; None where nothing was read."""
    from inferatlas.measure.metering.overtime import power_over_time
    from inferatlas.show.charts.lines import Series, lines
    from inferatlas.show.charts.style import Axis

    if found.log is None or not any(one.joules is not None for one in found.windows):
        return None
    drawn = []
    for one in power_over_time(found.log, *found.span_ns):
        scope = "scope unknown" if one.scope is None else one.scope.label
        name = f"{one.source}, {scope}{one.part and ', ' + one.part}"
        middles = (one.edges_s[1:] + one.edges_s[:-1]) / 2  # from 0 on, so that time is not logarithmic
        drawn.append(Series(name, name, [0.0, *middles.tolist()], [float(one.watts[0]), *one.watts.tolist()]))
    return lines(drawn, Axis("time", "s", None), Axis("power", "W", None))


def report_words(found: Report) -> str:
    """The answer in a sentence."""
    what = "The command" if found.command is not None else "The window"
    ended = f" It ended with status {found.exit_code}." if found.exit_code else ""
    if not found.windows:
        ran = "" if found.command is None else "The command ran. "
        return f"{ran}Nothing on this machine could be read.{ended}"
    first = next((one for one in found.windows if one.joules is not None), found.windows[0])
    if first.joules is None:
        return f"{what}: energy unknown ({listed([_means(one, REASONS) for one in first.reasons])}).{ended}"
    sure = "" if first.valid else f"; not valid: {listed([_means(one, REASONS) for one in first.reasons])}"
    label = "estimated" if first.method == "model" else LABELS.get(first.source, "measured")
    by = f"{_where(first)}, {METHODS[first.method]}"
    return f"{what} took {_with_u(first)} in {show(first.duration_s, 's')} by {by}{sure} [{label}].{ended}"


def report_rows(found: Report) -> list[dict[str, Any]]:
    """A row per source, scope and part, and one per device where there are several."""
    return [
        {
            name: value
            for name, value in one.as_dict().items()
            if name not in ("checks", "devices", "uncertainty_terms_j")
        }
        | {"reasons": " ".join(one.reasons), "remarks": " ".join(one.remarks)}
        | {f"u_{term}_j": value for term, value in one.u_terms.items()}
        for window in found.windows
        for one in (window, *window.devices)
    ]


def _windows(windows: Sequence[Energy]) -> Table:
    columns = [
        Column("source"), Column("covers"), Column("devices", right=True), Column("energy", right=True),
        Column("mean power", right=True), Column("over", right=True), Column("method"), Column("verdict", wraps=True),
    ]  # fmt: skip
    return Table("", columns, [_row(one, len(one.devices) or 1) for one in windows])


def _row(one: Energy, devices: int) -> list[str]:
    verdict = "valid" if one.valid else ", ".join(one.reasons)
    return [
        one.source, _covers(one), str(devices), _with_u(one), show(one.mean_w, "W"), show(one.duration_s, "s"),
        one.method or NONE, verdict,
    ]  # fmt: skip


def _several(windows: Sequence[Energy]) -> list[Block]:
    columns = [
        Column("device"), Column("energy", right=True), Column("mean power", right=True), Column("method"),
        Column("verdict", wraps=True),
    ]  # fmt: skip
    return [
        Table(
            f"Each device: {_where(window)}",
            columns,
            [
                [called, _with_u(one), show(one.mean_w, "W"), one.method or NONE,
                 "valid" if one.valid else ", ".join(one.reasons)]
                for called, one in zip(_called(window.devices), window.devices, strict=True)
            ],
        )
        for window in windows
        if window.devices
    ]  # fmt: skip


def _explained(windows: Sequence[Energy]) -> list[Block]:
    reasons = dict.fromkeys(code for one in windows for code in one.reasons)
    remarks = dict.fromkeys(code for one in windows for code in one.remarks)
    return [
        *([Items("Why not valid", [f"{code}: {_means(code, REASONS)}" for code in reasons])] if reasons else []),
        *([Items("Remarks", [f"{code}: {_means(code, REMARKS)}" for code in remarks])] if remarks else []),
    ]


def _checks(windows: Sequence[Energy]) -> list[Block]:
    rows = []
    for window in windows:
        devices = window.devices or (window,)
        for called, one in zip(_called(devices), devices, strict=True):
            for check in one.checks:
                apart = NONE
                if check.joules is not None and one.joules:
                    apart = f"{100 * (check.joules / one.joules - 1):+.1f} %"
                judged = "valid" if check.valid else ", ".join(check.reasons)
                rows.append([_where(one), called, check.method or NONE, _with_u(check), apart, judged])
    columns = [
        Column("source"), Column("device"), Column("other way"), Column("energy", right=True),
        Column("against the chosen", right=True), Column("verdict", wraps=True),
    ]  # fmt: skip
    return [Table("Held against", columns, rows, keys=2)] if rows else []


def _idle(found: Report) -> Table:
    rows = [
        [_where(one.gross), show(one.idle.power_w, "W"), _with_u(one.gross), show(one.idle_j, "J"), _with_u(one.net),
         NONE if one.idle_share is None else percent(one.idle_share)]
        for one in found.idle
    ]  # fmt: skip
    columns = [
        Column("source"),
        *(Column(name, right=True) for name in ("idle power", "gross", "idle", "net", "idle share")),
    ]
    return Table("With and without idle", columns, rows)


def _per(found: Report) -> Table:
    rows = [
        [one.energy.source, one.name.replace("_", " "), f"{one.count:,}", show(one.joules, "J"),
         show(one.uncertainty_j, "J")]
        for one in found.per
    ]  # fmt: skip
    columns = [
        Column("source"), Column("figure", wraps=True),
        *(Column(name, right=True) for name in ("count", "joules", "uncertainty")),
    ]  # fmt: skip
    return Table("Per request and token", columns, rows, keys=2)


def _footprints(found: Report) -> list[Block]:
    """Carbon, water and cost, a row per source, and where their factors come from."""
    prints = found.footprints
    if not prints:
        return []
    names = [name for name in FIGURES if any(name in one.names for one in prints)]
    rows = [
        [_where(energy), *(_figure(one, name) for name in names)]
        for energy, one in zip(whole(found.windows), prints, strict=True)
    ]
    columns = [Column("source"), *(Column(FIGURES[name], right=True) for name in names)]
    factors = {name: one[name] for one in prints for name in ("pue", "intensity", "water_grid") if one[name].value}
    remarks = dict.fromkeys(code for one in prints for code in one.remarks if code in OF_FOOTPRINT)
    unknown = dict.fromkeys(name.replace("_", " ") for one in prints for name in one.unknown)
    return [
        Table(TITLE, columns, rows),
        Items("Factors", [
            *(f"{name.replace('_', ' ')}: {show(one.value, one.unit)}, {one.source}" if name != "water_grid"
              else f"water of the grid: {one.source.rpartition('; ')[2]}" for name, one in factors.items()),
            *([f"not known: {listed(list(unknown))}"] if unknown else []),
            *(f"{code}: {OF_FOOTPRINT[code]}" for code in remarks),
        ]),
    ]  # fmt: skip


def _figure(found: Footprint, name: str) -> str:
    one = found[name]
    if one.value is None:
        return NONE
    value = show(one.value, one.unit)
    return value if one.low is None or one.high is None else f"{value}\n{span(one.low, one.high, one.unit)}"


def _not_read(found: Report) -> Items:
    texts = [f"{one.name}: {one.why}{f'; {one.hint}' if one.hint else ''}" for one in found.refusals]
    return Items("What was looked for", texts)


def _cost(found: Report) -> str:
    cost = found.cost
    assert cost is not None
    missed = f", {counted(cost.missed, 'deadline')} missed" if cost.missed else ""
    return f"Sampling took {show(cost.cpu_s, 's')} of CPU time, {100 * cost.share:.2g} % of one core{missed}."


def _called(devices: Sequence[Energy]) -> list[str]:
    """What people call each device; with its identity where several are called the same."""
    names = [one.name for one in devices]
    return [
        f"{one.name}, {one.device}" if one.name and names.count(one.name) > 1 else one.name or one.device or NONE
        for one in devices
    ]


def _where(one: Energy) -> str:
    return f"{one.source} ({_covers(one)})"


def _covers(one: Energy) -> str:
    scope = "scope unknown" if one.scope is None else one.scope.label
    return f"{scope}, {one.part}" if one.part else scope


def _with_u(one: Energy) -> str:
    if one.joules is None:
        return NONE
    return str(one).partition(" (")[0]


def _means(code: str, meanings: dict[str, str]) -> str:
    return meanings.get(code, code)
