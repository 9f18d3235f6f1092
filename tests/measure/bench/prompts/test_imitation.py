"""The stand-in for LMSYS-Chat-1M has the published means, and never passes for the data."""

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.imitation import NAME, NOTES, imitate_lmsys
from inferatlas.measure.bench.prompts.selecting import select


def test_means_are_the_published_ones():
    """arXiv:2309.11998, table 1: 2.0 turns, 69.5 tokens per prompt, 214.5 per response; words stand for tokens."""
    talks = list(imitate_lmsys(4000, 1))
    said = [len(text.split()) for talk in talks for role, text in talk.messages if role == "user"]
    answered = [len(text.split()) for talk in talks for role, text in talk.messages if role == "assistant"]
    assert len(said) / len(talks) == pytest.approx(2.0, rel=0.05)
    assert np.mean(said) == pytest.approx(69.5, rel=0.08)
    assert np.mean(answered) == pytest.approx(214.5, rel=0.05)
    assert np.std(answered) / np.mean(answered) == pytest.approx(1.0, rel=0.15)


def test_the_first_are_the_same_for_every_count():
    few, many = list(imitate_lmsys(20, 3)), list(imitate_lmsys(50, 3))
    assert [one.messages[0][1].split()[:3] for one in few] == [one.messages[0][1].split()[:3] for one in many[:20]]
    assert few == list(imitate_lmsys(20, 3)) != list(imitate_lmsys(20, 4))


def test_it_says_what_it_is():
    assert "imitation" in NAME and "not the data" in NAME
    assert any("assumed" in note for note in NOTES) and any("arXiv:2309.11998" in note for note in NOTES)
    kept = select(imitate_lmsys(1100, 1), NAME)
    assert len(kept.dialogues) == 1000 and kept.name == NAME


@pytest.mark.parametrize(("count", "seed"), [(0, 1), (True, 1), (1.5, 1), (5, -1)])
def test_wrong_numbers_are_refused(count, seed):
    with pytest.raises(BadInput):
        imitate_lmsys(count, seed)
