"""Power of Graphcore IPUs through ``gcipuinfo``, the information library of the Poplar SDK.

Attributes are texts. The library reads them once, when it is opened, and again only when it is told to: without that,
every later answer is the first one (https://docs.graphcore.ai/projects/gcipuinfo/en/latest/attributes.html).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, no_address
from inferatlas.measure.metering.sources.asking import Value, known, no_value, readings, told_apart

NAME = "graphcore"

INTERFACE = Interface(
    name=NAME,
    title="Graphcore IPU power (gcipuinfo)",
    offers=(Offer("power_w", "instant", Scope.DIE),),
    enable="the Python package gcipuinfo of the Poplar SDK (not on PyPI), and the SDK's environment: "
    "`source <poplar>/enable.sh`",
    notes="Power of the processor alone; whether it is an average is not documented: taken as instant. C600 cards that "
    "do nothing answer N/A. For a whole IPU machine read its BMC or its PDU.",
)


def watts_of(text: object) -> Value:
    """W from the text of the attribute, ``123.45W``; N/A is not available, another unit or form unreadable.

    Examples
    --------
    >>> watts_of("93.50W"), watts_of("N/A")[1].code, watts_of("93500mW")[1].code
    ((93.5, <Fault.NONE: 0>), 'not_available', 'unreadable')
    """
    if text == "N/A":
        return no_value(Fault.NOT_AVAILABLE)
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?W", text):
        return no_value(Fault.UNREADABLE)
    return known(float(text[:-1]))


@dataclass(slots=True)
class _Ipus:
    """The open library: the source."""

    info: Any
    power: str
    channels: tuple[Channel, ...]
    name: str = NAME
    least_s: float = 0.1  # each reading reads every attribute of every IPU; how often they are renewed nobody says
    notes: tuple[str, ...] = ()

    def read(self) -> list[Reading]:
        try:
            found = {} if self.info.updateData() is False else self._found()
        except Exception:  # of any kind: the library documents none
            found = {}
        lost = no_value(Fault.DEVICE_LOST if found else Fault.FAILED)
        return readings(time.monotonic_ns(), [found.get(one.device, lost) for one in self.channels])

    def _found(self) -> dict[str, Value]:
        """Power by IPU; both lists have the same order, and N/A its place in it."""
        texts = self.info.getNamedAttributeForAll(self.power)
        return dict(zip(_identities(self.info.getDevices()), map(watts_of, texts), strict=True))

    def close(self) -> None:
        """Nothing to give back: the library has no call that ends it."""


def open_source(address: str = "") -> Source:
    """Power of every IPU of the active partition.

    Raises
    ------
    Unavailable : no ``gcipuinfo``, or no IPU. BadInput : an address.
    """
    no_address(NAME, address)
    try:
        import gcipuinfo  # pyright: ignore[reportMissingImports]

        info = gcipuinfo.gcipuinfo()
        devices = info.getDevices()
    except ImportError:
        raise Unavailable("gcipuinfo is not installed", hint=INTERFACE.enable) from None
    except Exception as error:
        raise Unavailable(f"gcipuinfo does not start: {error}", hint=INTERFACE.enable) from None
    if not devices:
        raise Unavailable("no IPU in the active partition", hint="`gc-inventory` lists the IPUs of a machine")
    channels = tuple(
        Channel(
            NAME, device, "power_w", "instant", Scope.DIE, name=str(about.get("board type", "")), quantum=0.01,
            gain=GAINS["board"], assumed=True,
        )
        for device, about in zip(_identities(devices), devices, strict=True)
    )  # fmt: skip
    return _Ipus(info, gcipuinfo.IpuPower, channels)


def _identities(devices: Sequence[Mapping[str, str]]) -> list[str]:
    """Serial number of the board and number of the IPU on it; the library's own number where there is no serial."""
    boards = [(one.get("board serial number"), one.get("board ipu index", "")) for one in devices]
    if len(set(boards)) == len(boards) and all(serial for serial, _ in boards):
        return [f"{serial}/{ipu}" for serial, ipu in boards]
    return told_apart([f"id {one.get('id', n)}" for n, one in enumerate(devices)])
