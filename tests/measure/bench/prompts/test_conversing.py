"""Recorded conversations: asked word for word, answers as long as the recorded ones, lengths by the counter."""

import json

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.bodies import Form
from inferatlas.measure.bench.prompts.conversing import Recorded, conversations_of
from inferatlas.measure.bench.prompts.counting import Estimate, Overhead, TokenizerFile
from inferatlas.measure.bench.prompts.dialogues import Dialogue
from inferatlas.measure.bench.prompts.selecting import select

ONE = Dialogue(
    (
        ("system", "be brief"),
        ("user", "why is that"),
        ("assistant", "it just is so"),
        ("user", "oh"),
        ("assistant", "yes"),
    )
)
TWO = Dialogue((("user", "a b c d e"), ("assistant", "f g")))
ANY = {"characters": None, "first": None}
AROUND = Overhead(3, 5, True)


def body(asks, number):
    return json.loads(asks.ask(number).body)


def test_the_last_answer_is_dropped_and_its_length_forced(spaces):
    """Brunetta et al.: minimum = maximum = the tokens of the removed reply."""
    talks = conversations_of(select([ONE, TWO], "talks", **ANY), spaces, overhead=AROUND)
    assert talks.input_tokens.tolist() == [2 + 3 + 4 + 1 + 3 + 4 * 5, 5 + 3 + 5]
    assert talks.output_tokens.tolist() == [1, 2]
    asks = Recorded(talks, Form("tiny", force="min_max"))
    first = body(asks, 0)
    assert [(one["role"], one["content"]) for one in first["messages"]] == list(ONE.messages[:-1])
    assert first["min_tokens"] == first["max_tokens"] == 1 and body(asks, 1)["max_tokens"] == 2
    assert (asks.ask(1).input_tokens, asks.ask(1).output_tokens) == (13, 2)
    assert not asks.live and asks.name == "talks"


def test_lengths_by_a_real_tokenizer(tokenizer_file):
    counter = TokenizerFile(tokenizer_file)
    talks = conversations_of(select([ONE, TWO], "talks", **ANY), counter, api="completions")
    asks = Recorded(talks, Form("tiny", api="completions"))
    assert counter.count([body(asks, number)["prompt"] for number in range(2)]) == talks.input_tokens.tolist()
    assert counter.count(["yes", "f g"]) == talks.output_tokens.tolist()
    assert any("without a chat template" in note for note in talks.notes)


def test_every_answered_turn_can_be_asked(spaces):
    talks = conversations_of(select([ONE, TWO], "talks", **ANY), spaces, turns="all")
    assert talks.output_tokens.tolist() == [4, 1, 2] and talks.input_tokens.tolist() == [5, 10, 5]
    asks = Recorded(talks, Form("tiny"))
    assert [len(body(asks, number)["messages"]) for number in range(3)] == [2, 4, 1]
    opened = talks.requests(7, 1, request_rate=3.5)
    assert opened.previous is not None and opened.previous.tolist() == [-1, 0, -1, -1, 3, -1, -1]
    assert opened.input_tokens.tolist() == [5, 10, 5, 5, 10, 5, 5]
    closed = talks.requests(concurrency=2)
    assert closed.clients == 2 and closed.previous is None and len(closed) == 3


def test_conversations_are_asked_again_and_that_is_said(spaces):
    talks = conversations_of(select([ONE, TWO], "talks", **ANY), spaces)
    asks = Recorded(talks, Form("tiny"))
    assert asks.ask(0) == asks.ask(2) == asks.ask(2000) != asks.ask(1)
    assert any("asked again" in note for note in talks.requests(3, concurrency=1).notes)
    assert not any("asked again" in note for note in talks.requests(2, concurrency=1).notes)


def test_an_open_loop_has_the_rate_that_was_asked(spaces):
    talks = conversations_of(select([ONE, TWO] * 500, "talks", **ANY), spaces, turns="all")
    requests = talks.requests(seed=3, request_rate=30.0)
    assert requests.offered_rate == pytest.approx(30, rel=0.1)
    assert np.array_equal(requests.arrival_s, talks.requests(seed=3, request_rate=30.0).arrival_s)


def test_lengths_in_the_data_set_win_and_missing_ones_are_refused(spaces):
    asked = [Dialogue((("user", "why"),), 7), Dialogue((("user", "who"),))]
    chosen = select(asked, "asked", drop_last=False, **ANY)
    with pytest.raises(BadInput, match="1 conversations") as caught:
        conversations_of(chosen, spaces)
    assert caught.value.field == "osl"
    talks = conversations_of(chosen, spaces, output_tokens=9)
    assert talks.output_tokens.tolist() == [7, 9]


def test_prompts_that_say_their_length_need_no_answer_to_be_removed(spaces):
    """A line of a JSONL file is a prompt and output_tokens; conversations beside it lose their last answer."""
    some = [Dialogue((("user", "why"),), 7), TWO, Dialogue((("user", "who"),))]
    talks = conversations_of(select(some, "some", **ANY), spaces)
    assert talks.output_tokens.tolist() == [7, 2] and "left out: 1 that do not end with an answer" in talks.notes
    asks = Recorded(talks, Form("tiny"))
    assert [body(asks, n)["messages"][-1]["content"] for n in (0, 1)] == ["why", "a b c d e"]
    with pytest.raises(BadInput) as caught:
        select(some[2:], "some", **ANY)
    assert "--osl" in (caught.value.hint or "")


def test_token_ids_are_asked_as_they_are(spaces):
    chosen = select([Dialogue((), 4, (5, 6, 7))], "ids", drop_last=False)
    talks = conversations_of(chosen, spaces, api="completions")
    asks = Recorded(talks, Form("tiny", api="completions"))
    assert body(asks, 0)["prompt"] == [5, 6, 7] and talks.input_tokens.tolist() == [3]
    with pytest.raises(BadInput, match="token ids"):
        conversations_of(chosen, spaces)


def test_estimates_are_said_to_be(spaces):
    talks = conversations_of(select([TWO], "talks", **ANY), Estimate(4.0))
    assert Recorded(talks, Form("tiny")).ask(0).input_tokens is None
    assert any("estimate" in note for note in talks.notes) and any("not counted" in note for note in talks.notes)


@pytest.mark.parametrize(
    ("kw", "field"),
    [
        ({}, "concurrency"),
        ({"concurrency": 1, "request_rate": 1.0}, "concurrency"),
        ({"count": 0, "concurrency": 1}, "requests"),
        ({"count": True, "concurrency": 1}, "requests"),
        ({"concurrency": 0}, "clients"),
    ],
)
def test_loads_that_are_none_are_refused(spaces, kw, field):
    talks = conversations_of(select([TWO], "talks", **ANY), spaces)
    with pytest.raises(BadInput) as caught:
        talks.requests(**kw)
    assert caught.value.field == field


def test_what_does_not_fit_is_refused(spaces):
    talks = conversations_of(select([TWO], "talks", **ANY), spaces)
    with pytest.raises(BadInput) as caught:
        Recorded(talks, Form("tiny", api="completions"))
    assert caught.value.field == "api"
    with pytest.raises(BadInput):
        conversations_of(select([TWO], "talks", **ANY), spaces, turns="first")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput):
        conversations_of(select([Dialogue((("user", "x"),), 3)], "t", drop_last=False, **ANY), spaces, turns="all")
