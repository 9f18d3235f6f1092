"""Scores: what errors, bias and coverage mean, and which slices there are."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.evidence.scoreboard import SLICEABLE, check_by, medians, slices

positive = st.floats(1e-6, 1e6)
pairs = st.lists(st.tuples(positive, positive), min_size=1, max_size=40)


def figures(values: list[tuple[float, float]], metric: str = "itl_s", **columns: object) -> pl.DataFrame:
    """(measured, predicted) with intervals from half to twice the prediction."""
    rows = {
        "row_id": [str(i) for i in range(len(values))], "metric": metric, "measured": [m for m, _ in values],
        "low": [p / 2 for _, p in values], "value": [p for _, p in values], "high": [2 * p for _, p in values],
    }  # fmt: skip
    return pl.DataFrame(rows | columns)


def score(frame: pl.DataFrame) -> dict[str, float]:
    (one,) = slices(frame)
    return one


@given(pairs)
def test_scores_are_those_of_numpy(values: list[tuple[float, float]]):
    one = score(figures(values))
    m, p = np.array(values).T
    ape = np.abs(p / m - 1)
    assert one["n"] == len(values)
    assert one["median_ape"] == pytest.approx(np.median(ape))
    assert one["mean_ape"] == pytest.approx(ape.mean())
    assert one["p90_ape"] == pytest.approx(np.quantile(ape, 0.9))
    assert one["bias"] == pytest.approx(np.median(np.log(p / m)), abs=1e-12)
    assert one["coverage"] == pytest.approx(((m >= p / 2) & (m <= 2 * p)).mean())


@given(pairs, st.sampled_from([1e-3, 1e3]))
def test_a_change_of_unit_changes_no_score(values: list[tuple[float, float]], factor: float):
    before, after = score(figures(values)), score(figures([(m * factor, p * factor) for m, p in values]))
    for name in ("median_ape", "mean_ape", "p90_ape", "bias"):
        assert after[name] == pytest.approx(before[name], rel=1e-9, abs=1e-9)


@given(st.lists(positive, min_size=1), st.floats(1.01, 1.9))
def test_bias_has_the_sign_of_the_miss_and_its_size(values: list[float], factor: float):
    assert score(figures([(m, m * factor) for m in values]))["bias"] == pytest.approx(math.log(factor))
    assert score(figures([(m, m / factor) for m in values]))["bias"] == pytest.approx(-math.log(factor))


@given(st.lists(positive, min_size=1))
def test_perfect_predictions_have_no_error_and_full_coverage(values: list[float]):
    one = score(figures([(m, m) for m in values]))
    assert (one["median_ape"], one["p90_ape"], one["bias"], one["coverage"]) == (0, 0, 0, 1)


def test_figures_that_are_no_positive_number_are_not_scored():
    nan, inf = float("nan"), float("inf")
    frame = figures([(1.0, 1.0), (1.0, nan), (1.0, inf), (nan, 1.0), (0.0, 1.0), (1.0, 0.0)])
    assert score(frame)["n"] == 1
    assert slices(frame.filter(pl.col("value").is_nan())) == []


def test_the_overall_slices_come_first_then_one_family_a_column():
    frame = pl.concat([
        figures([(1.0, 1.1)] * 3, engine=["vllm", "sglang", None], load="offline"),
        figures([(1.0, 1.2)], "ttft_s", engine="vllm", load="poisson"),
    ])  # fmt: skip
    found = slices(frame, ["load", "engine", "load"])
    assert [(one["by"], one["metric"], one["n"]) for one in found] == [
        ({}, "ttft_s", 1),
        ({}, "itl_s", 3),
        ({"load": "offline"}, "itl_s", 3),
        ({"load": "poisson"}, "ttft_s", 1),
        ({"engine": "not stated"}, "itl_s", 1),
        ({"engine": "sglang"}, "itl_s", 1),
        ({"engine": "vllm"}, "ttft_s", 1),
        ({"engine": "vllm"}, "itl_s", 1),
    ]


def test_counts_are_sliced_in_bands_of_powers_of_four_in_order_of_size():
    frame = figures([(1.0, 1.0)] * 7, concurrency=[1.0, 3.0, 4.0, 64.0, 255.0, 256.0, None])
    found = slices(frame, ["concurrency"])[1:]
    assert [(one["by"]["concurrency"], one["n"]) for one in found] == [
        ("not stated", 1), ("1-3", 2), ("4-15", 1), ("64-255", 2), ("256-1023", 1),
    ]  # fmt: skip


def test_every_column_that_is_allowed_can_be_sliced_by():
    text = dict.fromkeys(("accelerator", "engine", "model", "load", "source", "weights", "label", "level"), "x")
    numbers = dict.fromkeys(("accelerators", "concurrency", "input_tokens", "output_tokens"), 8.0)
    found = slices(figures([(1.0, 1.0)], **text, **numbers), SLICEABLE)
    assert [next(iter(one["by"]), None) for one in found] == [None, *SLICEABLE]


def test_an_unknown_column_is_refused_with_what_is_allowed():
    with pytest.raises(BadInput) as refused:
        check_by(["engine", "colour"])
    assert refused.value.field == "by"
    assert "accelerator, engine, model, load" in str(refused.value)


def test_medians_of_other_predictors_stand_beside_the_same_slices():
    frame = figures([(1.0, 1.5), (2.0, 2.5)], engine=["vllm", "sglang"], roofline=[0.5, 0.5])
    assert medians(frame, None, ["roofline", "absent"]) == {("", "itl_s"): {"roofline": 0.625}}
    assert medians(frame, "engine", ["roofline"])["sglang", "itl_s"] == {"roofline": 0.75}
