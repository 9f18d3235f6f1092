"""A study as files: `report.html`, `report.md`, `study.json`, and a CSV and an SVG for every exhibit."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from inferatlas.errors import BadInput
from inferatlas.show.output import to_csv, to_json
from inferatlas.show.studies.markdown import study_markdown
from inferatlas.show.studies.pages import study_html
from inferatlas.show.studies.parts import drawer, parts_of, stem
from inferatlas.studies.reproducing.study import Study, pair_row


def check_folder(folder: str | Path, paper: str, field: str = "output") -> Path:
    """Refuse a folder in which a study cannot be written, before the work is done; makes it where it is missing.

    Raises
    ------
    BadInput : ``folder/paper`` cannot be made or written; ``field`` is the flag that named it.
    """
    folder = Path(folder).expanduser()
    target = folder / paper
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):  # the one test that also sees read-only disks
            pass
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unwritable(target, error, field) from None
    return folder


def write_study(study: Study, folder: str | Path, typed: str | None = None) -> list[Path]:
    """Write the study into ``folder/<paper>/``; each file is complete or is not there. Returns the paths.

    Parameters
    ----------
    folder : is made where it does not exist. typed : the command that makes these files, where it is another one.

    Raises
    ------
    BadInput : the folder cannot be made or written.
    """
    folder = check_folder(folder, study.paper.id)
    target = folder / study.paper.id
    try:
        return [_write(target / name, text) for name, text in _files(study, typed or _command(study, folder))]
    except OSError as error:
        raise _unwritable(target, error, "output") from None


def _command(study: Study, folder: Path) -> str:
    return f"inferatlas reproduce {study.paper.id} --output {shlex.quote(str(folder))}"


def _unwritable(path: Path, error: Exception, field: str) -> BadInput:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return BadInput(f"cannot be written: {reason}", field=field, allowed="a folder", file=path)


def _files(study: Study, typed: str) -> Iterator[tuple[str, str]]:
    """Names and contents, each made when it is its turn."""
    draw = drawer(study)
    yield "report.html", study_html(study, typed, draw)
    yield "report.md", study_markdown(study, typed, {stem(one) for one in parts_of(study) if draw(one) is not None})
    yield "study.json", to_json(study.as_dict())
    for one in parts_of(study):
        if one.pairs:
            yield f"{stem(one)}.csv", to_csv([pair_row(pair) for pair in one.pairs])
        svg = draw(one)
        if svg is not None:
            from inferatlas.show.charts.style import to_file

            yield f"{stem(one)}.svg", to_file(svg)


def _write(path: Path, text: str) -> Path:
    """Write beside the file and move it into place, so that no reader sees half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
        unfinished = Path(file.name)
        try:
            file.write(text)
            file.close()
            unfinished.chmod(0o644)  # a temporary file is its owner's alone
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
    return path
