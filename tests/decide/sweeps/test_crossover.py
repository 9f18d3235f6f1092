"""Sweeps: crossings of known curves, the same answers as single questions, and what cannot be swept."""

import math
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.fleet import fleet
from inferatlas.decide.sweeps.crossings import SURE, changes, crossings, leaders
from inferatlas.decide.sweeps.crossover import METRICS, crossover
from inferatlas.decide.sweeps.crossovers import Crossovers
from inferatlas.decide.sweeps.grids import grid
from inferatlas.decide.sweeps.swept import ROOM
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask
from inferatlas.workload import make_workload

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

MODEL = "llama-3.1-70b"
THREE = ("nvidia-h100-sxm", "cerebras-wse-3", "groq-lpu-v1")
X = np.geomspace(1.0, 1024.0, 31)
NAN = math.nan


def laws(*pairs: tuple[float, float], x: np.ndarray = X) -> np.ndarray:
    """Power laws ``a x^b``, a row each."""
    return np.array([a * x**b for a, b in pairs])


def found_in(value: np.ndarray, sigma: float = 0.1, *, x: np.ndarray = X, higher: bool = True):
    return crossings(x, value, np.full(value.shape, sigma), higher=higher)


# curves


@pytest.mark.parametrize("higher", [True, False])
def test_two_power_laws_cross_where_they_are_equal_and_the_unsure_range_follows_from_both_errors(higher: bool):
    value = laws((1.0, 0.2), (1.0 / 17.0, 1.2))  # equal at x = 17
    (one,) = crossings(X, value if higher else 1.0 / value, np.array([[0.1], [0.3]]) + 0.0 * value, higher=higher)
    assert (one.before, one.after, one.how) == (0, 1, "overtaken")
    assert one.x == pytest.approx(17.0)
    width = SURE * math.hypot(0.1, 0.3)  # the ratio grows as x
    assert (one.low, one.high) == (pytest.approx(17.0 * math.exp(-width)), pytest.approx(17.0 * math.exp(width)))
    assert one.first == X[X > 17.0][0]


def test_the_range_is_that_of_probabilities_from_20_to_80_percent():
    assert NormalDist().cdf(SURE) == pytest.approx(0.8)


def test_curves_that_keep_their_order_or_are_the_same_do_not_cross():
    assert not found_in(laws((1.0, 0.5), (1.1, 0.5), (0.5, 0.4)))
    assert not found_in(laws((1.0, 0.5), (1.0, 0.5)))
    noise = laws((1.0, 0.5), (1.0, 0.5)) * (1.0 + 1e-8 * np.random.default_rng(0).standard_normal((2, len(X))))
    assert not found_in(noise)  # single precision tells no order
    assert leaders(noise, higher=True) == [leaders(noise, higher=True)[0]] * len(X)


def test_a_third_curve_that_leads_only_between_two_points_is_seen():
    x = np.array([1.0, 100.0])
    value = laws((1.0, 0.0), (0.5, 0.25), (0.01, 1.2), x=x)
    first, second = found_in(value, x=x)
    assert (first.before, first.after, second.before, second.after) == (0, 1, 1, 2)
    assert first.x == pytest.approx(16.0) and second.x == pytest.approx(50.0 ** (1 / 0.95))
    assert (first.first, second.first) == (None, 100.0)


def test_what_is_never_sure_stays_open_and_what_has_no_error_is_sharp():
    near = laws((1.0, 0.0), (0.98, 0.005))
    (one,) = found_in(near, 0.5)
    assert (one.low, one.high) == (None, None)
    (one,) = found_in(laws((1.0, 0.0), (0.1, 1.0)), 0.0)
    assert (one.low, one.high) == (pytest.approx(one.x), pytest.approx(one.x))


def test_a_leader_that_ends_or_begins_changes_the_best_where_that_is_seen():
    value = laws((2.0, 0.0), (1.0, 0.0))
    value[0, 20:] = NAN
    (one,) = found_in(value)
    assert (one.x, one.how, one.first) == (X[20], "ends", X[20])
    assert one.low == one.high == X[20]  # it was surely the best, and is surely not
    (one,) = found_in(value[:, ::-1])
    assert (one.x, one.how, one.before, one.after) == (X[11], "begins", 1, 0)
    value[:, 5:10] = NAN  # nobody serves here: that is no change of the best
    assert [one.how for one in found_in(value)] == ["ends"]


@given(st.integers(0, 10_000))
def test_every_crossing_lies_in_its_range_between_the_points_where_the_best_differs(seed: int):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.5, 3.0, 12))
    value, sigma = np.exp(rng.normal(0.0, 1.0, (3, 12))), rng.uniform(0.0, 1.0, (3, 12))
    value[rng.random((3, 12)) < 0.1] = NAN
    found = crossings(x, value, sigma, higher=bool(seed % 2))
    best = [k for k in leaders(value, higher=bool(seed % 2)) if k >= 0]
    assert sum(one.first is not None for one in found) == sum(a != b for a, b in pairwise(best))
    held = best[0]
    for one in found:
        assert one.before == held and x[0] < one.x * (1 + 1e-12) and one.x <= x[-1]
        assert one.low is None or x[0] * (1 - 1e-12) <= one.low <= one.x
        assert one.high is None or one.x <= one.high <= x[-1] * (1 + 1e-12)
        held = one.after
    assert held == best[-1]


def test_a_word_that_stands_once_is_no_change_except_at_the_end():
    assert changes(["a", "a", "b", "a", "a"]) == []
    assert changes(["a", "b", "b", "a"]) == [(1, "a", "b"), (3, "b", "a")]
    assert changes([None, "a", None, "b", None, "b"]) == [(3, "a", "b")]
    assert changes([]) == changes([None]) == []


# grids


@pytest.mark.parametrize("over", ["batch", "isl", "osl", "rate", "count"])
def test_a_grid_of_its_own_increases_in_about_equal_ratios(over: str):
    xs = grid(over, None, None, None, 60, 8000.0)
    assert all(b > a for a, b in pairwise(xs))
    assert len(xs) == (11 if over == "count" else 60)
    assert over == "rate" or all(x == int(x) for x in xs)
    assert xs[-1] == {"batch": 1024, "isl": 8000, "osl": 8000, "rate": 100, "count": 1024}[over]
    assert max(b / a for a, b in pairwise(xs)) <= 2.0


def test_a_short_range_has_every_whole_number():
    assert grid("batch", None, 1.0, 9.0, 60, 0.0) == [float(x) for x in range(1, 10)]


# sweeps against single questions


@pytest.fixture(scope="module")
def batch() -> Crossovers:
    return crossover(MODEL, THREE)


def alone(accelerator: str, x: float, over: str = "batch", within: int | None = None, concurrency: float = 32.0):
    """What `fleet` answers for one x: the best value of every metric, and the counts tried."""
    lengths = {"isl": "input_tokens", "osl": "output_tokens"}
    levels: dict[str, list[float]] = {"concurrency": [x if over == "batch" else concurrency]}
    if over == "rate":
        levels = {"request_rate": [x]}
    elif over in lengths:
        levels[lengths[over]] = [x]
    load = make_workload(isl=1024, osl=256, concurrency=1)
    designs = fleet(load_model(MODEL), [load_accelerator(accelerator)], load, levels, within=within, room=ROOM)
    fits = np.flatnonzero(designs.predictions.fits)
    best = {}
    for name, higher in METRICS.items():
        value = designs.metrics[name.removesuffix("_per_accelerator")].value[fits].astype(float)
        value = value / (designs.points.accelerators[fits] if name.endswith("_per_accelerator") else 1)
        value = value[np.isfinite(value)]
        best[name] = (value.max() if higher else value.min()) if value.size else NAN
    return best, set(designs.points.accelerators[fits].tolist())


def best_of(over: str, x: float, metric: str) -> str:
    """The best accelerator at one x, each asked by itself."""
    values = {name: alone(name, x, over)[0][metric] for name in THREE}
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    return (max if METRICS[metric] else min)(known, key=lambda name: known[name])


def test_crossovers_over_batch_are_those_of_single_questions_at_every_whole_number(batch: Crossovers):
    assert {one.metric for one in batch.crossovers} >= {"ttft_s", "latency_s"}
    for one in batch.crossovers:
        assert one.first is not None and one.first - 1 <= one.x <= one.first
        assert best_of("batch", one.first - 1, one.metric) == one.before
        assert best_of("batch", one.first, one.metric) == one.after
    for metric in ("latency_s", "ttft_s"):  # scan around, whole numbers one by one
        (one,) = (one for one in batch.crossovers if one.metric == metric)
        scan = range(max(int(one.first or 0) - 12, 1), int(one.first or 0) + 12)
        assert [best_of("batch", x, metric) == one.after for x in scan] == [x >= (one.first or 0) for x in scan]


def test_the_grid_does_not_decide_where_the_best_changes(batch: Crossovers):
    whole = crossover(MODEL, THREE, values=range(1, 1025))
    assert [(one.metric, one.first, one.after) for one in whole.crossovers] == [
        (one.metric, one.first, one.after) for one in batch.crossovers
    ]
    for fine, coarse in zip(whole.crossovers, batch.crossovers, strict=True):
        assert fine.x == pytest.approx(coarse.x, rel=1e-6)
        for a, b in ((fine.x_low, coarse.x_low), (fine.x_high, coarse.x_high)):
            assert (a is None) == (b is None)
            assert a is None or a == pytest.approx(b, rel=0.02)


def test_the_order_is_unsure_from_x_low_to_x_high_by_single_predictions(batch: Crossovers):
    (one,) = (one for one in batch.crossovers if one.metric == "latency_s")
    low, high = one.x_low or 0.0, one.x_high or np.inf  # none: unsure to that end of the sweep
    assert low > 0 or high < np.inf
    curve, names = batch.curves["latency_s"], batch.accelerators
    a, b = names.index(one.before), names.index(one.after)
    z = np.log(curve.value[a] / curve.value[b]) / np.hypot(curve.sigma[a], curve.sigma[b])
    sure = np.array([NormalDist().cdf(v) for v in z])
    inside = (batch.x > low) & (batch.x < high)
    assert ((sure > 0.2) & (sure < 0.8))[inside].all() and inside.any()
    assert (sure[batch.x <= low][-1:] <= 0.2).all() and (sure[batch.x >= high][:1] >= 0.8).all()


def test_points_are_what_a_single_question_answers(batch: Crossovers):
    points = batch.points()
    assert len(points) == len(batch.x) * len(THREE)
    for i in np.random.default_rng(1).choice(len(points), 12, replace=False):
        point = points[int(i)]
        answer = ask(MODEL, point["accelerator"], **point["layout"], count=point["count"], weights=point["weights"],
                     engine=point["engine"], isl=1024, osl=256, concurrency=int(point["x"]))  # fmt: skip
        assert (answer.bound, answer.label) == (point["bound"], point["label"])
        for name, ends in point["metrics"].items():
            whole = answer.metrics[name.removesuffix("_per_accelerator")]
            share = point["count"] if name.endswith("_per_accelerator") else 1
            assert (ends is None) == (whole is None), name
            if ends is not None and whole is not None:
                assert ends["value"] * share == pytest.approx(whole.value, rel=1e-4), name
                assert ends["low"] <= ends["value"] <= ends["high"]
                assert ends["high"] * share == pytest.approx(whole.high, rel=1e-4), name


def test_bounds_are_those_of_single_questions_on_both_sides_of_a_change(batch: Crossovers):
    points = {(point["x"], point["accelerator"]): point for point in batch.points()}
    assert batch.bounds
    for one in batch.bounds:
        assert one.last < one.x and one.before != one.after
        for x, bound in ((one.last, one.before), (one.x, one.after)):
            point = points[x, one.accelerator]
            answer = ask(MODEL, one.accelerator, **point["layout"], count=point["count"], isl=1024, osl=256,
                         concurrency=int(x))  # fmt: skip
            assert answer.bound == bound == point["bound"]


@pytest.mark.parametrize(
    ("over", "xs"), [("isl", (128, 3000, 20_000, 100_000)), ("osl", (16, 900, 8192)), ("rate", (0.3, 8.0, 70.0)),
                     ("count", (2, 5, 8, 800))]
)  # fmt: skip
def test_every_x_has_the_deployment_that_fleet_finds_for_it_alone(over: str, xs: tuple[float, ...]):
    found = crossover(MODEL, THREE, over=over, values=xs)
    for k, name in enumerate(THREE):
        for i, x in enumerate(xs):
            best, counts = alone(name, x, over, within=int(x) if over == "count" else None)
            for metric, curve in found.curves.items():
                assert curve.value[k, i] == pytest.approx(best[metric], rel=1e-5, nan_ok=True), (metric, name, x)
            row = found.curves["latency_s"].row[k, i]
            assert (row < 0 and not counts) or int(found.found.count[row]) in counts


def test_larger_deployments_serve_what_a_node_cannot():
    found = crossover(MODEL, ["h100"], over="rate", values=[1.0, 40.0, 90.0])
    assert [point["count"] for point in found.points()] == sorted({8, *(p["count"] for p in found.points())})
    assert found.points()[-1]["count"] > 8


def test_the_memory_of_a_device_ends_to_bind_near_the_critical_batch():
    """Equation (11): B_crit = P b_w / (2 M_bw), each rate by what of it is reached."""
    for name in ("a100-80gb-sxm", "h100", "h200"):
        platform = bind(name, model="qwen2.5-32b")
        rate, memory = platform.device.peaks["bf16"], platform.device.memory.bytes_per_s
        assert memory is not None
        reached = platform.coefficients.compute_efficiency / platform.coefficients.memory_efficiency
        critical = rate * 2.0 / (2.0 * memory) * reached
        # short contexts: the KV cache adds next to nothing to what memory moves
        found = crossover("qwen2.5-32b", [name], count=1, isl=16, osl=64, values=range(1, 600))
        (one,) = (one for one in found.bounds if (one.before, one.after) == ("memory_bandwidth", "compute"))
        assert critical / 1.5 <= one.x <= critical * 1.5
        assert one.last == one.x - 1


# results


def test_a_result_says_what_was_assumed_and_who_is_calibrated(batch: Crossovers):
    words = "\n".join(batch.assumptions)
    assert "1,024 input and 256 output tokens" in words
    assert "calibrated (predicted): nvidia-h100-sxm" in words
    assert "; extrapolated: cerebras-wse-3, groq-lpu-v1" in words
    labels = {(point["accelerator"], point["label"]) for point in batch.points()}
    assert labels == {("nvidia-h100-sxm", "predicted"), ("cerebras-wse-3", "extrapolated"),
                      ("groq-lpu-v1", "extrapolated")}  # fmt: skip


def test_hops_over_a_network_that_nobody_publishes_are_said_to_be_assumed():
    def said(count: int) -> list[str]:
        found = crossover("kimi-k2", ["l40s", "h200"], values=[8, 16], count=count, isl=1024, osl=256)
        return [line for line in found.assumptions if "scale-out" in line]

    (line,) = said(64)
    assert line.startswith("no scale-out bandwidth of nvidia-l40s is published") and "assumed" in line
    assert said(16) == []  # only the h200 holds the model, and publishes its own


def test_leads_and_crossovers_tell_the_same_story(batch: Crossovers):
    for metric in METRICS:
        leads = [one for one in batch.leads if one.metric == metric]
        crossed = [one for one in batch.crossovers if one.metric == metric]
        assert [(a.accelerator, b.accelerator) for a, b in pairwise(leads)] == [(x.before, x.after) for x in crossed]
        assert [b.x_from for b in leads[1:]] == [one.first for one in crossed]
        assert [b.x_to for b in leads[:-1]] == [(one.first or 0) - 1 for one in crossed]
        for one in crossed:
            assert (one.x_low or 0.0) <= one.x <= (one.x_high or math.inf)


def test_what_has_no_price_is_missing_by_metric_and_nowhere_else(batch: Crossovers):
    assert {(one.accelerator, one.metric, one.code) for one in batch.rejected} == {
        (name, "usd_per_million_tokens", "unknown") for name in THREE[1:]
    }
    assert all(point["metrics"]["usd_per_million_tokens"] is None for point in batch.points() if "h100" not in
               point["accelerator"])  # fmt: skip


def test_what_cannot_be_served_is_absent_with_range_and_reason():
    found = crossover(MODEL, ["h100", "groq-lpu-v1"], over="isl", values=[1000, 2000, 131_000, 200_000, 300_000])
    out = [(one.accelerator, one.x_from, one.x_to, one.code) for one in found.rejected if one.metric is None]
    assert ("nvidia-h100-sxm", 131_000, 300_000, "context_length") in out  # 256 output tokens more
    assert ("groq-lpu-v1", 131_000, 300_000, "context_length") in out
    assert {point["x"] for point in found.points()} == {1000, 2000}
    found = crossover(MODEL, THREE, values=[1, 2], count=8)
    assert [(one.accelerator, one.code) for one in found.rejected if one.metric is None] == [("groq-lpu-v1", "memory")]
    found = crossover(MODEL, THREE, over="rate", values=[1.0, 1e4])
    out = {(one.accelerator, one.x_from, one.code) for one in found.rejected if one.metric is None}
    assert out >= {("cerebras-wse-3", 1e4, "rate_beyond_capacity"), ("groq-lpu-v1", 1e4, "rate_beyond_capacity")}
    found = crossover(MODEL, THREE, values=[1, 8], weights=["fp8"])
    assert {(one.accelerator, one.code) for one in found.rejected} == {(name, "precision") for name in THREE[1:]}


def test_a_single_output_token_has_no_gap():
    found = crossover("llama-3.1-8b", ["h100", "l4"], over="osl", values=[1, 2, 4])
    assert [(one.x_from, one.x_to) for one in found.rejected if one.metric == "itl_s"] == [(1, 1), (1, 1)]


def test_the_best_format_counts_where_several_may_be_used():
    wide, both = (crossover("llama-3.1-8b", ["h100"], values=[1, 64], weights=w) for w in (["bf16"], ["bf16", "fp8"]))
    assert {point["weights"] for point in both.points()} == {"fp8"}
    assert (both.curves["itl_s"].value < wide.curves["itl_s"].value).all()


def test_one_accelerator_has_bounds_and_no_crossovers():
    found = crossover(MODEL, ["h100"])
    assert found.bounds and not found.crossovers


def test_a_named_workload_gives_lengths_and_the_load_of_a_length_sweep():
    found = crossover("llama-3.1-8b", ["h100", "l4"], workload="chat", values=[1, 4])
    assert found.inputs["input_tokens"] == 1154.7
    found = crossover("llama-3.1-8b", ["h100", "l4"], over="osl", workload="chat", values=[10, 40], concurrency=3)
    assert (found.inputs["input_tokens"], found.inputs["output_tokens"], found.inputs["concurrency"]) == (
        1154.7, None, 3,
    )  # fmt: skip


def test_the_model_of_the_paper_has_the_long_context_of_its_release():
    assert load_model(MODEL).context_length == 131_072


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"over": "bach"}, UnknownName), ({"metric": "tokens"}, UnknownName), ({"values": [1]}, BadInput),
        ({"values": []}, BadInput), ({"values": [2, 1]}, BadInput), ({"values": [1, 1]}, BadInput),
        ({"values": [0, 1]}, BadInput), ({"values": [1.5, 2]}, BadInput), ({"values": [1, NAN]}, BadInput),
        ({"values": [1, math.inf]}, BadInput), ({"values": range(1, 20_000)}, BadInput),
        ({"values": [1, 2], "first": 1}, BadInput), ({"first": 0}, BadInput), ({"first": 2000}, BadInput),
        ({"first": 4, "last": 4}, BadInput), ({"steps": 1}, BadInput), ({"steps": 10**6}, BadInput),
        ({"over": "rate", "values": [0.0, 1.0]}, BadInput), ({"over": "count", "values": [1, 2000]}, BadInput),
        ({"over": "count", "count": 8}, BadInput), ({"count": 0}, BadInput), ({"count": 2000}, BadInput),
        ({"over": "isl", "isl": 5}, BadInput), ({"concurrency": 5}, BadInput), ({"isl": 200_000}, BadInput),
        ({"isl": 0}, BadInput), ({"weights": ["fp3"]}, BadInput), ({"workload": "chatty"}, UnknownName),
        ({"over": "rate", "concurrency": 5}, BadInput),
        ({"weights": ["mxfp4"], "names": ["groq-lpu-v1"]}, NoFeasibleAnswer), ({"count": 1}, NoFeasibleAnswer),
        ({"over": "isl", "osl": 131_072}, NoFeasibleAnswer),
        ({"over": "rate", "values": [1e5, 2e5]}, NoFeasibleAnswer),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_refused(asked, error):
    names = asked.get("names", ["h100", "groq-lpu-v1"])
    with pytest.raises(error) as caught:
        crossover(MODEL, names, **{name: value for name, value in asked.items() if name != "names"})
    assert caught.value.exit_code == (3 if error is NoFeasibleAnswer else 2)


def test_accelerators_are_named_once_and_the_model_has_to_be_modelled():
    with pytest.raises(BadInput, match="no accelerator"):
        crossover(MODEL, [])
    with pytest.raises(BadInput, match="named twice"):
        crossover(MODEL, ["h100", "nvidia-h100-sxm"])
    with pytest.raises(UnknownName):
        crossover(MODEL, ["h1000"])
    with pytest.raises(BadInput, match="an empty name"):
        crossover(MODEL, "")
    one = crossover("llama-3.1-8b", "H100", values=[1, 8], weights="FP8")
    assert (one.accelerators, one.inputs["weights"]) == (["nvidia-h100-sxm"], ["fp8"])
    assert len(crossover("llama-3.1-8b", "all", values=[1, 8]).accelerators) == len(accelerator_ids())
    with pytest.raises(NotModelled):
        crossover(NOT_MODELLED, ["h100"])


def test_reasons_name_every_accelerator_where_nothing_can_be_compared():
    with pytest.raises(NoFeasibleAnswer, match=r"nvidia-h100-sxm: .* need 2; groq-lpu-v1: .* need 767$") as caught:
        crossover(MODEL, ["h100", "groq-lpu-v1"], count=1)
    assert (caught.value.code, caught.value.field) == ("memory", "count")
    with pytest.raises(NoFeasibleAnswer) as caught:
        crossover(MODEL, ["a100-80gb-sxm"], weights=["fp8"])
    assert (caught.value.code, caught.value.field) == ("precision", "weights")
    with pytest.raises(NoFeasibleAnswer) as caught:  # one for memory, the other for its format: no one input
        crossover(MODEL, ["a100-80gb-sxm", "l4"], weights=["fp8"], count=1)
    assert caught.value.field == "accelerator"


def test_what_whole_nodes_do_not_hold_is_said_with_the_count_that_does():
    found = crossover("llama-3.3-70b", ["h100", "tenstorrent-grayskull-e150"], over="isl", values=[1000, 20000])
    (out,) = [one for one in found.rejected if one.metric is None]
    assert (out.accelerator, out.x_from, out.x_to, out.code) == ("tenstorrent-grayskull-e150", 1000, 20000, "memory")
    assert "in whole nodes, except on 80 with fp16 weights in 80 pipeline stages (for the shortest" in out.detail


def test_a_count_that_is_given_is_the_limit_in_the_reason():
    found = crossover("llama-3.3-70b", ["h100"], over="isl", values=[1000, 60_000, 100_000], count=2)
    (out,) = [one for one in found.rejected if one.metric is None]
    assert (out.x_from, out.x_to, out.code) == (60_000, 100_000, "kv_cache")
    assert out.detail.startswith("does not fit on so many accelerators; bf16 weights need 3")
    found = crossover("llama-3.3-70b", ["h100"], over="rate", values=[1.0, 1000.0], count=4)
    (out,) = [one for one in found.rejected if one.metric is None]
    assert (out.code, out.detail) == (
        "rate_beyond_capacity", "the request rate exceeds what so many accelerators can serve",
    )  # fmt: skip
