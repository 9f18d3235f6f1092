"""What a `server.journal` says, after the run: a row per scrape, all series, events, the engine's own means."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server.series import COLUMNS, TIMINGS, Sum

if TYPE_CHECKING:
    import polars as pl

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]

# Ranks that work on one request report it each; the first speaks for all. Those of data parallelism are added.
SAME_REQUESTS = ("tp_rank", "pp_rank")
STARTED = "process_start_time_seconds"


@dataclass(frozen=True, slots=True)
class Scrape:
    """One page that was read, or why there was none. ``u_time_s``: standard uncertainty of ``time_s``."""

    replica: int
    time_s: float
    u_time_s: float | None
    values: Mapping[Key, float]
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """As a run record keeps them.

    ``server`` : a row per scrape and endpoint: time_s, u_time_s, replica, and the columns of `COLUMNS`; null where the
    engine does not publish one. ``engine_metrics`` : time_s, replica, series, labels (JSON), value. ``events`` :
    time_s, kind (``scrape_failed``, ``scrape_resumed``, ``engine_restarted``), detail.
    """

    server: pl.DataFrame
    engine_metrics: pl.DataFrame
    events: pl.DataFrame


@dataclass(frozen=True, slots=True)
class EngineMean:
    """A time as the engine itself measured it: the mean over a window, in s, of how many, from which series."""

    mean_s: float
    count: float
    series: str


def scrapes(journal: str | Path) -> list[Scrape]:
    """Every scrape in a journal, in the order of time; a journal that is still written is read as far as it goes.

    Raises
    ------
    BadInput : it cannot be read.
    """
    names: dict[int, list[Key | None]] = {}
    found: list[Scrape] = []
    for line in _lines(Path(journal)):
        if "series" in line:
            names[line["n"]] = [_key(one) for one in line["series"]]
        elif "failed" in line:
            found.append(Scrape(line["r"], line["t"], None, {}, line["failed"]))
        elif "v" in line and line["n"] in names:
            pairs = zip(names[line["n"]], map(_number, line["v"]), strict=True)
            values = {key: value for key, value in pairs if key is not None and value is not None}
            found.append(Scrape(line["r"], line["t"], line["u"], values))
    return sorted(found, key=lambda one: one.time_s)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    found = json.loads(line)
                except ValueError:  # torn by a kill or a full disk
                    continue
                if isinstance(found, dict):
                    yield found
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=path) from None


@lru_cache(maxsize=4096)
def _key(series: str) -> Key | None:
    """Name and labels of a series; None of what is not in the text format."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        (family,) = text_string_to_metric_families(f"{series} 0\n")
        (sample,) = family.samples
        return sample.name, tuple(sorted(sample.labels.items()))
    except (ValueError, IndexError, KeyError, TypeError):  # the parser's ways to refuse a line
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def column(values: Mapping[Key, float], sums: Sequence[Sum]) -> float | None:
    """One of `COLUMNS` of one page; None where the engine does not publish it.

    Examples
    --------
    >>> page = {("vllm:num_requests_running", (("engine", str(n)),)): 2.0 for n in range(2)}
    >>> column(page, COLUMNS["running"]), column(page, COLUMNS["waiting"])
    (4.0, None)
    """
    for one in sums:
        parts = [_samples(values, name, one.labels) for name in one.names]
        if all(parts):
            return sum(sum(part) / (len(part) if one.mean else 1) for part in parts)
    return None


def _samples(values: Mapping[Key, float], name: str, labels: Mapping[str, str]) -> list[float]:
    wanted = labels.items()
    found = [
        (dict(key[1]), value) for key, value in values.items() if key[0] == name and wanted <= dict(key[1]).items()
    ]
    for rank in SAME_REQUESTS:
        first = [(one, value) for one, value in found if one.get(rank) in (None, "", "0")]
        found = first or found
    return [value for _, value in found]


def tables(journal: str | Path) -> Tables:
    """The tables of a run record from a journal; see `Tables`.

    Raises
    ------
    BadInput : the journal cannot be read.
    """
    import polars as pl

    found = scrapes(journal)
    pages = [one for one in found if one.failed is None]
    server = {
        "time_s": [one.time_s for one in pages], "u_time_s": [one.u_time_s for one in pages],
        "replica": [one.replica for one in pages],
    } | {name: [column(one.values, sums) for one in pages] for name, sums in COLUMNS.items()}  # fmt: skip
    series = [(one.time_s, one.replica, *key, value) for one in pages for key, value in one.values.items()]
    shown: dict[Labels, str] = {labels: json.dumps(dict(labels)) for labels in {one[3] for one in series}}
    floats = dict.fromkeys((*COLUMNS, "time_s", "u_time_s"), pl.Float64)
    return Tables(
        pl.DataFrame(server, schema_overrides=floats | {"replica": pl.Int64}),
        pl.DataFrame(
            [(time_s, replica, name, shown[labels], value) for time_s, replica, name, labels, value in series],
            schema={
                "time_s": pl.Float64, "replica": pl.Int64, "series": pl.String, "labels": pl.String,
                "value": pl.Float64,
            }, orient="row",
        ),
        pl.DataFrame(
            sorted(event for replica in {one.replica for one in found} for event in _events(found, replica)),
            schema={"time_s": pl.Float64, "kind": pl.String, "detail": pl.String}, orient="row",
        ),
    )  # fmt: skip


def _events(found: Sequence[Scrape], replica: int) -> Iterator[tuple[float, str, str]]:
    """What happened to one endpoint: the first failure of a row of them, their end, restarts of the engine."""
    failed, last = False, None
    for one in found:
        if one.replica != replica:
            continue
        if one.failed is not None:
            if not failed:
                yield one.time_s, "scrape_failed", f"endpoint {replica} {one.failed}"
            failed = True
            continue
        if failed:
            yield one.time_s, "scrape_resumed", f"endpoint {replica} answers again"
            failed = False
        if last is not None and (why := _restarted(last, one)):
            yield one.time_s, "engine_restarted", f"endpoint {replica}: {why}"
        last = one


def _restarted(last: Scrape, now: Scrape) -> str | None:
    """Why the engine must have started again between two scrapes; None where nothing says so."""
    for key, value in now.values.items():
        name, before = key[0], last.values.get(key)
        if before is None:
            continue
        if name == STARTED and value != before:
            return f"{STARTED} changed"
        if name.endswith(("_total", "_count", "_sum")) and value < before:
            return f"{name} fell from {before:g} to {value:g}"
    return None


def engine_latencies(
    journal: str | Path, from_s: float = -math.inf, to_s: float = math.inf, replica: int | None = None
) -> dict[str, EngineMean]:
    """The engine's own mean times over a window: ``ttft_s``, ``itl_s``, ``latency_s``, ``queue_s``, ``prefill_s``,
    ``decode_s``, as far as it publishes them.

    The window is widened to whole scrapes: from the last one at or before ``from_s`` to the first at or after ``to_s``.
    What counters lost by a restart of the engine between two scrapes is not counted.

    Parameters
    ----------
    from_s, to_s : since the start of the run. replica : one endpoint alone; None for all together.

    Raises
    ------
    BadInput : the journal cannot be read.
    """
    pages: dict[int, list[Scrape]] = {}
    for one in scrapes(journal):
        if one.failed is None and replica in (None, one.replica):
            pages.setdefault(one.replica, []).append(one)
    windows = [_window(own, from_s, to_s) for own in pages.values()]
    found = {}
    for name, timings in TIMINGS.items():
        for timing in timings:
            total = sum(_increase(own, timing.total) for own in windows)
            count = sum(_increase(own, timing.count) for own in windows)
            if count > 0:
                found[name] = EngineMean(total / count, count, timing.total.removesuffix("_sum"))
                break
    return found


def _window(own: Sequence[Scrape], from_s: float, to_s: float) -> Sequence[Scrape]:
    begin = max((n for n, one in enumerate(own) if one.time_s <= from_s), default=0)
    end = min((n for n, one in enumerate(own) if one.time_s >= to_s), default=len(own) - 1)
    return own[begin : end + 1]


def _increase(own: Sequence[Scrape], name: str) -> float:
    """By how much a counter grew over scrapes. One that fell began again at 0; one that appeared began there too."""
    grown = 0.0
    for last, now in pairwise(own):
        for key, value in now.values.items():
            if key[0] == name:
                before = last.values.get(key, 0.0)
                grown += value - before if value >= before else value
    return grown
