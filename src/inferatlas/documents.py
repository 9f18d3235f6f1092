"""Files of text, and YAML documents that remember their lines: read strictly, wrong with its place (floor 0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inferatlas.errors import BadInput

# libyaml's parser is ten times faster; wheels carry it, a build from source may not
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SHORT, DEEPEST = 20_000, 100  # characters, levels


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping with the node tree it was built from (for lines) and its file (for messages)."""

    data: dict[str, Any]
    root: yaml.MappingNode
    file: str

    def line(self, path: Sequence[str | int]) -> int:
        """Line (from 1) of the deepest part of ``path`` that the document holds."""
        node: yaml.Node = self.root
        line = node.start_mark.line
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = next((pair for pair in node.value if pair[0].value == str(part)), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def read_text(path: str | Path, *, field: str | None = None) -> str:
    """The text of a file; ``field`` names the input in messages.

    Raises
    ------
    BadInput : it cannot be read, with the reason; it is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", field=field, file=path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"cannot be read: {reason}", field=field, file=path) from None


def read_document(path: str | Path) -> Document:
    """Read one YAML mapping from a file.

    Raises
    ------
    BadInput : what `read_text` and `parse_document` refuse.
    """
    return parse_document(read_text(path), str(path))


def parse_document(text: str, file: str) -> Document:
    """As `read_document`, from text that is already in memory; ``file`` names it in messages.

    Raises
    ------
    BadInput : empty, not YAML, nested too deeply, not a mapping, a key given twice or not a text; with the line.

    Examples
    --------
    >>> document = parse_document("a: 1\\nb: {c: 2}", "some.yaml")
    >>> document.data, document.line(("b", "c"))
    ({'a': 1, 'b': {'c': 2}}, 2)
    """
    loader: Any = None
    try:
        _refuse_depth(text, file)
        loader = LOADER(text)
        root = loader.get_single_node()
        if root is None:
            raise BadInput("the file is empty", allowed="a YAML mapping", file=file, line=1)
        _refuse_doubtful_keys(root, file)
        data = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadInput(f"not valid YAML: {error.problem}", file=file, line=mark.line + 1 if mark else None) from None
    except yaml.reader.ReaderError as error:  # control characters
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(f"not valid YAML: {error.reason}", file=file, line=line) from None
    except ValueError as error:  # an impossible date, for example
        raise BadInput(f"not valid YAML: {error}", file=file) from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):  # a mapping tagged !!set is no dict
        raise BadInput("the file does not hold a mapping", allowed="'key: value' lines", file=file, line=1)
    return Document(data, root, file)


def _refuse_depth(text: str, file: str) -> None:
    """libyaml builds nodes by recursion, and some ten thousand levels end the process; a short text has fewer."""
    if len(text) < SHORT:
        return
    loader, depth = LOADER(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise BadInput("nested too deeply", file=file, line=event.start_mark.line + 1)
    finally:
        loader.dispose()


def _refuse_doubtful_keys(root: yaml.Node, file: str) -> None:
    """YAML would let the last of two equal keys win, silently, and take `no:` for a truth value."""
    waiting, seen = [(root, "")], set()  # each with its dotted name
    while waiting:
        node, name = waiting.pop()
        if id(node) in seen:  # an anchor may point to a node that holds it
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            fields: set[str] = set()
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.tag != "tag:yaml.org,2002:str":  # a number, a date, a bare `no`
                    allowed = "text keys (quote it)"
                    message = "a key that is not a text"
                    raise BadInput(message, field=name or None, allowed=allowed, file=file, line=line)
                field = f"{name}.{key.value}" if name else key.value
                if field in fields:
                    raise BadInput("key given twice", field=field, file=file, line=line)
                fields.add(field)
                waiting.append((value, field))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend((item, f"{name}[{i}]") for i, item in enumerate(node.value, 1))
