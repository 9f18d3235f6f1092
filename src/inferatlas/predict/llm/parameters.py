"""How many weights a model has, and where: exact counts from its shapes.

In: a `ModelConfig`. Out: integers, no rounding. Implements equations (1) and (2) of the performance
model; recurrent blocks (`recurrence.py`), norms, biases and other small tensors come on top, so that totals equal the
checkpoint's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig
from inferatlas.errors import NotModelled
from inferatlas.predict.llm.attention import kv_values
from inferatlas.predict.llm.recurrence import recurrence_parameters


@dataclass(frozen=True, slots=True)
class Parameters:
    """Weights of one model by kind (counts, not bytes); the kinds add up to ``total``.

    ``active`` counts what one token of text meets: everything but the routed experts it is not sent to and
    ``other``. It includes the whole input embedding, as the catalogue's computed counts do; some
    model cards leave that out where it is not the output projection as well (gpt-oss: "5.13B"):
    ``active_without_embedding``.

    ``streamed`` counts what a decode step reads when every expert is hit: the text model without
    the tables of which a step reads only a few rows (the input embedding, unless the output projection is the
    same matrix, learned positions and segments), and without what only a prompt meets (an encoder; the keys and values
    of cross attention, which are computed once). Of an embedding model, which has no decode step: what a prompt reads.
    """

    embedding: int  # vocab x hidden
    positions: int  # learned positions, absolute and relative, and segments
    attention: int  # projections, equation (1), cross attention and the indexers of sparse attention included
    recurrence: int  # recurrent blocks whole, with their convolutions, biases and norms
    ffn: int  # dense blocks, all routed and shared experts, equation (2) without the router
    router: int  # hidden x experts
    biases: int  # biases, attention sinks, gate of a shared expert
    norms: int
    pooler: int
    lm_head: int  # 0 where tied to the embedding, and where there is none; with its bias
    other: int  # held by the checkpoint, not used by text (vision tower, projector)
    active: int
    active_without_embedding: int
    streamed: int

    @property
    def total(self) -> int:
        text = self.embedding + self.positions + self.attention + self.recurrence + self.ffn + self.router
        return text + self.biases + self.norms + self.pooler + self.lm_head + self.other


@dataclass(frozen=True, slots=True)
class Stack:
    """Weights of the layers of a decoder, an encoder or a vision tower, by kind (counts)."""

    attention: int
    recurrence: int
    ffn: int
    router: int
    biases: int
    norms: int
    positions: int  # relative, of single layers
    idle: int  # of experts that a token is not sent to

    @property
    def total(self) -> int:
        return self.attention + self.recurrence + self.ffn + self.router + self.biases + self.norms + self.positions


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


def indexer_parameters(attention: Attention, hidden: int) -> int:
    """Projection weights of the indexer of sparse attention, without its norm; 0 where there is none.

    Queries from the latent of MLA (else from the hidden state) ``r_q·H_i·d_i``, one key ``D·d_i``, weights of the heads
    ``D·H_i`` (DeepSeek-V3.2, its published inference code).

    Examples
    --------
    >>> sparse = Attention(128, 128, 128, q_lora=1536, kv_lora=512, selected=2048, index_heads=64, index_dim=128)
    >>> indexer_parameters(sparse, hidden=7168)
    13959168
    """
    a = attention
    return (a.q_lora or hidden) * a.index_heads * a.index_dim + hidden * (a.index_dim + a.index_heads)


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

    ``dense: g·D·F`` (RWKV-4 to 6: + D·D, the receptance); ``MoE: E·g·D·F_e + N_shared·g·D·F_shared + D·E``.

    Examples
    --------
    >>> ffn_parameters(FeedForward(width=28672), hidden=8192)  # Llama-3.1-70B
    704643072
    """
    if not ffn.is_moe:
        return expert_parameters(ffn, hidden) + (hidden * hidden if ffn.receptance else 0)
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
    NotModelled : the model has parts that `Layers` cannot express.

    Examples
    --------
    >>> layers = Layers(count=32, attention=Attention(heads=32, kv_heads=8, head_dim=128), ffn=FeedForward(width=14336))
    >>> llama = ModelConfig("llama-3.1-8b", "", "", "dense", 4096, 128256, (layers,), False, 131072)
    >>> count(llama).total
    8030261248
    """
    require_modelled(model)
    d, norm = model.hidden, model.hidden * (2 if model.norm_bias else 1)
    decoder, encoder = stack(model.layers, d, norm), stack(model.encoder, d, norm)
    embedding, stacks = model.vocab * d, [groups for groups in (model.layers, model.encoder) if groups]
    absolute = (model.position_embeddings + model.token_types) * d
    relative = model.position_buckets * sum(groups[0].attention.heads for groups in stacks if groups[0].attention)
    positions = absolute + relative + decoder.positions + encoder.positions
    norms = decoder.norms + encoder.norms + norm * (len(stacks) * model.final_norm + model.embedding_norm)
    pooler = d * d + d if model.pooler else 0
    lm_head = (0 if model.tied_embeddings else embedding) + (model.vocab if model.lm_head_bias else 0)
    looked_up = model.embeds or not model.tied_embeddings  # as output projection a tied table is read in full
    lookup = embedding if looked_up else 0
    of_prompt = encoder.total - encoder.positions + (norm if model.encoder and model.final_norm else 0)
    of_prompt += sum(g.count * _cross_keys(g.cross, d) for g in model.layers)
    found = Parameters(
        embedding, positions, decoder.attention + encoder.attention, decoder.recurrence + encoder.recurrence,
        decoder.ffn + encoder.ffn, decoder.router + encoder.router, decoder.biases + encoder.biases, norms,
        pooler, lm_head, model.other_parameters, active=0, active_without_embedding=0, streamed=0,
    )  # fmt: skip
    text = found.total - found.other
    active = text - decoder.idle - encoder.idle
    return replace(
        found, active=active, active_without_embedding=active - lookup,
        streamed=text - positions - lookup - of_prompt,
    )  # fmt: skip


def stack(groups: Iterable[Layers], hidden: int, norm: int) -> Stack:
    """The weights of a run of layers.

    Parameters
    ----------
    norm : weights of one norm: the hidden size, or twice that where norms have a bias.

    Examples
    --------
    >>> layers = Layers(count=32, attention=Attention(heads=32, kv_heads=8, head_dim=128), ffn=FeedForward(width=14336))
    >>> stack([layers], hidden=4096, norm=4096).total
    6979584000
    """
    attention = recurrence = ffn = router = biases = norms = positions = idle = 0
    for g in groups:
        blocks = [a for a in (g.attention, g.cross) if a is not None]
        attention += g.count * sum(attention_parameters(a, hidden) + indexer_parameters(a, hidden) for a in blocks)
        biases += g.count * (sum(_attention_biases(a, hidden) for a in blocks) + _ffn_biases(g.ffn, hidden))
        norms += g.count * (g.norms * norm + sum(_inner_norms(a) for a in blocks))
        positions += g.count * sum(a.heads * a.position_buckets for a in blocks)
        if g.recurrence is not None:
            recurrence += g.count * recurrence_parameters(g.recurrence, hidden)
        if g.ffn is not None:
            router += g.count * router_parameters(g.ffn, hidden)
            ffn += g.count * (ffn_parameters(g.ffn, hidden) - router_parameters(g.ffn, hidden))
            idle += g.count * (g.ffn.experts - g.ffn.top_k) * _expert_with_bias(g.ffn, hidden)
    return Stack(attention, recurrence, ffn, router, biases, norms, positions, idle)


def require_modelled(model: ModelConfig) -> None:
    """Refuse a model with parts that `Layers` cannot express (NotModelled)."""
    if model.not_modelled is not None:
        raise NotModelled(f"{model.id}: {model.not_modelled}", field="model")


def _inner_norms(a: Attention) -> int:
    """Norm vectors inside an attention block: of queries, keys and index keys, and of the latents of MLA."""
    index = 2 * a.index_dim  # a LayerNorm, with bias
    latents = (a.q_lora or 0) + a.kv_lora if a.kv_lora is not None else 0
    if a.qk_norm_over_heads:
        return index + latents + (a.heads + a.kv_heads) * a.head_dim
    return index + latents + (2 * a.head_dim if a.qk_norm else 0)


def _cross_keys(cross: Attention | None, hidden: int) -> int:
    """Weights of the keys and values of cross attention, with biases; a decode step does not read them."""
    return 0 if cross is None else kv_values(cross) * (hidden + cross.qkv_bias)


def _attention_biases(a: Attention, hidden: int) -> int:
    total = (hidden if a.out_bias else 0) + (a.heads if a.sinks else 0)
    if a.qkv_bias:  # MLA has biases on its two down-projections only (DeepSeek-V3, transformers)
        total += ((a.q_lora or 0) if a.is_mla else a.heads * a.head_dim) + kv_values(a)
    return total


def _ffn_biases(f: FeedForward | None, hidden: int) -> int:
    if f is None:
        return 0
    blocks = f.experts if f.is_moe else 1
    return blocks * _expert_bias(f, hidden) + (f.experts if f.router_bias else 0) + (hidden if f.shared_gate else 0)


def _expert_bias(ffn: FeedForward, hidden: int) -> int:
    """Biases of one expert or dense block: on each input projection and on the output."""
    return (2 if ffn.gated else 1) * ffn.width + hidden if ffn.bias else 0


def _expert_with_bias(ffn: FeedForward, hidden: int) -> int:
    return expert_parameters(ffn, hidden) + _expert_bias(ffn, hidden)
