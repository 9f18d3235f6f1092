"""Times of requests as columns, and numbers over time: in flight, waiting, in the batch, in memory, power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.running import Run

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """What happened to each request, shape (n,); seconds from the start of the run, NaN where it did not happen.

    ``until``: where the run ended, or was interrupted. A failed request has the time of its failure in ``finish``.
    """

    sent: Floats
    arrival: Floats
    admitted: Floats
    first: Floats
    finish: Floats
    input: Floats
    output: Floats
    done: Flags
    failed: Flags
    until: float

    @property
    def begin(self) -> float:
        """When the first request was sent."""
        known = self.sent[np.isfinite(self.sent)]
        return float(known.min()) if known.size else 0.0

    @property
    def was_sent(self) -> Flags:
        return self.sent <= self.until


def times_of(run: Run) -> Times:
    """Columns of the records of a run."""
    q = run.requests
    phase = q["phase"]
    done, failed = phase == k.DONE, phase == k.FAILED
    finish = q["finish"].copy()
    ended = finish[np.isfinite(finish)]
    over = bool(np.all(done | failed))
    until = float(ended.max()) if over and ended.size else float(run.totals["now"])
    sent, arrival, admitted, first = (np.ascontiguousarray(q[one]) for one in ("sent", "arrival", "admitted", "first"))
    return Times(
        sent,
        arrival,
        admitted,
        first,
        finish,
        q["input"].astype(np.float64),
        q["output"].astype(np.float64),
        done,
        failed,
        until,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Averages over bins of ``bin_s`` seconds from time 0 to ``until_s``, within the last of them, shape (b,).

    ``in_flight``: sent and not ended; ``waiting``: at a scheduler and not admitted; ``running``: admitted and not
    ended. ``batch``: decoding requests in the steps under way, of all replicas; ``kv_used``: share of all blocks;
    ``output_tokens`` and ``prompt_tokens`` (computed, not found in a cache): per second; ``power_w``: idle power
    included, NaN where unknown.
    """

    bin_s: float
    until_s: float
    in_flight: Floats
    waiting: Floats
    running: Floats
    batch: Floats
    kv_used: Floats
    output_tokens: Floats
    prompt_tokens: Floats
    power_w: Floats

    @property
    def time_s(self) -> Floats:
        """The middle of each bin."""
        return (np.arange(self.in_flight.size, dtype=np.float64) + 0.5) * self.bin_s

    @property
    def widths(self) -> Floats:
        """Seconds of each bin."""
        found = np.full(self.in_flight.size, self.bin_s)
        found[-1] = max(self.until_s - (found.size - 1) * self.bin_s, 1e-9 * self.bin_s)
        return found


def series_of(run: Run, fleet: Fleet, times: Times) -> Series:
    """Every number over time that a run has left."""
    bin_s = float(run.totals["bin_s"])
    many = min(max(int(np.ceil(times.until / bin_s)), 1), run.bins.shape[0])
    widths = np.full(many, bin_s)
    widths[-1] = max(times.until - (many - 1) * bin_s, bin_s * 1e-9)  # the run ends within its last bin
    bins = run.bins[:many] / widths[:, None]
    end = np.fmin(times.finish, times.until)
    admitted = np.fmin(times.admitted, end)
    sent, arrival = (
        steps(times.sent, bin_s, many, times.until),
        steps(np.fmin(times.arrival, end), bin_s, many, times.until),
    )
    ended, begun = steps(end, bin_s, many, times.until), steps(admitted, bin_s, many, times.until)
    scale = bin_s / widths
    return Series(
        bin_s, times.until, (sent - ended) * scale, (arrival - begun) * scale, (begun - ended) * scale,
        bins[:, k.BATCH], bins[:, k.BLOCKS] / float(run.replicas["blocks"].sum()), bins[:, k.OUT], bins[:, k.IN],
        bins[:, k.JOULES] + idle_power(run, fleet, times),
    )  # fmt: skip


def steps(events: Floats, bin_s: float, many: int, until: float) -> Floats:
    """Mean over each bin, as a share of ``bin_s``, of the number of events so far; later ones than ``until`` are none.

    >>> steps(np.array([0.0, 1.5, np.nan]), 1.0, 3, 3.0).tolist()
    [1.0, 1.5, 2.0]
    """
    at = np.fmin(events, until) / bin_s  # what never happens is at the end, where it adds nothing
    here = np.minimum(at.astype(np.int64), many - 1)
    each = np.bincount(here, minlength=many)
    part = np.bincount(here, here + 1.0 - at, minlength=many)
    before = (np.cumsum(each) - each).astype(np.float64)
    missing = many - until / bin_s  # of the last bin, which the run does not fill
    part[-1] -= missing * each[-1]
    before[-1] *= 1.0 - missing
    return before + part


def on_seconds(run: Run, until: float) -> Floats:
    """Shape (replicas,): how long each was switched on."""
    r = run.replicas
    on = (r["state"] == k.ACTIVE) | (r["state"] == k.DRAINING)
    return r["on_s"] + np.where(on, np.maximum(until - r["on_at"], 0.0), 0.0)


def idle_power(run: Run, fleet: Fleet, times: Times) -> float:
    """Watts that run whatever is done: mean over the whole run of the replicas that are switched on."""
    each = np.array([pool.law.idle_w / pool.law.lanes for pool in fleet.pools])
    on = on_seconds(run, times.until) / max(times.until, 1e-300)
    return float(each[run.replicas["pool"]] @ on)


def peak(starts: Floats, ends: Floats) -> int:
    """Most intervals at one moment; one that ends when another starts is over. Those that are no times are left out.

    >>> peak(np.array([0.0, 1.0, 2.0]), np.array([1.0, 5.0, 3.0]))
    2
    """
    starts, ends = np.sort(starts), np.sort(ends)
    starts = starts[: np.searchsorted(starts, np.inf)]
    if not starts.size:
        return 0
    return int((np.arange(1, starts.size + 1) - np.searchsorted(ends, starts, side="right")).max())


def between(bins: Floats, bin_s: float, at: Floats) -> Floats:
    """Shape (len(at) - 1, columns): sums of bins between moments, within a bin in proportion."""
    total = np.vstack([np.zeros(bins.shape[1]), np.cumsum(bins, axis=0)])
    edges = np.arange(total.shape[0]) * bin_s
    return np.diff(np.stack([np.interp(at, edges, total[:, c]) for c in range(bins.shape[1])], axis=1), axis=0)
