"""Values of a configuration file: quantities with units, choices, lists and lengths, wrong with their place.

Beside `workload.yaml_fields`, for what the simulator reads: profiles of schedulers and deployments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from inferatlas.errors import BadInput, InferAtlasError, UnknownName
from inferatlas.quantities import parse
from inferatlas.workload.yaml_fields import line_at, located, number, text

PATH_ENDS = (".yaml", ".yml", ".json", ".jsonl", ".csv", ".gz")


def quantity(field: str, node: yaml.Node, path: Path, unit: str, *, positive: bool = False) -> float:
    """A number with its unit, in SI, 0 or more; a bare 0 needs no unit."""
    said = text(field, node, path)
    try:
        value = 0.0 if said == "0" else parse(said, unit, field=field)
    except BadInput as wrong:
        raise located(wrong, path, line_at(node), field) from None
    return within(field, node, path, value, positive=positive)


def amount(field: str, node: yaml.Node, path: Path, *, positive: bool = False) -> float:
    """A plain decimal number, 0 or more."""
    return within(field, node, path, number(field, node, path), positive=positive)


def count(field: str, node: yaml.Node, path: Path, *, least: int = 1) -> int:
    """A whole number of at least so many."""
    value = number(field, node, path)
    if value != int(value) or value < least:
        raise BadInput(f"{node.value}", field=field, allowed=f"a whole number of at least {least}", file=path,
                       line=line_at(node))  # fmt: skip
    return int(value)


def choice(field: str, node: yaml.Node, path: Path, known: Iterable[str]) -> str:
    """One of these words."""
    said, known = text(field, node, path), tuple(known)
    if said not in known:
        what = field.rsplit(".", 1)[-1]
        raise UnknownName(what, said, known, field=field, allowed=", ".join(known), file=path, line=line_at(node))
    return said


def within(field: str, node: yaml.Node, path: Path, value: float, *, positive: bool) -> float:
    """Refuse what is below 0, or not above it."""
    if not (value > 0 if positive else value >= 0):
        allowed = "above 0" if positive else "0 or more"
        raise BadInput(f"{text(field, node, path)}", field=field, allowed=allowed, file=path, line=line_at(node))
    return value


def name_or_file(field: str, node: yaml.Node, path: Path) -> str:
    """A name, or a file; that of a file is looked for beside the one that names it."""
    said = text(field, node, path)
    if "/" in said or "\\" in said or said.lower().endswith(PATH_ENDS):
        beside = path.parent / said
        return str(beside) if beside.exists() else said
    return said


@contextmanager
def placed(file: str | Path | None, lines: Mapping[str, int], otherwise: int | None = None) -> Iterator[None]:
    """Errors in here that name no file are about this one; their line is that of the field, by its first word.

    Examples
    --------
    >>> with placed("fleet.yaml", {"tp": 7}):
    ...     raise BadInput("3 ranks", field="tp", allowed="1, 2, 4")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: fleet.yaml:7: tp: 3 ranks (allowed: 1, 2, 4)
    """
    try:
        yield
    except InferAtlasError as error:
        if file is not None and error.file is None:
            error.file, error.line = str(file), lines.get((error.field or "").split(".")[0], otherwise)
        raise
