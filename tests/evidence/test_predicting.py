"""Predictions for the figures of a table: each with an interval, and never by what was fitted to the figure itself."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.evidence import fitting
from inferatlas.evidence.answers import answers
from inferatlas.evidence.calibration import LEFT_OUT, calibrate
from inferatlas.evidence.observations import FIRST_TOKEN
from inferatlas.evidence.predicting import CONTEXT, SCORED, predict_rows, was_fitted
from inferatlas.evidence.questions import questions
from inferatlas.evidence.table import METRICS, conform, read_table, write_table
from inferatlas.predict.performance.calibrated import NOTHING, current, load

SHARED = Path(__file__).parents[3] / "shared" / "measured" / "calibration.parquet"


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Two accelerators x two models under vLLM, 30 % slower than the priors say, with 3 % noise."""
    at = [
        (model, part, c)
        for model in ("llama-3.1-8b", "qwen3-14b")
        for part in ("nvidia-h100-sxm", "nvidia-h200-sxm")
        for c in (1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 128.0)
    ]
    rows = {
        "model": [m for m, *_ in at], "accelerator": [a for _, a, _ in at], "concurrency": [c for *_, c in at],
        "engine": "vllm", "accelerators": 1.0, "weights": "bf16", "source": "a test", "load": "closed_loop",
        "input_tokens": 1024.0, "output_tokens": 256.0, **dict.fromkeys(METRICS, 1.0),
    }  # fmt: skip
    asked = questions(conform(pl.DataFrame(rows), "t"), NOTHING)
    found, random = answers(asked), np.random.default_rng(0)
    factor = {"output_tokens_per_s": 1 / 1.3, "power_w": 1.0}
    return asked.frame.with_columns(
        pl.Series(name, found[name] * factor.get(name, 1.3) * random.lognormal(0, 0.03, len(at))) for name in METRICS
    )


@pytest.fixture(scope="module")
def folder(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "ROUNDS", 4)
        calibrate(frame, date="2026-01-02").write(path)
    return path


def test_every_measured_figure_is_a_row_with_its_context(frame: pl.DataFrame, folder: Path):
    rows = frame.with_columns(itl_s=pl.when(pl.col("concurrency") > 2).then("itl_s"))
    figures, skipped = predict_rows(rows, coefficients=folder)
    assert figures.columns == [*CONTEXT, *SCORED]
    assert skipped == {}
    assert figures.height == 28 * 5 - 8
    told = figures.pivot("metric", index="row_id", values="measured").join(rows, on="row_id", maintain_order="left")
    for metric in METRICS:
        assert told[metric].equals(told[f"{metric}_right"], check_names=False)


def test_values_lie_within_their_intervals(frame: pl.DataFrame, folder: Path):
    figures, _ = predict_rows(frame, coefficients=folder)
    assert ((figures["low"] > 0) & (figures["low"] < figures["value"]) & (figures["value"] < figures["high"])).all()
    # intervals are as wide upwards as downwards, as factors
    assert (figures["high"] / figures["value"]).to_numpy() == pytest.approx(
        (figures["value"] / figures["low"]).to_numpy()
    )


def test_fitted_rows_are_predicted_without_their_group_unless_in_sample(frame: pl.DataFrame, folder: Path):
    out, _ = predict_rows(frame, coefficients=folder)
    into, _ = predict_rows(frame, coefficients=folder, in_sample=True)
    assert out["left_out"].all() and not into["left_out"].any()
    assert set(into["level"]) == {"model+accelerator+engine"}
    assert set(out["level"]) == {"accelerator+engine"}
    itl = pl.col("metric") == "itl_s"
    miss = [(x.filter(itl)["value"] / x.filter(itl)["measured"]).log().abs().median() for x in (into, out)]
    assert miss[0] < miss[1]  # type: ignore[operator]
    # what is farther from the evidence is less certain
    width = [(x["high"] / x["low"]).log().to_numpy() for x in (into, out)]
    assert np.median(width[1] / width[0]) > 1.0


def test_in_sample_values_are_the_answers_of_the_coefficients(frame: pl.DataFrame, folder: Path):
    found = answers(questions(frame, load(folder)))
    into, _ = predict_rows(frame, coefficients=folder, in_sample=True)
    for metric in METRICS:
        assert into.filter(pl.col("metric") == metric)["value"].to_numpy() == pytest.approx(found[metric], rel=1e-12)


def test_other_rows_are_predicted_by_the_whole_fit(frame: pl.DataFrame, folder: Path):
    into, _ = predict_rows(frame, coefficients=folder, in_sample=True)
    new, _ = predict_rows(frame.with_columns(row_id=pl.col("row_id") + "new"), coefficients=folder)
    assert new["value"].equals(into["value"])
    assert new["low"].equals(into["low"])
    assert new["left_out"].all()  # none of them was fitted


def test_the_same_id_with_other_figures_is_another_row(frame: pl.DataFrame, folder: Path):
    other = frame.with_columns(pl.when(pl.int_range(pl.len()) < 3).then(pl.col("itl_s") * 1.01).otherwise("itl_s"))
    assert was_fitted(frame, load(folder)).all()
    assert was_fitted(other, load(folder)).to_list() == [False] * 3 + [True] * 25
    assert not was_fitted(frame, NOTHING).any()
    figures, _ = predict_rows(other, coefficients=folder, in_sample=True)
    changed = set(frame["row_id"].head(3))
    assert figures.filter(pl.col("left_out"))["row_id"].is_in(changed).all()
    assert figures.filter("left_out").height == 15


def test_a_fitted_row_under_another_name_cannot_be_left_out_and_is_counted(frame: pl.DataFrame, folder: Path):
    """Its figures are in the fit, but not where its new name says: neither way of predicting it would be honest."""
    renamed = frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("fp8")).otherwise("weights").alias("weights")
    )
    figures, skipped = predict_rows(renamed, coefficients=folder)
    assert figures.height == 25 * 5
    assert list(skipped.values()) == [3]
    assert "fitted" in next(iter(skipped))
    assert predict_rows(renamed, coefficients=folder, in_sample=True)[0].height == 28 * 5


def test_coefficients_without_their_companions_know_no_rows(frame: pl.DataFrame, folder: Path, tmp_path: Path):
    (tmp_path / "coefficients.json").write_bytes((folder / "coefficients.json").read_bytes())
    into, _ = predict_rows(frame, coefficients=folder, in_sample=True)
    bare, _ = predict_rows(frame, coefficients=tmp_path)
    assert bare["value"].equals(into["value"])


def test_the_order_of_rows_does_not_matter(frame: pl.DataFrame, folder: Path):
    by = ["metric", "row_id"]
    one, _ = predict_rows(frame, coefficients=folder)
    two, _ = predict_rows(frame.sample(fraction=1.0, shuffle=True, seed=3), coefficients=folder)
    for name in ("value", "low", "high"):
        assert one.sort(by)[name].to_numpy() == pytest.approx(two.sort(by)[name].to_numpy(), rel=1e-12)


def test_a_table_that_was_written_and_read_is_still_the_one_that_was_fitted(
    frame: pl.DataFrame, folder: Path, tmp_path: Path
):
    for extension in (".csv", ".parquet", ".jsonl"):
        write_table(frame, tmp_path / f"t{extension}")
        assert was_fitted(read_table(tmp_path / f"t{extension}"), load(folder)).all()


def test_unmeasured_accelerators_are_extrapolated(frame: pl.DataFrame, folder: Path):
    far = frame.head(7).with_columns(accelerator=pl.lit("nvidia-l40s"), row_id=pl.col("row_id") + "far")
    figures, _ = predict_rows(pl.concat([frame.head(7), far]), coefficients=folder)
    told = dict(figures.select("accelerator", "label").unique().iter_rows())
    assert told == {"nvidia-h100-sxm": "predicted", "nvidia-l40s": "extrapolated"}
    assert set(figures.filter(pl.col("accelerator") == "nvidia-l40s")["level"]) == {"class+engine"}


def test_impossible_rows_are_counted_and_not_predicted(measured):
    frame = pl.concat([
        measured(),
        measured(itl_s=20.0, ttft_s=200.0).head(4),  # milliseconds
        measured(itl_s=20e-6).head(3),  # faster than memory
        measured(model="nonesuch").head(2),
        measured(load="bursts").head(1),
    ])  # fmt: skip
    figures, skipped = predict_rows(frame)
    assert figures.height == 12 * 5
    assert skipped["wrong unit: a time or power that no machine needs"] == 4
    assert skipped["breaks physics"] == 3
    assert sorted(skipped.values()) == [1, 2, 3, 4]


def test_a_latency_that_is_a_first_token_is_no_latency(measured):
    figures, _ = predict_rows(measured(latency_meaning=FIRST_TOKEN, load="static_batch"))
    assert "latency_s" not in set(figures["metric"])
    assert figures.height == 12 * 4


def test_a_gap_after_a_single_token_has_no_prediction(measured):
    figures, _ = predict_rows(measured(output_tokens=1.0, latency_s=0.21, output_tokens_per_s=None))
    assert set(figures["metric"]) == {"ttft_s", "latency_s", "power_w"}


@pytest.mark.parametrize("rows", [0, 2])
def test_a_table_without_questions_gives_no_figures(measured, rows: int):
    figures, skipped = predict_rows(measured(model="nonesuch").head(rows))
    assert figures.height == 0
    assert figures.columns == [*CONTEXT, *SCORED]
    assert sum(skipped.values()) == rows


def test_a_folder_without_coefficients_is_refused(measured, tmp_path: Path):
    with pytest.raises(BadInput, match="no coefficients there"):
        predict_rows(measured(), coefficients=tmp_path / "nowhere")


def test_without_a_folder_those_in_use_answer(measured, folder: Path, monkeypatch: pytest.MonkeyPatch):
    shipped, _ = predict_rows(measured())
    monkeypatch.setenv("INFERATLAS_COEFFICIENTS", str(folder))
    ours, _ = predict_rows(measured())
    named, _ = predict_rows(measured(), coefficients=folder)
    assert ours.equals(named)
    assert not ours["value"].equals(shipped["value"])


@pytest.mark.skipif(not SHARED.exists(), reason="the shared table of measured points is not here")
def test_the_package_predicts_the_table_it_was_fitted_to_without_each_group():
    frame = read_table(SHARED).sample(1000, seed=1)
    assert (current().folder or Path()).joinpath(LEFT_OUT).exists()
    figures, skipped = predict_rows(frame)
    assert figures["left_out"].all()
    assert figures["row_id"].n_unique() + sum(skipped.values()) == 1000
    fitted = was_fitted(frame, current())
    asked = frame.filter(pl.col("row_id").is_in(figures["row_id"].unique().to_list()))
    assert was_fitted(asked, current()).all()
    assert fitted.mean() > 0.9  # type: ignore[operator]
    told = figures.filter(pl.col("metric") == "itl_s")
    inside = (told["low"] <= told["measured"]) & (told["measured"] <= told["high"])
    assert 0.7 < inside.mean() < 0.95  # type: ignore[operator]
    assert (told["value"] / told["measured"] - 1).abs().median() < 0.2  # type: ignore[operator]
    # what was fitted to them would look better than it is
    into, _ = predict_rows(frame, in_sample=True)
    into = into.filter(pl.col("metric") == "itl_s")
    assert not into["left_out"].any()
    miss = [(x["value"] / x["measured"]).log().abs().median() for x in (into, told)]
    assert miss[0] < miss[1]  # type: ignore[operator]
