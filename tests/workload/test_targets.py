"""Targets are read as people write them, print back to themselves, and never pass on an unknown value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.workload import ServiceTarget, parse_target, parse_targets
from inferatlas.workload.targets import LATENCIES, STATISTICS, THROUGHPUTS

latency_targets = st.builds(
    ServiceTarget,
    st.sampled_from(LATENCIES),
    st.sampled_from(STATISTICS),
    st.floats(1e-9, 1e6, exclude_min=True),
    st.sampled_from(["<", "<="]),
)
throughput_targets = st.builds(
    ServiceTarget, st.sampled_from(THROUGHPUTS), st.just("mean"), st.floats(1e-3, 1e12), st.sampled_from([">", ">="])
)


@given(latency_targets | throughput_targets)
def test_text_reads_back_to_the_same_target(target):
    assert parse_target(target.text()) == target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ttft:p95<500ms", ServiceTarget("ttft", "p95", 0.5, "<")),
        ("itl:mean<50ms", ServiceTarget("itl", "mean", 0.05, "<")),
        ("latency:p99<10s", ServiceTarget("latency", "p99", 10.0, "<")),
        ("output_tokens_per_s>1000", ServiceTarget("output_tokens_per_s", "mean", 1000.0, ">")),
        ("total_tokens_per_s >= 2,500 tokens/s", ServiceTarget("total_tokens_per_s", "mean", 2500.0, ">=")),
        ("tpot<50ms", ServiceTarget("itl", "mean", 0.05, "<")),
        ("e2e:p90<=1 min", ServiceTarget("latency", "p90", 60.0, "<=")),
        ("request_latency:p50<2s", ServiceTarget("latency", "p50", 2.0, "<")),
        ("request-latency:p50<2s", ServiceTarget("latency", "p50", 2.0, "<")),
        (" TTFT : P99 < 0.5 s ", ServiceTarget("ttft", "p99", 0.5, "<")),
        ("ttft_s<1s", ServiceTarget("ttft", "mean", 1.0, "<")),
    ],
)
def test_the_spellings_that_people_know(text, expected):
    assert parse_target(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ttft:p95<500", "no unit"),
        ("ttft<500MB", "not a unit"),
        ("ttft<-5ms", "above 0"),
        ("ttft<0s", "above 0"),
        ("ttft<nan s", "not a number"),
        ("ttft>500ms", "ttft with < or <="),
        ("output_tokens_per_s<1000", "with > or >="),
        ("output_tokens_per_s:p95>1000", "has no p95"),
        ("output_tokens_per_s>10 req/s", "not a rate of tokens"),
        ("output_tokens_per_s>10 ms", "not a unit"),
        ("throughput>1000", "output_tokens_per_s or total_tokens_per_s"),
        ("tttft<1s", "did you mean ttft"),
        ("latncy:p99<1s", "did you mean latency"),
        ("ttft:p59<1s", "did you mean p"),
        ("ttft:p75<1s", "mean, p50, p90, p95, p99"),
        ("ttft=1s", "not a service target"),
        ("ttft", "not a service target"),
        ("", "not a service target"),
        ("ttft<", "not a service target"),
        ("ttft<1s<2s", "is not a unit"),
    ],
)
def test_errors_say_what_is_wrong_and_what_is_allowed(text, says):
    with pytest.raises(BadInput) as caught:
        parse_target(text)
    assert says in str(caught.value)
    assert caught.value.field
    assert caught.value.field.startswith("slo")


def test_comparison_is_strict_or_not_as_written():
    assert parse_target("itl<=50ms").met(0.05)
    assert not parse_target("itl<50ms").met(0.05)
    assert parse_target("output_tokens_per_s>=10").met(10.0)
    assert not parse_target("output_tokens_per_s>10").met(10.0)


def test_an_array_is_judged_at_once_and_unknown_is_not_met():
    assert parse_target("ttft<1s").met(np.array([0.5, 1.5, np.nan])).tolist() == [True, False, False]
    assert not parse_target("output_tokens_per_s>1").met(float("nan"))


def test_the_predicted_quantity_carries_its_unit():
    assert parse_target("tpot<1s").quantity == "itl_s"
    assert parse_target("total_tokens_per_s>1").quantity == "total_tokens_per_s"


def test_two_bounds_on_one_statistic_are_refused_and_two_statistics_are_not():
    assert len(parse_targets(["ttft:p50<100ms", "ttft:p99<1s", "itl<50ms"])) == 3
    with pytest.raises(BadInput, match="same thing"):
        parse_targets(["itl<50ms", "tpot:mean<40ms"])


def test_a_target_built_by_hand_is_checked_as_well():
    for arguments in (("speed", "mean", 1.0, "<"), ("ttft", "p42", 1.0, "<"), ("ttft", "mean", float("nan"), "<")):
        with pytest.raises(BadInput):
            ServiceTarget(*arguments)


def test_milliseconds_print_as_they_are_typed():
    assert [parse_target(f"itl<{ms}ms").text() for ms in (18, 50, 0.3)] == [
        "itl:mean<18ms", "itl:mean<50ms", "itl:mean<0.3ms"
    ]  # fmt: skip


def test_a_bare_text_is_one_target_and_not_its_letters():
    assert parse_targets("ttft:p95<500ms") == parse_targets(["ttft:p95<500ms"])
    assert parse_targets(()) == ()
