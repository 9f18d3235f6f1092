"""What people say of a log that does not say it itself: scope, semantics, window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Semantics
from inferatlas.measure.metering.scope import Scope, scope_of

POWER_SEMANTICS = ("instant", "average", "model")
MOST_WINDOW_S = 86400.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the caller says; None where nothing is said. ``semantics`` is of power: energies are counters anyway."""

    scope: Scope | None = None
    semantics: Semantics | None = None
    window_s: float | None = None


def told_of(scope: Scope | str | None, semantics: str | None, window_s: float | None) -> Told:
    """What is said, checked. A window makes an average.

    Raises
    ------
    BadInput : a scope or semantics that do not exist, a window that is not positive or not of an average.

    Examples
    --------
    >>> told_of("node_ac", None, 1.0)
    Told(scope=<Scope.NODE_AC: 6>, semantics='average', window_s=1.0)
    """
    if semantics is not None and semantics not in POWER_SEMANTICS:
        raise BadInput(f"'{semantics}' is not known", field="semantics", allowed=", ".join(POWER_SEMANTICS))
    if window_s is not None and not 0 < window_s <= MOST_WINDOW_S:
        raise BadInput(f"{window_s:g} s is not a window", field="window_s", allowed="above 0 s, up to a day")
    if window_s is not None and semantics not in (None, "average"):
        raise BadInput(f"{semantics} readings have no window", field="window_s", allowed="semantics average")
    said = "average" if window_s is not None else semantics
    scope = scope if isinstance(scope, Scope) else scope_of(scope)
    return Told(scope, cast("Semantics | None", said), window_s)


def as_told(channel: Channel, told: Told) -> Channel:
    """A channel with what the log leaves open filled in.

    Raises
    ------
    BadInput : the log itself says something else.

    Examples
    --------
    >>> meter = Channel("pdu", "A", "power_w", "instant", None, assumed=True)
    >>> as_told(meter, Told(Scope.RACK, "average", 1.0)).semantics
    'average'
    """
    if told.scope is not None and channel.scope not in (None, told.scope):
        raise _other(channel, "scope", told.scope.label, channel.scope.label)
    channel = replace(channel, scope=told.scope or channel.scope)
    if told.semantics is None or channel.quantity == "energy_j":
        return channel
    if channel.assumed:
        return replace(channel, semantics=told.semantics, window_s=told.window_s, assumed=False)
    if channel.semantics != told.semantics:
        raise _other(channel, "semantics", told.semantics, channel.semantics)
    if told.window_s is not None and channel.window_s not in (None, told.window_s):
        raise _other(channel, "window_s", f"{told.window_s:g}", f"{channel.window_s:g}")
    return replace(channel, window_s=told.window_s or channel.window_s)


def _other(channel: Channel, field: str, given: str, said: str) -> BadInput:
    message = f"{given} is given, and the log says {said} of {channel.device or channel.source}"
    return BadInput(message, field=field, allowed=f"{said}, or leave it out")
