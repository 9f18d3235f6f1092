"""The vision sections of wrappers: two independent counts agree, and they equal the published ones."""

from typing import Any

import pytest

from inferatlas.catalogue.models import load_model, models
from inferatlas.errors import BadInput
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.vision import tower_parameters

QWEN = {
    "model_type": "qwen2_5_vl", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 128000,
    "use_sliding_window": False, "sliding_window": 32768, "max_window_layers": 28, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vision_config": {
        "depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14,
        "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("nested", [False, True])
def test_qwen_vl_is_the_catalogues(nested: bool, read_config: Any, assert_same: Any) -> None:
    config = dict(QWEN)
    if nested:  # newer versions of the library keep the text apart
        config = {"model_type": "qwen2_5_vl", "vision_config": QWEN["vision_config"]}
        config["text_config"] = {k: v for k, v in QWEN.items() if k not in ("vision_config", "model_type")}
    ours, theirs = load_model("qwen2.5-vl-7b"), read_config(config)
    assert_same(ours, theirs)
    assert count(theirs).total == 8_292_166_656


@pytest.mark.parametrize("slug", [slug for slug, model in models().items() if model.vision])
def test_a_tower_and_its_projector_are_what_the_checkpoint_holds(slug: str) -> None:
    model = models()[slug]
    assert model.vision is not None
    assert tower_parameters(model.vision) + model.vision.projector == model.vision.parameters == model.other_parameters


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"num_heads": 15}, "vision_config.num_heads", "does not divide"),
        ({"window_size": 100}, "vision_config.patch_size", "does not divide"),
        ({"depth": 10**7}, "vision_config.depth", "out of range"),
        ({"fullatt_block_indexes": ["a"]}, "vision_config.fullatt_block_indexes", "layer number"),
        ({"hidden_size": None}, "vision_config.hidden_size", "missing"),
    ],
)
def test_bad_sections_are_refused_by_field(changes: dict[str, Any], field: str, message: str, read_config: Any) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_config(QWEN | {"vision_config": QWEN["vision_config"] | changes})
    assert caught.value.field == field
