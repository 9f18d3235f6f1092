"""Claims of one's own: checked like the papers', and kept in a folder beside them.

The folder is the one given, else that of the environment variable ``INFERATLAS_CLAIMS``, else
``inferatlas/claims`` in the user's data folder (``XDG_DATA_HOME``). A file per source of claims, as it was written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from inferatlas.documents import parse_document
from inferatlas.errors import BadInput
from inferatlas.studies.claims.auditing import Finding, audit, published
from inferatlas.studies.claims.ledger import Ledger, paper_ids
from inferatlas.studies.claims.reading import read_claims

VARIABLE = "INFERATLAS_CLAIMS"
LARGEST = 1_000_000  # bytes of a claim file


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a file: the findings of its claims, where it is kept, whether it took another's place."""

    findings: tuple[Finding, ...]
    file: Path
    replaced: bool


def folder_of(given: str | Path | None = None) -> Path:
    """Where claims of one's own are kept.

    Raises
    ------
    BadInput : it is a file, or in the home of somebody who is not known.
    """
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    named = Path(given or os.environ.get(VARIABLE) or f"{data}/inferatlas/claims")
    try:
        folder = named.expanduser()
        if folder.exists() and not folder.is_dir():
            raise BadInput("is not a folder", field="ledger", file=folder)
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that is closed; no such user
        raise BadInput(f"cannot be read: {getattr(error, 'strerror', error)}", field="ledger", file=named) from None
    return folder


def books(given: str | Path | None = None, *, without: str | None = None) -> dict[str, Ledger]:
    """The ledgers of the papers of the package and of one's own, by name; ``without`` the one of that name.

    Raises
    ------
    BadInput : a file of one's own is refused (with file and line), or takes the name of a paper.
    """
    found, folder = published(), folder_of(given)
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        if file.stem == without or not file.is_file():
            continue
        book = _own(file, _text(file))
        if book.paper.id != file.stem:  # so that no two files can be of one source
            raise BadInput(
                f"holds the claims of '{book.paper.id}'", field="paper", allowed=file.stem,
                hint=f"name the file {book.paper.id}.yaml, or keep it with `inferatlas claims add`", file=file, line=1,
            )  # fmt: skip
        found[book.paper.id] = book
    return found


def add(path: str | Path, given: str | Path | None = None) -> Added:
    """Check a file of claims and keep it; a file of the same source takes the place of the one before.

    Raises
    ------
    BadInput : the file is refused (with file and line), or the folder cannot be written. Nothing is kept then.
    """
    text = _text(Path(path))  # read once: what is kept is what was checked, also from a pipe
    book = _own(Path(path), text)
    name = book.paper.id
    findings = audit(books(given, without=name) | {name: book}, paper=name)
    folder = folder_of(given)
    file = folder / f"{name}.yaml"
    try:
        replaced = file.exists()
        folder.mkdir(parents=True, exist_ok=True)
        _write(text, file)
    except OSError as error:
        hint = f"set {VARIABLE} to a folder that can be written"
        raise BadInput(f"cannot be written: {error.strerror}", field="ledger", file=folder, hint=hint) from None
    return Added(findings, file, replaced)


def _write(text: str, file: Path) -> None:
    """Whole or not at all, whoever else writes it at the same time."""
    with NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".new", dir=file.parent, delete=False) as opened:
        temporary = Path(opened.name)
        try:
            opened.write(text)
            opened.flush()
            temporary.chmod(0o644)
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _text(file: Path) -> str:
    """The text of a claim file; beyond `LARGEST` nothing is read."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=file) from None
    if len(data) > LARGEST:
        raise BadInput(f"is larger than {LARGEST:,} bytes", file=file, line=1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8 text", file=file, line=line) from None


def _own(file: Path, text: str) -> Ledger:
    return read_claims(parse_document(text, str(file)), taken=paper_ids())
