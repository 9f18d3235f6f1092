"""A connection is kept, opened again where the server closed it, and nothing holds whoever asks."""

import socket
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from inferatlas.measure.web import Connection, NoAnswer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: a\r\n\r\nok"


@pytest.fixture
def listen():
    """A server that gives each connection a list of answers and hangs up after the last one."""
    open_ones = []

    def start(*connections):
        listener = socket.create_server(("127.0.0.1", 0))
        open_ones.append(listener)
        made = SimpleNamespace(port=listener.getsockname()[1], questions=[])

        def run():
            for answers in connections:
                try:
                    sock, _ = listener.accept()
                except OSError:  # the test is over
                    return
                with sock:
                    for one in answers:
                        made.questions.append(sock.recv(65536))
                        sock.sendall(one)

        threading.Thread(target=run, daemon=True).start()
        return made

    yield start
    for one in open_ones:
        one.close()


def asking(listener):
    return closing(Connection("http", "127.0.0.1", listener.port))


def soon():
    return time.monotonic() + 5.0


def test_a_connection_is_kept_and_times_are_in_order(listen):
    listener = listen([OK, OK])
    with asking(listener) as connection:
        for _ in range(2):
            reply = connection.ask("/a?b=c", soon(), headers={"A": "b"})
            assert (reply.status, reply.text, reply.headers["x-kind"]) == (200, "ok", "a")
            assert reply.asked_s <= reply.answered_s <= reply.end_s <= time.monotonic()
    assert listener.questions[1].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{listener.port}".encode() in listener.questions[0]


def test_a_connection_that_the_server_closed_is_opened_again(listen):
    listener = listen([OK], [OK])
    with asking(listener) as connection:
        assert [connection.ask("/", soon()).status for _ in range(2)] == [200, 200]


def test_a_server_that_only_hangs_up_gives_no_answer(listen):
    with asking(listen([b""], [b""], [b""])) as connection, pytest.raises(NoAnswer) as error:
        connection.ask("/", soon())
    assert error.value.kind == "unreachable"


def test_a_body_is_sent(listen):
    listener = listen([OK])
    with asking(listener) as connection:
        connection.ask("/", soon(), method="POST", body=b"{}")
    assert listener.questions[0].startswith(b"POST / ")


def test_whoever_waits_can_be_called_off(listen):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        asking(SimpleNamespace(port=silent.getsockname()[1])) as connection,
    ):
        threading.Timer(0.03, connection.hang_up).start()
        with pytest.raises(NoAnswer):
            connection.ask("/", soon())
