"""A bench as a page and as rows: what was measured, whether to believe it, and where the records are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferatlas.measure.bench.fates import meaning
from inferatlas.measure.bench.metrics.missed import missed_targets
from inferatlas.measure.bench.metrics.validity import BY_CLIENT, CODES
from inferatlas.measure.bench.running import Bench
from inferatlas.quantities import percent
from inferatlas.show.bench_loads import Document, Load, Run, get, joined, loads_of
from inferatlas.show.bench_tables import (
    LATENCIES,
    client,
    delivered,
    engine,
    latency_tables,
    protocol,
    repetitions,
    targets,
    throughput,
)
from inferatlas.show.numbers import NONE, figure, listed, span
from inferatlas.show.page import Block, Command, Heading, Items, Page, Paragraph
from inferatlas.workload import parse_targets

OF_LOAD = "kind", "concurrency", "request_rate", "input_tokens", "output_tokens"
STATISTICS = ("mean", "p50", "p90", "p99")
# the number behind a code, and its unit
BEHIND = {
    "client_busy": (("client", "cpu_share"), "%"),
    "client_limited": (("client", "cpu_share"), "%"),
    "client_starved": (("client", "stamp_delay_p99_s"), "s"),
    "stamps_late": (("client", "stamp_delay_p99_s"), "s"),
    "sends_late": (("metrics", "send_lag_s", "p99"), "s"),
    "load_not_delivered": (("metrics", "load", "off"), "%"),
    "concurrency_not_reached": (("metrics", "load", "off"), "%"),
    "lengths_not_met": (("metrics", "lengths", "output_off"), "%"),
    "prompt_lengths_off": (("metrics", "lengths", "input_off"), "%"),
    "cached_prompts": (("metrics", "lengths", "cached"), "%"),
    "overloaded": (("metrics", "window", "growth_per_s"), "requests/s"),
}
MOST_NAMED = 6  # loads that a code names


def bench_page(found: Bench, typed: str) -> Page:
    """What was measured."""
    loads = loads_of(found.runs)
    if not loads:
        return [Heading(bench_words(found)), Command("Records", str(found.folder)), Command("Reproduce", typed)]
    return [
        Heading(bench_words(found)),
        Paragraph(asked_words(loads), quiet=True),
        *throughput(loads),
        *latency_tables(loads),
        *targets(loads),
        *knee(found),
        *protocol(loads),
        *repetitions(loads),
        *delivered(loads),
        *engine(loads),
        *client(loads),
        *judged(found.runs),
        *failures(found.runs),
        *notes(found.runs),
        Paragraph(how_words(loads), quiet=True),
        Command("Records", str(found.folder)),
        Command("Reproduce", typed),
    ]


def bench_words(found: Bench) -> str:
    """The answer in a sentence or two."""
    loads = loads_of(found.runs)
    if not loads:
        return "Nothing was measured."
    invalid = [one.name for one in loads if not one.valid]
    doubt = f" Invalid: {listed(invalid)}." if invalid else ""
    return f"{answer_words(loads)}{_kept(loads)}{doubt}"


def answer_words(loads: Sequence[Load]) -> str:
    """The most that was given, by a load that is valid if there is any."""
    best = best_of(loads)
    most = " at most" if len(loads) > 1 else ""
    model = (get(best.first, "models") or ["the model"])[0]
    tokens = figure(best.values.get("output_tokens_per_s"), "1")
    ttft, itl = (figure(best.values.get(f"{name}.p50"), "s") for name in ("ttft_s", "itl_s"))
    return (
        f"{model} gave{most} {tokens} output tokens/s ({best.name}), with a TTFT of {ttft} and an ITL of {itl} "
        "(medians) [measured]."
    )


def best_of(loads: Sequence[Load]) -> Load:
    """The load with the most output tokens per second; valid ones first."""
    return max(loads, key=lambda one: (one.valid, one.values.get("output_tokens_per_s") or 0.0))


def _kept(loads: Sequence[Load]) -> str:
    """Which loads keep every target; empty without targets."""
    asked = parse_targets(get(loads[0].first, "slo") or ())
    if not asked:
        return ""
    sound = [one for one in loads if one.valid]
    kept = [one.name for one in sound if not any(missed_targets(dict(run), asked) for run in one.documents)]
    if len(kept) == len(loads):
        return " Every target is kept." if len(loads) == 1 else " Every load keeps every target."
    if not kept:
        return " Targets are missed." if len(loads) == 1 else " No load keeps every target."
    return f" Every target is kept by {listed(kept)} alone."


def asked_words(loads: Sequence[Load]) -> str:
    """What was asked of whom, in a line."""
    of = [one.first for one in loads]
    engine_name = joined([_engine(one) for one in of])
    lengths = " and ".join(
        f"{joined([_tokens(get(one, 'load', f'{way}put_tokens')) for one in of])} tokens {way}" for way in ("in", "out")
    )
    about = [
        f"{engine_name} at {joined([', '.join(one.get('endpoints') or ()) or NONE for one in of])}",
        f"{joined([get(one, 'load', 'api') or NONE for one in of])} API", lengths,
        joined([get(one, "load", "dataset") or NONE for one in of]), _hardware(of[0]),
        joined([f"protocol {name}" if (name := get(one, "protocol")) else NONE for one in of]),
        *dict.fromkeys(_kind(one) for one in of),
    ]  # fmt: skip
    return "; ".join(one for one in about if one and NONE not in one) + "."


def _kind(document: Document) -> str:
    """What the names of loads mean."""
    arrival = get(document, "load", "arrival")
    return {
        "closed": "c: clients of a closed loop",
        "open": f"r: requests/s of an open loop{f', {arrival}' if arrival else ''}",
        "offline": "all requests at once",
        "trace": "arrivals of a trace",
    }.get(str(get(document, "load", "kind")), "")


def _tokens(mean: float | None) -> str:
    return NONE if mean is None else f"{mean:,.0f}"


def _engine(document: Document) -> str:
    words = [get(document, "software", name) for name in ("engine", "version")]
    return " ".join(one for one in words if one) or "an unknown engine"


def _hardware(document: Document) -> str:
    name, many = (get(document, "hardware", one) for one in ("accelerator", "accelerators"))
    return f"{many or 1} x {name}" if name else ""


def judged(runs: Sequence[Run]) -> list[Block]:
    """Codes in words, with the loads they are of and the number behind them: what makes invalid, then the rest."""
    found: list[Block] = []
    for title, part in (("Why invalid", "reasons"), ("What to know before believing it", "remarks")):
        seen: dict[str, list[Run]] = {}
        for folder, document in runs:
            for code in get(document, "validity", part) or ():
                seen.setdefault(code, []).append((folder, document))
        if seen:
            found.append(Items(title, [_code(code, own, len(runs)) for code, own in seen.items()]))
    return found


def _code(code: str, own: Sequence[Run], every: int) -> str:
    names = [folder.name for folder, _ in own]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    where = "all" if len(names) == every and every > 1 else f"{', '.join(names[:MOST_NAMED])}{more}"
    return f"{code} ({where}{_behind(code, [document for _, document in own])}): {CODES.get(code, 'see the notes')}"


def _behind(code: str, documents: Sequence[Document]) -> str:
    path, unit = BEHIND.get(code, ((), ""))
    values = [value for one in documents if path and isinstance(value := get(one, *path), int | float)]
    if not values:
        return ""
    worst = max(values, key=abs)
    plain = figure(worst, "s") if unit == "s" else f"{figure(worst, '1')} {unit}"
    text = percent(abs(worst)) if unit == "%" else plain
    return f"; {'up to ' if len(values) > 1 else ''}{text}"


def failures(runs: Sequence[Run]) -> list[Block]:
    """Requests that failed, by reason."""
    texts = [
        f"{folder.name}: {count:,} × {reason}, {meaning(reason)}"
        for folder, one in runs
        for reason, count in (get(one, "requests", "failed") or {}).items()
    ]
    return [Items("Requests that failed", texts)] if texts else []


def knee(found: Bench) -> list[Block]:
    """Where a search ended."""
    if found.knee is None:
        return []
    unit = "clients" if found.plan.points[-1].kind == "closed" else "requests/s"
    low, high = found.knee.low, found.knee.high
    what = "every target is kept" if found.plan.slo else "the load is served, and more of it still gives more"
    if low is None:
        text = f"No load that was tried is low enough: at {high:g} {unit} it is too much already."
    elif high is None:
        text = f"Up to {low:g} {unit} {what}; no limit was found."
    else:
        text = f"Up to {low:g} {unit} {what}; at {high:g} no more."
    if any(BY_CLIENT & set(get(run, "validity", "reasons") or ()) for run in _at(found, high)):
        text += " There the client was the limit: what the server gives is not known."
    if not found.knee.monotonic:
        text += " A higher load was kept where a lower one was not: the limit is not sharp."
    return [Paragraph(text)]


def _at(found: Bench, load: float | None) -> list[Document]:
    """Records of a load that a search tried."""
    return [
        one
        for _, one in found.runs
        if load is not None and load in (get(one, "load", "concurrency"), get(one, "load", "request_rate"))
    ]


def notes(runs: Sequence[Run]) -> list[Block]:
    """Remarks of the records, each once."""
    texts = list(dict.fromkeys(note for _, one in runs for note in one.get("notes") or ()))
    return [Items("Notes", texts)] if texts else []


def how_words(loads: Sequence[Load]) -> str:
    """From where latencies count, over what, and what the joules cover."""
    windows = [get(document, "metrics", "window") or {} for one in loads for document in one.documents]
    kinds = {one.get("kind") for one in windows}
    seconds = [float(one["seconds"]) for one in windows if one.get("seconds")]
    long = span(min(seconds), max(seconds), "s") if len(seconds) > 1 else figure(sum(seconds), "s")
    if kinds == {"steady"}:
        what = f"Figures are of the steady window ({long})"
    elif "steady" in kinds:
        what = "Figures are of the steady window where a run has one, else of the whole run"
    else:
        what = "Figures are of the whole run with its start and end: it has no steady window"
    from_sending = {one.kind in ("closed", "offline") for one in loads}
    clock = {True: "its request was sent", False: "its request was due"}
    since = " or ".join(clock[one] for one in sorted(from_sending, reverse=True))
    text = f"{what}; a latency counts from when {since}." if kinds != {None} else ""
    return f"{text}{_energy_words(loads)}".strip()


def _energy_words(loads: Sequence[Load]) -> str:
    energies = [energy for one in loads for document in one.documents if (energy := get(document, "metrics", "energy"))]
    if not energies:
        return ""
    scopes = joined([str(one.get("scope") or "scope unknown") for one in energies])
    sure = max((one["u_share"] for one in energies if one.get("u_share") is not None), default=None)
    text = f" The scope of power is {scopes}, what is drawn when idle included"
    text += "" if sure is None else f"; joules are known within {percent(sure)} (standard uncertainty)"
    wrong = {reason for one in loads for document in one.documents for reason in _wrong(document)}
    return f"{text}.{f' Not valid: {listed(sorted(wrong))}.' if wrong else ''}"


def _wrong(document: Document) -> list[str]:
    """Why the energy that tokens are set against is not valid."""
    energies = document.get("energy") or ()
    main = next((one for one in energies if one.get("joules") is not None), None)
    return list(main.get("reasons") or ()) if main else []


def bench_rows(found: Bench) -> list[dict[str, Any]]:
    """A row per run, of plain numbers."""
    rows = []
    for folder, document in found.runs:
        metrics, failed = document.get("metrics") or {}, get(document, "requests", "failed") or {}
        row: dict[str, Any] = {
            "directory": str(folder), "label": document.get("label"), "model": (document.get("models") or [None])[0],
            **{name: get(document, "load", name) for name in OF_LOAD},
            "verdict": get(document, "validity", "verdict"),
            **{name: " ".join(get(document, "validity", name) or ()) for name in ("reasons", "remarks")},
            **{name: get(document, "requests", name) for name in ("sent", "completed")},
            "failed": sum(failed.values()),
        }  # fmt: skip
        for _, name in LATENCIES:
            row |= {f"{name[:-2]}_{one}_s": get(metrics, name, one) for one in STATISTICS}
        names = (
            "output_tokens_per_s", "total_tokens_per_s", "requests_per_s", "goodput_per_s", "latency_cv", "power_w",
            "tokens_per_joule",
        )  # fmt: skip
        row |= {name: metrics.get(name) for name in names}
        row |= {name: get(document, "client", name) for name in ("cpu_s", "event_loop_lag_p99_s")}
        rows.append(row)
    return rows


__all__ = ["bench_page", "bench_rows", "bench_words"]
