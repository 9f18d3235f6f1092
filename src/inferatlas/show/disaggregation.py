"""`inferatlas disaggregate` as a page: both pools, mixed fleets, the link, what is in use, and where a split pays."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.disaggregation.answered import Disaggregation
from inferatlas.decide.disaggregation.conditions import CLAIM
from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent, show
from inferatlas.show.deployment import layout_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, figure, in_words, with_interval
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

AXES = {"isl_over_osl": "input tokens per output token", "itl_target_s": "a bound on ITL"}
USED = {"compute": "peak compute", "bandwidth": "peak memory bandwidth", "capacity": "memory"}
CLAIMS = {
    "compute": "use of compute", "capacity": "use of memory (capacity)", "bandwidth": "use of memory (bandwidth)",
    "cost_per_request": "cost of a request",
}  # fmt: skip
FLEETS = {"mixed": "mixed", "half": "mixed, half of each"}
RATES = "Rates are the largest at which every target is kept; second lines are 80 % intervals."


def disaggregation_page(found: Disaggregation, typed: str) -> Page:
    """The whole comparison."""
    return [
        Heading(answer(found)),
        Paragraph(where_it_pays(found)),
        *fleets(found),
        *link(found),
        *in_use(found),
        *curves(found),
        *attention(found),
        Items("Assumed", found.assumptions),
        Command("Reproduce", typed),
    ]


def answer(found: Disaggregation) -> str:
    """The split, its rate, and whether it gains."""
    pools = [_pool_words(found.prefill), _pool_words(found.decode)]
    asked = found.inputs
    text = f"{asked['model']}: {pools[0]} for prefill and {pools[1]} for decode serve "
    text += f"{in_words(found.request_rate, '1')} requests/s"
    if not found.colocated:
        return f"{text}; no mixed fleet of {asked['count']} accelerators keeps the targets [{found.label}]."
    best = found.colocated[0]
    text += f", {_times(found.gain)} the best mixed fleet of {asked['count']} ({_fleet_words(best)})"
    return f"{text}. {_verdict(found.gain)} [{found.label}]."


def _pool_words(pool: dict[str, Any]) -> str:
    return f"{pool['count']} x {pool['accelerator']} ({layout_words(pool['layout'])})"


def _fleet_words(fleet: dict[str, Any]) -> str:
    return " + ".join(_pool_words(part) for part in fleet["parts"])


def _times(gain: Interval | None) -> str:
    return NONE if gain is None else f"{in_words(gain, '1').replace(' (', ' times (')}"


def _verdict(gain: Interval | None) -> str:
    if gain is None:
        return ""
    if gain.low > 1:
        return "The split wins"
    if gain.high < 1:
        return "The mixed fleet wins"
    side = "the split" if gain.value > 1 else "the mixed fleet"
    return f"Which is better is not sure, {side} more likely"


def where_it_pays(found: Disaggregation) -> str:
    """The ranges of each axis in which a split gains."""
    parts = []
    for axis, words in AXES.items():
        if not any(row["axis"] == axis for row in found.curve):
            continue
        ranges = [one for one in found.pays if one["axis"] == axis]
        spans = " and ".join(_range(one) for one in ranges)
        parts.append(f"with {words} {spans}" if ranges else f"with no {words} that was looked at")
    return f"By the predicted values a split pays {', and '.join(parts)}." if parts else ""


def _range(one: dict[str, Any]) -> str:
    low, high = (_at(one["axis"], one[end]) for end in ("x_from", "x_to"))
    if one["from_end"] and one["to_end"]:
        return f"throughout, {low} to {high}"
    if one["from_end"]:
        return f"up to {high}"
    return f"from {low} on" if one["to_end"] else f"from {low} to {high}"


def _at(axis: str, x: float) -> str:
    return figure(x, "s" if axis == "itl_target_s" else "1")


def fleets(found: Disaggregation) -> list[Block]:
    """Both pools, then the mixed fleets, best first."""
    columns = [
        Column("pool or fleet"), Column("accelerators\nlayout"), Column("requests/s", right=True),
        Column("TTFT", right=True), Column("ITL", right=True), Column("busy\nbatch", right=True),
        Column("power", right=True), Column("USD/h", right=True),
    ]  # fmt: skip
    rows = []
    for name, pool in (("prefill", found.prefill), ("decode", found.decode)):
        first = figure(pool.get("ttft_s"), "s"), figure(pool.get("itl_s"), "s")
        capacity = f"{figure(pool['requests_per_s'], '1')}\nat most"
        rows.append(
            [name, _two_lines(pool), capacity, *first, f"{percent(pool['duty'])}\n{pool['batch']:,.1f}",
             figure(pool["power_w"], "W"), figure(pool["usd_per_hour"], "1")]
        )  # fmt: skip
    seen, whole = found.latencies, [pool["power_w"] for pool in (found.prefill, found.decode)]
    dollars = [pool["usd_per_hour"] for pool in (found.prefill, found.decode)]
    rows.append(
        ["split", f"{found.inputs['count']} in all", with_interval(found.request_rate, "1"),
         figure(seen["ttft_s"], "s"), figure(seen["itl_s"], "s"), NONE, figure(_sum(whole), "W"),
         figure(_sum(dollars), "1")]
    )  # fmt: skip
    for fleet in found.colocated:
        name = FLEETS.get(fleet["fleet"], f"mixed, {fleet['fleet']}")
        rows.append(
            [name, "\n".join(_two_lines(part).replace("\n", " ") for part in fleet["parts"]),
             with_interval(fleet["request_rate"], "1"), figure(fleet["ttft_s"], "s"), figure(fleet["itl_s"], "s"),
             NONE, figure(fleet["power_w"], "W"), figure(fleet["usd_per_hour"], "1")]
        )  # fmt: skip
    gains = [
        f"{_times(gain)} per {what}"
        for what, gain in (
            ("accelerator", found.gain), ("dollar", found.gain_per_usd), ("watt", found.gain_per_watt)
        )
        if gain is not None
    ]  # fmt: skip
    ratio = f"{found.ratio:.2f} prefill accelerators per decode accelerator; equation (49), for pools that need not "
    ratio += f"be whole, says {found.ratio_closed_form:.2f}."
    blocks: list[Block] = [Table("Split and mixed", columns, rows), Paragraph(f"{RATES} {ratio}", quiet=True)]
    if gains:
        blocks.append(Paragraph(f"Requests of the split over the best mixed fleet: {', '.join(gains)}."))
    return blocks


def _two_lines(pool: dict[str, Any]) -> str:
    return f"{pool['count']} x {pool['accelerator']}\n{layout_words(pool['layout'])}"


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def link(found: Disaggregation) -> list[Block]:
    """What passes between the pools."""
    one = found.link
    needed = show(one["needed_bytes_per_s"], "B/s") if one["needed_bytes_per_s"] else "more than any link has"
    exposed = (
        f"{show(one['exposed_s'], 's')} show behind prefill" if one["exposed_s"] > 0 else "prefill hides all of it"
    )
    text = (
        f"Each request sends {show(one['bytes_per_request'], 'B')} of cache in {show(one['transfer_s'], 's')}; "
        f"{exposed}. The link is {percent(one['utilisation'])} busy at "
        f"{show(one['assumed_bytes_per_s'], 'B/s')} ({'given' if one['given'] else 'network ports of the smaller pool'}"
        f"); nothing would show from {needed} on."
    )
    return [Paragraph(text)]


def in_use(found: Disaggregation) -> list[Block]:
    """Shares in use before and after, and the published claims beside them."""
    columns = [Column("share in use, of all accelerators"), Column("mixed", right=True), Column("split", right=True),
               Column("change", right=True)]  # fmt: skip
    rows = [
        [USED[name], percent(one["before"]), percent(one["after"]), _signed(one["change"])]
        for name, one in found.usage.items()
    ]
    second = [Column("published claim"), Column("claimed", right=True), Column("here", right=True), Column("verdict")]
    told = [
        [CLAIMS[one["claim"]], _claimed(one), _signed(one["found"]), _verdict_of(one)] for one in found.claims
    ]  # fmt: skip
    return [
        Table("What is in use, each fleet at its largest rate", columns, rows),
        Table("Published gains beside these", second, told),
        Paragraph(f"{CLAIM}. It states no conditions; these are those of the targets above.", quiet=True),
    ]


def _claimed(one: dict[str, Any]) -> str:
    if one["low"] == one["high"]:
        return _signed(one["low"])
    return f"{_signed(one['low'])[:-2]} to {_signed(one['high'])}"


def _verdict_of(one: dict[str, Any]) -> str:
    words = {"within": "as claimed", "below": "less", "above": "more", None: "unknown"}
    if one["claim"] == "cost_per_request":
        words |= {"below": "saves more", "above": "saves less"}
    return words[one["verdict"]]


def _signed(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:+.0f} %"


def curves(found: Disaggregation) -> list[Block]:
    """A table per axis."""
    return [block for axis in AXES for block in curve(found, axis)]


def curve(found: Disaggregation, axis: str) -> list[Block]:
    """Gain and split along one axis; nothing where there is none."""
    rows = [
        [
            _at(axis, row["x"]), f"{row['isl']:,.0f} / {row['osl']:,.0f}",
            figure(row["split_rate_per_accelerator"], "1"), figure(row["colocated_rate_per_accelerator"], "1"),
            _gain_cell(row),
            NONE if row["prefill_count"] is None else f"{row['prefill_count']} : {row['decode_count']}",
        ]
        for row in found.curve
        if row["axis"] == axis
    ]  # fmt: skip
    if not rows:
        return []
    names = ("ISL / OSL", "split: requests/s\nper accelerator", "mixed: requests/s\nper accelerator", "gain",
             "prefill : decode")  # fmt: skip
    columns = [Column(_head(axis), right=True), *(Column(name, right=True) for name in names)]
    return [Table(f"Gain by {AXES[axis]}", columns, rows)]


def _gain_cell(row: dict[str, Any]) -> str:
    if row["gain"] is None:
        return NONE
    return with_interval(Interval(row["gain_low"], row["gain"], row["gain_high"]), "1")


def _head(axis: str) -> str:
    return "ISL/OSL" if axis == "isl_over_osl" else "ITL bound"


def attention(found: Disaggregation) -> list[Block]:
    """The split inside the decode pool: attention from feed-forward."""
    one = found.attention_ffn
    if one is None:
        return []
    text = (
        f"Attention apart from feed-forward layers, in the decode pool: of a step attention takes "
        f"{show(one.attention_s, 's')} and feed-forward {show(one.feed_forward_s, 's')}, so "
        f"{one.ratio_by_time:.2f} : 1 by time. {one.hops} hops of {show(one.hop_s, 's')} a token come on top. "
    )
    if one.gain is None:
        text += (
            f"No division keeps the gap of {show(one.itl_limit_s, 's')}; the shortest is {show(one.itl_s, 's')}."
        )  # fmt: skip
    else:
        verb = "gains" if one.gain > 1 else "loses"
        text += (
            f"At the same gap of {show(one.itl_limit_s, 's')} the best division, {one.ratio:.2f} : 1 with "
            f"{one.batch:,.0f} sequences a replica, yields {one.gain:.2f} times the tokens per accelerator: it {verb}."
        )
    return [Paragraph(text)]


def disaggregation_rows(found: Disaggregation) -> list[dict[str, Any]]:
    """A row per point of the curves."""
    return [row | {"label": found.label} for row in found.curve]


def disaggregation_html(found: Disaggregation, typed: str) -> str:
    """The same as a page, with the gain over both axes as charts."""
    sections = [
        Section("fleets", "Split and mixed", [*fleets(found), *link(found)]),
        *(
            Section(
                axis, f"Gain by {words}", curve(found, axis), lambda axis=axis: _chart(found, axis),
                f"Gain of a split over the best mixed fleet, by {words}.",
                "Above 1 the split serves more requests per accelerator. The band is the 80 % interval.",
            )
            for axis, words in AXES.items()
        ),
        Section("use", "What is in use", in_use(found)),
        Section("attention", "Attention apart from feed-forward", attention(found)),
        Section("assumed", "Assumed", [Items("Assumed", found.assumptions)]),
    ]  # fmt: skip
    lead = f"Targets: {', '.join(found.inputs['slo']) or 'none, rates are those of saturation'}. {where_it_pays(found)}"
    return html_page("Does it pay to part prefill from decode?", answer(found), sections, typed, lead=lead)


def _chart(found: Disaggregation, axis: str):
    from inferatlas.show.charts.lines import Crossing, Series, lines
    from inferatlas.show.charts.style import Axis

    rows = [row for row in found.curve if row["axis"] == axis]
    if sum(row["gain"] is not None for row in rows) < 2:
        return None
    x = [row["x"] for row in rows]

    def column(name: str) -> list[float]:
        return [float("nan") if row[name] is None else row[name] for row in rows]

    series = [
        Series("split over mixed", found.decode["accelerator"], x, column("gain"), column("gain_low"),
               column("gain_high")),
        Series("mixed", "", x, [1.0] * len(x)),
    ]  # fmt: skip
    marks = [
        Crossing(one[end], f"{'pays from' if end == 'x_from' else 'pays up to'} {_at(axis, one[end])}")
        for one in found.pays
        if one["axis"] == axis
        for end, closed in (("x_from", one["from_end"]), ("x_to", one["to_end"]))
        if not closed
    ]
    unit = "s" if axis == "itl_target_s" else "1"
    return lines(series, Axis(AXES[axis], unit, None), Axis("gain", "1", False), marks)


__all__ = ["disaggregation_html", "disaggregation_page", "disaggregation_rows"]
