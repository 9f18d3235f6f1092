"""What a LoRA adapter weighs: two thin matrices beside each projection that it changes."""

from __future__ import annotations

from collections.abc import Iterator

from inferatlas.catalogue.model import Attention, FeedForward, ModelConfig

BYTES = 2.0  # of a weight: adapters are kept in 16 bit


def adapter_bytes(model: ModelConfig, rank: int) -> float:
    """Bytes of one adapter of a rank: ``rank (in + out)`` weights per projection of attention and dense feed-forward.

    Routed experts have none: engines and training tools leave them as they are by default.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> adapter_bytes(load_model("llama-2-7b"), 16) / 2  # 32 layers of 4 x (4096 + 4096) and 3 x (4096 + 11008)
    39976960.0
    """
    both = 0
    for group in model.layers:
        edges = [*_attention(group.attention, model.hidden), *_attention(group.cross, model.hidden),
                 *_ffn(group.ffn, model.hidden)]  # fmt: skip
        both += group.count * sum(a + b for a, b in edges)
    return BYTES * rank * both


def _attention(it: Attention | None, hidden: int) -> Iterator[tuple[int, int]]:
    """Inputs and outputs of each projection."""
    if it is None:
        return
    if not it.is_mla:
        queries, keys = it.heads * it.head_dim, it.kv_heads * it.head_dim
        yield from ((hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden))
        return
    width, values, latent = it.head_dim + it.rope_dim, it.v_dim or it.head_dim, it.kv_lora or 0
    if it.q_lora:
        yield from ((hidden, it.q_lora), (it.q_lora, it.heads * width))
    else:
        yield hidden, it.heads * width
    yield from ((hidden, latent + it.rope_dim), (latent, it.heads * (it.head_dim + values)))
    yield it.heads * values, hidden


def _ffn(it: FeedForward | None, hidden: int) -> Iterator[tuple[int, int]]:
    if it is None:
        return
    many, width = (it.shared_experts, it.shared_width) if it.is_moe else (1, it.width)
    for _ in range(many):
        yield from [(hidden, width)] * (2 if it.gated else 1)
        yield width, hidden
