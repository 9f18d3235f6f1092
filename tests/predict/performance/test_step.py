"""Steps of known models: Mixtral's decode (section 14), expert parallelism, and what a layout changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.operator_law import operator_time
from inferatlas.predict.llm.experts import distinct_uniform
from inferatlas.predict.llm.operators import Gemm
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.performance.platform import EngineSettings, make_platform
from inferatlas.predict.performance.platform_table import platform_table

H100 = 3350e9


def test_mixtral_decode_on_h100_streams_the_experts_that_the_batch_touches(ops_of, run_step, weights_only):
    ops = ops_of("mixtral-8x7b")

    def milliseconds(batch: int, context: int) -> float:
        return run_step(ops, weights_only, decode=batch, context=context).byte_s[0] / H100 * 1e3

    assert milliseconds(1, 128) == pytest.approx(7.6, abs=0.05)
    assert milliseconds(256, 0) == pytest.approx(27.8, abs=0.05)
    assert milliseconds(256, 128) == pytest.approx(29.1, abs=0.05)


@pytest.mark.parametrize("model", ["mixtral-8x7b", "deepseek-r1", "qwen3-30b-a3b", "gpt-oss-120b"])
@given(batch=st.integers(1, 5000))
def test_13_15_expert_traffic_is_that_of_the_distinct_experts(ops_of, run_step, weights_only, model, batch):
    ops = ops_of(model)
    rest = sum(row.count * (row.weights + row.kv_weights + row.replicated) for row in ops.gemms)
    experts = sum(
        row.count * row.weights * float(distinct_uniform(row.experts, row.top_k, batch)) for row in ops.experts
    )
    assert run_step(ops, weights_only, decode=batch, context=0).byte_s[0] == pytest.approx(
        2 * (rest + experts), rel=1e-9
    )


@pytest.mark.parametrize("ep", [2, 4, 8])
@given(batch=st.integers(1, 20_000))
def test_15_16_the_busiest_expert_rank_has_at_least_its_share_and_at_most_everything(
    ops_of, run_step, counting, ep, batch
):
    ops = ops_of("qwen3-30b-a3b")
    seen = {}

    def collect(which, **layout):
        terms = {}
        run_step(
            ops, replace(counting, **which), decode=batch, context=0,
            sink=lambda name, _n, compute=0.0, memory=0.0, **_: terms.update({name: float(np.sum(compute + memory))}),
            **layout,
        )  # fmt: skip
        return terms["experts"]

    none = np.zeros(1)
    for name, which in {
        "flops": {"byte_s": none, "expert_byte_s": none},
        "bytes": {"flop_s": none, "bytes_a": none},
    }.items():
        whole, rank = collect(which, tp=ep), collect(which, tp=ep, ep=ep)
        # tensor parallelism divides every expert evenly, expert parallelism by what the routing gives
        assert rank >= whole * (1 - 1e-9), name
        assert rank <= ep * whole * (1 + 1e-9), name
        seen[name] = rank / whole
    if batch >= 20_000 // 2:
        assert seen["flops"] < 1.1  # large batches even out


def test_wide_expert_parallelism_streams_less_per_device(ops_of, run_step, weights_only):
    ops = ops_of("deepseek-r1")
    narrow = run_step(ops, weights_only, tp=8, ep=8, decode=64, context=0).byte_s[0]
    wide = run_step(ops, weights_only, tp=8, ep=32, dp=4, decode=64, context=0).byte_s[0]
    assert wide < narrow


def test_kv_heads_beyond_their_number_are_read_again(ops_of, run_step, weights_only):
    ops = ops_of("llama-3.1-8b")  # 8 KV heads

    def cache(tp: int) -> float:
        there, here = (run_step(ops, weights_only, tp=tp, decode=10, context=c).byte_s[0] for c in (2000, 1000))
        return there - here

    assert cache(8) == pytest.approx(cache(1) / 8)
    assert cache(16) == cache(8)


def test_network_is_charged_only_where_devices_talk(ops_of, run_step, make_device, lossless):
    table = platform_table([lossless(make_device())])
    dense, moe = ops_of("llama-3.1-8b"), ops_of("mixtral-8x7b")
    assert run_step(dense, table, decode=8, context=100).network[0] == 0
    tensor = run_step(dense, table, tp=2, decode=8, context=100).network[0]
    # two all-reduces of 8 x 4096 16-bit values a layer at half the volume each way, and the logits
    assert tensor == pytest.approx((64 * 8 * 4096 * 2 + 0.5 * 8 * 128_256 * 2) / 450e9)
    assert run_step(dense, table, pp=4, decode=8, context=100).network[0] > 0
    spread = run_step(moe, table, tp=1, ep=2, dp=2, decode=8, context=100).network[0]
    assert spread == pytest.approx(2 * 32 * (8 * 4096 * 2 * 2) * 0.5 / 450e9)  # two copies of a token, half stay


def test_parts_of_a_step_sum_to_it_and_the_breakdown_to_its_parts(ops_of, run_step, make_device, lossless):
    table = platform_table([replace_overheads(lossless(make_device()))])
    seen = []
    parts = run_step(
        ops_of("mixtral-8x7b"), table, tp=4, pp=2, decode=16, context=900, prefill=300,
        sink=lambda _name, _count, **seconds: seen.append(sum(float(np.sum(v)) for v in seconds.values())),
    )  # fmt: skip
    assert parts.total[0] == pytest.approx(parts.compute[0] + parts.memory[0] + parts.network[0] + parts.overhead[0])
    assert sum(seen) == pytest.approx(parts.total[0])
    assert parts.compute[0] <= parts.flop_s[0]
    assert parts.memory[0] <= parts.byte_s[0]
    assert parts.compute[0] + parts.memory[0] >= max(parts.flop_s[0], parts.byte_s[0]) * (1 - 1e-12) - 1e-12


def replace_overheads(platform):
    return replace(platform, coefficients=replace(platform.coefficients, kernel_s=3e-6, step_s=1e-4, sequence_s=5e-6))


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "deepseek-r1"])
@pytest.mark.parametrize(("batch", "tp"), [(1, 1), (7, 2), (300, 8), (5000, 4)])
def test_the_operators_of_a_step_take_the_time_of_the_law(ops_of, run_step, make_device, model, batch, tp):
    device = make_device(peak=989e12, bandwidth=3.35e12)
    platform = make_platform(device, EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))
    eta = platform.coefficients
    ops, seconds = ops_of(model), {}

    def sink(name, count, compute=0.0, memory=0.0, **_):
        seconds[name] = (count, float(np.sum(compute)) + float(np.sum(memory)))

    run_step(ops, platform_table([platform]), tp=tp, decode=batch, context=500, sink=sink)
    checked = 0
    for row in ops.rows:
        if not isinstance(row, Gemm) or sum(other.name == row.name for other in ops.rows) > 1:
            continue
        elements = row.weights / tp + row.replicated
        if row.kv_weights:
            elements += row.kv_weights * np.ceil(row.kv_heads / tp) / row.kv_heads
        moved = 2.0 * elements + 2.0 * batch * (row.io_whole + row.io_split / tp)
        law = operator_time(
            2.0 * batch * elements, moved, 989e12, 3.35e12, eta.compute_efficiency, eta.memory_efficiency
        )
        assert seconds[row.name] == (row.count, pytest.approx(row.count * float(law), rel=1e-9))
        checked += 1
    assert checked >= 3


def test_launches_are_charged_once_per_kernel(ops_of, run_step, make_device):
    platform = make_platform(make_device(), EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))
    ops, c = ops_of("llama-3.1-8b"), platform.coefficients
    overhead = run_step(ops, platform_table([platform]), decode=3, context=10).overhead[0]
    assert overhead == pytest.approx(ops.kernels * c.kernel_s + 3 * c.sequence_s + c.step_s)
    first = run_step(ops, platform_table([platform]), prefill=100).overhead[0]
    assert first == pytest.approx(ops.kernels * c.prefill_kernel_s + c.sequence_s + c.step_s)
    assert ops.kernels == 32 * (4 + 2 + 2 + 1) + 3  # products, attention, norms, activation; embedding, head, sampling
