"""The servers that the other tests measure say what their names promise; read here by Python's own HTTP client."""

import http.client
import json
import socket
import urllib.parse

import pytest
import tiny_gguf
from bench_faults import FaultServer, closed_port, deaf_port
from bench_plans import BAD, GOOD, SILENT, dripping, pinging, redirected, told

TOKENS = 6


def asking(server, tokens: int = TOKENS, prompt: str = "a") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.base_url).netloc, timeout=5)
    body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}], "stream": True, "max_tokens": tokens}
    body["stream_options"] = {"include_usage": True}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer key"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body | {"ignore_eos": True}), headers)
    return connection


def events(stream: bytes) -> list[dict]:
    """The JSON of a stream of events, by the rules of the WHATWG for event streams."""
    text = stream.decode("utf-8-sig").replace("\r\n", "\n")
    data = (
        "\n".join(line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:"))
        for event in text.split("\n\n")
    )
    return [json.loads(one) for one in data if one and one != "[DONE]"]


def words(event: dict) -> str:
    if not event["choices"]:
        return ""
    choice = event["choices"][0]
    delta = choice.get("delta", {})
    tool = "".join(str(one) for one in delta.get("tool_calls") or ())
    return delta.get("content") or delta.get("reasoning") or delta.get("reasoning_content") or tool


@pytest.mark.parametrize("name", [name for name in GOOD if name != "early hints first"])  # http.client knows only 100
def test_good_answers_hold_every_token_and_the_usage(served, name):
    server = served(GOOD[name])
    with asking(server).getresponse() as response:
        found = events(response.read())
    assert response.status == 200
    assert found[-1]["usage"]["completion_tokens"] == TOKENS
    assert 3 <= sum(bool(words(event)) for event in found) <= 2 * TOKENS
    (asked,) = server.requests
    assert (asked.tokens, asked.headers["authorization"], asked.connection) == (TOKENS, "Bearer key", 0)


@pytest.mark.parametrize("name", BAD)
def test_bad_answers_are_bad_and_come_to_an_end(served, name):
    server = served(BAD[name][0])
    try:
        response = asking(server).getresponse()
        body = response.read()
        good = response.status == 200 and events(body)[-1]["usage"]["completion_tokens"] == TOKENS
        assert not good or "MB" in name
    except (http.client.HTTPException, OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        pass  # as it should be
    assert len(server.requests) == 1


@pytest.mark.parametrize("plan", [*(plan for plan, _ in SILENT.values()), pinging, dripping])
def test_answers_without_end_last_longer_than_a_client_waits(served, plan):
    connection = asking(served(plan))
    connection.sock.settimeout(0.05)
    with pytest.raises((TimeoutError, StopIteration)):
        for _ in range(30):
            if not connection.sock.recv(1 << 16):
                raise AssertionError("it ended")
        raise StopIteration  # bytes still come


def test_plans_take_turns_over_requests_and_connections_are_told_apart(served):
    server = served(GOOD["plain"], BAD["wrong key"][0], BAD["closed in the middle"][0])
    statuses = []
    connection = asking(server)
    for body in (b'{"n": 1}', b'{"n": 2}'):
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        connection.request("POST", "/v1/completions", body)
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    response = asking(server, prompt="b").getresponse()
    assert [*statuses, response.status] == [200, 401, 200]
    assert [(one.number, one.connection) for one in server.requests] == [(0, 0), (1, 0), (2, 0), (3, 1)]


def test_a_request_that_is_sent_again_is_answered_again_in_the_same_way(served):
    server = served(GOOD["plain"], BAD["wrong key"][0])
    assert [asking(server, prompt=prompt).getresponse().status for prompt in "aabba"] == [200, 200, 401, 401, 200]


def test_gets_are_answered_apart(served):
    server = served(BAD["wrong key"][0], get={"/moved": redirected("http://other.invalid/")})
    connection = http.client.HTTPConnection(server.host)
    for path, status in (("/v1/models", 200), ("/metrics", 404), ("/moved", 302)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    assert [one.path for one in server.others] == ["/v1/models", "/metrics", "/moved"] and not server.requests


def test_a_closed_port_refuses_and_a_deaf_one_says_nothing():
    with closed_port() as url, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(url).port), 1)
    with deaf_port() as url, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(url).port), 0.05)


def test_nothing_is_left_open_when_a_server_is_closed():
    server = FaultServer(GOOD["plain"])
    asking(server).getresponse().read()
    server.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 1)


def test_the_mock_keeps_its_schedule_and_counts(mock):
    server = mock("--ttft-ms", "5", "--itl-ms", "1")
    with asking(server).getresponse() as response:
        found = events(response.read())
    assert [words(event) for event in found].count(" the") == TOKENS
    assert {name: server.stats()[name] for name in ("requests", "tokens")} == {"requests": 1, "tokens": TOKENS}
    (row,) = server.log()
    assert row["ntok"] == TOKENS and 5e6 <= row["first_ns"] <= row["last_ns"] - 5e6 + row["maxlate_ns"]


def test_the_vocabulary_is_closed_under_its_merges():
    tokens, merges = tiny_gguf.vocabulary()
    known = set(tokens)
    assert len(known) == len(tokens) and all(part in known for merge in merges for part in merge.split(" "))
    assert all("".join(merge.split(" ")) in known for merge in merges) and len(tiny_gguf.byte_letters()) == 256


def test_the_engine_streams_as_many_tokens_as_it_was_told_to_and_then_hangs_up(llama):
    """What llama.cpp b10600 or so of xllamacpp 2026.10.11549 sends, and what a harness must therefore bear.

    The role comes with ``content: null`` in one HTTP chunk with the first token; every token has an event; the reason
    of the end comes in an empty delta, in one HTTP chunk with the usage, which has no choice; then ``[DONE]``. It says
    ``Keep-Alive: timeout=5, max=100`` and closes the connection all the same. Of ``continuous_usage_stats`` it takes
    no notice; ``max_tokens: 0`` gives a token; a model of another name is answered for.
    """
    connection = asking(llama, 16)
    with connection.getresponse() as response:
        assert response.getheader("Keep-Alive") and not response.getheader("Connection")
        found = events(response.read())
    role, *tokens, end, usage = found
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert len(tokens) == 16 and all(words(event) for event in tokens)
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "length")
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 16
    assert connection.sock is None or connection.sock.recv(1) == b""


def test_told_streams_hold_usage_last():
    assert told(2)[-2:] == [{**told(2)[-2], "choices": []}, "[DONE]"]
