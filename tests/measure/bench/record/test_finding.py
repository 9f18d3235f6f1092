"""Records are found wherever they lie, and what is wrong with one is told beside the others."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.record.finding import find, read_run

Measured = Callable[..., Path]


def test_both_kinds_are_found_at_any_depth_and_once(measured: Measured, simulated: Path, tmp_path: Path):
    measured("bench/c1")
    measured("bench/deeper/c2")
    found = find([tmp_path, tmp_path / "bench", simulated])
    assert [one.path.name for one in found.records] == ["c1", "c2", "c4"]
    assert [one.document["kind"] for one in found.records] == ["measured", "measured", "simulated"]
    assert not found.unfinished and not found.damaged


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"schema_version": 1,\n "kind": ', "run.json is no JSON: line 2"),
        ("[]", "run.json is no JSON object"),
        ('{"schema_version": 2, "kind": "measured"}', "schema_version 2, where this version reads 1"),
        ('{"kind": "measured"}', "schema_version None"),
        ('{"schema_version": 1, "kind": "dreamt"}', "kind 'dreamt'"),
        ("\ufeff\x00", "run.json is no JSON"),
        ("[" * 100_000, "run.json is no JSON"),
    ],
)
def test_a_damaged_record_is_told_and_hides_no_other(measured: Measured, tmp_path: Path, text: str, why: str):
    measured("good")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "run.json").write_text(text)
    found = find([tmp_path])
    assert [one.path.name for one in found.records] == ["good"]
    assert [one.path for one in found.damaged] == [bad]
    assert why in found.damaged[0].why
    with pytest.raises(BadInput, match=r"run\.json"):
        read_run(bad)


def test_a_bench_without_all_its_points_is_unfinished_and_says_how_to_go_on(measured: Measured, tmp_path: Path):
    bench = measured("my bench/c1").parent
    (bench / "bench.json").write_text(json.dumps({"points": [{"name": name} for name in ("c1", "c2", "c4")]}))
    (bench / "c2").mkdir()
    (bench / "c2" / "requests.journal").write_text("{}\n")
    found = find([tmp_path])
    assert len(found.records) == 1
    assert len(found.unfinished) == 1
    assert "1 of 3 points are whole; to do: c2, c4" in found.unfinished[0].why
    assert found.unfinished[0].resume == f"inferatlas bench run --resume '{bench}'"
    with pytest.raises(BadInput, match="unfinished") as refused:
        read_run(bench / "c2")
    assert "--resume" in (refused.value.hint or "")


def test_a_whole_bench_is_not_unfinished(measured: Measured, tmp_path: Path):
    bench = measured("b/c1").parent
    (bench / "bench.json").write_text('{"points": [{"name": "c1"}]}')
    assert find([tmp_path]).unfinished == ()


def test_an_interrupted_run_has_figures_and_can_go_on(measured: Measured, tmp_path: Path):
    bench = measured("b/c1", unfinished=True).parent
    alone = find([tmp_path])
    assert [one.name for one in alone.records] == [str(bench / "c1")]
    assert [(one.path, one.why) for one in alone.unfinished] == [(bench / "c1", "it was interrupted")]
    (bench / "bench.json").write_text('{"points": [{"name": "c1"}, {"name": "c2"}]}')
    found = find([tmp_path])
    assert len(found.records) == 1 and "0 of 2 points are whole; to do: c1, c2" in found.unfinished[0].why


def test_a_journal_alone_is_unfinished(tmp_path: Path):
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1" / "requests.journal").touch()
    assert [one.path.name for one in find([tmp_path]).unfinished] == ["c1"]


def test_links_in_a_circle_end(measured: Measured, tmp_path: Path):
    folder = measured("b/c1").parent
    (folder / "again").symlink_to(tmp_path)
    assert len(find([tmp_path]).records) == 1


def test_names_below_runs_are_enough(measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measured("runs/b/c1")
    monkeypatch.chdir(tmp_path)
    assert read_run("b/c1").name == "runs/b/c1"
    assert len(find().records) == 1
    with pytest.raises(BadInput, match="does not exist"):
        read_run("b/c9")
    with pytest.raises(BadInput, match=r"no run\.json"):
        read_run("b")
