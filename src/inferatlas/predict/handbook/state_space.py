"""Recurrent layers in closed form: their state (4), the work of decode and of prefill by chunks (5), and break-even.

A state-space, linear-attention or RWKV layer keeps ``heads`` matrices of ``key`` x ``value`` per sequence instead of
keys and values per token, so its decode step costs the same at any context. Here the layer stands alone: which context
makes it smaller and faster than attention, and how long a chunk of a prompt should be. Sizes in values or bytes, rates
per second. The factors of (5) vary by kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.catalogue.model import Layers, Recurrence
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.attention import kept, kv_values
from inferatlas.predict.performance.arguments import floats


def mamba1_state(inner: int, state: int, taps: int) -> int:
    """Values that a Mamba-1 layer keeps per sequence, equation (4): ``D_in (N + k - 1)``.

    ``inner`` channels D_in, ``state`` values N of each, ``taps`` k of the short convolution, which keeps k - 1 inputs.

    >>> mamba1_state(8192, 16, 4)  # a layer of Falcon-Mamba 7B
    155648
    """
    return inner * (state + taps - 1)


def matrix_state(heads: int, key: int, value: int, channels: int = 0, taps: int = 1) -> int:
    """Values that a Mamba-2, GLA or RWKV layer keeps per sequence, (4): ``H d_k d_v`` and the convolution's ``k - 1``.

    ``channels`` pass the convolution: D_in + 2 G N in Mamba-2, whose groups G have a B and a C of N values each.

    >>> matrix_state(80, 128, 64), matrix_state(80, 128, 64, channels=5120 + 2 * 128, taps=4)  # of Mamba-2 2.7B
    (655360, 671488)
    """
    return heads * key * value + channels * (taps - 1)


def recurrent_values(layer: Recurrence) -> int:
    """Values that a layer of the catalogue keeps per sequence, equation (4).

    RWKV mixes each token with the one before, in both of its blocks: a convolution of two taps over 2 D channels.

    >>> recurrent_values(Recurrence("rwkv6", heads=64, key=64, value=64))
    270336
    """
    if layer.form == "mamba1":
        return mamba1_state(layer.inner, layer.key, layer.conv)
    if layer.form == "mamba2":
        channels = layer.inner + 2 * layer.groups * layer.key
        return matrix_state(layer.heads, layer.key, layer.value, channels, layer.conv)
    return matrix_state(layer.heads, layer.key, layer.value, 2 * layer.inner, 2)


def values_held(layers: Sequence[Layers], context: ArrayLike) -> Floats:
    """Values that a sequence of ``context`` tokens keeps over all layers, equation (4): the sum over kinds of layers.

    >>> from inferatlas.catalogue.model import Attention
    >>> mamba = Layers(28, None, None, recurrence=Recurrence("mamba1", heads=8192, key=16, value=1, conv=4))
    >>> values_held([mamba, Layers(4, Attention(32, 8, 128), None)], [0, 1000]).tolist()
    [4358144.0, 12550144.0]
    """
    tokens = floats(context, "context", 0)
    held = np.zeros_like(tokens)
    for group in layers:
        if group.attention:
            held = held + group.count * kv_values(group.attention) * kept(tokens, group.attention.window)
        if group.recurrence:
            held = held + group.count * recurrent_values(group.recurrence)
    return held


def decode_flop(inner: ArrayLike, state: ArrayLike, batch: ArrayLike) -> Floats:
    """FLOP of one layer's recurrence for a token of each sequence, equation (5): ``6 D_in N B``.

    With heads, D_in N is ``H d_k d_v``. A decay, an outer product and a read-out of two FLOP per value each.

    >>> float(decode_flop(8192, 16, 1))
    786432.0
    """
    return 6.0 * floats(inner, "inner", 0) * floats(state, "state", 0) * floats(batch, "batch", 0)


def decode_bytes(state_bytes: ArrayLike, batch: ArrayLike) -> Floats:
    """Bytes of one layer's state that a decode step moves, equation (5): read and written, ``2 B state``.

    >>> float(decode_bytes(4 * 155648, 16))
    19922944.0
    """
    return 2.0 * floats(batch, "batch", 0) * floats(state_bytes, "state_bytes", 0)


def decode_intensity(inner: ArrayLike, state: ArrayLike, state_bytes: ArrayLike) -> Floats:
    """FLOP per byte of state in decode, ``6 D_in N/(2 state)``: below ``3/b``, far from any ridge point.

    >>> round(float(decode_intensity(8192, 16, 2 * 155648)), 3)
    1.263
    """
    return decode_flop(inner, state, 1.0) / decode_bytes(floats(state_bytes, "state_bytes", above=0), 1.0)


def prefill_flop(
    batch: ArrayLike, tokens: ArrayLike, heads: ArrayLike, key: ArrayLike, value: ArrayLike, chunk: ArrayLike
) -> Floats:
    """FLOP of one layer over a prompt by chunks of c tokens, equation (5): ``2 B Q H (c d_k + c d_v + 2 d_k d_v)``.

    Within a chunk as attention does, between chunks through the state.

    >>> float(prefill_flop(1, 1, 80, 128, 64, 256)), float(prefill_flop(1, 2048, 80, 128, 64, 256))
    (10485760.0, 21474836480.0)
    """
    h, k, v, c = (floats(x, n, above=0) for x, n in zip((heads, key, value, chunk), ("heads", "key", "value", "chunk"),
                                                        strict=True))  # fmt: skip
    return 2.0 * floats(batch, "batch", 0) * floats(tokens, "tokens", 0) * h * (c * (k + v) + 2.0 * k * v)


def prefill_time(
    tokens: ArrayLike, heads: ArrayLike, key: ArrayLike, value: ArrayLike, chunk: ArrayLike, value_bytes: ArrayLike,
    flop_per_s: ArrayLike, bytes_per_s: ArrayLike,
) -> Floats:  # fmt: skip
    """Seconds of one layer's recurrence over a prompt: the FLOP of (5), and a state written and read for every chunk.

    ``FLOP(c)/P + 2 (Q/c) H d_k d_v b/M``: long chunks multiply more, short ones pass the state on more often.
    """
    state = floats(heads, "heads", 0) * np.asarray(key) * np.asarray(value) * floats(value_bytes, "value_bytes", 0)
    passed = 2.0 * floats(tokens, "tokens", 0) / np.asarray(chunk) * state
    work = prefill_flop(1.0, tokens, heads, key, value, chunk)
    return work / floats(flop_per_s, "flop_per_s", above=0) + passed / floats(bytes_per_s, "bytes_per_s", above=0)


def best_chunk(
    key: ArrayLike, value: ArrayLike, value_bytes: ArrayLike, flop_per_s: ArrayLike, bytes_per_s: ArrayLike
) -> Floats:
    """The chunk, in tokens, for which `prefill_time` is least: ``sqrt(b (P/M) d_k d_v/(d_k + d_v))``.

    With 32-bit states an H100 wants 224 tokens for the heads of Mamba-2 2.7B; its kernels take 256.

    >>> round(float(best_chunk(128, 64, 4.0, 989e12, 3.35e12)))
    224
    """
    k, v = floats(key, "key", above=0), floats(value, "value", above=0)
    ratio = floats(flop_per_s, "flop_per_s", above=0) / floats(bytes_per_s, "bytes_per_s", above=0)
    return np.sqrt(floats(value_bytes, "value_bytes", 0) * ratio * k * v / (k + v))


def smaller_from(state_bytes: ArrayLike, kv_bytes: ArrayLike) -> Floats:
    """Context in tokens from which a state is smaller than the cache of an attention layer: ``state/kv``.

    A layer of Falcon-Mamba against one of 8 KV heads of 128, both 16 bit:

    >>> float(smaller_from(2 * 155648, 2 * 2048))
    76.0
    """
    return floats(state_bytes, "state_bytes", 0) / floats(kv_bytes, "kv_bytes", above=0)


def faster_from(state_bytes: ArrayLike, kv_bytes: ArrayLike) -> Floats:
    """Context from which its decode moves fewer bytes: ``2 state/kv``, as a state is also written.

    Decode of both is bound by memory (of MLA it need not be), so this is where it becomes faster.
    """
    return 2.0 * smaller_from(state_bytes, kv_bytes)


def fewer_flop_from(
    heads: ArrayLike, key: ArrayLike, value: ArrayLike, chunk: ArrayLike, attention_heads: ArrayLike,
    head_dim: ArrayLike,
) -> Floats:  # fmt: skip
    """Prompt in tokens from which its prefill takes fewer FLOP than causal attention, both by (5); at least 1.

    Attention takes ``2 H d (Q + 1)`` per token of a prompt of Q.

    >>> float(fewer_flop_from(80, 128, 64, 256, 32, 128))
    1279.0
    """
    attention = 2.0 * floats(attention_heads, "attention_heads", above=0) * floats(head_dim, "head_dim", above=0)
    return np.maximum(prefill_flop(1.0, 1.0, heads, key, value, chunk) / attention - 1.0, 1.0)
