"""What a language model is to the rest of the house: shapes, not weights."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.facts import FactSheet


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention block (MHA, GQA and MQA by ``kv_heads``; MLA where ``kv_lora`` is set).

    ``window`` limits how many past tokens a query sees (None: all of them).
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

    @property
    def is_moe(self) -> bool:
        return self.experts > 0


@dataclass(frozen=True, slots=True)
class Layers:
    """A run of ``count`` identical layers; either block may be absent (pruned models)."""

    count: int
    attention: Attention | None
    ffn: FeedForward | None
    norms: int = 2  # RMSNorm/LayerNorm vectors of the hidden size per layer


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model as its shapes. ``layers`` groups equal layers; their order does not matter here.

    ``not_modelled`` is the reason why there is no performance model for it yet (state-space, hybrid,
    encoder-decoder, embedding), else None. ``other_parameters`` counts what the text path does not
    use (vision tower, projector) but the checkpoint holds.
    """

    id: str
    name: str
    family: str
    kind: str  # dense, moe, ssm, hybrid, linear rnn, encoder-decoder, embedding
    hidden: int
    vocab: int
    layers: tuple[Layers, ...]
    tied_embeddings: bool
    context_length: int  # tokens, as configured (max_position_embeddings); 0: none named (not modelled ones only)
    aliases: tuple[str, ...] = ()
    hf_id: str | None = None
    position_embeddings: int = 0  # learned absolute positions (OPT, GPT-3)
    norm_bias: bool = False  # LayerNorm with bias (two vectors a norm)
    lm_head_bias: bool = False
    other_parameters: int = 0
    checkpoint_weights: str = "bf16"  # format in which the checkpoint ships (gpt-oss: mxfp4 experts)
    not_modelled: str | None = None
    facts: FactSheet | None = None
    file: str = ""

    @property
    def layer_count(self) -> int:
        return sum(group.count for group in self.layers)
