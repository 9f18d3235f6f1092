"""Calibrate the predictor on a table of measured points, and write what was learned as data."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from inferatlas.errors import ConflictingData
from inferatlas.evidence import intervals
from inferatlas.evidence.answers import answers
from inferatlas.evidence.fitting import COEFFICIENTS, POWER, Fit, entry_values, fit, tuned
from inferatlas.evidence.observations import FIRST_TOKEN, observations, power_observations
from inferatlas.evidence.questions import KEYS, Questions, questions
from inferatlas.evidence.sources import harness
from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.calibrated import FILE, FORMAT, NOTHING, Calibration
from inferatlas.predict.performance.coefficients import ANSWERING, TUNED, answering, levels
from inferatlas.predict.performance.widths import UNCALIBRATED

LEFT_OUT = "left_out.json"
ROWS = "rows.json"
IN_SAMPLE = 1.25  # assumed: a new point of a fitted configuration errs this much more than the fitted ones
SIGMAS: dict[str, str] = dict(
    zip(METRICS, ("ttft_sigma", "itl_sigma", "latency_sigma", "rate_sigma", "power_sigma"), strict=True)
)
LEAST = 50  # figures below which nothing is worth fitting
TRUST = {"A": 0.3, "B": 0.15, "C": 0.0}  # weights of `other_classes`-like tables; C are bounds, not targets
Names = list[tuple[str, ...]]


@dataclass(frozen=True)
class Calibrated:
    """``document`` is the coefficients file, ``left_out`` and ``rows`` its companions, ``scores`` the report."""

    document: dict[str, Any]
    left_out: dict[str, Any]
    rows: dict[str, str]
    scores: list[dict[str, Any]]
    skipped: dict[str, int]

    def write(self, folder: Path) -> list[Path]:
        """Write the three files; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {FILE: self.document, LEFT_OUT: self.left_out, ROWS: self.rows}
        for name, data in files.items():
            text = json.dumps(data, indent=0 if name == FILE else None, sort_keys=True)
            (folder / name).write_text(text + "\n", encoding="utf-8")
        return [folder / name for name in files]


def fingerprint(frame: pl.DataFrame) -> list[str]:
    """Eight hexadecimal digits of each row's figures: the same id with other figures is another row."""
    text = frame.select(pl.concat_str([pl.col(m).cast(pl.String).fill_null("") for m in METRICS], separator="|"))
    return [hashlib.sha256(row.encode()).hexdigest()[:8] for row in text.to_series()]


def level_names(asked: Questions) -> Names:
    """The levels of every entry."""
    out = []
    platforms = [(a.ops.model.id, p) for a in asked.asked for p in a.platforms]
    for (model, p), entry in zip(platforms, asked.entries, strict=True):
        out.append(
            levels(
                architectural_class=p.device.architectural_class, vendor=p.device.vendor, accelerator=p.device.id,
                engine=p.engine.name, era=p.era, version=p.version, weights=p.precision.weights, compute=p.compute,
                model=model, source=harness(entry["source"]), drafted=p.drafted,
            )
        )  # fmt: skip
    return out


def calibrate(frame: pl.DataFrame, *, date: str, progress: Callable[[int], None] | None = None) -> Calibrated:
    """Fit effects and interval widths to a table.

    Parameters
    ----------
    frame : an evidence table; rows with ``weight`` 0 are ignored, a ``trust`` column weighs as `TRUST` says.
    date : of the calibration, ISO.
    progress : called once a round of the fit.

    Raises
    ------
    ConflictingData : fewer than `LEAST` figures can be fitted.
    """
    if "trust" in frame.columns:
        trusted = pl.col("trust").replace_strict(TRUST, default=None, return_dtype=pl.Float64)
        frame = frame.with_columns(weight=pl.coalesce(trusted, "weight"))
    asked = questions(frame.filter(pl.col("weight").fill_null(1.0) > 0), NOTHING)
    seen, watts = observations(asked), power_observations(asked)
    if len(seen.row) < LEAST:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in asked.skipped.items())
        raise ConflictingData(
            f"{len(seen.row)} figures can be fitted", field="table", allowed=f"{LEAST} or more", hint=reasons or None
        )
    names = level_names(asked)
    times = fit(asked, seen, names, COEFFICIENTS, progress=progress)
    values = {name: entry_values(asked, name) for name in TUNED}
    power = None
    if len(watts.row) >= LEAST:
        power = fit(asked, watts, names, POWER, fixed=tuned(times.names, times.links, values), progress=progress)
    fits = [f for f in (times, power) if f is not None]
    counts = Counter(name for e in asked.entry for name in set(names[e]))
    left = _left_out(asked, names, fits, values, counts)
    sets = _residuals(asked, left)
    rows: dict[str, str] = {}
    for row, mark in zip(asked.frame["row_id"].to_list(), fingerprint(asked.frame), strict=True):
        rows[row] = f"{rows[row]} {mark}" if row in rows else mark  # nothing keeps tables from repeating an id
    document = {
        "format": FORMAT,
        "version": f"{date}/{hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:8]}",
        "date": date,
        "rows": asked.frame.height,
        "figures": len(seen.row) + len(watts.row),
        "sources": dict(Counter(asked.frame["source"].fill_null("unnamed").to_list())),
        "points": {name: n for name, n in sorted(counts.items()) if not name.startswith(("source:", "harness:"))},
        "effects": _effects(fits),
        "width": _rounded(
            intervals.widths(
                sets,
                batch_seen=float(asked.frame["concurrency"].max() or 1.0),  # type: ignore[arg-type]
                context_seen=float((asked.frame["input_tokens"] + asked.frame["output_tokens"]).quantile(0.99) or 1.0),
            )
        ),
    }
    return Calibrated(document, _companion(asked, left), rows, _scores(asked, left), asked.skipped)


@dataclass(frozen=True)
class _Left:
    """Predictions and levels with one kind of group left out; ``links`` per fit."""

    kind: str
    found: dict[str, Floats]
    links: list[Floats]
    level: list[str]  # per entry


def _left_out(
    asked: Questions, names: Names, fits: Sequence[Fit], values: dict[str, Floats], counts: Counter[str]
) -> list[_Left]:
    """With nothing, the group (accelerator, engine, model), the accelerator and the model left out."""
    platforms = [(a.ops.model.id, p) for a in asked.asked for p in a.platforms]
    keys: dict[str, list[tuple[str, ...]]] = {
        "nothing": [],
        "group": [(p.device.id, p.engine.name, m) for m, p in platforms],
        "accelerator": [(p.device.id,) for _, p in platforms],
        "model": [(m,) for m, _ in platforms],
    }
    per_entry = Counter(asked.entry.tolist())
    out = []
    for kind, key in keys.items():
        if not key:
            links = [f.links for f in fits]
            level = [answering(_counted(counts), n)[0] for n in names]
        else:
            number = intervals.group_numbers(key)
            links = [f.without([sorted(set(f.tree.case[number == g])) for g in range(number.max() + 1)]) for f in fits]
            level = [""] * len(names)
            for g in range(number.max() + 1):
                entries = np.flatnonzero(number == g)
                without = counts.copy()
                for e in entries:
                    without.subtract({name: per_entry[int(e)] for name in set(names[e])})
                for e in entries:
                    level[e] = answering(_counted(without), names[e])[0]
        coefficients: dict[str, Floats] = {}
        for f, link in zip(fits, links, strict=True):
            coefficients |= tuned(f.names, link, values)
        out.append(_Left(kind, answers(asked, coefficients), links, level))
    return out


def _counted(counts: Counter[str]) -> Calibration:
    return Calibration("", "", {}, counts, {})


def _residuals(asked: Questions, left: Sequence[_Left]) -> dict[str, intervals.Residuals]:
    """Residuals per metric, all kinds of leaving out together."""
    group = intervals.group_numbers(
        list(asked.frame.select(pl.col("accelerator", "engine", "model").fill_null("")).iter_rows())
    )
    static = (asked.frame["load"].fill_null("") == "static_batch").to_numpy()
    vendor = np.array([p.device.vendor for a in asked.asked for p in a.platforms])[asked.entry]
    experts = np.zeros(asked.frame.height, dtype=bool)
    for part in asked.asked:
        experts[part.rows] = bool(part.ops.experts)
    out = {}
    for metric in METRICS:
        measured = scored(asked.frame, metric)
        columns: list[tuple[Any, ...]] = []
        for kept in left:
            with np.errstate(divide="ignore", invalid="ignore"):
                size = np.abs(np.log(kept.found[metric] / measured))
            if kept.kind == "nothing":  # what was fitted flatters itself
                size = size * IN_SAMPLE
            ok = np.isfinite(size)
            level = np.array([ANSWERING.index(x) for x in kept.level])[asked.entry]
            own = own_sigma(metric, kept.found)
            unseen = np.full(len(size), kept.kind == "accelerator")
            columns.append(tuple(x[ok] for x in (size, own, static, experts, level, group, vendor, unseen)))
        out[metric] = intervals.Residuals(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))
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


def _scores(asked: Questions, left: Sequence[_Left]) -> list[dict[str, Any]]:
    """Median errors per kind of leaving out and metric."""
    out = []
    for kept in left:
        for metric in METRICS:
            ape = np.abs(kept.found[metric] / scored(asked.frame, metric) - 1.0)
            ape = ape[np.isfinite(ape)]
            if ape.size:
                out.append(
                    {"left_out": kept.kind, "metric": metric, "n": int(ape.size), "median_ape": float(np.median(ape))}
                )
    return out


def _effects(fits: Sequence[Fit]) -> dict[str, dict[str, float]]:
    """Effects by coefficient and level; what moves nothing by a ten-thousandth is left away."""
    out: dict[str, dict[str, float]] = {}
    for f in fits:
        names = (*f.tree.levels, *f.tree.cases)
        table = np.concatenate([f.effects, f.case_effects])
        for k, coefficient in enumerate(f.names):
            out[coefficient] = {
                name: round(float(x), 5) for name, x in zip(names, table[:, k], strict=True) if abs(x) > 1e-4
            }
    return out


def entry_key(entry: dict[str, str]) -> str:
    """An entry of `Questions` as one text."""
    return "|".join(entry[name] for name in KEYS)


def _companion(asked: Questions, left: Sequence[_Left]) -> dict[str, Any]:
    """Per entry, coefficients on their links and level of evidence with its group left out."""
    kept = next(one for one in left if one.kind == "group")
    links = np.concatenate(kept.links, axis=1)
    names = [*COEFFICIENTS, *(POWER if len(kept.links) > 1 else ())]
    return {
        "coefficients": names,
        "entries": {
            entry_key(entry): {
                "level": kept.level[e],
                "links": [None if not np.isfinite(x) else round(float(x), 5) for x in links[e]],
            }
            for e, entry in enumerate(asked.entries)
        },
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return float(f"{float(value):.5g}")
