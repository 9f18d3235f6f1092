"""What makes a window of one channel invalid, whichever way its energy is found (reference/energy.md, section 5.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Channel, Fault, Series
from inferatlas.measure.metering.energy import Energy

MOST_GAP_S = 3.0
MOST_GAP_SHARE = 1 / 20  # of the window
# A device that went away may have come back as another one, or with its counter at 0.
GRAVE = {Fault.DEVICE_LOST, Fault.DEVICE_CHANGED, Fault.DRIVER_GONE}


def faults_within(series: Series, a_ns: int, b_ns: int) -> tuple[list[str], list[str]]:
    """Reasons and remarks that readings without a value bring: grave faults invalidate, single gaps are remarked."""
    within = (series.t_ns >= a_ns) & (series.t_ns <= b_ns) & (series.fault != 0)
    found = [Fault(int(one)) for one in np.unique(series.fault[within])]
    reasons = [one.code for one in found if one in GRAVE]
    remarks = ["readings_missing"] if any(one not in GRAVE | {Fault.THROTTLED} for one in found) else []
    if Fault.THROTTLED in found:
        remarks.append(Fault.THROTTLED.code)
    channel = series.channel
    if channel.assumed:
        remarks.append("semantics_assumed")
    if channel.scope is None:
        remarks.append("scope_unknown")
    if channel.semantics == "model":
        remarks.append("estimated")
    return reasons, remarks


def in_order(t: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Readings by time; the order in which they are handed over does not matter."""
    if np.any(np.diff(t) < 0):
        order = np.argsort(t, kind="stable")
        return t[order], value[order]
    return t, value


def nothing(channel: Channel, length_s: float, reasons: Sequence[str], remarks: Sequence[str]) -> Energy:
    """No energy, for a channel that gave no usable reading: unknown, never 0."""
    return of_channel(channel, length_s, None, {}, reasons or ["no_samples"], remarks)(covered_s=0.0)


def of_channel(
    channel: Channel,
    length_s: float,
    joules: float | None,
    terms: Mapping[str, float],
    reasons: Sequence[str],
    remarks: Sequence[str],
) -> Callable[..., Energy]:
    """An energy of a channel, but for what depends on the way it was found."""

    def made(**more: Any) -> Energy:
        return Energy(
            joules=joules, u_terms=terms, method=channel.semantics if joules is not None else None,
            source=channel.source, scope=channel.scope, part=channel.part, device=channel.device, name=channel.name,
            duration_s=length_s, reasons=tuple(dict.fromkeys(reasons)), remarks=tuple(dict.fromkeys(remarks)), **more,
        )  # fmt: skip

    return made
