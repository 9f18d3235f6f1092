"""Tokens of each event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.record.chunks import spread

SIZES = st.lists(st.integers(1, 50).map(lambda size: -size), min_size=1, max_size=40)


@given(SIZES, st.integers(0, 500))
def test_shares_add_up_and_every_event_has_a_token_while_there_are_enough(marks: list[int], tokens: int) -> None:
    each, source = spread(marks, tokens, None)
    assert each is not None
    assert sum(each) == tokens
    assert min(each) >= (1 if tokens >= len(marks) else 0)
    assert source == ("single" if tokens == len(marks) else "text")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_what_the_server_told_is_kept(marks: list[int]) -> None:
    assert spread(marks, sum(marks), "usage") == (marks, "usage")
    assert spread(marks, None, "ids") == (marks, "ids")


def test_without_a_total_nothing_is_known() -> None:
    assert spread([-3, -4], None, None) == (None, None)
    assert spread([], 5, None) == (None, None)
