"""A text is fetched whole, in time and from the server that was asked, or there is a reason why not."""

import socket
import threading
import time

import pytest
from web_servers import Served, send

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.sources import web
from inferatlas.measure.metering.sources.web import fetch


@pytest.fixture
def serve():
    """Servers on this machine that answer as a function says; ``over`` is set at the end."""
    running = []

    def start(answer):
        running.append(Served(answer))
        return running[-1].url

    start.over = threading.Event()
    yield start
    start.over.set()
    for server in running:
        server.close()


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


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"])
def test_a_server_that_drips_is_not_waited_for_wherever_it_does_so(serve, first):
    def drip(handler):
        handler.wfile.write(first)
        while not serve.over.wait(0.005):
            handler.wfile.write(b"H")

    begin = time.monotonic()
    assert fetch(serve(drip), 0.05) == ("does not answer in time", Fault.TIMEOUT)
    assert time.monotonic() - begin < 2.0


def test_tls_that_is_never_agreed_on_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        begin = time.monotonic()
        assert fetch(f"https://127.0.0.1:{silent.getsockname()[1]}/", 0.05)[1] is Fault.TIMEOUT
        assert time.monotonic() - begin < 2.0


def test_a_name_that_is_searched_for_ever_is_not_waited_for(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20))
    begin = time.monotonic()
    assert fetch("http://bmc-7/", 0.05) == ("does not answer in time", Fault.TIMEOUT)
    assert time.monotonic() - begin < 2.0
    over.set()


def test_a_name_that_does_not_resolve_cannot_be_reached(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert fetch("http://bmc-7/", 1.0) == ("cannot be reached: Name or service not known", Fault.DEVICE_LOST)


@pytest.mark.parametrize(
    "said",
    [b"", b"\0" * 99, b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx", b"HTTP/1.1 200 OK\r\n" + b"A" * 70_000 + b"\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300,
     b"HTTP/1.1 302 x\r\nLocation: http://[\r\n\r\n", b"HTTP/1.1 302 x\r\n\r\n"],
)  # fmt: skip
def test_whatever_answers_does_not_raise(serve, said):
    def answer(handler):
        handler.wfile.write(said)
        handler.close_connection = True

    text, fault = fetch(serve(answer), 5.0)
    assert isinstance(text, str)
    assert fault is not Fault.TIMEOUT


def test_redirects_without_end_are_given_up(serve):
    url = serve(lambda handler: send(handler, 302, Location=handler.path + "/"))
    assert fetch(url + "/a", 5.0) == ("redirects without end", Fault.FAILED)


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


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999/", "http://a b/", "http://" + "a" * 70, "ftp://127.0.0.1/x", "nothing", "http://[", ""],
)
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
