"""Layouts: complete, legal, and refused with the reason that applies."""

import numpy as np
import pytest

from inferatlas.predict.mapping import reasons
from inferatlas.predict.mapping.layouts import enumerate_layouts, legal

MODELS = ["llama-3.1-8b", "llama-3.3-70b", "mixtral-8x7b", "deepseek-r1", "gpt-oss-120b", "nemotron-super-49b"]


def code(ops, device, tp=1, pp=1, ep=1, dp=1) -> int:
    return int(legal(ops, device, *(np.array([x], dtype=np.int32) for x in (tp, pp, ep, dp)))[0])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dies", [1, 2])
def test_enumerated_layouts_are_legal_unique_and_within_the_count(ops_of, make_device, model, dies):
    ops, device = ops_of(model), make_device(engine_devices=dies, domain=8)
    found = enumerate_layouts(ops, device, 24)
    assert (found.count == found.tp * found.pp * found.dp).all()
    assert found.count.max() <= 24
    assert (found.tp <= 8).all()
    assert not legal(ops, device, found.tp, found.pp, found.ep, found.dp).any()
    rows = np.stack([found.tp, found.pp, found.ep, found.dp], axis=1)
    assert len(np.unique(rows, axis=0)) == len(rows)
    for row in ops.attentions:
        ranks = found.tp * dies
        assert (row.attention.heads % ranks == 0).all()
        if not row.attention.is_mla:
            assert ((row.attention.kv_heads % ranks == 0) | (ranks % row.attention.kv_heads == 0)).all()
    for row in ops.experts:
        assert (row.experts % found.ep == 0).all()
        assert (((found.tp * dies) % found.ep == 0) | (found.ep % (found.tp * dies) == 0)).all()
        assert ((found.tp * dies * found.dp) % np.maximum(found.ep, 1) == 0).all()


@pytest.mark.parametrize("model", MODELS)
def test_every_legal_combination_of_powers_of_two_is_found(ops_of, make_device, model):
    ops, device = ops_of(model), make_device(domain=8)
    found = enumerate_layouts(ops, device, 16)
    rows = {tuple(int(x) for x in row) for row in np.stack([found.tp, found.pp, found.ep, found.dp], axis=1)}
    powers = (1, 2, 4, 8, 16)
    grid = [(t, p, e, d) for t in powers[:4] for p in powers for e in powers for d in powers if t * p * d <= 16]
    expected = {row for row in grid if code(ops, device, *row) == reasons.OK}
    assert expected <= rows
    assert expected


def test_every_count_can_be_asked_for(ops_of, make_device):
    found = enumerate_layouts(ops_of("llama-3.1-8b"), make_device(), 40)
    assert set(found.count.tolist()) == set(range(1, 41))
    coarse = enumerate_layouts(ops_of("llama-3.1-8b"), make_device(), 40, every_count=False)
    assert set(coarse.dp.tolist()) <= {1, 2, 4, 8, 16, 32}
    assert len(coarse) < len(found)


def test_each_impossible_layout_has_its_reason(ops_of, make_device):
    dense, moe, device = ops_of("llama-3.1-8b"), ops_of("mixtral-8x7b"), make_device(domain=8)
    assert code(dense, device, tp=8) == reasons.OK
    assert code(dense, device, tp=3) == reasons.HEADS
    assert code(dense, device, tp=64) == reasons.HEADS
    assert code(dense, device, pp=33) == reasons.LAYERS
    assert code(dense, device, ep=2) == reasons.EXPERTS
    assert code(moe, device, tp=2, ep=2) == reasons.OK
    assert code(moe, device, tp=2, ep=4) == reasons.EXPERTS  # two replicas are needed to hold four shares
    assert code(moe, device, tp=2, ep=4, dp=2) == reasons.OK
    assert code(moe, device, tp=2, ep=3) == reasons.EXPERTS
    assert code(dense, device, tp=16) == reasons.INTERCONNECT
    assert code(dense, make_device(domain=8, scale_out_bytes_per_s=50e9), tp=16) == reasons.OK


def test_two_dies_double_the_ranks(ops_of, make_device):
    dense = ops_of("llama-3.1-8b")  # 32 heads
    assert code(dense, make_device(engine_devices=2), tp=16) == reasons.OK
    assert code(dense, make_device(engine_devices=2), tp=32) == reasons.HEADS
    assert code(dense, make_device(engine_devices=1), tp=32) == reasons.OK


def test_resident_machines_are_rows_of_chips(ops_of, make_device):
    ops, device = ops_of("llama-3.1-8b"), make_device(style="static_pipeline", topology="dragonfly")
    assert code(ops, device, tp=2) == reasons.RESIDENT
    assert code(ops, device, pp=577) == reasons.OK  # more chips than layers
    found = enumerate_layouts(ops, device, 12)
    assert set(zip(found.pp.tolist(), found.dp.tolist(), strict=True)) == {
        (p, d) for p in range(1, 13) for d in range(1, 13) if p * d <= 12
    }


def test_every_code_has_a_name_and_words():
    assert set(reasons.CODES) == set(range(len(reasons.CODES)))
    assert len(set(reasons.CODES.values())) == len(reasons.CODES)
    assert set(reasons.DETAILS) == set(reasons.CODES) - {reasons.OK}
