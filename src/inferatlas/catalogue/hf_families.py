"""What each ``model_type`` of a Hugging Face ``config.json`` means in layers.

Defaults are those of the configuration classes of Hugging Face transformers (``LlamaConfig`` and so on), and only where
published files leave the key out; sizes that make the model are required. The reader reports the defaults it used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from inferatlas.catalogue.hf_keys import Keys
from inferatlas.catalogue.model import Attention, FeedForward, Layers

MOST_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a family adds to the sizes that all have."""

    layers: tuple[Layers, ...]
    tied: bool = False  # default of tie_word_embeddings
    position_embeddings: int = 0
    norm_bias: bool = False


def _depth(k: Keys) -> int:
    layers = k.count("num_hidden_layers")
    if layers > MOST_LAYERS:
        raise k.bad("num_hidden_layers", f"{layers} is out of range", f"1 to {MOST_LAYERS}")
    return layers


def _grouped_query(
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


def _spread(
    k: Keys,
    attention: Attention,
    ffn: Callable[[int], FeedForward],
    *,
    window: int | None = None,
    local: Callable[[int], bool] = lambda _: True,
    norms: int = 2,
) -> tuple[Layers, ...]:
    """Equal layers in groups: layer i looks back ``window`` tokens where ``local(i)``; ``layer_types`` overrules."""
    depth = _depth(k)
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


def _dense(k: Keys, key: str = "intermediate_size") -> Callable[[int], FeedForward]:
    block = FeedForward(k.count(key), bias=k.has("mlp_bias") and k.flag("mlp_bias", False))
    return lambda _: block


def _experts(k: Keys, number: str, width: str) -> FeedForward:
    experts, top_k = k.count(number), k.count("num_experts_per_tok")
    if top_k > experts:
        raise k.bad("num_experts_per_tok", f"{top_k} is more than {number} ({experts})", f"1 to {experts}")
    return FeedForward(k.count(width), experts=experts, top_k=top_k)


def llama(k: Keys) -> Shapes:
    return Shapes(_spread(k, _grouped_query(k), _dense(k)))


def mistral(k: Keys) -> Shapes:
    # a null is "no window"; only an absent key has the default
    window = (
        k.count_or_none("sliding_window") if "sliding_window" in k.data else k.count("sliding_window", default=4096)
    )
    return Shapes(_spread(k, _grouped_query(k), _dense(k), window=window))


def phi3(k: Keys) -> Shapes:
    return Shapes(_spread(k, _grouped_query(k), _dense(k), window=k.count_or_none("sliding_window")))


def olmo2(k: Keys) -> Shapes:
    return Shapes(_spread(k, replace(_grouped_query(k), qk_norm_over_heads=True), _dense(k)))


def mixtral(k: Keys) -> Shapes:
    experts = _experts(k, "num_local_experts", "intermediate_size")
    return Shapes(_spread(k, _grouped_query(k), lambda _: experts, window=k.count_or_none("sliding_window")))


def _qwen(k: Keys, attention: Attention, ffn: Callable[[int], FeedForward]) -> Shapes:
    """Windows from layer ``max_window_layers`` on, if they are switched on at all."""
    if not k.flag("use_sliding_window", False):
        return Shapes(_spread(k, attention, ffn))
    first, window = k.count("max_window_layers", default=28, least=0), k.count("sliding_window", default=4096)
    return Shapes(_spread(k, attention, ffn, window=window, local=lambda i: i >= first))


def qwen2(k: Keys) -> Shapes:
    # the biases are fixed in the code, not in the file
    return _qwen(k, replace(_grouped_query(k), qkv_bias=True, out_bias=False), _dense(k))


def qwen3(k: Keys) -> Shapes:
    return _qwen(k, replace(_grouped_query(k, head_dim=128), qk_norm=True), _dense(k))


def _qwen_experts(k: Keys, experts: FeedForward) -> Callable[[int], FeedForward]:
    dense_layers = k.indices("mlp_only_layers") or set()
    step = k.count("decoder_sparse_step", default=1)
    depth = _depth(k)
    if not dense_layers and step == 1:
        return lambda _: experts
    dense = FeedForward(k.count("intermediate_size"))
    sparse = {i for i in range(depth) if i not in dense_layers and (i + 1) % step == 0}
    return lambda i: experts if i in sparse else dense


def qwen2_moe(k: Keys) -> Shapes:
    experts = replace(
        _experts(k, "num_experts", "moe_intermediate_size"),
        shared_experts=1, shared_width=k.count("shared_expert_intermediate_size"), shared_gate=True,
    )  # fmt: skip
    return _qwen(k, replace(_grouped_query(k), qkv_bias=True, out_bias=False), _qwen_experts(k, experts))


def qwen3_moe(k: Keys) -> Shapes:
    attention = replace(_grouped_query(k), qk_norm=True)
    experts = _experts(k, "num_experts", "moe_intermediate_size")
    window = k.count("sliding_window") if k.flag("use_sliding_window", False) else None
    return Shapes(_spread(k, attention, _qwen_experts(k, experts), window=window))


def gemma(k: Keys) -> Shapes:
    return Shapes(_spread(k, _grouped_query(k, head_dim=256, kv_heads=16), _dense(k)), tied=True)


def gemma2(k: Keys) -> Shapes:
    attention, window = _grouped_query(k, head_dim=256, kv_heads=4), k.count("sliding_window", default=4096)
    return Shapes(_spread(k, attention, _dense(k), window=window, local=lambda i: i % 2 == 0, norms=4), tied=True)


def gemma3(k: Keys) -> Shapes:
    # published gemma3 files hold only what differs from Gemma3TextConfig
    attention = replace(_grouped_query(k, heads=8, kv_heads=4, head_dim=256), qk_norm=True)
    period = k.count("sliding_window_pattern", default=6)
    window = k.count("sliding_window", default=4096)
    layers = _spread(k, attention, _dense(k), window=window, local=lambda i: (i + 1) % period != 0, norms=4)
    return Shapes(layers, tied=True)


def gpt_oss(k: Keys) -> Shapes:
    attention = replace(_grouped_query(k, biased=True, head_dim=64), sinks=True)
    experts = replace(_experts(k, "num_local_experts", "intermediate_size"), bias=True, router_bias=True)
    window = k.count("sliding_window", default=128)
    return Shapes(_spread(k, attention, lambda _: experts, window=window, local=lambda i: i % 2 == 0))


def _leading_dense(k: Keys, router_bias: bool) -> Callable[[int], FeedForward]:
    """DeepSeek, Kimi and GLM: dense layers first, then experts of which some are shared."""
    dense, width = FeedForward(k.count("intermediate_size")), k.count("moe_intermediate_size")
    shared = k.count("n_shared_experts", default=0, least=0)
    experts = replace(
        _experts(k, "n_routed_experts", "moe_intermediate_size"),
        shared_experts=shared, shared_width=width if shared else 0, router_bias=router_bias,
    )  # fmt: skip
    first = k.count("first_k_dense_replace", least=0)
    every = k.count("moe_layer_freq", default=1)
    return lambda i: experts if i >= first and i % every == 0 else dense


def deepseek(k: Keys) -> Shapes:
    heads, bias = k.count("num_attention_heads"), k.flag("attention_bias", False)
    attention = Attention(
        heads, heads, k.count("qk_nope_head_dim"), q_lora=k.count_or_none("q_lora_rank"),
        kv_lora=k.count("kv_lora_rank"), rope_dim=k.count("qk_rope_head_dim"), v_dim=k.count("v_head_dim"),
        qkv_bias=bias, out_bias=bias,
    )  # fmt: skip
    corrected = k.data.get("model_type") != "deepseek_v2" or k.data.get("topk_method") == "noaux_tc"
    if k.data.get("n_routed_experts") is None:
        return Shapes(_spread(k, attention, _dense(k)))
    return Shapes(_spread(k, attention, _leading_dense(k, router_bias=corrected)))


def glm4_moe(k: Keys) -> Shapes:
    attention = replace(_grouped_query(k), out_bias=False, qk_norm=k.flag("use_qk_norm", False))
    return Shapes(_spread(k, attention, _leading_dense(k, router_bias=True)))


def llama4(k: Keys) -> Shapes:
    depth, width = _depth(k), k.count("intermediate_size")
    experts = replace(_experts(k, "num_local_experts", "intermediate_size"), shared_experts=1, shared_width=width)
    step = k.count("interleave_moe_layer_step", default=1)
    sparse = k.indices("moe_layers") or set(range(step - 1, depth, step))
    dense = FeedForward(k.count("intermediate_size_mlp")) if len(sparse) < depth else experts
    rotary = k.items("no_rope_layers", depth)  # 1: with rotary positions and chunks, 0: neither
    period = 4 if rotary else k.count("no_rope_layer_interval", default=4)
    layers = _spread(
        k, _grouped_query(k), lambda i: experts if i in sparse else dense,
        window=k.count("attention_chunk_size", default=8192),
        local=lambda i: bool(rotary[i]) if rotary else (i + 1) % period != 0,
    )  # fmt: skip
    return Shapes(layers)


def nemotron_nas(k: Keys) -> Shapes:
    """Pruned Llama (Puzzle): each block has its own attention, feed-forward width, or none."""
    depth, heads, hidden = _depth(k), k.count("num_attention_heads"), k.count("hidden_size")
    if not k.has("block_configs"):
        raise k.bad("block_configs", "is missing", "one entry a layer")
    groups: Counter[tuple[Attention | None, FeedForward | None]] = Counter()
    for i, data in enumerate(k.items("block_configs", depth) or []):
        if not isinstance(data, dict):
            raise k.bad(f"block_configs.{i}", "is not a section", "a mapping in braces")
        block = Keys(data, k.file, f"{k.prefix}block_configs.{i}.", k.assumed)
        a, f = block.section("attention"), block.section("ffn")
        for part in (a, f):
            if part.data.get("replace_with_linear"):
                raise part.bad("replace_with_linear", "linear replacements are not supported", "false")
        attention = ffn = None
        if not a.data.get("no_op"):
            group = a.count("n_heads_in_group")
            if heads % group:
                raise a.bad("n_heads_in_group", f"{group} does not divide num_attention_heads ({heads})", "a divisor")
            attention = Attention(heads, heads // group, k.count("head_dim", default=hidden // heads))
        if not f.data.get("no_op"):
            # width = 2/3 x multiplier x hidden, rounded up to 256 (as the model's own code does)
            raw = f.count("intermediate_size") if f.has("intermediate_size") else None
            raw = raw or -(-int(2 * f.number("ffn_mult") * hidden / 3) // 256) * 256
            ffn = FeedForward(raw)
        groups[attention, ffn] += 1
    return Shapes(tuple(Layers(n, a, f, norms=(a is not None) + (f is not None)) for (a, f), n in groups.items()))


def opt(k: Keys) -> Shapes:
    hidden, heads = k.count("hidden_size"), k.count("num_attention_heads")
    if k.count("word_embed_proj_dim", default=hidden) != hidden:
        raise k.bad("word_embed_proj_dim", "an embedding narrower than the model is not supported", str(hidden))
    if not k.flag("do_layer_norm_before", True):
        raise k.bad("do_layer_norm_before", "norms after the blocks are not supported", "true")
    if hidden % heads:
        raise k.bad("num_attention_heads", f"{heads} does not divide hidden_size ({hidden})", "a divisor")
    bias = k.flag("enable_bias", True)
    attention = Attention(heads, heads, hidden // heads, qkv_bias=bias, out_bias=bias)
    ffn = FeedForward(k.count("ffn_dim"), gated=False, bias=bias)
    positions = k.count("max_position_embeddings") + 2  # the table has two rows that no token uses
    return Shapes(_spread(k, attention, lambda _: ffn), tied=True, position_embeddings=positions, norm_bias=True)


FAMILIES: dict[str, Callable[[Keys], Shapes]] = {
    "llama": llama, "granite": llama, "mistral": mistral, "mixtral": mixtral, "phi3": phi3, "olmo2": olmo2, "opt": opt,
    "qwen2": qwen2, "qwen2_moe": qwen2_moe, "qwen3": qwen3, "qwen3_moe": qwen3_moe,
    "gemma": gemma, "gemma2": gemma2, "gemma3_text": gemma3, "gpt_oss": gpt_oss,
    "deepseek_v2": deepseek, "deepseek_v3": deepseek, "kimi_k2": deepseek, "glm4_moe": glm4_moe,
    "llama4_text": llama4, "nemotron-nas": nemotron_nas,
}  # fmt: skip
