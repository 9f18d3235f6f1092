"""Signals are heeded as in a terminal: under ``nohup``, or in the background of a script, some would be ignored."""

import signal
from collections.abc import Iterator

import pytest

USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}


@pytest.fixture(autouse=True)
def signals_as_usual() -> Iterator[None]:
    """Tests send them to themselves and to what they start, which would wait for ever."""
    before = {one: signal.signal(one, usual) for one, usual in USUAL.items()}
    yield
    for one, was in before.items():
        signal.signal(one, was)
