"""Which part of a run tells of the system and not of its start and its end, and whether there is one.

The warm-up is found by MSER-5 (White 1997; White, Cobb and Spratt 2000) on the number in flight, or on the tokens that
come in a closed loop, where that number is fixed; it lasts at most half of the time. The drain begins with the last
request that is sent. A fleet that is offered more than it can serve has no steady state: what waits grows as long as
requests come (section 4 of the reference). The laws are those of measured runs: `evidence.steady`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferatlas.evidence.steady import DOUBTFUL, LEAST, SURE, backlog, flood, mser
from inferatlas.simulate.series import Series, Times

Why = Literal["", "saturated", "short", "burst"]


@dataclass(frozen=True, slots=True)
class Window:
    """The steady window, from which every metric comes; without one ``why`` says why.

    ``growth_per_s``: requests by which the backlog grew per second, while they came; ``doubtful``: a growth that is
    large and may be chance.
    """

    from_s: float
    to_s: float
    why: Why
    growth_per_s: float
    doubtful: bool = False

    @property
    def steady(self) -> bool:
        return self.why == ""

    @property
    def saturated(self) -> bool:
        return self.why == "saturated"


def window_of(times: Times, series: Series, clients: int | None) -> Window:
    """The steady window of a run.

    Parameters
    ----------
    clients : of a closed loop; None: open loop.
    """
    sent = times.sent[times.was_sent]
    begin = times.begin
    drain = float(sent.max()) if sent.size else begin
    if sent.size < LEAST:
        return Window(begin, times.until, "short", 0.0)
    sure, growth = (0.0, 0.0) if clients else backlog(times, begin, drain)
    if sure > SURE:
        return Window(begin, times.until, "saturated", growth)
    if not clients and (flooded := flood(times, begin, drain)) > 0:
        return Window(begin, times.until, "saturated", flooded)
    observed = series.output_tokens if clients else series.in_flight
    first, last = int(np.ceil(begin / series.bin_s)), int(drain / series.bin_s)
    start = (first + mser(observed[first:last])) * series.bin_s if last > first else drain
    if clients:  # all clients begin at once, which no later moment repeats
        wave = times.finish[:clients]
        start = max(start, float(np.fmin(wave, times.until).max()))
    start = max(min(start, begin + 0.5 * (drain - begin)), begin)
    inside = int(((sent >= start) & (sent <= drain)).sum())
    if drain <= begin or inside < LEAST:
        return Window(begin, times.until, "burst" if drain <= begin else "short", growth)
    return Window(start, drain, "", growth, doubtful=sure > DOUBTFUL)
