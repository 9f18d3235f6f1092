"""Counts are exact: equal to the equations' acceptance values, to checkpoints, and to the catalogue's own facts."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig
from inferatlas.catalogue.models import load_model, model_ids, models
from inferatlas.errors import NotModelled
from inferatlas.predict.llm.parameters import (
    attention_parameters,
    count,
    expert_parameters,
    ffn_parameters,
    indexer_parameters,
)

# The table the facts came from gives the first layer of RWKV-7 a value adapter, which it has not: 2 x 4096 x 96 + 4096.
CORRECTED = dict.fromkeys(
    (("rwkv-7-world-7.2b", "parameters.computed"), ("rwkv-7-world-7.2b", "parameters.active.computed")), -790_528
)
TABLE = Path(__file__).parents[3].parent / "shared" / "facts" / "models.csv"
MODELLED = [slug for slug in model_ids() if models()[slug].not_modelled is None]


def _fact(slug: str, field: str) -> float | None:
    facts = models()[slug].facts
    assert facts is not None
    return facts.number(field)


@pytest.mark.parametrize(
    ("attention", "hidden", "expected"),
    [
        (Attention(32, 8, 128), 4096, 41_943_040),
        (Attention(64, 8, 128), 8192, 150_994_944),
        (Attention(32, 32, 128), 4096, 67_108_864),
        (Attention(128, 128, 128, q_lora=1536, kv_lora=512, rope_dim=64, v_dim=128), 7168, 187_105_280),
    ],
)
def test_equation_1_gives_its_acceptance_values(attention: Attention, hidden: int, expected: int) -> None:
    assert attention_parameters(attention, hidden) == expected


def test_equation_2_gives_its_acceptance_values() -> None:
    assert ffn_parameters(FeedForward(14336), 4096) == 176_160_768
    assert ffn_parameters(FeedForward(28672), 8192) == 704_643_072
    experts = FeedForward(2048, experts=256, top_k=8, shared_experts=1, shared_width=2048)
    assert ffn_parameters(experts, 7168) == 257 * 3 * 7168 * 2048 + 7168 * 256
    assert expert_parameters(FeedForward(100, gated=False), 10) == 2 * 100 * 10


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("llama-3.1-8b", 8_029_995_008),
        ("llama-2-70b", 68_975_329_280),
        ("llama-3.1-70b", 70_552_387_584),
        ("llama-2-7b", 6_738_149_376),
    ],
)
def test_whole_models_without_norms_give_the_acceptance_values(slug: str, expected: int) -> None:
    p = count(load_model(slug))
    assert p.total - p.norms == expected


@pytest.mark.parametrize("slug", MODELLED)
def test_totals_equal_the_recomputed_and_the_published_counts(slug: str) -> None:
    total = count(models()[slug]).total
    assert total == _fact(slug, "parameters.computed")
    exact, nominal = _fact(slug, "parameters.exact"), _fact(slug, "parameters.nominal")
    assert nominal is not None
    assert exact is None or total == pytest.approx(exact, rel=1e-4)
    assert total == pytest.approx(nominal, rel=0.018)  # the largest stated difference: Nemotron "49B", 1.77 %


@pytest.mark.parametrize("slug", MODELLED)
def test_active_counts_equal_the_facts_but_for_the_vision_part(slug: str) -> None:
    p = count(models()[slug])
    facts = models()[slug].facts
    assert facts is not None
    fact = facts.chosen("parameters.active.computed")
    assert fact is not None
    vision = p.other if "the vision part" in fact.condition else 0
    assert p.active + vision == fact.value


@pytest.mark.parametrize(
    ("slug", "billions"),
    [("gpt-oss-120b", 5.13), ("gpt-oss-20b", 3.61), ("kimi-k2", 32), ("deepseek-r1", 37), ("qwen3-235b-a22b", 22)],
)
def test_vendors_active_counts_follow(slug: str, billions: float) -> None:
    p = count(load_model(slug))
    assert min(abs(p.active / 1e9 - billions), abs(p.active_without_embedding / 1e9 - billions)) < 0.7
    if slug.startswith("gpt-oss"):
        assert round(p.active_without_embedding / 1e9, 2) == billions


def test_a_uniform_formula_would_miss_nemotron_by_a_third() -> None:
    nemotron = load_model("nemotron-super-49b")
    uniform = Layers(80, Attention(64, 8, 128), FeedForward(28672))
    naive = ModelConfig("x", "x", "x", "dense", 8192, 128256, (uniform,), False, 131072)
    assert nemotron.layer_count == 80
    assert sum(group.count for group in nemotron.layers if group.attention) == 49
    assert count(naive).total / count(nemotron).total == pytest.approx(1.41, abs=0.01)


def test_a_decode_step_streams_all_but_the_tables_it_looks_up() -> None:
    llama, gemma, opt = (count(load_model(slug)) for slug in ("llama-3.1-8b", "gemma-3-27b", "opt-66b"))
    assert llama.streamed == llama.total - 128256 * 4096
    assert gemma.lm_head == 0  # tied: the table is the output projection, and is read
    assert gemma.streamed == gemma.total - gemma.other
    assert opt.streamed == opt.total - 2050 * 9216


def test_small_tensors_are_counted_where_they_are() -> None:
    oss = count(load_model("gpt-oss-20b"))
    sinks, attention_biases = 64, (64 + 2 * 8) * 64 + 2880
    experts = 32 * (2 * 2880 + 2880) + 32
    assert oss.biases == 24 * (sinks + attention_biases + experts)
    assert count(load_model("deepseek-r1")).norms == 61 * (2 * 7168 + 1536 + 512) + 7168
    assert count(load_model("qwen3-8b")).norms == 36 * (2 * 4096 + 2 * 128) + 4096
    assert count(load_model("gpt-3-175b")).norms == (96 * 2 + 1) * 2 * 12288


def test_what_is_not_modelled_is_not_counted() -> None:
    with pytest.raises(NotModelled, match="not modelled yet") as caught:
        count(load_model(Path(__file__).parents[2] / "not_modelled"))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("slug", "total", "active"),
    [
        ("falcon-mamba-7b", 7_272_665_088, 7_272_665_088),
        ("mamba-2.8b", 2_768_345_600, 2_768_345_600),
        ("mamba2-2.7b", 2_702_599_680, 2_702_599_680),
        ("nemotron-h-8b", 8_100_852_736, 8_100_852_736),
        ("jamba-1.5-mini", 51_570_323_328, 12_110_311_296),
        ("jamba-1.5-large", 398_555_145_696, 94_149_338_592),
        ("rwkv-6-world-7b", 7_635_746_816, 7_635_746_816),
        ("rwkv-7-world-7.2b", 7_199_932_416 - 790_528, 7_199_932_416 - 790_528),
        ("flan-t5-xxl", 11_135_332_352, 11_135_332_352),
        ("bge-large-en-v1.5", 335_141_888, 335_141_888),
        ("bge-m3", 567_754_752, 567_754_752),
        ("e5-mistral-7b", 7_110_660_096, 7_110_660_096),
        ("deepseek-v3.2", 671_026_419_200 + 61 * 13_959_424, 37_552_297_472 + 61 * 13_959_424),
        ("qwen2.5-vl-7b", 8_292_166_656, 7_615_616_512),
    ],
)
def test_what_is_no_dense_transformer_is_counted_to_the_last_weight(slug: str, total: int, active: int) -> None:
    p = count(load_model(slug))
    assert (p.total, p.active) == (total, active)


def test_an_indexer_adds_queries_from_the_latent_one_key_and_weights_of_its_heads() -> None:
    attention = load_model("deepseek-v3.2").layers[0].attention
    assert attention is not None
    assert indexer_parameters(attention, 7168) == 1536 * 64 * 128 + 7168 * 128 + 7168 * 64
    sparse, full = count(load_model("deepseek-v3.2")), count(load_model("deepseek-r1"))
    assert sparse.attention - full.attention == 61 * indexer_parameters(attention, 7168)
    assert sparse.norms - full.norms == 61 * 2 * 128  # a LayerNorm of the key, with bias
    assert indexer_parameters(Attention(32, 8, 128), 4096) == 0


def test_a_decoded_token_meets_neither_the_encoder_nor_the_making_of_cross_keys() -> None:
    p, d = count(load_model("flan-t5-xxl")), 4096
    attention, ffn, table = 4 * d * d, 3 * d * 10240, 32128 * d
    assert p.streamed == 24 * (attention + 2 * d * d + ffn + 3 * d) + d + table
    assert p.positions == 2 * 32 * 64
    assert p.norms == 24 * (2 + 3) * d + 2 * d


def test_an_embedding_model_reads_all_but_its_tables() -> None:
    bge, e5 = count(load_model("bge-large-en-v1.5")), count(load_model("e5-mistral-7b"))
    assert bge.streamed == bge.total - (30522 + 512 + 2) * 1024
    assert e5.streamed == e5.total - 32000 * 4096  # no output projection, so the table is only looked up
    assert bge.pooler == 1024 * 1024 + 1024
    assert bge.norms == (24 * 2 + 1) * 2 * 1024  # one of the embedding, none at the end


def test_a_block_is_what_its_published_size_says() -> None:
    finch = count(load_model("rwkv-6-world-7b"))
    assert finch.ffn == 32 * (2 * 4096 * 14336 + 4096 * 4096)  # with the receptance
    assert finch.norms == (32 * 2 + 2) * 2 * 4096  # of the embedding and at the end, with bias


@given(
    experts=st.integers(1, 64), top_k=st.integers(1, 8), shared=st.integers(0, 2), bias=st.booleans(),
    tied=st.booleans(), layers=st.integers(1, 40),
)  # fmt: skip
def test_active_and_streamed_never_exceed_the_total(
    experts: int, top_k: int, shared: int, bias: bool, tied: bool, layers: int
) -> None:
    ffn = FeedForward(
        96,
        experts=experts,
        top_k=min(top_k, experts),
        shared_experts=shared,
        shared_width=64 if shared else 0,
        bias=bias,
    )
    groups = (Layers(layers, Attention(8, 2, 16), ffn),)
    p = count(ModelConfig("x", "x", "x", "moe", 128, 1000, groups, tied, 2048))
    assert 0 < p.active_without_embedding <= p.active <= p.total
    assert p.streamed <= p.total
    assert (p.active == p.total) == (min(top_k, experts) == experts)


@pytest.mark.skipif(not TABLE.exists(), reason="the fact tables are not beside this checkout")
def test_shipped_facts_equal_the_table_they_came_from() -> None:
    with TABLE.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} <= set(model_ids())  # models added since have no row there
    columns = {
        "parameters.computed": "params_total_computed", "parameters.active.computed": "params_active_computed",
        "parameters.exact": "params_published_exact", "parameters.nominal": "params_published",
        "state.values_per_sequence": "state_values_per_sequence", "context.native": "context_native",
        "context.config": "context_config",
    }  # fmt: skip
    for row in rows:
        for field, column in columns.items():
            expected = float(row[column]) if row[column] else None
            if expected is not None:
                expected += CORRECTED.get((row["id"], field), 0)
            assert _fact(row["id"], field) == expected, (row["id"], field)
        assert _fact(row["id"], "kv.values_per_token") == float(row["kv_values_per_token_all_layers"].split()[0])
