"""Images as work: patches that pass the vision tower, tokens that enter the language model, weights of the tower.

In: a `Vision` and the size of an image in pixels. Out: integers. The rules of resizing are those of the image
processors that are published with the models, as Hugging Face transformers has them:

- ``fixed`` (SigLIP in Gemma 3): any image becomes one square. Pan and scan, which adds crops, is off by default.
- ``native`` (Pixtral in Mistral Small 3.1): an image that is longer than the limit on a side shrinks to it; then each
  side is rounded up to whole tokens.
- ``area`` (Qwen2.5-VL): each side is rounded to whole tokens; an image above the limit of area, or below four tokens,
  is scaled to it.
- ``tiles`` (Llama 4): of all grids of up to ``most_tiles`` squares the one that shrinks the image least, and of those
  that do not shrink it the one that enlarges it least; of equals the smallest. More than one tile: one more of the
  whole image.

Tokens of text around an image (begin, end, breaks of rows, separators of tiles) are not counted.
"""

from __future__ import annotations

import math

from inferatlas.catalogue.model import Vision
from inferatlas.errors import BadInput
from inferatlas.predict.llm.parameters import stack

CHANNELS = 3  # red, green, blue
FEWEST = 4  # tokens of an image under the rule ``area``


def image_tokens(vision: Vision, width: int, height: int) -> int:
    """Tokens that an image of ``width`` x ``height`` pixels becomes.

    Raises
    ------
    BadInput : a side is not a whole number of pixels >= 1.

    Examples
    --------
    >>> gemma = Vision((), hidden=1152, patch=14, image=896, merge=4)
    >>> pixtral = Vision((), hidden=1024, patch=14, image=1540, merge=2, resize="native")
    >>> llama = Vision((), hidden=1408, patch=14, image=336, merge=2, resize="tiles", most_tiles=16)
    >>> [image_tokens(tower, 1024, 768) for tower in (gemma, pixtral, llama)]
    [256, 1036, 1872]
    """
    return image_patches(vision, width, height) // vision.merge**2


def image_patches(vision: Vision, width: int, height: int) -> int:
    """Patches of an image of ``width`` x ``height`` pixels that pass the tower, over all tiles.

    Raises
    ------
    BadInput : a side is not a whole number of pixels >= 1.

    Examples
    --------
    >>> image_patches(Vision((), hidden=1152, patch=14, image=896, merge=4), 640, 480)
    4096
    """
    for field, side in (("width", width), ("height", height)):
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise BadInput(f"'{side}' is not a number of pixels", field=field, allowed="a whole number >= 1")
    if vision.resize == "fixed":
        return (vision.image // vision.patch) ** 2
    if vision.resize == "tiles":
        tiles = math.prod(_grid(vision, width, height))
        return (tiles + (tiles > 1)) * (vision.image // vision.patch) ** 2
    grid = _native if vision.resize == "native" else _area
    return math.prod(grid(vision, width, height)) * vision.merge**2


def tower_parameters(vision: Vision) -> int:
    """Weights of the tower without its projector: patches, positions, layers and norms, exactly.

    Examples
    --------
    >>> from inferatlas.catalogue.model import Attention, FeedForward, Layers
    >>> attention = Attention(heads=16, kv_heads=16, head_dim=64, causal=False)
    >>> layers = (Layers(24, attention, FeedForward(4096)),)
    >>> pixtral = Vision(layers, hidden=1024, patch=14, image=1540, merge=2, resize="native", norms=1)
    >>> tower_parameters(pixtral)
    403305472
    """
    norm = vision.hidden * (2 if vision.norm_bias else 1)
    rows = CHANNELS * vision.frames * vision.patch**2 + vision.patch_bias + vision.positions + vision.class_token
    return rows * vision.hidden + stack(vision.layers, vision.hidden, norm).total + vision.norms * norm


def _native(vision: Vision, width: int, height: int) -> tuple[int, int]:
    """Tokens across and down: the longer side at most ``image`` pixels, then rounded up to tokens."""
    token, shrink = vision.patch * vision.merge, max(width / vision.image, height / vision.image, 1.0)
    across, down = (max(math.floor(side / shrink), 1) for side in (width, height))
    return -(-across // token), -(-down // token)


def _area(vision: Vision, width: int, height: int) -> tuple[int, int]:
    """Tokens across and down: rounded to tokens, at most ``image`` squared in area and at least four tokens."""
    token, most = vision.patch * vision.merge, vision.image**2
    across, down = max(round(width / token), 1), max(round(height / token), 1)
    if across * down * token**2 > most:
        shrink = math.sqrt(width * height / most)
        return max(math.floor(width / shrink / token), 1), max(math.floor(height / shrink / token), 1)
    if across * down < FEWEST:
        grow = math.sqrt(FEWEST * token**2 / (width * height))
        return math.ceil(width * grow / token), math.ceil(height * grow / token)
    return across, down


def _grid(vision: Vision, width: int, height: int) -> tuple[int, int]:
    """Tiles across and down."""
    most = vision.most_tiles
    grids = [(x, y) for x in range(1, most + 1) for y in range(1, most // x + 1)]

    def scale(grid: tuple[int, int]) -> float:
        return min(grid[0] * vision.image / width, grid[1] * vision.image / height)

    larger = [scale(grid) for grid in grids if scale(grid) >= 1.0]
    best = min(larger) if larger else max(scale(grid) for grid in grids)
    return min((grid for grid in grids if scale(grid) == best), key=math.prod)
