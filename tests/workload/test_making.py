"""Explicit flags beat the named workload; contradictions and impossible lengths are refused."""

import math

import pytest

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload import Workload, load_workload, make_workload


def test_a_named_workload_takes_its_load_from_the_user():
    open_loop = make_workload("chat", request_rate=4)
    assert (open_loop.arrival, open_loop.request_rate, open_loop.concurrency) == ("poisson", 4.0, None)
    closed_loop = make_workload("chat", concurrency=64)
    assert (closed_loop.arrival, closed_loop.request_rate, closed_loop.concurrency) == ("closed", None, 64)
    assert closed_loop.address == load_workload("chat").address


def test_explicit_lengths_replace_the_means_and_keep_the_spread():
    chat = load_workload("chat")
    mine = make_workload("chat", isl=4096, concurrency=1)
    assert (mine.input_tokens, mine.input_cv) == (4096, chat.input_cv)
    assert (mine.output_tokens, mine.output_cv) == (chat.output_tokens, chat.output_cv)
    assert mine.name == "chat (isl 4096)"
    assert make_workload("chat", input_cv=0, concurrency=1).input_cv == 0


def test_explicit_lengths_alone_are_fixed_lengths():
    mine = make_workload(isl=1024, osl=256, concurrency=32)
    assert (mine.input_tokens, mine.output_tokens, mine.input_cv, mine.output_cv) == (1024, 256, 0, 0)


def test_an_explicit_load_replaces_the_one_of_the_file(tmp_path):
    path = tmp_path / "single.yaml"
    path.write_text("name: single\ninput_tokens: 9\noutput_tokens: 9\nconcurrency: 1\nsource: ours\n")
    assert make_workload(path).concurrency == 1
    assert make_workload(path, request_rate=2).arrival == "poisson"


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"name": "chat"}, "concurrency"),
        ({"name": "chat", "concurrency": 4, "request_rate": 4}, "request_rate"),
        ({"concurrency": 4}, "isl"),
        ({"isl": 128, "concurrency": 4}, "osl"),
        ({"osl": 128, "concurrency": 4}, "isl"),
        *(({"isl": bad, "osl": 8, "concurrency": 1}, "isl") for bad in (0, -1, 1.5, math.nan, math.inf, True, "9")),
        *(({"isl": 8, "osl": bad, "concurrency": 1}, "osl") for bad in (0, -1, 1.5, math.nan, math.inf)),
        *(({"name": "chat", "concurrency": bad}, "concurrency") for bad in (0, -2, 1.5, math.nan, math.inf)),
        *(({"name": "chat", "request_rate": bad}, "request_rate") for bad in (0, -2.0, math.nan, math.inf)),
        ({"name": "chat", "concurrency": 1, "input_cv": -1.0}, "input_cv"),
        ({"name": "chat", "concurrency": 1, "output_cv": math.nan}, "output_cv"),
        ({"name": "chat", "concurrency": 1, "input_cv": 101.0}, "input_cv"),
        *(({"name": "chat", "concurrency": bad}, "concurrency") for bad in (10**6 + 1, 10**26, 10**400)),
        *(({"isl": bad, "osl": 8, "concurrency": 1}, "isl") for bad in (10**9 + 1, 10**400)),
        ({"name": "chat", "request_rate": 1e10}, "request_rate"),
    ],
)
def test_contradictions_and_impossible_values_name_the_field(kwargs, field):
    with pytest.raises(BadInput) as caught:
        make_workload(**kwargs)
    assert caught.value.field == field
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("kwargs", "allowed"),
    [
        ({"name": "chat", "concurrency": 10**12}, "a whole number, 1 to 1,000,000"),
        ({"name": "chat", "concurrency": 1, "input_cv": 1e9}, "0 to 100"),
        ({"isl": 10**20, "osl": 8, "concurrency": 1}, "a whole number of tokens, 1 to 1,000,000,000"),
        ({"name": "chat", "request_rate": 1e10}, "a number above 0 and up to 1,000,000,000"),
    ],
)
def test_bounds_are_stated(kwargs, allowed):
    with pytest.raises(BadInput) as caught:
        make_workload(**kwargs)
    assert caught.value.allowed == allowed


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName):
        make_workload("chit-chat", concurrency=1)


def test_the_type_itself_holds_exactly_one_load():
    for load in ({}, {"concurrency": 1, "request_rate": 1.0}):
        with pytest.raises(BadInput):
            Workload("x", 1, 1, **load)
    with pytest.raises(BadInput):
        Workload("", 1, 1, concurrency=1)
    assert Workload("x", 100.5, 20, request_rate=0.1).total_tokens == 120.5
