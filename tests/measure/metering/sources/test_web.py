"""A text is fetched whole, in time and from the server that was asked, or there is a reason why not."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.sources import web
from inferatlas.measure.metering.sources.web import fetch


@pytest.fixture
def serve():
    """Servers on this machine that answer as a function says; the requests that they got."""
    running = []
    over = threading.Event()

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with contextlib.suppress(OSError):
                    answer(self)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    start.over = over
    yield start
    over.set()
    for server in running:
        server.shutdown()
        server.server_close()


def send(handler, status=200, body=b"", **headers):
    handler.send_response(status)
    for name, value in ({"Content_Length": len(body)} | headers).items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_text_comes_whole(serve):
    url = serve(lambda handler: send(handler, body="µ".encode() * 100_000))
    assert fetch(url, 5.0) == ("µ" * 100_000, Fault.NONE)


@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, Fault.PERMISSION_DENIED), (403, Fault.PERMISSION_DENIED), (404, Fault.NOT_SUPPORTED), (500, Fault.FAILED),
     (503, Fault.FAILED), (504, Fault.TIMEOUT)],
)  # fmt: skip
def test_a_status_is_a_reason(serve, status, fault):
    why, found = fetch(serve(lambda handler: send(handler, status)), 5.0)
    assert found is fault
    assert str(status) in why


def test_a_text_that_ends_early_is_no_text(serve):
    url = serve(lambda handler: send(handler, body=b"12", Content_Length=30))
    assert fetch(url, 5.0)[1] is Fault.UNREADABLE


def test_chunks_that_end_early_are_no_text(serve):
    url = serve(lambda handler: send(handler, body=b"ff\r\n12", Transfer_Encoding="chunked", Content_Length=0))
    assert fetch(url, 5.0)[1] is Fault.UNREADABLE


def test_a_server_that_says_nothing_is_not_waited_for(serve):
    url = serve(lambda handler: serve.over.wait(20))
    assert fetch(url, 0.03)[1] is Fault.TIMEOUT


def test_a_server_that_drips_is_not_waited_for(serve):
    def drip(handler):
        send(handler, Content_Length=10**6)
        while not serve.over.wait(0.005):
            handler.wfile.write(b"x")

    why, fault = fetch(serve(drip), 0.05)
    assert (why, fault) == ("did not finish its answer in time", Fault.TIMEOUT)


def test_a_text_without_end_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(web, "MOST_BYTES", 2**20)
    url = serve(lambda handler: send(handler, body=b"x" * (2**20 + 1)))
    assert fetch(url, 5.0) == ("sends more than 1 MiB", Fault.UNREADABLE)


def test_a_closed_port_cannot_be_reached():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert fetch(f"http://127.0.0.1:{port}/", 1.0) == ("cannot be reached: Connection refused", Fault.DEVICE_LOST)


def test_a_server_that_hangs_up_is_lost(serve):
    assert fetch(serve(lambda handler: handler.connection.close()), 5.0)[1] in (Fault.DEVICE_LOST, Fault.FAILED)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://a b/", "ftp://127.0.0.1/x", "nothing"])
def test_no_address_raises(url):
    assert fetch(url, 0.1)[1] is not Fault.NONE


def test_a_redirect_on_the_same_server_is_followed_with_its_headers(serve):
    got = []

    def answer(handler):
        got.append((handler.path, handler.headers["Authorization"]))
        if handler.path == "/Chassis":
            send(handler, 308, Location="/Chassis/")
        else:
            send(handler, body=b"here")

    assert fetch(serve(answer) + "/Chassis", 5.0, headers={"Authorization": "Basic x"}) == ("here", Fault.NONE)
    assert got == [("/Chassis", "Basic x"), ("/Chassis/", "Basic x")]


def test_a_redirect_to_another_server_does_not_take_the_password_along(serve):
    got = []
    other = serve(lambda handler: (got.append(handler.headers["Authorization"]), send(handler)))
    url = serve(lambda handler: send(handler, 302, Location=f"{other}/"))
    why, fault = fetch(url, 5.0, headers={"Authorization": "Basic c2VjcmV0"})
    assert "not followed" in why
    assert "c2VjcmV0" not in why
    assert fault is Fault.FAILED
    assert got == []


def test_proxies_are_not_asked(serve, monkeypatch):
    monkeypatch.setenv("http_proxy", serve(lambda handler: send(handler, 502)))
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch(serve(lambda handler: send(handler, body=b"direct")), 5.0) == ("direct", Fault.NONE)
