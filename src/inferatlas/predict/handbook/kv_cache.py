"""The KV cache in closed form: values per token (4), FLOP per byte read in decode (5), restoring (31), room (32).

Predictions go layer by layer, with windows and ranks (`llm/attention.py`), and ask how many sequences of a given
context fit (`mapping/memory.py`). What a smaller cache saves is in `kv_compression.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.catalogue.model import Attention, ModelConfig
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.attention import flops_per_pair, kv_values
from inferatlas.predict.llm.parameters import require_modelled
from inferatlas.predict.performance.arguments import floats


def kv_values_per_token(model: ModelConfig) -> int:
    """Values cached per token over all layers (equation (4)); multiply by the bytes of a cached value.

    An upper bound where layers have a window: they stop growing at ``window`` tokens. Nothing is kept of a prompt that
    is only embedded. Index keys of sparse attention and cross attention, which grows with the prompt alone, are not in
    it.
    """
    require_modelled(model)
    if model.embeds:
        return 0
    return sum(group.count * kv_values(group.attention) for group in model.layers if group.attention)


def decode_intensity(attention: Attention, kv_bytes: float) -> float:
    """FLOP per byte of cache read in decode: 2*H/(H_kv*b_kv) for GQA, about 242 for MLA with 128 heads.

    >>> from inferatlas.catalogue.model import Attention
    >>> decode_intensity(Attention(heads=64, kv_heads=8, head_dim=128), 2.0)
    8.0
    """
    return flops_per_pair(attention, decode=True) / (kv_values(attention) * kv_bytes)


def longest_context(
    capacity: float, fraction: float, weights: float, activations: float, kv_per_token: float, sequences: int = 1,
    block: int = 16,
) -> int:  # fmt: skip
    """Equation (32): largest context in tokens that fits, down to whole blocks; 0 if the weights do not fit.

    >>> longest_context(80e9, 0.9, 16e9, 0.0, 131072.0)
    427232
    """
    tokens = (capacity * fraction - weights - activations) / (sequences * kv_per_token)
    return max(int(tokens // block) * block, 0)


def restore_time(tokens: ArrayLike, kv_bytes: ArrayLike, bytes_per_s: ArrayLike, latency_s: ArrayLike = 0.0) -> Floats:
    """Seconds until a cached prompt is back from a slower tier, equation (31): ``l + S kv/W_tier``.

    Parameters
    ----------
    kv_bytes : of one token over all layers.

    >>> round(float(restore_time(32768, 131072, 7e9, 100e-6)), 3)  # Llama-3.1-8B, 32k tokens from one NVMe drive
    0.614
    """
    moved = floats(tokens, "tokens", 0) * floats(kv_bytes, "kv_bytes", 0)
    return floats(latency_s, "latency_s", 0) + moved / floats(bytes_per_s, "bytes_per_s", above=0)


def recompute_time(tokens: ArrayLike, prefill_tokens_per_s: ArrayLike) -> Floats:
    """Seconds to compute it again, equation (31): ``S/(prefill rate)``, with the mean rate over so long a prompt.

    >>> float(recompute_time(32768, 16384.0))
    2.0
    """
    return floats(tokens, "tokens", 0) / floats(prefill_tokens_per_s, "prefill_tokens_per_s", above=0)


def restoring_rate(kv_bytes: ArrayLike, prefill_tokens_per_s: ArrayLike) -> Floats:
    """Bytes per second of a tier above which restoring wins, equation (31): ``kv bytes per token x tokens/s``.

    >>> float(restoring_rate(131072, 16384.0)) / 1e9
    2.147483648
    """
    return floats(kv_bytes, "kv_bytes", 0) * floats(prefill_tokens_per_s, "prefill_tokens_per_s", above=0)


def restored_from(
    kv_bytes: ArrayLike, bytes_per_s: ArrayLike, prefill_tokens_per_s: ArrayLike, latency_s: ArrayLike
) -> Floats:
    """Tokens from which restoring wins although the tier answers late; infinite where its rate is too low.

    Both times of (31) are equal: ``l/(1/prefill - kv/W)``.

    >>> restored_from(131072, [7e9, 1e9], 16384.0, 100e-6).round(1).tolist()
    [2.4, inf]
    """
    rate = floats(prefill_tokens_per_s, "prefill_tokens_per_s", above=0)
    saved = 1.0 / rate - floats(kv_bytes, "kv_bytes", 0) / floats(bytes_per_s, "bytes_per_s", above=0)
    late = floats(latency_s, "latency_s", 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(saved > 0, late / saved, np.inf)
