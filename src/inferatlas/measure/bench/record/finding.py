"""Find run records below folders: whole ones, those that are unfinished, and those that are damaged.

Only `run.json` of a record is read, never its tables; what is wrong with one record is told beside the others.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput

RUN, JOURNAL, BENCH = "run.json", "requests.journal", "bench.json"
SCHEMA = 1  # of run.json; simulated records have the same
DEFAULT = "runs"  # folder of `bench run`
KINDS = ("measured", "simulated")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A whole record. ``path``: as it was reached from the folder that was given; ``document``: its `run.json`."""

    path: Path
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.as_posix()

    @property
    def unfinished(self) -> bool:
        """It was interrupted: what was measured until then is there, and it can go on."""
        return self.document.get("unfinished") is True


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A bench or a run that was stopped, or still runs. ``resume``: the command that goes on with it."""

    path: Path
    why: str
    resume: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """What cannot be read, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Finds:
    """All that lies below some folders, each part in the order of paths."""

    folders: tuple[str, ...]
    records: tuple[Record, ...]
    unfinished: tuple[Unfinished, ...]
    damaged: tuple[Damaged, ...]


def find(folders: Sequence[str | Path] = ()) -> Finds:
    """Every record below these folders; a folder may be a record itself.

    Parameters
    ----------
    folders : default: `runs`. Links to folders, and folders whose name begins with a dot, are not followed.

    Raises
    ------
    BadInput : a folder that does not exist.

    Examples
    --------
    >>> find(["no/such/folder"])
    Traceback (most recent call last):
    inferatlas.errors.BadInput: no/such/folder: folder: does not exist (allowed: a folder with run records)
    """
    records: dict[str, Record] = {}
    unfinished: dict[str, Unfinished] = {}
    damaged: dict[str, Damaged] = {}
    asked = [Path(one).expanduser() for one in folders] or [Path(DEFAULT)]
    for folder in asked:
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise BadInput(what, field="folder", allowed="a folder with run records", file=folder)
        for one in _below(folder):
            there = str(one.path.resolve())
            kind: dict[str, Any] = (
                records if isinstance(one, Record) else unfinished if isinstance(one, Unfinished) else damaged
            )
            kind.setdefault(there, one)
    return Finds(
        tuple(one.as_posix() for one in asked), tuple(records.values()), tuple(unfinished.values()),
        tuple(damaged.values()),
    )  # fmt: skip


def read_run(folder: str | Path, *, field: str = "run") -> Record:
    """One whole record.

    Parameters
    ----------
    folder : of the record, or its name below `runs`.

    Raises
    ------
    BadInput : no such folder, no record, one that is unfinished or damaged, or of another schema.
    """
    path = Path(folder).expanduser()
    if not path.exists() and (Path(DEFAULT) / path).is_dir():
        path = Path(DEFAULT) / path
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise BadInput(what, field=field, allowed="the folder of a run record", file=path)
    if (path / RUN).is_file():
        found = _read(path)
        if isinstance(found, Damaged):
            raise BadInput(found.why, field=field, file=path / RUN)
        return found
    if (path / JOURNAL).is_file():
        hint = f"go on with it: {_resume(path)}"
        raise BadInput("the run is unfinished", field=field, allowed="a whole record", hint=hint, file=path)
    hint = f"`{shlex.join(['inferatlas', 'runs', 'list', path.as_posix()])}` shows what lies below it"
    raise BadInput(f"has no {RUN}", field=field, allowed="the folder of a run record", hint=hint, file=path)


Item = Record | Unfinished | Damaged


def _below(folder: Path) -> Iterator[Item]:
    if (folder / RUN).is_file():
        found = _read(folder)
        yield found
        if isinstance(found, Record) and found.unfinished:
            yield Unfinished(folder, "it was interrupted", _resume(folder))
        return
    if (folder / JOURNAL).is_file():
        yield Unfinished(folder, f"a {JOURNAL} without {RUN}", _resume(folder))
        return
    try:
        with os.scandir(folder) as entries:
            inner = sorted(
                one.name for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")
            )
    except OSError as error:
        yield Damaged(folder, f"cannot be read: {error.strerror}")
        return
    found = [one for name in inner for one in _below(folder / name)]
    if (folder / BENCH).is_file():
        found = list(_of_bench(folder, found))
    yield from found


def _of_bench(folder: Path, found: list[Item]) -> Iterator[Item]:
    """The points of a bench; those that were begun or are missing become one item, since one command resumes all."""
    begun = [one for one in found if isinstance(one, Unfinished)]
    yield from (one for one in found if not isinstance(one, Unfinished))
    try:
        plan = json.loads((folder / BENCH).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        yield Damaged(folder, f"{BENCH} cannot be read as JSON")
        yield from begun
        return
    there = {one.path.name for one in found} - {one.path.name for one in begun}
    names = planned(plan)
    missing = [name for name in names if name not in there] or [one.path.name for one in begun]
    if missing:
        whole = f"{len(names) - len(missing)} of {len(names)} points are whole" if names else "not all points are whole"
        yield Unfinished(folder, f"{whole}; to do: {', '.join(missing)}", _resume(folder))


def planned(plan: Any) -> list[str]:
    """Names of the folders of all points of a bench, from its `bench.json`; empty where it does not say.

    >>> planned({"points": [{"name": "c1"}, {"name": "c2-2"}]}), planned([])
    (['c1', 'c2-2'], [])
    """
    points = plan.get("points") if isinstance(plan, dict) else None
    found = [one.get("name") for one in points if isinstance(one, dict)] if isinstance(points, list) else []
    return [one for one in found if isinstance(one, str) and one]


def _resume(folder: Path) -> str:
    bench = folder.parent if (folder.parent / BENCH).is_file() else folder
    return shlex.join(["inferatlas", "bench", "run", "--resume", bench.as_posix()])


def _read(folder: Path) -> Record | Damaged:
    try:
        document = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except OSError as error:
        return Damaged(folder, f"{RUN} cannot be read: {error.strerror}")
    except json.JSONDecodeError as error:
        return Damaged(folder, f"{RUN} is no JSON: line {error.lineno}")
    except (ValueError, RecursionError):
        return Damaged(folder, f"{RUN} is no JSON")
    if not isinstance(document, dict):
        return Damaged(folder, f"{RUN} is no JSON object")
    schema, kind = document.get("schema_version"), document.get("kind")
    if schema != SCHEMA or isinstance(schema, bool):
        return Damaged(folder, f"schema_version {schema!r}, where this version reads {SCHEMA}")
    if kind not in KINDS:
        return Damaged(folder, f"kind {kind!r}, which is none of {', '.join(KINDS)}")
    return Record(folder, document)


__all__ = ["BENCH", "JOURNAL", "RUN", "Damaged", "Finds", "Record", "Unfinished", "find", "planned", "read_run"]
