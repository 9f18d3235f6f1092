"""Data sets of conversations on this machine, by name: ``lmsys:PATH``, ``sharegpt:PATH``, ``jsonl:PATH`` or a path.

One file per form; what all give is `Dialogue`s, one after the other. A bare path is told by what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.prompts import jsonl, lmsys, sharegpt
from inferatlas.measure.bench.prompts.dialogues import Dialogue, Reader
from inferatlas.measure.bench.prompts.json_entries import json_entries

READERS: dict[str, Reader] = {"lmsys": lmsys.read_entry, "sharegpt": sharegpt.read_entry, "jsonl": jsonl.read_entry}
PARQUET = b"PAR1"  # the first four bytes of such files: https://parquet.apache.org/docs/file-format/


@dataclass(frozen=True, slots=True)
class DataSet:
    """A file of conversations, and which form it has: a key of `READERS`."""

    kind: str
    path: Path

    @property
    def name(self) -> str:
        """For people and records: the folder is left out."""
        return f"{self.kind}:{self.path.name}"

    def read(self) -> Iterator[Dialogue]:
        """Its conversations, in order, each read when it is asked for.

        Raises
        ------
        BadInput : whatever is wrong with the file, with the line, while it is read.
        """
        if _is_parquet(self.path):
            if self.kind != "lmsys":
                raise BadInput("is a parquet file", field="dataset", allowed="lmsys:PATH, or JSON", file=self.path)
            yield from lmsys.read_parquet(self.path)
            return
        read = READERS[self.kind]
        for entry, line in json_entries(self.path):
            yield read(entry, self.path, line)


def parse_dataset(text: str) -> DataSet:
    """A data set as the command line spells it.

    Parameters
    ----------
    text : ``KIND:PATH``, or a path whose first entry says the kind.

    Raises
    ------
    BadInput, UnknownName : no such file, a folder, a kind that is not known, a file whose first entry tells none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "asked.jsonl"
    ...     _ = file.write_text('{"prompt": "Why?", "output_tokens": 16}')
    ...     found = parse_dataset(str(file))
    ...     [dialogue.messages for dialogue in found.read()]
    [(('user', 'Why?'),)]
    >>> found.name
    'jsonl:asked.jsonl'
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in READERS:
        return DataSet(kind, _file(rest))
    if colon and not Path(text).exists() and kind.replace("-", "").replace("_", "").isalnum():
        raise UnknownName("dataset", kind, READERS, allowed=f"{', '.join(READERS)}, each followed by : and a path")
    path = _file(text)
    return DataSet("lmsys" if _is_parquet(path) else _told(path), path)


def _told(path: Path) -> str:
    """The form of a JSON file, from its first entry."""
    for entry, line in json_entries(path):
        if lmsys.FIELD in entry:
            return "lmsys"
        if sharegpt.FIELD in entry:
            return "sharegpt"
        if any(name in entry for name in jsonl.PROMPTS):
            return "jsonl"
        allowed = f"one of {', '.join((lmsys.FIELD, sharegpt.FIELD, *jsonl.PROMPTS))}"
        message = f"the first entry has no conversation, but {', '.join(map(repr, list(entry)[:8])) or 'nothing'}"
        raise BadInput(message, field="dataset", allowed=allowed, file=path, line=line)
    raise BadInput("holds no conversation", field="dataset", allowed="one or more", file=path)


def _file(text: str) -> Path:
    path = Path(text)
    if not text or not path.is_file():
        said = "is a folder" if text and path.is_dir() else "no such file"
        raise BadInput(said, field="dataset", allowed="a file of conversations", file=text or "(no path)")
    return path


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET)) == PARQUET
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="dataset", file=path) from None
