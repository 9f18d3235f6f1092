"""The worst rows: which they are, and that reasons are only what the table holds."""

from typing import Any

import polars as pl
import pytest

from inferatlas.evidence.predicting import predict_rows
from inferatlas.evidence.worst import UNEXPLAINED, worst


@pytest.fixture
def missed(as_predicted):
    """The worst rows where all is measured as predicted but one figure of one row; ``columns`` replace its own."""

    def rows(row: str, factor: float, metric: str = "itl_s", **columns: object) -> list[dict[str, Any]]:
        own, frame = pl.col("row_id") == row, as_predicted()
        changes = [pl.when(own).then(pl.lit(new)).otherwise(pl.col(name)).alias(name) for name, new in columns.items()]
        frame = frame.with_columns(pl.when(own).then(pl.col(metric) * factor).otherwise(metric).alias(metric))
        return worst(predict_rows(frame)[0], frame.with_columns(changes), 3)

    return rows


def test_the_largest_ratio_comes_first_and_each_row_once(missed):
    found = missed("r4", 3.0)
    assert (found[0]["row_id"], found[0]["metric"]) == ("r4", "itl_s")
    assert round(float(str(found[0]["ratio"])), 6) == round(1 / 3, 6)
    assert len({one["row_id"] for one in found}) == len(found) == 3


def test_a_ratio_below_one_counts_as_much_as_one_above(as_predicted):
    frame = as_predicted()
    factor = pl.col("row_id").replace_strict({"r1": 1.3, "r2": 1 / 1.4}, default=1.0, return_dtype=pl.Float64)
    frame = frame.with_columns(pl.col("itl_s") * factor)
    assert [one["row_id"] for one in worst(predict_rows(frame)[0], frame, 2)] == ["r2", "r1"]


def test_what_the_table_does_not_explain_is_said_to_be_unexplained(missed):
    assert missed("r4", 3.0)[0]["reason"] == UNEXPLAINED


def test_cautions_of_the_source_are_repeated(missed):
    reason = str(missed("r4", 3.0, weight=0.3, notes="speculative decoding likely")[0]["reason"])
    assert "caution (speculative decoding likely)" in reason


def test_derived_throughput_is_named(missed):
    reason = missed("r4", 0.3, "output_tokens_per_s", throughput_origin="derived")[0]["reason"]
    assert "derived by the source" in str(reason)


def test_two_results_of_one_configuration_are_named(as_predicted):
    frame = as_predicted()
    again = frame.filter(pl.col("row_id") == "r4").with_columns(pl.lit("again").alias("row_id"), pl.col("itl_s") * 4)
    both = pl.concat([frame, again])
    found = worst(predict_rows(both)[0], both, 1)[0]
    assert found["row_id"] == "again"
    assert "more than once" in found["reason"] and "4.0x apart" in found["reason"]


def test_a_group_that_is_missed_alike_is_named(as_predicted):
    frame = as_predicted(3.0)
    frame = pl.concat([frame, frame.with_columns(pl.col("row_id") + "b", pl.col("concurrency") + 1)])
    assert "missed alike" in worst(predict_rows(frame)[0], frame, 1)[0]["reason"]


def test_a_wait_at_the_door_is_named(as_predicted):
    nothing = pl.lit(None, pl.Float64)  # a TTFT longer than the latency would break physics
    frame = as_predicted().with_columns(pl.col("ttft_s") * 400, latency_s=nothing, output_tokens_per_s=nothing)
    reasons = [one["reason"] for one in worst(predict_rows(frame)[0], frame, 12)]
    assert all("bare prompts measured" in reason for reason in reasons)
    assert any("more than a queue of all requests in flight explains" in reason for reason in reasons)


def test_a_model_measured_nowhere_else_and_a_missing_precision_are_named(as_predicted):
    frame = as_predicted().filter(pl.col("row_id") == "r4").with_columns(pl.col("itl_s") * 3)
    figures = predict_rows(frame)[0].with_columns(weights=pl.lit(None, pl.String))
    reason = worst(figures, frame, 1)[0]["reason"]
    assert "precision not published" in reason and "model measured nowhere else" in reason


def test_figures_alone_are_enough(as_predicted):
    frame = as_predicted(1.2)
    assert len(worst(predict_rows(frame)[0], n=5)) == 5
