"""Latencies, rates and their intervals of some requests of a run, and of a stretch of its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferatlas.simulate import statistics as st
from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.running import Run
from inferatlas.simulate.series import Flags, Floats, Series, Times, between, idle_power
from inferatlas.workload.targets import LATENCIES, ServiceTarget

LATENCY_METRICS = ("ttft_s", "itl_s", "latency_s")
DRAWN = 80  # points of a distribution that is drawn


class Part:
    """Some of the requests, and a stretch of time."""

    def __init__(
        self, run: Run, fleet: Fleet, times: Times, series: Series, chosen: Flags, start: float, end: float,
        targets: Sequence[ServiceTarget], *, whole: bool = False,
    ) -> None:  # fmt: skip
        self.run, self.fleet, self.times, self.series, self.chosen = run, fleet, times, series, chosen
        self.start, self.end, self.targets, self.whole = start, end, targets, whole
        done = np.flatnonzero(chosen & times.done)
        self.done = done
        self.lost = int((chosen & times.failed).sum())
        network = fleet.network_s
        first, finish, output = times.first[done], times.finish[done], times.output[done]
        sent = times.sent[done]
        self.ttft, self.latency = first - sent + network, finish - sent + network
        several = output > 1
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = (finish - first) / (output - 1.0)
        self.gap = np.where(several, gap, np.nan)
        self.itl = gap[several]
        self.summaries: dict[str, st.Summary] | None = None

    @property
    def span(self) -> float:
        return self.end - self.start

    def latencies(self) -> dict[str, st.Summary]:
        if self.summaries is None:
            values = (self.ttft, self.itl, self.latency)
            self.summaries = {name: st.summary(v, self.lost) for name, v in zip(LATENCY_METRICS, values, strict=True)}
        return self.summaries

    def in_bins(self, at: Floats) -> Floats:
        many = self.series.in_flight.size
        return between(self.run.bins[:many], self.series.bin_s, at)

    def rates(self, at: Floats) -> tuple[Floats, Floats, Floats]:
        """Output tokens, total tokens (of prompts that were complete) and joules between moments, per second."""
        widths = np.diff(at)
        if self.whole and at.size == 2:
            made = np.array([self.times.output[self.done].sum()])
            read = np.array([self.times.input[self.done].sum()])
            joules = np.array([self.run.replicas["joules"].sum()])
        else:
            bins = self.in_bins(at)
            made, joules = bins[:, k.OUT], bins[:, k.JOULES]
            first = np.fmin(self.times.first, np.inf)
            read = np.histogram(first, at, weights=self.times.input)[0] if at.size > 2 else np.array(
                [self.times.input[(first >= at[0]) & (first < at[1])].sum()]
            )  # fmt: skip
        idle = idle_power(self.run, self.fleet, self.times)
        with np.errstate(invalid="ignore", divide="ignore"):
            return made / widths, (made + read) / widths, joules / widths + idle

    def metrics(self) -> dict[str, Any]:
        out, total, power = (float(one[0]) for one in self.rates(np.array([self.start, self.end])))
        return self.latencies() | {
            "output_tokens_per_s": known(out), "total_tokens_per_s": known(total),
            "goodput_per_s": over(int(self.good().sum()), self.span) if self.clauses else None,
            "power_w": known(power), "tokens_per_joule": known(out / power) if power > 0 else None,
        }  # fmt: skip

    @property
    def clauses(self) -> list[ServiceTarget]:
        return [one for one in self.targets if one.metric in LATENCIES]

    def good(self) -> Flags:
        """Which of the requests keep every bound; without a gap there is none to exceed."""
        values = {"ttft": self.ttft, "itl": np.where(np.isnan(self.gap), 0.0, self.gap), "latency": self.latency}
        kept = np.ones(self.done.size, np.bool_)
        for one in self.clauses:
            kept &= one.met(values[one.metric])
        return kept

    def engine_clock(self) -> dict[str, st.Summary]:
        t, done = self.times, self.done
        since = t.arrival[done]
        return {
            "ttft_s": st.summary(t.first[done] - since, self.lost),
            "latency_s": st.summary(t.finish[done] - since, self.lost),
        }

    def intervals(self) -> dict[str, Any]:
        """95 % intervals by batch means: of latencies over requests, of rates over time."""
        values = dict(zip(LATENCY_METRICS, (self.ttft, self.itl, self.latency), strict=True))
        found: dict[str, Any] = {name: st.intervals_of(v, self.latencies()[name]) for name, v in values.items()}
        rates = self.rates(np.linspace(self.start, self.end, st.BATCHES + 1))
        for name, parts in zip(("output_tokens_per_s", "total_tokens_per_s", "power_w"), rates, strict=True):
            known = np.isfinite(parts).all()
            found[name] = list(st.batch_interval(parts, float(parts.mean()))) if known else None
        return found

    def curves(self) -> dict[str, Floats]:
        """Latencies at even shares of the requests, from 0 to 1."""
        values = zip(LATENCY_METRICS, (self.ttft, self.itl, self.latency), strict=True)
        return {name: curve(one) for name, one in values}


def curve(values: Floats) -> Floats:
    """At most `DRAWN` of the values in ascending order, evenly chosen."""
    ordered = np.sort(values)
    return ordered[np.linspace(0, max(ordered.size - 1, 0), min(DRAWN, ordered.size)).round().astype(np.int64)]


def over(a: float, b: float) -> float | None:
    return a / b if b > 0 and np.isfinite(a) else None


def known(value: float) -> float | None:
    return value if np.isfinite(value) else None
