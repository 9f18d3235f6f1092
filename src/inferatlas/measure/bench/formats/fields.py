"""Strict reading of what other tools wrote: every value that is not what it must be is told with file and field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput

LARGEST = 1e30  # no duration in ns, count or rate comes near; squares and sums of smaller ones do not overflow


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file: the file, the line where it is known, and the dotted name of the table read there."""

    file: Path
    line: int | None = None
    at: str = ""

    def within(self, name: str) -> Where:
        """The place of a table inside this one.

        Examples
        --------
        >>> Where(Path("run.json")).within("benchmarks").within("[0]").at
        'benchmarks[0]'
        """
        return replace(self, at=self._named(name))

    def bad(self, key: str, message: str, allowed: str | None = None, hint: str | None = None) -> BadInput:
        """The error for a value at this place."""
        return BadInput(message, field=self._named(key) or None, allowed=allowed, file=self.file, line=self.line,
                        hint=hint)  # fmt: skip

    def number(self, table: Mapping[str, Any], key: str, scale: float = 1.0, least: float | None = 0.0) -> float | None:
        """A number times ``scale``; None where it is missing, null or not finite (tools write NaN for "none").

        Raises
        ------
        BadInput : the value is no number, or less than ``least`` (which None lifts).
        """
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, str) and value.strip().lower() in ("inf", "infinity", "nan", ""):
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.bad(key, f"{_shown(value)} is not a number", "a number")
        if not math.isfinite(value):
            return None
        if abs(value) > LARGEST:
            raise self.bad(key, f"{value:g} is beyond any amount", f"a number up to {LARGEST:g}")
        if least is not None and value < least:
            raise self.bad(key, f"{value:g} is less than {least:g}", f"a number from {least:g}")
        return float(value) * scale

    def whole(self, table: Mapping[str, Any], key: str) -> int | None:
        """A whole number from 0, None where it is missing."""
        value = self.number(table, key)
        if value is not None and value != int(value):
            raise self.bad(key, f"{value:g} is not a whole number", "a whole number")
        return None if value is None else int(value)

    def text(self, table: Mapping[str, Any], key: str) -> str | None:
        """A text, None where it is missing or empty; numbers are taken as they are printed."""
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.bad(key, f"{_shown(value)} is not a text", "a text")
        return str(value).strip() or None

    def table(self, table: Mapping[str, Any], key: str) -> dict[str, Any]:
        """A table inside a table, empty where it is missing."""
        value = table.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.bad(key, f"{_shown(value)} is not a table", "a table of names and values")
        return value

    def rows(self, table: Mapping[str, Any], key: str, many: int | None = None) -> list[Any]:
        """A list, empty where it is missing; of ``many`` entries where that is told."""
        value = table.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(key, f"{_shown(value)} is not a list", "a list")
        if many is not None and len(value) != many:
            raise self.bad(key, f"{len(value)} entries where there are {many} requests", f"a list of {many}")
        return value

    def numbers(self, table: Mapping[str, Any], key: str, many: int | None = None) -> list[float]:
        """A list of numbers, looked at in one pass: a file of 100 MB holds millions of them."""
        value = self.rows(table, key, many)
        if not set(map(type, value)) <= {float, int}:
            raise self.bad(key, f"{_shown(value)} is no list of numbers", "a list of numbers")
        if not all(map(math.isfinite, value)) or max(map(abs, value), default=0.0) > LARGEST:
            raise self.bad(key, "a number that is not finite, or beyond any amount", f"numbers up to {LARGEST:g}")
        return value

    def _named(self, key: str) -> str:
        return key if not self.at else self.at if not key else self.at + (key if key[0] == "[" else f".{key}")


def statistics(
    where: Where, table: Mapping[str, Any], keys: Mapping[str, str], scale: float = 1.0
) -> dict[str, float] | None:
    """Statistics of a duration or a rate; None where there is no mean and no median, or they are 0.

    Parameters
    ----------
    keys : our name of a statistic (mean, std, min, max, p50, p99 ...) and the tool's. scale : to our unit.

    Examples
    --------
    >>> statistics(Where(Path("a.json")), {"mean_ttft_ms": 12.0}, {"mean": "mean_ttft_ms", "p99": "p99_ttft_ms"}, 1e-3)
    {'mean': 0.012}
    """
    found = {name: value for name, key in keys.items() if (value := where.number(table, key, scale)) is not None}
    # tools write 0 where no request has the figure: no request takes no time
    return found if found.get("mean") or found.get("p50") else None


def seek(tree: Any, *keys: str, depth: int = 8) -> Any:
    """The first value of one of these keys in nested tables: where settings stand changes with a tool's version.

    Examples
    --------
    >>> seek({"loadgen": {"concurrency": 8}}, "concurrency")
    8
    """
    if not isinstance(tree, dict) or depth == 0:
        return None
    for key in keys:
        if tree.get(key) is not None:
            return tree[key]
    return next((found for one in tree.values() if (found := seek(one, *keys, depth=depth - 1)) is not None), None)


def known(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table without what is unknown."""
    return {key: value for key, value in table.items() if value is not None}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
