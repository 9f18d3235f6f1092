"""Table III: Llama 2 70B, a single stream, beside one stream and beside a loaded server as they are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.ledger import Row
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import listed, plural, times
from inferatlas.studies.reproducing.sharma.published import claimed, machines, stated, table
from inferatlas.studies.reproducing.sharma.serving import ISL, MODEL, OSL, Served, alone, bandwidth_bound, loaded

TABLE = "table-iii"
RATE = "generation-rate"
COLUMNS = {"ttft": "ttft_s", RATE: "output_tokens_per_s", "power": "power_w", "energy-efficiency": "tokens_per_joule"}
UNITS = {"ttft_s": "s", "output_tokens_per_s": "1/s", "power_w": "W", "tokens_per_joule": "1/J"}
IN_TEXT = {"cerebras-wse-3": "cerebras-rate"}  # claim of Section IV-C
MORE = "more"
ONE, SERVER, NARROW = "one stream", "loaded server", "loaded server, best format"


@dataclass(frozen=True)
class Interactive:
    """A row of the table with what is predicted of its accelerator, by load."""

    row: Row
    by_load: dict[str, Served]
    bound: float  # tokens per second of one stream that reads nothing but the weights

    @property
    def accelerator(self) -> str:
        """The catalogue's name."""
        return self.by_load[ONE].one.accelerator.id

    @property
    def rate(self) -> Printed | None:
        return stated(self.row, RATE)

    def can_be(self) -> str:
        """Which load the printed rate can be of: one stream, a server, both, more or neither; empty: none stated.

        More: beyond what one stream can reach, and above our interval of a loaded server.
        """
        rate = self.rate
        if rate is None or rate.low is None:
            return ""
        fits = [load for load, one in self.by_load.items() if _meets(rate, one.of(COLUMNS[RATE]))]
        if rate.low > self.bound:
            fits = [load for load in fits if load != ONE]
        if ONE in fits:
            return "both" if len(fits) > 1 else ONE
        return SERVER if fits else MORE if rate.low > self.bound else "neither"


def _meets(printed: Printed, ours: Interval | None) -> bool:
    if ours is None or printed.low is None or printed.high is None:
        return False
    return printed.low <= ours.high and ours.low <= printed.high


def interactive() -> list[Interactive]:
    """Every row of the table, predicted."""
    found = []
    for row, accelerator in machines(TABLE).values():
        one = alone(accelerator)
        servers = {SERVER: loaded(accelerator), NARROW: loaded(accelerator, any_format=True)}
        by_load = {ONE: one} | {load: each for load, each in servers.items() if each is not None}
        found.append(Interactive(row, by_load, bandwidth_bound(one)))
    return found


def exhibit(rows: Sequence[Interactive]) -> Exhibit:
    """The table, every cell beside each load that it can be of."""
    held = table(TABLE)
    return Exhibit(
        id="table-iii",
        place=held.place,
        title="Interactive work on Llama 2 70B: one stream, and a loaded server",
        finding=finding(rows),
        pairs=(*(pair for row in rows for pair in pairs_of(row)), *_in_text(rows)),
        plot=Plot("bars", x="accelerator", colour="load", facet="quantity", log=True),
        notes=(
            f"ours: prompts of {ISL:,} tokens as the table says, {OSL} output tokens (it prints none), on the fewest "
            f"accelerators that hold {MODEL}; whole deployment but for power, which the table prints of one",
            "a loaded server has so many requests in flight that more would not add to its tokens per second; its "
            "time to first token is mostly waiting",
        ),
    )


def _in_text(rows: Sequence[Interactive]) -> list[Pair]:
    """The rate that Section IV-C states of the wafer, another one than the table's."""
    return [
        Pair(
            {"accelerator": it.row.title, "load": "one stream, beside the text"}, COLUMNS[RATE], "1/s",
            claimed(IN_TEXT[it.accelerator]), it.by_load[ONE].of(COLUMNS[RATE]), it.by_load[ONE].label,
            f"the table prints {it.rate.text}" if it.rate else "",
        )
        for it in rows
        if it.accelerator in IN_TEXT
    ]  # fmt: skip


def pairs_of(it: Interactive) -> tuple[Pair, ...]:
    """All columns of a row under each load, and the bound of one stream."""
    out = [_pair(it, load, column, metric) for load, _ in it.by_load.items() for column, metric in COLUMNS.items()]
    what = {"accelerator": it.row.title, "load": "bandwidth bound of one stream"}
    words = f"weights read once a token by {plural(it.by_load[ONE].count, 'accelerator')}, nothing else"
    return (*out, Pair(what, COLUMNS[RATE], "1/s", it.rate, exact(it.bound), "derived", words))


def _pair(it: Interactive, load: str, column: str, metric: str) -> Pair:
    one = it.by_load[load]
    per = one.count if metric == "power_w" else 1
    ours = one.of(metric, per=per)
    words = [
        f"{plural(one.count, 'accelerator')}, {one.weights} weights, {plural(round(one.concurrency), 'request')} in "
        "flight"
    ]
    if ours is None:
        words.append("no rated power is published" if UNITS[metric] in ("W", "1/J") else "not predicted")
    if metric == "tokens_per_joule":
        words.append(f"over the power of all {one.count:,}; the table divides by that of one" if one.count > 1 else "")
    if column == RATE and load == ONE and it.rate is not None and it.rate.low is not None and it.rate.low > it.bound:
        words.append(f"theirs is {times(it.rate.low / it.bound)} what reading the weights allows one stream")
    return Pair(
        {"accelerator": it.row.title, "load": load}, metric, UNITS[metric], stated(it.row, column), ours, one.label,
        "; ".join(filter(None, words)),
    )  # fmt: skip


def finding(rows: Sequence[Interactive]) -> str:
    """Of which load each printed rate can be, and how far those that cannot be one stream are beyond its bound."""
    kinds = {row.row.title: row.can_be() for row in rows if row.rate is not None}
    said = [f"{words}: {listed(names)}" for kind, words in _KINDS.items() if (names := _named(kinds, kind))]
    beyond = {
        row.row.title: row.rate.low / row.bound
        for row in rows
        if row.rate is not None and row.rate.low is not None and row.rate.low > row.bound
    }
    worst = max(beyond, key=lambda name: beyond[name], default=None)
    tail = (
        f" {plural(len(beyond), 'rate')} cannot be a single stream's whatever the software: the one of {worst} is "
        f"{times(beyond[worst])} what reading the weights once a token allows."
        if worst
        else ""
    )
    several = [row for row in rows if row.by_load[ONE].count > 1]
    most = max(several, key=lambda row: row.by_load[ONE].count, default=None)
    held = (
        f" The table divides by the power of one accelerator, while {len(several)} of {len(rows)} take several to "
        f"hold the model ({most.row.title}: {most.by_load[ONE].count:,})."
        if most
        else ""
    )
    return f"Of {plural(len(kinds), 'printed rate')}, {'; '.join(said)}.{tail}{held}"


_KINDS = {
    ONE: "within our interval of one stream only",
    "both": "within that of one stream and of a loaded server",
    SERVER: "within that of a loaded server only",
    MORE: "of a loaded server, and above our interval of one with such prompts",
    "neither": "within neither",
}


def _named(kinds: dict[str, str], kind: str) -> list[str]:
    return [name for name, one in kinds.items() if one == kind]
