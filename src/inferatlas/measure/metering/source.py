"""What every source of power readings is: a typed protocol, and what it says of itself where it cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inferatlas.errors import InferAtlasError
from inferatlas.measure.metering.channel import Channel, Quantity, Reading, Semantics
from inferatlas.measure.metering.scope import Scope


class Source(Protocol):
    """An interface that can be read, open. One thread reads it; nothing in it is global.

    ``name`` : of the interface. ``channels`` : what it reads; fixed while it is open. ``least_s`` : the shortest time
    between two readings that makes sense, in seconds (slow interfaces: the sampler waits so long at least).
    """

    name: str
    channels: tuple[Channel, ...]
    least_s: float

    def read(self) -> Sequence[Reading]:
        """Read every channel once. Never raises for what a device does: a fault is a `Reading` without a value."""
        ...

    def close(self) -> None:
        """Give everything back; may be called twice, and from another thread than `read`."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of reading that an interface gives, whether or not this machine has it."""

    quantity: Quantity
    semantics: Semantics
    scope: Scope | None
    update_s: float | None = None
    window_s: float | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as `power sources` shows it.

    Parameters
    ----------
    name : ``nvml``. title : in words. offers : kinds of readings, as the vendor documents them.
    address : what follows the name in ``--source name:address`` (a URL, a host, a file); "" where nothing does.
    extra : the optional dependency ``inferatlas[extra]`` that it needs; "" for none.
    enable : what a user has to do or have so that it can be read: driver, group, permission.
    notes : what readers must know of its numbers. local : looked for without being named.
    """

    name: str
    title: str
    offers: tuple[Offer, ...]
    enable: str
    address: str = ""
    extra: str = ""
    notes: str = ""
    local: bool = True


class Unavailable(InferAtlasError):
    """This machine, or what was named, gives no readings through an interface.

    ``message`` says why in a sentence (``libnvidia-ml.so.1 is not installed``), ``hint`` how to change that.
    """

    exit_code = 2
