"""Files of calibrated coefficients: what is wrong with one is said, and the environment names another folder."""

import json
from pathlib import Path

import pytest

from inferatlas.errors import BadInput
from inferatlas.predict.performance import calibrated
from inferatlas.predict.performance.calibrated import FILE, FOLDER, FORMAT, NOTHING, VARIABLE, WIDTHS, current, load
from inferatlas.predict.performance.coefficients import ANSWERING, TUNED
from inferatlas.predict.performance.widths import LOADS
from inferatlas.predict.platforms import bind

GOOD = {
    "format": FORMAT,
    "version": "mine",
    "date": "2026-01-02",
    "effects": {},
    "points": {},
    "width": {},
    "sources": {},
}


def write(folder: Path, content) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"), ("", "not JSON"), ("[1]", "not coefficients of this version"),
        ({}, "not coefficients of this version"), (GOOD | {"format": FORMAT - 1}, "not coefficients of this version"),
        ({"format": FORMAT}, "lacks date, effects, points, sources, version, width"),
        *(({k: v for k, v in GOOD.items() if k != key}, f"lacks {key}") for key in GOOD if key != "format"),
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_file_is_refused_by_name(tmp_path: Path, content, words: str):
    with pytest.raises(BadInput, match=words) as caught:
        load(write(tmp_path, content))
    assert str(tmp_path / FILE) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_folder_without_the_file_is_refused_with_the_command_that_writes_one(tmp_path: Path):
    with pytest.raises(BadInput, match="no coefficients there") as caught:
        load(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / FILE) in str(caught.value)
    assert "inferatlas calibrate" in str(caught.value)


def test_bytes_that_are_no_text_are_not_json(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadInput, match="not JSON"):
        load(tmp_path)


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow = GOOD | {"effects": {"step_s": {"engine:vllm": 5.0}}, "points": {"engine:vllm": 7}}
    monkeypatch.delenv(VARIABLE, raising=False)
    shipped = bind("h100", "vllm").coefficients
    monkeypatch.setenv(VARIABLE, str(write(tmp_path, slow)))
    assert (current().version, current().date, current().folder) == ("mine", "2026-01-02", tmp_path)
    assert (current().rows("engine:vllm"), current().rows("engine:sglang")) == (7, 0)
    mine, priors = (bind("h100", "vllm", calibration=c).coefficients for c in (None, NOTHING))
    assert mine.step_s == pytest.approx(priors.step_s * 148.413, rel=1e-4)
    assert mine.step_s != shipped.step_s
    assert mine.memory_efficiency == priors.memory_efficiency
    monkeypatch.delenv(VARIABLE)
    assert bind("h100", "vllm").coefficients == shipped


def test_an_environment_that_names_nothing_useful_is_refused_when_asked(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(BadInput, match="no coefficients there"):
        bind("h100")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "~")
    write(tmp_path, GOOD)
    assert current().version == "mine"


def test_what_is_shipped_is_whole():
    shipped = load(FOLDER)
    assert shipped.version and shipped.date
    assert shipped.effects.keys() <= {*TUNED}
    assert all(isinstance(rows, int) and rows > 0 for rows in shipped.points.values())
    assert shipped.sources and sum(shipped.sources.values()) > 1000
    seen = {level for effects in shipped.effects.values() for level in effects}
    # no effect without rows behind it; rows of sources are counted in ``sources``
    assert {level for level in seen if not level.startswith(("source:", "harness:"))} <= shipped.points.keys()
    for metric in WIDTHS:
        assert shipped.width["base"][metric].keys() == {*LOADS}
        assert shipped.width["level"][metric].keys() == {*ANSWERING}


def test_nothing_is_no_file_and_shifts_nothing():
    assert (NOTHING.effects, NOTHING.points, NOTHING.width, NOTHING.folder) == ({}, {}, {}, None)
    assert calibrated.current() is load(FOLDER)  # read once
