"""Compare two runs or benches: per metric both values, their ratio with its interval, and whether it is beyond chance.

The JSON of ``bench compare`` is `Comparison.as_dict`::

    {"a", "b": {"path", "label"}, "confidence", "seed", "forced", "conflicts": [text],
     "points": [{"load": {...}, "a": {"runs": [path], "requests"}, "b": {...},
                 "metrics": [{"metric", "statistic", "better": "lower" | "higher", "a", "b", "difference", "ratio",
                              "low", "high", "p", "p_adjusted", "verdict", "method", "n_a", "n_b"}]}],
     "unmatched": {"a": [path], "b": [path]}, "differences": [{"what", "a", "b"}], "warnings": [text]}

``ratio`` is b/a, ``low`` and ``high`` its 95 % interval; ``verdict`` says what B is beside A: better, worse, no
difference shown (adjusted p of 0.05 or more), too few requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.errors import BadInput, ConflictingData
from inferatlas.measure.bench.comparison.chances import CONFIDENCE, holm
from inferatlas.measure.bench.comparison.manifests import Difference, conflicts, differences, lengths_told, warnings
from inferatlas.measure.bench.comparison.measuring import LEAST_RUNS, Compared, chosen_metrics, measured
from inferatlas.measure.bench.comparison.pairing import Point, points_of
from inferatlas.measure.bench.comparison.samples import Sample, read_sample
from inferatlas.measure.bench.record.finding import DEFAULT, Record, find

ALPHA = 1.0 - CONFIDENCE
BETTER, WORSE, NEITHER = "better", "worse", "no difference shown"


@dataclass(frozen=True, slots=True, eq=False)
class ComparedPoint:
    """All metrics of runs of one load."""

    point: Point
    requests: tuple[int, int]
    metrics: tuple[Compared, ...]

    def as_dict(self) -> dict[str, Any]:
        sides = zip("ab", (self.point.a, self.point.b), self.requests, strict=True)
        found = {side: {"runs": [one.name for one in runs], "requests": many} for side, runs, many in sides}
        return {"load": dict(self.point.load), **found, "metrics": [asdict(one) for one in self.metrics]}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two runs or benches beside each other; see the module for its JSON."""

    paths: tuple[str, str]
    labels: tuple[str, str]
    seed: int
    conflicts: tuple[str, ...]
    points: tuple[ComparedPoint, ...]
    unmatched: tuple[tuple[str, ...], tuple[str, ...]]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        sides = {
            name: {"path": path, "label": label}
            for name, path, label in zip("ab", self.paths, self.labels, strict=True)
        }
        return {
            **sides, "confidence": CONFIDENCE, "seed": self.seed, "forced": bool(self.conflicts),
            "conflicts": list(self.conflicts), "points": [one.as_dict() for one in self.points],
            "unmatched": {"a": list(self.unmatched[0]), "b": list(self.unmatched[1])},
            "differences": [asdict(one) for one in self.differences], "warnings": list(self.warnings),
        }  # fmt: skip


def compare(
    a: str | Path, b: str | Path, *, metrics: Sequence[str] = (), force: bool = False, seed: int = 0
) -> Comparison:
    """Compare B with A.

    Parameters
    ----------
    a, b : folders of a run record or of a bench, also by their names below `runs`.
    metrics : as ``ttft``, ``ttft:p99`` or ``output_tokens_per_s``; default: all that both sides have.
    force : compare although the figures do not mean the same. seed : of the resampling.

    Raises
    ------
    BadInput : no record below a folder, damaged tables, unknown metrics; no load that both sides have.
    ConflictingData : other definitions, tokenizers, data sets, APIs, loads or lengths, without ``force``.
    """
    chosen = chosen_metrics(metrics)
    sides, notes = [], []
    for name, path in (("a", a), ("b", b)):
        records, told = _records(path, name)
        sides.append(records)
        notes += told
    points, left_a, left_b = points_of(sides[0], sides[1])
    if not points:
        raise BadInput(
            f"has no load in common with {Path(a).as_posix()}", field="b", allowed="runs of the same loads", file=b
        )
    samples = {one.name: read_sample(one) for point in points for one in (*point.a, *point.b)}
    pairs = [([samples[one.name] for one in p.a], [samples[one.name] for one in p.b]) for p in points]
    names = list(dict.fromkeys(one.name for one in chosen))
    against = list(dict.fromkeys(text for x, y in pairs for text in conflicts(x[0], y[0], names)))
    if against and not force:
        raise ConflictingData(
            f"A and B do not mean the same: {'; '.join(against)}",
            field="b",
            file=b,
            hint="--force compares them anyway",
        )
    rng = np.random.default_rng(seed)
    found = [(point, x, y, measured(x, y, chosen, rng)) for point, (x, y) in zip(points, pairs, strict=True)]
    done = _adjusted(found)
    differ = dict.fromkeys(one for x, y in pairs for one in differences(x[0], y[0]))
    return Comparison(
        (Path(a).as_posix(), Path(b).as_posix()), (_labels(sides[0]), _labels(sides[1])), seed, tuple(against), done,
        (tuple(one.name for one in left_a), tuple(one.name for one in left_b)), tuple(differ),
        tuple(dict.fromkeys([*notes, *_warned(pairs)])),
    )  # fmt: skip


def _records(path: str | Path, field: str) -> tuple[tuple[Record, ...], list[str]]:
    folder = Path(path).expanduser()
    if not folder.exists() and (Path(DEFAULT) / folder).is_dir():
        folder = Path(DEFAULT) / folder
    try:
        found = find([folder])
    except BadInput as error:
        error.field = field
        raise
    if not found.records:
        why = [one.why for one in (*found.damaged, *found.unfinished)]
        raise BadInput(
            f"holds no whole run record{f': {why[0]}' if why else ''}", field=field,
            allowed="the folder of a run or of a bench", file=folder,
        )  # fmt: skip
    notes = [f"{field.upper()}: {one.path.as_posix()}: {one.why}" for one in (*found.unfinished, *found.damaged)]
    return found.records, notes


def _labels(records: Sequence[Record]) -> str:
    return ", ".join(sorted({str(one.document.get("label") or one.document.get("kind")) for one in records}))


def _warned(pairs: Sequence[tuple[list[Sample], list[Sample]]]) -> list[str]:
    found = [text for x, y in pairs for text in (*warnings("A", x), *warnings("B", y), *lengths_told(x, y))]
    if any(min(len(x), len(y)) < LEAST_RUNS for x, y in pairs):
        found.append(
            f"fewer than {LEAST_RUNS} repetitions of a load on a side: intervals tell how requests vary within a run, "
            "not how runs vary"
        )
    if any(x[0].targets != y[0].targets for x, y in pairs):
        found.append("goodput is not compared: the sides have other targets")
    return found


def _adjusted(found: Sequence[tuple[Point, list[Sample], list[Sample], list[Compared]]]) -> tuple[ComparedPoint, ...]:
    """p-values for all metrics of all points together, and the verdicts that follow."""
    adjusted = iter(holm([one.p for *_, metrics in found for one in metrics]))
    done = []
    for point, x, y, metrics in found:
        told = tuple(_told(one, next(adjusted)) for one in metrics)
        done.append(ComparedPoint(point, (sum(one.size for one in x), sum(one.size for one in y)), told))
    return tuple(done)


def _told(one: Compared, p: float | None) -> Compared:
    if p is None or one.difference is None:
        return one
    if p >= ALPHA:
        return replace(one, p_adjusted=p, verdict=NEITHER)
    less = one.difference < 0
    return replace(one, p_adjusted=p, verdict=BETTER if less == (one.better == "lower") else WORSE)


__all__ = ["BETTER", "NEITHER", "WORSE", "ComparedPoint", "Comparison", "compare"]
