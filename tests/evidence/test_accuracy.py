"""The scoreboard holds every predictor side by side, and in-sample errors only where rows were fitted."""

from collections.abc import Callable

import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.evidence import validation
from inferatlas.evidence.accuracy import Accuracy, accuracy
from inferatlas.evidence.validation import validate

FITTED, NOT_FITTED = "nvidia-h100-sxm", "nvidia-h200-sxm"


@pytest.fixture
def scores(measured: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch) -> Accuracy:
    """In-sample predictions are made to miss half as far (on logarithms), for rows of one accelerator only."""
    real = validation.predict_rows

    def fitted(frame: pl.DataFrame, *, in_sample: bool = False, **_: object):
        figures, skipped = real(frame)
        if in_sample:
            halfway = (pl.col("value") * pl.col("measured")).sqrt()
            figures = figures.with_columns(value=halfway, left_out=pl.col("accelerator") == NOT_FITTED)
        return figures, skipped

    monkeypatch.setattr(validation, "predict_rows", fitted)
    return accuracy(measured(), validate(measured()), name="runs")


def test_in_sample_stands_beside_left_out_only_where_rows_were_fitted(scores: Accuracy):
    rows = {(one["by"]["accelerator"], one["metric"]): one for one in scores.families["accelerator"]}
    assert rows[FITTED, "itl_s"]["in_sample"] < rows[FITTED, "itl_s"]["median_ape"]
    assert rows[NOT_FITTED, "itl_s"]["in_sample"] is None
    assert scores.fitted == 30


def test_every_slice_has_all_predictors(scores: Accuracy):
    assert scores.name == "runs"
    assert list(scores.families) == ["accelerator", "engine", "model", "load"]
    for rows in (scores.overall, scores.levels, *scores.families.values()):
        assert rows
        assert all(one["roofline"] > 0 and one["one_efficiency"] is not None for one in rows)


def test_a_validation_in_sample_or_left_out_gives_one_scoreboard(measured: Callable[..., pl.DataFrame]):
    frame = measured()
    left_out, in_sample = (accuracy(frame, validate(frame, in_sample=inside)) for inside in (False, True))
    assert left_out.overall == in_sample.overall
    assert left_out.worst == in_sample.worst


def test_families_are_those_asked_for(measured: Callable[..., pl.DataFrame]):
    frame = measured()
    found = validate(frame)
    assert list(accuracy(frame, found, by=["concurrency"]).families) == ["concurrency"]
    with pytest.raises(BadInput, match="colour"):
        accuracy(frame, found, by=["colour"])
