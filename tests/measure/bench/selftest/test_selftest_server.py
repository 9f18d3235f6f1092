"""The built-in mock as a process: its schedule, its stream, its account, its end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.selftest import child as children
from inferatlas.measure.bench.selftest.child import Child, apart, mock

TTFT_S, ITL_S = 0.02, 0.003
ENDS_S = 10.0  # a machine with other work


@pytest.fixture(scope="module")
def running() -> Iterator[Child]:
    with mock(TTFT_S, ITL_S) as child:
        yield child


@pytest.fixture
def child(running: Child) -> Child:
    running.stats()
    return running


def address(child: Child) -> tuple[str, int]:
    return child.target.address


def body(tokens: int, **more: Any) -> bytes:
    asked = {"model": "m", "messages": [{"role": "user", "content": "a b c"}], "stream": True, "max_tokens": tokens}
    return json.dumps(asked | {"stream_options": {"include_usage": True}} | more).encode()


def ask(child: Child, path: str, content: bytes) -> tuple[int, list[Any]]:
    """Status, and the events of the stream."""
    connection = http.client.HTTPConnection(*address(child), timeout=ENDS_S)
    connection.request("POST", path, content)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    if reply.status != 200:
        return reply.status, [json.loads(text)]
    events = [one.removeprefix("data: ") for one in text.split("\n\n")[:-1]]
    assert events.pop() == "[DONE]"
    return 200, [json.loads(one) for one in events]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_stream_is_an_event_per_token_then_usage(child: Child, path: str):
    status, events = ask(child, path, body(5, prompt="a b c"))
    *tokens, usage = events
    assert status == 200 and len(tokens) == 5
    texts = [one["choices"][0].get("text") or one["choices"][0]["delta"]["content"] for one in tokens]
    assert all(texts)
    assert [one["choices"][0]["finish_reason"] for one in tokens] == [None] * 4 + ["length"]
    assert usage["choices"] == [] and usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def test_nothing_leaves_before_it_is_due_and_lateness_never_adds_up(child: Child):
    for user in "ab":
        ask(child, "/v1/completions", body(20, user=user))
    told = child.stats()
    assert [row["user"] for row in told["log"]] == ["a", "b"]
    for row in told["log"]:
        first, last = (row[name] - row["received_ns"] for name in ("first_ns", "last_ns"))
        assert 0 <= first - 1e9 * TTFT_S <= row["late_ns"]
        assert 0 <= last - 1e9 * (TTFT_S + 19 * ITL_S) <= row["late_ns"]
        assert row["tokens"] == 20
    assert told["late_p50_s"] <= told["late_p99_s"] <= told["late_max_s"] + 1e-6
    assert told["late_max_s"] == max(row["late_ns"] for row in told["log"]) / 1e9


def test_its_account_counts_and_forgets(child: Child):
    ask(child, "/v1/completions", body(3))
    ask(child, "/v1/completions", b"[]")
    told = child.stats()
    names = "requests", "tokens", "refused", "client_aborts", "active", "peak_active"
    assert [told[name] for name in names] == [1, 3, 1, 0, 0, 1]
    assert 0 < told["cpu_s"] < told["seconds"] + 0.1
    again = child.stats()
    assert [again[name] for name in names] == [0] * 6 and again["log"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health", 200), ("GET", "/v1/models", 200), ("GET", "/metrics", 404), ("POST", "/stats", 404)],
)
def test_other_routes(child: Child, method: str, path: str, status: int):
    connection = http.client.HTTPConnection(*address(child), timeout=ENDS_S)
    connection.request(method, path)
    reply = connection.getresponse()
    found = json.load(reply)
    connection.close()
    assert reply.status == status
    if path == "/v1/models":
        assert [one["id"] for one in found["data"]] == ["selftest"]


def test_requests_on_one_connection_are_answered_in_turn(child: Child):
    """Both sent at once: the second is read when the first has its answer."""
    one = b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b"
    contents = [body(4, user=user) for user in "xy"]
    with socket.create_connection(address(child), ENDS_S) as sock:
        sock.sendall(b"".join(one % (len(content), content) for content in contents))
        read = b""
        while read.count(b"[DONE]") < 2:
            part = sock.recv(65536)
            assert part
            read += part
    log = child.stats()["log"]
    assert [row["user"] for row in log] == ["x", "y"]
    assert log[1]["received_ns"] >= log[0]["last_ns"]


def test_a_client_that_goes_away_is_counted_and_disturbs_nobody(child: Child):
    content = body(100)
    with socket.create_connection(address(child), ENDS_S) as sock:
        sock.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
        sock.recv(16)
    assert ask(child, "/v1/completions", body(30))[0] == 200
    told = child.stats()
    assert (told["client_aborts"], told["requests"], told["active"]) == (1, 1, 0)


def test_a_client_that_reads_slowly_gets_every_byte():
    """More than sockets hold: what is not taken yet waits for it."""
    with mock(0.0, 0.0) as child:
        content = body(60_000)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            sock.settimeout(ENDS_S)
            sock.connect(address(child))
            sock.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
            time.sleep(0.03)
            read = bytearray()
            while not read.endswith(b"\r\n0\r\n\r\n"):
                part = sock.recv(1 << 20)
                assert part
                read += part
        assert read.count(b'"finish_reason":null') == 59_999 and read.count(b'"finish_reason":"length"') == 1
        told = child.stats()
        assert (told["tokens"], told["requests"], told["client_aborts"]) == (60_000, 1, 0)


def test_it_imports_the_standard_library_alone():
    code = f"import sys, {children.PROGRAM}; print(*{{one.partition('.')[0] for one in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    plain = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    brought = set(done.stdout.split()) - {one.partition(".")[0] for one in plain.stdout.split()}
    assert brought - {"inferatlas"} <= sys.stdlib_module_names


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_on_a_signal(sign: int):
    child = Child(TTFT_S, ITL_S)
    try:
        os.kill(child.process.pid, sign)
        assert child.process.wait(ENDS_S) == 0
        with pytest.raises(BadInput, match="does not answer"):
            child.stats()
    finally:
        child.close()


def test_it_ends_when_whoever_started_it_is_gone():
    child = Child(TTFT_S, ITL_S)
    try:
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(ENDS_S) == 0
    finally:
        child.close()


def test_a_mock_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(children, "PROGRAM", "inferatlas.measure.bench.selftest.nowhere")
    with pytest.raises(BadInput, match=r"did not start.*nowhere"):
        Child(TTFT_S, ITL_S)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nobody may choose cores here")
def test_client_and_mock_have_cores_of_their_own_where_there_are_two():
    before = os.sched_getaffinity(0)
    with apart() as core:
        assert (core is None) == (len(before) < 2)
        if core is not None:
            assert os.sched_getaffinity(0) == before - {core}
            with mock(TTFT_S, ITL_S, core) as child:
                assert os.sched_getaffinity(child.process.pid) == {core}
    assert os.sched_getaffinity(0) == before
