"""Plans, protocols, searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench import protocols
from inferatlas.measure.bench.plan import NAME, Plan, Point, Prompts, Rules, check, read_plan, requests_of, write_plan
from inferatlas.measure.bench.searching import CLOSE, MOST_TRIALS, Trial, knee, next_load, saturated

CLOSED = Point(name="c4", kind="closed", concurrency=4)
OPEN = Point(name="r2", kind="open", request_rate=2.0)
PLAN = Plan(base_urls=("http://127.0.0.1:8000",), points=(CLOSED,))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = replace(
        PLAN, prompts=Prompts(isl=64.0, characters=(1, 5)), rules=Rules(drain_s=3.0), slo=("ttft:p95<500ms",),
        extra={"top_k": 1, "nested": {"a": [1, None]}},
        points=(CLOSED, Point(name="ramp", kind="ramp", rates=(1.0, 4.0))),
    )  # fmt: skip
    write_plan(plan, tmp_path)
    assert read_plan(tmp_path) == plan


@pytest.mark.parametrize("content", ["", "{", "[]", '{"base_urls": 3}', '{"points": []}'])
def test_a_damaged_plan_is_refused_with_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(BadInput) as caught:
        read_plan(tmp_path)
    assert caught.value.file == str(tmp_path / NAME)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (replace(PLAN, points=()), "concurrency"),
        (replace(PLAN, points=(replace(CLOSED, concurrency=0),)), "concurrency"),
        (replace(PLAN, points=(replace(OPEN, request_rate=-1.0),)), "request_rate"),
        (replace(PLAN, points=(replace(OPEN, request_rate=float("nan")),)), "request_rate"),
        (replace(PLAN, points=(replace(CLOSED, requests=0),)), "requests"),
        (replace(PLAN, points=(replace(CLOSED, duration_s=0.0),)), "duration"),
        (replace(PLAN, prompts=Prompts(token_ids=True)), "token_ids"),
        (replace(PLAN, prompts=Prompts(dataset="x", isl=1.0)), "isl"),
        (replace(PLAN, prompts=Prompts(turns=2.0)), "turns"),
        (replace(PLAN, prompts=Prompts(isl=0.0)), "isl"),
        (replace(PLAN, prompts=Prompts(characters=(5, 1))), "chars"),
        (replace(PLAN, precision=2.0), "precision"),
        (replace(PLAN, find_knee=True, points=(Point(name="t", kind="trace", trace="x"),)), "find_knee"),
        (replace(PLAN, rules=Rules(timeout_s=0.0)), "timeout"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_field(plan: Plan, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        check(plan)
    assert caught.value.field == field


def test_numbers_of_requests() -> None:
    assert [requests_of(replace(CLOSED, concurrency=n)) for n in (1, 64)] == [50, 640]
    assert requests_of(OPEN) == 120
    assert requests_of(replace(OPEN, duration_s=10.0)) == 20
    assert requests_of(replace(OPEN, requests=7)) == 7


# Protocols


def test_the_protocol_of_the_study() -> None:
    plan = protocols.apply(replace(PLAN, protocol="brunetta", prompts=Prompts(dataset="lmsys:x")))
    assert (plan.prompts.first, plan.prompts.characters, plan.prompts.filter_first) == (1000, (64, 20_000), True)
    assert plan.prompts.force_reference
    assert (plan.points[0].concurrency, plan.points[0].requests) == (4, 1000)


@pytest.mark.parametrize(
    ("protocol", "slo"),
    [
        ("mlperf-server:llama2-70b", ("ttft:p99<=2000ms", "itl:p99<=200ms")),
        ("mlperf-interactive:llama3.1-8b", ("ttft:p99<=500ms", "itl:p99<=30ms")),
        ("mlperf-interactive:deepseek-r1", ("ttft:p99<=1500ms", "itl:p99<=15ms")),
    ],
)
def test_limits_of_mlperf(protocol: str, slo: tuple[str, ...]) -> None:
    """reference/serving-simulation.md, section 4."""
    plan = protocols.apply(replace(PLAN, protocol=protocol, points=(OPEN,)))
    assert plan.slo == slo
    assert (plan.points[0].arrival, plan.points[0].duration_s) == ("poisson", 600.0)


def test_offline_is_everything_at_once() -> None:
    plan = protocols.apply(replace(PLAN, protocol="mlperf-offline", points=()))
    assert (plan.points[0].kind, plan.points[0].requests) == ("offline", 24_576)


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, protocol="brunetta", prompts=Prompts(isl=5.0)),
        replace(PLAN, protocol="brunetta", points=(OPEN,)),
        replace(PLAN, protocol="mlperf-server", points=(OPEN,)),
        replace(PLAN, protocol="mlperf-server:llama2-70b"),
        replace(PLAN, protocol="mlperf-interactive:mixtral-8x7b", points=(OPEN,)),
        replace(PLAN, protocol="nobody"),
    ],
)
def test_what_contradicts_a_protocol_is_refused(plan: Plan) -> None:
    with pytest.raises((BadInput, UnknownName)):
        protocols.apply(plan)


# Searches


@given(st.floats(0.01, 1e4), st.floats(0.02, 1e4), st.booleans())
def test_a_search_ends_close_to_the_limit(limit: float, start: float, whole: bool) -> None:
    start = max(float(round(start)), 1.0) if whole else start
    trials = [Trial(start, start <= limit)]
    while (load := next_load(trials, whole=whole)) is not None:
        assert load not in [one.load for one in trials]
        trials.append(Trial(load, load <= limit))
    found = knee(trials)
    assert found.monotonic
    if len(trials) >= MOST_TRIALS:
        return
    if found.low is None:  # one client is too many already
        assert whole
        assert limit < 1
        return
    assert found.high is not None
    assert found.low <= limit < found.high
    assert found.high <= max(found.low * CLOSE, found.low + 1 if whole else 0) * (1 + 1e-9)


def test_a_limit_that_is_not_sharp_is_told() -> None:
    assert not knee([Trial(1, True), Trial(2, False), Trial(3, True)]).monotonic


def test_no_search_beyond_the_most() -> None:
    assert next_load([Trial(8, True)], whole=True, most=8) is None


def test_saturation_is_less_than_a_twentieth_more() -> None:
    assert not saturated([Trial(1, True, 10.0), Trial(2, True, 12.0)])
    assert saturated([Trial(1, True, 10.0), Trial(2, True, 10.4)])
