"""What every source of power readings is: a typed protocol, and what it says of itself where it cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.measure.metering.channel import Channel, Quantity, Reading, Semantics
from inferatlas.measure.metering.scope import Scope


class Source(Protocol):
    """An interface that can be read, open. One thread reads it; nothing in it is global.

    ``name`` : of the interface. ``channels`` : what it reads, each once (`key_of`); fixed while it is open.
    ``least_s`` : the shortest time between two readings that makes sense, in seconds (slow interfaces: the sampler
    waits so long at least). ``notes`` : what it does not read and why, in sentences.
    """

    name: str
    channels: tuple[Channel, ...]
    least_s: float
    notes: tuple[str, ...]

    def read(self) -> Sequence[Reading]:
        """Read every channel once. Never raises for what a device does: a fault is a `Reading` without a value.

        It ends in a time that the source limits, whatever a device or a server does.
        """
        ...

    def close(self) -> None:
        """Give everything back; may be called twice, and from another thread than `read`, which does no harm after."""
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


def no_address(name: str, address: str) -> None:
    """Refuse an address where an interface takes none.

    Raises
    ------
    BadInput : there is one.

    Examples
    --------
    >>> no_address("nvml", "gpu0")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: source: 'nvml' takes no address, got 'gpu0' (allowed: nvml)
    """
    if address:
        got = "" if "@" in address else f", got '{address}'"  # a password may be in it
        raise BadInput(f"'{name}' takes no address{got}", field="source", allowed=name)


def bad_address(interface: Interface, address: str, *, hint: str | None = None) -> BadInput:
    """The error for an address that an interface cannot use; one with a user or password in it is not repeated.

    Examples
    --------
    >>> bmc = Interface("redfish", "A controller", (), "a user", address="https://bmc")
    >>> print(bad_address(bmc, "bmc-7"))
    source: 'bmc-7' is no address for 'redfish' (allowed: redfish:https://bmc)
    >>> print(bad_address(bmc, "https://me:secret@bmc-7", hint="set INFERATLAS_REDFISH_USER"))
    source: the address holds a user or password (allowed: redfish:https://bmc)
      set INFERATLAS_REDFISH_USER
    """
    said = f"'{shown(address)}' is no address for '{interface.name}'"
    if not address.strip():
        said = f"'{interface.name}' needs an address"
    elif "@" in address:
        said = "the address holds a user or password"
    return BadInput(said, field="source", allowed=f"{interface.name}:{interface.address}", hint=hint)


def shown(address: str) -> str:
    """An address as messages have it: what is asked for behind it may be a token.

    Examples
    --------
    >>> shown("http://pdu-exporter:9820/probe?target=pdu-7")
    'http://pdu-exporter:9820/probe?...'
    """
    before, asked, _ = address.partition("?")
    return f"{before}?..." if asked else before


def key_of(channel: Channel) -> tuple[object, ...]:
    """What tells a channel from every other: two with one key would be one reading twice.

    Examples
    --------
    >>> from dataclasses import replace
    >>> card = Channel("nvml", "GPU-1", "power_w", "instant", Scope.GPU, name="H100 #0")
    >>> key_of(card) == key_of(replace(card, name="H100 #1")), key_of(card) == key_of(replace(card, part="memory"))
    (True, False)
    """
    return channel.source, channel.device, channel.quantity, channel.semantics, channel.scope, channel.part


Open = TypeVar("Open", bound=Source)


def checked(source: Open) -> Open:
    """An open source, whose channels are told apart.

    Raises
    ------
    InferAtlasError : they are not, which is a defect of the source.
    """
    keys = [key_of(one) for one in source.channels]
    twice = next((one for one, key in zip(source.channels, keys, strict=True) if keys.count(key) > 1), None)
    if twice is not None:
        raise InferAtlasError(
            f"{source.name} reads {twice.semantics} {twice.quantity} of '{twice.device}' twice",
            field="source",
            hint="a defect of the source: please report it, with the output of `inferatlas power sources`",
        )
    return source
