"""Causes of variation against simulated batching and routing, and what must hold of every point: (16), (17), (45)."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.predict.handbook.continuous_batching import continuous_batching, continuous_cov
from inferatlas.predict.llm.experts import zipf_popularity
from inferatlas.predict.llm.operators import Experts, Operators, operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.under_load import under_load
from inferatlas.predict.performance.variance import CAUSES, Variance, layer_cov, variance
from inferatlas.predict.platforms import bind

DENSE, MIXTURE = "llama-3.3-70b", "qwen3-30b-a3b"
GPU, CHIPS = "nvidia-h100-sxm", "groq-lpu-v1"
STEPS = ("routing", "prefill", "stragglers")  # independent from step to step
CHAT = {"input_tokens": 1024, "output_tokens": 256}
few = settings(max_examples=30)


@lru_cache
def machine(model: str, part: str) -> tuple[Operators, PlatformTable]:
    ops = operators(load_model(model))
    return ops, platform_table([bind(part, model=model)], is_moe=bool(ops.experts))


def spread(model: str, part: str = GPU, routing: Routing = UNIFORM, **asked) -> tuple[Variance, Predictions, Points]:
    ops, table = machine(model, part)
    points = make_points(0, **(CHAT | asked))
    answers = predict(ops, table, points, routing=routing)
    return variance(ops, table, points, answers, routing), answers, points


def one(parts: dict[str, np.ndarray]) -> dict[str, float]:
    return {cause: float(part[0]) for cause, part in parts.items()}


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.85])
@pytest.mark.parametrize("layout", [{"tp": 8}, {"tp": 4}, {"tp": 4, "pp": 2}, {"pp": 4}, {"pp": 8}])
def test_45_points_of_an_open_loop_vary_as_the_closed_form_about_their_batch(layout, busy):
    # prompts of one token cost next to nothing, long answers next to nothing but steps; t0 and a as a closed loop has
    # them, in which a request more in flight lengthens one of the micro-batches of a pipeline
    ops, table = machine(DENSE, GPU)
    asked = {"input_tokens": 1, "output_tokens": 2000, **layout}
    rate = busy * float(predict(ops, table, make_points(0, concurrency=1000, **asked)).output_tokens_per_s[0]) / 2000
    found, answer, _ = spread(DENSE, request_rate=rate, **asked)
    flying = float(answer.batch[0])
    more = 2 * layout.get("pp", 1)
    level = predict(ops, table, make_points(0, concurrency=[round(flying), round(flying) + more], **asked)).itl_s
    a = (level[1] - level[0]) / more
    t0 = float(answer.itl_s[0]) - a * flying
    settled = continuous_batching(t0, a, 1999, rate)
    assert settled.batch == pytest.approx(flying, rel=0.03)
    variance_of_batch = settled.batch / (1 - settled.utilisation)
    assert float(found.gap["batching"][0]) == pytest.approx((a / settled.step_s) ** 2 * variance_of_batch, rel=0.06)
    latency = float(found.latency["batching"][0] + found.latency["prefill"][0])
    assert latency**0.5 == pytest.approx(float(continuous_cov(t0, a, 1999, rate)), rel=0.03)


# predictions carry the percentiles; their account of a request is the same, less what a mixture and jitter add


@pytest.mark.parametrize(
    "load", [{"concurrency": 1}, {"concurrency": 32}, {"request_rate": 1.0}, {"request_rate": 3.0}]
)
@pytest.mark.parametrize("lengths", [{}, {"input_cv": 1.2, "output_cv": 0.7}])
@pytest.mark.parametrize("part", [GPU, "google-tpu-v6e", "sambanova-sn40l", "amd-mi300x", "cerebras-wse-3"])
def test_predictions_and_the_account_of_causes_vary_alike(part, lengths, load):
    found, answers, _ = spread("llama-3.1-8b", part, tp=1, pp=2 if part == "cerebras-wse-3" else 1, **lengths, **load)
    if answers.fits[0]:
        without = sum(value for cause, value in one(found.latency).items() if cause not in ("routing", "stragglers"))
        assert float(answers.latency_cv[0]) == pytest.approx(without**0.5, rel=0.01, abs=1e-3)


def test_an_idle_open_loop_has_no_batch_that_could_vary():
    rates = np.geomspace(1e-6, 1e-2, 9)
    found, _, _ = spread(DENSE, tp=8, request_rate=rates)
    assert (np.diff(found.cov("gap")) >= 0).all()
    assert found.gap["batching"][0] < 1e-9 and found.latency["batching"][0] < 1e-9


def test_short_answers_of_an_open_loop_feel_the_boundary_of_a_step():
    found, answer, points = spread(DENSE, tp=8, request_rate=50.0, output_tokens=4, input_tokens=64)
    assert answer.batch > 2
    decoding = (points.output_tokens - 1) * answer.itl_s / answer.latency_s
    assert found.latency["batching"] > decoding**2 / (12 * 3**2)


# routing


@lru_cache
def routed(experts: int, top_k: int, zipf: float, tokens: int, groups: int) -> float:
    """CoV of the busiest device's visits, or of the experts touched where groups is 1, simulated.

    Each token takes the k smallest of exponential times over popularity, which is Gumbel top-k.
    """
    random = np.random.default_rng(experts + tokens)
    trials = min(3000, 24_000_000 // (tokens * experts))
    popularity = zipf_popularity(experts, zipf).astype(np.float32)
    values = []
    for part in np.array_split(np.arange(trials), max(1, trials * tokens * experts // 2_000_000)):
        race = random.standard_exponential((part.size, tokens, experts), dtype=np.float32) / popularity
        chosen = np.argpartition(race, top_k, axis=2)[:, :, :top_k].reshape(part.size, -1)
        flat = (chosen + experts * np.arange(part.size)[:, None]).ravel()
        visits = np.bincount(flat, minlength=part.size * experts).reshape(part.size, experts)
        per_device = visits.reshape(part.size, groups, -1).sum(axis=2).max(axis=1)
        values.append((visits > 0).sum(axis=1) if groups == 1 else per_device)
    seen = np.concatenate(values)
    return float(seen.std() / seen.mean())


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens", "groups"), [
    (256, 8, 0.0, 64, 8), (128, 8, 0.6, 32, 8), (64, 6, 1.0, 64, 4), (8, 2, 0.0, 16, 2),
])  # fmt: skip
def test_17_a_layer_varies_as_simulated_routing_does(experts, top_k, zipf, tokens, groups):
    op = Experts("experts", 1, experts, top_k, 1, 1, 1)
    found = layer_cov(op, tokens, groups, Routing(zipf, "contiguous"))
    assert found == pytest.approx(routed(experts, top_k, zipf, tokens, groups), rel=0.09)


@pytest.mark.parametrize(("zipf", "tokens"), [(0.0, 4), (0.0, 16), (0.6, 8), (1.0, 16), (1.0, 64)])
def test_13_experts_touched_vary_as_simulated_routing_does(zipf, tokens):
    op = Experts("experts", 1, 128, 8, 1, 1, 1)
    assert layer_cov(op, tokens, 1, Routing(zipf)) == pytest.approx(routed(128, 8, zipf, tokens, 1), rel=0.1)


@pytest.mark.parametrize(("experts", "top_k"), [(8, 2), (128, 8), (256, 8), (16, 1), (4, 4)])
def test_13_one_token_takes_its_experts_and_many_take_all(experts, top_k):
    op = Experts("experts", 1, experts, top_k, 1, 1, 1)
    assert layer_cov(op, 1, 1) == pytest.approx(0, abs=1e-7)
    assert layer_cov(op, 1e5, 1) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("layout", [{"tp": 4}, {"tp": 4, "ep": 4}, {"ep": 8, "dp": 8}, {"tp": 2, "ep": 8, "dp": 4}])
def test_17_a_step_varies_as_a_layer_over_the_root_of_the_layers(layout):
    ops, table = machine(MIXTURE, GPU)
    found, answer, points = spread(MIXTURE, concurrency=64, **layout)
    rows = [row for row in breakdown(ops, table, points, answer) if row.phase == "decode"]
    share = sum(row.share for row in rows if row.operator == "experts")
    (op,) = ops.experts
    decoding = float(under_load(ops, table, points, answer).batch[0])
    tokens = decoding * max(layout.get("ep", 1) // layout.get("tp", 1), 1)
    layer = layer_cov(op, tokens, layout.get("ep", 1))
    assert np.sqrt(found.gap["routing"]) == pytest.approx(share * layer / np.sqrt(op.count), rel=1e-6)
    assert 0 < share < 1 and layer > 0


def test_17_a_larger_batch_routes_more_evenly():
    found, _, _ = spread(MIXTURE, ep=8, dp=8, concurrency=[8, 64, 512])
    experts = found.gap["routing"]
    assert experts[2] < experts[1]


# what has no such cause


@pytest.mark.parametrize("part", [CHIPS, "cerebras-wse-3"])
@pytest.mark.parametrize("model", ["llama-3.1-8b", MIXTURE])
def test_35_inside_resident_machines_nothing_varies(part, model):
    chips = 600 if part == CHIPS else 4
    found, answer, _ = spread(model, part, pp=chips, concurrency=[1, 4])
    assert answer.fits.all()
    assert not any(parts[cause].any() for parts in (found.gap, found.latency) for cause in ("routing", "stragglers"))
    assert found.cov()[0] == pytest.approx(0, abs=1e-6) and found.cov("gap")[0] == pytest.approx(0, abs=1e-6)
    assert found.cov()[1] > 0


@pytest.mark.parametrize("layout", [{"tp": 8}, {"pp": 8}, {"tp": 4, "dp": 2}, {"tp": 4, "cp": 2}])
def test_dense_models_have_no_routing_and_closed_loops_no_batching(layout):
    found, _, _ = spread(DENSE, concurrency=[1, 16, 256], **layout)
    assert not found.gap["routing"].any() and not found.latency["routing"].any()
    assert not found.gap["batching"].any() and not found.latency["batching"].any()
    open_loop, answer, _ = spread(DENSE, request_rate=0.5, **layout)
    assert answer.fits.all()
    assert open_loop.gap["batching"] > 0 and open_loop.latency["batching"] > 0


@pytest.mark.parametrize("routing", [UNIFORM, Routing(1.0, "contiguous"), Routing(0.6, "balanced", 32)])
@pytest.mark.parametrize("layout", [{"tp": 4}, {"ep": 8, "dp": 8}])
def test_a_request_alone_meets_no_prompt_whatever_the_routing(routing, layout):
    found, _, _ = spread(MIXTURE, routing=routing, concurrency=1, **layout)
    assert found.gap["prefill"] == pytest.approx(0, abs=1e-9)
    assert found.latency["queueing"] == pytest.approx(0, abs=1e-6)


def test_a_compiled_batch_is_no_prompt_of_others():
    # three sequences run in the image of four: slower than three, but no prompt is met
    for part in ("sambanova-sn40l", "aws-trainium-2"):
        found, answer, _ = spread("llama-3.1-8b", part, tp=8, concurrency=3, together=True)
        assert answer.fits.all()
        assert found.gap["prefill"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("layout", [{"tp": 8}, {"tp": 2, "pp": 4}])
def test_prompts_of_several_lengths_do_not_queue(layout):
    # four and more chunks a prompt, one request in flight: what varies is the prompt, by its share of the latency
    found, answer, points = spread(DENSE, concurrency=1, input_tokens=40_000, input_cv=0.8, **layout)
    assert found.latency["queueing"] == pytest.approx(0, abs=1e-6)
    share = answer.ttft_s / answer.latency_s
    assert 0.9 * share * points.input_cv <= np.sqrt(found.latency["lengths"]) <= share * points.input_cv


@few
@given(
    st.sampled_from([{"concurrency": 3}, {"concurrency": 64}, {"request_rate": 0.7}]), st.integers(16, 30_000),
    st.integers(2, 2000), st.floats(0, 1.5),
)  # fmt: skip
def test_what_precedes_the_first_token_is_divided_and_nothing_lost(load, isl, osl, cv):
    found, answer, _ = spread(DENSE, tp=4, pp=2, input_tokens=isl, output_tokens=osl, input_cv=cv, **load)
    if answer.fits.all():
        first = answer.ttft_s / answer.latency_s
        parts = found.latency["queueing"] + found.latency["lengths"]
        assert parts == pytest.approx((first * answer.ttft_cv) ** 2, rel=1e-5, abs=1e-9)


# of all points


@few
@given(
    st.sampled_from([(DENSE, GPU), (MIXTURE, GPU), (MIXTURE, "amd-mi250"), ("llama-3.1-8b", CHIPS)]),
    st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 3, 600]), st.sampled_from([1, 4]),
    st.one_of(
        st.fixed_dictionaries({"concurrency": st.integers(1, 2000)}),
        st.fixed_dictionaries({"request_rate": st.floats(1e-4, 200)}),
    ),
    st.integers(1, 20_000), st.integers(1, 3000), st.floats(0, 1), st.sampled_from([UNIFORM, Routing(0.8)]),
)  # fmt: skip
def test_shares_sum_to_1_parts_are_positive_and_what_is_infeasible_is_unknown(
    what, tp, pp, dp, load, isl, osl, cv, routing
):
    lengths = {"input_tokens": isl, "output_tokens": osl, "input_cv": cv, "output_cv": cv}
    found, answer, _ = spread(*what, routing, tp=tp, pp=pp, dp=dp, **lengths, **load)
    assert set(found.latency) == set(CAUSES) and set(found.gap) == set(CAUSES) - {"lengths"}
    for clock in ("gap", "latency"):
        parts = getattr(found, clock)
        if not answer.fits[0]:
            assert all(np.isnan(part).all() for part in parts.values())
            assert np.isnan(found.cov(clock)).all()
            continue
        assert all(part >= 0 and np.isfinite(part) for part in parts.values()), parts
        shares = sum(one(found.shares(clock)).values())
        assert shares == pytest.approx(1.0 if found.cov(clock, fixed_lengths=False) > 0 else 0.0)


@pytest.mark.parametrize("load", [{"concurrency": 16}, {"concurrency": 128}, {"request_rate": 1.0}])
@pytest.mark.parametrize(("model", "layout"), [(DENSE, {"tp": 8}), (MIXTURE, {"ep": 4, "dp": 4})])
def test_more_output_tokens_average_out_what_is_independent_from_step_to_step(model, layout, load):
    if "request_rate" in load:  # the same tokens per second: longer answers come more rarely
        load = {"request_rate": 500.0 / 2.0 ** np.arange(7, 13)}
    found, answer, points = spread(model, output_tokens=2 ** np.arange(7, 13), **load, **layout)
    decoding = (points.output_tokens - 1) * answer.itl_s / answer.latency_s
    assert answer.fits.all() and (decoding > 0.5).all()  # where waiting dominates, the part of the steps still grows
    for cause in STEPS:
        assert (np.diff(found.latency[cause]) <= 1e-15).all(), cause


cvs = st.just(0.0) | st.floats(1e-3, 2)


@given(cvs, cvs)
def test_lengths_vary_only_where_requests_differ(input_cv, output_cv):
    found, answer, points = spread(DENSE, tp=8, concurrency=16, input_cv=input_cv, output_cv=output_cv)
    lengths, decoding = float(found.latency["lengths"][0]), float(255 * answer.itl_s[0] / answer.latency_s[0])
    assert lengths >= (decoding * float(points.output_cv[0])) ** 2 * (1 - 1e-9)
    assert (lengths > 0) == (input_cv > 0 or output_cv > 0)
    whole = found.cov(fixed_lengths=False) ** 2
    assert found.cov() ** 2 == pytest.approx(whole - lengths, rel=1e-6, abs=1e-12)
