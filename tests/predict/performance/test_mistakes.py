"""Section 17: mistakes of published tools, each one a test of its own.

The tools are GenZ (091bdd0), LLM-Viewer (472f71f) and llm-analysis (d841e40).
"""

from dataclasses import fields, replace

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.errors import NoFeasibleAnswer, NotModelled
from inferatlas.predict.handbook import roofline
from inferatlas.predict.handbook.pipeline import pipeline_throughput, pipeline_token_time
from inferatlas.predict.handbook.roofline import Peaks, Shape
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.attention import pairs
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.mapping import memory, reasons
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.platform import EngineSettings, make_platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.power import active_power
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import table as priors
from inferatlas.predict.question import ask
from inferatlas.quantities import parse

A100, H100 = Peaks(312e12, 2039e9, 80e9, 300e9), Peaks(989e12, 3350e9, 80e9, 450e9)
BF16 = Precision("bf16", "bf16", "bf16")


def catalogue_table(name: str, precision: Precision = BF16, engine: str = "vllm"):
    return platform_table([make_platform(device(load_accelerator(name)), EngineSettings(engine), precision)])


@pytest.fixture
def spent(run_step):
    """Compute and memory terms (as counted) of the operator ``name`` in a step."""

    def terms(ops, table, name, **load):
        found = {}
        bytes_free = ("byte_s", "cache_byte_s", "expert_byte_s")
        for which, zeroed in (("flops", bytes_free), ("bytes", ("flop_s", "flop_s_wide"))):
            seen = []
            run_step(
                ops, replace(table, **{name: np.zeros(1) for name in zeroed}),
                sink=lambda n, _c, compute=0.0, memory=0.0, seen=seen, **_: seen.append((n, np.sum(compute + memory))),
                **load,
            )  # fmt: skip
            found[which] = float(sum(value for n, value in seen if n == name))
        return found["flops"], found["bytes"]

    return terms


def test_genz_gigabytes_are_not_gibibytes():
    """Check I: 1 GB/s is 10^9 byte/s; GenZ reads 2^30 and is 7 % optimistic."""
    assert parse("1 GB/s", "B/s") == 1e9
    assert device(load_accelerator("nvidia-h100-sxm")).memory.bytes_per_s == 3.35e12
    shape = Shape.of(load_model("llama-3.1-8b"))
    assert roofline.decode_step(shape, A100, 1, 1024) * 1e3 == pytest.approx(7.42694, rel=1e-5)
    wrong = replace(A100, bytes_per_s=2039 * 2**30)
    assert roofline.decode_step(shape, wrong, 1, 1024) * 1e3 == pytest.approx(6.917, rel=1e-3)


def test_genz_a_large_batch_streams_more_experts_than_one_token(ops_of, run_step, weights_only):
    ops = ops_of("mixtral-8x7b")
    one, many = (run_step(ops, weights_only, decode=b, context=0).byte_s[0] for b in (1, 256))
    assert many / one == pytest.approx(27.8 / 7.6, rel=0.01)
    genz = 8.4e-3 * 3350e9  # its answer at batch 256, in bytes
    with_cache = run_step(ops, weights_only, decode=256, context=128).byte_s[0]
    assert with_cache / genz == pytest.approx(29.1 / 8.4, rel=0.01)


def test_genz_power_shares_are_fractions_not_percents():
    for entries in (priors()["power"], *priors()["styles"].values()):
        for name in {"idle_share", "power_floor", "power_memory", "power_compute"} & entries.keys():
            assert 0 < entries[name]["low"] <= entries[name]["value"] <= entries[name]["high"] <= 1
    c = make_platform(device(load_accelerator("h100")), EngineSettings("vllm"), BF16, calibration=NOTHING).coefficients
    assert active_power(700.0, 1.0, 1.0, c.power_floor, c.power_memory, c.power_compute) == 700.0


def test_genz_weights_activations_and_cache_have_formats_of_their_own(ops_of, run_step):
    h100 = device(load_accelerator("nvidia-h100-sxm"))
    settings, ops = EngineSettings("vllm"), ops_of("llama-3.1-8b")
    w4a16 = make_platform(h100, settings, Precision("int4", "bf16", "fp8"))
    assert (w4a16.compute, w4a16.precision.kv_cache) == ("bf16", "fp8")
    for calibration in (NOTHING, None):
        wide, narrow = (
            platform_table([make_platform(h100, settings, p, calibration=calibration)])
            for p in (BF16, Precision("int4", "bf16", "bf16"))
        )
        slow, fast = (run_step(ops, t, prefill=8192).total[0] for t in (wide, narrow))
        assert fast >= 0.98 * slow  # check K
        if calibration is NOTHING:  # what was measured adds the time to widen the weights
            assert fast == pytest.approx(slow, rel=0.02)
    with pytest.raises(NoFeasibleAnswer) as error:  # no rate of 4-bit floats exists on this part
        make_platform(h100, settings, Precision("nvfp4", "nvfp4", "fp8"))
    assert error.value.code == "precision"


def test_genz_every_peak_in_use_is_dense_and_sourced():
    checked = 0
    for name in accelerator_ids():
        facts = load_accelerator(name).facts
        try:
            rates = device(load_accelerator(name)).peaks
        except NotModelled:
            continue
        for rate, value in rates.items():
            fact = facts.chosen(f"peak_{rate}")  # the precision is in the name
            assert fact is not None
            assert fact.value == value
            assert fact.source, (name, rate)
            words = fact.condition.lower()
            assert "spars" not in words or words.startswith("dense"), (name, rate, fact.condition)
            checked += 1
    assert checked > 100


def test_genz_pipelines_are_filled_by_micro_batches():
    """Throughput is not batch over latency of one micro-batch: with as many as stages, none waits."""
    stage_s, hop_s = 2e-3, 1e-4
    alone, filled = pipeline_throughput(32, stage_s, 4, np.array([1, 4]))
    assert filled == alone == 32 / (4 * stage_s)  # of the same batch; but each micro-batch is a quarter
    assert pipeline_throughput(4 * 32, stage_s, 4, 4) == 4 * alone
    assert 32 / pipeline_token_time(stage_s, 4, 4, hop_s) < filled


def test_genz_the_predictor_fills_its_pipelines(ops_of, make_device, lossless):
    """With free links, p stages carry p micro-batches at the pace of one device with one of them."""
    table = platform_table([lossless(make_device(link=1e30))])
    points = make_points(0, pp=[1, 4, 8], concurrency=[64, 256, 512], input_tokens=512, output_tokens=512)
    found = predict(ops_of("llama-3.1-8b"), table, points)
    assert found.output_tokens_per_s / found.output_tokens_per_s[0] == pytest.approx(np.array([1, 4, 8]), rel=0.01)
    assert found.itl_s == pytest.approx(np.full(3, found.itl_s[0]), rel=0.01)


def test_genz_prefill_attention_is_causal(ops_of, run_step, counting):
    s = 32768
    assert pairs(s, 0) == s * (s + 1) / 2
    ops = ops_of("llama-3.1-8b")
    whole = run_step(ops, counting, prefill=s).flop_s[0]
    products = s * (run_step(ops, counting, prefill=1).flop_s[0] - 2 * ops.model.vocab * ops.model.hidden)
    attention = whole - products - 2 * ops.model.vocab * ops.model.hidden
    full = 4 * 32 * 128 * 32 * s * s
    assert attention / full == pytest.approx(0.5, rel=1e-3)
    # vector 4: the full square alone makes it 38 % longer; GenZ's 47 % include logits of every token
    assert roofline.prefill_step(Shape.of(ops.model), A100, 1, s) * 1e3 == pytest.approx(2368.18, rel=1e-5)
    assert (products + full) / (products + attention) == pytest.approx(1.38, abs=0.01)


def test_llm_viewer_fused_decode_reads_the_kv_heads_once(ops_of, spent, weights_only):
    """Check J: GQA reads 2·H_kv·d values a token; with query heads it would read 8 times as much."""
    ops = ops_of("llama-3.3-70b")
    _, moved = spent(ops, weights_only, "attention", decode=16, context=4096)
    assert moved == pytest.approx(16 * 4096 * 327_680)
    assert moved < 16 * 4096 * 327_680 * 64 / 8


def test_llm_viewer_small_operators_are_counted_right(ops_of, spent, run_step, counting):
    ops = ops_of("llama-3.1-8b")
    flops, _ = spent(ops, counting, "lm_head", decode=7, context=10)
    assert flops == pytest.approx(7 * 2 * 128_256 * 4096)  # the factor 2
    _, one = spent(ops, counting, "activation", decode=1, context=10)
    _, seven = spent(ops, counting, "activation", decode=7, context=10)
    assert seven == pytest.approx(7 * one)  # activations have a batch
    assert one == pytest.approx(32 * 3 * 14336 * 2)  # gate, up and product, of the feed-forward width
    norm_flops, norm_bytes = spent(ops, counting, "norm+residual", decode=1, context=10)
    assert norm_flops == 0  # nothing elementwise runs on the matrix units
    assert norm_bytes == pytest.approx(64 * 4 * 4096 * 2)  # norms are as wide as the hidden size


def test_llm_viewer_prefill_never_writes_a_square(ops_of, spent, counting):
    ops = ops_of("llama-3.1-8b")
    moved = [spent(ops, counting, "attention", prefill=s)[1] for s in (8192, 16384, 32768)]
    assert moved[1] == pytest.approx(2 * moved[0])
    assert moved[2] == pytest.approx(4 * moved[0])
    assert moved[2] == pytest.approx(32 * 32768 * (2 * 32 * 128 * 2 + 2 * 8 * 128 * 2))  # equation (6), one pass


def test_llm_viewer_what_does_not_fit_is_refused_with_the_least_count(ops_of):
    """Check M: a 70B model in 16 bit on one H100."""
    answer = ask("llama-3.3-70b", "nvidia-h100-sxm", tp=1, pp=1, count=1, concurrency=1, isl=1024, osl=128)
    assert answer.reason is not None
    assert (answer.fits, answer.reason["code"], answer.reason["least_count"]) == (False, "memory", 2)
    points = make_points(0, tp=[1, 2, 4, 8], concurrency=1, input_tokens=1024, output_tokens=128)
    found = predict(ops_of("llama-3.3-70b"), catalogue_table("nvidia-h100-sxm"), points)
    assert found.fits.tolist() == [False, True, True, True]
    assert found.reason[0] == reasons.WEIGHTS
    assert np.isnan(found.itl_s[0])


def test_llm_analysis_the_cache_is_read_once(ops_of, run_step, weights_only):
    shape = Shape.of(load_model("llama-3.1-8b"))
    assert roofline.decode_step(shape, A100, 128, 1024) * 1e3 == pytest.approx(15.7868, rel=1e-5)
    assert roofline.decode_step(shape, H100, 128, 2048) * 1e3 == pytest.approx(14.737, rel=1e-5)
    moved = run_step(ops_of("llama-3.1-8b"), weights_only, decode=128, context=2048).byte_s[0]
    assert moved == pytest.approx(2 * (shape.weights + shape.head) + 128 * 2048 * 131_072, rel=1e-9)


def test_llm_analysis_decode_attention_grows_with_context(ops_of, spent, counting):
    ops = ops_of("llama-3.1-8b")
    for context in (1, 1000, 100_000):
        flops, _ = spent(ops, counting, "attention", decode=3, context=context)
        assert flops == pytest.approx(3 * context * 32 * 4 * 32 * 128)


def test_llm_analysis_experts_cost_what_the_router_chooses(ops_of, spent, weights_only):
    ops = ops_of("mixtral-8x7b")
    (experts,) = ops.experts
    flops, moved = spent(ops, weights_only, "experts", decode=1, context=1)
    assert flops == pytest.approx(32 * 2 * 2 * experts.weights)  # 2 of 8 experts, 2 FLOPs a weight
    assert moved == pytest.approx(32 * 2 * experts.weights * 2)
    flops, moved = spent(ops, weights_only, "experts", decode=512, context=1)
    assert flops == pytest.approx(512 * 32 * 2 * 2 * experts.weights)
    assert moved == pytest.approx(32 * 8 * experts.weights * 2)


def test_llm_analysis_long_prefills_are_chunked_and_fit(ops_of):
    ops = ops_of("llama-3.1-8b")
    # vector 11: 128 sequences of 8,192 tokens on one MI300X, refused there
    points = make_points(0, concurrency=128, input_tokens=8000, output_tokens=192)
    found = predict(ops, catalogue_table("amd-mi300x"), points)
    assert found.fits[0]
    assert found.batch[0] == 128
    # vector 22: 16 sequences of 8,192 tokens on a wafer
    assert roofline.fits(Shape.of(ops.model), Peaks(12500e12, 21e15, 44e9, 2e12), 16, 8192)
    one_step = float(memory.activation_bytes(ops, 1, 8192, 2.0))
    assert one_step < 2e9 < float(memory.activation_bytes(ops, 1, 128 * 8192, 2.0))


def test_llm_analysis_a_gated_feed_forward_has_three_matrices():
    assert count(load_model("llama-3.1-8b")).ffn == 32 * 3 * 4096 * 14336


@pytest.mark.parametrize(
    ("accelerator", "weights", "chips"), [("groq-lpu-v1", "int8", 400), ("cerebras-wse-3", "fp16", 5)]
)
def test_all_three_chains_of_chips_with_on_chip_memory_have_an_answer(ops_of, accelerator, weights, chips):
    """Vectors 23 and 24 lack the capacity on 8 chips; the physical answer is a longer chain, bound by layer latency."""
    ops, table = ops_of("llama-2-70b"), catalogue_table(accelerator, Precision(weights, weights, "fp16"), "native")
    short, chain = (
        predict(ops, table, make_points(0, pp=n, concurrency=1, input_tokens=512, output_tokens=128))
        for n in (1, chips)
    )
    assert not short.fits[0]
    assert chain.fits[0]
    plain = Peaks.of(table.platforms[0].device, weights)
    bandwidth_alone = roofline.decode_step(Shape.of(ops.model), replace(plain, link=np.inf), 1, 576) / chips
    assert chain.itl_s[0] > 10 * bandwidth_alone


def test_all_three_predictions_carry_their_uncertainty(ops_of):
    found = predict(
        ops_of("llama-3.1-8b"), catalogue_table("nvidia-h100-sxm"),
        make_points(0, concurrency=[1, 64], input_tokens=1024, output_tokens=256),
    )  # fmt: skip
    sigmas = [f.name for f in fields(Predictions) if f.name.endswith("_sigma")]
    assert len(sigmas) == 5
    for name in sigmas:
        assert (getattr(found, name) > 0.05).all(), name
    answer = ask("llama-3.1-8b", "nvidia-h100-sxm", concurrency=64, isl=1024, osl=256)
    assert answer.label in ("predicted", "extrapolated")
    for name in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w"):
        interval = answer.metrics[name]
        assert interval is not None
        assert interval.low < interval.value <= interval.high
        assert interval.value < interval.high or (name == "power_w" and interval.high == 700.0)  # ends at the rating
