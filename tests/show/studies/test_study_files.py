"""A study's folder holds page, Markdown, data and pictures, complete or not at all."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from madeup_studies import PAPER, growing, made_up

from inferatlas.errors import BadInput
from inferatlas.show.studies.files import check_folder, write_study
from inferatlas.studies.reproducing.study import Study

TYPED = "inferatlas reproduce made-up --output study/"


def small() -> Study:
    return replace(made_up(), exhibits=(growing(2),), guidelines=made_up().guidelines[:1])


def test_all_files_are_there(tmp_path: Path):
    written = write_study(small(), tmp_path / "a" / "b", TYPED)
    names = {path.name for path in (tmp_path / "a" / "b" / "made-up").iterdir()}
    assert names == {path.name for path in written} == {
        "report.html", "report.md", "study.json", "figure-1.csv", "figure-1.svg", "guideline-small-batches.csv",
        "guideline-small-batches.svg",
    }  # fmt: skip


def test_data_are_those_of_the_study(tmp_path: Path):
    write_study(small(), tmp_path, TYPED)
    with (tmp_path / "made-up" / "figure-1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pairs = small().exhibits[0].pairs
    assert [row["accelerator"] for row in rows] == [one.what["accelerator"] for one in pairs]
    assert [float(row["value"]) for row in rows] == pytest.approx([one.ours.value for one in pairs if one.ours])
    assert [row["published"] == "" for row in rows] == [one.published is None for one in pairs]
    held = json.loads((tmp_path / "made-up" / "study.json").read_text(encoding="utf-8"))
    assert [one["verdict"] for one in held["claims"]] == [one.verdict for one in small().findings]
    assert len(held["exhibits"][0]["pairs"]) == len(pairs)


def test_a_second_time_gives_the_same_files(tmp_path: Path):
    write_study(small(), tmp_path, TYPED)
    first = {path.name: path.read_bytes() for path in (tmp_path / "made-up").iterdir() if path.suffix != ".html"}
    write_study(small(), tmp_path, TYPED)
    again = {path.name: path.read_bytes() for path in (tmp_path / "made-up").iterdir() if path.suffix != ".html"}
    assert first == again


def test_an_exhibit_without_pairs_has_no_data(tmp_path: Path):
    study = Study(PAPER, (), (replace(growing(), pairs=()),), (), ())
    assert [path.name for path in write_study(study, tmp_path, TYPED)] == ["report.html", "report.md", "study.json"]


@pytest.mark.parametrize("folder", ["file", "file/below", "a\0b"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, folder: str):
    (tmp_path / "file").write_text("here", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be written"):
        check_folder(tmp_path / folder, "made-up")
    with pytest.raises(BadInput, match="cannot be written"):
        write_study(small(), tmp_path / folder, TYPED)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "here"


def test_the_command_names_the_folder(tmp_path: Path):
    written = write_study(Study(PAPER, (), (), (), ()), tmp_path / "a b")
    text = written[1].read_text(encoding="utf-8")
    assert f"inferatlas reproduce made-up --output '{tmp_path}/a b'" in text


def test_ids_cannot_leave_the_folder(tmp_path: Path):
    study = Study(PAPER, (), (replace(growing(2), id="../../up"),), (), ())
    assert all(path.parent == tmp_path / "made-up" for path in write_study(study, tmp_path, TYPED))
