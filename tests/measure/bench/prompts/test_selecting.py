"""The choice of Brunetta et al. (load-generation.md, 8.1): first 1,000, 64 to 20,000 characters, both readings."""

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.dialogues import Dialogue
from inferatlas.measure.bench.prompts.selecting import select


def talk(asked, answered=None, *more):
    said = [("user", "x" * asked)] + ([("assistant", "y" * answered)] if answered is not None else [])
    return Dialogue((*said, *more))


def test_limits_are_both_included_and_count_the_answer():
    some = [talk(32, 31), talk(32, 32), talk(10_000, 10_000), talk(10_000, 10_001)]
    kept = select(some, "some")
    assert kept.dialogues == (some[1], some[2]) and kept.last_dropped
    assert kept.left_out == {"have fewer than 64 or more than 20,000 characters": 2}
    assert (kept.name, kept.seen) == ("some", 4)


def test_both_readings():
    """Every third conversation is too short."""
    some = [talk(10 if place % 3 == 2 else 100, 100 if place % 3 != 2 else 10) for place in range(30)]
    before = select(iter(some), "some", first=10)
    after = select(iter(some), "some", first=10, filter_first=False)
    assert (len(before.dialogues), before.seen) == (10, 14)
    assert (len(after.dialogues), after.seen) == (7, 10)
    assert before.dialogues[:7] == after.dialogues and before.sha256 != after.sha256
    assert "filtered, then the first taken" in before.notes[0] and "then filtered" in after.notes[0]


def test_no_more_is_read_than_needed():
    def endless():
        while True:
            yield talk(100, 100)

    assert select(endless(), "endless").seen == 1000
    assert select(endless(), "endless", first=5, filter_first=False).seen == 5


def test_what_cannot_be_asked_again_is_left_out_and_counted():
    some = [
        talk(100, 100),
        talk(100),
        talk(100, 0),
        talk(100, 100, ("user", "and?")),
        Dialogue((("assistant", "y" * 100),)),
        Dialogue((("user", "x" * 99 + "\ud83d"), ("assistant", "y" * 99))),
    ]
    kept = select(some, "some")
    assert kept.dialogues == (some[0],)
    assert sum(kept.left_out.values()) == 5 and kept.left_out["do not end with an answer"] == 2
    assert sum("left out" in note for note in kept.notes) == len(kept.left_out) == 4
    assert any("fewer than the 1,000" in note for note in kept.notes)


def test_conversations_can_be_asked_as_they_stand():
    some = [talk(1), talk(5, 5), Dialogue((), token_ids=(1, 2)), Dialogue(())]
    kept = select(some, "some", first=None, characters=None, drop_last=False)
    assert kept.dialogues == tuple(some[:3]) and kept.left_out == {"are empty": 1}


def test_the_mark_is_of_what_is_kept_alone():
    one, two, three = talk(100, 100), talk(100, 101), talk(1)
    assert select([one, two], "a").sha256 == select([three, one, two], "b").sha256
    assert select([one, two], "a").sha256 != select([two, one], "a").sha256
    assert len(select([one], "a").sha256) == 64


@pytest.mark.parametrize(
    ("kw", "field"),
    [
        ({"first": 0}, "first"),
        ({"first": True}, "first"),
        ({"characters": (-1, 5)}, "characters"),
        ({"characters": (9, 5)}, "characters"),
        ({}, "dataset"),
    ],
)
def test_nothing_is_refused(kw, field):
    with pytest.raises(BadInput) as caught:
        select([talk(1)], "some", **kw)
    assert caught.value.field == field
