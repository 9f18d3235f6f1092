"""Equations (26) and (27): tensor against expert parallelism, and how busy pipelines are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.predict.handbook.pipeline import pipeline_prefill
from inferatlas.predict.hardware.device import device
from inferatlas.predict.performance import parallelism as par
from inferatlas.predict.performance.collectives import MEASURED, Network, law_time, serial_steps
from inferatlas.predict.performance.parallelism import ExpertLayer, Machine
from inferatlas.predict.performance.priors import network

DEEPSEEK = ExpertLayer(experts=256, top_k=8, weights=3 * 7168 * 2048, hidden=7168, weight_bytes=1.0)
stages = st.integers(1, 64)


def machine(n: int, link: float = 450e9) -> Machine:
    return Machine(n, 1979e12, 3.35e12, link, 1e-6)


def test_26_expert_parallelism_wins_beyond_k_devices_and_tensor_parallelism_on_few_tokens():
    wide, narrow = machine(32), machine(4)
    assert par.expert_parallel_time(DEEPSEEK, wide, 65536) < par.tensor_parallel_time(DEEPSEEK, wide, 65536)
    # one token: all devices stream a share of its experts, or one device streams the most of them
    assert par.tensor_parallel_time(DEEPSEEK, narrow, 1) < par.expert_parallel_time(DEEPSEEK, narrow, 1)


@given(st.sampled_from([2, 4, 8, 16]), st.integers(1, 10**5), st.integers(0, 10**5))
def test_26_costs_grow_with_tokens_and_never_fall_below_their_parts(n, tokens, more):
    m = machine(n)
    for cost in (par.tensor_parallel_time, par.expert_parallel_time):
        assert cost(DEEPSEEK, m, tokens + more) >= cost(DEEPSEEK, m, tokens) > 0
        assert cost(DEEPSEEK, machine(n, link=1e12), tokens) <= cost(DEEPSEEK, m, tokens)
    held = DEEPSEEK.experts * DEEPSEEK.weights / n / m.bytes_per_s
    work = 2 * tokens * DEEPSEEK.top_k * DEEPSEEK.weights / (n * m.flop_per_s)
    assert par.expert_parallel_time(DEEPSEEK, m, tokens) >= work
    exchange = 2 * (1e-6 + tokens * 8 * 7168 * 2 / n * (1 - 1 / n) / 450e9)
    assert par.expert_parallel_time(DEEPSEEK, m, tokens) <= exchange + held + n * work * (1 + 1e-9)


def test_26_the_crossover_is_where_the_costs_cross():
    slow = Machine(16, 1979e12, 3.35e12, 100e9, 0.0)
    first = par.expert_parallel_from(DEEPSEEK, slow)
    assert first is not None and first > 1
    tokens = np.arange(first, first + 2000, dtype=float)
    assert (par.expert_parallel_time(DEEPSEEK, slow, tokens) < par.tensor_parallel_time(DEEPSEEK, slow, tokens)).all()
    before = first * 0.98
    assert par.expert_parallel_time(DEEPSEEK, slow, before) >= par.tensor_parallel_time(DEEPSEEK, slow, before)
    many = ExpertLayer(8, 8, 3 * 7168 * 2048, 7168)
    assert par.expert_parallel_from(many, Machine(2, 1e15, 3.35e12, 100e9, 0.0)) is None  # k/n = 4 times the bytes


@given(st.sampled_from([2, 4, 8, 16, 64]), st.floats(1, 1e9))
def test_26_a_network_s_laws_stand_for_ring_and_switch(n, size):
    real, _ = network(device(load_accelerator("nvidia-h100-sxm")))
    m = Machine(n, 1e15, 3e12, real.bytes_per_s, real.base_s, real)
    assert m.all_reduce(np.array(size)) == law_time(real, "all_reduce", n, size)
    assert m.all_to_all(np.array(size)) == law_time(real, "all_to_all", n, size)
    # a plain one is what the reference writes, up to the latency of an exchange step by step
    plain = Network("switch", 450e9, None, 64, 0.0, 1e-6, 1.0, 1.0, 0.0, 12.5e9)
    by_law, by_form = Machine(n, 1e15, 3e12, 450e9, 1e-6, plain), machine(n)
    fewer = (2 * (n - 1) - serial_steps("all_reduce", n, MEASURED)) * 1e-6
    assert by_law.all_reduce(np.array(size)) == pytest.approx(by_form.all_reduce(np.array(size)) - fewer)
    steps = by_law.all_to_all(np.array(size)) - by_form.all_to_all(np.array(size))
    assert steps == pytest.approx((n - 2) * 1e-6, abs=1e-12)


@given(st.sampled_from([2, 4, 8, 16, 64]), st.integers(1, 10**5))
def test_26_both_do_the_same_work_and_differ_in_what_they_move(n, tokens):
    # links and memory without end: what is left is the work, of the busiest device where experts are spread
    m = Machine(n, 1e15, 1e30, 1e30, 0.0)
    divided = float(par.tensor_parallel_time(DEEPSEEK, m, tokens))
    assert divided == pytest.approx(2 * tokens * DEEPSEEK.top_k * DEEPSEEK.weights / (n * 1e15))
    assert divided * (1 - 1e-12) <= par.expert_parallel_time(DEEPSEEK, m, tokens) <= n * divided * (1 + 1e-12)


def test_27_bubble_of_four_stages_and_eight_micro_batches():
    assert par.pipeline_bubble(4, 8) == pytest.approx(0.2727, abs=5e-5)


@given(stages, stages, st.floats(1e-6, 1.0))
def test_27_the_bubble_is_what_a_prefill_wastes(p, m, stage_s):
    total = float(pipeline_prefill(stage_s, p, m))
    assert total == pytest.approx(m * stage_s / (1 - float(par.pipeline_bubble(p, m))))
    assert par.pipeline_bubble(1, m) == 0


@given(stages, stages)
def test_27_stages_are_at_work_as_far_as_there_are_micro_batches(p, m):
    assert 0 < par.pipeline_utilisation(p, m) <= 1
    assert (par.pipeline_utilisation(p, m) == 1) == (m >= p)
