"""Failure signatures show where they must and nowhere else; their numbers are recomputed, their remedies run."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import poisson

from inferatlas.catalogue.models import load_model
from inferatlas.cli.main import app, run
from inferatlas.decide.profiles.signatures import Signature, low_use, out_of_memory, variance_of_experts
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask
from inferatlas.quantities import parse
from inferatlas.workload.traces import Trace

DENSE, WINDOWED, MIXTURE = "llama-3.1-8b", "gemma-3-4b", "qwen3-30b-a3b"
SMALL, GPU, CARDS, CHIPS, WAFER = "nvidia-l4", "nvidia-h100-sxm", "amd-mi250", "groq-lpu-v1", "cerebras-wse-3"
KV_BYTES = 2 * 32 * 8 * 128 * 2  # of a token of Llama 3.1 8B: keys and values, layers, heads, width, 16 bit


class Deployed(NamedTuple):
    ops: Operators
    table: PlatformTable
    points: Points
    answers: Predictions


@lru_cache
def machine(model: str, part: str, engine: str | None, weights: str | None, cache: str | None):
    ops = operators(load_model(model))
    return ops, platform_table([bind(part, engine, weights, kv_cache=cache, model=model)], is_moe=bool(ops.experts))


def deployed(
    model: str = DENSE, part: str = GPU, *, engine: str | None = None, weights: str | None = None,
    cache: str | None = None, **asked: Any,
) -> Deployed:  # fmt: skip
    ops, table = machine(model, part, engine, weights, cache)
    load = {} if "concurrency" in asked else {"request_rate": 0.01}
    points = make_points(0, **({"input_tokens": 1000, "output_tokens": 200} | load | asked))
    answers = predict(ops, table, points)
    assert answers.fits.all(), answers.reason
    return Deployed(ops, table, points, answers)


def trace_of(*totals: int) -> Trace:
    """Requests of so many tokens in all, ten of them output."""
    n = np.array(totals)
    return Trace("made", np.arange(len(n), dtype=np.float64), n - 10, np.full(len(n), 10))


def one_long(tokens: int) -> Trace:
    """One request so long among short ones, so few that the 95th percentile of lengths knows nothing of it."""
    return trace_of(*[1000] * 99, tokens)


def refused(it: Deployed, tokens: int, **cache: str) -> bool:
    """Whether the same layout has no room for a single request of so many tokens."""
    ops, table, points, _ = it
    if cache:
        platform = table.platforms[0]
        table = platform_table([bind(platform.device.id, platform.engine.name, platform.precision.weights,
                                     model=ops.model.id, kv_cache=cache["kv_cache"])])  # fmt: skip
    lonely = replace(
        points, input_tokens=np.full(1, tokens - 10, np.float32), output_tokens=np.full(1, 10, np.float32),
        request_rate=np.full(1, np.nan), concurrency=np.ones(1),
    )  # fmt: skip
    reason = int(predict(ops, table, lonely).reason[0])
    assert reason in (reasons.OK, reasons.KV_CACHE)
    return reason == reasons.KV_CACHE


# out of memory at long context


@pytest.mark.parametrize(
    ("model", "part", "layout"),
    [
        (DENSE, SMALL, {}), (DENSE, SMALL, {"pp": 2}), (DENSE, SMALL, {"tp": 2}), (WINDOWED, SMALL, {}),
        ("qwen2.5-7b", "nvidia-v100-sxm", {}), (DENSE, CHIPS, {"pp": 100}), ("gpt-oss-20b", "nvidia-l4", {"pp": 3}),
    ],
)  # fmt: skip
def test_the_longest_request_is_too_long_exactly_where_the_predictor_has_no_room_for_it(model, part, layout):
    it = deployed(model, part, request_rate=1e-4, **layout)
    low, high = 2000, it.ops.model.context_length
    assert not refused(it, low)
    lengths = {low, high}
    while refused(it, high) and high - low > 1:  # to the boundary
        low, high = (low, mid) if refused(it, mid := (low + high) // 2) else (mid, high)
    for tokens in lengths | {low, high}:
        found = out_of_memory(one_long(tokens), *it)
        assert found.detected == refused(it, tokens), tokens
        assert (found.remedy == "none needed") == (not found.detected)
        assert f"{tokens:,}" in found.why


def test_windows_of_attention_make_long_requests_cheaper():
    assert not out_of_memory(one_long(120_000), *deployed(WINDOWED, SMALL)).detected
    assert out_of_memory(one_long(120_000), *deployed(DENSE, SMALL)).detected


@pytest.mark.parametrize("tokens", [42_000, 60_000, 75_000, 90_000, 131_072])
def test_an_fp8_cache_is_a_remedy_only_where_halving_is_enough(tokens):
    it = deployed(DENSE, SMALL, request_rate=1e-4)
    found = out_of_memory(one_long(tokens), *it)
    assert found.detected and "--count" in found.remedy and "--cp" in found.remedy
    assert ("FP8 cache" in found.remedy) == (not refused(it, tokens, kv_cache="fp8"))


def test_some_remedies_are_on_either_side_of_that_boundary():
    it = deployed(DENSE, SMALL, request_rate=1e-4)
    assert {refused(it, tokens, kv_cache="fp8") for tokens in (42_000, 131_072)} == {False, True}


def test_what_cannot_be_is_no_remedy():
    narrow = deployed(DENSE, SMALL, cache="fp8")
    found = out_of_memory(one_long(100_000), *narrow)
    assert found.detected and "FP8" not in found.remedy  # it is one already
    assert "longer queues" not in found.remedy  # it does not fit alone
    row = deployed(DENSE, CHIPS, pp=100)
    room, longest, alone, *_ = read_memory(out_of_memory(one_long(60_000), *row))
    halved = out_of_memory(one_long(int(1.5 * room / alone * longest)), *row)  # would fit
    assert halved.detected and "FP8" not in halved.remedy and "--cp" not in halved.remedy


def read_memory(found: Signature) -> tuple[float, int, float, int, float, float]:
    """Room, tokens of the longest, its bytes; how many of which length, their bytes."""
    words = re.fullmatch(
        r"memory has room for (.+) of cache a device; the longest request \(([\d,]+) tokens\) takes (.+), "
        r"([\d,]+) requests of ([\d,]+) tokens \(95th percentiles\) take (.+)", found.why,
    )  # fmt: skip
    assert words
    room, alone, together = (parse(words[i], "B") for i in (1, 3, 6))
    return (
        room, int(words[2].replace(",", "")), alone, int(words[4].replace(",", "")), float(words[5].replace(",", "")),
        together,
    )  # fmt: skip


@pytest.mark.parametrize("rate", [0.01, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("layout", [{}, {"tp": 2}, {"pp": 2}, {"dp": 2}])
def test_a_busy_moment_of_long_requests(rate, layout):
    it = deployed(DENSE, SMALL, request_rate=rate / 20, **layout)
    lengths = [1000] * 50 + [20_000] * 50
    found = out_of_memory(trace_of(*lengths), *it)
    room, longest, alone, busy, long, together = read_memory(found)
    devices = layout.get("tp", 1) * layout.get("pp", 1)  # that divide a sequence's cache
    assert (longest, long) == (20_000, 20_000)
    assert alone == pytest.approx(longest * KV_BYTES / devices, rel=0.01)
    assert together == pytest.approx(busy * long * KV_BYTES / devices, rel=0.01)
    flying = float(it.answers.batch[0])
    assert abs(busy - max(poisson.ppf(0.95, flying), 1)) <= 1 <= busy
    assert found.detected == (alone > room or together > room)
    if found.detected:
        assert "longer queues" in found.remedy  # each fits alone
        assert ("FP8" in found.remedy) == (together <= 2 * room)


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0, 20.0])
def test_a_busy_moment_is_the_95th_percentile_of_a_poisson_count(rate):
    it = deployed(DENSE, GPU, request_rate=rate)
    busy = read_memory(out_of_memory(trace_of(500, 500), *it))[3]
    assert abs(busy - max(poisson.ppf(0.95, float(it.answers.batch[0])), 1)) <= 1


def test_few_of_them_fit_and_many_do_not():
    trace = trace_of(*[20_000] * 20)
    assert not out_of_memory(trace, *deployed(DENSE, SMALL, request_rate=0.001)).detected
    assert out_of_memory(trace, *deployed(DENSE, SMALL, request_rate=0.3)).detected
    assert not out_of_memory(trace, *deployed(DENSE, GPU, request_rate=0.3)).detected


def test_memory_that_is_left_is_what_is_told():
    room = read_memory(out_of_memory(one_long(20_000), *deployed(DENSE, SMALL)))[0]
    held = ask(DENSE, SMALL, count=1, isl=19_990, osl=10, concurrency=1).memory
    taken = held["weights_bytes"] + held["activations_bytes"] + held["reserve_bytes"]
    assert room == pytest.approx(held["usable_bytes"] - taken, rel=0.005)


# variance of a mixture of experts


def routed(experts: int, top_k: int, tokens: int, groups: int) -> tuple[float, float]:
    """The busiest device's visits over the mean, and their variation, of tokens that choose experts at random."""
    random, trials = np.random.default_rng(experts + tokens), max(64_000 // tokens, 1000)
    chosen = np.argsort(random.random((trials, tokens, experts)), axis=2)[:, :, :top_k] * groups // experts
    visits = np.stack([(chosen == g).sum(axis=(1, 2)) for g in range(groups)], axis=1)
    busiest = visits.max(axis=1)
    return float(busiest.mean() / visits.mean()), float(busiest.std() / busiest.mean())


def read_routing(found: Signature) -> tuple[int, int, float, float, int, float]:
    """Tokens, devices, imbalance, variation of a layer, layers, variation of a step."""
    words = re.fullmatch(
        r"latency varies by [\d.]+% at fixed lengths; "
        r"([\d,]+) tokens a step over (\d+) devices load the busiest of a layer ([\d.]+) times the mean, varying by "
        r"([\d.]+)% from layer to layer; over (\d+) layers a step varies by ([\d.]+)%", found.why,
    )  # fmt: skip
    assert words
    return (int(words[1].replace(",", "")), int(words[2]), float(words[3]), float(words[4]) / 100, int(words[5]),
            float(words[6]) / 100)  # fmt: skip


@pytest.mark.parametrize(
    ("part", "layout", "concurrency", "tokens"),
    [
        (GPU, {"ep": 8, "dp": 8}, 8, 8), (GPU, {"ep": 8, "dp": 8}, 1, 8), (GPU, {"ep": 4, "tp": 4}, 16, 16),
        (GPU, {"tp": 2, "ep": 8, "dp": 4}, 16, 16), (CARDS, {"ep": 8, "dp": 4}, 8, 8),
        (GPU, {"ep": 8, "dp": 8}, 256, 256), (GPU, {"ep": 2, "dp": 2, "pp": 2}, 32, 16),
    ],
)  # fmt: skip
def test_experts_over_devices_vary_as_simulated_routing_does(part, layout, concurrency, tokens):
    it = deployed(MIXTURE, part, concurrency=concurrency, **layout)
    found = variance_of_experts(*it, cov=0.02)
    here, groups, imbalance, layer, layers, step = read_routing(found)
    assert (here, groups, layers) == (tokens, layout["ep"], 48)
    expected = routed(128, 8, tokens, groups)
    assert imbalance == pytest.approx(expected[0], rel=0.05)
    assert layer == pytest.approx(expected[1], rel=0.12)
    assert step == pytest.approx(layer / layers**0.5, abs=0.001)
    assert found.detected == (layer > 0.10)


def test_few_tokens_over_many_devices_show_it_and_many_do_not():
    assert variance_of_experts(*deployed(MIXTURE, ep=8, dp=8, concurrency=8), cov=0.0).detected
    many = variance_of_experts(*deployed(MIXTURE, ep=8, dp=8, concurrency=512), cov=0.0)
    assert not many.detected and many.remedy.startswith("none needed")
    layers = [
        read_routing(variance_of_experts(*deployed(MIXTURE, ep=8, dp=8, concurrency=n), cov=0.0))[3]
        for n in (8, 32, 128, 512)
    ]
    assert layers == sorted(layers, reverse=True)


@pytest.mark.parametrize(
    ("model", "part", "layout", "words"),
    [
        (MIXTURE, GPU, {"tp": 8}, "ep 1"),
        (MIXTURE, WAFER, {"pp": 3}, "ep 1"),
        (DENSE, GPU, {"tp": 8}, "llama-3.1-8b has no experts"),
    ],
)
def test_experts_that_are_not_spread_and_dense_models_do_not_vary_by_routing(model, part, layout, words):
    calm = variance_of_experts(*deployed(model, part, concurrency=1, **layout), cov=0.03)
    assert not calm.detected and calm.remedy == "none needed" and words in calm.why
    found = variance_of_experts(*deployed(model, part, concurrency=1, **layout), cov=0.3)
    assert found.detected == (model == MIXTURE)
    assert ("30.0%" in found.why) == ("not by routing" in found.remedy) == (model == MIXTURE)


def test_latency_that_varies_without_uneven_layers_has_another_cause():
    it = deployed(MIXTURE, ep=8, dp=8, concurrency=512)
    calm, found = variance_of_experts(*it, cov=0.05), variance_of_experts(*it, cov=0.3)
    assert not calm.detected and found.detected
    assert "not by routing" in found.remedy and "--counts" not in found.remedy


# low use


def read_use(found: Signature) -> tuple[float, float, float]:
    """Share of the peak, sequences of a step, and from how many compute would bind."""
    words = re.match(r"([\d.]+)% of the peak .* a step holds ([\d,.]+) sequences, .* from about ([\d,]+)", found.why)
    assert words
    return float(words[1]) / 100, float(words[2].replace(",", "")), float(words[3].replace(",", ""))


def test_one_request_at_a_time_leaves_a_big_gpu_idle_and_a_full_one_does_not():
    alone, full = (low_use(*deployed(DENSE, GPU, concurrency=n)) for n in (1, 1024))
    assert alone.detected and alone.remedy != "none needed"
    assert not full.detected and full.remedy == "none needed"
    assert read_use(alone)[0] < 0.02 and read_use(full)[0] > 0.2


def test_prompts_alone_keep_compute_busy():
    busy = deployed(DENSE, GPU, input_tokens=4000, output_tokens=1, request_rate=4.0)
    assert not low_use(*busy).detected


@pytest.mark.parametrize("layout", [{}, {"tp": 4}, {"dp": 2}, {"pp": 2}])
@pytest.mark.parametrize("load", [{"concurrency": 24}, {"request_rate": 3.0}])
def test_use_and_ridge_are_those_of_data_sheets(layout, load):
    it = deployed(DENSE, GPU, **layout, **load)
    used, batch, critical = read_use(low_use(*it))
    peak, bandwidth, active = 989e12, 3.35e12, 8.03e9 - 128_256 * 4096  # without the table of embeddings
    devices = int(np.prod(list(layout.values()), initial=1))
    per_s = it.answers.output_tokens_per_s[0] / 200
    if "request_rate" in load:
        assert per_s == pytest.approx(3.0)
    assert used == pytest.approx(per_s * 1200 * 2 * active / (devices * peak), abs=0.0006)
    assert critical == pytest.approx(peak * 2 / (2 * bandwidth), rel=0.01)  # (11): 16-bit weights have 2 bytes
    stages = layout.get("pp", 1)
    assert batch == pytest.approx(max(float(it.answers.batch[0]) / stages, 1.0), abs=0.051)
    assert low_use(*it).detected == (used < 0.10 and batch < critical)


def test_a_batch_above_the_ridge_is_none_that_is_too_small():
    # launches, not the small batch, leave a large GPU idle with a small model
    it = deployed("llama-3.2-1b", GPU, concurrency=512, output_tokens=1000, input_tokens=16)
    used, batch, critical = read_use(low_use(*it))
    assert used < 0.10 and batch > critical
    assert not low_use(*it).detected


def test_few_of_many_experts_need_a_larger_batch():
    dense, mixture = (read_use(low_use(*deployed(m, GPU, concurrency=8)))[2] for m in (DENSE, MIXTURE))
    assert mixture == pytest.approx(dense * 128 / 8, rel=0.01)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_machines_of_token_after_token_hold_one_sequence_a_step(concurrency):
    found = low_use(*deployed(DENSE, CHIPS, pp=150, concurrency=concurrency))
    assert found.detected and f"{concurrency}.0 sequences are in flight, and 32, one a layer," in found.why


def test_narrow_weights_halve_the_ridge_s_batch_at_the_same_compute():
    wide, narrow = (read_use(low_use(*deployed(weights=w, concurrency=1)))[2] for w in ("bf16", "fp8"))
    assert narrow == pytest.approx(wide, rel=0.01)  # FP8 doubles the peak and halves the bytes
    weight_only = read_use(low_use(*deployed(weights="int4", concurrency=1)))[2]
    assert weight_only == pytest.approx(wide / 4, rel=0.1)


# remedies

DETECTED: dict[str, Callable[[], Signature]] = {
    "memory": lambda: out_of_memory(one_long(100_000), *deployed(DENSE, SMALL)),
    "memory, halved": lambda: out_of_memory(one_long(60_000), *deployed(DENSE, SMALL)),
    "memory, busy": lambda: out_of_memory(trace_of(*[20_000] * 9), *deployed(DENSE, SMALL, request_rate=0.3)),
    "memory on chips": lambda: out_of_memory(one_long(60_000), *deployed(DENSE, CHIPS, pp=100)),
    "experts": lambda: variance_of_experts(*deployed(MIXTURE, ep=8, dp=8, concurrency=8), cov=0.2),
    "low use": lambda: low_use(*deployed(concurrency=1)),
}


@pytest.mark.parametrize("case", DETECTED)
def test_what_is_detected_has_a_remedy_with_a_command_that_exists(case, capsys: pytest.CaptureFixture[str]):
    found = DETECTED[case]()
    assert found.detected and found.why and found.remedy != "none needed"
    commands = re.findall(r"`inferatlas (\S+)([^`]*)`", found.remedy)
    assert commands
    for name, rest in commands:
        assert name in set(app)
        assert run([name, "--help"]) == 0
        flags = capsys.readouterr().out
        assert all(flag in flags for flag in re.findall(r"--[\w-]+", rest))


def test_a_flag_of_a_remedy_is_one_of_predict(capsys: pytest.CaptureFixture[str]):
    assert "`--cp`" in DETECTED["memory"]().remedy
    assert run(["predict", "--help"]) == 0
    assert "--cp" in capsys.readouterr().out
