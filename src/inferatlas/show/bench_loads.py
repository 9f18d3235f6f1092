"""Loads of a bench: repetitions of one load together, and their figures with intervals, as `run.json` has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferatlas.measure.bench.metrics.repeats import headlines, together
from inferatlas.show.numbers import NONE, figure, span

Document = Mapping[str, Any]
Run = tuple[Path, Document]
Ends = tuple[float | None, float | None]
PAIR = re.compile(r"-i(\d+)-o(\d+)$")


@dataclass(frozen=True, slots=True)
class Load:
    """One load and its runs, at least one. ``values``, ``ends``: figures such as ``ttft_s.p50`` with 95 % intervals.

    Of several runs a value is the mean over them and its interval that of Student's t over them.
    """

    name: str
    runs: tuple[Run, ...]
    values: Mapping[str, float | None]
    ends: Mapping[str, Ends]

    @property
    def documents(self) -> tuple[Document, ...]:
        return tuple(document for _, document in self.runs)

    @property
    def first(self) -> Document:
        return self.runs[0][1]

    @property
    def kind(self) -> str | None:
        return get(self.first, "load", "kind")

    @property
    def valid(self) -> bool:
        """Whether no run of it is invalid; imported ones, which nobody can judge, are not."""
        return all(get(one, "validity", "valid") is not False for one in self.documents)

    @property
    def lengths(self) -> str:
        """Which lengths of a sweep over lengths; empty elsewhere."""
        found = PAIR.search(self.name)
        return f"{found[1]} in, {found[2]} out" if found else ""

    def few(self, metric: str, statistic: str) -> bool:
        """Whether a run of it has too few values to bound this percentile."""
        return any(statistic in (get(one, "metrics", metric, "n_too_small") or ()) for one in self.documents)

    def most(self, *path: str) -> float | None:
        """The greatest value at a place of its documents: of delays and shares the worst run counts."""
        found = [value for one in self.documents if isinstance(value := get(one, *path), int | float)]
        return max(found, default=None)

    def mean(self, *path: str) -> float | None:
        found = [float(value) for one in self.documents if isinstance(value := get(one, *path), int | float)]
        return sum(found) / len(found) if found else None

    def cell(self, name: str, unit: str, *, mark: str = "") -> str:
        """A figure, and on a second line its interval where there is one."""
        return f"{figure(self.values.get(name), unit)}{mark}{_second(self.ends.get(name), unit)}"


def get(document: Any, *path: str) -> Any:
    """What stands at a place of a document; None where there is no such place.

    >>> get({"a": {"b": 1}}, "a", "b"), get({"a": None}, "a", "b")
    (1, None)
    """
    for name in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def loads_of(runs: Iterable[Run]) -> list[Load]:
    """Runs by load, in their order; repetitions are told by the number in the record and at the end of the folder."""
    groups: dict[str, list[Run]] = {}
    for folder, document in runs:
        number = get(document, "load", "repetition") or 1
        name = folder.name.removesuffix(f"-{number}") if number > 1 else folder.name
        groups.setdefault(name, []).append((folder, document))
    return [_load(name, tuple(own)) for name, own in groups.items()]


def _load(name: str, runs: tuple[Run, ...]) -> Load:
    if len(runs) == 1:
        metrics = runs[0][1].get("metrics") or {}
        return Load(name, runs, headlines(metrics), _intervals(metrics))
    found = together([document.get("metrics") or {} for _, document in runs])
    ends = {key: one.interval for key, one in found.items() if one.interval is not None}
    return Load(name, runs, {key: one.mean for key, one in found.items()}, ends)


def _intervals(metrics: Mapping[str, Any]) -> dict[str, Ends]:
    found: dict[str, Ends] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            for statistic, ends in (value.get("intervals") or {}).items():
                if ends:
                    found[f"{name}.{statistic}"] = (ends[0], ends[1])
    for name, rate in (metrics.get("rates") or {}).items():
        if ends := rate.get("interval"):
            found[name] = (ends[0], ends[1])
    if ends := metrics.get("latency_cv_interval"):
        found["latency_cv"] = (ends[0], ends[1])
    return found


def _second(ends: Ends | None, unit: str) -> str:
    low, high = ends or (None, None)
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"\n≥ {figure(low, unit)}" if high is None else f"\n≤ {figure(high, unit)}"
    return f"\n{span(max(low, 0.0), high, unit)}"


def joined(cells: Sequence[str]) -> str:
    """Cells that are the same once, else the first and the last."""
    different = list(dict.fromkeys(one for one in cells if one != NONE))
    return NONE if not different else different[0] if len(different) == 1 else " … ".join((different[0], different[-1]))


__all__ = ["Document", "Load", "Run", "get", "joined", "loads_of"]
