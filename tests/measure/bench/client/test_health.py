"""The client's account of itself."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.client.health import ROOM, Delays, Watch, stamped


@given(st.lists(st.integers(0, 2**45), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_of_delays_is_at_most_an_eighth_too_much(delays: list[int], p: float) -> None:
    found = Delays()
    for one in delays:
        found.add(one)
    ordered = sorted(delays)
    true = ordered[min(int(p * len(ordered) + 0.999999) - 1, len(ordered) - 1)] / 1e9
    said = found.quantile(p)
    assert said is not None
    assert true <= said * (1 + 1e-9)
    assert said <= true * 1.125 + 8e-9


def test_without_delays_there_is_no_quantile() -> None:
    assert Delays().quantile(0.99) is None


def test_an_account_says_who_stamps() -> None:
    watch = Watch()
    assert watch.told().stamps == "kernel"
    watch.stamped = False
    assert watch.told().stamps == "read"


def test_the_kernel_says_when_a_packet_came() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with listener, client, server:
        if not stamped(client):
            pytest.skip("packets are stamped by Linux on 64-bit machines alone")
        server.sendall(b"x")
        _, notes, _, _ = client.recvmsg(10, ROOM)
        assert len(notes) == 1
