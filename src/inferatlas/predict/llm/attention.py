"""The arithmetic of attention and of the KV cache, equations (4) to (6) of the performance model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.catalogue.model import Attention
from inferatlas.predict.arrays import Floats, as_floats


def pairs(new: ArrayLike, cached: ArrayLike, window: int | None = None) -> Floats:
    """Query-key pairs of ``new`` causal tokens after ``cached`` ones, equation (5).

    ``Q*S + Q*(Q+1)/2`` without a window; with one, each row of length r counts ``min(r, window)``.

    >>> float(pairs(4, 0)), float(pairs(1, 1023)), float(pairs(4, 0, window=2))
    (10.0, 1024.0, 7.0)
    """
    q, s = as_floats(new), as_floats(cached)
    full = q * s + q * (q + 1.0) * 0.5
    if window is None:
        return full
    # rows S+1 .. S+Q; those above the window count `window` instead of their length
    below = np.clip(window - s, 0.0, q)
    return below * s + below * (below + 1.0) * 0.5 + (q - below) * window


def kept(context: ArrayLike, window: int | None) -> Floats:
    """Tokens held in the cache of one layer: ``min(S, w)``, equation (4)."""
    context = as_floats(context)
    return context if window is None else np.minimum(context, float(window))


def kv_values(attention: Attention) -> int:
    """K and V values per token and layer over all ranks, equation (4): 2*H_kv*d, or r_kv + d_r for MLA."""
    if attention.kv_lora is not None:
        return attention.kv_lora + attention.rope_dim
    return 2 * attention.kv_heads * attention.head_dim


def kv_values_per_rank(attention: Attention, tp: ArrayLike) -> Floats:
    """The same per tensor-parallel rank: heads are replicated once tp > H_kv, MLA is never divided.

    >>> from inferatlas.catalogue.model import Attention
    >>> kv_values_per_rank(Attention(heads=64, kv_heads=8, head_dim=128), [1, 8, 16]).tolist()
    [2048.0, 256.0, 256.0]
    """
    tp = as_floats(tp)
    if attention.is_mla:
        return np.full_like(tp, kv_values(attention))
    return np.ceil(attention.kv_heads / tp) * (2.0 * attention.head_dim)


def flops_per_pair(attention: Attention, *, decode: bool) -> int:
    """FLOPs per query-key pair and layer over all heads, equation (5).

    GQA and MHA: 4*H*d. MLA in prefill: 2*H*(d_n + d_r + d_v); in decode, absorbed: 2*H*(2*r_kv + d_r).
    """
    if attention.kv_lora is None:
        return 4 * attention.heads * attention.head_dim
    if decode:
        return 2 * attention.heads * (2 * attention.kv_lora + attention.rope_dim)
    return 2 * attention.heads * (attention.head_dim + attention.rope_dim + attention.v_dim)
