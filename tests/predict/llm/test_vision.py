"""Images as patches and tokens: the rules of the published image processors, and the weights of towers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Vision
from inferatlas.catalogue.models import load_model, models
from inferatlas.errors import BadInput
from inferatlas.predict.llm.vision import image_patches, image_tokens, tower_parameters

TOWERS = {slug: model.vision for slug, model in models().items() if model.vision is not None}
SIDES = st.integers(1, 6000)


def tower(slug: str) -> Vision:
    vision = load_model(slug).vision
    assert vision is not None
    return vision


@pytest.mark.parametrize(
    ("slug", "width", "height", "patches", "tokens"),
    [
        ("gemma-3-27b", 896, 896, 4096, 256),
        ("gemma-3-4b", 3000, 20, 4096, 256),  # whatever the image
        ("llama-4-scout", 336, 336, 576, 144),
        ("llama-4-scout", 672, 336, 3 * 576, 3 * 144),  # two tiles and the whole image
        ("llama-4-maverick", 1344, 1344, 17 * 576, 17 * 144),
        ("llama-4-maverick", 5000, 5000, 17 * 576, 17 * 144),
        ("llama-4-scout", 200, 100, 576, 144),  # enlarged as little as may be: one tile
        ("mistral-small-3.1-24b", 1540, 1540, 110 * 110, 55 * 55),
        ("mistral-small-3.1-24b", 3080, 1540, 110 * 56, 55 * 28),  # half the size, 770 rounded up to 784
        ("mistral-small-3.1-24b", 28, 28, 4, 1),
        ("mistral-small-3.1-24b", 29, 28, 8, 2),
        ("qwen2.5-vl-7b", 1092, 1092, 78 * 78, 39 * 39),
        ("qwen2.5-vl-7b", 1000, 1000, 72 * 72, 36 * 36),  # 35.7 tokens a side, rounded
        ("qwen2.5-vl-7b", 10, 10, 16, 4),  # enlarged to the least
        ("qwen2.5-vl-7b", 8000, 8000, 128 * 128 * 4, 128 * 128),  # 12,845,056 pixels at most
    ],
)
def test_images_of_known_size(slug: str, width: int, height: int, patches: int, tokens: int) -> None:
    assert image_patches(tower(slug), width, height) == patches
    assert image_tokens(tower(slug), width, height) == tokens


@given(st.sampled_from(sorted(TOWERS)), SIDES, SIDES)
def test_tokens_are_whole_and_bounded(slug: str, width: int, height: int) -> None:
    v = TOWERS[slug]
    patches, tokens = image_patches(v, width, height), image_tokens(v, width, height)
    assert tokens >= 1
    assert patches == tokens * v.merge**2
    side = -(-v.image // v.patch)
    assert patches <= side**2 * (v.most_tiles + 1 if v.resize == "tiles" else 1)
    assert image_patches(v, height, width) == patches  # a turned image is as much work


@given(SIDES, SIDES, st.integers(1, 4))
def test_a_larger_image_of_the_same_shape_is_no_fewer_tokens(width: int, height: int, times: int) -> None:
    for slug in ("mistral-small-3.1-24b", "gemma-3-27b"):
        assert image_tokens(tower(slug), width, height) <= image_tokens(tower(slug), times * width, times * height)


@given(SIDES, SIDES)
def test_an_image_within_the_limits_keeps_its_size(width: int, height: int) -> None:
    v = tower("mistral-small-3.1-24b")
    if max(width, height) <= v.image:
        token = v.patch * v.merge
        assert image_tokens(v, width, height) == math.ceil(width / token) * math.ceil(height / token)


@pytest.mark.parametrize(("slug", "weights"), [
    ("gemma-3-27b", 416_866_032), ("gemma-3-4b", 416_866_032), ("mistral-small-3.1-24b", 403_305_472),
    ("llama-4-scout", 850_960_896 - (5632 * 4096 + 4096 * 4096)), ("qwen2.5-vl-7b", 631_975_680),
])  # fmt: skip
def test_towers_have_the_weights_that_make_their_checkpoints_whole(slug: str, weights: int) -> None:
    assert tower_parameters(tower(slug)) == weights


@pytest.mark.parametrize(("width", "height", "field"), [
    (0, 5, "width"), (5, -1, "height"), (5, 1.5, "height"), ("5", 5, "width"), (True, 5, "width"),
    (5, float("nan"), "height"),
])  # fmt: skip
def test_what_is_no_size_is_refused(width: object, height: object, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        image_tokens(tower("gemma-3-4b"), width, height)  # pyright: ignore[reportArgumentType]
    assert caught.value.field == field
