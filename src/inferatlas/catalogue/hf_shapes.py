"""What the families of `hf_families.py` and its neighbours share: the shapes they return, and how they make layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from inferatlas.catalogue.hf_keys import Keys
from inferatlas.catalogue.model import Attention, FeedForward, Layers, Recurrence

MOST_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a family adds to the sizes that all have, and those sizes where its files name them otherwise."""

    layers: tuple[Layers, ...]
    tied: bool = False  # default of tie_word_embeddings
    position_embeddings: int = 0
    norm_bias: bool = False
    kind: str | None = None  # None: moe or dense, as the layers say
    encoder: tuple[Layers, ...] = ()
    token_types: int = 0
    embedding_norm: bool = False
    pooler: bool = False
    position_buckets: int = 0
    final_norm: bool = True
    hidden: int | None = None  # None: hidden_size
    vocab: int | None = None  # None: vocab_size
    context: int | None = None  # None: max_position_embeddings; 0: the file names none


def layer_count(k: Keys, key: str = "num_hidden_layers", default: int | None = None) -> int:
    """How many layers; a number that no model has is refused before a list of that length is made."""
    layers = k.count(key, default=default)
    if layers > MOST_LAYERS:
        raise k.bad(key, f"{layers} is out of range", f"1 to {MOST_LAYERS}")
    return layers


def divided(k: Keys, key: str, value: int, by: str, divisor: int) -> int:
    """``value / divisor``, or the key refused where that leaves a rest."""
    if value % divisor:
        raise k.bad(key, f"{divisor} does not divide {by} ({value})", "a divisor")
    return value // divisor


def unsupported(k: Keys, *keys: str) -> None:
    """Refuse keys whose parts the shapes cannot say."""
    for key in keys:
        if k.data.get(key):
            raise k.bad(key, "is not supported", "leave it out")


Blocks = tuple[Attention | None, Recurrence | None, FeedForward | None]


def grouped(blocks: Iterable[Blocks], norms: int = 2) -> tuple[Layers, ...]:
    """Layers given one by one, equal ones in one group."""
    groups = Counter(blocks)
    return tuple(Layers(n, a, f, norms, recurrence=r) for (a, r, f), n in groups.items())


def grouped_query(
    k: Keys, *, biased: bool = False, heads: int | None = None, kv_heads: int | None = None, head_dim: int | None = None
) -> Attention:
    """MHA, GQA or MQA; the arguments are the family's defaults where it has its own."""
    heads = k.count("num_attention_heads", default=heads)
    kv = k.count("num_key_value_heads", default=kv_heads or heads)
    if heads % kv:
        raise k.bad("num_key_value_heads", f"{kv} does not divide num_attention_heads ({heads})", "a divisor")
    if not k.has("head_dim") and head_dim is None:
        hidden = k.count("hidden_size")
        if hidden % heads:
            raise k.bad("num_attention_heads", f"{heads} does not divide hidden_size ({hidden})", "or give head_dim")
        head_dim = hidden // heads
    bias = k.flag("attention_bias", biased) if biased or k.has("attention_bias") else False
    return Attention(heads, kv, k.count("head_dim", default=head_dim), qkv_bias=bias, out_bias=bias)


def spread(
    k: Keys,
    attention: Attention,
    ffn: Callable[[int], FeedForward],
    *,
    window: int | None = None,
    local: Callable[[int], bool] = lambda _: True,
    norms: int = 2,
) -> tuple[Layers, ...]:
    """Equal layers in groups: layer i looks back ``window`` tokens where ``local(i)``; ``layer_types`` overrules."""
    depth = layer_count(k)
    kinds = k.items("layer_types", depth)
    groups: Counter[tuple[Attention, FeedForward]] = Counter()
    for i in range(depth):
        near = _is_local(k, kinds[i]) if kinds else local(i)
        if near and kinds and window is None:
            raise k.bad("sliding_window", "is missing, and layer_types has local layers")
        groups[replace(attention, window=window if near else None), ffn(i)] += 1
    return tuple(Layers(count, a, f, norms) for (a, f), count in groups.items())


def _is_local(k: Keys, kind: object) -> bool:
    if kind not in ("full_attention", "sliding_attention", "chunked_attention"):
        raise k.bad("layer_types", f"'{kind}' is not supported", "full_attention, sliding_attention, chunked_attention")
    return kind != "full_attention"


def dense_everywhere(k: Keys, key: str = "intermediate_size") -> Callable[[int], FeedForward]:
    """The same dense block in every layer."""
    block = FeedForward(k.count(key), bias=k.has("mlp_bias") and k.flag("mlp_bias", False))
    return lambda _: block


def routed_experts(k: Keys, number: str, width: str) -> FeedForward:
    """A mixture of ``number`` experts without shared ones."""
    experts, top_k = k.count(number), k.count("num_experts_per_tok")
    if top_k > experts:
        raise k.bad("num_experts_per_tok", f"{top_k} is more than {number} ({experts})", f"1 to {experts}")
    return FeedForward(k.count(width), experts=experts, top_k=top_k)
