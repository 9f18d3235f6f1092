"""Whether the shapes of a model can be true together: what its parts demand of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig, Recurrence, Vision

RECURRENT = ("ssm", "linear rnn", "hybrid")  # kinds
# Fields of a `Recurrence` that only some forms have; the first of a form are needed.
_NEEDS = {
    "mamba1": ("conv", "rank"), "mamba2": ("conv",), "rwkv6": ("mix_rank", "decay_rank"),
    "rwkv7": ("decay_rank", "gate_rank", "rate_rank"),
}  # fmt: skip
_MAY = {"mamba1": ("bias", "inner_norms"), "mamba2": ("bias",), "rwkv6": (), "rwkv7": ("value_rank",)}
_OWN = ("conv", "rank", "bias", "inner_norms", "mix_rank", "decay_rank", "gate_rank", "rate_rank", "value_rank")


@dataclass(frozen=True, slots=True)
class Odd:
    """What is wrong with a model as a whole, where, and what would be right."""

    message: str
    at: tuple[str | int, ...]
    allowed: str | None = None


def oddity(block: Attention | FeedForward | Recurrence | Vision) -> str | None:
    """What is wrong with one block, or None."""
    if isinstance(block, Attention):
        return _attention(block)
    if isinstance(block, FeedForward):
        return _feed_forward(block)
    return _recurrence(block) if isinstance(block, Recurrence) else _vision(block)


def whole_oddity(model: ModelConfig) -> Odd | None:
    """What is wrong between the parts of a model, or None."""
    return next(_whole(model), None)


def _attention(a: Attention) -> str | None:
    if a.heads % a.kv_heads:
        return f"kv_heads ({a.kv_heads}) does not divide heads ({a.heads})"
    if a.is_mla and not (a.rope_dim and a.v_dim):
        return "an attention with kv_lora (MLA) needs rope_dim and v_dim"
    if not a.is_mla and (a.q_lora or a.rope_dim or a.v_dim):
        return "q_lora, rope_dim and v_dim belong to MLA, which needs kv_lora"
    if len({a.selected is None, not a.index_heads, not a.index_dim}) > 1:
        return "selected, index_heads and index_dim go together"
    return None


def _feed_forward(f: FeedForward) -> str | None:
    if f.is_moe and not 0 < f.top_k <= f.experts:
        return f"top_k ({f.top_k}) does not lie between 1 and experts ({f.experts})"
    if not f.is_moe and (f.top_k or f.shared_experts or f.router_bias):
        return "top_k, shared_experts and router_bias need experts"
    if bool(f.shared_experts) != bool(f.shared_width):
        return "shared_experts and shared_width go together"
    if f.receptance and f.is_moe:
        return "a receptance belongs to a dense block"
    return None


def _recurrence(r: Recurrence) -> str | None:
    allowed = _NEEDS[r.form] + _MAY[r.form]
    for name in _OWN:
        if getattr(r, name) and name not in allowed:
            return f"{name} does not belong to {r.form}"
        if not getattr(r, name) and name in _NEEDS[r.form]:
            return f"{r.form} needs {name}"
    if r.form == "mamba1" and r.value != 1:
        return f"mamba1 has one head per channel: value is 1, not {r.value}"
    if r.form.startswith("rwkv") and r.key != r.value:
        return f"key ({r.key}) and value ({r.value}) of {r.form} are its head size, and equal"
    if r.groups < 1 or (r.form != "mamba2" and r.groups != 1):
        return f"groups ({r.groups}) is 1 or more in mamba2, 1 elsewhere"
    if r.heads % r.groups:
        return f"groups ({r.groups}) does not divide heads ({r.heads})"
    return None


def _vision(v: Vision) -> str | None:
    whole = v.patch * v.merge
    if v.resize in ("fixed", "tiles") and v.image % whole:
        return f"image ({v.image}) is not a multiple of patch x merge ({whole})"
    if v.most_tiles > 1 and v.resize != "tiles":
        return "most_tiles needs resize: tiles"
    if v.projector > v.parameters:
        return f"projector ({v.projector}) is more than parameters ({v.parameters}), of which it is a part"
    if any(g.attention is None or g.attention.causal for g in v.layers):
        return "a layer of a vision tower has an attention with causal: false"
    return None


def _whole(m: ModelConfig) -> Iterator[Odd]:
    for where, groups in (("layers", m.layers), ("encoder", m.encoder)):
        for i, group in enumerate(groups):
            yield from _in_layers(m, group, ("config", where, i))
    if m.layers and m.kind in RECURRENT and not any(g.recurrence for g in m.layers):
        yield Odd(f"a model of kind {m.kind} needs layers with a recurrence", ("config", "layers"))
    if m.kind in ("ssm", "linear rnn") and any(g.attention for g in m.layers):
        yield Odd(f"a model of kind {m.kind} has no attention", ("config", "layers"), "kind: hybrid")
    crossed = any(g.cross for g in m.layers)
    if m.kind == "encoder-decoder" and m.layers and not (m.encoder and crossed):
        yield Odd("a model of kind encoder-decoder needs an encoder, and layers with cross", ("config",))
    if m.kind != "encoder-decoder" and (m.encoder or crossed):
        yield Odd("encoder and cross belong to a model of kind encoder-decoder", ("kind",), "encoder-decoder")
    if m.vision is not None and m.other_parameters < m.vision.parameters:
        message = f"other_parameters ({m.other_parameters}) does not hold those of vision ({m.vision.parameters})"
        yield Odd(message, ("config", "vision"))


def _in_layers(m: ModelConfig, group: Layers, at: tuple[str | int, ...]) -> Iterator[Odd]:
    inside = at[1] == "encoder"
    r, a = group.recurrence, group.attention
    if r is not None and a is not None:
        yield Odd("attention and recurrence in one layer", at, "one of them: give each a group of its own")
    if r is not None and r.form.startswith("rwkv") and r.inner != m.hidden:
        yield Odd(f"heads x value ({r.inner}) of {r.form} is not the hidden size ({m.hidden})", (*at, "recurrence"))
    if inside and (r is not None or group.cross is not None or a is None or a.causal):
        yield Odd("a layer of an encoder has an attention with causal: false, no cross and no recurrence", at)
    if not inside and a is not None and not a.causal and not m.embeds:
        yield Odd("only encoders see later tokens", (*at, "attention"), "causal: true")
    if group.cross is not None and group.cross.causal:
        yield Odd("every token of an encoder is seen", (*at, "cross"), "causal: false")
