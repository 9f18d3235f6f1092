"""What each ``model_type`` of a Hugging Face ``config.json`` of a decoder-only transformer means in layers.

Defaults are those of the configuration classes of Hugging Face transformers (``LlamaConfig`` and so on), and only where
published files leave the key out; sizes that make the model are required. The reader reports the defaults it used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from inferatlas.catalogue.hf_keys import Keys
from inferatlas.catalogue.hf_shapes import Shapes, dense_everywhere, grouped_query, layer_count, routed_experts, spread
from inferatlas.catalogue.model import Attention, FeedForward, Layers


def llama(k: Keys) -> Shapes:
    return Shapes(spread(k, grouped_query(k), dense_everywhere(k)))


def mistral(k: Keys) -> Shapes:
    # a null is "no window"; only an absent key has the default
    window = (
        k.count_or_none("sliding_window") if "sliding_window" in k.data else k.count("sliding_window", default=4096)
    )
    return Shapes(spread(k, grouped_query(k), dense_everywhere(k), window=window))


def phi3(k: Keys) -> Shapes:
    return Shapes(spread(k, grouped_query(k), dense_everywhere(k), window=k.count_or_none("sliding_window")))


def olmo2(k: Keys) -> Shapes:
    return Shapes(spread(k, replace(grouped_query(k), qk_norm_over_heads=True), dense_everywhere(k)))


def mixtral(k: Keys) -> Shapes:
    experts = routed_experts(k, "num_local_experts", "intermediate_size")
    return Shapes(spread(k, grouped_query(k), lambda _: experts, window=k.count_or_none("sliding_window")))


def _qwen(k: Keys, attention: Attention, ffn: Callable[[int], FeedForward]) -> Shapes:
    """Windows from layer ``max_window_layers`` on, if they are switched on at all."""
    if not k.flag("use_sliding_window", False):
        return Shapes(spread(k, attention, ffn))
    first, window = k.count("max_window_layers", default=28, least=0), k.count("sliding_window", default=4096)
    return Shapes(spread(k, attention, ffn, window=window, local=lambda i: i >= first))


def qwen2(k: Keys) -> Shapes:
    # the biases are fixed in the code, not in the file
    return _qwen(k, replace(grouped_query(k), qkv_bias=True, out_bias=False), dense_everywhere(k))


def qwen3(k: Keys) -> Shapes:
    return _qwen(k, replace(grouped_query(k, head_dim=128), qk_norm=True), dense_everywhere(k))


def _qwen_experts(k: Keys, experts: FeedForward) -> Callable[[int], FeedForward]:
    dense_layers = k.indices("mlp_only_layers") or set()
    step = k.count("decoder_sparse_step", default=1)
    depth = layer_count(k)
    if not dense_layers and step == 1:
        return lambda _: experts
    dense = FeedForward(k.count("intermediate_size"))
    sparse = {i for i in range(depth) if i not in dense_layers and (i + 1) % step == 0}
    return lambda i: experts if i in sparse else dense


def qwen2_moe(k: Keys) -> Shapes:
    experts = replace(
        routed_experts(k, "num_experts", "moe_intermediate_size"),
        shared_experts=1, shared_width=k.count("shared_expert_intermediate_size"), shared_gate=True,
    )  # fmt: skip
    return _qwen(k, replace(grouped_query(k), qkv_bias=True, out_bias=False), _qwen_experts(k, experts))


def qwen3_moe(k: Keys) -> Shapes:
    attention = replace(grouped_query(k), qk_norm=True)
    experts = routed_experts(k, "num_experts", "moe_intermediate_size")
    window = k.count("sliding_window") if k.flag("use_sliding_window", False) else None
    return Shapes(spread(k, attention, _qwen_experts(k, experts), window=window))


def gemma(k: Keys) -> Shapes:
    return Shapes(spread(k, grouped_query(k, head_dim=256, kv_heads=16), dense_everywhere(k)), tied=True)


def gemma2(k: Keys) -> Shapes:
    attention, window = grouped_query(k, head_dim=256, kv_heads=4), k.count("sliding_window", default=4096)
    return Shapes(
        spread(k, attention, dense_everywhere(k), window=window, local=lambda i: i % 2 == 0, norms=4), tied=True
    )


def gemma3(k: Keys) -> Shapes:
    # published gemma3 files hold only what differs from Gemma3TextConfig
    attention = replace(grouped_query(k, heads=8, kv_heads=4, head_dim=256), qk_norm=True)
    period = k.count("sliding_window_pattern", default=6)
    window = k.count("sliding_window", default=4096)
    layers = spread(k, attention, dense_everywhere(k), window=window, local=lambda i: (i + 1) % period != 0, norms=4)
    return Shapes(layers, tied=True)


def gpt_oss(k: Keys) -> Shapes:
    attention = replace(grouped_query(k, biased=True, head_dim=64), sinks=True)
    experts = replace(routed_experts(k, "num_local_experts", "intermediate_size"), bias=True, router_bias=True)
    window = k.count("sliding_window", default=128)
    return Shapes(spread(k, attention, lambda _: experts, window=window, local=lambda i: i % 2 == 0))


def _leading_dense(k: Keys, router_bias: bool) -> Callable[[int], FeedForward]:
    """DeepSeek, Kimi and GLM: dense layers first, then experts of which some are shared."""
    dense, width = FeedForward(k.count("intermediate_size")), k.count("moe_intermediate_size")
    shared = k.count("n_shared_experts", default=0, least=0)
    experts = replace(
        routed_experts(k, "n_routed_experts", "moe_intermediate_size"),
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
        return Shapes(spread(k, attention, dense_everywhere(k)))
    return Shapes(spread(k, attention, _leading_dense(k, router_bias=corrected)))


def deepseek_v32(k: Keys) -> Shapes:
    """DeepSeek-V3 with an indexer in each attention."""
    shapes = deepseek(k)
    heads, size = k.count("index_n_heads", default=64), k.count("index_head_dim", default=128)
    index = {"selected": k.count("index_topk", default=2048), "index_heads": heads, "index_dim": size}
    groups = ((g, g.attention) for g in shapes.layers)
    return replace(shapes, layers=tuple(replace(g, attention=a and replace(a, **index)) for g, a in groups))


def glm4_moe(k: Keys) -> Shapes:
    attention = replace(grouped_query(k), out_bias=False, qk_norm=k.flag("use_qk_norm", False))
    return Shapes(spread(k, attention, _leading_dense(k, router_bias=True)))


def llama4(k: Keys) -> Shapes:
    depth, width = layer_count(k), k.count("intermediate_size")
    experts = replace(routed_experts(k, "num_local_experts", "intermediate_size"), shared_experts=1, shared_width=width)
    step = k.count("interleave_moe_layer_step", default=1)
    sparse = k.indices("moe_layers") or set(range(step - 1, depth, step))
    dense = FeedForward(k.count("intermediate_size_mlp")) if len(sparse) < depth else experts
    rotary = k.items("no_rope_layers", depth)  # 1: with rotary positions and chunks, 0: neither
    period = 4 if rotary else k.count("no_rope_layer_interval", default=4)
    layers = spread(
        k, grouped_query(k), lambda i: experts if i in sparse else dense,
        window=k.count("attention_chunk_size", default=8192),
        local=lambda i: bool(rotary[i]) if rotary else (i + 1) % period != 0,
    )  # fmt: skip
    return Shapes(layers)


def nemotron_nas(k: Keys) -> Shapes:
    """Pruned Llama (Puzzle): each block has its own attention, feed-forward width, or none."""
    depth, heads, hidden = layer_count(k), k.count("num_attention_heads"), k.count("hidden_size")
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
    return Shapes(spread(k, attention, lambda _: ffn), tied=True, position_embeddings=positions, norm_bias=True)


FAMILIES: dict[str, Callable[[Keys], Shapes]] = {
    "llama": llama, "granite": llama, "mistral": mistral, "mixtral": mixtral, "phi3": phi3, "olmo2": olmo2, "opt": opt,
    "qwen2": qwen2, "qwen2_5_vl": qwen2, "qwen2_5_vl_text": qwen2, "qwen2_moe": qwen2_moe,
    "qwen3": qwen3, "qwen3_moe": qwen3_moe,
    "gemma": gemma, "gemma2": gemma2, "gemma3_text": gemma3, "gpt_oss": gpt_oss,
    "deepseek_v2": deepseek, "deepseek_v3": deepseek, "kimi_k2": deepseek, "deepseek_v32": deepseek_v32,
    "glm4_moe": glm4_moe,
    "llama4_text": llama4, "nemotron-nas": nemotron_nas,
}  # fmt: skip
