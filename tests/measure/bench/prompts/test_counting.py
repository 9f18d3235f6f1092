"""Tokens are counted by the model's tokenizer, or estimated and said to be; what a server adds is apart."""

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.counting import Estimate, Overhead, TokenizerFile, calibrated


def test_a_tokenizer_counts_what_it_encodes(tokenizer_file):
    from tokenizers import Tokenizer

    counter, own = TokenizerFile(tokenizer_file), Tokenizer.from_file(str(tokenizer_file))
    texts = ["", "import os", "Grüße, 世界", "for each one in that list " * 50]
    assert counter.count(texts) == [len(own.encode(text).ids) for text in texts]
    assert counter.ids("import os") == own.encode("import os").ids
    assert counter.exact and counter.vocabulary == own.get_vocab_size()
    assert TokenizerFile(tokenizer_file.parent).count(["import os"]) == counter.count(["import os"])


def test_special_tokens_and_truncation_of_a_file_are_not_counted(tokenizer_file, tmp_path):
    from tokenizers import Tokenizer, processors

    own = Tokenizer.from_file(str(tokenizer_file))
    own.post_processor = processors.TemplateProcessing(single="<|end|> $A", special_tokens=[("<|end|>", 0)])
    own.enable_truncation(8)
    own.enable_padding(length=8)
    own.save(str(tmp_path / "tokenizer.json"))
    long = "return self " * 100
    assert TokenizerFile(tmp_path).count(["x", long]) == TokenizerFile(tokenizer_file).count(["x", long])


@pytest.mark.parametrize("content", [None, "", "{}", "prose", '{"model": {"type": "BPE"}}', "\0"])
def test_what_is_no_tokenizer_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput) as caught:
        TokenizerFile(tmp_path)
    assert caught.value.field == "tokenizer"


def test_a_missing_package_says_what_to_install(tokenizer_file, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BadInput) as caught:
        TokenizerFile(tokenizer_file)
    assert "inferatlas[tokenizers]" in (caught.value.hint or "")


@given(
    st.floats(1.5, 8.0),
    st.integers(0, 200),
    st.lists(st.integers(100, 50_000), min_size=2, max_size=12).filter(lambda some: max(some) - min(some) > 2000),
)
def test_calibration_finds_the_ratio_and_what_is_around(ratio, around, characters):
    """Tokens are whole: a rounding of half a token over 2,000 characters or more is all that can be off."""
    estimate, overhead = calibrated(characters, [round(one / ratio) + around for one in characters])
    for one in (min(characters), max(characters)):
        found = estimate.count(["x" * one])[0] + overhead.of(1)
        assert abs(found - (one / ratio + around)) <= 2.5
    assert not estimate.exact and overhead.known and "estimate" in estimate.name


def test_an_intercept_below_nothing_is_nothing():
    estimate, overhead = calibrated([100, 1000], [20, 320])
    assert overhead == Overhead(0, 0, True)
    assert estimate.characters_per_token == pytest.approx((100**2 + 1000**2) / (100 * 20 + 1000 * 320))


@pytest.mark.parametrize(
    ("characters", "tokens"),
    [([], []), ([100], [10]), ([100, 100], [10, 11]), ([100, 200], [10]), ([100, 200], [20, 10]), ([1, 2], [0, 100])],
)
def test_calibration_needs_prompts_that_tell_a_ratio(characters, tokens):
    with pytest.raises(BadInput) as caught:
        calibrated(characters, tokens)
    assert caught.value.field == "prompt_tokens"


@pytest.mark.parametrize("ratio", [0, -1, float("nan"), True, "4", 1000])
def test_ratios_out_of_range_are_refused(ratio):
    with pytest.raises(BadInput):
        Estimate(ratio)


@pytest.mark.parametrize("kw", [{"prompt": -1}, {"message": 1.5}, {"prompt": True}])
def test_overhead_is_whole(kw):
    with pytest.raises(BadInput):
        Overhead(**kw)
    assert not Overhead().known  # nobody counted it
