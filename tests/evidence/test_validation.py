"""A table against the predictor: every row is scored or counted among the skipped."""

from pathlib import Path

import polars as pl
import pytest

from inferatlas.errors import ConflictingData
from inferatlas.evidence import validation
from inferatlas.evidence.validation import NO_FIGURE, NothingScored, validate


@pytest.mark.parametrize(("factor", "bias"), [(1.0, 0.0), (1.25, -0.2231), (1 / 1.1, 0.0953)])
def test_what_is_measured_as_predicted_has_no_error_and_a_known_miss_is_found(as_predicted, factor: float, bias: float):
    found = validate(as_predicted(factor).drop("power_w").with_columns(power_w=pl.lit(None, pl.Float64)))
    assert {one["metric"] for one in found.slices} == {"ttft_s", "itl_s", "latency_s", "output_tokens_per_s"}
    for one in found.slices:
        sign = -1 if one["metric"] == "output_tokens_per_s" else 1
        assert one["n"] == 12
        assert one["bias"] == pytest.approx(sign * bias, abs=1e-3)
        assert one["coverage"] == 1.0 or factor == 1.25  # a miss by a quarter may lie outside


def test_rows_are_scored_or_skipped_and_nothing_is_lost(measured):
    frame = pl.concat([
        measured(),
        measured(model="nonesuch-7b").head(2),
        measured(accelerator="nonesuch").head(3),
        measured(accelerators=None).head(1),
        measured(itl_s=20.0, ttft_s=200.0).head(4),  # milliseconds
    ])  # fmt: skip
    found = validate(frame)
    assert (found.rows, found.scored) == (22, 12)
    assert found.rows == found.scored + sum(found.skipped.values())
    assert list(found.skipped.values()) == sorted(found.skipped.values(), reverse=True)
    assert any("nonesuch-7b" in reason for reason in found.skipped)
    assert any(reason.startswith("wrong unit") for reason in found.skipped)


def test_a_latency_that_is_a_first_token_counts_as_no_figure(measured):
    nothing = dict.fromkeys(("ttft_s", "itl_s", "output_tokens_per_s", "power_w"))
    frame = pl.concat([measured(), measured(**nothing, latency_meaning="first token")])
    assert validate(frame).skipped == {NO_FIGURE: 12}


def test_repeated_row_ids_each_count(measured):
    found = validate(measured(row_id="same"))
    assert (found.rows, found.scored, found.skipped) == (12, 12, {})


@pytest.mark.parametrize("columns", [{"model": None}, {"model": "nonesuch"}, {"itl_s": 20.0}])
def test_nothing_scored_is_conflicting_data_with_the_reasons(measured, columns: dict[str, object]):
    with pytest.raises(NothingScored) as refused:
        validate(measured(**columns))
    assert isinstance(refused.value, ConflictingData) and refused.value.exit_code == 5
    assert sum(refused.value.skipped.values()) == 12
    assert "12 x " in str(refused.value)
    assert refused.value.as_dict()["skipped"] == refused.value.skipped


def test_an_empty_table_scores_nothing(measured):
    with pytest.raises(NothingScored, match="none of 0 rows"):
        validate(measured().clear())


def test_options_reach_the_predictor(measured, monkeypatch: pytest.MonkeyPatch):
    real, heard = validation.predict_rows, []

    def listening(frame: pl.DataFrame, **options: object):
        heard.append(options)
        return real(frame)

    monkeypatch.setattr(validation, "predict_rows", listening)
    validate(measured())
    found = validate(measured(), coefficients=Path("c"), in_sample=True)
    assert heard == [
        {"coefficients": None, "in_sample": False},
        {"coefficients": Path("c"), "in_sample": True},
    ]
    assert (found.fit["mode"], found.fit["coefficients"]) == ("in-sample", "c")


def test_the_fit_says_how_many_figures_were_left_out(measured, monkeypatch: pytest.MonkeyPatch):
    real = validation.predict_rows

    def half(frame: pl.DataFrame, **_: object):
        figures, skipped = real(frame)
        return figures.with_columns(left_out=pl.col("model") == "qwen3-8b"), skipped

    monkeypatch.setattr(validation, "predict_rows", half)
    fit = validate(measured()).fit
    assert (fit["figures"], fit["figures_left_out"], fit["figures_in_sample"]) == (60, 30, 30)


def test_what_rows_do_not_state_is_counted(measured):
    silent = measured().with_columns(weights=pl.lit(None, pl.String), tp=pl.lit(None, pl.Float64))
    assert validate(measured()).fit["assumed"].get("weight format") is None
    assumed = validate(silent).fit["assumed"]
    assert assumed["weight format"] == assumed["layout"] == silent.height
