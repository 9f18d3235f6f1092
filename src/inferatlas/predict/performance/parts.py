"""What a step is made of: seconds by what they are spent on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from inferatlas.predict.arrays import Floats

TINY = 1e-30  # below any operator's time squared, above the smallest single-precision number
Sink = Callable[..., None]  # (name, count, *, compute, memory, network, overhead): seconds, all counts together


@dataclass(slots=True)
class Parts:
    """Seconds of a step by what they are spent on; ``total`` is their sum.

    Within an operator the time is shared as the squares of its compute and memory terms, which is how
    it responds to each (equation (54)). ``flop_s`` and ``byte_s`` are the two terms themselves, summed:
    what the units were busy with, for power.
    """

    compute: Floats
    memory: Floats
    network: Floats
    overhead: Floats
    flop_s: Floats
    byte_s: Floats
    total: Floats

    @staticmethod
    def of(compute: Floats, memory: Floats, network: Floats, overhead: Floats, flop_s: Floats, byte_s: Floats) -> Parts:
        total = compute + memory
        total += network
        total += overhead
        return Parts(compute, memory, network, overhead, flop_s, byte_s, total)

    def times(self, factor: Floats | float) -> Parts:
        """The same step, so many times as long."""
        return Parts(*(getattr(self, f.name) * factor for f in fields(Parts)))

    def plus(self, other: Parts) -> Parts:
        """This step and then the other."""
        return Parts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Parts)))

    def towards(self, other: Parts, share: Floats) -> Parts:
        """The average of steps of which ``share`` are like ``other`` and the rest like this one."""

        def between(name: str) -> Floats:
            a = getattr(self, name)
            out = getattr(other, name) - a
            out *= share
            out += a
            return out

        return Parts(*(between(f.name) for f in fields(Parts)))


@dataclass(slots=True)
class Sums:
    """Compute and memory of a step so far, operator by operator."""

    compute: Floats
    memory: Floats
    flop_s: Floats
    byte_s: Floats
    sink: Sink | None

    @staticmethod
    def of(like: Floats, sink: Sink | None) -> Sums:
        none = [np.zeros_like(like) for _ in range(4)]
        return Sums(none[0], none[1], none[2], none[3], sink)

    def add(self, name: str, count: int, tc: Floats, tm: Floats) -> None:
        """``count`` operators of equation (7), q = 2: their compute and memory terms, which are used up."""
        self.flop_s += tc * count
        self.byte_s += tm * count
        tc *= tc
        tm *= tm
        scale = tc + tm
        np.sqrt(scale, out=scale)
        np.maximum(scale, TINY, out=scale)
        np.divide(count, scale, out=scale)
        tc *= scale
        tm *= scale
        self.compute += tc
        self.memory += tm
        if self.sink is not None:
            self.sink(name, count, compute=tc, memory=tm)

    def move(self, name: str, count: int, tm: Floats) -> None:
        """``count`` operators that only move activations; the term is used up."""
        tm *= count
        self.memory += tm
        self.byte_s += tm
        if self.sink is not None:
            self.sink(name, count, memory=tm)
