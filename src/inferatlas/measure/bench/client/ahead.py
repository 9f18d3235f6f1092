"""Bodies made before they are due, while nothing else is to be done."""

from __future__ import annotations

from collections.abc import Iterator

from inferatlas.measure.bench.asks import Ask, Asks

MOST, MOST_BYTES = 64, 8 * 1024 * 1024  # that are held


class Ahead:
    """The bodies of requests to come.

    ``numbers`` : of the requests in the order in which they will probably be sent; None where what comes next depends
    on what comes back, so that each body is made when it is due.
    """

    def __init__(self, asks: Asks, numbers: Iterator[int] | None) -> None:
        self._asks, self._numbers = asks, numbers
        self._made: dict[int, Ask] = {}
        self._bytes = 0
        self._last = -1  # the request that was sent last

    @property
    def behind(self) -> bool:
        """Whether there are bodies to be made."""
        return self._numbers is not None and len(self._made) < MOST and self._bytes < MOST_BYTES

    def make(self) -> None:
        """Make one more, where there are any."""
        if self._numbers is None or not self.behind:
            return
        number = next((one for one in self._numbers if one > self._last), None)
        if number is None:
            self._numbers = None
            return
        ask = self._made[number] = self._asks.ask(number)
        self._bytes += len(ask.body)

    def take(self, number: int) -> Ask | None:
        """The body of a request that is sent now; None: it was not made."""
        self._last = number
        ask = self._made.pop(number, None)
        if ask is not None:
            self._bytes -= len(ask.body)
        return ask
