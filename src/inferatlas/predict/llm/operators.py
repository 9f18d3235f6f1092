"""The table of operators of one forward pass: what is multiplied, what is read, how it is divided.

Each row says how often it runs per pass and gives coefficients; `performance.step` turns them into
times for a million points at once. Weights are counted in elements, activations in elements per token,
so that formats stay out of this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.model import Attention, FeedForward, ModelConfig
from inferatlas.errors import NotModelled


@dataclass(frozen=True, slots=True)
class Gemm:
    """A dense product, equation (3): per token 2*weights FLOPs.

    ``weights`` elements are divided over tensor-parallel ranks, ``kv_weights`` as far as there are KV
    heads, ``replicated`` not at all. ``io_whole`` and ``io_split`` are activation elements per token
    that every rank moves, or that are divided. ``wide`` weights stay 16-bit in quantised checkpoints
    (head, router). ``per_output`` rows: one per sequence that yields a token, not one per token.
    """

    name: str
    count: int
    weights: int
    kv_weights: int = 0
    kv_heads: int = 0
    replicated: int = 0
    io_whole: int = 0
    io_split: int = 0
    wide: bool = False
    per_output: bool = False


@dataclass(frozen=True, slots=True)
class AttentionCore:
    """Scores and weighted sum over the cache, fused (equations (5) and (6))."""

    name: str
    count: int
    attention: Attention


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of ``count`` layers: each expert holds ``weights`` elements, each token takes ``top_k``."""

    name: str
    count: int
    experts: int
    top_k: int
    weights: int
    hidden: int
    width: int


@dataclass(frozen=True, slots=True)
class Vector:
    """Elementwise work that only moves activations (norms with residual, gated activation, sampling)."""

    name: str
    count: int
    io_whole: int
    io_split: int = 0
    per_output: bool = False


Row = Gemm | AttentionCore | Experts | Vector


@dataclass(frozen=True, slots=True)
class Operators:
    """All rows of a model and what the step needs beside them.

    ``kernels``: launches per pass if nothing is fused further. ``reductions``: all-reduces per pass
    under tensor parallelism (one per attention and one per feed-forward block, equation (25));
    ``expert_reductions`` of them end a mixture-of-experts block.
    """

    model: ModelConfig
    rows: tuple[Row, ...]
    layers: int
    kernels: int
    reductions: int
    expert_reductions: int

    @property
    def gemms(self) -> tuple[Gemm, ...]:
        return tuple(row for row in self.rows if isinstance(row, Gemm))

    @property
    def attentions(self) -> tuple[AttentionCore, ...]:
        return tuple(row for row in self.rows if isinstance(row, AttentionCore))

    @property
    def experts(self) -> tuple[Experts, ...]:
        return tuple(row for row in self.rows if isinstance(row, Experts))


def operators(model: ModelConfig) -> Operators:
    """Build the table of a model.

    Raises
    ------
    NotModelled : the catalogue holds the model, but its layers have no performance model yet.
    """
    if model.not_modelled:
        raise NotModelled(f"{model.id}: {model.not_modelled}", field="model")
    rows: list[Row] = []
    for group in model.layers:
        if group.attention is not None:
            rows += _attention_rows(group.attention, model.hidden, group.count)
        if group.ffn is not None:
            rows += _ffn_rows(group.ffn, model.hidden, group.count)
        if group.norms:
            # each norm reads the block's output and the residual and writes both
            rows.append(Vector("norm+residual", group.count * group.norms, io_whole=4 * model.hidden))
    rows.append(Vector("embedding", 1, io_whole=2 * model.hidden))
    table = model.vocab * model.hidden
    rows.append(Gemm("lm_head", 1, table, io_whole=model.hidden, io_split=model.vocab, wide=True, per_output=True))
    # sampling reads float32 logits (two 16-bit elements each) once to find the token
    rows.append(Vector("sampling", 1, io_whole=2 * model.vocab, per_output=True))
    rows = _merged(rows)
    kernels = sum(row.count * _LAUNCHES[type(row)] for row in rows)
    blocks = [(group.count, block) for group in model.layers for block in (group.attention, group.ffn) if block]
    return Operators(
        model,
        tuple(rows),
        layers=model.layer_count,
        kernels=kernels,
        reductions=sum(count for count, _ in blocks),
        expert_reductions=sum(count for count, block in blocks if isinstance(block, FeedForward) and block.is_moe),
    )


# launches per row: attention also rotates and stores K and V; experts sort, two grouped products, combine
_LAUNCHES = {Gemm: 1, AttentionCore: 2, Experts: 4, Vector: 1}


def _attention_rows(att: Attention, hidden: int, count: int) -> list[Row]:
    if att.kv_lora is None:
        q, kv = att.heads * att.head_dim, att.kv_heads * att.head_dim
        return [
            Gemm(
                "qkv", count, hidden * q, kv_weights=2 * hidden * kv, kv_heads=att.kv_heads, io_whole=hidden,
                io_split=q + 2 * kv,
            ),
            AttentionCore("attention", count, att),
            Gemm("attention_out", count, q * hidden, io_whole=hidden, io_split=q),
        ]  # fmt: skip
    # MLA: the two down-projections are computed whole on every rank, the up-projections are divided by head
    assert att.q_lora is None or att.q_lora > 0
    query_key, value = att.heads * (att.head_dim + att.rope_dim), att.heads * att.v_dim
    down = (att.q_lora or 0) + att.kv_lora + att.rope_dim
    up = (att.q_lora or hidden) * query_key + att.kv_lora * att.heads * (att.head_dim + att.v_dim)
    return [
        Gemm("qkv_down", count, 0, replicated=hidden * down, io_whole=hidden + down),
        Gemm("qkv_up", count, up, io_whole=down, io_split=query_key + value),
        AttentionCore("attention", count, att),
        Gemm("attention_out", count, value * hidden, io_whole=hidden, io_split=value),
    ]


def _ffn_rows(ffn: FeedForward, hidden: int, count: int) -> list[Row]:
    up = 2 if ffn.gated else 1
    if not ffn.is_moe:
        return [
            Gemm("ffn_up", count, up * hidden * ffn.width, io_whole=hidden, io_split=up * ffn.width),
            Vector("activation", count, io_whole=0, io_split=(up + 1) * ffn.width),
            Gemm("ffn_down", count, hidden * ffn.width, io_whole=hidden, io_split=ffn.width),
        ]
    rows: list[Row] = [
        Gemm("router", count, 0, replicated=hidden * ffn.experts, io_whole=hidden + ffn.experts, wide=True),
        Experts("experts", count, ffn.experts, ffn.top_k, (up + 1) * hidden * ffn.width, hidden, ffn.width),
    ]
    if ffn.shared_experts:
        width = ffn.shared_experts * (ffn.shared_width or ffn.width)
        rows.append(
            Gemm("shared_expert", count, (up + 1) * hidden * width, io_whole=2 * hidden, io_split=(up + 2) * width)
        )
    return rows


def _merged(rows: list[Row]) -> list[Row]:
    """Join rows that differ only in their count (a model's groups often share blocks)."""
    from dataclasses import replace

    counts: dict[Row, int] = {}
    for row in rows:
        key = replace(row, count=1)
        counts[key] = counts.get(key, 0) + row.count
    return [replace(row, count=count) for row, count in counts.items()]
