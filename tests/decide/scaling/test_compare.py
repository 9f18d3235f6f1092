"""Strategies side by side: every one at its best, with the numbers that a single question gets, or with a reason."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.decide.scaling import compare as scaling
from inferatlas.decide.scaling.compare import Placed, Scaling, scale
from inferatlas.decide.scaling.strategies import STRATEGIES
from inferatlas.decide.variability import variability
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.mapping.reasons import CODES
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.question import ask

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

DENSE, MIXTURE = ("llama-3.3-70b", "nvidia-h100-sxm", 8), ("qwen3-30b-a3b", "nvidia-h100-sxm", 8)
CASES = [
    DENSE, MIXTURE, ("deepseek-r1", "nvidia-h200-sxm", 16), ("mixtral-8x7b", "amd-mi250", 4),
    ("llama-3.1-8b", "cerebras-wse-3", 2), ("llama-3.1-8b", "groq-lpu-v1", 576), ("llama-3.2-1b", "nvidia-l4", 1),
]  # fmt: skip
RESIDENT = CASES[4:6]
CHAT = {"isl": 1024, "osl": 256}


@lru_cache
def found(case: tuple[str, str, int], *loads: tuple[str, Any]) -> Scaling:
    return scale(case[0], case[1], count=case[2], **dict(loads))


def by_name(case: tuple[str, str, int], *loads: tuple[str, Any]) -> dict[str, Placed]:
    return {one.name: one for one in found(case, *loads).strategies}


def fitting(case: tuple[str, str, int], *loads: tuple[str, Any]) -> list[Placed]:
    return [one for one in found(case, *loads).strategies if one.fits]


def value(one: Placed, metric: str) -> float:
    interval = one.metrics[metric]
    assert interval is not None
    return interval.value


@pytest.mark.parametrize("case", CASES)
def test_every_strategy_is_there_once_and_experts_only_where_there_are_any(case):
    names = [one.name for one in found(case).strategies]
    mixture = bool(operators(load_model(case[0])).experts)
    assert sorted(names) == sorted(s.name for s in STRATEGIES if mixture or "expert" not in s.name)
    assert bool(found(case).expert_choice) == mixture


@pytest.mark.parametrize("case", CASES)
def test_a_strategy_fits_or_has_a_reason_and_never_both(case):
    for one in found(case).strategies:
        assert one.fits == (one.reason is None)
        layout = one.layout
        if layout:
            assert layout["tp"] * layout["pp"] * layout["dp"] * layout["cp"] == case[2]
        if one.fits:
            assert one.bound in BOUNDS and one.metrics and one.label in ("predicted", "extrapolated")
        else:
            assert one.reason is not None
            assert one.reason["code"] in {*CODES.values(), "no_layout"} and one.reason["detail"]
            assert bool(layout) == (one.reason["code"] != "no_layout")
            assert not one.metrics and not one.variance_shares and one.params_per_flop is None


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES[:5])
def test_the_best_hybrid_is_as_good_as_any_and_the_order_is_by_the_objective(case, objective):
    metric, smaller = OBJECTIVES[objective]
    listed = found(case, ("objective", objective)).strategies
    fits = [one.fits for one in listed]
    assert fits == sorted(fits, reverse=True)
    if listed[0].metrics[metric] is None:  # unknown for the accelerator, and so for all
        assert all(one.metrics[metric] is None for one in listed if one.fits)
        return
    values = [value(one, metric) * (1 if smaller else -1) for one in listed if one.fits]
    assert values == sorted(values)
    assert value(by_name(case, ("objective", objective))["hybrid best"], metric) == value(listed[0], metric)


LOADS = [(), (("isl", 4096), ("osl", 64), ("concurrency", 3)), (("isl", 512), ("osl", 128), ("request_rate", 2.0))]


@pytest.mark.parametrize("load", LOADS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_those_of_a_single_question(case, load):
    asked = found(case, *load).inputs
    work = asked["workload"]
    traffic = {"isl": int(work["input_tokens"]), "osl": int(work["output_tokens"])}
    traffic |= {name: work[name] for name in ("concurrency", "request_rate") if work[name] is not None}
    formats = {"engine": asked["engine"], "weights": asked["weights"], "kv_cache": asked["kv_cache"]}
    assert len(fitting(case, *load)) >= 2
    for one in fitting(case, *load):
        answer = ask(case[0], case[1], count=case[2], **one.layout, **formats, **traffic)
        assert answer.fits and (answer.bound, answer.label) == (one.bound, one.label)
        for name, interval in answer.metrics.items():
            mine = one.metrics[name]
            if interval is None or mine is None:
                assert interval is mine, name
                continue
            assert (mine.low, mine.value, mine.high) == pytest.approx(
                (interval.low, interval.value, interval.high), rel=1e-6
            ), (one.name, name)
        held = (answer.memory["weights_bytes"], answer.memory["kv_bytes"], answer.memory["usable_bytes"])
        assert tuple(one.memory_bytes[n] for n in ("weights", "kv", "usable")) == pytest.approx(held, rel=1e-6)
        assert one.memory_bytes["weights"] + one.memory_bytes["kv"] <= one.memory_bytes["usable"]


@pytest.mark.parametrize("case", [*CASES[:3], *RESIDENT])
def test_variation_is_that_of_the_deployment_alone(case):
    for one in fitting(case):
        if one.layout["offload"]:
            continue
        layout = {"count": case[2], **{n: one.layout[n] for n in ("tp", "pp", "ep", "dp", "cp")}}
        asked = found(case).inputs
        flying = asked["workload"]["concurrency"]
        alone = variability(case[0], case[1], **layout, weights=asked["weights"], **CHAT | {"concurrency": flying})
        assert (one.latency_cov, one.gap_cov) == pytest.approx((alone.cov["latency"], alone.cov["gap"]), rel=1e-6)
        shares = {row["cause"]: row["latency_share"] for row in alone.causes if row["cause"] != "lengths"}
        assert one.variance_shares == pytest.approx(shares, abs=1e-6)
        assert sum(one.variance_shares.values()) == pytest.approx(1.0)


# memory, parameters, exchanges


@pytest.mark.parametrize("case", [*CASES[:3], *RESIDENT, CASES[6]])
def test_parameters_per_flop_are_half_of_a_dense_model_and_of_a_mixture_its_total_over_its_active(case):
    held = count(load_model(case[0]))
    whole = held.total / (2 * held.active_without_embedding)
    for one in fitting(case):
        assert one.params_per_flop is not None
        if one.layout["ep"] == 1:
            assert one.params_per_flop == pytest.approx(whole)
        else:
            assert 0.5 < one.params_per_flop < whole
            # the busiest device sets the pace of the experts
            routed = sum(op.count * op.top_k * op.weights for op in operators(load_model(case[0])).experts)
            uneven = (held.total / (2 * one.params_per_flop) - held.active_without_embedding + routed) / routed
            assert uneven == pytest.approx(one.details["imbalance"], rel=1e-6)
    if not operators(load_model(case[0])).experts:
        assert 0.5 <= whole <= 0.6


@pytest.mark.parametrize("case", CASES[:3])
def test_weights_are_divided_by_what_divides_them(case):
    named = by_name(case)
    total = count(load_model(case[0])).total
    width = {"bf16": 2.0, "fp8": 1.0}[found(case).inputs["weights"]]
    tensor = named["tensor"]
    assert tensor.fits
    assert tensor.memory_bytes["weights"] == pytest.approx(total * width / case[2], rel=0.1)
    offload = named["offload"]
    assert offload.fits and offload.memory_bytes["weights"] < total * width


@pytest.mark.parametrize("case", CASES[:3])
def test_every_strategy_lives_by_its_own_exchange(case):
    named = by_name(case)
    alone = {"tensor": "all_reduce", "pipeline": "stage to stage", "expert": "expert all_to_all",
             "offload": "slower memory", "context": "context all_reduce", "data": None}  # fmt: skip
    seen = 0
    for name, exchange in alone.items():
        if name in named and named[name].fits:
            assert named[name].bound_collective == exchange, name
            share, sent = named[name].collective_share, named[name].sent_bytes_per_s
            assert share is not None and sent is not None
            assert (0 < share <= 1) == (exchange is not None)
            assert (sent > 0) == (name not in ("data", "offload"))
            seen += 1
    assert seen >= 3
    assert {s.name: s.exchange for s in STRATEGIES}["tensor"] == named["tensor"].exchange


def test_26_what_a_device_sends_in_decode_is_its_bytes_a_token():
    named = by_name(DENSE)
    work = found(DENSE).inputs["workload"]
    tensor, stages = named["tensor"], named["pipeline"]
    # 64 in flight, of which each takes an all-reduce of 16 KiB for every block, and its logits
    itl = value(tensor, "itl_s")
    per_token = 160 * 2 * 7 / 8 * 16_384 + 7 / 8 * 2 * 128_256
    assert tensor.sent_bytes_per_s == pytest.approx(work["concurrency"] * per_token / itl, rel=1e-6)
    # between two tokens of a sequence all micro-batches pass every stage once
    assert stages.sent_bytes_per_s == pytest.approx(work["concurrency"] * 16_384 / value(stages, "itl_s"), rel=1e-6)


@pytest.mark.parametrize("isl", [2048, 8192, 32_768])
def test_prompts_of_several_steps_exchange_as_often(isl):
    # with two tokens to write a request is its prompt, here of 1, 4 and 16 steps: the exchange keeps its share
    load = (("isl", isl), ("osl", 2), ("concurrency", 1))
    one = by_name(("llama-3.1-8b", "nvidia-l4", 8), *load)["tensor"]
    assert one.bound_collective == "all_reduce"
    assert one.collective_share is not None and one.collective_share > 0.2


# pipelines


@pytest.mark.parametrize("isl", [1024, 8192, 32_768])
def test_27_bubbles_of_a_prompt_alone(isl):
    for one in fitting(DENSE, ("isl", isl), ("osl", 256)):
        p = one.layout["pp"]
        if p == 1:
            assert "bubble" not in one.details
            continue
        m = max(isl / (8192 * one.layout["cp"]), 1)  # steps of 8192 tokens, vLLM on 80 GB
        assert one.details["micro_batches_prefill"] == pytest.approx(m)
        assert one.details["bubble"] == pytest.approx((p - 1) / (m + p - 1))
        assert one.details["bubble_interleaved_2"] == pytest.approx((p - 1) / (2 * m + p - 1))


@pytest.mark.parametrize("flying", [1, 2, 8, 64])
def test_27_stages_are_at_work_as_far_as_there_are_requests(flying):
    one = by_name(DENSE, ("concurrency", flying))["pipeline"]
    assert one.details["decode_utilisation"] == pytest.approx(min(1.0, flying / 8), rel=0.02)


# what does not fit


def test_replicas_of_a_model_too_large_for_one_device_do_not_fit():
    named = by_name(DENSE)
    for name in ("data", "context"):
        assert named[name].reason is not None
        assert named[name].reason["code"] == "memory"


def test_more_stages_than_layers_are_no_pipeline():
    named = by_name(("llama-3.2-1b", "nvidia-h100-sxm", 32))
    reason = named["pipeline"].reason
    assert reason is not None and reason["code"] == "too_many_stages"
    assert named["data"].fits


def test_heads_that_do_not_divide_are_no_tensor_parallelism():
    reason = by_name(("llama-3.1-8b", "nvidia-h100-sxm", 6))["tensor"].reason
    assert reason is not None and reason["code"] == "tp_does_not_divide"


def test_a_count_without_a_hybrid_says_so():
    hybrid = by_name(("llama-3.1-8b", "nvidia-h100-sxm", 7))["hybrid 3d"]
    assert hybrid.reason is not None and hybrid.reason["code"] == "no_layout"
    assert hybrid.layout == {} and hybrid.support["level"] == "none"


def test_without_a_slower_memory_nothing_is_offloaded():
    reason = by_name(("llama-3.1-8b", "amd-mi300a", 2))["offload"].reason
    assert reason is not None and reason["code"] == "no_slower_memory"


def test_what_does_not_fit_even_with_the_most_weights_offloaded_says_so_of_that():
    asked = found(("kimi-k2", "nvidia-l4", 1), ("weights", "bf16"))
    assert not any(one.fits for one in asked.strategies)
    offload = {one.name: one for one in asked.strategies}["offload"]
    assert offload.layout["offload"] == 0.95
    assert offload.reason is not None and offload.reason["code"] == "memory"


@pytest.mark.parametrize("case", RESIDENT)
def test_resident_machines_are_pipelines_and_replicas_of_them(case):
    named = by_name(case)
    for name in ("tensor", "context"):
        reason = named[name].reason
        assert reason is not None and reason["code"] == "resident_layout"
    assert named["hybrid best"].fits and named["pipeline"].fits
    for one in fitting(case):
        assert (one.layout["tp"], one.layout["ep"], one.layout["cp"]) == (1, 1, 1)
        assert one.variance_shares["stragglers"] == one.variance_shares["routing"] == 0
        assert "bubble" not in one.details  # tokens follow one another, layer by layer
    assert found(case).inputs["workload"]["concurrency"] == scaling.ON_CHIP


# experts


@pytest.mark.parametrize("flying", [8, 512])
@pytest.mark.parametrize("case", [MIXTURE, CASES[2], ("mixtral-8x7b", "amd-mi300x", 4)])
def test_skew_in_ranks_side_by_side_never_makes_experts_faster(case, flying):
    load = ("concurrency", flying)
    even = by_name(case, load)["expert"]
    for exponent in (0.3, 0.6, 1.0, 2.0):
        skewed = by_name(case, load, ("routing", Routing(exponent, "contiguous")))["expert"]
        for metric, sign in (("output_tokens_per_s", 1), ("itl_s", -1), ("latency_s", -1)):
            assert sign * value(skewed, metric) <= sign * value(even, metric) * (1 + sign * 1e-9)
        assert skewed.params_per_flop is not None and even.params_per_flop is not None
        assert skewed.params_per_flop < even.params_per_flop
        assert skewed.details["imbalance"] == skewed.details["imbalance_contiguous"]


def test_two_dies_of_a_card_are_told_apart():
    named = by_name(CASES[3])
    assert named["expert"].layout["ep"] == 8  # four cards of two
    assert named["data"].bound_collective == "all_reduce"  # between the dies of a card


# questions


def test_the_default_load_is_so_many_requests_an_accelerator():
    work = found(DENSE).inputs["workload"]
    assert (work["input_tokens"], work["output_tokens"]) == scaling.LENGTHS
    assert work["concurrency"] == 8 * scaling.PER_ACCELERATOR
    assert found(DENSE, ("request_rate", 1.0)).inputs["workload"]["concurrency"] is None


def test_a_price_given_counts():
    cheap, dear = (by_name(DENSE, ("price", price))["tensor"] for price in (1.0, 3.0))
    assert value(dear, "usd_per_million_tokens") == pytest.approx(3 * value(cheap, "usd_per_million_tokens"))


def test_one_output_token_has_no_gap_to_send_in():
    one = by_name(DENSE, ("isl", 128), ("osl", 1))["tensor"]
    assert one.metrics["itl_s"] is None and one.sent_bytes_per_s is None
    assert one.latency_cov is not None and np.isfinite(one.latency_cov)


@pytest.mark.parametrize(("asked", "error", "field"), [
    ({"count": 0}, BadInput, "count"), ({"count": 1025}, BadInput, "count"), ({"count": 1.5}, BadInput, "count"),
    ({"objective": "speed"}, UnknownName, None), ({"accelerator": "h1000"}, UnknownName, None),
    ({"model": "llama-9"}, UnknownName, None), ({"isl": 131_072}, BadInput, "isl"), ({"isl": 0}, BadInput, "isl"),
    ({"weights": "fp5"}, BadInput, "weights"), ({"price": -1.0}, BadInput, "price"),
    ({"concurrency": 4, "request_rate": 1.0}, BadInput, None), ({"model": NOT_MODELLED}, NotModelled, "model"),
    ({"accelerator": "groq", "engine": "vllm"}, NoFeasibleAnswer, "engine"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(asked, error, field):
    with pytest.raises(error) as caught:
        scale(**({"model": "llama-3.1-8b", "accelerator": "h100", "count": 2, "isl": 1024, "osl": 256} | asked))
    assert field is None or caught.value.field == field


def test_a_cluster_has_no_more_than_it_has(cluster):
    own = cluster("h100", price=2.0, nodes=1, per_node=4)
    with pytest.raises(BadInput, match="more than cluster") as caught:
        scale("llama-3.1-8b", own, count=8)
    assert (caught.value.field, caught.value.allowed) == ("count", "up to 4")
    found = {one.name: one for one in scale("llama-3.1-8b", own, count=4).strategies}
    one = found["tensor"]
    per_hour = value(one, "usd_per_million_tokens") * value(one, "output_tokens_per_s") * 3600 / 1e6
    assert per_hour == pytest.approx(4 * 2.0)
