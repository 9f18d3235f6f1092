"""Dated rows: tables under ``data/`` whose every row names its source, its date and what it holds for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferatlas.catalogue.factfile import CONFIDENCES, bad, check_keys, read_range
from inferatlas.documents import Document, read_document
from inferatlas.quantities import unit_factor

STATUSES = ("documented", "derived", "unverified", "unknown")
NOT_STATED = "not stated"
_ALWAYS = ("value", "unit", "source", "status", "confidence")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?\Z")
_EXTRA_UNITS = {"gCO2e/EFLOP": (1e-18, "gCO2e/FLOP")}  # a ratio only product footprints use


@dataclass(frozen=True, slots=True)
class Row:
    """What every dated row says: a value in SI with its unit, ends of a range, and where it comes from.

    ``status``: *documented* (read in ``source``), *derived* (arithmetic on other rows), *unverified* (no document has
    been opened that says so) or *unknown* (nothing published that we found: ``value`` is None, never a guess).
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    source: str
    address: str | None
    status: str
    confidence: str
    note: str


def read_rows(
    file: Path,
    units: Iterable[str],
    required: Iterable[str],
    optional: Iterable[str] = (),
    words: Mapping[str, tuple[str, ...]] | None = None,
) -> list[dict[str, Any]]:
    """The rows of a table, each as keyword arguments of a `Row` and of the texts named in ``required``, ``optional``.

    Parameters
    ----------
    file : a YAML file with one key ``rows``, a list of mappings.
    units : SI units that ``value`` may have.
    required, optional : keys of a row beside those of `Row`; ``date`` and ``year`` are checked to be one.
    words : what a text may be, by key.

    Raises
    ------
    BadInput : a stray or missing key, an empty text, a unit of another kind, a number that is negative or not finite,
        a date that is none, or a status outside the list; with file and line.
    """
    document = read_document(file)
    check_keys(document, (), document.data, ("rows",))
    rows = document.data["rows"]
    if not isinstance(rows, list) or not rows:
        raise bad(document, "a list of rows is needed here", "rows")
    required, optional, units = tuple(required), tuple(optional), tuple(units)
    lists = {"status": STATUSES, "confidence": CONFIDENCES} | dict(words or {})
    return [_read_row(document, index, row, units, required, optional, lists) for index, row in enumerate(rows)]


def _read_row(
    document: Document,
    index: int,
    row: Any,
    units: tuple[str, ...],
    required: tuple[str, ...],
    optional: tuple[str, ...],
    lists: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    at = ("rows", index)
    check_keys(document, at, row, (*_ALWAYS, *required), ("address", "note", *optional))
    texts = {key: _text(document, (*at, key), value) for key, value in row.items() if key != "value"}
    for key in (*_ALWAYS[1:], *required):
        if not texts[key].strip():
            raise bad(document, f"a row without {key}", *at, key)
    for key, words in lists.items():
        if texts[key] not in words:
            raise bad(document, f"'{texts[key]}' is not a {key}", *at, key, allowed=", ".join(words))
    for key in {"date", "year"} & texts.keys():
        if texts[key] != NOT_STATED and not _DATE.match(texts[key]):
            raise bad(document, f"'{texts[key]}' is not a {key}", *at, key, allowed="2026, 2026-05 or 2026-05-31")
    unit = texts.pop("unit")
    factor, si = _EXTRA_UNITS.get(unit) or unit_factor(unit) or (0.0, "")
    if si not in units:
        raise bad(document, f"'{unit}' is not a unit that fits this table", *at, "unit", allowed=", ".join(units))
    if (row["value"] is None) != (texts["status"] == "unknown"):
        raise bad(document, "status unknown and value null belong together", *at, "value")
    low = high = None
    if row["value"] is not None:
        ends = read_range(document, (*at, "value"), row["value"])
        low, high = ends[0] * factor, ends[1] * factor
    value = None if low is None or high is None else (low + high) / 2
    ranged = isinstance(row["value"], list)
    return dict.fromkeys(optional) | texts | {
        "value": value, "low": low if ranged else None, "high": high if ranged else None, "unit": si,
        "address": texts.get("address") or None, "note": texts.get("note", ""),
    }  # fmt: skip


def _text(document: Document, at: tuple[str | int, ...], value: Any) -> str:
    if value is None or isinstance(value, (bool, list, dict)):
        raise bad(document, "a text is needed here", *at)
    return str(value)
