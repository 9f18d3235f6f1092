"""Texts have exactly the wanted tokens, are the same whenever they are made, and begin differently."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.counting import Estimate, TokenizerFile
from inferatlas.measure.bench.prompts.stock import KINDS, id_stock, word_stock
from inferatlas.measure.bench.prompts.words import WORDS

STOCK = word_stock()
LENGTHS = [*range(1, 60), 127, 128, 129, 511, 512, 513, 1000, 4096, 10_000]


def test_words_are_different_and_plain():
    assert len(set(WORDS)) == len(WORDS) == 640
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)


def test_lengths_are_exact_with_a_real_tokenizer(tokenizer_file):
    counter = TokenizerFile(tokenizer_file)
    stock = word_stock(counter)
    assert stock.counter is None  # tokens of words add up: no text has to be counted
    texts = [stock.text(7, "own", number, tokens) for number, tokens in enumerate(LENGTHS)]
    assert counter.count(texts) == LENGTHS
    after = [texts[40] + stock.text(7, "own", number, tokens, begin=False) for number, tokens in enumerate(LENGTHS)]
    assert counter.count(after) == [LENGTHS[40] + tokens for tokens in LENGTHS]


def test_lengths_are_exact_whatever_the_tokenizer(fake_counter):
    stock = word_stock(fake_counter)
    assert (stock.counter is not None) == (fake_counter.name == "merging")
    wanted = [tokens for tokens in LENGTHS if tokens >= 3]
    assert fake_counter.count([stock.text(3, "own", tokens, tokens) for tokens in wanted]) == wanted


def test_no_tokens_is_no_text_and_what_cannot_be_said_is_refused(fake_counter):
    stock = word_stock(fake_counter)
    assert stock.text(1, "own", 0, 0) == ""
    assert len(stock.text(1, "own", 0, 1)) >= 1
    if fake_counter.name == "characters":
        with pytest.raises(BadInput, match="1 tokens"):  # a space, and no word of no letter
            stock.text(1, "own", 0, 1, begin=False)


@settings(max_examples=40)
@given(st.integers(0, 2**63), st.sampled_from(KINDS), st.integers(0, 10**7), st.integers(1, 3000))
def test_a_text_is_told_by_seed_kind_and_number(seed, kind, number, tokens):
    one, other = STOCK, word_stock()
    text = one.text(seed, kind, number, tokens)
    one.text(seed, kind, number + 1, 7)
    assert one.text(seed, kind, number, tokens) == other.text(seed, kind, number, tokens) == text
    assert len(text.split()) == tokens


def test_no_two_begin_alike():
    stock = word_stock()
    begins = {
        tuple(stock.text(5, kind, number, 8).split()[: stock.digits]) for kind in KINDS for number in range(20_000)
    }
    assert len(begins) == 60_000
    first = [stock.text(5, "own", number, 8).split()[0] for number in range(1000)]
    assert not any(one == two for one, two in itertools.pairwise(first))
    assert not {stock.text(6, "own", number, 16) for number in range(1000)} & {
        stock.text(5, "own", number, 16) for number in range(1000)
    }


def test_words_are_varied():
    words = word_stock().text(1, "own", 1, 20_000).split()
    counts = sorted((words.count(word) for word in set(words)), reverse=True)
    assert len(counts) == 640 and counts[0] < 3 * 20_000 / 640


@settings(max_examples=30)
@given(st.integers(0, 5000), st.integers(64, 200_000), st.integers(1, 5000), st.integers(0, 10**6))
def test_token_ids_are_in_their_range_and_as_many_as_wanted(low, width, tokens, number):
    text = id_stock(low, low + width).text(2, "own", number, tokens)
    ids = [int(one) for one in text.split(",")]
    assert len(ids) == tokens and min(ids) >= low and max(ids) < low + width


@pytest.mark.parametrize(("low", "high"), [(-1, 1000), (0, 63), (1000, 10), (0, 2**31 + 1), (0.0, 1000), (True, 1000)])
def test_ranges_without_ids_are_refused(low, high):
    with pytest.raises(BadInput) as caught:
        id_stock(low, high)
    assert caught.value.field == "token_ids"


def test_an_estimate_gives_as_many_characters():
    text = word_stock(Estimate(6.0)).text(1, "own", 1, 1000)
    assert len(text) / 6 == pytest.approx(1000, rel=0.02)
