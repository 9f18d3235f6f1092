"""A turn's prompt is all that was said before and something new, and its chain says so."""

import dataclasses

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.workload.requests import ideal_hit_share
from inferatlas.workload.turns import conversations
from inferatlas.workload.workload import Workload

LOAD = Workload("talk", 300.0, 120.0, 0.5, 0.6, request_rate=8.0, prefix_tokens=200.0)


def one_by_one(talk, prefix):
    """Units of each request by following `previous`, as (begin, end, who made it)."""
    made = []
    for i, (before, inputs, outputs) in enumerate(
        zip(talk.previous, talk.input_tokens, talk.output_tokens, strict=True)
    ):
        history = made[before] if before >= 0 else [(0, prefix, "all")] * (prefix > 0)
        start = history[-1][1] if history else 0
        made.append([*history, (start, inputs, f"{i} new"), (inputs, inputs + outputs, f"{i} answer")])
    return made


@pytest.mark.parametrize("prefix", [0.0, 200.0])
@pytest.mark.parametrize("longest", [None, 1500])
def test_chains_hold_the_whole_conversation(prefix, longest):
    talk = conversations(dataclasses.replace(LOAD, prefix_tokens=prefix), 400, 3, turns=4, think_s=2.0, longest=longest)
    assert len(talk) == 400 and talk.chains is not None and talk.previous is not None
    names = {}
    for row, units in enumerate(one_by_one(talk, int(prefix))):
        of = talk.chains.of(row)
        assert list(zip(talk.chains.begin[of].tolist(), talk.chains.end[of].tolist(), strict=True)) == [
            u[:2] for u in units
        ]
        assert [names.setdefault(u[2], unit) for u, unit in zip(units, of.tolist(), strict=True)] == of.tolist()
    assert len(set(names.values())) == len(names) == talk.chains.units


def test_each_turn_adds_to_what_was_said_before():
    talk = conversations(LOAD, 100_000, 1, turns=5, think_s=10.0)
    assert talk.previous is not None
    later = np.flatnonzero(talk.previous >= 0)
    before = talk.previous[later]
    new = talk.input_tokens[later] - talk.input_tokens[before] - talk.output_tokens[before]
    assert new.min() >= 1 and new.mean() == pytest.approx(100.0, rel=0.02)
    first = talk.input_tokens[talk.first_turns]
    assert first.min() > 200 and first.mean() == pytest.approx(300.0, rel=0.02)
    assert talk.output_tokens.mean() == pytest.approx(120.0, rel=0.01)
    assert len(talk) / np.count_nonzero(talk.first_turns) == pytest.approx(5.0, rel=0.03)
    think = talk.arrival_s[later]
    assert (think.mean(), think.std()) == pytest.approx((10.0, 10.0), rel=0.02)
    assert talk.offered_rate == pytest.approx(8.0, rel=0.03)
    gaps = np.diff(talk.arrival_s[talk.first_turns])
    assert (gaps.mean(), gaps.std()) == pytest.approx((5 / 8, 5 / 8), rel=0.03)
    # a cache without limit finds all but what is new, and all but the first common beginning
    found = talk.input_tokens.sum() - new.sum() - (first - 200).sum() - 200
    assert ideal_hit_share(talk, 1) == pytest.approx(found / talk.input_tokens.sum())


def test_turns_may_be_fixed_and_the_last_conversation_cut():
    talk = conversations(LOAD, 8, 1, turns=3, think_s=0.0, fixed_turns=True, arrival="constant")
    assert talk.previous is not None
    assert talk.previous.tolist() == [-1, 0, 1, -1, 3, 4, -1, 6]
    assert talk.arrival_s == pytest.approx([3 / 8, 0, 0, 6 / 8, 0, 0, 9 / 8, 0])
    alone = conversations(LOAD, 8, 1, turns=1, think_s=5.0)
    assert alone.previous is not None and set(alone.previous.tolist()) == {-1}


def test_the_same_seed_is_the_same_talk_for_any_count_and_rate():
    talk, more = (conversations(LOAD, count, 1, turns=4, think_s=2.0, longest=2000) for count in (300, 1000))
    faster = conversations(dataclasses.replace(LOAD, request_rate=16.0), 300, 1, turns=4, think_s=2.0, longest=2000)
    for field in ("previous", "input_tokens", "output_tokens", "arrival_s"):
        assert np.array_equal(getattr(talk, field), getattr(more.head(300), field)), field
    for field in ("previous", "input_tokens", "output_tokens"):
        assert np.array_equal(getattr(talk, field), getattr(faster, field)), field
    assert faster.arrival_s[faster.first_turns] == pytest.approx(talk.arrival_s[talk.first_turns] / 2)


def test_a_conversation_ends_before_the_limit_and_that_is_told():
    talk = conversations(LOAD, 5000, 1, turns=8, think_s=1.0, longest=1000)
    assert len(talk) == 5000 and (talk.input_tokens + talk.output_tokens).max() <= 1000
    assert "% of turns, of more than 1,000 tokens: conversations end before them" in talk.notes[0]
    assert conversations(LOAD, 100, 1, turns=2, think_s=1.0, longest=10**6).notes == ()
    with pytest.raises(BadInput) as caught:
        conversations(LOAD, 100, 1, turns=2, think_s=1.0, longest=300)
    assert caught.value.field == "longest"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"turns": 0.5}, "turns"), ({"turns": np.nan}, "turns"), ({"turns": 2.5, "fixed_turns": True}, "turns"),
        ({"think_s": -1.0}, "think_s"), ({"think_s": np.nan}, "think_s"), ({"longest": 1}, "longest"),
        ({"count": 0}, "count"), ({"seed": -1}, "seed"), ({"burstiness": 1.0}, "burstiness"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_refused(changes, field):
    with pytest.raises(BadInput) as caught:
        conversations(LOAD, **({"count": 10, "seed": 1, "turns": 2, "think_s": 1.0} | changes))
    assert caught.value.field == field


def test_a_closed_loop_has_no_conversations():
    with pytest.raises(BadInput) as caught:
        conversations(dataclasses.replace(LOAD, request_rate=None, concurrency=4), 10, 1, turns=2, think_s=1.0)
    assert caught.value.field == "concurrency"
