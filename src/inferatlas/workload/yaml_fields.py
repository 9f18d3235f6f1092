"""YAML read strictly: every key with its value and its line, and values that are what they look like.

Shared by the named lengths (`loading`) and the regimes (`regimes`). A value of a `Document` is handed around as its
node, so that an error can name the file and the line; a field inside a mapping has a dotted name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from pathlib import Path

import yaml

from inferatlas.documents import read_document
from inferatlas.errors import BadInput, UnknownName

Fields = dict[str, tuple[yaml.Node, int]]

# Plain decimal numbers only: YAML 1.1 would read 1:30 as 90, 010 as 8 and 1e3 as a text.
_DECIMAL = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def path_of(name_or_path: str | Path) -> Path | None:
    """The path, if this is one (with a directory, or ending in ``.yaml`` or ``.yml`` in any case), or None for a name.

    Examples
    --------
    >>> path_of("chat") is None, path_of("MINE.YAML") is None, path_of("here/chat") is None
    (True, False, False)
    """
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in given or "\\" in given or given.lower().endswith((".yaml", ".yml")):
        return Path(given)
    return None


def read_mapping(path: Path, what: str) -> Fields:
    """The top level of a YAML file, each key with its value and line.

    Raises
    ------
    BadInput : what `read_document` refuses; ``what`` is the field where the whole file is wrong.
    """
    try:
        return _entries(read_document(path).root, "")
    except BadInput as wrong:
        raise located(wrong, path, wrong.line, wrong.field or what) from None


def mapping(field: str, node: yaml.Node, path: Path) -> Fields:
    """The entries of a mapping inside a file; their names are dotted: ``published.grades``."""
    if not isinstance(node, yaml.MappingNode):
        allowed = "a mapping of keys to values"
        raise BadInput("is not a mapping", field=field, allowed=allowed, file=path, line=line_at(node))
    return _entries(node, f"{field}.")


def items(node: yaml.Node) -> list[yaml.Node]:
    """The entries of a list; a bare value stands for a list of one."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]


def number(field: str, node: yaml.Node, path: Path) -> float:
    """A plain decimal number (not quoted, not in another base)."""
    if not isinstance(node, yaml.ScalarNode) or node.style in ("'", '"') or not _DECIMAL.fullmatch(node.value):
        message = f"'{node.value}' is not a number" if isinstance(node, yaml.ScalarNode) else "is not a number"
        raise BadInput(message, field=field, allowed="a plain decimal number", file=path, line=line_at(node))
    return float(node.value.replace("_", ""))


def whole(field: str, node: yaml.Node, path: Path) -> int:
    """A whole number."""
    value = number(field, node, path)
    if not value.is_integer():
        raise BadInput(
            f"{node.value} is not a whole number", field=field, allowed="a whole number", file=path, line=line_at(node)
        )
    return int(value)


def boolean(field: str, node: yaml.Node, path: Path) -> bool:
    """``true`` or ``false``; the yes, no, on and off of YAML 1.1 are words."""
    written = node.value if isinstance(node, yaml.ScalarNode) and node.style not in ("'", '"') else None
    if written not in ("true", "false"):
        given = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        message = f"{given} is neither true nor false"
        raise BadInput(message, field=field, allowed="true or false, unquoted", file=path, line=line_at(node))
    return written == "true"


def text(field: str, node: yaml.Node, path: Path) -> str:
    """A text, its runs of white space made single."""
    if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
        raise BadInput("is not a text", field=field, file=path, line=line_at(node))
    return " ".join(node.value.split())


def refuse_unknown(fields: Fields, known: Iterable[str], path: Path) -> None:
    """Refuse a key that is not one of these, with the near ones."""
    known = tuple(known)
    for key, (_, line) in fields.items():
        if key not in known:
            raise UnknownName("key", key, known, field=key, allowed=", ".join(known), file=path, line=line)


def require(fields: Fields, required: Iterable[str], path: Path, line: int | None = None) -> None:
    """Refuse a file, or the mapping that begins on a line of it, in which one of these is missing."""
    required = tuple(required)
    missing = [key for key in required if key not in fields]
    if missing:
        message = f"{', '.join(missing)} missing"
        raise BadInput(message, field=missing[0], allowed=", ".join(required), file=path, line=line)


def located(wrong: BadInput, path: Path, line: int | None, field: str | None = None) -> BadInput:
    """The same error with the place where the value was read."""
    same = copy(wrong)
    same.field, same.file, same.line = field or wrong.field, str(path), line
    return same


def line_at(node: yaml.Node) -> int:
    """The line on which a value begins, from 1."""
    return node.start_mark.line + 1


def line_of(fields: Fields, field: str | None) -> int | None:
    """The line of a key, dotted or not; if it is absent that of the mapping around it, None if that is absent too."""
    field = field or ""
    if field in fields:
        return fields[field][1]
    head, _, rest = field.partition(".")
    if head not in fields:
        return None
    node, line = fields[head]
    if not rest or not isinstance(node, yaml.MappingNode):
        return line
    return line_of(_entries(node, ""), rest) or line


def _entries(node: yaml.MappingNode, prefix: str) -> Fields:
    return {f"{prefix}{key.value}": (value, line_at(key)) for key, value in node.value}
