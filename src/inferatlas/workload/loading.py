"""Profiles from YAML: the named ones that come with the package, and a user's own file.

The schema is strict. An unknown or repeated key, a text where a number belongs or a value out of range is
refused with the file and the line.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload.workload import Profile

DATA = Path(__file__).parent / "data"
NUMBERS = ("input_tokens", "output_tokens", "input_cv", "output_cv", "concurrency", "request_rate")
TEXTS = ("name", "source", "address", "licence", "citation", "note")
REQUIRED = ("name", "input_tokens", "output_tokens", "source")
# Plain decimal numbers only: YAML 1.1 would read 1:30 as 90, 010 as 8 and 1e3 as a text.
_DECIMAL = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def workload_names() -> list[str]:
    """Names of the workloads that come with the package.

    Examples
    --------
    >>> workload_names()
    ['1k1k', '1k8k', '8k1k', 'chat', 'code', 'long-context', 'reasoning', 'summarization']
    """
    return sorted(path.stem for path in DATA.glob("*.yaml"))


def load_workload(name_or_path: str | Path) -> Profile:
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
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or "\\" in text or text.endswith((".yaml", ".yml")):
        return read_profile(Path(text))
    known = workload_names()
    if text.lower() not in known:
        raise UnknownName("workload", text, known)
    return _named(text.lower())


@cache
def _named(name: str) -> Profile:
    return read_profile(DATA / f"{name}.yaml")


def read_profile(path: Path) -> Profile:
    """Read one workload file (schema: the fields of `Profile`; name, lengths and source are required)."""
    fields = _read_mapping(path)
    known = NUMBERS + TEXTS
    values: dict[str, float | int | str] = {}
    for key, (node, line) in fields.items():
        if key not in known:
            wrong = UnknownName("key", key, known)
            raise BadInput(wrong.message, field=key, allowed=", ".join(known), hint=wrong.hint, file=path, line=line)
        values[key] = _number(key, node, path) if key in NUMBERS else _text(key, node, path)
    missing = [key for key in REQUIRED if key not in values]
    if missing:
        raise BadInput(f"{', '.join(missing)} missing", field=missing[0], allowed=", ".join(REQUIRED), file=path)
    try:
        return Profile(**values)  # pyright: ignore[reportArgumentType] - the schema above gives each key its type
    except BadInput as wrong:
        line = fields[wrong.field][1] if wrong.field in fields else None
        raise BadInput(
            wrong.message, field=wrong.field, allowed=wrong.allowed, hint=wrong.hint, file=path, line=line
        ) from None


def _read_mapping(path: Path) -> dict[str, tuple[yaml.Node, int]]:
    """The top level of a YAML file, each key with its value node and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="workload", file=path) from None
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", field="workload", file=path) from None
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadInput(
            f"is not YAML: {getattr(error, 'problem', None) or error}",
            field="workload",
            file=path,
            line=mark.line + 1 if mark else None,
        ) from None
    if not isinstance(root, yaml.MappingNode):
        raise BadInput("holds no workload", field="workload", allowed="a mapping of keys to values", file=path, line=1)
    fields: dict[str, tuple[yaml.Node, int]] = {}
    for key, value in root.value:
        line = key.start_mark.line + 1
        if str(key.value) in fields:
            raise BadInput("is given twice", field=str(key.value), file=path, line=line)
        fields[str(key.value)] = (value, line)
    return fields


def _number(key: str, node: yaml.Node, path: Path) -> float | int:
    if not isinstance(node, yaml.ScalarNode) or node.style in ("'", '"') or not _DECIMAL.fullmatch(node.value):
        raise BadInput(
            f"'{node.value}' is not a number" if isinstance(node, yaml.ScalarNode) else "is not a number",
            field=key,
            allowed="a plain decimal number",
            file=path,
            line=node.start_mark.line + 1,
        )
    value = float(node.value.replace("_", ""))
    return int(value) if key == "concurrency" and value.is_integer() else value


def _text(key: str, node: yaml.Node, path: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
        raise BadInput("is not a text", field=key, file=path, line=node.start_mark.line + 1)
    return " ".join(node.value.split())
