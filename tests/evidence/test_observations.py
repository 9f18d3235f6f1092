"""One figure per independent measurement: nothing is fitted twice, nothing that means something else."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.evidence.answers import answers
from inferatlas.evidence.observations import FIRST_TOKEN, KINDS, Observations, observations, power_observations
from inferatlas.evidence.questions import Questions, questions
from inferatlas.evidence.table import METRICS, conform
from inferatlas.predict.performance.calibrated import NOTHING

FIGURES: dict[str, Any] = {
    "ttft_s": 0.2, "itl_s": 0.02, "latency_s": 5.3, "output_tokens_per_s": 380.0, "power_w": 500.0,
}  # fmt: skip


def ask(*rows: dict[str, Any]) -> Questions:
    plain = {
        "model": "llama-3.1-8b", "accelerator": "nvidia-h100-sxm", "accelerators": 1.0, "engine": "vllm",
        "concurrency": 8.0, "input_tokens": 512.0, "output_tokens": 256.0, **FIGURES,
    }  # fmt: skip
    return questions(conform(pl.DataFrame([plain | row for row in rows], infer_schema_length=None)), NOTHING)


def told(seen: Observations, asked: Questions) -> set[tuple[int, str, str, float]]:
    """(row, kind, metric, weight); checks that each figure is the row's own."""
    for row, metric, log in zip(seen.row, seen.metric, seen.log, strict=True):
        assert np.exp(log) == pytest.approx(asked.frame[METRICS[metric]][int(row)])
    assert (seen.entry == asked.entry[seen.row]).all()
    columns = zip(seen.row.tolist(), seen.kind, seen.metric, seen.weight.tolist(), strict=True)
    return {(row, KINDS[kind], METRICS[metric], weight) for row, kind, metric, weight in columns}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"load": "closed_loop"}, {("closed ttft", "ttft_s", 1.0), ("closed itl", "itl_s", 1.0)}),
        ({"load": None}, {("closed ttft", "ttft_s", 1.0), ("closed itl", "itl_s", 1.0)}),
        ({"load": "per_user"}, {("closed ttft", "ttft_s", 1.0), ("closed itl", "itl_s", 1.0)}),
        ({"load": "closed_loop", "ttft_s": None, "itl_s": None}, set()),
        ({"load": "closed_loop", "output_tokens": 1.0}, {("closed ttft", "ttft_s", 1.0)}),
        ({"load": "static_batch"}, {("static latency", "latency_s", 1.0)}),
        ({"load": "static_batch", "latency_s": None}, {("static latency", "output_tokens_per_s", 1.0)}),
        ({"load": "static_batch", "latency_meaning": FIRST_TOKEN}, {("static ttft", "ttft_s", 1.0)}),
        ({"load": "static_batch", "latency_meaning": FIRST_TOKEN, "ttft_s": None}, set()),
        ({"load": "offline"}, {("offline rate", "output_tokens_per_s", 1.0)}),
        ({"load": "saturated"}, {("saturated itl", "itl_s", 0.5), ("saturated rate", "output_tokens_per_s", 0.5)}),
        ({"load": "saturated", "output_tokens": 1.0}, {("saturated rate", "output_tokens_per_s", 0.5)}),
        ({"load": "offline", "weight": 0.3}, {("offline rate", "output_tokens_per_s", 0.3)}),
        ({"load": "saturated", "weight": 0.3, "itl_s": None}, {("saturated rate", "output_tokens_per_s", 0.15)}),
        ({"load": "closed_loop", "ttft_s": 0.0, "itl_s": -1.0}, set()),
    ],
)
def test_what_counts_of_a_row(row: dict[str, Any], expected: set[tuple[str, str, float]]):
    asked = ask(row)
    assert {rest for _, *rest in map(tuple, told(observations(asked), asked)) for rest in [tuple(rest)]} == expected


def test_figures_of_many_rows_belong_to_their_rows_and_entries():
    asked = ask({"model": "qwen3-8b", "itl_s": 0.03}, {"load": "offline"}, {"ttft_s": None}, {"load": "static_batch"})
    assert told(observations(asked), asked) == {
        (0, "closed ttft", "ttft_s", 1.0),
        (0, "closed itl", "itl_s", 1.0),
        (1, "offline rate", "output_tokens_per_s", 1.0),
        (2, "closed itl", "itl_s", 1.0),
        (3, "static latency", "latency_s", 1.0),
    }


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "load": st.sampled_from(["closed_loop", "static_batch", "saturated", "offline", "per_user", None]),
                "latency_meaning": st.sampled_from([FIRST_TOKEN, "end to end", None]),
                "output_tokens": st.sampled_from([1.0, 256.0]),
                **{name: st.one_of(st.none(), st.just(value)) for name, value in FIGURES.items()},
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_row_says_the_same_twice(rows: list[dict[str, Any]]):
    asked = ask(*rows)
    seen = observations(asked)
    kinds = [KINDS[k] for k in seen.kind]
    at: dict[int, list[str]] = {}
    for row, metric in zip(seen.row.tolist(), seen.metric, strict=True):
        at.setdefault(row, []).append(METRICS[metric])
    for row, metrics in at.items():
        load = asked.frame["load"].fill_null("closed_loop")[row]
        assert len(metrics) == len(set(metrics)) <= (1 if load in ("static_batch", "offline") else 2)
        assert not {"latency_s", "output_tokens_per_s"} <= set(metrics)  # concurrency x output / latency
        assert not {"latency_s", "itl_s"} <= set(metrics)
        # no row counts more than its two figures of a closed loop, and power is fitted apart
        assert "power_w" not in metrics
    assert np.isfinite(seen.log).all()
    assert set(kinds) <= set(KINDS)


def test_power_is_taken_from_every_load_and_nothing_else():
    asked = ask({"weight": 0.3}, {"load": "offline"}, {"power_w": None}, {"power_w": 0.0}, {"load": "static_batch"})
    seen = power_observations(asked)
    assert sorted(seen.row.tolist()) == [0, 1, 4]
    assert {METRICS[m] for m in seen.metric} == {"power_w"}
    assert dict(zip(seen.row.tolist(), seen.weight, strict=True)) == {0: 0.3, 1: 1.0, 4: 1.0}


def test_predictions_are_picked_for_each_figure():
    asked = ask({"model": "qwen3-8b"}, {"load": "offline"}, {"load": "static_batch"})
    seen, found = observations(asked), answers(asked)
    for row, metric, log in zip(seen.row, seen.metric, seen.predicted(found), strict=True):
        assert log == np.log(found[METRICS[metric]][row])


def test_a_figure_without_a_prediction_is_not_a_number():
    asked = ask({})
    seen = observations(asked)
    found = {name: np.full(1, np.nan) for name in METRICS}
    assert np.isnan(seen.predicted(found)).all()


def test_a_table_without_questions_has_no_observations():
    assert len(observations(ask({"model": "nonesuch"})).row) == 0
