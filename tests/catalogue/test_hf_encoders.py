"""Configurations of T5 and BERT give the catalogue's shapes and the published counts."""

from typing import Any

import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.predict.llm.parameters import count

Config = dict[str, Any]
BERT = {
    "model_type": "bert", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2,
    "position_embedding_type": "absolute", "architectures": ["BertModel"], "torch_dtype": "bfloat16",
}  # fmt: skip
T5 = {
    "model_type": "t5", "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_decoder_layers": 24,
    "num_heads": 64, "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu", "n_positions": 512,
    "vocab_size": 32128, "tie_word_embeddings": False, "is_encoder_decoder": True, "torch_dtype": "bfloat16",
}  # fmt: skip
KNOWN: dict[str, Config] = {
    "bge-large-en-v1.5": BERT,
    "e5-large-v2": BERT,
    "bge-m3": BERT | {
        "model_type": "xlm-roberta", "vocab_size": 250002, "max_position_embeddings": 8194, "type_vocab_size": 1,
        "pad_token_id": 1, "architectures": ["XLMRobertaModel"],
    },
    "flan-t5-xxl": T5,
}  # fmt: skip


@pytest.mark.parametrize("slug", KNOWN)
def test_a_published_configuration_gives_the_catalogues_model(slug: str, read_config: Any, assert_same: Any) -> None:
    ours, theirs = load_model(slug), read_config(KNOWN[slug])
    assert_same(ours, theirs)
    assert count(theirs) == count(ours)


@pytest.mark.parametrize(
    ("config", "total"),
    [
        (  # t5-small, 60,506,624: tied, not gated
            {"model_type": "t5", "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
             "n_positions": 512, "vocab_size": 32128}, 60_506_624,
        ),
        (  # mt5-small, 300,176,768: gated, not tied
            {"model_type": "mt5", "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8,
             "num_heads": 6, "vocab_size": 250112}, 300_176_768,
        ),
        (  # umt5-small: a table of positions in every layer instead of one a stack
            {"model_type": "umt5", "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8,
             "num_heads": 6, "vocab_size": 256384}, 300_176_768 + 2 * 512 * (256384 - 250112) + 32 * 6 * (16 - 2),
        ),
        (  # bert-base-uncased, 109,482,240
            BERT | {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
            109_482_240,
        ),
    ],
)  # fmt: skip
def test_others_of_the_family_have_their_published_counts(config: Config, total: int, read_config: Any) -> None:
    assert count(read_config(config)).total == total


def test_mt5_names_no_context(read_config: Any) -> None:
    config = {key: value for key, value in T5.items() if key != "n_positions"}
    assert read_config(config | {"model_type": "mt5"}).context_length == 0


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (BERT | {"num_attention_heads": 15}, "num_attention_heads", "does not divide"),
        (BERT | {"position_embedding_type": "relative_key"}, "position_embedding_type", "not supported"),
        (BERT | {"model_type": "roberta", "max_position_embeddings": 2}, "max_position_embeddings", "none is left"),
        (T5 | {"architectures": ["T5EncoderModel"]}, "architectures", "not supported"),
        (T5 | {"num_layers": 10**9}, "num_layers", "out of range"),
        (BERT | {"intermediate_size": 2**31}, "intermediate_size", "out of range"),  # counted in 32 bits
        (T5 | {"d_kv": "64"}, "d_kv", "whole number"),
        ({key: value for key, value in T5.items() if key != "d_ff"}, "d_ff", "missing"),
    ],
)
def test_bad_configurations_are_refused_by_field(config: Config, field: str, message: str, read_config: Any) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_config(config)
    assert caught.value.field == field
