"""Requests are sorted by length and by what else is under way, at the pace that targets set; shares add up to 1."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.decide.profiles.mix import ITL_S, KINDS, LOADS, LONG, MANY, TTFT_S, classify, pace, regime_shares
from inferatlas.workload import parse_targets, regimes
from inferatlas.workload.traces import Trace, in_flight


def trace_of(arrival, inputs, outputs, models=None) -> Trace:
    index = None if models is None else np.asarray(models, dtype=np.int64)
    names = () if models is None else tuple(f"model {i}" for i in range(max(models) + 1))
    return Trace("made", np.asarray(arrival, dtype=np.float64), np.asarray(inputs), np.asarray(outputs), names, index)


def shares_of(trace: Trace, ttft_s: float = TTFT_S, itl_s: float = ITL_S, model: str = "llama-3.1-8b"):
    return regime_shares(trace, load_model(model), ttft_s, itl_s)


def names_of(trace: Trace, ttft_s: float = TTFT_S, itl_s: float = ITL_S) -> list[str]:
    return [LOADS[i] for i in classify(trace, ttft_s, itl_s)]


@st.composite
def traces(draw, most: int = 30) -> Trace:
    # quarters of a second, paces in quarters: what ends as another arrives must be counted the same way
    gaps = draw(st.lists(st.integers(0, 20), min_size=1, max_size=most - 1).filter(any))
    n = len(gaps) + 1
    inputs = draw(st.lists(st.integers(1, 2 * LONG) | st.sampled_from([1, LONG - 2, LONG - 1]), min_size=n, max_size=n))
    outputs = draw(st.lists(st.integers(1, 60) | st.just(1), min_size=n, max_size=n))
    models = draw(st.none() | st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return trace_of(np.concatenate([[0.0], np.cumsum(gaps) / 4]), inputs, outputs, models)


paces = st.tuples(st.sampled_from([0.25, 0.5, 3.0]), st.sampled_from([0.0, 0.25, 1.0]))


def one_by_one(trace: Trace, ttft_s: float, itl_s: float) -> list[str]:
    """What the page on regimes says, a request at a time."""
    ends = trace.arrival_s + ttft_s + (trace.output_tokens - 1) * itl_s
    out = []
    for now, isl, osl in zip(trace.arrival_s, trace.input_tokens, trace.output_tokens, strict=True):
        flying = sum(1 for start, end in zip(trace.arrival_s, ends, strict=True) if start <= now < end)
        if osl == 1:
            out.append("embedding")
        elif isl + osl >= 32_768:
            out.append("long-context")
        else:
            out.append("single-stream" if flying < 2 else "moderate-batch" if flying <= 64 else "high-throughput")
    return out


@given(traces(), paces)
def test_requests_are_sorted_as_one_by_one(trace, at_pace):
    assert names_of(trace, *at_pace) == one_by_one(trace, *at_pace)


@given(traces(), paces, st.sampled_from(["llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3"]))
def test_the_five_add_to_1_and_are_the_counts(trace, at_pace, model):
    shares = shares_of(trace, *at_pace, model)
    assert list(shares) == [*LOADS, *KINDS]
    assert all(0 <= share <= 1 for share in shares.values())
    assert sum(shares[name] for name in LOADS) == pytest.approx(1.0, abs=1e-12)
    counted = Counter(one_by_one(trace, *at_pace))
    assert all(shares[name] == pytest.approx(counted[name] / len(trace)) for name in LOADS)


def test_names_are_those_of_the_declared_regimes():
    assert {*LOADS, *KINDS} == {regime.name for regime in regimes()}


def test_a_trace_of_lone_requests_is_single_stream():
    arrival = np.arange(50) * 60.0
    assert shares_of(trace_of(arrival, [900] * 50, [200] * 50))["single-stream"] == 1.0


@pytest.mark.parametrize(("output", "name"), [(1, "embedding"), (2, "single-stream")])
def test_one_output_token_is_an_embedding_and_two_are_not(output, name):
    assert names_of(trace_of([0, 100], [500, 500], [output, output])) == [name, name]
    assert names_of(trace_of([0, 100], [LONG, LONG], [output, output]))[0] == (
        "embedding" if output == 1 else "long-context"
    )


@pytest.mark.parametrize(
    ("isl", "osl", "name"),
    [
        (32_765, 2, "single-stream"), (32_766, 2, "long-context"), (32_667, 100, "single-stream"),
        (32_668, 100, "long-context"), (100, 32_668, "long-context"), (32_768, 2, "long-context"),
    ],
)  # fmt: skip
def test_long_context_begins_at_32768_tokens_in_all(isl, osl, name):
    assert LONG == 32_768
    assert names_of(trace_of([0, 1e6], [isl, isl], [osl, osl])) == [name, name]


@pytest.mark.parametrize(
    ("together", "name"), [(1, "single-stream"), (2, "moderate-batch"), (64, "moderate-batch"), (65, "high-throughput")]
)
def test_up_to_64_at_once_are_a_moderate_batch(together, name):
    assert MANY == 64
    # so many at one instant, and one long after them, so that there is a span
    found = names_of(trace_of([0.0] * together + [1e4], [100] * (together + 1), [10] * (together + 1)))
    assert found == [name] * together + ["single-stream"]


@pytest.mark.parametrize("at_pace", [(0.45, 0.04), (1.0, 0.02)])
def test_a_request_is_under_way_until_its_last_token(at_pace):
    ttft_s, itl_s = at_pace
    latency = ttft_s + 99 * itl_s
    for gap, name in ((latency * 0.999, "moderate-batch"), (latency * 1.001, "single-stream")):
        assert names_of(trace_of([0, gap], [500, 500], [100, 100]), *at_pace) == ["single-stream", name]


@given(traces(), st.floats(0.01, 10), st.floats(0, 1), st.floats(1, 10), st.floats(1, 10))
def test_a_slower_pace_never_lowers_the_requests_in_flight(trace, ttft_s, itl_s, later, slower):
    quick, slow = in_flight(trace, ttft_s, itl_s), in_flight(trace, ttft_s * later, itl_s * slower)
    assert (slow >= quick).all()
    before, after = classify(trace, ttft_s, itl_s), classify(trace, ttft_s * later, itl_s * slower)
    assert (after >= before).all()  # single stream, moderate batch and high throughput stand in this order
    assert (after == before)[before < 2].all()  # lengths have no pace


# pace


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), (0.450, 0.040)),
        (("ttft:p95<2s",), (2.0, 0.040)),
        (("itl<20ms",), (0.450, 0.020)),
        (("tpot:p99<=100ms", "ttft<1s"), (1.0, 0.100)),
        (("latency:p95<10s", "output_tokens_per_s>1000"), (0.450, 0.040)),
    ],
)
def test_the_pace_is_that_of_the_targets_else_mlperf_s_interactive_limits(texts, expected):
    assert pace(parse_targets(texts)) == pytest.approx(expected)


def test_of_several_targets_the_tightest_sets_the_pace_in_any_order():
    texts = ["ttft:p95<2s", "ttft:mean<300ms", "ttft:p99<5s", "itl:p99<90ms", "itl<30ms"]
    assert pace(parse_targets(texts)) == pace(parse_targets(texts[::-1])) == pytest.approx((0.300, 0.030))


def test_looser_targets_make_a_trace_more_crowded():
    trace = trace_of(np.arange(40) * 2.0, [500] * 40, [30] * 40)
    assert shares_of(trace, *pace(parse_targets(["itl<20ms"])))["single-stream"] == 1.0
    assert shares_of(trace, *pace(parse_targets(["itl<200ms"])))["single-stream"] == pytest.approx(1 / 40)


# regimes beside the five


@pytest.mark.parametrize(
    ("models", "share"), [(None, 0.0), ([0, 0, 0, 0, 0], 0.0), ([0, 1, 0, 1, 0], 1.0), ([0, 0, 1, 1, 2], 0.5)]
)
def test_multi_model_is_the_share_of_requests_that_ask_another_model_than_the_one_before(models, share):
    trace = trace_of(np.arange(5.0), [10] * 5, [5] * 5, models)
    assert shares_of(trace)["multi-model"] == share


@pytest.mark.parametrize(
    ("model", "moe", "quantized"),
    [
        ("llama-3.1-8b", 0.0, 0.0), ("llama-2-70b", 0.0, 0.0), ("qwen3-30b-a3b", 1.0, 0.0), ("deepseek-v3", 1.0, 1.0),
        ("gpt-oss-20b", 1.0, 1.0), ("kimi-k2.5", 1.0, 1.0),
    ],
)  # fmt: skip
def test_mixtures_and_narrow_checkpoints_are_told_of_every_request(model, moe, quantized):
    shares = shares_of(trace_of([0.0, 1.0], [10, 10], [5, 5]), model=model)
    assert (shares["mixture-of-experts"], shares["quantized"]) == (moe, quantized)
