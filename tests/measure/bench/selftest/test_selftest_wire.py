"""Requests out of bytes, however they are cut; answers in bytes that a client of the API reads."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.selftest.account import Account
from inferatlas.measure.bench.selftest.wire import CHAT, MOST_HEAD, TEXT, asked, request_in

BODY = json.dumps({"stream": True, "max_tokens": 3, "prompt": "a b\r\n\r\nc"}).encode()
WHOLE = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-LENGTH: %d\r\n\r\n%b" % (len(BODY), BODY)


@given(st.lists(st.integers(0, 2 * len(WHOLE)), max_size=6))
def test_requests_are_found_however_their_bytes_are_cut(cuts: list[int]):
    sent, data, found = WHOLE + WHOLE, bytearray(), []
    edges = [0, *sorted(cuts), len(sent)]
    for begin, end in pairwise(edges):
        data += sent[begin:end]
        while (one := request_in(data)) is not None:
            found.append(one)
    assert found == 2 * [("POST", TEXT, BODY)] and not data


@pytest.mark.parametrize(
    "data",
    [b"x" * (MOST_HEAD + 1), b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"],
    ids=["headers without end", "no HTTP", "too long"],
)
def test_what_is_no_request_is_refused(data: bytes):
    with pytest.raises(ValueError):
        request_in(bytearray(data))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"stream": false}',
        b'{"stream": true, "max_tokens": 0}',
        b'{"stream": true, "max_tokens": "3"}',
    ],
)
def test_bodies_that_ask_for_no_stream_of_tokens_are_refused(body: bytes):
    with pytest.raises(ValueError):
        asked(CHAT, body, 8)


def test_lengths_and_usage_are_as_asked():
    messages = [{"role": "user", "content": "one two"}, {"role": "user", "content": "three"}]
    body = {"stream": True, "messages": messages, "stream_options": {"include_usage": True}, "user": "17"}
    found = asked(CHAT, json.dumps(body).encode(), 8)
    assert (found.tokens, found.user) == (8, "17")
    assert b'"usage":{"prompt_tokens":3,"completion_tokens":8,"total_tokens":11}' in found.end
    assert found.end.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    both = asked(TEXT, b'{"stream": true, "max_tokens": 4, "max_completion_tokens": 5}', 8)
    assert both.tokens == 5 and b"usage" not in both.end


@given(st.lists(st.integers(0, 300_000_000), min_size=1, max_size=200))
def test_quantiles_of_lateness_are_those_of_the_values_up_to_a_tenth_of_a_second(values: list[int]):
    account = Account()
    for one in values:
        account.late(one, 1)
    told = account.told()
    capped = sorted(min(one // 1000, 100_000) for one in values)
    for share, name in ((0.5, "late_p50_s"), (0.99, "late_p99_s")):
        least = next(one for n, one in enumerate(capped, 1) if n >= share * len(capped))
        assert round(told[name] * 1e6) == least
    assert told["late_max_s"] == max(values) / 1e9
    account.begin()
    assert account.told()["late_p50_s"] is None and account.told()["late_max_s"] is None
