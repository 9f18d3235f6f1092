"""Claims of one's own: checked like the papers', and kept in a folder beside them.

The folder is the one given, else that of the environment variable ``INFERATLAS_CLAIMS``, else
``inferatlas/claims`` in the user's data folder (``XDG_DATA_HOME``). A file per source of claims, as it was written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferatlas.documents import read_text
from inferatlas.errors import BadInput
from inferatlas.studies.claims.auditing import Finding, audit, published
from inferatlas.studies.claims.ledger import Ledger
from inferatlas.studies.claims.reading import read_claims

VARIABLE = "INFERATLAS_CLAIMS"


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a file: the findings of its claims, where it is kept, whether it took another's place."""

    findings: tuple[Finding, ...]
    file: Path
    replaced: bool


def folder_of(given: str | Path | None = None) -> Path:
    """Where claims of one's own are kept."""
    if given or os.environ.get(VARIABLE):
        return Path(given or os.environ[VARIABLE]).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "inferatlas" / "claims"


def books(given: str | Path | None = None) -> dict[str, Ledger]:
    """The ledgers of the papers of the package and of one's own, by name.

    Raises
    ------
    BadInput : a file of one's own is refused (with file and line), or takes the name of a paper.
    """
    found = published()
    folder = folder_of(given)
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        book = _own(file, found)
        found[book.paper.id] = book
    return found


def add(path: str | Path, given: str | Path | None = None) -> Added:
    """Check a file of claims and keep it; a file of the same source takes the place of the one before.

    Raises
    ------
    BadInput : the file is refused (with file and line), or the folder cannot be written. Nothing is kept then.
    """
    known = published()
    book = _own(Path(path), known)
    others = books(given)
    findings = audit(others | {book.paper.id: book}, paper=book.paper.id)
    folder = folder_of(given)
    file = folder / f"{book.paper.id}.yaml"
    replaced = file.exists()
    text = read_text(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        hint = f"set {VARIABLE} to a folder that can be written"
        raise BadInput(f"cannot be written: {error.strerror}", field="ledger", file=folder, hint=hint) from None
    return Added(findings, file, replaced)


def _own(file: Path, papers: dict[str, Ledger]) -> Ledger:
    book = read_claims(file)
    if book.paper.id in papers:
        first = next(iter(book.claims.values()))
        raise first.at.bad(f"'{book.paper.id}' is there already", "paper", allowed="a name of your own")
    return book
