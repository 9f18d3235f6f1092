"""A Llama of random weights, small enough to be made in a second and to answer on a busy processor.

It exists to have a real engine to measure, so what it says means nothing, but every token it says is visible text:
the rows of the output matrix that belong to control tokens and to bytes outside printable ASCII are zero, and the
others spread wide enough that they win. Written from the names that GGUF asks for
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

CONTROL = ("<|end|>", "<|user|>", "<|assistant|>")
TEMPLATE = "{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}<|assistant|>"
WORDS = "the of and to in is that for it with as was on be by at this from are which one all time energy token load"
LAYERS, WIDTH, HEADS, SHARED_HEADS, INNER, CONTEXT = 2, 64, 4, 2, 128, 4096
HEAD_WIDTH = WIDTH // HEADS


class Vocabulary(NamedTuple):
    tokens: list[str]
    merges: list[str]


def byte_letters() -> list[str]:
    """The letter that stands for each of the 256 bytes in a byte-level vocabulary, as GPT-2 chose them.

    Printable bytes stand for themselves; the others follow from U+0100 on.
    """
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def vocabulary() -> Vocabulary:
    """Control tokens, the bytes, and the words with the space before them, each merged from the left."""
    letters = byte_letters()
    tokens, merges = [*CONTROL, *letters], []
    for word in WORDS.split():
        left = letters[0x20]
        for letter in word:
            merge, left = f"{left} {letter}", left + letter
            if left not in tokens:
                merges.append(merge)
                tokens.append(left)
    return Vocabulary(tokens, merges)


def write(folder: Path) -> Path:
    """Write ``tiny.gguf`` and its ``tokenizer.json`` (0.3 MB together) into a folder; returns the model's path."""
    words = vocabulary()
    path = folder / "tiny.gguf"
    _write_model(path, words)
    _write_tokenizer(folder / "tokenizer.json", words)
    return path


def _write_model(path: Path, words: Vocabulary) -> None:
    import gguf
    import numpy as np

    random = np.random.default_rng(0)

    def weights(rows: int, columns: int, size: float = 1.0) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * size * columns**-0.5).astype(np.float16)

    size = len(words.tokens)
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny")
    out.add_vocab_size(size)
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(SHARED_HEADS)
    out.add_rope_dimension_count(HEAD_WIDTH)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(words.tokens)
    out.add_token_merges(words.merges)
    out.add_token_types([gguf.TokenType.CONTROL if t in CONTROL else gguf.TokenType.NORMAL for t in words.tokens])
    out.add_bos_token_id(0)
    out.add_eos_token_id(0)
    out.add_add_bos_token(False)
    out.add_chat_template(TEMPLATE)

    head = weights(size, WIDTH, size=4.0)  # logits that differ by about 4: no token is certain, none is hopeless
    head[[number for number, token in enumerate(words.tokens) if not _visible(token)]] = 0.0
    ones = np.ones(WIDTH, np.float32)
    out.add_tensor("token_embd.weight", weights(size, WIDTH, size=WIDTH**0.5))
    out.add_tensor("output_norm.weight", ones)
    out.add_tensor("output.weight", head)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        out.add_tensor(block + "attn_norm.weight", ones)
        out.add_tensor(block + "attn_q.weight", weights(HEADS * HEAD_WIDTH, WIDTH))
        out.add_tensor(block + "attn_k.weight", weights(SHARED_HEADS * HEAD_WIDTH, WIDTH))
        out.add_tensor(block + "attn_v.weight", weights(SHARED_HEADS * HEAD_WIDTH, WIDTH))
        out.add_tensor(block + "attn_output.weight", weights(WIDTH, HEADS * HEAD_WIDTH))
        out.add_tensor(block + "ffn_norm.weight", ones)
        out.add_tensor(block + "ffn_gate.weight", weights(INNER, WIDTH))
        out.add_tensor(block + "ffn_up.weight", weights(INNER, WIDTH))
        out.add_tensor(block + "ffn_down.weight", weights(WIDTH, INNER))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _visible(token: str) -> bool:
    space = byte_letters()[0x20]
    return token not in CONTROL and all("!" <= letter <= "~" for letter in token.removeprefix(space))


def _write_tokenizer(path: Path, words: Vocabulary) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pairs = [tuple(merge.split(" ")) for merge in words.merges]
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(words.tokens)}, pairs))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(CONTROL))
    made.save(str(path))
