"""Files of other tools as they lie on the disk: JSON, JSON lines, YAML or text, told apart by what stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file: its documents where it is JSON, JSON lines or YAML, with the line of each, else its text."""

    file: Path
    documents: tuple[tuple[int, Any], ...] = ()
    text: str | None = None


def load(file: Path) -> Loaded:
    """Read a file whole.

    Raises
    ------
    BadInput : it cannot be opened, is empty, no UTF-8, or begins as JSON or YAML and is none (line told).
    """
    try:
        raw = file.read_bytes()
    except OSError as problem:
        raise BadInput(f"cannot be opened: {problem.strerror}", file=file) from None
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if not start:
        raise BadInput("the file is empty", file=file, allowed="a result of a benchmark tool")
    if start in b"{[":
        return Loaded(file, tuple(_json(file, raw)))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise BadInput("not UTF-8 text", file=file, line=line) from None
    if file.suffix.lower() in (".yaml", ".yml"):
        return Loaded(file, ((1, _yaml(file, text)),))
    return Loaded(file, text=text)


def _json(file: Path, raw: bytes) -> Iterator[tuple[int, Any]]:
    """One document, or several one after the other; a file is taken whole or refused."""
    import msgspec

    try:
        yield 1, msgspec.json.decode(raw)
        return
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # several documents, NaN as Python writes it, or no JSON: the slower reader tells which
    yield from _python_json(file, raw)


def _python_json(file: Path, raw: bytes) -> Iterator[tuple[int, Any]]:
    import json

    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput("not UTF-8 text", file=file, line=raw.count(b"\n", 0, problem.start) + 1) from None
    decoder, position, line, counted = json.JSONDecoder(), 0, 1, 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return
        line, counted = line + text.count("\n", counted, position), position
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError as problem:
            at = getattr(problem, "pos", position)
            raise BadInput(
                f"not JSON: {getattr(problem, 'msg', 'a number is too long')}", file=file,
                line=line + text.count("\n", counted, at), hint="was the file cut short?",
            ) from None  # fmt: skip
        except RecursionError:
            raise BadInput("nested too deeply", file=file, line=line) from None
        yield line, document


def _yaml(file: Path, text: str) -> Any:
    import yaml

    try:
        # the C loader where it was built: ten times as fast, and as safe
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        raise BadInput(
            f"not YAML: {problem.problem}", file=file, line=mark.line + 1 if mark else None,
            hint="was the file cut short?",
        ) from None  # fmt: skip
    except (yaml.YAMLError, RecursionError, ValueError):
        raise BadInput("not YAML", file=file) from None
