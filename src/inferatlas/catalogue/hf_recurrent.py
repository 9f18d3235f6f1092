"""Families with a state: Mamba, RWKV, and hybrids of Mamba and attention.

Defaults are those of the configuration classes: of Hugging Face transformers, of state-spaces/mamba for its own files,
of the code beside the checkpoints for RWKV-6, and of flash-linear-attention for RWKV-7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from inferatlas.catalogue.hf_keys import Keys
from inferatlas.catalogue.hf_shapes import (
    Blocks,
    Shapes,
    divided,
    grouped,
    grouped_query,
    layer_count,
    routed_experts,
    unsupported,
)
from inferatlas.catalogue.model import FeedForward, Recurrence

_LETTERS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}  # of the patterns of Nemotron-H


def mamba(k: Keys) -> Shapes:
    """Mamba-1. ``expand`` does not count where ``intermediate_size`` is given: Falcon-Mamba's 16 is wrong."""
    hidden = k.count("hidden_size")
    inner = k.count("intermediate_size") if k.has("intermediate_size") else hidden * k.count("expand", default=2)
    block = Recurrence(
        "mamba1", heads=inner, key=k.count("state_size", default=16), value=1, conv=k.count("conv_kernel", default=4),
        conv_bias=k.flag("use_conv_bias", True), bias=k.flag("use_bias", False),
        rank=_or_auto(k, "time_step_rank", -(-hidden // 16)),
    )  # fmt: skip
    return _only(k, block, tied=True)


def mamba2(k: Keys) -> Shapes:
    hidden, heads, size = k.count("hidden_size"), k.count("num_heads"), k.count("head_dim")
    inner = hidden * k.count("expand", default=2)
    if heads * size != inner:
        raise k.bad("num_heads", f"{heads} heads of {size} are not expand x hidden_size ({inner})", str(inner // size))
    block = _mamba2(k, heads, size, "n_groups", "state_size", "conv_kernel", groups=8, conv_bias="use_conv_bias")
    return _only(k, replace(block, bias=k.flag("use_bias", False)), tied=False)


def mamba_original(k: Keys) -> Shapes:
    """The files of state-spaces/mamba: other names, a vocabulary to be padded, defaults of the code."""
    ssm, hidden = k.section("ssm_cfg"), k.count("d_model")
    unsupported(k, "d_intermediate", "attn_layer_idx")
    pad = k.count("pad_vocab_size_multiple", default=8)
    inner, layer = hidden * ssm.count("expand", default=2), ssm.text("layer", default="Mamba1")
    conv = ssm.count("d_conv", default=4)
    if layer == "Mamba1":
        rank = _or_auto(ssm, "dt_rank", -(-hidden // 16))
        block = Recurrence("mamba1", inner, ssm.count("d_state", default=16), 1, conv=conv, rank=rank)
    elif layer == "Mamba2":
        size = ssm.count("headdim", default=64)
        heads = divided(ssm, "headdim", inner, "expand x d_model", size)
        block = _mamba2(ssm, heads, size, "ngroups", "d_state", "d_conv", groups=1)
    else:
        raise ssm.bad("layer", f"'{layer}' is not supported", "Mamba1, Mamba2")
    k.data.setdefault("tie_word_embeddings", k.flag("tie_embeddings", True))
    layers = grouped([(None, block, None)] * layer_count(k, "n_layer"), norms=1)
    return Shapes(layers, kind="ssm", hidden=hidden, vocab=-(-k.count("vocab_size") // pad) * pad, context=0)


def jamba(k: Keys) -> Shapes:
    """One layer of ``attn_layer_period`` has attention, one of ``expert_layer_period`` experts."""
    hidden, period = k.count("hidden_size"), k.count("attn_layer_period", default=8)
    block = Recurrence(
        "mamba1", heads=hidden * k.count("mamba_expand", default=2), key=k.count("mamba_d_state", default=16), value=1,
        conv=k.count("mamba_d_conv", default=4), conv_bias=k.flag("mamba_conv_bias", True),
        bias=k.flag("mamba_proj_bias", False), rank=_or_auto(k, "mamba_dt_rank", -(-hidden // 16)), inner_norms=True,
    )  # fmt: skip
    attention, dense = grouped_query(k, kv_heads=8), FeedForward(k.count("intermediate_size"))
    sparse = dense if k.data.get("num_experts") == 1 else routed_experts(k, "num_experts", "intermediate_size")
    offset, every = k.count("attn_layer_offset", default=4, least=0), k.count("expert_layer_period", default=2)
    first = k.count("expert_layer_offset", default=1, least=0)

    def layer(i: int) -> Blocks:
        ffn = sparse if i % every == first else dense
        return (attention, None, ffn) if i % period == offset else (None, block, ffn)

    return Shapes(grouped(layer(i) for i in range(layer_count(k))), kind="hybrid")


def bamba(k: Keys) -> Shapes:
    """Mamba-2 everywhere but in the layers ``attn_layer_indices``; a dense block in all."""
    heads, inner = k.count("mamba_n_heads", default=128), k.count("hidden_size") * k.count("mamba_expand", default=2)
    size = _or_auto(k, "mamba_d_head", divided(k, "mamba_n_heads", inner, "mamba_expand x hidden_size", heads))
    block = _mamba2(
        k, heads, size, "mamba_n_groups", "mamba_d_state", "mamba_d_conv", groups=1, state=256,
        conv_bias="mamba_conv_bias",
    )  # fmt: skip
    block = replace(block, bias=k.flag("mamba_proj_bias", False))
    attention, ffn = grouped_query(k), FeedForward(k.count("intermediate_size"))
    attended = k.indices("attn_layer_indices") or set()
    rows = ((attention, None, ffn) if i in attended else (None, block, ffn) for i in range(layer_count(k)))
    return Shapes(grouped(rows), kind="hybrid")


def nemotron_h(k: Keys) -> Shapes:
    """Each layer is one block: Mamba-2 (M), attention (*), a feed-forward block (-) or experts (E)."""
    unsupported(k, "moe_latent_size", "mlp_bias")
    pattern = _pattern(k)
    heads, size = k.count("mamba_num_heads", default=128), k.count("mamba_head_dim", default=64)
    block = _mamba2(k, heads, size, "n_groups", "ssm_state_size", "conv_kernel", groups=8, conv_bias="use_conv_bias")
    bias = k.flag("use_bias", False) or k.flag("mamba_proj_bias", False)
    rows: dict[str, Blocks] = {"M": (None, replace(block, bias=bias), None)}
    if "*" in pattern:
        older = k.count("attention_head_dim") if k.has("attention_head_dim") else None
        rows["*"] = (grouped_query(k, head_dim=older), None, None)
    if "-" in pattern:
        rows["-"] = (None, None, FeedForward(k.count("intermediate_size"), gated=False))
    if "E" in pattern:
        shared = k.count("n_shared_experts", default=1, least=0)
        experts = replace(
            routed_experts(k, "n_routed_experts", "moe_intermediate_size"), gated=False, router_bias=True,
            shared_experts=shared,
            shared_width=k.count("moe_shared_expert_intermediate_size") if shared else 0,
        )  # fmt: skip
        rows["E"] = (None, None, experts)
    return Shapes(grouped((rows[letter] for letter in pattern), norms=1), kind="hybrid")


def rwkv6(k: Keys) -> Shapes:
    """The files of the RWKV organisation. Their ``num_attention_heads`` is the size of a head, and not read."""
    unsupported(k, "proj_low_rank_dim", "expand_k", "expand_v")  # flash-linear-attention's own variant
    hidden, size = k.count("hidden_size"), k.count("head_size", default=64)
    if k.has("attention_hidden_size") and k.count("attention_hidden_size") != hidden:
        raise k.bad("attention_hidden_size", "another size than hidden_size is not supported", str(hidden))
    wide = hidden == 4096  # the code of the model doubles the ranks for this size alone
    heads = divided(k, "head_size", hidden, "hidden_size", size)
    block = Recurrence("rwkv6", heads, size, size, mix_rank=64 if wide else 32, decay_rank=128 if wide else 64)
    width = k.count("intermediate_size") if k.has("intermediate_size") else int(hidden * 3.5) // 32 * 32
    ffn = FeedForward(width, gated=False, receptance=True)
    return _rwkv([(None, block, ffn)] * layer_count(k))


def rwkv7(k: Keys) -> Shapes:
    """The files of flash-linear-attention. The first layer has no value adapter: it makes what the others mix in."""
    unsupported(k, "attn")
    hidden, size = k.count("hidden_size"), k.count("head_dim", default=64)
    heads = divided(k, "head_dim", hidden, "hidden_size", size)

    def rank(key: str, suggested: float) -> int:  # as RWKV-LM suggests for the width
        return k.count(key, default=max(32, round(suggested / 32) * 32))

    first = Recurrence(
        "rwkv7", heads, size, size, decay_rank=rank("decay_low_rank_dim", 1.8 * hidden**0.5),
        gate_rank=rank("gate_low_rank_dim", 0.6 * hidden**0.8), rate_rank=rank("a_low_rank_dim", 1.8 * hidden**0.5),
    )  # fmt: skip
    block = replace(first, value_rank=rank("v_low_rank_dim", 1.3 * hidden**0.5))
    ratio = k.number("hidden_ratio") if k.has("hidden_ratio") else 4.0
    width = k.count("intermediate_size") if k.has("intermediate_size") else -(-int(hidden * ratio) // 32) * 32
    ffn, depth = FeedForward(width, gated=False), layer_count(k)
    return _rwkv([(None, first, ffn), *[(None, block, ffn)] * (depth - 1)])


def _rwkv(rows: list[Blocks]) -> Shapes:
    """A context that such files name is that of training, and no limit."""
    return Shapes(grouped(rows), kind="linear rnn", norm_bias=True, embedding_norm=True, context=0)


def _only(k: Keys, block: Recurrence, tied: bool) -> Shapes:
    return Shapes(grouped([(None, block, None)] * layer_count(k), norms=1), tied=tied, kind="ssm", context=0)


def _mamba2(
    k: Keys, heads: int, size: int, groups_key: str, state_key: str, conv_key: str, *, groups: int, state: int = 128,
    conv_bias: str | None = None,
) -> Recurrence:  # fmt: skip
    count = k.count(groups_key, default=groups)
    if heads % count:
        raise k.bad(groups_key, f"{count} does not divide the heads ({heads})", "a divisor")
    return Recurrence(
        "mamba2", heads, k.count(state_key, default=state), size, groups=count, conv=k.count(conv_key, default=4),
        conv_bias=k.flag(conv_bias, True) if conv_bias else True,
    )  # fmt: skip


def _or_auto(k: Keys, key: str, value: int) -> int:
    """A number, or the word auto (and nothing) for ``value``."""
    return value if k.data.get(key) in (None, "auto") else k.count(key)


def _pattern(k: Keys) -> str:
    if k.has("hybrid_override_pattern"):
        pattern, key = k.text("hybrid_override_pattern"), "hybrid_override_pattern"
    else:
        key, words = "layers_block_type", k.items("layers_block_type")
        if words is None:
            raise k.bad("hybrid_override_pattern", "is missing", "a letter a layer: M, *, -, E")
        pattern = "".join(_LETTERS.get(word, "?") if isinstance(word, str) else "?" for word in words)
    if set(pattern) - set(_LETTERS.values()) or not pattern:
        raise k.bad(key, "holds what is no kind of layer", "M, *, -, E, or " + ", ".join(_LETTERS))
    if layer_count(k, default=len(pattern)) != len(pattern):
        raise k.bad(key, f"has {len(pattern)} entries for {layer_count(k)} layers", f"{layer_count(k)} entries")
    return pattern


RECURRENT: dict[str, Callable[[Keys], Shapes]] = {
    "mamba": mamba, "falcon_mamba": mamba, "mamba2": mamba2, "mamba_ssm": mamba_original,
    "jamba": jamba, "bamba": bamba, "nemotron_h": nemotron_h, "rwkv6": rwkv6, "rwkv7": rwkv7,
}  # fmt: skip
