"""From the ``facts:`` part of a YAML file to a `FactSheet`, refusing what cannot be trusted (with its line)."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

from inferatlas.catalogue.accelerator import SUPPORT
from inferatlas.catalogue.facts import PROVENANCES, STATUSES, Fact, FactSheet
from inferatlas.catalogue.fields import LIMITS, OBSERVATIONS, TEXT, known_fields, si_factor, units_of
from inferatlas.documents import Document
from inferatlas.errors import BadInput

CONFIDENCES = ("high", "medium-high", "medium", "low-medium", "low")
FACT_KEYS = (
    "value", "unit", "printed", "condition", "status", "provenance", "confidence", "source", "address", "note",
)  # fmt: skip
_REQUIRED = ("value", "status", "provenance")
_SDK = "software.proprietary_sdk"  # the one software field in free words
_WORDS = {"status": STATUSES, "provenance": PROVENANCES, "confidence": CONFIDENCES}


def bad(
    document: Document, message: str, *path: str | int, allowed: str | None = None, hint: str | None = None
) -> BadInput:
    """The error for what stands at ``path`` of a document: file, line and dotted field filled in."""
    field = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    line = document.line(path)
    return BadInput(message, field=field or None, allowed=allowed, hint=hint, file=document.file, line=line)


def check_keys(document: Document, at: tuple[str | int, ...], data: Any, required: Iterable[str], optional=()) -> None:
    """Refuse a mapping with a stray or a missing key (or what is no mapping at all)."""
    required, optional = tuple(required), tuple(optional)
    if not isinstance(data, dict):
        raise bad(document, "a mapping is needed here", *at, allowed=", ".join(required + optional))
    for key in data:
        if key not in required and key not in optional:
            near = difflib.get_close_matches(key, required + optional, n=1)
            hint = f"did you mean {near[0]}?" if near else None
            raise bad(
                document,
                f"unknown key '{key}'",
                *at,
                key,
                allowed=", ".join(dict.fromkeys(required + optional)),
                hint=hint,
            )
    for key in required:
        if key not in data:
            raise bad(document, f"the key '{key}' is missing", *at)


def read_facts(document: Document, kind: str) -> FactSheet:
    """The facts of a file as a sheet in SI units.

    Parameters
    ----------
    document : the file; its key ``facts`` maps each field to a list of facts.
    kind : the table of `fields.FIELD_UNITS` to hold the fields against.

    Raises
    ------
    BadInput : an unknown field or key, a value without source, a unit that does not fit the field, a number that is
        negative or not finite, a status or provenance outside the list, or two used facts for one field.
    """
    facts = document.data.get("facts")
    if not isinstance(facts, dict):
        raise bad(document, "a mapping of fields to lists of facts is needed here", "facts")
    return FactSheet(fact for field, rivals in facts.items() for fact in _read_field(document, field, rivals, kind))


def _read_field(document: Document, field: str, rivals: Any, kind: str) -> list[Fact]:
    at = ("facts", field)
    units = units_of(field, kind)
    if units is None:
        near = difflib.get_close_matches(field, known_fields(kind), n=1)
        raise bad(
            document, f"unknown field '{field}'", *at, allowed=", ".join(known_fields(kind)),
            hint=f"did you mean {near[0]}?" if near else None,
        )  # fmt: skip
    if not isinstance(rivals, list) or not rivals:
        raise bad(document, "a list of facts is needed here", *at, allowed="- {value: ..., unit: ..., source: ...}")
    facts = [_read_fact(document, field, index, fact, units) for index, fact in enumerate(rivals)]
    used = [index for index, fact in enumerate(facts) if fact.used]
    if len(used) > 1 and not field.startswith(OBSERVATIONS):
        raise bad(document, "two facts of this field are in use", *at, used[1], allowed="one chosen or unverified fact")
    return facts


def _read_fact(document: Document, field: str, index: int, data: Any, units: tuple[str, ...]) -> Fact:
    at = ("facts", field, index)
    if not isinstance(data, dict) or not data.keys() <= _KEYS or not data.keys() >= _NEEDED:
        check_keys(document, at, data, _REQUIRED, FACT_KEYS)
    for key, value in data.items():
        if key != "value" and not isinstance(value, str):
            raise bad(document, f"'{value}' is not a text (quote it)", *at, key)
    for key, words in _WORDS.items():
        if key in data and data[key] not in words:
            raise bad(document, f"'{data[key]}' is not a {key}", *at, key, allowed=", ".join(words))
    gap, source, address = data["provenance"] == "gap", data.get("source", ""), data.get("address") or None
    if not source.strip() and not gap:
        raise bad(document, "a value without source", *at, allowed="a source, or provenance: gap with value: null")
    if address is not None and not all(part.startswith(("https://", "http://")) for part in address.split(" ; ")):
        raise bad(document, f"'{address}' is not a public address", *at, "address", allowed="https://...")
    if data["provenance"] == "recalled" and data["status"] == "chosen":
        raise bad(document, "a recalled value cannot be chosen", *at, "status", allowed="unverified, until it is read")
    if gap and data["value"] is not None:
        raise bad(document, "a gap has no value", *at, "value", allowed="null")
    value, low, high, unit = _in_si(document, at, data["value"], data.get("unit", ""), units)
    if field in LIMITS and isinstance(value, float) and not LIMITS[field][0] <= value <= LIMITS[field][1]:
        least, most = LIMITS[field]
        raise bad(document, f"{value:g} is out of range", *at, "value", allowed=f"{least:g} to {most:g}")
    if field.startswith("software.") and field != _SDK and value is not None and value not in SUPPORT:
        raise bad(document, f"'{value}' is not a level of support", *at, "value", allowed=", ".join(SUPPORT))
    printed_unit = "" if "printed" in data else data.get("unit", "")  # a text of the source's own says its unit
    return Fact(
        field, value, unit, _printed(data), printed_unit, data.get("condition", ""), data["status"],
        data["provenance"], source, address, data.get("confidence", ""), data.get("note", ""), low, high,
    )  # fmt: skip


_KEYS, _NEEDED = frozenset(FACT_KEYS), frozenset(_REQUIRED)


def _printed(data: dict[str, Any]) -> str:
    if "printed" in data:
        return data["printed"]
    value = data["value"]
    if value is None:
        return "unknown" if data["provenance"] == "gap" else "not published"
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _in_si(
    document: Document, at: tuple[str | int, ...], value: Any, unit: str, units: tuple[str, ...]
) -> tuple[float | str | None, float | None, float | None, str]:
    """Value, low and high in SI with the SI unit; a range [low, high] has its midpoint as value."""
    numeric = " or ".join(one for one in units if one != TEXT)
    if isinstance(value, str) and TEXT in units:
        if unit:
            raise bad(document, "a text has no unit", *at, "unit")
        return value, None, None, ""
    if value is None and not unit:
        return None, None, None, units[0] if units[0] != TEXT else ""
    if not numeric:
        raise bad(document, "a text is needed here", *at, "value")
    factor, si = si_factor(unit) or (0.0, "")
    if si not in units:
        message = f"'{unit}' is not a unit that fits this field" if unit else "a number without unit"
        raise bad(document, message, *at, "unit", allowed=f"units of {numeric}")
    if value is None:
        return None, None, None, si
    low, high = read_range(document, (*at, "value"), value)
    if low == high:
        return low * factor, None, None, si
    return (low + high) * factor / 2, low * factor, high * factor, si


def read_range(document: Document, at: tuple[str | int, ...], value: Any) -> tuple[float, float]:
    """The ends of ``[low, high]``, or a number twice; refuses what is not finite, negative or out of order."""
    ends = value if isinstance(value, list) else [value]
    if isinstance(value, list) and len(value) != 2:
        raise bad(document, "a range has two ends", *at, allowed="[low, high]")
    numbers = [_number(end) for end in ends]
    for end, number in zip(ends, numbers, strict=True):
        if number is None:
            raise bad(document, f"'{end}' is not a number", *at, allowed="a number, [low, high], or null if unknown")
        if not math.isfinite(number) or number < 0:
            raise bad(document, f"{end} is not a finite number >= 0", *at, allowed="null where it is unknown")
    low, high = numbers[0], numbers[-1]
    assert low is not None and high is not None
    if len(ends) == 2 and not low < high:
        raise bad(document, "the low end of a range must be below its high end", *at)
    return low, high


def _number(value: Any) -> float | None:
    """A number, also one that YAML 1.1 takes for a text (1e12); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
