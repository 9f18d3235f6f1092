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
from inferatlas.evidence.fitting import COEFFICIENTS, POWER, Fit, entry_values, fit, tuned
from inferatlas.evidence.leaving_out import Left, largest, leave_out, residuals, scored
from inferatlas.evidence.observations import observations, power_observations
from inferatlas.evidence.questions import KEYS, Questions, questions
from inferatlas.evidence.sources import harness
from inferatlas.evidence.table import METRICS
from inferatlas.predict.performance.calibrated import FILE, FORMAT, NOTHING
from inferatlas.predict.performance.coefficients import TUNED, levels

LEFT_OUT = "left_out.json"
ROWS = "rows.json"
MARK = "_mark"
LEAST = 50  # figures below which nothing is worth fitting
TRUST = {"A": 0.3, "B": 0.15, "C": 0.0}  # weights of `other_classes`-like tables; C are bounds, not targets


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


def level_names(asked: Questions) -> list[tuple[str, ...]]:
    """The levels of every entry."""
    out = []
    platforms = [(a.ops.model.id, p) for a in asked.asked for p in a.platforms]
    for (model, p), entry in zip(platforms, asked.entries, strict=True):
        out.append(
            levels(
                architectural_class=p.device.architectural_class, vendor=p.device.vendor, accelerator=p.device.id,
                engine=p.engine.name, era=p.era, version=p.version, weights=p.precision.weights, compute=p.compute,
                model=model, source=harness(entry["source"]), drafted=p.drafted, style=p.device.style,
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
    frame = frame.with_columns(pl.Series(MARK, fingerprint(frame), dtype=pl.String))  # of figures as they were read
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
    left = leave_out(asked, names, fits)
    batch_seen, context_seen = largest(asked)
    rows: dict[str, str] = {}
    for row, mark in asked.frame.select("row_id", MARK).iter_rows():
        rows[row] = f"{rows[row]} {mark}" if row in rows else mark  # nothing keeps tables from repeating an id
    document = {
        "format": FORMAT,
        "date": date,
        "rows": asked.frame.height,
        "figures": len(seen.row) + len(watts.row),
        "sources": dict(Counter(asked.frame["source"].fill_null("unnamed").to_list())),
        "points": {name: n for name, n in sorted(counts.items()) if not name.startswith("harness:")},
        "effects": _effects(fits),
        "width": _rounded(intervals.widths(residuals(asked, left), batch_seen=batch_seen, context_seen=context_seen)),
    }
    document["version"] = version_of(document, rows)
    return Calibrated(document, _companion(asked, left), rows, _scores(asked, left), asked.skipped)


def version_of(document: dict[str, Any], rows: dict[str, str]) -> str:
    """Date and eight digits of what was learned and from which rows: other coefficients have another version."""
    learned = json.dumps([rows, document["effects"], document["width"]], sort_keys=True)
    return f"{document['date']}/{hashlib.sha256(learned.encode()).hexdigest()[:8]}"


def _scores(asked: Questions, left: Sequence[Left]) -> list[dict[str, Any]]:
    """Median errors per kind of leaving out and metric."""
    out = []
    for kept in left:
        for metric in METRICS:
            ape = np.abs(kept.found[metric] / scored(asked.frame, metric) - 1.0)
            ape = ape[np.isfinite(ape) & kept.rows]
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


def _companion(asked: Questions, left: Sequence[Left]) -> dict[str, Any]:
    """Per entry, coefficients on their links and level of evidence with its group left out."""
    kept = next(one for one in left if one.kind == "group")
    links = np.concatenate(kept.links, axis=1)
    names = [*COEFFICIENTS, *(POWER if len(kept.links) > 1 else ())]
    return {
        "coefficients": names,
        "entries": {
            entry_key(entry): {
                "closest": [*kept.close[e]],
                "links": [None if not np.isfinite(x) else round(float(x), 5) for x in links[e]],
            }
            for e, entry in enumerate(asked.entries)
        },
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return float(f"{float(value):.5g}")
