"""A Hugging Face config.json becomes the same shapes as the catalogue's; what it lacks or garbles is named."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue import hf_config
from inferatlas.catalogue.model import Attention, ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.predict.llm.parameters import count

Config = dict[str, Any]


def sizes(
    model_type: str, hidden: int, layers: int, vocab: int, context: int, heads: int, kv: int, **more: Any
) -> Config:
    return {
        "model_type": model_type, "hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": vocab,
        "max_position_embeddings": context, "num_attention_heads": heads, "num_key_value_heads": kv,
        "torch_dtype": "bfloat16", **more,
    }  # fmt: skip


def compressed(**weights: Any) -> Config:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}


def _without(config: Config, *keys: str) -> Config:
    return {key: value for key, value in config.items() if key not in keys}


GQA = Attention(heads=32, kv_heads=8, head_dim=128)
LLAMA = sizes("llama", 4096, 32, 128256, 131072, 32, 8, intermediate_size=14336, tie_word_embeddings=False)
MLA = {
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
SCOUT_TEXT = sizes(
    "llama4_text", 5120, 48, 202048, 10485760, 40, 8, head_dim=128, attention_bias=False, attention_chunk_size=8192,
    interleave_moe_layer_step=1, intermediate_size=8192, intermediate_size_mlp=16384, num_experts_per_tok=1,
    num_local_experts=16, use_qk_norm=True,
)  # fmt: skip
GPT_OSS = sizes(
    "gpt_oss", 2880, 24, 201088, 131072, 64, 8, head_dim=64, intermediate_size=2880, num_local_experts=32,
    num_experts_per_tok=4, sliding_window=128, attention_bias=True, tie_word_embeddings=False,
    layer_types=["sliding_attention", "full_attention"] * 12, quantization_config={"quant_method": "mxfp4"},
)  # fmt: skip
GEMMA3_TEXT = {  # as published: what equals the library's defaults is left out
    "model_type": "gemma3_text", "hidden_size": 5376, "intermediate_size": 21504, "num_hidden_layers": 62,
    "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128, "sliding_window": 1024,
}  # fmt: skip
QWEN3_MOE = sizes(
    "qwen3_moe", 2048, 48, 151936, 40960, 32, 4, head_dim=128, intermediate_size=6144, moe_intermediate_size=768,
    num_experts=128, num_experts_per_tok=8, decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False,
    sliding_window=None, attention_bias=False, tie_word_embeddings=False,
)  # fmt: skip

SIGLIP = {
    "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
    "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False,
}  # fmt: skip
LLAMA4_VISION = {
    "hidden_size": 1408, "image_size": 336, "intermediate_size": 5632, "model_type": "llama4_vision_model",
    "num_attention_heads": 16, "num_channels": 3, "num_hidden_layers": 34, "patch_size": 14, "pixel_shuffle_ratio": 0.5,
    "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim": 4096,
}  # fmt: skip
PIXTRAL = {
    "model_type": "pixtral", "hidden_size": 1024, "head_dim": 64, "intermediate_size": 4096, "image_size": 1540,
    "patch_size": 14, "num_attention_heads": 16, "num_hidden_layers": 24, "num_channels": 3,
}  # fmt: skip


def _nemotron() -> Config:
    """Eighty blocks in the form of the model's own file; multipliers give the catalogue's widths."""
    blocks: list[Config] = []
    multipliers = {28672: 5.25, 17920: 3.28125, 14336: 2.625, 7168: 1.3125, 5632: 1.0, 2816: 0.5}
    for group in load_model("nemotron-super-49b").layers:
        assert group.ffn is not None
        attention = {"no_op": False, "n_heads_in_group": 8} if group.attention else {"no_op": True}
        ffn = {"no_op": False, "ffn_mult": multipliers[group.ffn.width], "replace_with_linear": False}
        blocks += [{"attention": attention, "ffn": ffn}] * group.count
    config = sizes("nemotron-nas", 8192, 80, 128256, 131072, 64, 8, block_configs=blocks, tie_word_embeddings=False)
    return _without(config, "num_key_value_heads")


KNOWN: dict[str, Config] = {
    "llama-3.1-8b": LLAMA,
    "qwen2.5-72b": sizes(
        "qwen2", 8192, 80, 152064, 32768, 64, 8, intermediate_size=29568, use_sliding_window=False,
        sliding_window=131072, max_window_layers=70, tie_word_embeddings=False,
    ),
    "qwen3-8b": sizes(
        "qwen3", 4096, 36, 151936, 40960, 32, 8, head_dim=128, intermediate_size=12288, attention_bias=False,
        use_sliding_window=False, sliding_window=None, tie_word_embeddings=False,
    ),
    "qwen3-30b-a3b": QWEN3_MOE,
    "ministral-8b": sizes(
        "mistral", 4096, 36, 131072, 32768, 32, 8, head_dim=128, intermediate_size=12288, sliding_window=32768,
    ),
    "mixtral-8x7b": sizes(
        "mixtral", 4096, 32, 32000, 32768, 32, 8, intermediate_size=14336, num_local_experts=8, num_experts_per_tok=2,
        sliding_window=None, tie_word_embeddings=False,
    ),
    "gemma-2-27b": sizes(
        "gemma2", 4608, 46, 256000, 8192, 32, 16, head_dim=128, intermediate_size=36864, sliding_window=4096,
    ),
    "gpt-oss-20b": GPT_OSS,
    "deepseek-r1": sizes(
        "deepseek_v3", 7168, 61, 129280, 163840, 128, 128, n_routed_experts=256, first_k_dense_replace=3,
        moe_layer_freq=1, topk_method="noaux_tc", tie_word_embeddings=False, **MLA,
    ),
    "deepseek-v3.2": sizes(
        "deepseek_v32", 7168, 61, 129280, 163840, 128, 128, n_routed_experts=256, first_k_dense_replace=3,
        moe_layer_freq=1, topk_method="noaux_tc", tie_word_embeddings=False, index_n_heads=64, index_head_dim=128,
        index_topk=2048, **MLA,
    ),
    "kimi-k2": sizes(
        "kimi_k2", 7168, 61, 163840, 131072, 64, 64, n_routed_experts=384, first_k_dense_replace=1, **MLA,
    ),
    "llama-4-scout": {"model_type": "llama4", "text_config": SCOUT_TEXT, "vision_config": LLAMA4_VISION},
    "mistral-small-3.1-24b": {
        "model_type": "mistral3", "torch_dtype": "bfloat16", "vision_config": PIXTRAL, "spatial_merge_size": 2,
        "text_config": _without(sizes(
            "mistral", 5120, 40, 131072, 131072, 32, 8, head_dim=128, intermediate_size=32768, sliding_window=None,
        ), "torch_dtype"),
    },
    "gemma-3-27b": {
        "model_type": "gemma3", "torch_dtype": "bfloat16", "text_config": _without(GEMMA3_TEXT, "model_type"),
        "vision_config": SIGLIP, "mm_tokens_per_image": 256,
    },
    "opt-66b": _without(sizes(
        "opt", 9216, 64, 50272, 2048, 72, 72, ffn_dim=36864, word_embed_proj_dim=9216, do_layer_norm_before=True,
    ), "num_key_value_heads", "torch_dtype") | {"dtype": "float16"},
    "nemotron-super-49b": _nemotron(),
}  # fmt: skip


def _read(folder: Path, config: Any, name: str = "config.json") -> ModelConfig:
    path = folder / name
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return hf_config.read(path)


@pytest.mark.parametrize("slug", KNOWN)
def test_a_published_configuration_gives_the_catalogues_model(slug: str, tmp_path: Path) -> None:
    ours, theirs = load_model(slug), _read(tmp_path, KNOWN[slug])
    grouped = [Counter() for _ in range(2)]
    for groups, model in zip(grouped, (ours, theirs), strict=True):
        for group in model.layers:
            groups[group.attention, group.ffn, group.norms] += group.count
    assert grouped[0] == grouped[1]
    for field in (
        "kind", "hidden", "vocab", "context_length", "tied_embeddings", "position_embeddings", "norm_bias",
        "checkpoint_weights", "vision", "other_parameters",
    ):  # fmt: skip
        assert getattr(ours, field) == getattr(theirs, field), field
    assert count(theirs) == count(ours)


def test_the_text_part_of_an_unknown_wrapper_counts_and_the_rest_is_named_as_a_gap(tmp_path: Path) -> None:
    model = _read(tmp_path, {"model_type": "llava", "text_config": LLAMA, "vision_config": SIGLIP})
    assert model.facts is not None
    gap = model.facts.chosen("parameters.other")
    assert gap is not None
    assert (gap.value, gap.provenance) == (None, "gap")
    assert model.other_parameters == 0
    assert model.vision is None


def test_a_known_tower_is_counted(tmp_path: Path) -> None:
    facts = _read(tmp_path, KNOWN["gemma-3-27b"]).facts
    assert facts is not None
    assert facts.number("parameters.vision") == 416_866_032
    assert facts.number("parameters.projector") == 6_194_304
    assert facts.chosen("parameters.other") is None


def test_a_decoder_without_head_embeds(tmp_path: Path) -> None:
    e5 = sizes(
        "mistral", 4096, 32, 32000, 32768, 32, 8, intermediate_size=14336, sliding_window=4096,
        architectures=["MistralModel"], tie_word_embeddings=False,
    )  # fmt: skip
    ours, theirs = load_model("e5-mistral-7b"), _read(tmp_path, e5)
    assert (theirs.kind, theirs.layers, theirs.tied_embeddings) == ("embedding", ours.layers, True)
    assert count(theirs) == count(ours)
    both_ways = _read(tmp_path, e5 | {"is_causal": False}).layers[0].attention
    assert both_ways is not None
    assert not both_ways.causal
    assert _read(tmp_path, e5 | {"architectures": ["MistralForCausalLM"]}).kind == "dense"


def test_library_defaults_are_named_in_the_facts(tmp_path: Path) -> None:
    facts = _read(tmp_path, KNOWN["gemma-3-27b"]).facts
    assert facts is not None
    vocabulary = facts.chosen("default.text_config.vocab_size")
    assert vocabulary is not None
    assert (vocabulary.value, vocabulary.status) == ("262208", "unverified")
    llama = _read(tmp_path, _without(LLAMA, "num_key_value_heads"))
    assert llama.facts is not None
    assert llama.facts.text("default.num_key_value_heads") == "32"
    assert llama.layers[0].attention is not None
    assert llama.layers[0].attention.head_dim == 128


def test_load_model_takes_the_file_or_its_directory(tmp_path: Path) -> None:
    folder = tmp_path / "My Model"
    folder.mkdir()
    model = _read(folder, LLAMA | {"_name_or_path": "someone/Something-8B"})
    assert replace(load_model(folder), facts=None) == replace(model, facts=None)
    assert (model.id, model.hf_id) == ("my-model", "someone/Something-8B")
    assert load_model(str(folder / "config.json")).layers == load_model("llama-3.1-8b").layers


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"attention_bias": True, "mlp_bias": True}, lambda m: m.layers[0].attention.out_bias and m.layers[0].ffn.bias),
        ({"model_type": "phi3", "sliding_window": 2047}, lambda m: m.layers[0].attention.window == 2047),
        ({"model_type": "mistral"}, lambda m: m.layers[0].attention.window == 4096),
        ({"model_type": "olmo2"}, lambda m: count(m).norms == 32 * (2 * 4096 + 40 * 128) + 4096),
        ({"model_type": "granite"}, lambda m: m.layers == load_model("llama-3.1-8b").layers),
        ({"model_type": "gemma", "head_dim": 256}, lambda m: m.layers[0].attention.head_dim == 256),
        (
            {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 512, "max_window_layers": 24},
            lambda m: {g.attention.window: g.count for g in m.layers} == {None: 24, 512: 8},
        ),
        (
            {
                "model_type": "qwen2_moe", "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
                "shared_expert_intermediate_size": 5632, "decoder_sparse_step": 2, "mlp_only_layers": [1],
            },
            lambda m: {bool(g.ffn.experts): g.count for g in m.layers} == {False: 17, True: 15},
        ),
        (
            {
                "model_type": "glm4_moe", "n_routed_experts": 160, "n_shared_experts": 1, "num_experts_per_tok": 8,
                "moe_intermediate_size": 1408, "first_k_dense_replace": 3, "attention_bias": True, "use_qk_norm": True,
            },
            lambda m: m.layers[1].attention == replace(GQA, qkv_bias=True, qk_norm=True),
        ),
    ],
)  # fmt: skip
def test_families_differ_where_their_code_does(changes: Config, check: Any, tmp_path: Path) -> None:
    assert check(_read(tmp_path, LLAMA | changes))


def test_maverick_alternates_dense_and_sparse_layers(tmp_path: Path) -> None:
    text = SCOUT_TEXT | {"interleave_moe_layer_step": 2, "num_local_experts": 128}
    model = _read(tmp_path, {"model_type": "llama4", "text_config": text})
    assert sum(g.count for g in model.layers if g.ffn is not None and g.ffn.is_moe) == 24
    assert count(model).total == pytest.approx(401e9, rel=0.01)  # "400B" with 0.87B of vision


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        (compressed(num_bits=8, type="float"), "fp8"),
        (compressed(num_bits=4, type="int", group_size=128), "int4"),
        (compressed(num_bits=4, type="float", group_size=16), "nvfp4"),
    ],
)  # fmt: skip
def test_the_checkpoints_format_is_read(quantization: Config, expected: str, tmp_path: Path) -> None:
    assert _read(tmp_path, LLAMA | {"quantization_config": quantization}).checkpoint_weights == expected


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "zamba2", "hidden_size": 3584, "vocab_size": 32000, "max_position_embeddings": 4096}, "hybrid"),
        ({"model_type": "qwen3_next", "hidden_size": 2048, "vocab_size": 151936}, "hybrid"),
        ({"model_type": "rwkv", "hidden_size": 4096, "vocab_size": 65536, "context_length": 4096}, "linear rnn"),
        ({"model_type": "bart", "d_model": 1024, "vocab_size": 50265}, "encoder-decoder"),
        ({"model_type": "modernbert", "hidden_size": 1024, "vocab_size": 50368}, "embedding"),
    ],
)
def test_recognised_but_not_modelled_architectures_say_so(config: Config, kind: str, tmp_path: Path) -> None:
    model = _read(tmp_path, config)
    assert model.kind == kind
    assert model.not_modelled is not None
    assert "not modelled yet" in model.not_modelled


BAD: list[tuple[Config, str, str]] = [
    (LLAMA | {"model_type": "perceptron"}, "model_type", "unknown architecture 'perceptron'.*llama"),
    (_without(LLAMA, "model_type"), "model_type", "missing.*llama"),
    (LLAMA | {"model_type": 5}, "model_type", "not a text"),
    (LLAMA | {"model_type": ["llama"]}, "model_type", "not a text"),
    *[(_without(LLAMA, key), key, "missing") for key in LLAMA if key not in
      ("model_type", "num_key_value_heads", "torch_dtype", "tie_word_embeddings")],
    (LLAMA | {"hidden_size": None}, "hidden_size", "missing"),
    (LLAMA | {"hidden_size": -4096}, "hidden_size", "out of range"),
    (LLAMA | {"hidden_size": 0}, "hidden_size", "out of range"),
    (LLAMA | {"hidden_size": 10**20}, "hidden_size", "out of range"),
    (LLAMA | {"hidden_size": "4096"}, "hidden_size", "whole number"),
    (LLAMA | {"hidden_size": 4096.0}, "hidden_size", "whole number"),
    (LLAMA | {"hidden_size": float("nan")}, "hidden_size", "whole number"),
    (LLAMA | {"hidden_size": True}, "hidden_size", "whole number"),
    (LLAMA | {"hidden_size": [4096]}, "hidden_size", "whole number"),
    (LLAMA | {"hidden_size": 4097}, "num_attention_heads", "does not divide"),
    (LLAMA | {"num_key_value_heads": 7}, "num_key_value_heads", "does not divide"),
    (LLAMA | {"num_hidden_layers": 10**9}, "num_hidden_layers", "out of range"),
    (LLAMA | {"tie_word_embeddings": "no"}, "tie_word_embeddings", "truth value"),
    (LLAMA | {"torch_dtype": "bfloat12"}, "torch_dtype", "not supported"),
    (LLAMA | {"layer_types": ["full_attention"]}, "layer_types", "1 entries for 32 layers"),
    (LLAMA | {"layer_types": ["linear_attention"] * 32}, "layer_types", "not supported"),
    (LLAMA | {"layer_types": ["sliding_attention"] * 32}, "sliding_window", "missing"),
    (LLAMA | {"quantization_config": {}}, "quantization_config.quant_method", "missing"),
    (LLAMA | {"quantization_config": 8}, "quantization_config", "section"),
    (LLAMA | {"quantization_config": {"quant_method": "magic"}}, "quantization_config.quant_method", "not supported"),
    (LLAMA | {"quantization_config": {"quant_method": "gptq", "bits": 3}}, "quantization_config.bits", "not supported"),
    (QWEN3_MOE | {"num_experts_per_tok": 129}, "num_experts_per_tok", "more than"),
    (QWEN3_MOE | {"mlp_only_layers": [[1]]}, "mlp_only_layers", "layer number"),
    (_without(QWEN3_MOE, "num_experts"), "num_experts", "missing"),
    ({"model_type": "llama4", "text_config": 7}, "text_config", "section"),
    ({"model_type": "llava", "text_config": _without(LLAMA, "model_type")}, "text_config.model_type", "missing"),
    ({"model_type": "llama4", "text_config": _without(SCOUT_TEXT, "vocab_size")}, "text_config.vocab_size", "missing"),
    (KNOWN["nemotron-super-49b"] | {"block_configs": [1] * 80}, "block_configs.0", "section"),
    (_without(KNOWN["nemotron-super-49b"], "block_configs"), "block_configs", "missing"),
    (KNOWN["gemma-3-27b"] | {"vision_config": 5}, "vision_config", "section"),
    (KNOWN["gemma-3-27b"] | {"vision_config": _without(SIGLIP, "image_size")}, "vision_config.image_size", "missing"),
    (KNOWN["gemma-3-27b"] | {"mm_tokens_per_image": 255}, "mm_tokens_per_image", "do not divide"),
    (
        KNOWN["llama-4-scout"] | {"vision_config": LLAMA4_VISION | {"pixel_shuffle_ratio": 4.0}},
        "vision_config.pixel_shuffle_ratio", "does not divide",
    ),
    (KNOWN["opt-66b"] | {"word_embed_proj_dim": 512}, "word_embed_proj_dim", "not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "field", "message"), BAD)
def test_bad_configurations_are_refused_by_field(config: Config, field: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        _read(tmp_path, config)
    assert caught.value.field == field
    assert caught.value.file == str(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "empty", 1),
        ("  \n", "empty", 1),
        ('{"model_type": "llama",\n "hidden_size": }', "not valid JSON", 2),
        ("[1, 2]", "mapping", 1),
        ("null", "mapping", 1),
        ('{"a": 1, "a": 2}', "given twice", None),
        ("[" * 100_000, "not valid JSON", None),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON", None),
    ],
)
def test_what_is_no_json_mapping_is_refused(text: str, message: str, line: int | None, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        _read(tmp_path, text)
    assert caught.value.line == line


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        hf_config.read(tmp_path / "gone.json")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is not UTF-8 text"):
        hf_config.read(tmp_path / "config.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), slug=st.sampled_from(sorted(KNOWN)))
def test_no_garbled_value_gets_past_a_typed_error(
    data: st.DataObject, slug: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = json.loads(json.dumps(KNOWN[slug]))
    sections = [part for part in (config, config.get("text_config"), config.get("vision_config")) if part]
    part = data.draw(st.sampled_from(sections))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    try:
        model = _read(tmp_path_factory.getbasetemp(), config, "garbled.json")
        total = count(model).total
    except InferAtlasError as error:
        assert error.exit_code in (2, 3)
    else:
        assert total > 0
