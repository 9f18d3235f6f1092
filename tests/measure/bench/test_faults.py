"""Whatever a server does, each request comes to an end, with the reason that is right for it, and nothing hangs."""

import json
import socket
import ssl
import threading
import time
from collections import Counter

import pytest
from bench_faults import closed_port, deaf_port, prompts_asked
from bench_plans import (
    BAD,
    CHUNKED,
    DONE,
    END,
    GOOD,
    SILENT,
    WHOLE_JSON,
    at_once,
    boxed,
    chunk,
    dripping,
    encoded,
    error,
    finish_apart,
    kept,
    pinging,
    redirected,
    reply,
    says,
    streamed,
    told,
    usage_event,
    without_usage,
)
from bench_sending import PATIENT, QUICK, TOKENS, Numbered, closed_loop, drive, target

from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.fates import meaning

EVENTS = {"several tokens a chunk": 3, "every token twice": 2 * TOKENS}  # of the good answers; TOKENS in all others


@pytest.mark.parametrize("clients", [1, 8])
def test_answers_that_are_only_odd_are_done_with_every_token(served, clients):
    server = served(*GOOD.values())
    ended = drive(target(server.base_url), closed_loop(len(GOOD), clients))
    fates = {name: (one.reason, one.output_tokens, len(one.stamps)) for name, one in in_order(server, GOOD, ended)}
    assert fates == {name: (None, TOKENS, EVENTS.get(name, TOKENS)) for name in GOOD}
    assert all(one.input_tokens == 7 and one.http_status == 200 for one in ended)
    assert all(list(one.stamps) == sorted(one.stamps) and one.sent_ns < one.stamps[0] for one in ended)


@pytest.mark.parametrize("clients", [1, 8])
def test_each_fault_has_its_reason(served, clients):
    server = served(*(plan for plan, _ in BAD.values()))
    ended = drive(target(server.base_url), closed_loop(len(BAD), clients))
    fates = {name: one.reason for name, one in in_order(server, BAD, ended)}
    assert {name: reason for name, reason in fates.items() if reason not in BAD[name][1]} == {}
    assert all(meaning(one.reason) for one in ended)
    assert all(one.detail is None or len(one.detail) <= 300 for one in ended), "details are short"


def in_order(server, plans, ended):
    """Each plan's name with what became of the request that it answered: plans are taken as requests arrive."""
    by_prompt = {f'[{{"role": "user", "content": "request {one.number}"}}]': one for one in ended}
    return zip(plans, (by_prompt[prompt] for prompt in prompts_asked(server.requests)), strict=True)


@pytest.mark.parametrize("name", SILENT)
def test_answers_that_never_end_are_given_up(served, name):
    plan, reason = SILENT[name]
    (one,) = drive(target(served(plan).base_url), closed_loop(1), QUICK)
    assert one.reason == reason
    assert one.end_ns - one.sent_ns < 10e9


def test_an_answer_that_said_it_was_done_needs_no_end(served):
    plan = kept(CHUNKED + b"".join(boxed(encoded(event)) for event in told(TOKENS)))  # and no last chunk
    (one,) = drive(target(served(plan).base_url), closed_loop(1), QUICK)
    assert (one.reason, len(one.stamps)) == (None, TOKENS)


@pytest.mark.parametrize("plan", [pinging, dripping])
def test_answers_that_go_on_for_ever_are_given_up(served, plan):
    (one,) = drive(target(served(plan).base_url), closed_loop(1), QUICK)
    assert one.reason == "timeout_total" and len(one.stamps) > 0


def test_nobody_listens():
    with closed_port() as url:
        ended = drive(target(url), closed_loop(5, clients=2))
    assert [one.reason for one in ended] == ["refused"] * 5
    assert all(one.sent_ns is None and one.http_status is None for one in ended)


def test_connecting_is_given_up():
    with deaf_port() as url:
        ended = drive(target(url), closed_loop(2, clients=2), QUICK)
    assert [one.reason for one in ended] == ["connect_timeout"] * 2


def test_fates_of_neighbours_are_their_own(served):
    """Good, refused and broken answers by turns on eight connections: every good one is whole."""
    server = served(GOOD["plain"], error(429, "slow down"), BAD["reset in the middle"][0], GOOD["a byte a chunk"])
    ended = drive(target(server.base_url), closed_loop(80, clients=8))
    assert Counter(one.reason for one in ended) == {None: 40, "http_429": 20, "closed_mid_stream": 20}
    assert all(one.output_tokens == len(one.stamps) == TOKENS for one in ended if one.reason is None)
    assert set(prompts_asked(server.requests).values()) == {1}, "each was asked once"


def test_a_connection_that_was_closed_after_a_stream_costs_no_request(served):
    """As llama.cpp does, though it says it keeps it: the next request goes out again on a new connection."""
    server = served(GOOD["closed after the stream"])
    ended = drive(target(server.base_url), closed_loop(20, clients=2))
    assert [one.reason for one in ended] == [None] * 20
    assert set(prompts_asked(server.requests).values()) == {1}, "what the server saw it saw once"


def test_connections_are_kept_where_they_can_be(served):
    server = served(GOOD["plain"], GOOD["length given"], GOOD["no [DONE]"])
    drive(target(server.base_url), closed_loop(60, clients=3))
    assert server.connections == 3


def test_what_is_missing_is_unknown_and_not_zero(served):
    server = served(streamed(without_usage), streamed(lambda n: [*told(n)[:n], {"choices": [], "usage": None}, DONE]))
    for one in drive(target(server.base_url), closed_loop(2)):
        assert (one.reason, one.output_tokens, one.input_tokens, one.cached_tokens) == (None, None, None, None)
        assert len(one.stamps) == TOKENS


@pytest.mark.parametrize("told_of", [-1, 10**9, 10**30, "6", True, [], {}])
def test_a_usage_that_makes_no_sense_is_unknown(served, told_of):
    usage = {
        "prompt_tokens": told_of,
        "completion_tokens": told_of,
        "prompt_tokens_details": {"cached_tokens": told_of},
    }
    server = served(streamed(lambda n: [*told(n)[:n], {"choices": [], "usage": usage}, DONE]))
    (one,) = drive(target(server.base_url), closed_loop(1))
    assert (one.reason, one.output_tokens, one.input_tokens, one.cached_tokens) == (None, None, None, None)


def test_a_stream_that_stops_short_of_saying_why_is_not_whole(served):
    """Well-formed HTTP, and neither a reason of the end nor usage nor ``[DONE]``: what a gateway makes of a crash."""
    server = served(at_once(lambda asked: boxed(b"".join(encoded(chunk({"content": " ok"})) for _ in range(3)))))
    (one,) = drive(target(server.base_url), closed_loop(1))
    assert one.reason == "closed_mid_stream"


def test_what_is_kept_can_be_written(served):
    """Halves of UTF-16 letters are joined again; one that stays alone does no harm."""
    alone = [json.dumps(chunk({"content": "\ud83c"}, "\ud83c")), usage_event(1), DONE]
    server = served(GOOD["half a letter of UTF-16"], streamed(lambda _: alone))
    asks = Numbered()
    asks.live = True  # later turns would need the text
    whole, half = drive(target(server.base_url), closed_loop(2), asks=asks)
    assert whole.text == "🎈" * (TOKENS // 2)
    assert (half.reason, half.output_tokens) == (None, 1) and half.text.encode() and half.finish_reason.encode()


def test_an_answer_in_one_piece_is_told_from_a_stream(served):
    (one,) = drive(target(served(kept(reply(200, WHOLE_JSON))).base_url), closed_loop(1))
    assert (one.reason, one.output_tokens, one.streamed) == (None, 2, False)


def test_words_of_the_server_are_kept_with_the_reason(served):
    server = served(error(404, "The model `tiny` does not exist."), BAD["error in the stream"][0])
    wrong, died = drive(target(server.base_url), closed_loop(2))
    assert "The model `tiny` does not exist." in wrong.detail and "the engine died" in died.detail


def test_a_redirect_is_not_followed_and_the_key_stays_here(served):
    elsewhere = served(GOOD["plain"])
    server = served(redirected(elsewhere.base_url + "/v1/chat/completions"))
    (one,) = drive(target(server.base_url, key="sk-secret"), closed_loop(1))
    assert one.reason == "http_302" and server.requests[0].headers["authorization"] == "Bearer sk-secret"
    assert not elsewhere.requests and not elsewhere.others


def test_a_refusal_before_the_request_was_read_is_the_refusal():
    """A body larger than the sockets hold, and a server that answers 413 to its head."""

    class Large(Numbered):
        def ask(self, number, replies=()):
            return Ask(super().ask(number).body + b" " * 20_000_000, "0" * 16)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reply(413, b"too large"))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    pass

        threading.Thread(target=refuse, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (one,) = drive(target(url), closed_loop(1), asks=Large())
    assert one.reason == "http_413"


def test_a_server_that_closes_at_once_ends_every_request():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def slam():
            while not over.is_set():
                listener.accept()[0].close()

        threading.Thread(target=slam, daemon=True).start()
        ended = drive(target(f"http://127.0.0.1:{listener.getsockname()[1]}"), closed_loop(20, clients=4))
        over.set()
    assert {one.reason for one in ended} <= {"closed_before_reply", "send_failed"}


# TLS


def trusting(tls) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tls.authority)


def test_faults_are_the_same_through_tls(served, tls):
    names = ["closed in the middle", "no JSON in an event", "error of the server", "closed before a reply"]
    plans = [GOOD["plain"], GOOD["a byte a write"], GOOD["a line of 10 MB"], GOOD["until closed"]]
    server = served(*plans, *(BAD[name][0] for name in names), tls=tls("127.0.0.1"))
    ended = drive(target(server.base_url, trusting(tls)), closed_loop(8))
    assert [one.reason for one in ended[:4]] == [None] * 4
    assert all(one.reason in BAD[name][1] for name, one in zip(names, ended[4:], strict=True))
    assert all(len(one.stamps) == TOKENS for one in ended[:4])


def test_certificates_that_do_not_fit_are_refused(served, tls):
    import trustme

    strange = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(strange)
    for context in (strange, tls("example.org")):
        server = served(GOOD["plain"], tls=context)
        ended = drive(target(server.base_url, trusting(tls), key="sk-secret"), closed_loop(3))
        assert [one.reason for one in ended] == ["tls_failed"] * 3
        assert all("certificate" in one.detail for one in ended)
        assert not server.requests, "no key went out"


def test_a_plain_port_asked_for_tls_and_the_other_way_round(served, tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            for _ in range(2):  # once ahead of the request, and once for it
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(reply(400, b"speak plainly"))

        threading.Thread(target=answer, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        (one,) = drive(target(url, trusting(tls)), closed_loop(1))
    assert one.reason == "tls_failed"
    server = served(GOOD["plain"], tls=tls("127.0.0.1"))
    (one,) = drive(target(server.base_url.replace("https", "http")), closed_loop(1))
    assert one.reason in ("closed_before_reply", "send_failed", "malformed_http")


def test_a_server_that_is_silent_in_the_handshake_is_given_up(tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        (one,) = drive(target(url, trusting(tls)), closed_loop(1), QUICK)
    assert one.reason == "connect_timeout"


# Ends of a run


def test_a_run_that_is_stopped_says_so_for_what_was_in_flight(served):
    server = served(dripping)
    began = time.monotonic()
    ended: list = []
    from inferatlas.measure.bench.client.sending import Sender

    stop = lambda _: time.monotonic() - began > 0.15  # noqa: E731
    sent = Sender(
        [target(server.base_url)], closed_loop(10, clients=3), Numbered(), ended.append, limits=PATIENT, tick=stop
    ).run()
    assert sent.stopped and [one.reason for one in ended] == ["interrupted"] * 3
    assert time.monotonic() - began < 10


def test_faults_do_not_stop_what_follows(served):
    """A fault on the way of 100 requests, one in ten: the others are done."""
    plans = [GOOD["plain"]] * 9 + [says(CHUNKED + b"zz")]
    ended = drive(target(served(*plans).base_url), closed_loop(100, clients=4))
    assert Counter(one.reason for one in ended) == {None: 90, "malformed_http": 10}


def test_memory_of_a_head_without_end_is_bounded(served):
    """Headers for ever: refused before they fill the memory."""

    def endless(wire, _):
        wire.send(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            wire.send(b"X-Pad: " + b"x" * 1_000_000 + b"\r\n")

    (one,) = drive(target(served(endless).base_url), closed_loop(1))
    assert one.reason in ("too_large", "malformed_http")


def test_llamas_order_of_events_is_read(served):
    server = served(
        at_once(lambda asked: boxed(b"".join(encoded(e) for e in finish_apart(asked.tokens))), end=END, keep=False)
    )
    (one,) = drive(target(server.base_url), closed_loop(1))
    assert (one.finish_reason, one.output_tokens, len(one.stamps)) == ("length", TOKENS, TOKENS)
