"""What calibration writes: coefficients, what they are without each group, and which rows they were fitted to."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inferatlas.errors import ConflictingData
from inferatlas.evidence import fitting
from inferatlas.evidence.answers import answers
from inferatlas.evidence.calibration import (
    LEAST,
    LEFT_OUT,
    ROWS,
    TRUST,
    Calibrated,
    calibrate,
    entry_key,
    fingerprint,
    level_names,
    version_of,
)
from inferatlas.evidence.fitting import COEFFICIENTS, POWER
from inferatlas.evidence.leaving_out import scored
from inferatlas.evidence.observations import FIRST_TOKEN
from inferatlas.evidence.predicting import predict_rows
from inferatlas.evidence.questions import questions
from inferatlas.evidence.table import METRICS, conform, read_table, write_table
from inferatlas.predict.performance.calibrated import FILE, NOTHING, WIDTHS, load
from inferatlas.predict.performance.coefficients import ANSWERING, TUNED, Closest

GROUP = {"model": "qwen3-14b", "accelerator": "nvidia-h100-sxm", "engine": "vllm"}
MINE = pl.all_horizontal(pl.col(name) == value for name, value in GROUP.items())


@pytest.fixture(scope="module", autouse=True)
def few_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "ROUNDS", 5)
        yield


@pytest.fixture
def one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what was learned does not matter."""
    monkeypatch.setattr(fitting, "ROUNDS", 1)


def table() -> pl.DataFrame:
    """Two accelerators x two engines x two models at seven loads: a tenth off the priors, with 3 % noise."""
    at = [
        (model, part, engine, c)
        for model in ("llama-3.1-8b", "qwen3-14b")
        for part in ("nvidia-h100-sxm", "nvidia-h200-sxm")
        for engine in ("vllm", "sglang")
        for c in (1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 128.0)
    ]
    rows = {
        "model": [m for m, *_ in at], "accelerator": [a for _, a, *_ in at], "engine": [e for *_, e, _ in at],
        "concurrency": [c for *_, c in at], "accelerators": 1.0, "weights": "bf16", "source": "a test",
        "load": "closed_loop", "input_tokens": 1024.0, "output_tokens": 256.0, **dict.fromkeys(METRICS, 1.0),
    }  # fmt: skip
    asked = questions(conform(pl.DataFrame(rows), "t"), NOTHING)
    found, random = answers(asked), np.random.default_rng(0)
    slower = np.where(asked.frame["engine"] == "sglang", 1.2, 1.1)
    power = {"output_tokens_per_s": -1.0, "power_w": 0.0}
    return asked.frame.with_columns(
        pl.Series(name, found[name] * slower ** power.get(name, 1.0) * random.lognormal(0, 0.03, len(slower)))
        for name in METRICS
    )


def slowed(frame: pl.DataFrame, factor: float) -> pl.DataFrame:
    """The same with all times of one group ``factor`` times as long."""
    power = {"output_tokens_per_s": 1 / factor, "power_w": 1.0}
    return frame.with_columns(
        pl.when(MINE).then(pl.col(name) * power.get(name, factor)).otherwise(name).alias(name) for name in METRICS
    )


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return table()


@pytest.fixture(scope="module")
def half(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("engine") == "vllm")


@pytest.fixture(scope="module")
def done(frame: pl.DataFrame) -> Calibrated:
    return calibrate(frame, date="2026-01-02")


@pytest.fixture(scope="module")
def folder(done: Calibrated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated") / "new"
    done.write(path)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[pl.DataFrame], Path]:
    def write(frame: pl.DataFrame) -> Path:
        path = tmp_path_factory.mktemp("calibrated")
        calibrate(frame, date="2026-01-02").write(path)
        return path

    return write


def test_three_files_are_written_and_load(done: Calibrated, folder: Path):
    assert {file.name for file in folder.iterdir()} == {FILE, LEFT_OUT, ROWS}
    learned = load(folder)
    assert learned.version == done.document["version"]
    assert learned.sources == {"a test": 56}
    assert learned.folder == folder
    assert learned.rows("accelerator:nvidia-h100-sxm") == 28
    assert learned.rows("class:gpu_simt") == 56
    assert learned.rows("case:qwen3-14b/nvidia-h100-sxm/vllm@2025") == 7
    assert learned.rows("source:a test") == 56
    assert not any(name.startswith("harness:") for name in learned.points)
    assert set(learned.effects) == {*COEFFICIENTS, *POWER} == set(TUNED)
    assert all(abs(effect) >= 1e-4 for effects in learned.effects.values() for effect in effects.values())


def test_the_document_counts_what_was_fitted(done: Calibrated):
    document = done.document
    assert (document["rows"], document["date"], done.skipped) == (56, "2026-01-02", {})
    assert document["figures"] == 3 * 56  # TTFT, ITL and power of each
    assert document["version"].startswith("2026-01-02/")
    assert set(document["width"]["base"]) == set(WIDTHS) == set(METRICS)
    for metric in METRICS:
        level = document["width"]["level"][metric]
        assert [level[name] for name in ANSWERING] == sorted(level.values())
    assert document["width"]["beyond"]["batch"]["seen"] == 128.0
    assert document["width"]["beyond"]["context"]["seen"] == 1280.0


def test_the_files_are_the_same_however_often_they_are_written(done: Calibrated, folder: Path, tmp_path: Path):
    done.write(tmp_path)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    assert json.loads((folder / ROWS).read_text()) == done.rows


def test_the_version_names_rows_and_what_was_learned(half: pl.DataFrame, one_round: None):
    changed = half.with_columns(pl.col("itl_s") * 1.0001)
    one, again, other = (calibrate(rows, date="2026-01-02") for rows in (half, half, changed))
    assert again.document == one.document
    assert other.document["version"] != one.document["version"]
    wider = one.document | {"width": one.document["width"] | {"source": {}}}
    assert version_of(wider, one.rows) != version_of(one.document, one.rows) == one.document["version"]


def test_what_was_fitted_is_nearer_than_what_was_left_out_and_both_beat_the_priors(
    frame: pl.DataFrame, done: Calibrated
):
    told = {(s["left_out"], s["metric"]): s["median_ape"] for s in done.scores}
    assert {kind for kind, _ in told} == {"nothing", "group", "accelerator", "model", "batch"}
    prior = answers(questions(frame, NOTHING))["itl_s"]
    bare = np.median(np.abs(prior / frame["itl_s"].to_numpy() - 1))
    assert told["nothing", "itl_s"] < 0.035
    assert told["nothing", "itl_s"] <= told["group", "itl_s"] < 0.6 * bare
    # one source and one length: nothing to leave out there; 64 and 128 are large batches beside 32 and less
    assert all(s["n"] == (16 if s["left_out"] == "batch" else 56) for s in done.scores)


def test_scores_are_those_of_the_predictions(frame: pl.DataFrame, done: Calibrated, folder: Path):
    figures, _ = predict_rows(frame, coefficients=folder)
    for metric in METRICS:
        mine = figures.filter(pl.col("metric") == metric)
        ape = (mine["value"] / mine["measured"] - 1).abs().median()
        expected = next(s for s in done.scores if (s["left_out"], s["metric"]) == ("group", metric))
        assert ape == pytest.approx(expected["median_ape"], rel=1e-2)  # links are written with five digits


@pytest.mark.parametrize("factor", [3.0, 1.1, 1 / 1.2])
def test_nothing_of_a_group_enters_its_own_prediction(
    frame: pl.DataFrame, folder: Path, written: Callable[[pl.DataFrame], Path], factor: float
):
    """Multiplied figures of a group move what is fitted to it by a lot and what is predicted without it hardly.

    Exactly nothing would take a fit for each group: the solution is linearised around the fit of all rows, and the
    common noise and the scales of effects are learned from all of them.
    """
    other = slowed(frame, factor)
    there = written(other)

    def values(rows: pl.DataFrame, coefficients: Path, *, in_sample: bool) -> pl.DataFrame:
        figures, _ = predict_rows(rows.filter(MINE), coefficients=coefficients, in_sample=in_sample)
        assert figures.height == 35
        assert set(figures["left_out"]) == {not in_sample}
        return figures.filter(pl.col("metric") != "power_w")

    def moved(*, in_sample: bool) -> np.ndarray:
        before, after = values(frame, folder, in_sample=in_sample), values(other, there, in_sample=in_sample)
        assert before["row_id"].equals(after["row_id"]) and not before["measured"].equals(after["measured"])
        return np.abs(np.log((after["value"] / before["value"]).to_numpy()))

    left_out, fitted = moved(in_sample=False), moved(in_sample=True)
    assert left_out.max() < 0.03
    assert np.median(left_out) < 0.01
    assert np.median(fitted) > 4 * np.median(left_out)
    assert fitted.max() > 0.05


def test_left_out_levels_are_those_without_the_group(done: Calibrated):
    entries = done.left_out["entries"]
    assert len(entries) == 8
    near = {Closest(*entry["closest"])._replace(points=0) for entry in entries.values()}
    assert near == {Closest("accelerator+engine", 0, covered=True, model=True, source=True)}
    assert done.left_out["coefficients"] == [*COEFFICIENTS, *POWER]
    for entry in entries.values():
        assert len(entry["links"]) == len(done.left_out["coefficients"])


def test_a_group_that_is_alone_falls_back_to_wider_levels(frame: pl.DataFrame, one_round: None):
    alone = (pl.col("accelerator") != "nvidia-h200-sxm") | (
        (pl.col("engine") == "vllm") & (pl.col("model") == "qwen3-14b")
    )
    found = calibrate(frame.filter(alone), date="d").left_out["entries"]
    levels = {key.split("|")[1]: Closest(*entry["closest"]).level for key, entry in found.items()}
    assert levels == {"nvidia-h100-sxm": "accelerator+engine", "nvidia-h200-sxm": "class+engine"}


def test_one_deployment_is_enough(frame: pl.DataFrame, written: Callable[[pl.DataFrame], Path]):
    one = frame.filter(MINE)
    many = pl.concat([one.with_columns(row_id=pl.col("row_id") + str(i)) for i in range(8)])
    folder = written(many.with_columns(power_w=pl.lit(None, pl.Float64)))
    figures, skipped = predict_rows(one, coefficients=folder)
    assert figures.height == 35 and skipped == {}
    assert ((figures["low"] < figures["value"]) & (figures["value"] < figures["high"])).all()
    times = figures.filter(pl.col("metric") == "itl_s")
    assert (times["value"] / times["measured"] - 1).abs().median() < 0.05  # type: ignore[operator]


def test_too_few_figures_are_refused(frame: pl.DataFrame):
    rows = pl.concat([frame.head(LEAST // 2 - 1), frame.tail(5).with_columns(model=pl.lit("nonesuch"))])
    with pytest.raises(ConflictingData, match=f"{LEAST - 2} figures") as refused:
        calibrate(rows, date="d")
    assert refused.value.exit_code == 5
    assert "5 x unknown model 'nonesuch'" in str(refused.value.hint)
    with pytest.raises(ConflictingData, match="0 figures"):
        calibrate(frame.head(0), date="d")


def test_rows_of_weight_0_are_not_there(half: pl.DataFrame, one_round: None):
    done = calibrate(half, date="2026-01-02")
    wrong = slowed(half, 10.0).filter(MINE).with_columns(weight=0.0, row_id=pl.col("row_id") + "x")
    found = calibrate(pl.concat([half, wrong]), date="2026-01-02")
    assert found.document == done.document
    assert found.left_out == done.left_out


def test_trust_is_the_weight_where_it_is_stated(half: pl.DataFrame, one_round: None):
    done = calibrate(half, date="2026-01-02")
    plain = calibrate(half.with_columns(weight=pl.lit(TRUST["A"])), date="2026-01-02")
    graded = calibrate(half.with_columns(weight=1.0, trust=pl.lit("A")), date="2026-01-02")
    assert graded.document["effects"] == plain.document["effects"] != done.document["effects"]
    bounds = calibrate(
        half.with_columns(weight=1.0, trust=pl.when(pl.col("row_id") == "t:1").then(pl.lit("C"))), date="2026-01-02"
    )
    assert bounds.document["rows"] == 27


def test_a_table_without_power_calibrates_times(frame: pl.DataFrame, one_round: None):
    found = calibrate(frame.with_columns(power_w=pl.lit(None, pl.Float64)), date="d")
    assert set(found.document["effects"]) == set(COEFFICIENTS)
    assert found.left_out["coefficients"] == list(COEFFICIENTS)
    assert found.document["figures"] == 2 * 56
    assert "power_w" in found.document["width"]["base"]


def test_equal_ids_are_all_remembered(frame: pl.DataFrame, written: Callable[[pl.DataFrame], Path], one_round: None):
    same = frame.with_columns(row_id=pl.lit("the same"))
    figures, _ = predict_rows(same, coefficients=written(same), in_sample=True)
    assert not figures["left_out"].any()  # every row was fitted


def test_the_same_id_with_other_figures_is_another_row(frame: pl.DataFrame, tmp_path: Path):
    marks = fingerprint(frame)
    assert len(set(marks)) == frame.height
    assert all(len(mark) == 8 and int(mark, 16) >= 0 for mark in marks)
    for metric in METRICS:
        other = fingerprint(frame.with_columns(pl.col(metric) * 1.001))
        assert all(a != b for a, b in zip(marks, other, strict=True))
    assert fingerprint(frame.with_columns(row_id=pl.lit("x"), notes=pl.lit("y"))) == marks
    # a figure that moves to another column is another figure
    one, two = (
        conform(pl.DataFrame({"ttft_s": [a], "itl_s": [b]}, schema={"ttft_s": pl.Float64, "itl_s": pl.Float64}))
        for a, b in ((0.5, None), (None, 0.5))
    )
    assert fingerprint(one) != fingerprint(two)
    for extension in (".csv", ".parquet", ".jsonl"):
        write_table(frame, tmp_path / f"t{extension}")
        assert fingerprint(read_table(tmp_path / f"t{extension}")) == marks


def test_latencies_that_are_first_tokens_are_not_scored():
    rows = {"latency_s": [1.0, 1.0, 0.0, None], "latency_meaning": [FIRST_TOKEN, None, None, None], "itl_s": 0.5}
    frame = conform(pl.DataFrame(rows, strict=False))
    assert scored(frame, "latency_s").tolist() == pytest.approx([np.nan, 1.0, np.nan, np.nan], nan_ok=True)
    assert scored(frame, "itl_s").tolist() == [0.5] * 4


def test_levels_name_the_harness_and_suspected_speculation(frame: pl.DataFrame):
    rows = frame.head(1).with_columns(
        source=pl.lit("inferencex_x"), model=pl.lit("deepseek-r1"), engine_version=pl.lit("0.5.6")
    )
    (names,) = level_names(questions(rows, NOTHING))
    assert {
        "source:inferencex",
        "harness:inferencex/vllm",
        "version:vllm@0.5.6",
        "drafted:deepseek-r1/vllm@0.5.6",
    } < set(names)
    assert names[0] == "class:gpu_simt"


def test_an_entry_is_one_text(frame: pl.DataFrame):
    entry = questions(frame.head(1), NOTHING).entries[0]
    assert entry_key(entry) == "llama-3.1-8b|nvidia-h100-sxm|vllm||bf16|||a test"
