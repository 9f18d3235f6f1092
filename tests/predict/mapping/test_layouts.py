"""Layouts: complete, legal, and refused with the reason that applies."""

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.predict.hardware.device import MemoryTier, device
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.mapping import reasons
from inferatlas.predict.mapping.layouts import enumerate_layouts, layouts_of, legal

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


def of_count(found) -> set[tuple[int, ...]]:
    columns = (found.tp, found.pp, found.ep, found.dp, found.cp)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dies", [1, 2])
@pytest.mark.parametrize("context", [False, True])
def test_layouts_of_a_count_are_legal_unique_and_have_that_count(ops_of, make_device, model, dies, context):
    ops, device = ops_of(model), make_device(engine_devices=dies, domain=8)
    for count in (1, 2, 3, 6, 8, 12, 16, 40, 64):
        found = layouts_of(ops, device, count, context=context)
        assert (found.count == count).all()
        assert not legal(ops, device, found.tp, found.pp, found.ep, found.dp, found.cp).any()
        assert len(of_count(found)) == len(found)
        assert context or (found.cp == 1).all()
        if count <= 8 and code(ops, device, tp=count) == reasons.OK:
            assert (count, 1, 1, 1, 1) in of_count(found)
        assert (found.dp == count).any()  # whatever divides the model or not, replicas do not


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "nemotron-super-49b"])
@pytest.mark.parametrize("count", [1, 2, 4, 6, 8, 12])
@pytest.mark.parametrize("domain", [4, 16])
def test_layouts_of_a_count_are_all_there_are(ops_of, make_device, model, count, domain):
    ops, device = ops_of(model), make_device(domain=domain)
    some = range(1, count + 1)
    products = [
        (t, p, e, d, c)
        for t, p, d, c in ((t, p, d, c) for t in some for p in some for d in some for c in some)
        if t * p * d * c == count and t <= domain and c in (1, 2, 4, 8)
        for e in range(1, t * d + 1)
    ]
    columns = np.array(products, dtype=np.int32).T
    ok = legal(ops, device, *columns) == reasons.OK
    expected = {row for row, fits in zip(products, ok, strict=True) if fits}
    found = of_count(layouts_of(ops, device, count, context=True))
    assert found <= expected
    # of the many ranks that a mixture's experts could be spread over, the powers of two and the replica's own
    assert {row for row in expected if row[2] == row[0] or row[2] & (row[2] - 1) == 0} <= found
    assert of_count(layouts_of(ops, device, count)) == {row for row in found if row[4] == 1}


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b"])
def test_layouts_of_a_count_are_among_all_up_to_it(ops_of, make_device, model):
    ops, device = ops_of(model), make_device(domain=8)
    every = enumerate_layouts(ops, device, 16)
    for count in (1, 2, 4, 8, 16):
        powers = {row for row in of_count(layouts_of(ops, device, count)) if row[1] & (row[1] - 1) == 0}
        assert powers == {row for row in of_count(every) if np.prod(row[:2]) * row[3] == count}


def test_layouts_of_a_row_of_chips_are_its_divisions_into_rows(ops_of, make_device):
    device = make_device(style="static_pipeline", topology="dragonfly")
    for context in (False, True):
        found = of_count(layouts_of(ops_of("llama-3.1-8b"), device, 12, context=context))
        assert found == {(1, p, 1, 12 // p, 1) for p in (1, 2, 3, 4, 6, 12)}


def test_shards_of_the_context_and_slower_memory_are_checked(ops_of, make_device):
    dense, one = ops_of("llama-3.1-8b"), np.ones(1, dtype=np.int32)
    device = make_device(domain=8)

    def of(device, tp=1, cp=1, offload=0.0) -> int:
        return int(legal(dense, device, tp * one, one, one, one, cp * one, np.array([offload]))[0])

    assert of(device, tp=4, cp=2) == reasons.OK
    assert of(device, tp=4, cp=4) == reasons.INTERCONNECT
    assert of(make_device(domain=8, scale_out_bytes_per_s=50e9), tp=4, cp=4) == reasons.OK
    assert of(device, offload=0.1) == reasons.OFFLOAD
    assert of(device, tp=3, offload=0.1) == reasons.HEADS
    slower = MemoryTier("host", np.inf, 50e9)
    assert of(make_device(behind=(slower,)), offload=1.0) == reasons.OK
    assert of(make_device(style="wafer", topology="pipeline", behind=(slower,)), cp=2, offload=0.5) == reasons.RESIDENT
    assert of(make_device(style="wafer", topology="pipeline", behind=(slower,)), offload=0.5) == reasons.OK


def test_every_code_has_a_name_and_words():
    assert set(reasons.CODES) == set(range(len(reasons.CODES)))
    assert len(set(reasons.CODES.values())) == len(reasons.CODES)
    assert set(reasons.DETAILS) == set(reasons.CODES) - {reasons.OK}


# models beyond attention


@pytest.mark.parametrize(
    ("slug", "undivided"),
    [
        ("llama-3.1-8b", False), ("falcon-mamba-7b", True), ("jamba-1.5-mini", True), ("flan-t5-xxl", True),
        ("bge-m3", True), ("e5-mistral-7b", False), ("deepseek-v3.2", False),
    ],
)  # fmt: skip
def test_a_context_is_cut_only_where_tokens_do_not_need_it_whole(ops_of, slug, undivided):
    part = device(load_accelerator("h100"))
    one = np.ones(2, dtype=np.int32)
    code = legal(ops_of(slug), part, one, one, one, one, np.array([1, 2], dtype=np.int32))
    assert code.tolist() == [reasons.OK, reasons.UNDIVIDED if undivided else reasons.OK]


@pytest.mark.parametrize(
    ("slug", "ranks"),
    [
        ("falcon-mamba-7b", {1, 2, 4, 8}),  # channels
        ("mamba2-2.7b", {1, 2, 4, 5, 8}),  # 80 heads, one group that every rank holds
        ("rwkv-6-world-7b", {1, 2, 4, 8}), ("flan-t5-xxl", {1, 2, 4, 8}), ("bge-m3", {1, 2, 4, 8}),
    ],
)  # fmt: skip
def test_heads_of_states_and_encoders_divide_among_ranks(ops_of, slug, ranks):
    part = device(load_accelerator("h100"))
    tp = np.arange(1, 9, dtype=np.int32)
    one = np.ones(8, dtype=np.int32)
    code = legal(ops_of(slug), part, tp, one, one, one)
    assert set(tp[code == reasons.OK].tolist()) == ranks
    assert set(code.tolist()) <= {reasons.OK, reasons.HEADS}


def test_a_tower_asks_nothing_of_a_layout():
    model, part = load_model("gemma-3-27b"), device(load_accelerator("h100"))
    text, seeing = (layouts_of(operators(model, images=n, patches=4096), part, 8) for n in (0, 1))
    assert (text.tp.tolist(), text.pp.tolist()) == (seeing.tp.tolist(), seeing.pp.tolist())


def test_every_reason_of_a_layout_has_words_and_a_field():
    for code, word in reasons.CODES.items():
        if code != reasons.OK:
            assert reasons.DETAILS[code] and reasons.FIELDS[word]
            assert reasons.field_of(word) in (*reasons.FIELDS[word], "count")
