"""Servers that count are asked in their own way; keys stay with the server they are for, and out of messages."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.counting import Overhead
from inferatlas.measure.bench.prompts.server_counting import ServerCounter

KEY = {"Authorization": "Bearer secret-key"}


def vllm(path, asked):
    if path != "/tokenize" or ("prompt" not in asked and "messages" not in asked):
        return 400, {"error": "bad"}
    if "messages" in asked:
        words = 3 + sum(4 + len(one["content"].split()) for one in asked["messages"])
    else:
        words = len(asked["prompt"].split()) + asked.get("add_special_tokens", True)
    return 200, {"count": words, "tokens": list(range(words)), "max_model_len": 100}


def llama(path, asked):
    if path == "/apply-template":
        return 200, {
            "prompt": "<s> " + " ".join(f"<{one['role']}> {one['content']} <end>" for one in asked["messages"])
        }
    if path != "/tokenize":
        return 404, {}
    return 200, {"tokens": list(range(len(asked.get("content", "").split()) + asked.get("add_special", False)))}


class Served:
    """A server that answers as a function of path and body says."""

    def __init__(self, answer):
        self.seen, outer = [], self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append((self.path, asked, self.headers.get("Authorization")))
                status, reply = answer(self.path, asked)
                self.send_response(status)
                if isinstance(reply, str):
                    self.send_header("Location", reply)
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def served():
    running = []

    def start(answer):
        running.append(Served(answer))
        return running[-1]

    yield start
    for one in running:
        one.http.shutdown()
        one.http.server_close()
        one.thread.join()


@pytest.mark.parametrize(("answer", "dialect"), [(vllm, "vllm"), (llama, "llama.cpp")])
def test_both_forms_are_found_and_count(served, answer, dialect):
    server = served(answer)
    counter = ServerCounter(server.url + "/v1/", "tiny", headers=KEY)
    assert counter.dialect == dialect and counter.exact and dialect in counter.name
    assert counter.count(["one two three", "", "one"]) == [3, 0, 1]
    assert counter.ids("one two") == [0, 1]
    assert {path for path, _, _ in server.seen} == {"/tokenize"}
    assert all(key == "Bearer secret-key" for _, _, key in server.seen)


def test_what_is_around_texts_is_found(served):
    """vLLM's stand-in puts 3 tokens around a prompt and 4 around a message, llama.cpp's 2 and 2."""
    counter = ServerCounter(served(vllm).url, "tiny")
    assert counter.overhead("chat") == Overhead(3, 4, True)
    assert counter.overhead("completions") == Overhead(1, 0, True)
    counter = ServerCounter(served(llama).url, "tiny")
    assert counter.overhead("chat") == Overhead(2, 2, True)
    assert counter.overhead("completions") == Overhead(1, 0, True)


@pytest.mark.parametrize(
    "answer",
    [
        lambda *_: (404, {"error": "not found"}),
        lambda *_: (401, {"error": "key"}),
        lambda *_: (200, b"prose"),
        lambda *_: (200, []),
        lambda *_: (200, {"tokens": "abc"}),
        lambda *_: (200, {"tokens": []}),
        lambda *_: (200, {"count": True, "tokens": None}),
    ],
)
def test_servers_that_do_not_count_are_refused(served, answer):
    with pytest.raises(BadInput) as caught:
        ServerCounter(served(answer).url, "tiny", headers=KEY)
    assert "secret" not in str(caught.value) and caught.value.hint


def test_a_redirect_is_not_followed_with_a_key(served):
    other = served(vllm)
    with pytest.raises(BadInput) as caught:
        ServerCounter(served(lambda *_: (307, other.url + "/tokenize")).url, "tiny", headers=KEY)
    assert other.seen == [] and "307" in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:1", "ftp://x", "http://", "http://127.0.0.1:1"])
def test_addresses_without_a_server_are_refused(url):
    with pytest.raises(BadInput) as caught:
        ServerCounter(url, "tiny", headers=KEY, timeout_s=0.5)
    assert caught.value.field == "base_url" and "secret" not in str(caught.value)


def test_a_server_that_stops_counting_is_named(served):
    calls = []

    def once(path, asked):
        calls.append(path)
        return vllm(path, asked) if len(calls) == 1 else (500, {})

    counter = ServerCounter(served(once).url, "tiny")
    with pytest.raises(BadInput, match="500"):
        counter.count(["one"])
