"""The arithmetic of attention, of the KV cache and of states of fixed size, equations (4) to (6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.catalogue.model import Attention
from inferatlas.predict.arrays import Floats, as_floats

# An index key is kept in FP8 with one 32-bit scale per 128 values (DeepSeek-V3.2-Exp, inference code).
INDEX_BYTES = 132 / 128


def pairs(new: ArrayLike, cached: ArrayLike, window: int | None = None, *, causal: bool = True) -> Floats:
    """Query-key pairs of ``new`` tokens after ``cached`` ones, equation (5).

    ``Q*S + Q*(Q+1)/2`` without a window; with one, each row of length r counts ``min(r, window)``. Not ``causal``
    (encoders): ``Q*(S+Q)``.

    >>> float(pairs(4, 0)), float(pairs(1, 1023)), float(pairs(4, 0, window=2)), float(pairs(4, 0, causal=False))
    (10.0, 1024.0, 7.0, 16.0)
    """
    q, s = as_floats(new), as_floats(cached)
    if not causal:
        return q * np.minimum(s + q, np.inf if window is None else float(window))
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


def read(context: ArrayLike, attention: Attention) -> Floats:
    """Tokens that a query reads of those kept: all, or as many as sparse attention selects."""
    tokens = kept(context, attention.window)
    return tokens if attention.selected is None else np.minimum(tokens, float(attention.selected))


def reach(attention: Attention) -> int | None:
    """The most keys that a query meets, by window or selection; None: no limit."""
    limits = [limit for limit in (attention.window, attention.selected) if limit is not None]
    return min(limits, default=None)


def index_bytes(attention: Attention) -> float:
    """Bytes of index keys per token and layer, which sparse attention keeps beside the cache (on every rank)."""
    return INDEX_BYTES * attention.index_dim if attention.index_heads else 0.0


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
