"""A model that is so many times as large, in the same shape: more layers, or more experts a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from inferatlas.catalogue.model import Layers, ModelConfig

Way = Literal["layers", "experts"]


def grown(model: ModelConfig, scale: float, way: Way) -> ModelConfig:
    """The model with ``scale`` times the layers, or the experts; both rounded to whole ones.

    More experts hold more parameters and cost a token no more; more layers cost in proportion.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> llama, mixtral = load_model("llama-3.1-8b"), load_model("mixtral-8x7b")
    >>> grown(llama, 2.5, "layers").layer_count, grown(mixtral, 4, "experts").layers[0].ffn.experts
    (80, 32)
    """

    def of(group: Layers) -> Layers:
        if way == "layers":
            return replace(group, count=max(round(group.count * scale), 1))
        if group.ffn is None or not group.ffn.is_moe:
            return group
        return replace(group, ffn=replace(group.ffn, experts=max(round(group.ffn.experts * scale), group.ffn.top_k)))

    return replace(model, layers=tuple(of(group) for group in model.layers))


def ways(model: ModelConfig) -> tuple[Way, ...]:
    """How a model can grow: a mixture of experts by its experts first."""
    routed = any(group.ffn is not None and group.ffn.is_moe for group in model.layers)
    return ("experts", "layers") if routed else ("layers",)
