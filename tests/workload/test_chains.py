"""Chains say which prompts begin alike: a forest of units, of which those are found that were there before."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains, block_chains, dense, whole_numbers

TWO = Chains(np.array([0, 2, 2, 4]), np.array([0, 1, 0, 2]), np.array([0, 512, 512]), np.array([512, 900, 600]))


def chain(it, row):
    """Ends of the units of one request, and the units."""
    return it.of(row).tolist(), it.end[it.of(row)].tolist()


def test_units_are_read_row_by_row_and_a_request_may_have_none():
    assert len(TWO) == 3
    assert [chain(TWO, row) for row in range(3)] == [([0, 1], [512, 900]), ([], []), ([0, 2], [512, 600])]
    assert (TWO.unit.dtype, TWO.begin.dtype, TWO.end.dtype, TWO.start.dtype) == (np.int32, np.int32, np.int32, np.int64)


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"start": np.array([0, 2, 2, 5])}, "start", "no rows"),
        ({"start": np.array([0, 3, 2, 4])}, "start", "no rows"),
        ({"start": np.array([1, 2, 2, 4])}, "start", "no rows"),
        ({"start": np.array([0])}, "start", "no rows"),
        ({"unit": np.array([0, 1, 0, 3])}, "unit", "not one of those"),
        ({"unit": np.array([0, -1, 0, 2])}, "unit", "not one of those"),
        ({"unit": np.array([0, 1, 0, 1])}, "unit", "unit 2 is in no chain"),
        ({"unit": np.array([0, 1, 2, 1])}, "unit", "after different ones"),
        ({"unit": np.array([0.0, 1.0, 0.0, 2.0])}, "unit", "whole numbers"),
        ({"unit": np.array([[0, 1, 0, 2]])}, "unit", "whole numbers"),
        ({"end": np.array([512, 900])}, "end", "differ in length"),
        ({"end": np.array([512, 900, 512])}, "begin", "do not follow"),
        ({"end": np.array([512, 2**40, 600])}, "end", "too large"),
        ({"begin": np.array([0, 512, 500])}, "begin", "do not follow"),
        ({"begin": np.array([1, 512, 512])}, "begin", "do not follow"),
    ],
)
def test_what_is_no_forest_is_refused(changes, field, says):
    with pytest.raises(BadInput, match=says) as caught:
        dataclasses.replace(TWO, **changes)
    assert caught.value.field == f"chains.{field}"


def test_some_requests_keep_their_chains_and_get_new_ids():
    last = TWO.take(np.array([2]))
    assert (chain(last, 0), last.units) == (([0, 1], [512, 600]), 2)
    turned = TWO.take(np.array([2, 0]))
    assert (chain(turned, 0), chain(turned, 1)) == (([0, 1], [512, 600]), ([0, 2], [512, 900]))


@given(st.lists(st.integers(-3, 3) | st.integers(-(2**62), 2**62), max_size=30))
def test_ids_become_dense_in_the_order_in_which_they_occur(ids):
    labels, first = dense(np.array(ids, np.int64))
    order = list(dict.fromkeys(ids))
    assert labels.tolist() == [order.index(each) for each in ids]
    assert first.tolist() == [ids.index(each) for each in order]


def test_one_id_for_last_blocks_of_different_length_is_a_unit_for_each():
    inputs = np.array([1000, 900, 1024, 900])
    chains = block_chains(np.array([2, 2, 2, 2]), np.array([1, 2] * 4), inputs)
    assert isinstance(chains, Chains)
    assert [chain(chains, row)[1] for row in range(4)] == [[512, 1000], [512, 900], [512, 1024], [512, 900]]
    assert chains.of(1).tolist() == chains.of(3).tolist() != chains.of(0).tolist()
    assert chains.seen_tokens(inputs).tolist() == [0, 512, 512, 900]
    longest = np.repeat(inputs, np.diff(chains.start))
    assert np.all(chains.end[chains.unit] <= longest)


def test_ids_that_are_no_prefixes_or_of_other_blocks_are_not_used():
    assert "no prefixes: a unit stands after different ones" in str(
        block_chains(np.array([2, 2]), np.array([1, 2, 3, 2]), np.array([1024, 1024]))
    )
    assert "request 2 has 1 of them" in str(block_chains(np.array([1, 1]), np.array([1, 2]), np.array([512, 513])))


def test_only_earlier_requests_of_the_same_owner_were_there_before():
    chains = Chains(np.array([0, 1, 2, 3, 4]), np.zeros(4, np.int32), np.array([0]), np.array([100]))
    inputs = np.full(4, 150)
    assert chains.seen_tokens(inputs).tolist() == [0, 100, 100, 100]
    assert chains.seen_tokens(inputs, np.array([0, 1, 0, 1])).tolist() == [0, 0, 100, 100]


@given(st.lists(st.lists(st.integers(0, 1), max_size=4), min_size=1, max_size=12), st.randoms())
def test_tokens_seen_are_those_counted_one_by_one(prompts, random):
    """Prompts as words over two letters; a unit is a word's beginning."""
    words, ids = {}, []
    for prompt in prompts:
        ids.append([words.setdefault(tuple(prompt[: k + 1]), len(words)) for k in range(len(prompt))])
    depth = np.array([len(word) for word in words], np.int64)
    flat = np.array([each for row in ids for each in row], np.int64)
    start = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    chains = Chains(start, flat, 7 * (depth - 1), 7 * depth)
    owner = [random.randrange(2) for _ in prompts]
    inputs = np.array([7 * len(prompt) + 1 for prompt in prompts])
    seen = [
        max((7 * k for k in range(len(prompt) + 1)
             for j in range(i) if owner[j] == owner[i] and prompts[j][:k] == prompt[:k] and len(prompts[j]) >= k),
            default=0)
        for i, prompt in enumerate(prompts)
    ]  # fmt: skip
    assert chains.seen_tokens(inputs, np.array(owner)).tolist() == seen


def test_whole_numbers_are_kept_in_the_type_asked_for():
    assert whole_numbers([1, 2], np.int32, "x").dtype == np.int32
    for wrong in ([1.5], [True], ["1"], 3):
        with pytest.raises(BadInput):
            whole_numbers(wrong, np.int32, "x")
