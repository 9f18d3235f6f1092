"""Where two runs are not of one kind: what forbids a comparison, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferatlas.measure.bench.comparison.pairing import LENGTHS, clock_of, same_lengths
from inferatlas.measure.bench.comparison.samples import Sample
from inferatlas.measure.bench.record.flat import mapping

SAME_LENGTH = (
    0.01  # relative difference of mean tokens that came which is told (load-generation.md, section 7: length mismatch)
)
# parts of run.json that are results, told elsewhere, or change with every run
NO_MANIFEST = {
    "schema_version", "command", "written", "started", "kind", "validity", "requests", "metrics", "client", "energy",
    "notes", "definitions", "clocks", "outcome", "totals", "unfinished", "segments", "engine", "protocol_metrics",
}  # fmt: skip
NOISE = {  # parts of paths in the others
    "time", "command", "load_average", "round_trip_s", "waited_s", "offered_per_s", "repetition", "tokens.written",
    "tokens.tokens",
}  # fmt: skip
# what records of different kinds can be compared by
ROW = (
    "kind", "label", "model", "engine", "engine_version", "accelerator", "accelerators", "load", "concurrency",
    "request_rate", "arrival", "input_tokens", "output_tokens", "dataset", "protocol",
)  # fmt: skip
ABSENT = "not told"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the manifests say differently, as texts."""

    what: str
    a: str
    b: str


def conflicts(a: Sample, b: Sample, metrics: Sequence[str]) -> list[str]:
    """Why the figures of two runs do not mean the same; what one of them does not say is no conflict.

    Parameters
    ----------
    metrics : names of what is compared (``ttft_s``), whose definitions must agree.
    """
    da, db = a.record.document, b.record.document
    first, second = mapping(da.get("definitions")), mapping(db.get("definitions"))
    found = [
        f"definitions of {name} differ"
        for name in metrics
        if name in first and name in second and first[name] != second[name]
    ]
    found += _conflict("API", _told(da, ("load.api", "endpoints.0.api")), _told(db, ("load.api", "endpoints.0.api")))
    found += _conflict("tokens counted by", _counter(da), _counter(db))
    if da.get("kind") == db.get("kind"):
        found += _conflict("data set", _dataset(da), _dataset(db))
    found += _conflict("kind of load", clock_of(a.row["load"]), clock_of(b.row["load"]))
    if not same_lengths(a.row, b.row):
        found += [
            f"{name.replace('_', ' ')} asked for: {a.row[name]:,.6g} and {b.row[name]:,.6g}"
            for name in LENGTHS
            if not same_lengths(dict.fromkeys(LENGTHS) | {name: a.row[name]}, b.row)
        ]
    return found


def _conflict(what: str, x: Any, y: Any) -> list[str]:
    return [f"{what}: {_text(x)} and {_text(y)}"] if x is not None and y is not None and x != y else []


def _dataset(document: Mapping[str, Any]) -> Any:
    return _told(document, ("load.dataset_sha256", "load.dataset"))


def _counter(document: Mapping[str, Any]) -> Any:
    """Who counts the tokens of answers: the server, or a tokenizer by its name."""
    told = mapping(document.get("tokens"))
    return "the server (usage)" if told.get("usage") is True else told.get("counter")


def _told(document: Mapping[str, Any], paths: Sequence[str]) -> Any:
    for path in paths:
        value: Any = document
        for part in path.split("."):
            if isinstance(value, list):
                value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
            else:
                value = mapping(value).get(part)
        if value is not None:
            return value
    return None


def differences(a: Sample, b: Sample) -> list[Difference]:
    """All that the manifests say differently: hardware, engine, client, load; of other kinds, what both can say."""
    if a.record.document.get("kind") != b.record.document.get("kind"):
        return [Difference(name, _text(a.row[name]), _text(b.row[name])) for name in ROW if a.row[name] != b.row[name]]
    first, second = dict(_leaves(a.record.document)), dict(_leaves(b.record.document))
    names = [*first, *(name for name in second if name not in first)]
    return [
        Difference(name, _text(first.get(name)), _text(second.get(name)))
        for name in names
        if first.get(name) != second.get(name)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            inner = f"{path}.{name}" if path else str(name)
            if name not in NOISE and inner not in NOISE and (path or name not in NO_MANIFEST):
                yield from _leaves(one, inner)
    elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        for i, one in enumerate(value):
            yield from _leaves(one, f"{path}.{i}")
    else:
        yield path, value


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def warnings(name: str, side: Sequence[Sample]) -> list[str]:
    """What to know of the runs of one side, called ``name``."""
    found = []
    for one in side:
        called = f"{name} ({one.record.name})"
        if one.row["valid"] is False or one.row["verdict"] in {"degraded", "invalid"}:
            why = ", ".join(one.row["reasons"] or one.row["remarks"])
            found.append(f"{called} is {one.row['verdict'] or 'invalid'}{f': {why}' if why else ''}")
        if not one.steady:
            found.append(f"{called} has no steady window: the whole run counts, with ramp and drain")
        if one.lost:
            found.append(f"{called}: {one.lost:,} of {one.lost + one.size:,} requests failed; they have no latency")
    return found


def lengths_told(a: Sequence[Sample], b: Sequence[Sample]) -> list[str]:
    """Mean tokens that came, where the sides differ in them by more than 1 %."""
    found = []
    for place, name in enumerate(("input", "output")):
        x, y = (_average([one.tokens[place] for one in side]) for side in (a, b))
        if x is not None and y is not None and abs(x - y) > SAME_LENGTH * max(x, y):
            found.append(f"{name} tokens of a request: {x:,.1f} in A, {y:,.1f} in B on average")
    return found


def _average(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None


__all__ = ["Difference", "conflicts", "differences", "lengths_told", "warnings"]
