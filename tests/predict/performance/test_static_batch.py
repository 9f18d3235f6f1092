"""Static batches: all requests start together, none joins, and the whole batch ends together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.performance.platform import EngineSettings, make_platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind

BF16 = Precision("bf16", "bf16", "bf16")
models = st.sampled_from(["llama-3.1-8b", "llama-3.3-70b", "mixtral-8x7b"])
lengths = st.fixed_dictionaries({"input_tokens": st.integers(1, 9000), "output_tokens": st.integers(1, 1024)})
batches = st.integers(1, 1024)
few = settings(max_examples=60)


def together(ops: Operators, table: PlatformTable, **asked) -> Predictions:
    found = predict(ops, table, make_points(0, together=True, **asked))
    assert found.fits.all()
    return found


@pytest.fixture(scope="module")
def roomy(make_device) -> PlatformTable:
    """A machine with the overheads of a real engine and memory for everything."""
    return platform_table([make_platform(make_device(), EngineSettings("vllm", max_sequences=10**6), BF16)])


@few
@given(models, lengths, batches, st.sampled_from([1, 2, 4]))
def test_latency_is_the_first_token_and_the_gaps_after_it(ops_of, roomy, model, asked, batch, pp):
    found = together(ops_of(model), roomy, concurrency=batch, pp=pp, **asked)
    gaps = asked["output_tokens"] - 1
    assert found.latency_s[0] >= found.ttft_s[0] > 0
    if gaps:
        assert found.latency_s[0] == pytest.approx(found.ttft_s[0] + gaps * found.itl_s[0], rel=1e-5)
    else:
        assert found.latency_s[0] == found.ttft_s[0]


@few
@given(models, lengths, batches, st.sampled_from([1, 2, 4]))
def test_throughput_is_the_batch_over_its_latency(ops_of, roomy, model, asked, batch, pp):
    found = together(ops_of(model), roomy, concurrency=batch, pp=pp, **asked)
    assert found.output_tokens_per_s[0] == pytest.approx(batch * asked["output_tokens"] / found.latency_s[0], rel=1e-5)
    assert found.batch[0] == batch


@few
@given(models, lengths)
def test_one_request_alone_is_a_closed_loop_of_one(ops_of, roomy, model, asked):
    ops = ops_of(model)
    static = together(ops, roomy, concurrency=1, **asked)
    closed = predict(ops, roomy, make_points(0, concurrency=1, **asked))
    for name in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s"):
        assert getattr(static, name)[0] == pytest.approx(getattr(closed, name)[0], rel=0.02, nan_ok=True), name


@few
@given(models, lengths, batches, st.integers(0, 512), st.sampled_from([1, 4]))
def test_a_larger_batch_takes_no_less_time_and_yields_no_fewer_tokens(ops_of, roomy, model, asked, batch, more, pp):
    found = together(ops_of(model), roomy, concurrency=[batch, batch + more], pp=pp, **asked)
    for name in ("ttft_s", "latency_s"):
        assert np.diff(getattr(found, name))[0] >= -1e-6 * getattr(found, name)[0], name
    if asked["output_tokens"] > 1:
        assert np.diff(found.itl_s)[0] >= -1e-6 * found.itl_s[0]
    assert found.output_tokens_per_s[1] >= found.output_tokens_per_s[0] * (1 - 1e-6)


@pytest.mark.parametrize("limit", ["sequences", "memory"])
def test_more_requests_than_fit_take_longer_in_proportion(ops_of, make_device, lossless, limit):
    platform = (
        lossless(make_device(), max_sequences=64)
        if limit == "sequences"
        else lossless(make_device(capacity=40e9), max_sequences=10**6)
    )
    table, ops = platform_table([platform]), ops_of("llama-3.1-8b")
    slots = together(ops, table, concurrency=10**6, input_tokens=1024, output_tokens=256).batch[0]
    assert 1 < slots < 1000
    found = together(ops, table, concurrency=slots * np.array([1, 2, 7]), input_tokens=1024, output_tokens=256)
    assert found.batch == pytest.approx(np.full(3, slots))
    for name in ("ttft_s", "itl_s", "latency_s"):
        assert getattr(found, name) / getattr(found, name)[0] == pytest.approx(np.array([1, 2, 7]), rel=1e-5), name
    assert found.output_tokens_per_s == pytest.approx(np.full(3, found.output_tokens_per_s[0]), rel=1e-5)


def test_stages_of_a_pipeline_share_the_batch(ops_of, make_device, lossless):
    table, ops = platform_table([lossless(make_device(link=1e30))]), ops_of("llama-3.1-8b")
    asked = {"input_tokens": 2048, "output_tokens": 128}
    found = together(ops, table, pp=[1, 2, 4], concurrency=[32, 64, 128], **asked)
    # p stages hold p micro-batches of the same size: each token takes as long, and p times as many come out
    assert found.itl_s == pytest.approx(np.full(3, found.itl_s[0]), rel=1e-5)
    # prompts follow one another through the stages: p times as many take as long as before, and p - 1 stages to fill
    steps = 32 * 2048 / 8192  # of one micro-batch, at the tokens that a step takes
    filled = found.ttft_s[0] / steps * (steps + np.array([0.0, 1 / 2, 3 / 4]))
    assert found.ttft_s == pytest.approx(filled, rel=0.02)
    # a batch of one has nothing to overlap: all stages in turn, as on one device
    alone = together(ops, table, pp=[1, 4], concurrency=1, **asked)
    assert alone.ttft_s[1] == pytest.approx(alone.ttft_s[0], rel=0.02)
    assert alone.itl_s[1] == pytest.approx(alone.itl_s[0], rel=0.02)


def test_prompts_share_a_step_up_to_its_tokens(ops_of, make_device, lossless):
    table, ops = platform_table([lossless(make_device())]), ops_of("llama-3.1-8b")
    step_tokens = int(table.step_tokens[0])
    many = together(ops, table, concurrency=64, input_tokens=step_tokens // 64, output_tokens=1).ttft_s[0]
    one = together(ops, table, concurrency=1, input_tokens=step_tokens, output_tokens=1).ttft_s[0]
    weights = together(ops, table, concurrency=1, input_tokens=1, output_tokens=1).ttft_s[0]
    assert many < one  # the same tokens in one step, and shorter prompts attend to less
    assert many > 0.5 * one
    assert many < 64 * weights  # weights are not read once per prompt


def test_replicas_share_the_batch(ops_of, roomy):
    one, four = (
        together(ops_of("llama-3.1-8b"), roomy, dp=n, concurrency=16 * n, input_tokens=512, output_tokens=64)
        for n in (1, 4)
    )
    assert four.latency_s[0] == pytest.approx(one.latency_s[0])
    assert four.output_tokens_per_s[0] == pytest.approx(4 * one.output_tokens_per_s[0])


def test_a_static_batch_beside_other_loads_is_itself(ops_of, roomy):
    """Points of the three loads in one call do not disturb one another."""
    asked = {"input_tokens": 512, "output_tokens": 64}
    points = make_points(
        0, concurrency=[16, np.nan, 16], request_rate=[np.nan, 1.0, np.nan], together=[True, False, False], **asked
    )
    mixed = predict(ops_of("llama-3.1-8b"), roomy, points)
    apart = (
        predict(ops_of("llama-3.1-8b"), roomy, make_points(0, **asked, **load))
        for load in ({"concurrency": 16, "together": True}, {"request_rate": 1.0}, {"concurrency": 16})
    )
    for i, alone in enumerate(apart):
        assert mixed.latency_s[i] == alone.latency_s[0]
        assert mixed.latency_sigma[i] == alone.latency_sigma[0]
    assert len(set(mixed.latency_s.tolist())) == 3


@pytest.mark.parametrize("part", ["groq", "cerebras-wse-3", "sambanova-sn40l", "aws-trainium-2"])
def test_machines_of_every_style_serve_static_batches(ops_of, part):
    table = platform_table([bind(part)])
    pp = 500 if part == "groq" else 1
    found = together(ops_of("llama-3.1-8b"), table, pp=pp, concurrency=[1, 8], input_tokens=512, output_tokens=64)
    assert found.latency_s[1] >= found.latency_s[0] > 0
    assert found.output_tokens_per_s[1] >= found.output_tokens_per_s[0] * (1 - 1e-6)


def test_an_open_loop_is_no_batch():
    with pytest.raises(BadInput, match="exactly one of concurrency and request_rate"):
        make_points(0, request_rate=1.0, together=True, input_tokens=10, output_tokens=10)
