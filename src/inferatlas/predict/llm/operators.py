"""The table of operators of one forward pass: what is multiplied, what is read, how it is divided.

Each row says how often it runs per pass and gives coefficients; `performance.step` turns them into
times for a million points at once. Weights are counted in elements, activations in elements per token,
so that formats stay out of this table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig, Recurrence, Vision
from inferatlas.errors import NotModelled
from inferatlas.predict.llm.recurrence import Projection, projections

# What a row is computed for: every token of the step; one a sequence that yields a token (head, decoder of an
# encoder-decoder); tokens of prompts only (encoder); patches of a prompt's images (vision tower).
TOKENS, OUTPUTS, PROMPTS, IMAGES = "tokens", "outputs", "prompts", "images"


@dataclass(frozen=True, slots=True)
class Gemm:
    """A dense product, equation (3): per token 2*weights FLOPs.

    ``weights`` elements are divided over tensor-parallel ranks, ``kv_weights`` as far as there are KV
    heads, ``replicated`` not at all. ``io_whole`` and ``io_split`` are activation elements per token
    that every rank moves, or that are divided. ``wide`` weights stay 16-bit in quantised checkpoints
    (head, router). ``on``: what it is computed for.
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
    on: str = TOKENS


@dataclass(frozen=True, slots=True)
class AttentionCore:
    """Scores and weighted sum over keys and values, fused (equations (5) and (6)).

    ``over``: what queries see. ``context``: all that came before, kept in the cache. ``answer``: of it what was
    generated, ``source``: the prompt as the encoder left it (both of an encoder-decoder, both kept). ``prompt`` and
    ``image``: each other, within one pass; nothing is kept.
    """

    name: str
    count: int
    attention: Attention
    over: str = "context"

    @property
    def kept(self) -> bool:
        return self.over in ("context", "answer", "source")


@dataclass(frozen=True, slots=True)
class RecurrenceCore:
    """The update of the states of ``count`` layers and what is read out of them, equations (4) and (5)."""

    name: str
    count: int
    recurrence: Recurrence


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
    on: str = TOKENS


Row = Gemm | AttentionCore | RecurrenceCore | Experts | Vector


@dataclass(frozen=True, slots=True)
class Operators:
    """All rows of a model and what the step needs beside them.

    ``kernels``: launches per pass if nothing is fused further; ``prompt_kernels`` more where the pass carries a prompt
    through an encoder or a tower. ``reductions``: all-reduces per pass under tensor parallelism (one per attention and
    one per feed-forward block, equation (25)); ``expert_reductions`` of them end a mixture-of-experts block, and
    ``prompt_reductions`` more an encoder's. ``layers`` are those that a decoded token passes, ``prompt_layers`` those
    of an encoder and a tower, which a prompt passes before. ``patches`` of images pass the tower per prompt.
    """

    model: ModelConfig
    rows: tuple[Row, ...]
    layers: int
    kernels: int
    prompt_kernels: int
    reductions: int
    expert_reductions: int
    prompt_reductions: int = 0
    prompt_layers: int = 0
    patches: int = 0
    images: int = 0

    @property
    def gemms(self) -> tuple[Gemm, ...]:
        return tuple(row for row in self.rows if isinstance(row, Gemm))

    @property
    def attentions(self) -> tuple[AttentionCore, ...]:
        return tuple(row for row in self.rows if isinstance(row, AttentionCore))

    @property
    def recurrences(self) -> tuple[RecurrenceCore, ...]:
        return tuple(row for row in self.rows if isinstance(row, RecurrenceCore))

    @property
    def experts(self) -> tuple[Experts, ...]:
        return tuple(row for row in self.rows if isinstance(row, Experts))

    def patches_seen(self, tower: Attention) -> float:
        """Patches that a patch sees: those of its image, at most of its tile, at most of the layer's window."""
        seen, vision = self.patches / max(self.images, 1), self.model.vision
        if vision is not None and vision.resize == "tiles":
            seen = min(seen, float((vision.image // vision.patch) ** 2))
        return seen if tower.window is None else min(seen, float(tower.window))

    @property
    def whole_prompts(self) -> bool:
        """Whether a prompt cannot be cut into chunks: its tokens see later ones."""
        return any(not row.attention.causal and row.over in ("context", "prompt") for row in self.attentions)


def operators(model: ModelConfig, *, images: int = 0, patches: int = 0) -> Operators:
    """Build the table of a model; ``images`` of a prompt, of ``patches`` each, pass its vision tower.

    Raises
    ------
    NotModelled : the catalogue holds the model, but its layers have no performance model yet.
    """
    if model.not_modelled:
        raise NotModelled(f"{model.id}: {model.not_modelled}", field="model")
    hidden, on = model.hidden, OUTPUTS if model.encoder else TOKENS
    rows = [row for group in model.layers for row in _layer_rows(group, hidden, on)]
    rows += [row for group in model.encoder for row in _layer_rows(group, hidden, PROMPTS)]
    rows.append(Vector("embedding", 1, io_whole=2 * hidden))
    if model.pooler:
        rows.append(Gemm("pooler", 1, hidden * hidden, io_whole=2 * hidden, on=OUTPUTS))
    if not model.embeds:
        table = model.vocab * hidden
        rows.append(Gemm("lm_head", 1, table, io_whole=hidden, io_split=model.vocab, wide=True, on=OUTPUTS))
        # sampling reads float32 logits (two 16-bit elements each) once to find the token
        rows.append(Vector("sampling", 1, io_whole=2 * model.vocab, on=OUTPUTS))
    tower: tuple[Layers, ...] = ()
    if images and model.vision is not None:
        tower = model.vision.layers
        rows += _tower_rows(model.vision, hidden)
    rows = _merged(rows)
    launches = [(row, row.count * _LAUNCHES[type(row)]) for row in rows]
    blocks = _blocks(model.layers)
    return Operators(
        model,
        tuple(rows),
        layers=model.layer_count,
        kernels=sum(many for row, many in launches if not _of_prompts(row)),
        prompt_kernels=sum(many for row, many in launches if _of_prompts(row)),
        reductions=sum(count for count, _ in blocks),
        expert_reductions=sum(count for count, block in blocks if isinstance(block, FeedForward) and block.is_moe),
        prompt_reductions=sum(count for count, _ in _blocks(model.encoder)),
        prompt_layers=sum(group.count for group in (*model.encoder, *tower)),
        patches=images * patches,
        images=images,
    )


# launches per row: attention also rotates and stores K and V; a recurrence convolves, updates, gates; experts sort,
# two grouped products, combine
_LAUNCHES = {Gemm: 1, AttentionCore: 2, RecurrenceCore: 3, Experts: 4, Vector: 1}


def _of_prompts(row: Row) -> bool:
    """Whether only a pass that carries a prompt computes it."""
    if isinstance(row, AttentionCore):
        return row.over in ("prompt", "image")
    return getattr(row, "on", TOKENS) in (PROMPTS, IMAGES)


def _blocks(layers: tuple[Layers, ...]) -> list[tuple[int, object]]:
    """Blocks that end with an all-reduce; Mamba-1 has a second one inside, for what all ranks need of x."""
    found: list[tuple[int, object]] = []
    for group in layers:
        found += [(group.count, block) for block in (group.attention, group.cross, group.ffn) if block]
        if group.recurrence is not None:
            found += [(group.count, group.recurrence)] * (2 if group.recurrence.form == "mamba1" else 1)
    return found


def _layer_rows(group: Layers, hidden: int, on: str) -> list[Row]:
    rows: list[Row] = []
    if group.attention is not None:
        over = {TOKENS: "context", OUTPUTS: "answer", PROMPTS: "prompt"}[on]
        over = "prompt" if not group.attention.causal else over  # one pass, nothing kept
        rows += _attention_rows(group.attention, hidden, group.count, on, over)
    if group.recurrence is not None:
        rows += _recurrence_rows(group.recurrence, hidden, group.count)
    if group.cross is not None:
        rows += _cross_rows(group.cross, hidden, group.count, on)
    if group.ffn is not None:
        rows += _ffn_rows(group.ffn, hidden, group.count, on)
    if group.norms:
        # each norm reads the block's output and the residual and writes both
        rows.append(Vector("norm+residual", group.count * group.norms, io_whole=4 * hidden, on=on))
    return rows


def _recurrence_rows(recurrence: Recurrence, hidden: int, count: int) -> list[Row]:
    def product(p: Projection) -> Gemm:
        # channels are divided over ranks: what makes them is read whole, what sums over them is written whole
        split = 0 if p.replicated else p.reads if p.name in ("x", "out") else p.writes
        return Gemm(
            f"recurrence_{p.name}", count, p.divided, kv_weights=p.grouped,
            kv_heads=recurrence.groups if p.grouped else 0, replicated=p.replicated,
            io_whole=p.reads + p.writes - split, io_split=split,
        )  # fmt: skip

    first, *rest = (product(p) for p in projections(recurrence, hidden))
    return [first, RecurrenceCore("recurrence", count, recurrence), *rest]


def _cross_rows(cross: Attention, hidden: int, count: int, on: str) -> list[Row]:
    """Queries of what is generated; keys and values of the prompt, made once."""
    q, kv = cross.heads * cross.head_dim, cross.kv_heads * cross.head_dim
    return [
        Gemm("cross_q", count, hidden * q, io_whole=hidden, io_split=q, on=on),
        Gemm(
            "cross_kv", count, 0, kv_weights=2 * hidden * kv, kv_heads=cross.kv_heads, io_whole=hidden,
            io_split=2 * kv, on=PROMPTS,
        ),
        AttentionCore("cross_attention", count, cross, "source"),
        Gemm("cross_out", count, q * hidden, io_whole=hidden, io_split=q, on=on),
    ]  # fmt: skip


def _tower_rows(vision: Vision, hidden: int) -> list[Row]:
    """A vision tower, whole on every rank: one pass over the patches, and a projector."""
    rows: list[Row] = []
    for group in vision.layers:
        if group.attention is not None:
            rows += _attention_rows(group.attention, vision.hidden, group.count, IMAGES, "image")
        if group.ffn is not None:
            rows += _ffn_rows(group.ffn, vision.hidden, group.count, IMAGES)
        rows.append(Vector("norm+residual", group.count * group.norms, io_whole=4 * vision.hidden, on=IMAGES))
    if vision.projector:
        # one row of the projector is a token of merge x merge patches
        merged = vision.projector // vision.merge**2
        rows.append(Gemm("projector", 1, merged, io_whole=vision.hidden + hidden // vision.merge**2, on=IMAGES))
    return [_whole(row) for row in rows]


def _whole(row: Row) -> Row:
    """The same work on every rank instead of divided among them."""
    if isinstance(row, Gemm):
        return replace(
            row, name=f"vision_{row.name}", weights=0, kv_weights=0, kv_heads=0,
            replicated=row.replicated + row.weights + row.kv_weights, io_whole=row.io_whole + row.io_split, io_split=0,
        )  # fmt: skip
    if isinstance(row, Vector):
        return replace(row, name=f"vision_{row.name}", io_whole=row.io_whole + row.io_split, io_split=0)
    return replace(row, name=f"vision_{row.name}")


def _attention_rows(att: Attention, hidden: int, count: int, on: str = TOKENS, over: str = "context") -> list[Row]:
    if att.kv_lora is None:
        q, kv = att.heads * att.head_dim, att.kv_heads * att.head_dim
        return [
            Gemm(
                "qkv", count, hidden * q, kv_weights=2 * hidden * kv, kv_heads=att.kv_heads, io_whole=hidden,
                io_split=q + 2 * kv, on=on,
            ),
            AttentionCore("attention", count, att, over),
            Gemm("attention_out", count, q * hidden, io_whole=hidden, io_split=q, on=on),
        ]  # fmt: skip
    # MLA: the two down-projections are computed whole on every rank, the up-projections are divided by head
    assert att.q_lora is None or att.q_lora > 0
    query_key, value = att.heads * (att.head_dim + att.rope_dim), att.heads * att.v_dim
    down = (att.q_lora or 0) + att.kv_lora + att.rope_dim
    up = (att.q_lora or hidden) * query_key + att.kv_lora * att.heads * (att.head_dim + att.v_dim)
    rows: list[Row] = [
        Gemm("qkv_down", count, 0, replicated=hidden * down, io_whole=hidden + down),
        Gemm("qkv_up", count, up, io_whole=down, io_split=query_key + value),
        AttentionCore("attention", count, att),
        Gemm("attention_out", count, value * hidden, io_whole=hidden, io_split=value),
    ]
    if att.index_heads:  # queries of the indexer from the latent query, its one key and the heads' weights from x
        index = (att.q_lora or hidden) * att.index_heads * att.index_dim + hidden * (att.index_dim + att.index_heads)
        rows.append(
            Gemm("indexer", count, 0, replicated=index, io_whole=hidden + (att.index_heads + 1) * att.index_dim)
        )
    return rows


def _ffn_rows(ffn: FeedForward, hidden: int, count: int, on: str = TOKENS) -> list[Row]:
    up = 2 if ffn.gated else 1
    if not ffn.is_moe:
        rows: list[Row] = [
            Gemm("ffn_up", count, up * hidden * ffn.width, io_whole=hidden, io_split=up * ffn.width, on=on),
            Vector("activation", count, io_whole=0, io_split=(up + 1) * ffn.width, on=on),
            Gemm("ffn_down", count, hidden * ffn.width, io_whole=hidden, io_split=ffn.width, on=on),
        ]
        if ffn.receptance:
            rows.append(Gemm("ffn_receptance", count, hidden * hidden, io_whole=hidden, io_split=hidden, on=on))
        return rows
    rows = [
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
    counts: dict[Row, int] = {}
    for row in rows:
        key = replace(row, count=1)
        counts[key] = counts.get(key, 0) + row.count
    return [replace(row, count=count) for row, count in counts.items()]
