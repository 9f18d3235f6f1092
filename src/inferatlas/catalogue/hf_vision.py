"""The vision towers of multimodal wrappers: the section ``vision_config`` as a `Vision`.

What the files of the image processor say, and ``config.json`` does not (how many tiles, how many pixels), is taken from
the defaults of Hugging Face transformers and reported as assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from inferatlas.catalogue.hf_keys import Keys
from inferatlas.catalogue.hf_shapes import divided, layer_count
from inferatlas.catalogue.model import Attention, FeedForward, Layers, Vision


def siglip(top: Keys, v: Keys, text: int) -> Vision:
    """Gemma 3: each image one square; patches are averaged to ``mm_tokens_per_image`` tokens, then projected."""
    hidden, patch, image = v.count("hidden_size"), v.count("patch_size"), v.count("image_size")
    side = divided(v, "patch_size", image, "image_size", patch)
    tokens = top.count("mm_tokens_per_image", default=256)
    across = math.isqrt(tokens)
    if across**2 != tokens or side % across:
        raise top.bad("mm_tokens_per_image", f"{tokens} tokens do not divide {side} x {side} patches", str(side**2))
    return _counted(
        Vision(
            (_layers(v, bias=True, gated=False),), hidden, patch, image, side // across, patch_bias=True,
            positions=side**2, norm_bias=True, norms=1,
        ), projector=hidden * text + hidden,
    )  # fmt: skip


def llama4(top: Keys, v: Keys, text: int) -> Vision:
    """Llama 4: tiles; four patches are laid side by side, then pass an adapter of two matrices and a projector."""
    hidden, patch, image = v.count("hidden_size"), v.count("patch_size"), v.count("image_size")
    ratio = v.number("pixel_shuffle_ratio") if v.has("pixel_shuffle_ratio") else 0.5
    merge, side = round(1 / ratio), divided(v, "patch_size", image, "image_size", patch)
    if not merge or side % merge:
        raise v.bad("pixel_shuffle_ratio", f"{ratio} does not divide {side} x {side} patches", "0.5")
    into, out = v.count("projector_input_dim", default=4096), v.count("projector_output_dim", default=4096)
    adapter = hidden * merge**2 * into + out * out
    return _counted(
        Vision(
            (_layers(v, bias=True, gated=False),), hidden, patch, image, merge, resize="tiles",
            most_tiles=v.count("max_patches", default=16), positions=side**2 + 1, class_token=True, norm_bias=True,
            norms=2,
        ), projector=adapter + v.count("vision_output_dim", default=4096) * text,
    )  # fmt: skip


def pixtral(top: Keys, v: Keys, text: int) -> Vision:
    """Mistral 3: images keep their size; a norm, the merge of patches, and two matrices."""
    hidden, merge = v.count("hidden_size"), top.count("spatial_merge_size", default=2)
    bias = 2 * text if top.flag("multimodal_projector_bias", False) else 0
    return _counted(
        Vision(
            (_layers(v, bias=False, gated=True),), hidden, v.count("patch_size"), v.count("image_size"), merge,
            resize="native", norms=1,
        ), projector=hidden + merge**2 * hidden**2 + hidden * text + text**2 + bias,
    )  # fmt: skip


def qwen(top: Keys, v: Keys, text: int) -> Vision:
    """Qwen2.5-VL: any size up to an area; most layers see windows, those of ``fullatt_block_indexes`` the image."""
    hidden, patch, merge = v.count("hidden_size"), v.count("patch_size"), v.count("spatial_merge_size", default=2)
    depth, heads = layer_count(v, "depth"), v.count("num_heads")
    size = divided(v, "num_heads", hidden, "hidden_size", heads)
    window = divided(v, "patch_size", v.count("window_size", default=112), "window_size", patch) ** 2
    whole = v.indices("fullatt_block_indexes") or set()
    ffn, groups = FeedForward(v.count("intermediate_size"), bias=True), []
    for count, seen in ((depth - len(whole & set(range(depth))), window), (len(whole & set(range(depth))), None)):
        attention = Attention(heads, heads, size, window=seen, qkv_bias=True, out_bias=True, causal=False)
        groups += [Layers(count, attention, ffn)] if count else []
    merged, pixels = merge**2 * hidden, v.count("max_pixels", default=12845056)
    return _counted(
        Vision(
            tuple(groups), hidden, patch, math.isqrt(pixels), merge, resize="area",
            frames=v.count("temporal_patch_size", default=2),
        ), projector=hidden + merged**2 + merged + merged * text + text,
    )  # fmt: skip


def _layers(v: Keys, *, bias: bool, gated: bool) -> Layers:
    hidden, heads = v.count("hidden_size"), v.count("num_attention_heads")
    size = v.count("head_dim") if v.has("head_dim") else divided(v, "num_attention_heads", hidden, "hidden_size", heads)
    attention = Attention(heads, heads, size, qkv_bias=bias, out_bias=bias, causal=False)
    return Layers(layer_count(v), attention, FeedForward(v.count("intermediate_size"), gated=gated, bias=bias))


def _counted(v: Vision, projector: int) -> Vision:
    """The tower with its weights: here from the modules that Hugging Face builds (`predict.llm.vision` agrees)."""
    norm = v.hidden * (2 if v.norm_bias else 1)
    total = (3 * v.frames * v.patch**2 + v.patch_bias + v.positions + v.class_token) * v.hidden + v.norms * norm
    for group in v.layers:
        a, f = group.attention, group.ffn
        assert a is not None and f is not None
        inner, matrices = a.heads * a.head_dim, 3 if f.gated else 2
        attention = 4 * v.hidden * inner + (3 * inner if a.qkv_bias else 0) + (v.hidden if a.out_bias else 0)
        biases = (matrices - 1) * f.width + v.hidden if f.bias else 0
        total += group.count * (attention + matrices * v.hidden * f.width + biases + group.norms * norm)
    return replace(v, parameters=total + projector, projector=projector)


TOWERS: dict[str, Callable[[Keys, Keys, int], Vision]] = {
    "gemma3": siglip, "llama4": llama4, "mistral3": pixtral, "qwen2_5_vl": qwen,
}  # fmt: skip
