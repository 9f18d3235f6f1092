"""What waits where a model does not fit: no more than has to, for the least latency found; and what prompts share."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.predict.hardware.device import MemoryTier
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.placing import MARGIN, least_offload, place, place_points
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask
from inferatlas.predict.replicas import Layout
from inferatlas.workload import make_workload

MODELS = ["llama-3.1-8b", "llama-3.3-70b", "mixtral-8x7b", "falcon-mamba-7b", "jamba-1.5-mini", "deepseek-r1"]
few = settings(max_examples=25)
LOAD = {"input_tokens": 1024, "output_tokens": 256}


@lru_cache
def behind(model: str, room: float = 4e12, rate: float = 64e9, part: str = "nvidia-h100-sxm") -> PlatformTable:
    config = load_model(model)
    tiers = (MemoryTier("cxl", room, rate, 300e-9),)
    return platform_table(
        [bind(part, model=config, behind=tiers)], is_moe=any(g.ffn and g.ffn.is_moe for g in config.layers)
    )


def point(**asked) -> Points:
    return make_points(0, **(LOAD | {"concurrency": 1} | asked))


# the least share


@few
@given(st.sampled_from(MODELS), st.sampled_from([1, 2, 4]), st.integers(1, 32))
def test_the_least_share_is_enough_and_a_little_less_is_not(ops_of, model, tp, sequences):
    ops, table, asked = ops_of(model), behind(model), point(tp=tp)
    share = float(least_offload(ops, table, asked, float(sequences))[0])

    def held(x: float) -> float:
        return float(budget_of(ops, table, replace(asked, offload=np.array([x], dtype=np.float32))).sequences[0])

    if np.isnan(share):
        assert held(1.0) < sequences
        return
    assert held(share) >= sequences
    if share > 0:
        assert held(max(share - 3 * MARGIN, 0.0)) < sequences
    assert share == 0.0 or held(0.0) < sequences


def test_drafts_and_spare_copies_push_more_out(ops_of):
    ops, table, asked = ops_of("mixtral-8x7b"), behind("mixtral-8x7b"), point(tp=1)
    plain = least_offload(ops, table, asked)[0]
    assert least_offload(ops, table, asked, speculation=Speculation(4, 0.7, 1, ops_of("llama-3.1-8b")))[0] > plain > 0
    ops, table, spread = ops_of("deepseek-r1"), behind("deepseek-r1"), point(tp=1, ep=8, dp=8)
    assert least_offload(ops, table, spread, redundant=2)[0] > least_offload(ops, table, spread)[0]


# what stays


@pytest.mark.parametrize("model", MODELS)
def test_a_point_that_fits_keeps_everything(ops_of, model):
    ops, table = ops_of(model), behind(model)
    asked = point(tp=8, concurrency=[1, 40, 1000])
    whole = predict(ops, table, asked).fits & (budget_of(ops, table, asked).sequences >= asked.concurrency)
    placed = place_points(ops, table, asked)
    assert (placed.offload[whole] == 0).all() and (placed.kv_offload[whole] == 0).all()
    assert whole.any() == (model != "deepseek-r1")


def test_a_point_that_fits_without_all_its_requests_may_keep_their_cache_elsewhere_but_is_no_slower(ops_of):
    ops, table = ops_of("llama-3.3-70b"), behind("llama-3.3-70b", rate=1e12)
    asked = point(tp=2, concurrency=[64, 256])
    assert predict(ops, table, asked).fits.all()
    assert (budget_of(ops, table, asked).sequences < asked.concurrency).all()
    placed = place_points(ops, table, asked)
    before, after = (predict(ops, table, x).latency_s for x in (asked, placed))
    assert (after < before).all() and (placed.kv_offload > 0).all()
    assert (place_points(ops, behind("llama-3.3-70b", rate=1e8), asked).kv_offload == 0).all()


@pytest.mark.parametrize("model", ["llama-3.3-70b", "mixtral-8x7b", "jamba-1.5-mini"])
@pytest.mark.parametrize("users", [1, 16])
def test_a_point_that_does_not_fits_once_it_is_placed_and_no_other_share_is_faster(ops_of, model, users):
    ops, table, asked = ops_of(model), behind(model), point(tp=1, concurrency=users)
    assert not predict(ops, table, asked).fits[0]
    placed = place_points(ops, table, asked)
    best = predict(ops, table, placed)
    assert best.fits[0] and placed.offload[0] > 0
    rng = np.random.default_rng(0)
    shares, caches = rng.uniform(0, 1, 200), rng.choice([0.0, 0.25, 0.5, 1.0], 200)
    others = predict(ops, table, point(tp=1, concurrency=users, offload=shares, kv_offload=caches))
    assert others.fits.any()
    # sizes between powers of two are not tried
    assert best.latency_s[0] <= 1.15 * np.nanmin(others.latency_s)


def test_a_rate_is_served_where_some_share_serves_it(ops_of):
    ops, table = ops_of("llama-3.3-70b"), behind("llama-3.3-70b")
    for rate in (0.002, 0.05, 0.2):
        asked = point(concurrency=np.nan, request_rate=rate, input_tokens=512, output_tokens=64)
        found = predict(ops, table, place_points(ops, table, asked))
        shares = np.linspace(0.5, 1.0, 51)
        others = predict(ops, table, replace(asked[np.zeros(51, dtype=int)], offload=shares.astype(np.float32)))
        assert found.fits[0] and others.fits.any()
        assert found.latency_s[0] <= 1.15 * np.nanmin(others.latency_s)


def test_what_no_tier_holds_stays_as_it_is(ops_of):
    ops, table = ops_of("llama-3.3-70b"), behind("llama-3.3-70b", room=1e9)
    placed = place_points(ops, table, point(tp=1))
    assert (placed.offload[0], placed.kv_offload[0]) == (0.0, 0.0)
    assert not predict(ops, table, placed).fits[0]
    assert place(ops, table, make_workload(isl=1024, osl=256, concurrency=1), [Layout(1, 1, 1, 1)]) is None
    assert place(ops, table, make_workload(isl=1024, osl=256, concurrency=1), []) is None


def test_points_are_placed_each_for_itself(ops_of):
    ops, table = ops_of("mixtral-8x7b"), behind("mixtral-8x7b")
    asked = point(tp=[1, 8, 2, 1], concurrency=[1, 7, 3, 16])
    together = place_points(ops, table, asked)
    for i in range(4):
        alone = place_points(ops, table, asked[i : i + 1])
        assert (alone.offload[0], alone.kv_offload[0]) == (together.offload[i], together.kv_offload[i])


def test_skew_makes_a_mixture_that_does_not_fit_faster(ops_of):
    ops, table, asked = ops_of("qwen3-235b-a22b"), behind("qwen3-235b-a22b"), point(tp=4)
    latency = []
    for routing in (Routing(), Routing(1.0)):
        latency.append(
            predict(ops, table, place_points(ops, table, asked, routing=routing), routing=routing).latency_s[0]
        )
    assert latency[1] < latency[0]


# from a question


def test_a_question_with_tiers_keeps_what_fits_and_says_what_does_not():
    asked = {"isl": 1024, "osl": 256, "concurrency": 1, "count": 1, "tier": "cxl:1TiB@64GB/s"}
    small, large = ask("llama-3.1-8b", "h100", **asked), ask("llama-3.3-70b", "h100", **asked)
    assert any("the tiers hold nothing" in note for note in small.fallbacks)
    assert small.inputs["layout"]["offload"] == 0.0 < large.inputs["layout"]["offload"]
    assert small.metrics == ask("llama-3.1-8b", "h100", **(asked | {"tier": None})).metrics
    assert large.fits and large.label == "extrapolated"
    full = ask("llama-3.3-70b", "h100", **(asked | {"tier": "cxl:20GB@64GB/s"}))
    assert not full.fits and full.reason is not None


def test_requests_beyond_what_main_memory_holds_wait_unless_their_cache_is_sent_away():
    asked = {"isl": 4096, "osl": 512, "concurrency": 256, "tp": 2, "pp": 1, "dp": 1}
    plain, tiered = (ask("llama-3.3-70b", "h100", **asked, tier=t) for t in (None, "ddr:2TB@1TB/s"))
    assert plain.fits and plain.memory["sequences"] < 256
    assert tiered.metrics == plain.metrics
    away = ask("llama-3.3-70b", "h100", **asked, tier="ddr:2TB@1TB/s", kv_offload=1.0)
    assert away.inputs["layout"]["kv_offload"] == 1.0 and away.memory["sequences"] > plain.memory["sequences"]
    slow = ask("llama-3.3-70b", "h100", **asked, tier="nvme:2TB@1GB/s", kv_offload=1.0)
    assert slow.metrics["latency_s"].value > plain.metrics["latency_s"].value


def test_no_layout_to_place_is_a_reason_and_no_crash():
    answer = ask("llama-3.1-8b", "h100", tp=3, pp=1, tier="cxl:1TiB@64GB/s", isl=64, osl=16, concurrency=1)
    assert not answer.fits and answer.reason is not None and answer.reason["code"] == "tp_does_not_divide"


# shared prefixes


PREFIXED = ["llama-3.1-8b", "gemma-3-27b", "falcon-mamba-7b", "jamba-1.5-mini", "deepseek-v3.2"]


@few
@given(st.sampled_from(PREFIXED), st.floats(0, 0.99), st.floats(0, 0.99), st.sampled_from([1, 8, 200]), st.booleans())
def test_a_longer_shared_start_is_never_slower(ops_of, model, a, b, users, chips):
    ops = ops_of(model)
    part = "groq-lpu-v1" if chips else "nvidia-h200-sxm"
    table = platform_table([bind(part, model=load_model(model))], is_moe=bool(ops.experts))
    prefix = np.floor(np.array(sorted((a, b))) * 8000)
    layout = {"pp": 1000} if chips else {"tp": 8}
    found = predict(ops, table, make_points(0, **layout, concurrency=users, input_tokens=8000, output_tokens=200,
                                            prefix=prefix), proven=True)  # fmt: skip
    assert found.ttft_s[1] <= found.ttft_s[0] * (1 + 1e-6)
    assert found.latency_s[1] <= found.latency_s[0] * (1 + 1e-6)
    assert found.output_tokens_per_s[1] >= found.output_tokens_per_s[0] * (1 - 1e-6)
    if users == 1:  # decode reads what it reads
        assert found.itl_s[1] == pytest.approx(found.itl_s[0], rel=1e-6)


def test_the_first_token_comes_sooner_by_the_work_of_the_shared_start(ops_of, make_device, lossless):
    ops, table = ops_of("llama-3.1-8b"), platform_table([lossless(make_device())])
    prefix = np.array([0, 2000, 4000, 6000, 7999])
    found = predict(ops, table, make_points(0, concurrency=1, input_tokens=8000, output_tokens=64, prefix=prefix))
    assert (np.diff(found.ttft_s) < 0).all()
    assert found.ttft_s[2] == pytest.approx(0.55 * found.ttft_s[0], rel=0.1)  # half of the products, 3/4 of the pairs


def test_4_what_prompts_share_is_held_once(ops_of, make_device, lossless):
    ops, table = ops_of("llama-3.1-8b"), platform_table([lossless(make_device(capacity=80e9))])
    load = {"concurrency": 1, "input_tokens": 8000, "output_tokens": 200}
    plain, shared = (budget_of(ops, table, make_points(0, prefix=n, **load)) for n in (0, 6000))
    assert plain.kv_per_sequence[0] - shared.kv_per_sequence[0] == pytest.approx(131_072 * 6000)
    assert shared.reserve[0] - plain.reserve[0] == pytest.approx(131_072 * 6000)
    assert shared.sequences[0] > 3 * plain.sequences[0]


@pytest.mark.parametrize("model", ["falcon-mamba-7b", "rwkv-7-world-7.2b"])
def test_4_a_state_that_was_shared_is_soon_everyones_own(ops_of, make_device, lossless, model):
    ops, table = ops_of(model), platform_table([lossless(make_device(capacity=80e9))])
    load = {"concurrency": 1, "input_tokens": 8000, "output_tokens": 200}
    plain, shared = (budget_of(ops, table, make_points(0, prefix=n, **load)) for n in (0, 6000))
    assert shared.kv_per_sequence[0] == plain.kv_per_sequence[0] > 0
    assert plain.sequences[0] - 2 <= shared.sequences[0] < plain.sequences[0]  # one state more is kept


def test_4_a_window_that_left_the_shared_start_behind_is_everyones_own(ops_of, make_device, lossless):
    ops, table = ops_of("gemma-3-27b"), platform_table([lossless(make_device(capacity=160e9))])
    (window,) = {r.attention.window for r in ops.attentions if r.attention.window}
    layers = {bool(r.attention.window): r for r in ops.attentions}
    load = {"concurrency": 1, "input_tokens": 20_000, "output_tokens": 200}
    found = budget_of(ops, table, make_points(0, prefix=15_000, **load)).kv_per_sequence[0]
    value = 2 * 2 * layers[True].attention.kv_heads * layers[True].attention.head_dim
    assert found == pytest.approx(value * (layers[True].count * window + layers[False].count * 5100))


def test_who_shares_a_start_says_so():
    answer = ask("llama-3.1-8b", "h100", isl=4096, osl=64, concurrency=8, prefix_tokens=3000)
    assert answer.label == "extrapolated" and any("shared, held once" in note for note in answer.fallbacks)
