"""Waiting for sockets: epoll where there is one, else what the platform has; waits are exact to tens of µs."""

from __future__ import annotations

import select
import selectors
from collections.abc import Sequence

READ, WRITE = 1, 4  # as select.EPOLLIN and EPOLLOUT
NEAR_S = 0.003  # a wait below it is kept by select(2), whose timeout is in µs; that of epoll is in ms


class Epoll:
    """Linux: one call tells of all sockets."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._own = [self._epoll.fileno()]
        self.add, self.change = self._epoll.register, self._epoll.modify
        self._poll = self._epoll.poll

    def wait(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        """Sockets that are ready, as (descriptor, mask); an empty list when the time is over."""
        if timeout_s <= 0:
            return self._poll(0)
        if timeout_s < NEAR_S:
            select.select(self._own, (), (), timeout_s)
            return self._poll(0)
        return self._poll(timeout_s - 0.001)  # epoll rounds up to ms; what is left is waited for by the next call

    def forget(self, descriptor: int) -> None:
        """A socket was closed: the kernel has forgotten it."""

    def close(self) -> None:
        self._epoll.close()


class Selector:
    """Anywhere else."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def add(self, descriptor: int, mask: int) -> None:
        self._selector.register(descriptor, _events(mask))

    def change(self, descriptor: int, mask: int) -> None:
        self._selector.modify(descriptor, _events(mask))

    def forget(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)

    def wait(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        ready = self._selector.select(max(timeout_s, 0.0))
        return [
            (key.fd, (READ if mask & selectors.EVENT_READ else 0) | (WRITE if mask & selectors.EVENT_WRITE else 0))
            for key, mask in ready
        ]

    def close(self) -> None:
        self._selector.close()


def poller() -> Epoll | Selector:
    """The best there is here."""
    return Epoll() if hasattr(select, "epoll") else Selector()


def _events(mask: int) -> int:
    return (selectors.EVENT_READ if mask & READ else 0) | (selectors.EVENT_WRITE if mask & WRITE else 0)
