"""How many weights a model has, and where: exact counts from its shapes.

In: a `ModelConfig`. Out: integers, no rounding. Implements equations (1) and (2) of the performance
model; norms, biases and other small tensors come on top, so that totals equal the checkpoint's.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig
from inferatlas.errors import NotModelled
from inferatlas.predict.llm.attention import kv_values


@dataclass(frozen=True, slots=True)
class Parameters:
    """Weights of one model by kind (counts, not bytes); the kinds add up to ``total``.

    ``active`` counts what one token of text meets: everything but the routed experts it is not sent to and
    ``other``. It includes the whole input embedding, as the catalogue's computed counts do; some
    model cards leave that out where it is not the output projection as well (gpt-oss: "5.13B"):
    ``active_without_embedding``.

    ``streamed`` counts what a decode step reads when every expert is hit: the text model without
    the tables of which a step reads only a few rows (the input embedding, unless the output projection is the
    same matrix, and learned positions).
    """

    embedding: int  # vocab x hidden
    positions: int  # learned absolute positions
    attention: int  # projections, equation (1)
    ffn: int  # dense blocks, all routed and shared experts, equation (2) without the router
    router: int  # hidden x experts
    biases: int  # biases, attention sinks, gate of a shared expert
    norms: int
    lm_head: int  # 0 where tied to the embedding; with its bias
    other: int  # held by the checkpoint, not used by text (vision tower, projector)
    active: int
    active_without_embedding: int
    streamed: int

    @property
    def total(self) -> int:
        text = self.embedding + self.positions + self.attention + self.ffn + self.router
        return text + self.biases + self.norms + self.lm_head + self.other


def attention_parameters(attention: Attention, hidden: int) -> int:
    """Projection weights of one attention block, without norms and biases (equation (1)).

    ``GQA: 2·D·H·d + 2·D·H_kv·d``; ``MLA: D·r_q + r_q·H·(d_n+d_r) + D·(r_kv+d_r) + r_kv·H·(d_n+d_v) + H·d_v·D``
    (DeepSeek-V2, arXiv:2405.04434); an MLA without ``q_lora`` has one query projection ``D·H·(d_n+d_r)``.

    Examples
    --------
    >>> attention_parameters(Attention(heads=32, kv_heads=8, head_dim=128), hidden=4096)  # Llama-3.1-8B
    41943040
    """
    a, heads = attention, attention.heads
    if a.kv_lora is None:
        return 2 * hidden * heads * a.head_dim + 2 * hidden * a.kv_heads * a.head_dim
    key = a.head_dim + a.rope_dim
    query = hidden * a.q_lora + a.q_lora * heads * key if a.q_lora else hidden * heads * key
    latent = hidden * (a.kv_lora + a.rope_dim) + a.kv_lora * heads * (a.head_dim + a.v_dim)
    return query + latent + heads * a.v_dim * hidden


def expert_parameters(ffn: FeedForward, hidden: int) -> int:
    """Weights of one routed expert, or of the whole block where it is dense: ``g·D·F``, g = 3 gated, 2 plain.

    Examples
    --------
    >>> expert_parameters(FeedForward(width=14336), hidden=4096)
    176160768
    """
    return (3 if ffn.gated else 2) * hidden * ffn.width


def ffn_parameters(ffn: FeedForward, hidden: int) -> int:
    """Weights of one feed-forward block with all experts and the router, without biases (equation (2)).

    ``dense: g·D·F``; ``MoE: E·g·D·F_e + N_shared·g·D·F_shared + D·E``.

    Examples
    --------
    >>> ffn_parameters(FeedForward(width=28672), hidden=8192)  # Llama-3.1-70B
    704643072
    """
    if not ffn.is_moe:
        return expert_parameters(ffn, hidden)
    gates = 3 if ffn.gated else 2
    shared = ffn.shared_experts * gates * hidden * ffn.shared_width
    return ffn.experts * expert_parameters(ffn, hidden) + shared + router_parameters(ffn, hidden)


def router_parameters(ffn: FeedForward, hidden: int) -> int:
    """Weights of the router of one block, ``D·E``; 0 where it is dense."""
    return hidden * ffn.experts


def count(model: ModelConfig) -> Parameters:
    """Count the weights of a model exactly (equations (1), (2), and the small tensors they leave out).

    Raises
    ------
    NotModelled : the model has parts that `Layers` cannot express (state-space layers, encoders).

    Examples
    --------
    >>> layers = Layers(count=32, attention=Attention(heads=32, kv_heads=8, head_dim=128), ffn=FeedForward(width=14336))
    >>> llama = ModelConfig("llama-3.1-8b", "", "", "dense", 4096, 128256, (layers,), False, 131072)
    >>> count(llama).total
    8030261248
    """
    require_modelled(model)
    d, groups = model.hidden, model.layers
    norm = d * (2 if model.norm_bias else 1)
    embedding, positions = model.vocab * d, model.position_embeddings * d
    attention = sum(g.count * attention_parameters(g.attention, d) for g in groups if g.attention)
    router = sum(g.count * router_parameters(g.ffn, d) for g in groups if g.ffn)
    ffn = sum(g.count * ffn_parameters(g.ffn, d) for g in groups if g.ffn) - router
    biases = sum(g.count * _biases(g, d) for g in groups)
    norms = norm + sum(g.count * (g.norms * norm + _inner_norms(g.attention)) for g in groups)
    lm_head = (0 if model.tied_embeddings else embedding) + (model.vocab if model.lm_head_bias else 0)
    text = embedding + positions + attention + ffn + router + biases + norms + lm_head
    idle = sum(g.count * (g.ffn.experts - g.ffn.top_k) * _expert_with_bias(g.ffn, d) for g in groups if g.ffn)
    lookup = 0 if model.tied_embeddings else embedding  # a tied table is read in full, as output projection
    streamed = text - positions - lookup
    return Parameters(
        embedding, positions, attention, ffn, router, biases, norms, lm_head, model.other_parameters,
        active=text - idle, active_without_embedding=text - idle - lookup, streamed=streamed,
    )  # fmt: skip


def require_modelled(model: ModelConfig) -> None:
    """Refuse a model with parts that `Layers` cannot express (NotModelled)."""
    if model.not_modelled is not None:
        raise NotModelled(f"{model.id}: {model.not_modelled}", field="model")


def _inner_norms(attention: Attention | None) -> int:
    """Norm vectors inside an attention block: of queries and keys, and of the latents of MLA."""
    if attention is None:
        return 0
    latents = (attention.q_lora or 0) + attention.kv_lora if attention.kv_lora is not None else 0
    if attention.qk_norm_over_heads:
        return latents + (attention.heads + attention.kv_heads) * attention.head_dim
    return latents + (2 * attention.head_dim if attention.qk_norm else 0)


def _biases(group: Layers, hidden: int) -> int:
    total = 0
    if group.attention is not None:
        a = group.attention
        if a.qkv_bias:  # MLA has biases on its two down-projections only (DeepSeek-V3, transformers)
            query_width = (a.q_lora or 0) if a.is_mla else a.heads * a.head_dim
            total += query_width + kv_values(a)
        total += (hidden if a.out_bias else 0) + (a.heads if a.sinks else 0)
    if group.ffn is not None:
        f = group.ffn
        blocks = f.experts if f.is_moe else 1
        total += blocks * _expert_bias(f, hidden) + (f.experts if f.router_bias else 0)
        total += hidden if f.shared_gate else 0
    return total


def _expert_bias(ffn: FeedForward, hidden: int) -> int:
    """Biases of one expert or dense block: on each input projection and on the output."""
    return (2 if ffn.gated else 1) * ffn.width + hidden if ffn.bias else 0


def _expert_with_bias(ffn: FeedForward, hidden: int) -> int:
    return expert_parameters(ffn, hidden) + _expert_bias(ffn, hidden)
