"""Typed reading of a Hugging Face ``config.json``: every wrong key is refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inferatlas.documents import read_text
from inferatlas.errors import BadInput

LARGEST = 2**31  # no size in a configuration comes near; sizes are counted in 32 bits


class Keys:
    """The keys of one section of a ``config.json``.

    An absent key and a null are the same, as in the library that writes these files. Defaults of that library
    that stood in for absent keys are collected in ``assumed``, so that the result can name them.
    """

    def __init__(
        self, data: dict[str, Any], file: str, prefix: str = "", assumed: dict[str, Any] | None = None
    ) -> None:
        self.data, self.file, self.prefix = data, file, prefix
        self.assumed: dict[str, Any] = {} if assumed is None else assumed

    def bad(self, key: str, message: str, allowed: str | None = None) -> BadInput:
        return BadInput(message, field=self.prefix + key, allowed=allowed, file=self.file)

    def has(self, key: str) -> bool:
        return self.data.get(key) is not None

    def count(self, key: str, *, default: int | None = None, least: int = 1) -> int:
        """A whole number of at least ``least``; required unless there is a default."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.bad(key, f"{json.dumps(value)[:60]} is not a whole number", f"a whole number >= {least}")
        if not least <= value < LARGEST:
            raise self.bad(key, f"{value} is out of range", f"{least} to {LARGEST - 1}")
        return value

    def count_or_none(self, key: str) -> int | None:
        """A positive whole number, or None where the key is absent or null."""
        return self.count(key) if self.has(key) else None

    def number(self, key: str) -> float:
        """A positive finite number; required."""
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LARGEST:
            raise self.bad(key, f"{json.dumps(value)[:60]} is not a positive number", "a finite number > 0")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.bad(key, f"{json.dumps(value)[:60]} is not a truth value", "true or false")
        return value

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self.bad(key, f"{json.dumps(value)[:60]} is not a text", "a text")
        return value

    def section(self, key: str) -> Keys:
        """A nested mapping; required."""
        value = self._value(key)
        if not isinstance(value, dict):
            raise self.bad(key, "is not a section", "a mapping in braces")
        return Keys(value, self.file, f"{self.prefix}{key}.", self.assumed)

    def items(self, key: str, length: int | None = None) -> list[Any] | None:
        """A list (of ``length``, where given), or None where the key is absent, null or an empty list."""
        value = self.data.get(key)
        if value is None or value == []:
            return None
        if not isinstance(value, list):
            raise self.bad(key, "is not a list", "a list in brackets")
        if length is not None and len(value) != length:
            raise self.bad(key, f"has {len(value)} entries for {length} layers", f"{length} entries")
        return value

    def indices(self, key: str) -> set[int] | None:
        """A list of layer numbers, or None where the key is absent, null or empty."""
        value = self.items(key)
        if value is not None and not all(isinstance(i, int) and not isinstance(i, bool) for i in value):
            raise self.bad(key, "holds what is no layer number", "whole numbers")
        return set(value) if value is not None else None

    def _value(self, key: str, default: Any = None) -> Any:
        value = self.data.get(key)
        if value is not None:
            return value
        if default is None:
            raise self.bad(key, "is missing", "see the model's config.json on its page")
        self.assumed[self.prefix + key] = default
        return default


def read_keys(path: str | Path) -> Keys:
    """The top level of a ``config.json``.

    Raises
    ------
    BadInput : unreadable, empty, not JSON (with the line), not a mapping, or a key given twice.
    """
    text = read_text(path)
    if not text.strip():
        raise BadInput("the file is empty", allowed="a JSON mapping", file=path, line=1)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) < len(pairs):  # JSON would let the last win, silently
            names = [name for name, _ in pairs]
            repeated = next(name for name in names if names.count(name) > 1)
            raise BadInput("key given twice", field=repeated, file=path)
        return data

    try:
        data = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise BadInput(f"not valid JSON: {error.msg}", file=path, line=error.lineno) from None
    except (RecursionError, ValueError) as error:  # ValueError: an integer of thousands of digits
        raise BadInput(f"not valid JSON: {str(error)[:80]}", file=path) from None
    if not isinstance(data, dict):
        raise BadInput("the file does not hold a mapping", allowed='{"model_type": ...}', file=path, line=1)
    return Keys(data, str(path))
