"""The main job: nothing infeasible is ranked, nobody vanishes, and what is shown is what was predicted."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.cli.main import run
from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.decide.advisor.recommend import Recommendation, recommend
from inferatlas.errors import BadInput, NotModelled, UnknownName
from inferatlas.predict.answer import DEFINITIONS, Interval
from inferatlas.predict.question import ask
from inferatlas.workload import parse_target

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

QUESTIONS: dict[str, dict[str, Any]] = {
    "closed": {
        "model": "llama-3.1-8b", "isl": 1024, "osl": 256, "concurrency": 64, "slo": ["ttft:p95<1s", "itl<40ms"],
        "max_count": 8,
    },
    "open": {
        "model": "llama-3.3-70b", "workload": "chat", "request_rate": 4.0, "slo": ["ttft:p95<800ms", "latency:p99<30s"],
        "objective": "energy", "max_count": 32,
    },
    "experts": {
        "model": "mixtral-8x7b", "isl": 2048, "osl": 128, "concurrency": 8, "slo": ["output_tokens_per_s>200"],
        "objective": "latency", "max_count": 8, "min_probability": 0.5,
    },
    "budget": {
        "model": "qwen3-32b", "isl": 512, "osl": 512, "concurrency": 32, "slo": [], "objective": "throughput",
        "max_usd_per_hour": 12.0, "max_power_w": 4000.0, "max_count": 16, "weights": ("fp8", "int8", "int4"),
    },
}  # fmt: skip
Asked = tuple[dict[str, Any], Recommendation]


@pytest.fixture(scope="module", params=QUESTIONS)
def asked(request: pytest.FixtureRequest) -> Asked:
    question = QUESTIONS[request.param]
    return question, recommend(**question, top=0)


def intervals(value: Any) -> Iterator[Interval]:
    return (interval for interval in value.values() if interval is not None)


def test_nothing_infeasible_is_ranked(asked: Asked):
    question, found = asked
    assert found.candidates
    for one in found.candidates:
        layout = one.layout
        assert prod(layout[name] for name in ("tp", "pp", "dp")) == one.count <= question["max_count"]
        held = one.memory
        taken = sum(held[f"{part}_bytes"] for part in ("weights", "kv", "activations", "reserve"))
        assert taken <= held["usable_bytes"] * (1 + 1e-6) <= held["capacity_bytes"] * (1 + 1e-6)
        assert held["sequences"] >= 1
        assert 0 < one.batch <= held["sequences"] * (1 + 1e-6)
        assert question.get("min_probability", 0.8) <= one.p_meets_target <= 1
        assert one.p_meets_target == pytest.approx(prod(target["probability"] for target in one.targets), rel=1e-6)
        for target in map(parse_target, question["slo"]):
            if target.statistic == "mean":
                interval = one.metrics[target.quantity]
                assert interval is not None and target.met(interval.value)
        if "max_usd_per_hour" in question:
            power = one.metrics["power_w"]
            assert one.usd_per_hour is not None and one.usd_per_hour <= question["max_usd_per_hour"]
            assert power is not None and power.value <= question["max_power_w"]
            assert one.weights in question["weights"]


def test_every_candidate_is_what_a_single_question_answers(asked: Asked):
    question, found = asked
    load = {name: question.get(name) for name in ("workload", "isl", "osl", "concurrency", "request_rate")}
    for one in found.candidates:
        answer = ask(
            question["model"], one.accelerator, **one.layout, engine=one.engine, weights=one.weights,
            activations=one.activations, kv_cache=one.kv_cache, **load,
        )  # fmt: skip
        assert answer.fits, one.accelerator
        assert (answer.inputs["count"], answer.bound, answer.label) == (one.count, one.bound, one.label)
        assert answer.memory == pytest.approx(one.memory, rel=1e-4)
        for name, interval in answer.metrics.items():
            shown = one.metrics[name]
            assert (interval is None) == (shown is None), name
            if interval is not None and shown is not None:
                assert asdict(shown) == pytest.approx(asdict(interval), rel=1e-3), (one.accelerator, name)
        for target in one.targets:
            if target["statistic"] != "mean":
                percentile = answer.percentiles[target["metric"]][target["statistic"]]
                assert target["value"].value == pytest.approx(percentile, rel=1e-3)


def test_ranks_count_from_one_in_the_order_of_the_objective(asked: Asked):
    question, found = asked
    assert [one.rank for one in found.candidates] == list(range(1, len(found.candidates) + 1))
    metric, smaller = OBJECTIVES[question.get("objective", "cost")]
    found_values = [one.metrics[metric] for one in found.candidates]
    known = [interval.value for interval in found_values if interval is not None]
    assert known == sorted(known, reverse=not smaller)
    assert all(interval is None for interval in found_values[len(known) :])
    assert len({one.accelerator for one in found.candidates}) == len(found.candidates)


def test_the_front_holds_the_best_known_of_each_kind_and_marks_its_candidates(asked: Asked):
    _, found = asked
    for metric, best in (("usd_per_million_tokens", min), ("latency_s", min), ("tokens_per_joule", max)):
        on_front = [row[metric] for row in found.pareto]
        assert None not in on_front
        complete = [
            one for one in found.candidates
            if one.metrics["usd_per_million_tokens"] and one.metrics["tokens_per_joule"]
        ]  # fmt: skip
        values = [interval.value for one in complete if (interval := one.metrics[metric])]
        assert best([*on_front, *values]) == pytest.approx(best(on_front))
    keys = ("accelerator", "weights", "count", "tp", "pp", "ep", "dp")
    front = {tuple(row[key] for key in keys) for row in found.pareto}
    for one in found.candidates:
        mine = (one.accelerator, one.weights, one.count, *one.layout.values())
        assert one.pareto == (mine in front)


def test_the_front_keeps_targets_and_budgets_too(asked: Asked):
    question, found = asked
    assert found.pareto
    for row in found.pareto:
        for target in map(parse_target, question["slo"]):
            if target.statistic == "mean":
                assert target.met(row[target.quantity]), row
        assert row["power_w"] <= question.get("max_power_w", np.inf)
        hourly = row["usd_per_million_tokens"] * row["output_tokens_per_s"] * 3600 / 1e6
        assert hourly <= question.get("max_usd_per_hour", np.inf) * (1 + 1e-5)
        assert row["count"] == row["tp"] * row["pp"] * row["dp"] <= question["max_count"]


def test_with_no_probability_asked_for_what_does_not_fit_is_still_out():
    load = SMALL | {"max_count": 1, "min_probability": 0.0, "weights": ("bf16",)}
    found = recommend("llama-3.3-70b", **load, accelerators=("h100", "mi300x"), slo=["ttft<1us"])
    assert [one.accelerator for one in found.candidates] == ["amd-mi300x"]
    assert found.candidates[0].p_meets_target < 0.01
    assert [(out.accelerator, out.code) for out in found.rejected] == [("nvidia-h100-sxm", "memory")]


def test_intervals_are_ordered_and_defined(asked: Asked):
    for one in asked[1].candidates:
        assert one.metrics.keys() == DEFINITIONS.keys()
        for interval in intervals(one.metrics):
            assert 0 < interval.low <= interval.value <= interval.high


def test_the_answer_is_json_and_the_same_every_time(asked: Asked):
    question, found = asked
    text = json.dumps(found.as_dict(), allow_nan=False)
    again = recommend(**question, top=0).as_dict()
    assert {**json.loads(text), "wall_s": 0} == {**json.loads(json.dumps(again)), "wall_s": 0}
    assert {"candidates", "rejected", "searched", "wall_s"} <= again.keys()


SMALL: dict[str, Any] = {"isl": 512, "osl": 128, "concurrency": 8, "max_count": 2}


@pytest.mark.parametrize("top", [0, 1, 3, 100])
@pytest.mark.parametrize(
    "limits",
    [
        {}, {"vendors": ("AMD", "Google")}, {"engine": "vllm"}, {"engine": "native"}, {"weights": ("fp8",)},
        {"max_usd_per_hour": 2.0}, {"max_power_w": 300.0}, {"slo": ["itl<4ms"]}, {"slo": ["itl<1us"]},
        {"vendors": ("Groq",), "engine": "vllm"}, {"weights": ("nvfp4",), "vendors": ("AMD",)},
        {"request_rate": 50.0, "concurrency": None, "max_count": 1},
    ],
    ids=str,
)  # fmt: skip
def test_no_accelerator_vanishes(limits, top: int):
    found = recommend("llama-3.1-8b", **(SMALL | limits), top=top)
    shown = [one.accelerator for one in found.candidates]
    names = [*shown, *found.ranked_lower, *(out.accelerator for out in found.rejected)]
    assert sorted(names) == sorted(accelerator_ids())
    assert not top or len(shown) <= top
    assert not found.ranked_lower or len(shown) == top
    assert all(out.code and out.detail for out in found.rejected)


def qualified(**asked: Any) -> dict[str, float]:
    """Accelerators that qualify, with their cost (infinite where unknown)."""
    found = recommend("llama-3.1-8b", **(SMALL | asked), top=0)
    cost = {one.accelerator: one.metrics["usd_per_million_tokens"] for one in found.candidates}
    return {name: interval.value if interval else np.inf for name, interval in cost.items()}


@pytest.mark.parametrize(
    ("tight", "loose"),
    [
        ({"slo": ["itl<5ms"]}, {"slo": ["itl<10ms"]}),
        ({"slo": ["ttft:p99<160ms"]}, {"slo": ["ttft:p95<160ms"]}),
        ({"slo": ["ttft:p95<160ms", "itl<8ms"]}, {"slo": ["itl<8ms"]}),
        ({"slo": ["itl<8ms"], "min_probability": 0.95}, {"slo": ["itl<8ms"], "min_probability": 0.6}),
        ({"max_usd_per_hour": 1.5}, {"max_usd_per_hour": 3.0}),
        ({"max_power_w": 250.0}, {"max_power_w": 600.0}),
        ({"slo": ["itl<4ms"], "max_count": 1}, {"slo": ["itl<4ms"], "max_count": 4}),
        ({"weights": ("bf16", "fp16")}, {"weights": ("bf16", "fp16", "fp8", "int8")}),
        ({"slo": ["output_tokens_per_s>2000"]}, {"slo": ["output_tokens_per_s>1000"]}),
    ],
    ids=str,
)
def test_asking_for_less_never_excludes_anyone_nor_makes_the_best_dearer(tight, loose):
    few, more = qualified(**tight), qualified(**loose)
    assert few.keys() <= more.keys()
    assert len(few) < len(more) or min(few.values()) >= min(more.values())
    for name, cost in few.items():
        assert more[name] <= cost * (1 + 1e-9), name


def test_command_and_python_give_the_same_numbers(capsys: pytest.CaptureFixture[str]):
    words = "recommend -m llama-3.1-8b --isl 512 --osl 128 --concurrency 8 --max-count 2 -a h100,mi300x,groq,l4"
    assert run([*words.split(), "--slo", "itl:mean<20ms", "--objective", "energy", "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    parts = ("h100", "mi300x", "groq", "l4")
    called = recommend("llama-3.1-8b", **SMALL, accelerators=parts, slo=["itl:mean<20ms"], objective="energy").as_dict()
    assert {**printed, "wall_s": 0} == {**json.loads(json.dumps(called)), "wall_s": 0}


def test_an_own_price_counts_for_everybody_and_makes_unknown_ones_comparable():
    found = recommend("llama-3.1-8b", **SMALL, price=2.0, top=0)
    assert all(one.usd_per_hour == pytest.approx(2.0 * one.count) for one in found.candidates)
    assert not [note for note in found.notes if "no price" in note]
    without = recommend("llama-3.1-8b", **SMALL, top=0)
    (note,) = [note for note in without.notes if "no price" in note]
    unknown = [one.accelerator for one in without.candidates if one.usd_per_hour is None]
    assert unknown and all(name in note for name in unknown)


def test_narrow_weights_are_said_to_cost_quality_and_the_checkpoints_own_are_not():
    for model, weights, warned in (("llama-3.1-8b", "fp8", True), ("llama-3.1-8b", "bf16", False),
                                   ("gpt-oss-20b", "mxfp4", False), ("deepseek-r1", "fp8", False),
                                   ("deepseek-r1", "int4", True)):  # fmt: skip
        found = recommend(model, **(SMALL | {"max_count": 16}), accelerators=("h100",), weights=(weights,))
        (one,) = found.candidates
        assert any("quality of answers is not modelled" in note for note in one.fallbacks) is warned, (model, weights)


def test_without_any_accelerator_left_the_answer_is_empty_and_says_why():
    found = recommend("llama-3.1-8b", **SMALL, accelerators=("h100", "groq"), vendors=("Google",))
    assert (found.candidates, found.pareto, found.flips, found.searched) == ([], [], [], 0)
    assert {out.accelerator: out.code for out in found.rejected} == {
        "nvidia-h100-sxm": "vendor",
        "groq-lpu-v1": "vendor",
    }
    assert run(["recommend", "-m", "llama-3.1-8b", "--isl", "1", "--osl", "1", "--concurrency", "1",
                "-a", "groq", "--engine", "vllm", "--quiet"]) == 3  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "error", "field"),
    [
        ({"objective": "speed"}, UnknownName, "objective"),
        ({"slo": ["itl<50ms"], "osl": 1}, BadInput, "slo"),
        ({"slo": ["itl<50ms", "tpot<40ms"]}, BadInput, "slo"),
        ({"max_count": 0}, BadInput, "max_count"),
        ({"max_count": 1025}, BadInput, "max_count"),
        ({"max_usd_per_hour": 0.0}, BadInput, "max_usd_per_hour"),
        ({"max_power_w": float("inf")}, BadInput, "max_power_w"),
        ({"max_power_w": float("nan")}, BadInput, "max_power_w"),
        ({"min_probability": 1.0}, BadInput, "min_probability"),
        ({"min_probability": float("nan")}, BadInput, "min_probability"),
        ({"top": -1}, BadInput, "top"),
        ({"isl": 131_072}, BadInput, "isl"),
        ({"vendors": ("nvidea",)}, UnknownName, "vendor"),
        ({"engine": "vlm"}, UnknownName, "engine"),
        ({"request_rate": 1.0}, BadInput, "request_rate"),
        ({"model": NOT_MODELLED}, NotModelled, "model"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_field(asked, error, field: str):
    with pytest.raises(error) as caught:
        recommend(**({"model": "llama-3.1-8b"} | SMALL | asked))
    assert caught.value.field == field
