"""Where time goes, operator by operator: rows sum to the step, and each kind of model shows what it is made of."""

import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.vision import image_patches
from inferatlas.predict.performance.breakdown import Spent, breakdown
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask


def rows(slug: str, part: str = "nvidia-h200-sxm", images: int = 0, **asked) -> list[Spent]:
    model = load_model(slug)
    patches = image_patches(model.vision, 1024, 1024) if images else 0
    ops = operators(model, images=images, patches=patches)
    table = platform_table([bind(part, model=model)], is_moe=bool(ops.experts))
    load = {"concurrency": 4, "input_tokens": 300, "output_tokens": 1 if model.embeds else 64}
    points = make_points(0, **(load | asked))
    return breakdown(ops, table, points, predict(ops, table, points, proven=True))


def names(spent: list[Spent], phase: str) -> set[str]:
    return {row.operator for row in spent if row.phase == phase}


@pytest.mark.parametrize("part", ["nvidia-h200-sxm", "cerebras-wse-3"])
@pytest.mark.parametrize(
    "slug",
    ["llama-3.1-8b", "mixtral-8x7b", "falcon-mamba-7b", "jamba-1.5-mini", "flan-t5-xxl", "bge-m3", "deepseek-v3.2"],
)
def test_shares_of_each_phase_sum_to_it(slug, part):
    spent = rows(slug, part, pp=8 if part == "cerebras-wse-3" else 1)
    for phase in {row.phase for row in spent}:
        assert sum(row.share for row in spent if row.phase == phase) == pytest.approx(1.0)
    assert all(row.seconds > 0 for row in spent)


@pytest.mark.parametrize(
    ("slug", "prefill", "decode"),
    [
        ("falcon-mamba-7b", {"recurrence", "recurrence_in", "recurrence_x"}, {"recurrence", "recurrence_out"}),
        ("flan-t5-xxl", {"cross_kv", "cross_q", "cross_attention", "attention"}, {"cross_q", "cross_attention"}),
        ("deepseek-v3.2", {"indexer", "experts"}, {"indexer", "attention"}),
        ("rwkv-6-world-7b", {"recurrence_mix", "ffn_receptance"}, {"recurrence_decay", "ffn_receptance"}),
    ],
)
def test_a_model_shows_what_it_is_made_of(slug, prefill, decode):
    spent = rows(slug)
    assert prefill <= names(spent, "prefill") and decode <= names(spent, "decode")
    assert "cross_kv" not in names(spent, "decode")


def test_a_tower_is_in_the_prompt_alone():
    spent = rows("gemma-3-27b", images=2, input_tokens=900)
    assert {"vision_qkv", "vision_attention", "vision_projector"} <= names(spent, "prefill")
    assert not any(name.startswith("vision") for name in names(spent, "decode"))


def test_a_stream_is_called_by_what_it_comes_from():
    spent = rows("llama-3.1-8b", offload=0.5)
    assert "slower memory" in names(spent, "prefill") & names(spent, "decode")


@pytest.mark.parametrize("slug", ["bge-m3", "e5-mistral-7b", "llama-3.1-8b"])
def test_nothing_is_decoded_for_a_vector_or_a_single_token(slug):
    assert {row.phase for row in rows(slug, output_tokens=1)} == {"prefill"}
    answer = ask(slug, "h100", isl=256, osl=1, concurrency=4)
    assert {row["phase"] for row in answer.breakdown} == {"prefill"}
