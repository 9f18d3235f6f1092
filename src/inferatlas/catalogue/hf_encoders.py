"""Families with an encoder: T5 and its kin, and BERT and its kin, which are an encoder and no more.

Defaults are those of the configuration classes of Hugging Face transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from inferatlas.catalogue.hf_keys import Keys
from inferatlas.catalogue.hf_shapes import Shapes, divided, layer_count
from inferatlas.catalogue.model import Attention, FeedForward, Layers


def t5(k: Keys) -> Shapes:
    """T5 and mT5: relative positions, one table a stack. umT5 has one in each layer."""
    newer = k.text("model_type") != "t5"
    words, heads = k.data.get("architectures"), k.count("num_heads")
    if isinstance(words, list) and words and str(words[0]).endswith("EncoderModel"):
        raise k.bad("architectures", "an encoder without its decoder is not supported", "...ForConditionalGeneration")
    buckets = k.count("relative_attention_num_buckets", default=32)
    ours = k.text("model_type") == "umt5"
    inside = Attention(heads, heads, k.count("d_kv"), causal=False, position_buckets=buckets if ours else 0)
    form = k.text("feed_forward_proj", default="gated-gelu" if newer else "relu")
    ffn = FeedForward(k.count("d_ff"), gated=form.startswith("gated"))
    depth = layer_count(k, "num_layers")
    cross = replace(inside, position_buckets=0)
    decoder = Layers(
        layer_count(k, "num_decoder_layers", default=depth), replace(inside, causal=True), ffn, norms=3, cross=cross
    )
    return Shapes(
        (decoder,), tied=not newer, kind="encoder-decoder", encoder=(Layers(depth, inside, ffn),),
        position_buckets=0 if ours else buckets, hidden=k.count("d_model"),
        context=k.count("n_positions") if k.has("n_positions") else 0,
    )  # fmt: skip


def bert(k: Keys) -> Shapes:
    hidden, heads = k.count("hidden_size"), k.count("num_attention_heads")
    if k.text("position_embedding_type", default="absolute") != "absolute":
        raise k.bad("position_embedding_type", "relative positions are not supported", "absolute")
    size = divided(k, "num_attention_heads", hidden, "hidden_size", heads)
    attention = Attention(heads, heads, size, qkv_bias=True, out_bias=True, causal=False)
    ffn = FeedForward(k.count("intermediate_size"), gated=False, bias=True)
    rows = k.count("max_position_embeddings")
    return Shapes(
        (Layers(layer_count(k), attention, ffn),), tied=True, kind="embedding", position_embeddings=rows, context=rows,
        token_types=k.count("type_vocab_size", default=2, least=0), embedding_norm=True, norm_bias=True,
        final_norm=False, pooler=True,
    )  # fmt: skip


def roberta(k: Keys) -> Shapes:
    """BERT whose positions begin behind the number of the padding token: a text can use so many fewer."""
    shapes, unused = bert(k), k.count("pad_token_id", default=1, least=0) + 1
    if shapes.position_embeddings <= unused:
        raise k.bad("max_position_embeddings", f"none is left behind the first {unused}", f"more than {unused}")
    return replace(shapes, context=shapes.position_embeddings - unused)


ENCODERS: dict[str, Callable[[Keys], Shapes]] = {
    "t5": t5, "mt5": t5, "umt5": t5, "bert": bert, "roberta": roberta, "xlm-roberta": roberta,
}  # fmt: skip
