"""Which sources there are, which of them this machine has, and why not the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from inferatlas.errors import InferAtlasError, UnknownName
from inferatlas.measure.metering.channel import Channel
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, checked

# In the order in which answers are given: accelerators, then the machine around them, then what is named by hand.
SOURCES = (
    "nvml", "amdsmi", "level_zero", "habana", "tenstorrent", "graphcore", "rapl", "hwmon", "ipmi", "redfish", "snmp",
    "prometheus", "file", "manual", "model",
)  # fmt: skip
WITHOUT = "undocumented"  # interfaces of machines that give no power
HERE = "inferatlas.measure.metering.sources"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An interface that was looked for and gave nothing: why, and what would change that."""

    name: str
    why: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Open sources, and the interfaces that gave nothing."""

    sources: tuple[Source, ...]
    refusals: tuple[Refusal, ...]

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for source in self.sources for channel in source.channels)


def interfaces() -> tuple[Interface, ...]:
    """Every interface that is known, those that give no power last.

    Examples
    --------
    >>> [one.name for one in interfaces()][:3]
    ['nvml', 'amdsmi', 'level_zero']
    """
    return (*(_module(name).INTERFACE for name in SOURCES), *import_module(f"{HERE}.{WITHOUT}").INTERFACES)


def find(names: Sequence[str] = ()) -> Found:
    """Open sources: those named, each once, or all that this machine has.

    Parameters
    ----------
    names : ``nvml``, or with what follows: ``redfish:https://bmc``, ``prometheus:http://host:9400/metrics``.

    Raises
    ------
    UnknownName : no interface goes by a name. BadInput : what follows a name is no address for it. Unavailable : one
    that was named gives no readings.
    """
    opened: list[Source] = []
    refusals: list[Refusal] = []
    try:
        for one in dict.fromkeys(names):
            name, _, address = one.partition(":")
            opened.append(_opened(_known(name), address))
        for name in () if names else (one for one in SOURCES if _module(one).INTERFACE.local):
            found = _looked_for(name)
            if isinstance(found, Refusal):
                refusals.append(found)
            else:
                opened.append(found)
    except BaseException:
        _close(opened)
        raise
    return Found(tuple(opened), tuple(refusals))


def _opened(name: str, address: str) -> Source:
    source = _module(name).open_source(address)
    try:
        return checked(source)
    except InferAtlasError:
        source.close()
        raise


def _looked_for(name: str) -> Source | Refusal:
    """A source that nobody named, or why there is none. One that is broken hides no other."""
    try:
        return _opened(name, "")
    except InferAtlasError as error:  # `Unavailable`; anything else is a defect, and told
        return Refusal(name, error.message, error.hint)
    except Exception as error:  # of any kind: it comes from a vendor's package
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return Refusal(name, f"cannot be opened: {said}", "please report it, with the vendor's package and version")


def _known(name: str) -> str:
    if name in SOURCES:
        return name
    without = {one.name: one for one in import_module(f"{HERE}.{WITHOUT}").INTERFACES}
    if name in without:
        raise Unavailable(
            f"{without[name].title}: no documented power reading", field="source", hint=without[name].enable
        )
    raise UnknownName("source", name, SOURCES, allowed=", ".join(SOURCES))


def _module(name: str) -> Any:
    return import_module(f"{HERE}.{name}")


def _close(sources: Sequence[Source]) -> None:
    for one in sources:
        one.close()


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of reading of one interface, on this machine or not; ``offer`` None where there is none to name.

    ``notes`` : what readers must know of its numbers, then what its sources do not read, and why.
    """

    interface: Interface
    offer: Offer | None
    channels: tuple[Channel, ...]
    why_not: str | None
    hint: str | None
    update_s: float | None
    update_measured: bool
    notes: tuple[str, ...]

    @property
    def available(self) -> bool:
        return bool(self.channels)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        offer = self.offer
        return {
            "source": self.interface.name, "available": self.available,
            "quantity": None if offer is None else offer.quantity,
            "semantics": None if offer is None else offer.semantics,
            "scope": None if offer is None or offer.scope is None else offer.scope.label,
            "part": (self.channels[0].part or None) if self.channels else None,
            "update_s": self.update_s, "update_measured": self.update_measured,
            "window_s": None if offer is None else offer.window_s,
            "why_not": self.why_not, "enable": self.hint or self.interface.enable,
            "devices": [one.device for one in self.channels], "title": self.interface.title,
            "address": self.interface.address or None,
            "notes": "; ".join(one.removesuffix(".") for one in self.notes) or None,
        }  # fmt: skip


def survey(found: Found, updates: Sequence[float | None] = ()) -> tuple[Row, ...]:
    """What this machine gives, a row per kind of reading, and what it does not, with the reason.

    Parameters
    ----------
    found : all that was looked for. updates : measured time between values, per channel of ``found``; None or left
        out where it was not measured.
    """
    measured = dict(zip(found.channels, updates, strict=False))
    refused = {one.name: one for one in found.refusals}
    rows: list[Row] = []
    for interface in interfaces():
        own = [one for one in found.sources if one.name == interface.name]
        said = (interface.notes, *(note for one in own for note in one.notes))
        notes = tuple(dict.fromkeys(note for note in said if note))
        channels = [channel for one in own for channel in one.channels]
        for kind in dict.fromkeys(_kind(one) for one in channels):
            same = tuple(one for one in channels if _kind(one) == kind)
            seen = next((measured[one] for one in same if measured.get(one) is not None), None)
            first, update = same[0], seen if seen is not None else same[0].update_s
            offer = Offer(first.quantity, first.semantics, first.scope, update, first.window_s)
            rows.append(Row(interface, offer, same, None, None, update, seen is not None, notes))
        if not channels:
            why, hint = _why_not(interface, refused.get(interface.name))
            offers = interface.offers or (None,)
            rows += [Row(interface, one, (), why, hint, one and one.update_s, False, notes) for one in offers]
    return tuple(rows)


def _kind(channel: Channel) -> tuple[object, ...]:
    return channel.quantity, channel.semantics, channel.scope, channel.part


def _why_not(interface: Interface, refusal: Refusal | None) -> tuple[str, str | None]:
    if refusal is not None:
        return refusal.why, refusal.hint
    if interface.local:
        return "not looked for, as others were named", f"--source {interface.name}"
    if interface.address:
        return f"not named: --source {interface.name}:{interface.address}", None
    return "no documented power reading", None
