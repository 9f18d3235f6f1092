"""Objects from a JSON list or from lines of JSON, one after the other: a file of gigabytes is never held whole."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from inferatlas.errors import BadInput

READ = 2**20  # bytes at a time
MOST = 2**26  # characters of one entry, or of one line: 64 million
SHAPE = "a JSON list of objects, or one object per line"
NEAR_END = 16  # characters before the end of what was read, where an error may be that more is to come


def json_entries(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The objects of a file, each with the line on which it begins.

    Raises
    ------
    BadInput : an unreadable or empty file, text that is not UTF-8 or not JSON, entries that are no objects: with the
        line.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096).decode("utf-8-sig", errors="replace").lstrip(" \t\r\n")
            file.seek(0)
            yield from _list(file, path) if start.startswith("[") else _lines(file, path)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="dataset", file=path) from None


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    number, found = 0, False
    while line := file.readline(MOST):
        number += 1
        if len(line) == MOST and not line.endswith(b"\n"):
            raise _wrong(f"a line is longer than {MOST:,} bytes", path, number)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip(" \t\r\n")
        except UnicodeDecodeError:
            raise _wrong("is not UTF-8 text", path, number) from None
        if text:
            found = True
            try:
                entry = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _not_json(error, path, number) from None
            yield _object(entry, path, number), number
    if not found:
        raise _wrong("is empty", path, 1)


def _list(file: BinaryIO, path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Entries of a list: what was read is decoded as far as it goes, and more is read where an entry is not whole."""
    text = _Text(file, path)
    text.skip()
    text.take("[")
    text.skip()
    while text.peek() != "]":
        line = text.line
        yield _object(text.value(), path, line), line
        text.skip()
        if text.peek() != ",":
            break
        text.take(",")
        text.skip()
    text.take("]")
    text.skip()
    if text.peek():
        raise _wrong("goes on after the list", path, text.line)


class _Text:
    """A window on the text of a file, which knows its line."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._held, self._place, self._ended = "", 0, False
        self.line = 1

    def _more(self) -> bool:
        """Read on; as much again as is held, so that long entries are not decoded too often."""
        if self._ended:
            return False
        raw = self._file.read(max(READ, len(self._held) - self._place))
        self._ended = not raw
        try:
            new = self._decoder.decode(raw, final=self._ended)
        except UnicodeDecodeError:
            raise _wrong("is not UTF-8 text", self._path, self.line) from None
        self._held, self._place = self._held[self._place :] + new, 0
        return True

    def peek(self) -> str:
        """The next character; none at the end."""
        while self._place == len(self._held):
            if not self._more():
                return ""
        return self._held[self._place]

    def skip(self) -> None:
        """Go on to what is no space."""
        while (one := self.peek()) and one in " \t\r\n":
            self.line += one == "\n"
            self._place += 1

    def take(self, wanted: str) -> None:
        """Go past a character that has to be there."""
        if self.peek() != wanted:
            there = repr(self.peek()) if self.peek() else "the end"
            raise _wrong(f"is not JSON: {there} where '{wanted}' is expected", self._path, self.line)
        self._place += 1

    def value(self) -> Any:
        """The value that begins here."""
        while True:
            try:
                found, end = self._json.raw_decode(self._held, self._place)
                break
            except RecursionError as error:
                raise _not_json(error, self._path, self.line) from None
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._held) - NEAR_END
                if not cut or len(self._held) - self._place > MOST or not self._more():
                    line = self.line + self._held.count("\n", self._place, error.pos)
                    raise _not_json(error, self._path, line) from None
        self.line += self._held.count("\n", self._place, end)
        self._place = end
        return found


def _object(entry: Any, path: Path, line: int) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _wrong("an entry is no object", path, line)
    return entry


def _not_json(error: Exception, path: Path, line: int) -> BadInput:
    return _wrong(f"is not JSON: {getattr(error, 'msg', 'nested too deep')}", path, line)


def _wrong(message: str, path: Path, line: int) -> BadInput:
    return BadInput(message, field="dataset", allowed=SHAPE, file=path, line=line)
