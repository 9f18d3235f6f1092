"""Prompts are as long as the requests say, share what the chains say and nothing else, and are the same every time."""

import json
from itertools import takewhile

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.bodies import Form
from inferatlas.measure.bench.prompts.counting import Overhead, TokenizerFile
from inferatlas.measure.bench.prompts.synthetic import Synthetic
from inferatlas.workload import Chains, Requests, Workload, assign, conversations, make_requests

CHAT, TEXT = Form("tiny"), Form("tiny", api="completions")
AROUND = Overhead(3, 5, True)


def begin_alike(texts):
    """Places at the start in which all are the same."""
    return list(takewhile(lambda places: len(set(places)) == 1, zip(*texts, strict=False)))


def loaded(count=20, **kw):
    return make_requests(Workload("mine", 120, 16, input_cv=0.8, concurrency=4, **kw), count, 1)


def said(asks, number, replies=()):
    return [(one["role"], one["content"]) for one in json.loads(asks.ask(number, replies).body)["messages"]]


def prompt(asks, number, replies=()):
    return json.loads(asks.ask(number, replies).body)["prompt"]


@pytest.mark.parametrize("form", [CHAT, TEXT], ids=["chat", "completions"])
def test_lengths_count_everything(tokenizer_file, form):
    counter, requests = TokenizerFile(tokenizer_file), loaded(40)
    asks = Synthetic(requests, form, seed=1, counter=counter, overhead=AROUND)
    assert asks.notes == ()
    for number in range(40):
        asked = asks.ask(number)
        body = json.loads(asked.body)
        texts = [body["prompt"]] if form is TEXT else [one["content"] for one in body["messages"]]
        total = sum(counter.count(texts)) + AROUND.of(1 if form is CHAT else 0)
        assert total == asked.input_tokens == requests.input_tokens[number]
        assert body["max_tokens"] == asked.output_tokens == requests.output_tokens[number]


def test_any_request_can_be_the_first():
    ahead, back = Synthetic(loaded(), CHAT, seed=1), Synthetic(loaded(), CHAT, seed=1)
    forward = [ahead.ask(number) for number in range(20)]
    assert [back.ask(number) for number in reversed(range(20))] == forward[::-1]
    assert Synthetic(loaded(100), CHAT, seed=1).ask(19) == forward[19]
    assert not {one.prompt for one in forward} & {Synthetic(loaded(), CHAT, seed=2).ask(n).prompt for n in range(20)}


def test_prompts_share_nothing_but_their_prefix(spaces):
    asks = Synthetic(loaded(200), TEXT, seed=1, counter=spaces)
    begins = {tuple(prompt(asks, number).split()[:3]) for number in range(200)}
    assert len(begins) == 200
    shared = Synthetic(loaded(200, prefix_tokens=50), TEXT, seed=1, counter=spaces)
    texts = [prompt(shared, number).split() for number in range(200)]
    assert len({tuple(text[:50]) for text in texts}) == 1
    assert len({tuple(text[50:53]) for text in texts if len(text) > 52}) == sum(len(text) > 52 for text in texts)


def test_a_prefix_counts_what_the_server_puts_before_it(spaces):
    """50 shared tokens are 42 of text after the 8 of the template."""
    requests = loaded(20, prefix_tokens=50)
    texts = [said(Synthetic(requests, CHAT, seed=1, counter=spaces, overhead=AROUND), n)[0][1] for n in range(20)]
    assert len(begin_alike([text.split() for text in texts])) == 42
    assert [len(text.split()) + 8 for text in texts] == requests.input_tokens.tolist()


def test_equal_units_are_equal_text(spaces):
    """Mooncake-like blocks: requests 0 and 1 share one of two blocks, 0 and 2 are the same prompt."""
    chains = Chains(
        np.array([0, 2, 4, 6]), np.array([0, 1, 0, 2, 0, 1]), np.array([0, 512, 512]), np.array([512, 900, 600])
    )
    requests = Requests("three", np.zeros(3), np.array([900, 600, 900]), np.array([9, 9, 9]), chains=chains, clients=1)
    first, second, third = (prompt(Synthetic(requests, TEXT, seed=1, counter=spaces), n).split() for n in range(3))
    assert (len(first), len(second)) == (900, 600) and first == third
    assert len(begin_alike([first, second])) == 512


@pytest.mark.parametrize("form", [CHAT, TEXT], ids=["chat", "completions"])
def test_turns_hold_what_was_said_before(tokenizer_file, form):
    counter = TokenizerFile(tokenizer_file)
    load = Workload("talk", 60, 20, request_rate=1.0, prefix_tokens=16, input_cv=0.5)
    requests = conversations(load, 12, 1, turns=4, think_s=0, fixed_turns=True)
    asks = Synthetic(requests, form, seed=1, counter=counter, overhead=AROUND)
    before: list = []
    for number in range(12):
        if form is TEXT:
            now = prompt(asks, number)
            assert counter.count([now])[0] + AROUND.of(0) == requests.input_tokens[number]
            assert number % 4 == 0 or now.startswith(before)
        else:
            now = said(asks, number)
            assert [role for role, _ in now] == ["user", "assistant"] * (number % 4) + ["user"]
            total = sum(counter.count([text for _, text in now])) + AROUND.of(len(now))
            assert total == requests.input_tokens[number]
            assert number % 4 == 0 or now[:-2] == before
            assert number % 4 == 0 or counter.count([now[-2][1]])[0] == requests.output_tokens[number - 1]
        before = now
    roots = [said(asks, n)[0][1].split() if form is CHAT else prompt(asks, n).split() for n in (0, 4, 8)]
    assert len(begin_alike(roots)) >= 2  # the common prefix, in words that may be several tokens


def test_live_replies_take_the_place_of_made_up_ones():
    requests = conversations(Workload("t", 60, 20, request_rate=1.0), 6, 1, turns=3, think_s=0, fixed_turns=True)
    asks = Synthetic(requests, CHAT, seed=1, live=True)
    assert asks.live and said(asks, 2, ['a "b"', "ü"])[1::2] == [("assistant", 'a "b"'), ("assistant", "ü")]
    assert said(asks, 2, ["x", "y"])[::2] == said(Synthetic(requests, CHAT, seed=1), 2)[::2]
    for wrong in ((), ("one",), ("one", "two", "three")):
        with pytest.raises(BadInput) as caught:
            asks.ask(2, wrong)
        assert caught.value.field == "replies"
    with pytest.raises(BadInput) as caught:
        Synthetic(loaded(), CHAT, seed=1, live=True)
    assert caught.value.field == "live"


def test_token_ids_are_exact_without_a_tokenizer():
    asks = Synthetic(loaded(prefix_tokens=30), TEXT, seed=1, token_ids=(1000, 32_000), overhead=Overhead(1, 0, True))
    prompts = [prompt(asks, number) for number in range(20)]
    assert [len(ids) + 1 for ids in prompts] == loaded(prefix_tokens=30).input_tokens.tolist()
    assert all(1000 <= one < 32_000 for ids in prompts for one in ids)
    assert len(begin_alike(prompts)) == 29
    talk = conversations(Workload("t", 60, 20, request_rate=1.0), 3, 1, turns=3, think_s=0, fixed_turns=True)
    asks = Synthetic(talk, TEXT, seed=1, token_ids=(1000, 32_000))
    first, second = prompt(asks, 0), prompt(asks, 1)
    assert second[:60] == first and len(second) == 140


@pytest.mark.parametrize(
    ("form", "kw", "field"),
    [
        (CHAT, {"token_ids": (1000, 32_000)}, "token_ids"),
        (TEXT, {"token_ids": (1000, 1001)}, "token_ids"),
        (TEXT, {"seed": -1}, "seed"),
        (TEXT, {"seed": True}, "seed"),
    ],
)
def test_what_does_not_go_together_is_refused(form, kw, field):
    with pytest.raises(BadInput) as caught:
        Synthetic(loaded(), form, **{"seed": 1, **kw})
    assert caught.value.field == field


def test_models_and_adapters_are_asked_for_by_name():
    tagged = assign(assign(loaded(50), ("a", "b"), (0.5, 0.5), 1), ("lora",), (0.3,), 1, "adapter")
    asks = Synthetic(tagged, CHAT, seed=1)
    named = [json.loads(asks.ask(number).body)["model"] for number in range(50)]
    assert tagged.adapter is not None and tagged.model is not None
    expected = ["lora" if a >= 0 else "ab"[m] for a, m in zip(tagged.adapter, tagged.model, strict=True)]
    assert named == expected and set(named) == {"a", "b", "lora"}


def test_what_is_not_exact_is_said(spaces):
    short = make_requests(Workload("mine", 2, 4, concurrency=1), 5, 1)
    assert "approximate" in Synthetic(loaded(), CHAT, seed=1).notes[0]
    assert any("not known" in note for note in Synthetic(loaded(), CHAT, seed=1, counter=spaces).notes)
    asks = Synthetic(short, CHAT, seed=1, counter=spaces, overhead=AROUND)
    assert any("no room" in note for note in asks.notes) and any("equal" in note for note in asks.notes)
    assert all(len(said(asks, number)[0][1].split()) == 1 for number in range(5))
