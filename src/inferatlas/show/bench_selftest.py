"""`inferatlas bench selftest` in words: up to how many streams this machine is fit, its errors, its ceiling."""

from __future__ import annotations

from typing import Any

from inferatlas.measure.bench.metrics.validity import CODES
from inferatlas.measure.bench.selftest.found import Ceiling, Errors, Level, SelfTest
from inferatlas.quantities import percent
from inferatlas.show.numbers import NONE, as_given, counted, figure
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

HOW = (
    "The client of `bench run` against a mock of this package on loopback. TTFT error: time to first token less the "
    "schedule's; gap error: how far a gap between tokens is from the schedule's; both have the mock's own lateness, in "
    "reading and sending, in them. Stamp error: from the mock's sending of a token to the client's time of it. Stamp "
    "delay: how long packets lay in the kernel before they were read. Verdicts are by the rules for any run. *: too "
    "few values for this percentile."
)
LIMITS = {
    "client": "the client's core was full",
    "mock": "the mock's core was full: the client can do more",
    "shared": "client and mock had one core between them: the client alone can do more",
    "neither": "neither core was full: other work on this machine took its time",
}
UNTOLD = ("few_requests",)  # codes that the star says better


def selftest_rows(found: SelfTest) -> list[dict[str, Any]]:
    """A row per level, and one for the burst."""
    rows = []
    for one in found.levels:
        told = one.as_dict()
        rows.append({
            "load": "paced", **{name: told[name] for name in ("streams", "reached", "requests", "tokens")},
            **{
                f"{name}_{statistic}": told[name][statistic]
                for name in ("ttft_error", "gap_error", "stamp_error") for statistic in ("p50_s", "p99_s")
            },
            "mock_late_p50_s": one.mock.p50_s, "mock_late_p99_s": one.mock.p99_s, "mock_cpu_share": one.mock.cpu_share,
            "stamp_delay_p99_s": one.client.stamp_delay_p99_s, "cpu_share": one.client.cpu_share,
            "cpu_s_per_million_tokens": one.cpu_s_per_million_tokens, "tokens_per_s": None, "requests_per_s": None,
            "limit": None, "verdict": one.verdict.verdict, "reasons": ", ".join(_codes(one)),
        })  # fmt: skip
    burst = found.ceiling
    told = burst.as_dict() | {
        "load": "burst", "cpu_share": burst.client_share, "mock_cpu_share": burst.mock_share,
    }  # fmt: skip
    return [*rows, {name: told.get(name) for name in rows[0]}]


def selftest_page(found: SelfTest, typed: str) -> Page:
    """The answer, errors by level, the ceiling, what to know."""
    blocks: list[Block] = [Heading(_answer(found)), _errors(found), _ceiling(found.ceiling)]
    if notes := _notes(found):
        blocks.append(Items("To know", notes))
    return [*blocks, Paragraph(_machine(found.environment), quiet=True), Paragraph(HOW, quiet=True),
            Command("Reproduce", typed)]  # fmt: skip


def _answer(found: SelfTest) -> str:
    pace = f"of {as_given(1 / found.itl_s)} tokens/s each"
    burst = found.ceiling
    return (
        f"Runs from this machine are {_fit(found)}, {pace}; in a burst {figure(burst.tokens_per_s, '1')} tokens/s and "
        f"{figure(burst.requests_per_s, '1')} requests/s come through [measured]."
    )


def _fit(found: SelfTest) -> str:
    valid, usable = found.valid_up_to, found.usable_up_to
    beyond = [one.streams for one in found.levels if usable is None or one.streams > usable]
    told = [f"valid up to {counted(valid, 'stream')}"] if valid is not None else []
    if usable is not None and usable != valid:
        told.append(f"degraded up to {counted(usable, 'stream')}")
    if beyond:
        told.append(f"invalid at {beyond[0]:,}" if told else f"invalid even with {counted(beyond[0], 'stream')}")
    else:
        told[-1] += " at least"
    return ", ".join(told)


def _errors(found: SelfTest) -> Table:
    names = (
        "in flight", "TTFT error", "gap error", "stamp error", "mock late", "stamp delay", "core used", "mock's core",
        "CPU s/Mtok",
    )  # fmt: skip
    rows = [
        [
            f"{one.streams:,}", f"{one.reached:,}", _two(one.ttft_error), _two(one.gap_error), _two(one.stamp_error),
            f"{figure(one.mock.p50_s, 's')}\n{figure(one.mock.p99_s, 's')}",
            f"{figure(one.client.stamp_delay_p50_s, 's')}\n{figure(one.client.stamp_delay_p99_s, 's')}",
            percent(one.client.cpu_share), percent(one.mock.cpu_share), figure(one.cpu_s_per_million_tokens, "1"),
            "\n".join([one.verdict.verdict, *_codes(one)]),
        ]
        for one in found.levels
    ]  # fmt: skip
    title = (
        f"Against the schedule: first token after {figure(found.ttft_s, 's')}, then one every "
        f"{figure(found.itl_s, 's')}, {found.answer_tokens} in all (first lines: medians, second: 99th percentiles)"
    )
    columns = [Column("streams", right=True), *(Column(name, right=True) for name in names), Column("verdict")]
    return Table(title, columns, rows)


def _two(errors: Errors) -> str:
    return f"{figure(errors.p50_s, 's')}\n{figure(errors.p99_s, 's')}{'*' * (errors.few and errors.n > 0)}"


def _ceiling(burst: Ceiling) -> Table:
    names = "streams", "requests", "tokens/s", "requests/s", "core used", "mock's core", "CPU s/Mtok"
    row = [
        f"{burst.streams:,}", f"{burst.requests:,}", figure(burst.tokens_per_s, "1"), figure(burst.requests_per_s, "1"),
        percent(burst.client_share), percent(burst.mock_share), figure(burst.cpu_s_per_million_tokens, "1"),
        LIMITS[burst.limit],
    ]  # fmt: skip
    title = "Ceiling: all tokens of an answer due at once, so that many come with a read"
    return Table(title, [*(Column(name, right=True) for name in names), Column("limit", wraps=True)], [row])


def _notes(found: SelfTest) -> list[str]:
    codes = dict.fromkeys(code for one in found.levels for code in _codes(one))
    notes = [f"{code}: {CODES[code]}" for code in codes]
    if late := [f"{one.streams:,}" for one in found.levels if one.mock_late]:
        notes.append(
            f"with {', '.join(late)} in flight the mock itself was late (p99 above a tenth of a gap): errors of TTFT "
            "and gaps tell of it as much as of the client"
        )
    failed = {reason: count for one in (*found.levels, found.ceiling) for reason, count in one.failed.items()}
    notes += [f"requests failed: {reason}" for reason in failed]
    if found.ceiling.shared:
        notes.append("there is one core for both: on it the mock takes from the client, which no real server does")
    if any(one.client.stamps == "read" for one in found.levels):
        notes.append("no kernel stamps packets here: events have the time at which they were read")
    return notes


def _codes(level: Level) -> list[str]:
    return [code for code in (*level.verdict.reasons, *level.verdict.remarks) if code not in UNTOLD]


def _machine(environment: dict[str, Any]) -> str:
    load = (environment["load_average"]["start"] or [None])[0]
    cores = environment["cores_allowed"] or environment["cores"]
    return (
        f"{environment['cpu'] or 'unknown processor'}, {counted(cores, 'core') if cores else NONE}; load average "
        f"{figure(load, '1')} at the start; {environment['platform']}, kernel {environment['kernel']}; Python "
        f"{environment['python']}."
    )


__all__ = ["selftest_page", "selftest_rows"]
