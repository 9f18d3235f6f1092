"""`inferatlas whatif` as a page: side by side, what each parameter buys, per watt and dollar, and the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferatlas.decide.whatif.axes import Axis as Range
from inferatlas.decide.whatif.deployment import METRICS, Deployment
from inferatlas.decide.whatif.elasticities import STEP, Effect
from inferatlas.decide.whatif.family import Family, Member
from inferatlas.decide.whatif.whatif import WhatIf
from inferatlas.quantities import percent, show
from inferatlas.show.deployment import figures_words, layout_words, workload_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, counted, figure, heading, in_words, listed, quantity, signed, with_interval
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

SHOWN = (*METRICS, "power_w")
NAMED = 7  # members of the front named in the picture
READ = (
    "Change of the metric in percent per percent more of the parameter, everything else as it is; exact derivatives, "
    "not differences. Overheads and link latency are times: more of them is worse. Memory capacity buys sequences in "
    "whole pieces, so its derivative is 0 and only a step shows it."
)


def whatif_page(found: WhatIf, typed: str) -> Page:
    """The whole answer."""
    return [
        Heading(answer(found)),
        *side_by_side(found),
        *elasticities(found),
        *steps(found),
        *watts(found),
        *dollars(found),
        *front(found),
        Items("Assumed", assumed(found)),
        Command("Reproduce", typed),
    ]


def answer(found: WhatIf) -> str:
    """The device and its latency, how the other one compares, and what buys most."""
    mine, theirs = found.device, found.against
    text = f"{_who(mine)} for {found.inputs['model']}: latency {in_words(mine.metrics['latency_s'], 's')}"
    ratio = found.ratios.get("latency_s")
    if theirs is not None and ratio is not None:
        text += f", {ratio:.2f} times that of {_who(theirs)} [{theirs.label}]"
    bought = [row for row in found.sensitivity.elasticities if row.metric == "latency_s" and (row.value or 0.0) < 0]
    if bought:
        first = bought[0]
        text += f"; {_words(first.parameter)} buys most, {-(first.value or 0.0):.2f} % of latency per percent"
    return f"{text} [{mine.label}]."


def _who(one: Deployment) -> str:
    return f"{one.count} x {one.id} ({layout_words(one.layout)}, {one.weights} weights, {one.engine})"


def _words(parameter: str) -> str:
    return parameter.replace("_", " ")


def side_by_side(found: WhatIf) -> list[Block]:
    """Every metric of both deployments with its interval, and the ratio."""
    both = [one for one in (found.device, found.against) if one is not None]
    columns = [Column("metric"), *(Column(f"{one.count} x {one.id}", right=True) for one in both)]
    if len(both) == 2:
        columns.append(Column("ratio", right=True))
    rows = []
    for name in SHOWN:
        title, unit = quantity(name)
        row = [title, *(with_interval(one.metrics.get(name), unit) for one in both)]
        rows.append([*row, figure(found.ratios[name], "1")] if len(both) == 2 else row)
    for title, cell in (("layout", _layout), ("bound", _bound), ("label", _label)):
        rows.append([title, *(cell(one) for one in both), *([""] if len(both) == 2 else [])])
    table = Table(f"Under {workload_words(found.inputs['workload'])}", columns, rows)
    return [table, Paragraph(figures_words(SHOWN, [table]), quiet=True)]


def _layout(one: Deployment) -> str:
    return f"{layout_words(one.layout)}\n{one.weights}, {one.engine}"


def _bound(one: Deployment) -> str:
    return f"{one.bound.replace('_', ' ')}\nbatch {one.batch:,.4g}"


def _label(one: Deployment) -> str:
    return one.label


def elasticities(found: WhatIf) -> list[Block]:
    """A row per parameter, what buys most of latency first."""
    rows = found.sensitivity.elasticities
    table = _matrix("What a percent of each parameter does (elasticities)", rows, signed)
    return [table, Paragraph(READ, quiet=True)]


def steps(found: WhatIf) -> list[Block]:
    """The same for a tenth more, which pays for whole pieces too."""
    return [_matrix(f"With {STEP:.0%} more of each parameter, in the same layout", found.sensitivity.steps, _change)]


def _change(value: float | None) -> str:
    if value is None:
        return NONE
    return "0" if abs(value) < 5e-5 else f"{100 * value:+.1f} %".replace("-", "−")


def _matrix(title: str, rows: Sequence[Effect], cell: Any) -> Table:
    names = list(dict.fromkeys(row.parameter for row in rows))
    held = {(row.parameter, row.metric): row.value for row in rows}
    columns = [Column("parameter"), *(Column(heading(metric), right=True) for metric in METRICS)]
    return Table(title, columns, [[_words(n), *(cell(held[n, metric]) for metric in METRICS)] for n in names])


def watts(found: WhatIf) -> list[Block]:
    """What memory and compute draw, and what a further watt in each would do."""
    rows = found.sensitivity.watts
    names = list(dict.fromkeys(row.parameter for row in rows))
    if not names:
        return []
    held = {(row.parameter, row.metric): row for row in rows}
    metrics = ("latency_s", "output_tokens_per_s", "joules_per_output_token")
    columns = [Column("parameter"), Column("draws", right=True), Column("of the power", right=True)]
    columns += [Column(f"{quantity(m)[0]}\nper 100 W", right=True) for m in metrics]
    table = [
        [_words(name), show(held[name, metrics[0]].watts, "W"), percent(held[name, metrics[0]].share),
         *(_hundred(held.get((name, metric))) for metric in metrics)]
        for name in names
    ]  # fmt: skip
    text = (
        "Watts of the whole deployment at this load; the rest is the floor of an active device, or idle. More of a "
        "parameter draws more, a FLOP and a byte taking the energy that they take: the change of a metric per 100 W "
        "more of what it draws now."
    )
    return [Table("The next watt", columns, table), Paragraph(text, quiet=True)]


def _hundred(row: Any) -> str:
    return NONE if row is None or row.per_watt is None else _change(100.0 * row.per_watt)


def dollars(found: WhatIf) -> list[Block]:
    """What a percent more of the price does, spent on one part; only where the user says how the price divides."""
    rows = found.sensitivity.dollars
    if not rows:
        return []
    parts = list(dict.fromkeys(row.part for row in rows))
    held = {(row.part, row.metric): row.per_price for row in rows}
    columns = [Column("part"), Column("of the price", right=True), *(Column(heading(m), right=True) for m in METRICS)]
    shares = found.inputs["cost_share"]
    table = [[part, percent(shares[part]), *(signed(held.get((part, metric))) for metric in METRICS)] for part in parts]
    text = "Change of the metric in percent per percent more of the whole price, all of it spent on that part."
    return [Table("The next dollar", columns, table), Paragraph(text, quiet=True)]


def front(found: WhatIf) -> list[Block]:
    """The members on the Pareto front."""
    family = found.family
    if family is None:
        return []
    best = on_front(family)
    title = f"On the front of {listed(family.by)}"
    fits = sum(member.fits for member in family.members)
    lead = f"{len(best):,} of {counted(len(family.members), 'member')} [{family.label}]"
    if fits < len(family.members):
        lead += f"; {counted(len(family.members) - fits, 'member')} cannot serve this load in the layout"
    metrics = list(dict.fromkeys([*family.metrics, "latency_s", "output_tokens_per_s", "power_w"]))
    columns = [Column(axis.field, right=True) for axis in family.axes]
    columns += [Column(heading(metric), right=True) for metric in metrics]
    rows = [
        [*(parameter_words(axis, member) for axis in family.axes),
         *(figure(member.metrics.get(metric), quantity(metric)[1]) for metric in metrics)]
        for member in best
    ]  # fmt: skip
    return [Table(f"{title}: {lead}", columns, rows, keys=len(family.axes)), Items("", family.notes)]


def on_front(family: Family) -> list[Member]:
    """The members on the front, by the first objective."""
    best = [member for member in family.members if member.front]
    return sorted(best, key=lambda member: member.metrics[family.metrics[0]] or 0.0)


def parameter_words(axis: Range, member: Member) -> str:
    """A member's value on an axis: with its unit, or as a multiple of the device's own."""
    value = member.parameters[axis.field]
    return f"{value:.4g}x" if axis.unit == "1" else show(value, axis.unit)


def assumed(found: WhatIf) -> list[str]:
    """What was assumed of all, then of each device."""
    devices = [one for one in (found.device, found.against) if one is not None]
    own = [f"{one.id}: {note}" if len(devices) > 1 else note for one in devices for note in one.notes]
    return list(dict.fromkeys([*found.notes, *found.sensitivity.notes, *own]))


def whatif_rows(found: WhatIf) -> list[dict[str, Any]]:
    """A row per parameter and metric; of a family, a row per member."""
    if found.family is not None:
        label = found.family.label
        return [
            {**member.parameters, "fits": member.fits, "front": member.front, **member.metrics, "label": label}
            for member in found.family.members
        ]
    tenth = {(row.parameter, row.metric): row.value for row in found.sensitivity.steps}
    return [
        {"parameter": row.parameter, "metric": row.metric, "elasticity": row.value,
         "change_with_a_tenth_more": tenth.get((row.parameter, row.metric)), "label": found.device.label}
        for row in found.sensitivity.elasticities
    ]  # fmt: skip


def whatif_html(found: WhatIf, typed: str) -> str:
    """The same as a page, with bars of the elasticities and a picture of the family."""
    sections = [
        Section("devices", "Side by side", side_by_side(found)),
        Section(
            "elasticities", "What each parameter buys", [*elasticities(found), *steps(found)],
            lambda: _bars(found), "Bars of the elasticity of each metric by each parameter.",
            "Percent of the metric per percent of the parameter: green bars make the metric better, red ones worse.",
        ),
        Section("next", "The next watt and the next dollar", [*watts(found), *dollars(found)]),
        Section(
            "front", "The family", front(found), lambda: _picture(found),
            "Members of the family by the two objectives, with the Pareto front.",
            "Every member that can serve the load; larger points are on the front.",
        ),
        Section("assumed", "Assumed", [Items("Assumed", assumed(found))]),
    ]  # fmt: skip
    return html_page("What if", answer(found), sections, typed, lead=workload_words(found.inputs["workload"]))


def _bars(found: WhatIf):
    from inferatlas.show.charts.effects import effects

    trivial = ("price", "utilisation", "rated_power")  # which move what they are a factor of, and nothing else
    rows = [
        row for row in found.sensitivity.elasticities if row.parameter not in trivial and abs(row.value or 0.0) >= 0.005
    ]
    names = [_words(name) for name in dict.fromkeys(row.parameter for row in rows)]
    panels = [
        (quantity(metric)[0], smaller, held)
        for metric, smaller in METRICS.items()
        if any((held := {_words(r.parameter): r.value for r in rows if r.metric == metric}).values())
    ]
    return effects(names, panels) if panels else None


def _picture(found: WhatIf):
    from inferatlas.show.charts.style import Axis
    from inferatlas.show.charts.tradeoff import Attained, tradeoff

    family = found.family
    if family is None or not any(member.front for member in family.members):
        return None
    best = on_front(family)
    named = {id(best[round(i * (len(best) - 1) / max(NAMED - 1, 1))]) for i in range(NAMED)}
    points = [
        Attained(
            found.device.id,
            {metric: x for metric in family.metrics if (x := member.metrics[metric]) is not None},
            ", ".join(parameter_words(axis, member) for axis in family.axes) if id(member) in named else None,
            member.front,
        )
        for member in family.members
        if member.fits
    ]
    x, y = ((metric, Axis(*quantity(metric), METRICS.get(metric, True))) for metric in family.metrics)
    return tradeoff(points, [(x, y)])
