"""What a language model is to the rest of the house: shapes, not weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferatlas.catalogue.facts import FactSheet


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention block (MHA, GQA and MQA by ``kv_heads``; MLA where ``kv_lora`` is set).

    ``window`` limits how many past tokens a query sees (None: all of them); those beyond it are not kept.
    ``selected`` limits how many of the kept ones a query reads, chosen by an indexer of ``index_heads`` small heads
    (sparse attention, DeepSeek-V3.2). Where not ``causal``, every token of a prompt sees every other (encoders).
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    q_lora: int | None = None
    kv_lora: int | None = None
    rope_dim: int = 0  # MLA: the shared rotary part of a key
    v_dim: int = 0  # MLA: value size per head (head_dim is then the non-rotary key size)
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False  # learned norm of queries and keys, one vector of head_dim each
    qk_norm_over_heads: bool = False  # those vectors span all heads instead (OLMo 2)
    sinks: bool = False  # one learned logit per head (gpt-oss)
    causal: bool = True
    selected: int | None = None
    index_heads: int = 0
    index_dim: int = 0  # size of an index key, of which one is kept per token
    position_buckets: int = 0  # learned relative positions, per head, in this layer (umT5; T5 shares one table a stack)

    @property
    def is_mla(self) -> bool:
        return self.kv_lora is not None


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A dense feed-forward block, or a mixture of experts where ``experts`` > 0."""

    width: int  # dense: intermediate size; experts: width of one routed expert
    gated: bool = True
    experts: int = 0
    top_k: int = 0
    shared_experts: int = 0
    shared_width: int = 0  # width of one shared expert
    shared_gate: bool = False  # a learned scalar gate on the shared expert (Qwen2-MoE)
    bias: bool = False
    router_bias: bool = False
    receptance: bool = False  # a gate of hidden x hidden on the output (RWKV-4 to 6)

    @property
    def is_moe(self) -> bool:
        return self.experts > 0


FORMS = ("mamba1", "mamba2", "rwkv6", "rwkv7")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A block with a state of fixed size instead of a cache: per sequence, ``heads`` matrices of ``key`` x ``value``.

    Mamba-1 is written with one head per channel (``value`` 1, ``key`` its state size), Mamba-2 with ``key`` its state
    size and ``value`` its head size, RWKV with ``key`` = ``value`` = its head size (equation (4)).
    """

    form: str  # of `FORMS`
    heads: int
    key: int
    value: int
    groups: int = 1  # Mamba-2: heads share the B and C of their group
    conv: int = 0  # taps of the short convolution of Mamba
    conv_bias: bool = True
    bias: bool = False  # on the projections in and out of Mamba
    rank: int = 0  # Mamba-1: of the step size dt
    inner_norms: bool = False  # Jamba: learned norms of dt, B and C
    mix_rank: int = 0  # RWKV: ranks of the small adapters (token mixing; decay; gate; in-context rate; value)
    decay_rank: int = 0
    gate_rank: int = 0
    rate_rank: int = 0
    value_rank: int = 0

    @property
    def inner(self) -> int:
        """Channels, D_in."""
        return self.heads * self.value


@dataclass(frozen=True, slots=True)
class Layers:
    """A run of ``count`` identical layers; any block may be absent (pruned models, hybrids).

    ``cross``: attention of a decoder to what the encoder made of the prompt; its keys and values are computed once.
    """

    count: int
    attention: Attention | None
    ffn: FeedForward | None
    norms: int = 2  # RMSNorm/LayerNorm vectors of the hidden size per layer
    recurrence: Recurrence | None = None
    cross: Attention | None = None


@dataclass(frozen=True, slots=True)
class Vision:
    """A tower that turns an image into tokens: a transformer over patches, then a projector into the language model.

    ``resize``: ``fixed``: every image becomes a square of ``image`` pixels; ``native``: an image keeps its size up to
    ``image`` pixels a side; ``area``: up to the area of such a square; ``tiles``: squares of ``image`` pixels, up to
    ``most_tiles`` and one of the whole image. ``merge`` x ``merge`` patches become one token.
    """

    layers: tuple[Layers, ...]
    hidden: int
    patch: int  # pixels a side
    image: int
    merge: int
    resize: str = "fixed"
    most_tiles: int = 1
    parameters: int = 0  # of tower and projector, as the checkpoint holds them
    projector: int = 0  # of them, the projector's: what each token passes after the merge
    frames: int = 1  # pictures that one patch spans in time; a still image is repeated (Qwen2.5-VL)
    patch_bias: bool = False
    positions: int = 0  # rows of a learned table of positions, that of a class token included
    class_token: bool = False  # one learned row more passes the tower, and is dropped (Llama 4)
    norm_bias: bool = False  # LayerNorm with bias (two vectors a norm)
    norms: int = 0  # before and after the layers


RESIZES = ("fixed", "native", "area", "tiles")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model as its shapes. ``layers`` groups equal layers; their order does not matter here.

    ``encoder``: the layers that only a prompt passes, before the ``layers`` of a decoder (T5). A model of kind
    ``embedding`` has no decoder: its one answer is a vector. ``not_modelled`` is the reason why there is no performance
    model for it, else None. ``other_parameters`` counts what the text path does not use (vision tower, projector) but
    the checkpoint holds.
    """

    id: str
    name: str
    family: str
    kind: str  # dense, moe, ssm, hybrid, linear rnn, encoder-decoder, embedding
    hidden: int
    vocab: int
    layers: tuple[Layers, ...]
    tied_embeddings: bool
    context_length: int  # tokens, as configured (max_position_embeddings); 0: none named, and none needed
    aliases: tuple[str, ...] = ()
    hf_id: str | None = None
    position_embeddings: int = 0  # learned absolute positions (OPT, GPT-3)
    norm_bias: bool = False  # LayerNorm with bias (two vectors a norm)
    lm_head_bias: bool = False
    other_parameters: int = 0
    checkpoint_weights: str = "bf16"  # format in which the checkpoint ships (gpt-oss: mxfp4 experts)
    not_modelled: str | None = None
    encoder: tuple[Layers, ...] = ()
    vision: Vision | None = None
    token_types: int = 0  # rows of a learned table of segments (BERT)
    embedding_norm: bool = False  # a norm of the embedded tokens (BERT, RWKV)
    pooler: bool = False  # a dense layer of hidden x hidden on the first token (BERT)
    position_buckets: int = 0  # learned relative positions, per head and stack (T5)
    final_norm: bool = True  # a norm after the last layer of a stack (BERT has none)
    facts: FactSheet | None = None
    file: str = ""

    @property
    def layer_count(self) -> int:
        """Layers that a decoded token passes, and a prompt of a model without encoder."""
        return sum(group.count for group in self.layers)

    @property
    def embeds(self) -> bool:
        """Whether one pass over the prompt is all: no token is generated."""
        return self.kind == "embedding"

    def span(self, input_tokens: Any, output_tokens: Any) -> Any:
        """Tokens of a request that must lie within the context: all, or of an encoder and a decoder the longer side.

        A vector takes no place in it.
        """
        if self.embeds:
            return input_tokens
        if self.encoder:
            return (input_tokens + output_tokens + abs(input_tokens - output_tokens)) / 2  # the larger, arrays too
        return input_tokens + output_tokens

    @property
    def has_experts(self) -> bool:
        """Whether any layer is a mixture of experts: models of kind ``moe``, and hybrids such as Jamba."""
        return any(group.ffn is not None and group.ffn.is_moe for group in self.layers)

    @property
    def recurs(self) -> bool:
        """Whether any layer keeps a state of fixed size instead of a cache."""
        return any(group.recurrence is not None for group in self.layers)

    def holds(self, tokens: float) -> bool:
        """Whether so many tokens lie within the context; a model that names no context has no limit."""
        return not self.context_length or tokens <= self.context_length
