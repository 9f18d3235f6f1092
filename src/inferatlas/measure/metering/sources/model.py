"""An estimate in a source's place: a share of the rated power, for accelerators that nothing here can read.

The share is the prior for accelerators that serve: 0.735 of the rated power on average, 0.40 to 0.97 from the 5th to
the 95th percentile over measured runs on H100 and B200 (reference/energy.md, section 8). It says nothing of idling.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.errors import BadInput, called
from inferatlas.measure.metering.channel import Channel, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, bad_address
from inferatlas.measure.metering.sources.asking import known, readings
from inferatlas.predict.hardware.power import power_of

NAME = "model"
SHARE, SHARE_P5, SHARE_P95 = 0.735, 0.40, 0.97  # of the rated power
Z95 = 1.645  # standard deviations from the mean to the 95th percentile
GAIN = (SHARE_P95 - SHARE_P5) / (2 * Z95) / SHARE  # relative standard uncertainty
MOST = 4096  # accelerators: beyond them, logs are no longer light

INTERFACE = Interface(
    name=NAME,
    title="Estimate from rated power, without a sensor",
    offers=(Offer("power_w", "model", None),),
    enable="nothing: it is no measurement",
    address="ACCELERATOR, or ACCELERATOR*COUNT for several (`inferatlas catalogue list` shows the names)",
    notes=f"{SHARE:g} of the rated power, or the idle power where that is more, with a standard uncertainty of "
    f"{GAIN:.0%}; for accelerators that serve, whatever they really do. Always shown as estimated.",
    local=False,
)

# What a rated power covers, by the field of the catalogue that holds it. A thermal design power is one of the chip with
# some parsers, of the card with others: the catalogue does not say which, so the scope stays unknown.
SCOPES: dict[str, Scope | None] = {
    "power.tdp": None,
    "power.board": Scope.BOARD,
    "power.system_peak": Scope.NODE_AC,
    "power.max_measured": Scope.DIE,
}


@dataclass(slots=True)
class _Estimates:
    """The same power at every reading: the source."""

    watts: float
    channels: tuple[Channel, ...]
    name: str = NAME
    least_s: float = 0.1  # nothing is to be seen in between
    notes: tuple[str, ...] = ()

    def read(self) -> list[Reading]:
        return readings(time.monotonic_ns(), [known(self.watts)] * len(self.channels))

    def close(self) -> None:
        """Nothing to give back."""


def open_source(address: str = "") -> Source:
    """Estimated power of one accelerator of the catalogue, or of several.

    Parameters
    ----------
    address : ``ACCELERATOR`` or ``ACCELERATOR*COUNT``: a slug, alias or name of the catalogue, or a file of a user's.

    Raises
    ------
    Unavailable : no rated power known. UnknownName, BadInput : as `load_accelerator`; no name, a count that is none.

    Examples
    --------
    >>> source = open_source("h100*2")
    >>> [(one.device, one.semantics, round(one.gain, 3)) for one in source.channels]
    [('nvidia-h100-sxm #1', 'model', 0.236), ('nvidia-h100-sxm #2', 'model', 0.236)]
    >>> [round(one.value, 1) for one in source.read()]
    [514.5, 514.5]
    """
    name, star, count = address.rpartition("*")
    name, many = (name.strip(), _whole(count.strip())) if star else (address.strip(), 1)
    if not name:
        raise bad_address(INTERFACE, "", hint="model:h100*8")
    with called("source", "accelerator"):
        accelerator = load_accelerator(name)
    power = power_of(accelerator, per_rack=1)
    if power.rated_w is None or power.field is None:
        raise Unavailable(
            f"the rated power of {accelerator.id} is not known, so that nothing can be estimated from it",
            hint="a catalogue file of your own with `power.tdp` or `power.board` can be named in its place",
        )
    names = [accelerator.id] if many == 1 else [f"{accelerator.id} #{n + 1}" for n in range(many)]
    channels = tuple(
        Channel(
            NAME, device, "power_w", "model", SCOPES[power.field], name=accelerator.name, gain=GAIN,
            limit_w=power.rated_w,
        )
        for device in names
    )  # fmt: skip
    # a wafer-scale system idles above that share: what serves draws no less than what idles
    return _Estimates(max(SHARE * power.rated_w, power.idle_w or 0.0), channels)


def _whole(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MOST:
        allowed = f"ACCELERATOR*COUNT with COUNT from 1 to {MOST}"
        raise BadInput(f"'{text}' is no count of accelerators", field="source", allowed=allowed)
    return int(text)
