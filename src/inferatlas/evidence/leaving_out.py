"""What is predicted of rows that were left out of the fit, and how far that is from what was measured.

Each kind of leaving out asks another question: a configuration like those measured ("nothing"), another model there
("group": accelerator, engine and model together; "model"), another machine ("accelerator"), somebody else's
measurement ("source"), and larger batches or contexts than any measured ("batch", "context").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from inferatlas.evidence.answers import answers
from inferatlas.evidence.fitting import Fit, entry_values, tuned
from inferatlas.evidence.intervals import Residuals, group_numbers
from inferatlas.evidence.observations import FIRST_TOKEN
from inferatlas.evidence.questions import Questions
from inferatlas.evidence.sources import harness
from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.calibrated import Calibration
from inferatlas.predict.performance.coefficients import ANSWERING, TUNED, Closest, answering
from inferatlas.predict.performance.points import OFFLINE
from inferatlas.predict.performance.widths import UNCALIBRATED

IN_SAMPLE = 1.25  # assumed: a new point of a fitted configuration errs this much more than the fitted ones
QUARTER = 0.25  # of the largest batch and context: what lies above is left out to see how errors grow
SIGMAS: dict[str, str] = dict(
    zip(METRICS, ("ttft_sigma", "itl_sigma", "latency_sigma", "rate_sigma", "power_sigma"), strict=True)
)
Names = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Left:
    """Predictions with one kind of thing left out.

    ``links`` [entry, K] per fit and how ``close`` evidence comes to each entry, both without it; ``rows`` of the
    frame that it says something about; ``doublings`` beyond what was kept.
    """

    kind: str
    found: dict[str, Floats]
    links: list[Floats]
    close: list[Closest]
    rows: NDArray[np.bool_]
    doublings: Floats


def leave_out(asked: Questions, names: Names, fits: Sequence[Fit]) -> list[Left]:
    """Every kind of leaving out; ``names`` are the levels of the entries, ``fits`` of times and, if any, of power."""
    platforms = [(a.ops.model.id, p) for a in asked.asked for p in a.platforms]
    case = [(p.device.id, p.engine.name, m) for m, p in platforms]
    values = {name: entry_values(asked, name) for name in TUNED}
    whole, none = np.ones(asked.frame.height, dtype=bool), np.zeros(asked.frame.height)

    def left(kind: str, links: list[Floats], close: list[Closest], rows: NDArray[np.bool_], beyond: Floats) -> Left:
        coefficients: dict[str, Floats] = {}
        for f, link in zip(fits, links, strict=True):
            coefficients |= tuned(f.names, link, values)
        return Left(kind, answers(asked, coefficients), links, close, rows, beyond)

    out = [left("nothing", [f.links for f in fits], _close(asked, names, whole), whole, none)]
    keys = {"group": case, "accelerator": [c[:1] for c in case], "model": [c[2:] for c in case]}
    for kind, key in keys.items():
        number = group_numbers(key)
        members = [np.flatnonzero(number == g) for g in range(number.max() + 1)]
        links = [f.without([sorted(set(f.tree.case[m])) for m in members]) for f in fits]
        close = [Closest("")] * len(names)
        for own in members:
            kept = _close(asked, names, ~np.isin(asked.entry, own))
            for e in own:
                close[e] = kept[e]
        out.append(left(kind, links, close, whole, none))
    sources = group_numbers([(harness(entry["source"]) or "",) for entry in asked.entries])
    if sources.max() > 0:
        links, close = [f.links.copy() for f in fits], [Closest("")] * len(names)
        for g in range(sources.max() + 1):
            keep = sources[asked.entry] != g
            kept, new = _close(asked, names, keep), [f.keeping(keep) for f in fits]
            for e in np.flatnonzero(sources == g):
                close[e] = kept[e]
                for mine, other in zip(links, new, strict=True):
                    mine[e] = other[e]
        out.append(left("source", links, close, whole, none))
    for kind, size, limit in large(asked):
        rows = size > limit
        if rows.any() and not rows.all():
            links = [f.keeping(~rows) for f in fits]
            out.append(left(kind, links, _close(asked, names, ~rows), rows, np.log2(np.maximum(size / limit, 1.0))))
    return out


def large(asked: Questions) -> Iterator[tuple[str, Floats, float]]:
    """Kinds of size with the size of every row and what counts as large; offline runs state no batch."""
    batch = asked.frame["concurrency"].fill_null(1.0).to_numpy()
    context = (asked.frame["input_tokens"] + asked.frame["output_tokens"]).to_numpy()
    yield "batch", np.where(batch >= OFFLINE, 1.0, batch), QUARTER * largest(asked)[0]
    yield "context", context, QUARTER * largest(asked)[1]


def largest(asked: Questions) -> tuple[float, float]:
    """The largest batch and context that were measured (of contexts, all but one in a hundred)."""
    batch, frame = asked.frame["concurrency"].fill_null(1.0), asked.frame
    most = batch.filter(batch < OFFLINE).quantile(0.99) or 1.0
    return float(most), float((frame["input_tokens"] + frame["output_tokens"]).quantile(0.99) or 1.0)


def _close(asked: Questions, names: Names, keep: NDArray[np.bool_]) -> list[Closest]:
    """How close evidence comes to every entry where only some rows were fitted."""
    per_entry = np.bincount(asked.entry[keep], minlength=len(names))
    counts: Counter[str] = Counter()
    for own, count in zip(names, per_entry, strict=True):
        if count:
            counts.update(dict.fromkeys(own, int(count)))
    learned = Calibration("", "", {}, counts, {})
    return [answering(learned, own) for own in names]


def residuals(asked: Questions, left: Sequence[Left]) -> dict[str, Residuals]:
    """Residuals per metric, all kinds of leaving out together."""
    frame = asked.frame
    text = {c: frame[c].fill_null("").to_numpy().astype(str) for c in ("accelerator", "engine", "model")}
    group = group_numbers(list(zip(*text.values(), strict=True)))
    static = (frame["load"].fill_null("") == "static_batch").to_numpy()
    platforms = [(a.ops.model.id, p) for a in asked.asked for p in a.platforms]
    of_entry = (
        np.array([p.device.vendor for _, p in platforms]),
        np.array([p.device.id for _, p in platforms]),
        np.array([p.engine.name for _, p in platforms]),
        np.array([m for m, _ in platforms]),
    )
    vendor, accelerator, engine, model = (x[asked.entry] for x in of_entry)
    experts = np.zeros(frame.height, dtype=bool)
    for part in asked.asked:
        experts[part.rows] = bool(part.ops.experts)
    out = {}
    for metric in METRICS:
        measured = scored(frame, metric)
        parts = []
        for one in left:
            with np.errstate(divide="ignore", invalid="ignore"):
                size = np.abs(np.log(one.found[metric] / measured))
            if one.kind == "nothing":  # what was fitted flatters itself
                size = size * IN_SAMPLE
            level = np.array([ANSWERING.index(near.level) for near in one.close])[asked.entry]
            known = np.array([near.model for near in one.close])[asked.entry]
            kind = np.full(len(size), one.kind, dtype="<U12")
            every = Residuals(
                size, own_sigma(metric, one.found), static, experts, level, group, vendor, accelerator, engine, model,
                kind, known, one.doublings,
            )  # fmt: skip
            parts.append(every.where(np.isfinite(size) & one.rows))
        out[metric] = Residuals.joined(parts)
    return out


def own_sigma(metric: str, found: dict[str, Floats]) -> Floats:
    """The predictor's own log standard deviation behind an uncalibrated interval."""
    return found[SIGMAS[metric]] / UNCALIBRATED


def scored(frame: pl.DataFrame, metric: str) -> Floats:
    """Measured figures of a metric, NaN where the row has none or means something else by it."""
    column = pl.when(pl.col(metric) > 0).then(pl.col(metric))
    if metric == "latency_s":
        column = pl.when(pl.col("latency_meaning").fill_null("") != FIRST_TOKEN).then(column)
    return frame.select(column.alias(metric))[metric].fill_null(np.nan).to_numpy()
