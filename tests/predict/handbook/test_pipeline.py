"""Equation (27): a pipeline from the time of one stage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.pipeline import pipeline_throughput, pipeline_token_time, stage_floor

stages = st.integers(1, 64)


@given(stages, stages, st.integers(1, 4096), st.floats(1e-6, 1.0), st.floats(0, 1e-3))
def test_27_throughput_is_not_batch_over_latency_unless_hops_are_free(p, m, batch, stage_s, hop):
    latency = float(pipeline_token_time(stage_s, p, m, hop))
    rate = float(pipeline_throughput(batch, stage_s, p, m))
    assert rate * latency == pytest.approx(batch * (1 + p * hop / (max(p, m) * stage_s)))
    assert rate == pytest.approx(batch / (max(p, m) * stage_s))


@given(stages, st.floats(1e9, 1e12))
def test_27_every_micro_batch_reads_the_weights_of_its_stage_again(p, weights):
    floor = float(stage_floor(weights, p, 3.35e12))
    # as many micro-batches as stages: one pass of all is one pass over the weights; twice as many, two
    assert float(pipeline_token_time(floor, p, p)) == pytest.approx(weights / 3.35e12)
    assert float(pipeline_token_time(floor, p, 2 * p)) == pytest.approx(2 * weights / 3.35e12)
