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
    """Reasons and remarks that readings without a value bring: grave faults invalidate, single gaps are remarked.

    Grave ones do so from the last reading before the window to the first one after it: what is between two readings
    goes by both.
    """
    within = (series.t_ns >= a_ns) & (series.t_ns <= b_ns) & (series.fault != 0)
    found = [Fault(int(one)) for one in np.unique(series.fault[within])]
    good = series.t_ns[series.fault == 0]
    before, after = good[good <= a_ns], good[good >= b_ns]
    around = (series.t_ns >= (before.max() if before.size else a_ns)) & (
        series.t_ns <= (after.min() if after.size else b_ns)
    )
    reasons = [one.code for one in sorted(GRAVE) if np.any(series.fault[around] == one)]
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


def some_within(series: Series, believed: NDArray[np.bool_], a_ns: int, b_ns: int) -> bool:
    """Whether a value within the window is not believed."""
    doubted = (series.fault == 0) & ~believed
    return bool(np.any(doubted & (series.t_ns >= a_ns) & (series.t_ns <= b_ns)))


def too_far_apart(gap_s: float, length_s: float) -> bool:
    """Whether readings are too far apart for a window; not where there is but one of them (NaN)."""
    return gap_s > min(MOST_GAP_S, MOST_GAP_SHARE * length_s) * (1 + 1e-9)


def in_order(t: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Readings by time; the order in which they are handed over does not matter."""
    if np.any(np.diff(t) < 0):
        order = np.argsort(t, kind="stable")
        return t[order], value[order]
    return t, value


def nothing(series: Series, a_ns: int, b_ns: int, reasons: Sequence[str], remarks: Sequence[str]) -> Energy:
    """No energy, for a channel that gave no usable reading: unknown, never 0; its faults in the window say why."""
    faults = series.fault[(series.t_ns >= a_ns) & (series.t_ns <= b_ns)]
    codes = [Fault(int(one)).code for one in np.unique(faults) if one not in (Fault.NONE, Fault.THROTTLED)]
    whole = [one for one in remarks if one != "readings_missing"]
    made = of_channel(series.channel, (b_ns - a_ns) / 1e9, None, {}, [*reasons, *codes] or ["no_samples"], whole)
    return made(covered_s=0.0)


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
