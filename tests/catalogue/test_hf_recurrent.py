"""Configurations of Mamba, RWKV and hybrids give the catalogue's shapes; what the reader cannot say is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue import hf_config
from inferatlas.catalogue.model import Recurrence
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.predict.llm.parameters import count

Config = dict[str, Any]
PATTERN = "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-"
JAMBA = {
    "model_type": "jamba", "num_key_value_heads": 8, "vocab_size": 65536, "attn_layer_offset": 4,
    "attn_layer_period": 8, "expert_layer_offset": 1, "expert_layer_period": 2, "mamba_conv_bias": True,
    "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_expand": 2, "mamba_proj_bias": False,
    "max_position_embeddings": 262144, "num_experts": 16, "num_experts_per_tok": 2, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}  # fmt: skip
KNOWN: dict[str, Config] = {
    "falcon-mamba-7b": {  # as published, its wrong expand included
        "model_type": "falcon_mamba", "hidden_size": 4096, "intermediate_size": 8192, "num_hidden_layers": 64,
        "vocab_size": 65024, "state_size": 16, "conv_kernel": 4, "expand": 16, "time_step_rank": 256,
        "use_bias": False, "use_conv_bias": True, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    },
    "mamba-2.8b": {
        "d_model": 2560, "n_layer": 64, "vocab_size": 50277, "ssm_cfg": {}, "rms_norm": True,
        "residual_in_fp32": True, "fused_add_norm": True, "pad_vocab_size_multiple": 8,
    },
    "mamba2-2.7b": {
        "d_model": 2560, "d_intermediate": 0, "n_layer": 64, "vocab_size": 50277, "ssm_cfg": {"layer": "Mamba2"},
        "attn_layer_idx": [], "attn_cfg": {}, "pad_vocab_size_multiple": 16, "tie_embeddings": True,
    },
    "jamba-1.5-mini": JAMBA | {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "mamba_dt_rank": 256,
    },
    "jamba-1.5-large": JAMBA | {
        "hidden_size": 8192, "intermediate_size": 24576, "num_hidden_layers": 72, "num_attention_heads": 64,
        "mamba_dt_rank": "auto",
    },
    "nemotron-h-8b": {
        "model_type": "nemotron_h", "hidden_size": 4096, "num_hidden_layers": 52, "vocab_size": 131072,
        "hybrid_override_pattern": PATTERN, "intermediate_size": 21504, "num_attention_heads": 32,
        "num_key_value_heads": 8, "attention_head_dim": 128, "mamba_num_heads": 128, "mamba_head_dim": 64,
        "n_groups": 8, "ssm_state_size": 128, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
        "attention_bias": False, "mlp_bias": False, "max_position_embeddings": 8192, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
    "rwkv-6-world-7b": {  # num_attention_heads is the size of a head in these files
        "model_type": "rwkv6", "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 65536, "head_size": 64,
        "num_attention_heads": 64, "attention_hidden_size": 4096, "intermediate_size": None, "context_length": 4096,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    },
    "rwkv-7-world-7.2b": {
        "model_type": "rwkv7", "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 65536, "head_dim": 64,
        "intermediate_size": 16384, "hidden_ratio": 4.0, "decay_low_rank_dim": 128, "gate_low_rank_dim": 480,
        "a_low_rank_dim": 128, "v_low_rank_dim": 96, "attn": None, "norm_first": True, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
}  # fmt: skip
NEMOTRON = KNOWN["nemotron-h-8b"]


@pytest.mark.parametrize("slug", KNOWN)
def test_a_published_configuration_gives_the_catalogues_model(slug: str, read_config: Any, assert_same: Any) -> None:
    ours, theirs = load_model(slug), read_config(KNOWN[slug])
    assert_same(ours, theirs)
    assert count(theirs) == count(ours)


def test_falcon_mambas_expand_would_make_it_seven_times_as_large(read_config: Any) -> None:
    misread = read_config({k: v for k, v in KNOWN["falcon-mamba-7b"].items() if k != "intermediate_size"})
    assert count(misread).total == pytest.approx(54.5e9, rel=0.01)


def test_ranks_of_rwkv_7_are_suggested_by_its_width_and_named_as_assumed(read_config: Any, assert_same: Any) -> None:
    config = {k: v for k, v in KNOWN["rwkv-7-world-7.2b"].items() if not k.endswith("low_rank_dim")}
    model = read_config(config)
    assert_same(load_model("rwkv-7-world-7.2b"), model)
    assert model.facts is not None
    assert model.facts.text("default.gate_low_rank_dim") == "480"


def test_codestral_mamba_has_its_published_count(read_config: Any) -> None:
    model = read_config({
        "model_type": "mamba2", "hidden_size": 4096, "num_hidden_layers": 64, "vocab_size": 32768, "num_heads": 128,
        "head_dim": 64, "state_size": 128, "n_groups": 8, "conv_kernel": 4, "expand": 2, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    })  # fmt: skip
    assert count(model).total == 7_285_403_648  # "7,285,403,648 parameters" on its card
    assert model.kind == "ssm"


def test_bamba_has_its_published_count(read_config: Any) -> None:
    model = read_config({
        "model_type": "bamba", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "attn_layer_indices": [9, 18, 27],
        "mamba_n_heads": 128, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_d_conv": 4,
        "mamba_expand": 2, "max_position_embeddings": 262144, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    })  # fmt: skip
    assert sum(g.count for g in model.layers if g.attention) == 3
    assert count(model).total == pytest.approx(9.78e9, rel=2e-3)


def test_a_nemotron_with_experts(read_config: Any) -> None:
    model = read_config({
        "model_type": "nemotron_h", "hidden_size": 2688, "num_hidden_layers": 52, "vocab_size": 131072,
        "layers_block_type": ["mamba", "moe"] * 23 + ["attention"] * 6, "num_attention_heads": 32,
        "num_key_value_heads": 2, "head_dim": 128, "mamba_num_heads": 64, "mamba_head_dim": 64, "n_groups": 8,
        "ssm_state_size": 128, "conv_kernel": 4, "moe_intermediate_size": 1856, "n_routed_experts": 128,
        "n_shared_experts": 1, "moe_shared_expert_intermediate_size": 3712, "num_experts_per_tok": 6,
        "max_position_embeddings": 262144, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    })  # fmt: skip
    assert count(model).total == pytest.approx(31.6e9, rel=0.01)  # Nemotron-3-Nano "30B-A3B"
    assert count(model).active_without_embedding == pytest.approx(3.2e9, rel=0.05)


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (KNOWN["mamba-2.8b"] | {"ssm_cfg": {"layer": "Mamba3"}}, "ssm_cfg.layer", "not supported"),
        (KNOWN["mamba-2.8b"] | {"attn_layer_idx": [9]}, "attn_layer_idx", "not supported"),
        (KNOWN["mamba-2.8b"] | {"n_layer": 10**8}, "n_layer", "out of range"),
        (KNOWN["mamba2-2.7b"] | {"ssm_cfg": {"layer": "Mamba2", "headdim": 63}}, "ssm_cfg.headdim", "does not divide"),
        (KNOWN["mamba2-2.7b"] | {"ssm_cfg": {"layer": "Mamba2", "ngroups": 3}}, "ssm_cfg.ngroups", "does not divide"),
        (KNOWN["falcon-mamba-7b"] | {"time_step_rank": "many"}, "time_step_rank", "whole number"),
        (KNOWN["jamba-1.5-mini"] | {"num_experts_per_tok": 17}, "num_experts_per_tok", "more than"),
        (NEMOTRON | {"hybrid_override_pattern": "MX"}, "hybrid_override_pattern", "no kind of layer"),
        (NEMOTRON | {"hybrid_override_pattern": "M-"}, "hybrid_override_pattern", "2 entries for 52 layers"),
        (NEMOTRON | {"hybrid_override_pattern": None}, "hybrid_override_pattern", "missing"),
        (NEMOTRON | {"moe_latent_size": 1024}, "moe_latent_size", "not supported"),
        (KNOWN["rwkv-6-world-7b"] | {"attention_hidden_size": 64}, "attention_hidden_size", "not supported"),
        (KNOWN["rwkv-6-world-7b"] | {"head_size": 63}, "head_size", "does not divide"),
        (KNOWN["rwkv-6-world-7b"] | {"proj_low_rank_dim": 32}, "proj_low_rank_dim", "not supported"),
        (KNOWN["rwkv-7-world-7.2b"] | {"attn": {"layers": [3]}}, "attn", "not supported"),
        (
            {"model_type": "mamba2", "hidden_size": 4096, "num_heads": 100, "head_dim": 64, "num_hidden_layers": 2,
             "vocab_size": 9}, "num_heads", "are not expand",
        ),
    ],
)  # fmt: skip
def test_what_the_shapes_cannot_say_is_refused_by_field(
    config: Config, field: str, message: str, read_config: Any
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_config(config)
    assert caught.value.field == field


def test_every_form_is_one_that_exists(read_config: Any) -> None:
    forms = {g.recurrence.form for slug in KNOWN for g in read_config(KNOWN[slug]).layers if g.recurrence}
    assert forms == {"mamba1", "mamba2", "rwkv6", "rwkv7"}
    assert Recurrence("mamba1", 8, 16, 1).inner == 8


@settings(max_examples=200, deadline=None)
@given(data=st.data(), slug=st.sampled_from(sorted(KNOWN)))
def test_no_garbled_value_gets_past_a_typed_error(
    data: st.DataObject, slug: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = dict(KNOWN[slug])
    value = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
    config[data.draw(st.sampled_from(sorted(config)))] = data.draw(value | st.lists(value, max_size=2))
    path = tmp_path_factory.getbasetemp() / "garbled_recurrent.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    try:
        total = count(hf_config.read(path)).total
    except InferAtlasError as error:
        assert error.exit_code in (2, 3)
    else:
        assert total > 0
