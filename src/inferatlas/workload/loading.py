"""Lengths of requests from YAML: the named ones that come with the package, and a user's own file.

The schema is strict. An unknown or repeated key, a text where a number belongs or a value out of range is
refused with the file and the line.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload.workload import NamedLengths
from inferatlas.workload.yaml_fields import (
    line_of,
    located,
    number,
    path_of,
    read_mapping,
    refuse_unknown,
    require,
    text,
)

DATA = Path(__file__).parent / "data"
NUMBERS = ("input_tokens", "output_tokens", "input_cv", "output_cv", "concurrency", "request_rate")
TEXTS = ("name", "source", "address", "licence", "citation", "note")
REQUIRED = ("name", "input_tokens", "output_tokens", "source")


def workload_names() -> list[str]:
    """Names of the workloads that come with the package.

    Examples
    --------
    >>> workload_names()
    ['1k1k', '1k8k', '8k1k', 'chat', 'code', 'long-context', 'reasoning', 'summarization']
    """
    return sorted(path.stem for path in DATA.glob("*.yaml"))


def load_workload(name_or_path: str | Path) -> NamedLengths:
    """The lengths behind a name, or those in a YAML file of the user's own.

    Parameters
    ----------
    name_or_path : one of `workload_names`, or a path (anything with a directory or ending in ``.yaml`` or ``.yml``).

    Raises
    ------
    UnknownName : no such name; near ones are offered.
    BadInput : the file cannot be read or breaks the schema; with file and line.

    Examples
    --------
    >>> chat = load_workload("chat")
    >>> chat.input_tokens, chat.output_tokens, chat.input_cv, chat.output_cv
    (1154.7, 211.13, 0.9602, 0.7714)
    """
    path = path_of(name_or_path)
    if path is not None:
        return read_lengths(path)
    name, known = str(name_or_path), workload_names()
    if name.lower() not in known:
        raise UnknownName("workload", name, known)
    return _named(name.lower())


@cache
def _named(name: str) -> NamedLengths:
    return read_lengths(DATA / f"{name}.yaml")


def read_lengths(path: Path) -> NamedLengths:
    """Read one workload file (schema: the fields of `NamedLengths`; name, lengths and source are required)."""
    fields = read_mapping(path, "workload")
    refuse_unknown(fields, NUMBERS + TEXTS, path)
    values: dict[str, float | int | str] = {}
    for key, (node, _) in fields.items():
        values[key] = number(key, node, path) if key in NUMBERS else text(key, node, path)
    require(fields, REQUIRED, path)
    load = values.get("concurrency")
    if isinstance(load, float) and load.is_integer():
        values["concurrency"] = int(load)
    try:
        return NamedLengths(**values)  # pyright: ignore[reportArgumentType] - the schema above gives each key its type
    except BadInput as wrong:
        raise located(wrong, path, line_of(fields, wrong.field)) from None
