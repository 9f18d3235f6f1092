"""From the rows of a reader to an evidence table: gaps filled, names resolved, what cannot be kept out and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from inferatlas.errors import BadInput
from inferatlas.evidence import table
from inferatlas.evidence.importers import names, physics
from inferatlas.evidence.importers.problems import KINDS, Imported, Problem, place
from inferatlas.evidence.importers.rows import Bad, Format, Row, Unreadable

DISCOUNT = 0.3  # weight of a row to which a caution applies
CONFIGURATION = (
    "accelerator", "engine", "engine_version", "model", "weights", "activations", "kv_cache", "load", *table.COUNTS,
)  # fmt: skip
_LISTED = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s", "power_w")


@dataclass(slots=True)
class _Unknown:
    file: str
    row: int
    near: tuple[str, ...]
    count: int = 0


@dataclass(slots=True)
class _Gathered:
    """Rows as dicts with their places, and the problems on the way."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unknown: dict[tuple[str, str], _Unknown] = field(default_factory=dict)
    files: int = 0
    read: int = 0
    skipped: int = 0


def collect(name: str, kind: Format, path: Path, given: Mapping[str, Any], *, invalid: bool = False) -> Imported:
    """Read every file of a format under ``path``; see `importers.import_evidence`."""
    defaults = _checked(given)
    gathered = _Gathered()
    for file in _files(path, kind):
        gathered.files += 1
        _read(gathered, name, kind, file, path, defaults, invalid)
    columns = {
        column: pl.Series(column, [row.get(column) for row in gathered.rows], dtype=dtype)
        for column, dtype in table.SCHEMA.items()
    }
    frame = table.conform(pl.DataFrame(columns), name)
    keep = _without_duplicates(frame, gathered)
    for index, found in enumerate(physics.judge(frame)):
        if found is not None and keep[index]:
            keep[index] = False
            gathered.problems.append(Problem(found.kind, *gathered.places[index], found.text))
    problems = [*_unknown_names(gathered), *gathered.problems]
    kept = frame.filter(pl.Series(keep, dtype=pl.Boolean))
    number = Counter(problem.kind for problem in problems)
    counts = {"files": gathered.files, "rows": gathered.read, "kept": kept.height, "skipped": gathered.skipped}
    return Imported(kept, tuple(problems), counts | {one: number[one] for one in KINDS})


def _files(path: Path, kind: Format) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInput("no such file or folder", field="path", file=path)
    for glob in kind.globs:
        if found := sorted(file for file in path.rglob(glob) if file.is_file()):
            return found
    raise BadInput("no file of this format in the folder", field="path", allowed=", ".join(kind.globs), file=path)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller gives for empty columns, checked."""
    allowed = [column for column in table.SCHEMA if column not in ("row_id", *_LISTED)]
    checked: dict[str, Any] = {}
    for column, value in given.items():
        if column not in allowed:
            raise BadInput(f"'{column}' cannot be given", field="given", allowed=", ".join(allowed))
        if column in table.NUMBERS:
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = -1.0
            if not 0 < number < float("inf"):
                raise BadInput(f"'{value}' is not a number above 0", field=column)
            checked[column] = number
        else:
            if not isinstance(value, str) or not value.strip():
                raise BadInput("a text is needed here", field=column)
            if column == "load" and value not in table.LOADS:
                raise BadInput(f"unknown load '{value}'", field=column, allowed=", ".join(table.LOADS))
            checked[column] = value.strip()
    return checked


def _read(
    gathered: _Gathered, name: str, kind: Format, file: Path, root: Path, defaults: dict[str, Any], invalid: bool
) -> None:
    where, before = place(file, root), gathered.read
    try:
        for found in kind.read(file):
            gathered.read += 1
            if found is None:
                gathered.skipped += 1
            elif isinstance(found, Bad):
                gathered.problems.append(_unreadable(where, found.number, found.why))
            elif found.invalid is not None and not invalid:
                gathered.problems.append(Problem("invalid", where, found.number, found.invalid))
            else:
                try:
                    cells = _finished(gathered, found, where, defaults)
                except Unreadable as why:
                    gathered.problems.append(_unreadable(where, found.number, why))
                    continue
                gathered.rows.append(cells | {"row_id": f"{name}:{where}:{found.number}"})
                gathered.places.append((where, found.number))
    except Unreadable as why:
        gathered.problems.append(_unreadable(where, None, why))
    else:
        if gathered.read == before:
            gathered.problems.append(Problem("unreadable", where, None, "the file holds no rows"))


def _unreadable(where: str, row: int | None, why: Unreadable) -> Problem:
    return Problem("unreadable", where, row, why.detail, why.hint)


def _finished(gathered: _Gathered, row: Row, where: str, defaults: dict[str, Any]) -> dict[str, Any]:
    v = row.values
    for column, value in defaults.items():
        if v.get(column) is None:
            v[column] = value
    for column, value in row.late.items():
        if column in table.SCHEMA and v.get(column) is None and value is not None:
            v[column] = value
            row.assumed.add(column)
    if row.derive is not None:
        row.derive(row)
    for column, value in v.items():
        if column in table.TEXT and value is not None and not isinstance(value, str):
            raise Unreadable(f"{column}: {str(value)[:40]!r} is not a text")
    _name(gathered, row, where)
    if v.get("weights") is None:
        row.cautions.append("weight format not stated")
    if v.get("accelerators") is None:
        row.cautions.append("number of accelerators not stated")
    v["engine"] = names.engine(v.get("engine"))
    v["quality"] = "caution" if row.cautions else v.get("quality") or "ok"
    v["weight"] = v.get("weight") or (DISCOUNT if row.cautions else 1.0)
    notes = [*([v["notes"]] if v.get("notes") else []), *row.notes]
    if row.cautions:
        notes.append(f"weight {v['weight']:g}: {'; '.join(row.cautions)}")
    v["notes"] = "; ".join(notes) or None
    return v


def _name(gathered: _Gathered, row: Row, where: str) -> None:
    """Printed names to slugs; what the catalogue lacks is kept as printed and listed once."""
    v = row.values
    for kind, find in (("model", names.model), ("accelerator", names.accelerator)):
        printed = v.get(kind)
        found = find(printed) if printed else None
        if found is None or not found.known:
            key = (f"unknown_{kind}", "" if found is None else found.printed)
            entry = gathered.unknown.setdefault(key, _Unknown(where, row.number, found.near if found else ()))
            entry.count += 1
        if found is None:
            continue
        v[kind] = found.slug
        if found.slug != printed:
            row.notes.append(f"{kind} printed {found.printed[: names.LONGEST]!r}")
        if kind == "model" and found.weights and v.get("weights") is None:
            v["weights"] = found.weights
            row.notes.append("weight format from the model's name")
    for column in ("weights", "activations", "kv_cache"):
        v[column] = names.precision(v.get(column), v.get("accelerator") or "", v.get("model") or "")


def _without_duplicates(frame: pl.DataFrame, gathered: _Gathered) -> list[bool]:
    """Which rows are the first of their configuration and figures; the others are reported."""
    key = [*CONFIGURATION, *_LISTED]
    first: dict[Any, int] = {}
    keep = [True] * frame.height
    for index, cells in enumerate(frame.select(key).iter_rows()):
        old = first.setdefault(cells, index)
        if old != index:
            keep[index] = False
            twin = frame["row_id"][old]
            gathered.problems.append(
                Problem("duplicate", *gathered.places[index], f"same configuration and figures as {twin}")
            )
    return keep


def _unknown_names(gathered: _Gathered) -> Iterator[Problem]:
    for (kind, printed), entry in gathered.unknown.items():
        what = kind.removeprefix("unknown_")
        rows = f"{entry.count} row{'s' if entry.count > 1 else ''}"
        if printed:
            detail = f"unknown {what} {printed[: names.LONGEST]!r} in {rows}"
            hint = f"did you mean {' or '.join(entry.near)}?" if entry.near else None
        else:
            detail, hint = f"no {what} named in {rows}", f"give one: {what}=..."
        yield Problem(kind, entry.file, entry.row, detail, hint)
