"""The KV cache in closed form: values per token (4), FLOP per byte read in decode (5), the longest context (32).

Predictions go layer by layer, with windows and ranks (`llm/attention.py`), and ask how many sequences of a given
context fit (`mapping/memory.py`).
"""

from __future__ import annotations

from inferatlas.catalogue.model import Attention, ModelConfig
from inferatlas.predict.llm.attention import flops_per_pair, kv_values
from inferatlas.predict.llm.parameters import require_modelled


def kv_values_per_token(model: ModelConfig) -> int:
    """Values cached per token over all layers (equation (4)); multiply by the bytes of a cached value.

    An upper bound where layers have a window: they stop growing at ``window`` tokens.
    """
    require_modelled(model)
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
