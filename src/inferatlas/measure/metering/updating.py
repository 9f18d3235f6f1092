"""How often a sensor has a new value: measured by reading it faster than that for a moment."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from inferatlas.measure.metering.channel import Series
from inferatlas.measure.metering.sampler import Sampler
from inferatlas.measure.metering.source import Source

LEAST_CHANGES = 4  # from which a period is told
FAST_S = 0.005  # between readings: a fifth of the fastest step on record for NVML


def update_period(series: Series) -> float | None:
    """Time between values of a sensor, in seconds; None where it changed too seldom to say.

    Where every reading is a new value the sensor is at least as fast as it was read, and the period is that of reading.

    Examples
    --------
    >>> from inferatlas.measure.metering.channel import Channel
    >>> card = Channel("nvml", "0", "energy_j", "counter", None)
    >>> t = np.arange(200) * 10**7
    >>> steps = Series(card, t, (t // 10**8).astype(float), np.zeros(200, dtype=np.int8))
    >>> round(update_period(steps), 3)
    0.1
    """
    good = series.fault == 0
    t, value = series.t_ns[good] / 1e9, series.value[good]
    changed = t[1:][np.diff(value) != 0]
    if changed.size < LEAST_CHANGES:
        return None
    return float((changed[-1] - changed[0]) / (changed.size - 1))


def measured_updates(sources: Sequence[Source], seconds: float) -> list[float | None]:
    """`update_period` of every channel, from reading all sources for some seconds; the sources are closed."""
    sampler = Sampler(sources, FAST_S).start()
    time.sleep(seconds)
    sampler.stop()
    return [update_period(one) for one in sampler.log().series]
