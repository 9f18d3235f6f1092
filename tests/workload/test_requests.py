"""Requests are checked arrays: of each it is clear when it is sent, what it waits for and what it shares."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains
from inferatlas.workload.requests import Requests, check_context, ideal_hit_share
from inferatlas.workload.streams import replay
from inferatlas.workload.traces import read_trace

SHARED = Path(__file__).parents[3] / "shared" / "traces"

FOUR = Requests(
    "four",
    np.array([1.0, 2.0, 5.0, 0.5]),
    np.array([100, 200, 300, 400]),
    np.array([10, 20, 30, 40]),
    previous=np.array([-1, -1, -1, 1]),
    model=np.array([0, 1, 0, 1]),
    models=("a", "b"),
    adapter=np.array([-1, 0, -1, 0]),
    adapters=("x",),
    chains=Chains(
        np.array([0, 0, 2, 3, 6]),
        np.array([0, 1, 3, 0, 1, 2]),
        np.array([0, 200, 220, 0]),
        np.array([200, 220, 400, 9]),
    ),
)


def test_types_are_those_that_are_promised():
    assert (FOUR.arrival_s.dtype, FOUR.input_tokens.dtype, FOUR.output_tokens.dtype) == (float, np.int64, np.int64)
    for index in (FOUR.previous, FOUR.model, FOUR.adapter):
        assert index is not None and index.dtype == np.int32


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"arrival_s": np.array([1.0, 2.0, 5.0])}, "input_tokens"),
        ({"arrival_s": np.array([])}, "arrival_s"),
        ({"arrival_s": np.array([1.0, 2.0, 1.5, 0.5])}, "arrival_s"),
        ({"arrival_s": np.array([-1.0, 2.0, 5.0, 0.5])}, "arrival_s"),
        ({"arrival_s": np.array([1.0, 2.0, 5.0, np.nan])}, "arrival_s"),
        ({"arrival_s": np.array([1.0, 2.0, np.inf, 0.5])}, "arrival_s"),
        ({"input_tokens": np.array([100, 0, 300, 400])}, "input_tokens"),
        ({"input_tokens": np.array([100.0, 200.0, 300.0, 400.0])}, "input_tokens"),
        ({"output_tokens": np.array([10, 20, 30, 0])}, "output_tokens"),
        ({"output_tokens": np.array([10, 20, 30, 10**10])}, "output_tokens"),
        ({"output_tokens": np.array([10, 20])}, "output_tokens"),
        ({"previous": np.array([-1, 1, -1, -1])}, "previous"),
        ({"previous": np.array([-1, -1, -1, -2])}, "previous"),
        ({"previous": np.array([-1, -1, -1])}, "previous"),
        ({"clients": 2}, "previous"),
        ({"clients": 0, "previous": None}, "clients"),
        ({"clients": True, "previous": None}, "clients"),
        ({"model": np.array([0, 1, 2, 0])}, "model"),
        ({"model": np.array([0, -1, 0, 0])}, "model"),
        ({"models": ("a", "a")}, "models"),
        ({"adapter": np.array([0, -2, 0, 0])}, "adapter"),
        ({"adapters": ()}, "adapter"),
        ({"chains": Chains(np.array([0, 1]), np.array([0]), np.array([0]), np.array([5]))}, "chains"),
    ],
)
def test_arrays_that_break_the_rules_are_refused_with_the_field(changes, field):
    with pytest.raises(BadInput) as caught:
        dataclasses.replace(FOUR, **changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("ends", "fits"),
    [([50, 100], True), ([100], True), ([50, 100, 110], True), ([99], True), ([50, 101], False), ([100, 111], False)],
)
def test_units_lie_in_the_prompt_or_in_the_answer(ends, fits):
    chains = Chains(np.array([0, len(ends)]), np.arange(len(ends)), np.array([0, *ends[:-1]]), np.array(ends))
    one = (np.array([0.0]), np.array([100]), np.array([10]))
    if fits:
        assert len(Requests("one", *one, chains=chains)) == 1
    else:
        with pytest.raises(BadInput, match="request 1"):
            Requests("one", *one, chains=chains)


def test_think_times_of_turns_and_of_clients_are_in_no_order():
    loop = dataclasses.replace(FOUR, previous=None, clients=2)
    assert loop.arrival_s.tolist() == [1.0, 2.0, 5.0, 0.5]
    assert loop.offered_rate is None and loop.first_turns.all()


def test_the_offered_rate_counts_every_turn():
    assert FOUR.first_turns.tolist() == [True, True, True, False]
    assert FOUR.offered_rate == pytest.approx(2 / 4.0 * 4 / 3)
    assert FOUR.head(1).offered_rate is None


def test_the_first_requests_keep_all_that_belongs_to_them():
    assert FOUR.head(9) is FOUR
    two = FOUR.head(2)
    assert (len(two), two.models, two.adapters) == (2, ("a", "b"), ("x",))
    assert two.chains is not None and two.chains.units == 2
    assert two.chains.of(1).tolist() == [0, 1]
    with pytest.raises(BadInput):
        FOUR.head(0)


def test_some_requests_keep_what_they_wait_for():
    kept = FOUR[np.array([False, True, False, True])]
    assert kept.previous is not None and kept.previous.tolist() == [-1, 0]
    assert kept.input_tokens.tolist() == [200, 400]
    assert FOUR[::2].arrival_s.tolist() == [1.0, 5.0]
    with pytest.raises(BadInput, match="without the one before it"):
        FOUR[np.array([0, 3])]
    for none in (np.array([2, 1]), np.array([1, 1]), np.zeros(4, bool), slice(4, None)):
        with pytest.raises(BadInput):
            FOUR[none]


def test_a_turn_finds_the_prompt_and_the_answer_before_it():
    # of 1,000 input tokens, 220 were there: the 200 and the 20 of request 2, which request 4 follows
    assert ideal_hit_share(FOUR, 1) == pytest.approx(220 / 1000)
    assert ideal_hit_share(FOUR, 16) == pytest.approx(208 / 1000)
    other = dataclasses.replace(FOUR, adapter=np.array([-1, 0, -1, -1]))
    assert ideal_hit_share(other, 1) == 0
    with pytest.raises(BadInput):
        ideal_hit_share(FOUR, 0)
    with pytest.raises(BadInput):
        ideal_hit_share(dataclasses.replace(FOUR, chains=None), 16)


@pytest.mark.parametrize(("file", "share"), [("mc_conv.jsonl", 0.374), ("mc_syn.jsonl", 0.651)])
def test_the_shared_traces_have_their_published_prefix_shares(file, share):
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"the trace {file} is not beside this repository")
    requests = replay(read_trace(path))
    assert ideal_hit_share(requests, 512) == pytest.approx(share, abs=5e-4)
    # smaller blocks find no less, and no more than matching by token
    shares = [ideal_hit_share(requests, block) for block in (512, 256, 16, 1)]
    assert shares == sorted(shares)
    assert requests.chains is not None
    ends = requests.chains.end[requests.chains.unit]
    assert np.all(ends <= np.repeat(requests.input_tokens, np.diff(requests.chains.start)))


def test_requests_beyond_the_context_are_refused_by_name_and_line(tmp_path):
    llama = load_model("llama-3.1-8b")
    assert llama.context_length == 131_072
    check_context(FOUR, llama)
    long = dataclasses.replace(FOUR, input_tokens=np.array([100, 200, 131_043, 131_072]))
    with pytest.raises(BadInput, match="request 3 of 4 has 131,043 input and 30 output tokens") as caught:
        check_context(long, llama)
    assert (caught.value.field, caught.value.line) == ("isl", None)
    assert "2 do" in caught.value.message and "131072" in (caught.value.allowed or "")
    file = tmp_path / "trace.csv"
    file.write_text("arrival_s,isl,osl\n9,140000,9\n\n0,100,10\n1,200000,5\n")
    trace = read_trace(file)
    with pytest.raises(BadInput, match="request 2 of 3") as caught:
        check_context(replay(trace), llama, trace.lines, file=file)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(file), 5, "trace")


def test_a_model_without_a_context_takes_any_length():
    endless = SimpleNamespace(id="m", context_length=0, encoder=(), span=lambda i, o: i + o, holds=lambda tokens: True)
    check_context(FOUR, endless)
