"""What a divided layer sends, and how far dividing it pays: equations (25) and (26).

Predictions count what is sent in `performance/exchange.py` and `performance/traffic.py`, and the part of a ring that
attention does not hide in `performance/step.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.parallelism import ExpertLayer


def tensor_parallel_bytes(layer: ExpertLayer, devices: int, tokens: ArrayLike) -> Floats:
    """Bytes that a device sends under tensor parallelism: ``2(n-1)/n T D b_a``, equation (26)."""
    return 2.0 * (devices - 1) / devices * np.asarray(tokens, dtype=np.float64) * layer.hidden * layer.activation_bytes


def expert_parallel_bytes(layer: ExpertLayer, devices: int, tokens: ArrayLike) -> Floats:
    """Bytes that a device sends under expert parallelism: ``2 (T/n) k (1 - 1/n) D b_a``; k/n of the other, (26).

    >>> layer = ExpertLayer(256, 8, 1, 7168)
    >>> float(expert_parallel_bytes(layer, 32, 100) / tensor_parallel_bytes(layer, 32, 100))
    0.25
    """
    share = np.asarray(tokens, dtype=np.float64) / devices * layer.top_k * (1.0 - 1.0 / devices)
    return 2.0 * share * layer.hidden * layer.activation_bytes


def decode_sharding_limit(width: ArrayLike, link: ArrayLike, batch: ArrayLike, bytes_per_s: ArrayLike) -> Floats:
    """Devices beyond which a divided decode step waits for its links, equation (25): ``n < F W/(B M_bw)``.

    Each device streams 1/n of a feed-forward block of width F while B rows cross its link. Source: the scaling book,
    inference chapter (https://github.com/jax-ml/scaling-book).

    >>> round(float(decode_sharding_limit(28672, 450e9, 32, 3.35e12)))
    120
    """
    return np.asarray(width, dtype=np.float64) * np.asarray(link) / (np.asarray(batch) * np.asarray(bytes_per_s))


def ring_is_hidden(attention_s: ArrayLike, kv_bytes: ArrayLike, link: ArrayLike) -> NDArray[np.bool_]:
    """Whether the keys and values of a shard cross the link while attention works on another, equation (25).

    ``attention_s`` of one shard's block, ``kv_bytes`` of one shard and layer.

    >>> bool(ring_is_hidden(1e-3, 64e6, 450e9)), bool(ring_is_hidden(1e-4, 64e6, 450e9))
    (True, False)
    """
    return np.asarray(attention_s) >= np.asarray(kv_bytes, dtype=np.float64) / np.asarray(link)
