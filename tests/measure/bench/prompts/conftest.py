"""A small tokenizer, trained on the spot, and counters that stand for others."""

import json
import sysconfig
from pathlib import Path

import pytest


class Spaces:
    """One token per word: additive, whatever the words."""

    name, exact = "words", True

    def count(self, texts):
        return [len(text.split()) for text in texts]

    def ids(self, text):
        return None


class Characters(Spaces):
    """One token per character: no word is one token."""

    name = "characters"

    def count(self, texts):
        return [len(text) for text in texts]


class Merging(Spaces):
    """Two words that are one token together: tokens of words do not add up to those of texts."""

    name = "merging"

    def count(self, texts):
        return [len(text.split()) - text.count("e a") for text in texts]


@pytest.fixture(params=[Spaces, Characters, Merging], ids=lambda kind: kind.name)
def fake_counter(request):
    return request.param()


@pytest.fixture
def spaces():
    return Spaces()


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory):
    """A byte-level BPE of 2,000 tokens, of the kind that GPT-2 and Llama 3 use, trained on Python's own library."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:40]
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=["<|end|>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((file.read_text(encoding="utf-8", errors="ignore") for file in files), trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture
def write(tmp_path):
    """Write a file of text, of bytes, or of objects one per line; its path."""

    def written(content, name="asked.jsonl"):
        path = tmp_path / name
        if isinstance(content, list):
            content = "\n".join(json.dumps(one) for one in content) + "\n"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written
