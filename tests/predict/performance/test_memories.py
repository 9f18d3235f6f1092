"""Packed caches (32), tiers as arrays (29), (30), units for mixtures of experts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerators, load_accelerator
from inferatlas.errors import BadInput
from inferatlas.predict.handbook.kv_compression import compression_pays, read_time
from inferatlas.predict.hardware.device import MemoryTier, Units, device
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.memories import tier_latency, tiers, unpacking, vector_flop_per_s
from inferatlas.predict.performance.platform import EngineSettings, Platform, make_platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import constant, table
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask

REACHED = constant("offload", "efficiency")
NO_UNITS = Units()
BF16 = Precision("bf16", "bf16", "bf16")
ratios = st.floats(1.0, 64.0)
few = settings(max_examples=30)
LONG = {"concurrency": 8, "input_tokens": 30_000, "output_tokens": 200}
CHIPS = {"groq-lpu-v1": 2000, "graphcore-bow": 900, "graphcore-gc200": 900, "cerebras-wse-2": 8, "cerebras-wse-3": 8}


def with_unit(make_device, *, dies=1, units=NO_UNITS, ratio=None, **other) -> Platform:
    part = make_device(engine_devices=dies, units=units, **other)
    return make_platform(part, EngineSettings("vllm"), BF16, calibration=NOTHING, kv_compression=ratio)


def rates(platforms: list[Platform]) -> np.ndarray:
    """What `unpacking` says at a second per byte and none per FLOP."""
    return unpacking(platforms, np.ones(len(platforms)), np.zeros(len(platforms)))


# packed caches


@pytest.mark.parametrize("ratio", [2.0, 4.0, 10.0])
@pytest.mark.parametrize("slug", ["llama-3.1-8b", "deepseek-r1", "gemma-3-27b"])
def test_32_a_cache_packed_r_times_lets_r_times_the_sequences_in(ops_of, slug, ratio):
    ops = ops_of(slug)
    points = make_points(0, tp=8, **LONG)
    plain, packed = (
        budget_of(ops, platform_table([bind("h200", model=slug, kv_compression=r)], is_moe=bool(ops.experts)), points)
        for r in (None, ratio)
    )
    assert packed.kv_per_sequence[0] == pytest.approx(plain.kv_per_sequence[0] / ratio)
    assert abs(packed.sequences[0] - ratio * plain.sequences[0]) <= ratio + 1


def test_32_states_are_not_packed(ops_of):
    held = [
        budget_of(ops_of("falcon-mamba-7b"), platform_table([bind("h100", kv_compression=r)]), make_points(0, **LONG))
        for r in (None, 8.0)
    ]
    assert held[0].kv_per_sequence[0] == held[1].kv_per_sequence[0] > 0


@pytest.mark.parametrize("ratio", [1.5, 4.0, 32.0])
def test_32_a_packed_cache_is_never_faster_on_any_device_of_the_catalogue(ops_of, ratio):
    ops, seen = ops_of("llama-3.1-8b"), 0
    for one in accelerators():
        if one.facts.number("kv_engine.compression"):
            continue
        plain, packed = (platform_table([bind(one, model="llama-3.1-8b", kv_compression=r)]) for r in (None, ratio))
        layout = {"pp": CHIPS[one.id]} if one.id in CHIPS else {"tp": 8 // int(plain.dies[0])}
        points = make_points(0, **layout, **LONG)
        alone, smaller = (predict(ops, t, points, proven=True) for t in (plain, packed))
        assert smaller.itl_s[0] >= alone.itl_s[0] * (1 - 1e-9), one.id
        seen += 1
    assert seen > 50


@few
@given(ratios, st.floats(1e-13, 1e-11), st.floats(0, 1e-13))
def test_32_unpacking_costs_what_the_handbook_says_or_what_was_saved(make_device, ratio, byte_s, vector_s):
    (found,) = unpacking([with_unit(make_device, ratio=ratio)], np.array([byte_s]), np.array([vector_s]))
    work = constant("unpacking", "flop_per_value")
    whole = float(read_time(1e9, 2.0, 1 / byte_s))
    widened = float(read_time(1e9, 2.0, 1 / byte_s, ratio, work, 1 / vector_s if vector_s else math.inf))
    # 2 bytes a value are read 1/ratio times, at `found` times their time
    assert found * 1e9 * 2.0 / ratio * byte_s == pytest.approx(max(whole, widened) if ratio > 1 else whole, rel=1e-9)
    if ratio > 1 and compression_pays(2.0, ratio, work, 1 / byte_s, 1 / vector_s if vector_s else math.inf):
        assert found == pytest.approx(ratio)  # it might pay; it is not taken to


@few
@given(st.floats(1.01, 64), st.floats(1e9, 1e14), st.integers(1, 2))
def test_32_a_unit_that_unpacks_on_the_way_is_as_fast_as_it_is(make_device, ratio, rate, dies):
    byte_s = dies / 3e12
    unit = Units(cache_ratio=ratio, cache_bytes_per_s=rate)
    part = with_unit(make_device, dies=dies, units=unit)
    assert part.kv_compression == ratio
    (found,) = unpacking([part], np.array([byte_s]), np.array([1.0]))
    # seconds per byte of plain cache on one die: what memory brings packed, or what the unit gives out
    assert found * byte_s / ratio == pytest.approx(max(byte_s / ratio, dies / rate), rel=1e-9)


def test_32_a_unit_makes_decode_faster_up_to_its_rate(ops_of, make_device, lossless):
    ops, itl = ops_of("llama-3.1-8b"), []
    points = make_points(0, concurrency=32, input_tokens=60_000, output_tokens=100)
    plain = predict(ops, platform_table([lossless(make_device())]), points).itl_s[0]
    for rate in (1e12, 3e12, 6e12, 12e12, 24e12, None):
        unit = make_device(units=Units(cache_ratio=4.0, cache_bytes_per_s=rate))
        found = predict(ops, platform_table([lossless(unit)]), points)
        itl.append(found.itl_s[0])
    assert itl == sorted(itl, reverse=True)
    assert itl[0] > plain  # a unit slower than memory is a burden
    assert itl[1] == pytest.approx(plain, rel=1e-6)  # and one as fast as memory gains room alone
    assert itl[4] == pytest.approx(itl[5], rel=1e-6)  # four times its rate: memory binds, packed
    assert plain / itl[5] < 4.0


@pytest.mark.parametrize("ratio", [0.5, 0.0, -1.0, math.nan, math.inf])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(BadInput) as caught:
        bind("h100", kv_compression=ratio)
    assert caught.value.field == "kv_compression" and caught.value.exit_code == 2


def test_what_is_taken_for_granted_is_said(make_device):
    packed = bind("h100", kv_compression=4.0)
    assert any("4 times smaller" in note for note in packed.notes) and packed.label == "extrapolated"
    assert any("a packed KV cache" in note for note in packed.notes)
    unit = with_unit(make_device, units=Units(cache_ratio=2.0))
    assert any("a unit of the device unpacks it" in note for note in unit.notes)


# rates of elementwise work


def test_elementwise_work_is_slower_than_products_everywhere():
    for one in accelerators():
        platform = bind(one)
        rate = vector_flop_per_s(platform)
        assert 0 < rate <= 0.5 * platform.peak_flop_per_s, one.id


# tiers


def test_29_tiers_are_laid_out_by_platform_with_nothing_where_there_is_none(make_device):
    a = MemoryTier("cxl", 1e12, 64e9, 200e-9)
    b = MemoryTier("nvme", 8e12, 12e9)
    parts = [with_unit(make_device, behind=behind) for behind in ((), (a,), (a, b))]
    rate, room, latency = tiers(parts)
    np.testing.assert_allclose(rate, REACHED * np.array([[0, 0], [64e9, 0], [64e9, 12e9]]))
    assert room.tolist() == [[0, 0], [1e12, 0], [1e12, 8e12]]
    assert latency.tolist() == [[0, 0], [200e-9, 0], [200e-9, tier_latency("nvme")]]
    dies = platform_table([with_unit(make_device, behind=(a, b), dies=2)])
    assert dies.tier_rate[0].tolist() == [32e9 * REACHED, 6e9 * REACHED]
    assert dies.tier_bytes[0].tolist() == [5e11, 4e12]


def test_30_an_unknown_kind_of_memory_is_as_late_as_a_hosts():
    kinds = table()["tiers"]
    assert tier_latency("nvme") == kinds["nvme"]["latency_s"] > tier_latency("cxl") > 0
    assert tier_latency("something") == kinds["host"]["latency_s"]


# units for mixtures of experts


def test_units_for_experts_are_taken_as_stated(ops_of, make_device):
    ops = ops_of("mixtral-8x7b")
    points = make_points(0, concurrency=64, input_tokens=512, output_tokens=128)

    def seconds(**units) -> float:
        return float(
            predict(ops, platform_table([with_unit(make_device, units=Units(**units))], is_moe=True), points).itl_s[0]
        )

    plain = with_unit(make_device)
    blocks = ops.expert_reductions
    gain = blocks * (plain.coefficients.routing_s - 1e-9)
    assert seconds() - seconds(routing_s=1e-9) == pytest.approx(gain, rel=0.05) and gain > 0
    better, worse = seconds(grouped_efficiency=1.0), seconds(grouped_efficiency=0.01)
    assert better < seconds() < worse
    named = with_unit(make_device, units=Units(routing_s=1e-9))
    assert named.label == "extrapolated" and any("states its own routing_s" in note for note in named.notes)


def test_units_for_experts_do_nothing_for_a_dense_model(ops_of, make_device):
    points = make_points(0, concurrency=64, input_tokens=512, output_tokens=128)
    plain, own = (
        predict(ops_of("llama-3.1-8b"), platform_table([with_unit(make_device, units=units)]), points).itl_s[0]
        for units in (Units(), Units(routing_s=1e-9, grouped_efficiency=1.0))
    )
    assert plain == own


CHIP = """
id: my-chip
name: My chip
vendor: Us
architectural_class: gpu_simt
execution: {style: kernel, topology: switch, devices_per_card: 1, reason: "a host launches kernels"}
facts:
"""
FACTS = {
    "peak_bf16": (500, "TFLOPS"), "mem.hbm.capacity": (96, "GB"), "mem.hbm.bandwidth": (4, "TB/s"),
    "interconnect.scale_up.per_direction": (400, "GB/s"), "chips_per_node": (8, None), "power.tdp": (600, "W"),
    "kv_engine.compression": (3, None), "kv_engine.bandwidth": (10, "TB/s"), "moe.routing_time": (2, "us"),
    "moe.grouped_efficiency": (0.9, None), "software.vllm": ('"official"', None),
}  # fmt: skip


def test_units_come_from_the_facts_of_a_file_and_of_no_part_of_the_catalogue(tmp_path):
    rows = (
        f"  {name}: [{{value: {value}, {f'unit: {unit}, ' if unit else ''}status: chosen, provenance: retrieved, "
        'source: "our data sheet"}]\n'
        for name, (value, unit) in FACTS.items()
    )
    file = tmp_path / "my-chip.yaml"
    file.write_text(CHIP + "".join(rows), encoding="utf-8")
    part = device(load_accelerator(str(file)))
    assert part.units == Units(pytest.approx(2e-6), 0.9, 3.0, 10e12)
    assert ask("llama-3.1-8b", str(file), isl=512, osl=64, concurrency=1).label == "extrapolated"
    assert all(device(one).units == Units() for one in accelerators())
