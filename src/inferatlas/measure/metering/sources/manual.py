"""A power that a person has read and typed: for chassis whose interface nobody can call.

Cerebras shows its systems' power to the administrator, Groq documents no call for it (reference/energy.md, section 2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import GAINS, Channel, Reading
from inferatlas.measure.metering.scope import Scope, scope_of
from inferatlas.measure.metering.source import Interface, Offer, bad_address
from inferatlas.quantities import parse

INTERFACE = Interface(
    name="manual",
    title="A constant power that a person has read",
    offers=(Offer("power_w", "instant", None),),
    enable="a display or a dashboard that shows the power",
    address="POWER or POWER@SCOPE, for example 21.5kW@node_ac",
    notes="One number stands for the whole time: what the device really drew in between is not known, and no "
    "uncertainty covers it. The semantics are marked as assumed.",
    local=False,
)
LEAST_S = 0.001  # reading costs nothing


class ManualSource:
    """The same power whenever it is read.

    Examples
    --------
    >>> source = open_source("21.5kW@node_ac", clock=lambda: 7)
    >>> source.read(), source.channels[0].scope
    ([Reading(channel=0, t_ns=7, value=21500.0, fault=<Fault.NONE: 0>)], <Scope.NODE_AC: 6>)
    """

    def __init__(self, power_w: float, scope: Scope | None, clock: Callable[[], int] = time.monotonic_ns) -> None:
        gain = GAINS["unknown"]
        self.name = INTERFACE.name
        self.channels = (Channel("manual", "manual", "power_w", "instant", scope, gain=gain, assumed=True),)
        self.least_s, self.notes = LEAST_S, ()
        self._power_w, self._clock = power_w, clock

    def read(self) -> Sequence[Reading]:
        """One reading, now."""
        return [Reading(0, self._clock(), self._power_w)]

    def close(self) -> None:
        """Nothing is held."""


def open_source(address: str, *, clock: Callable[[], int] = time.monotonic_ns) -> ManualSource:
    """A typed power: ``400W``, or ``21.5kW@node_ac`` with what it covers.

    Raises
    ------
    BadInput : nothing is typed, or no power above 0. UnknownName : a scope that does not exist.
    """
    text, _, scope = address.partition("@")
    if not text.strip():
        raise bad_address(INTERFACE, "", hint="manual:400W@rack")
    power_w = parse(text.strip(), "W", field="source")
    if not power_w > 0:
        raise BadInput(f"'{text.strip()}' is no power of a device that runs", field="source", allowed="above 0 W")
    return ManualSource(power_w, scope_of(scope, field="source"), clock)
