"""From timings to metrics: every number of a run, in its steady window where it has one.

Latencies are over the completed requests that began in the window; rates count tokens that arrived in it. What each
metric means is in `definitions.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.measure.bench.metrics.delivered import Lengths, Load, failures, lengths_of, load_of
from inferatlas.measure.bench.metrics.efficiency import Efficiency, EnergySum, efficiency_of
from inferatlas.measure.bench.metrics.flow import Flow, flow_of, in_flight, within
from inferatlas.measure.bench.metrics.goodput import good, limits
from inferatlas.measure.bench.metrics.intervals import Interval, blocks_of, student_interval, variation_interval
from inferatlas.measure.bench.metrics.spread import Spread, gap_spreads, spread_of
from inferatlas.measure.bench.metrics.steady import FEWEST_PARTS, LATENCIES_A_PART, Window
from inferatlas.measure.bench.metrics.timings import Flags, Floats, Timings
from inferatlas.workload.targets import ServiceTarget

OF_REQUESTS = (
    "ttft_s", "ttft_service_s", "ttft_answer_s", "itl_s", "latency_s", "latency_service_s", "send_lag_s", "connect_s",
)  # fmt: skip
UNKNOWN = 0.01  # share of requests with unknown tokens beyond which a rate of tokens is unknown
RATE_PARTS = 20  # of the window, for the interval of a rate (Schmeiser 1982: 10 to 30 are enough)


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens per second three ways; None where unknown. ``interval``: 95 %, of the steady one."""

    whole_run: float | None
    steady: float | None
    peak_1s: float | None
    interval: Interval | None = None

    @property
    def headline(self) -> float | None:
        return self.whole_run if self.steady is None else self.steady


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a run says; unknown is None. Names and meanings: `definitions.DEFINITIONS`.

    Parameters
    ----------
    spans : (from, to) of the window, s. window : as it was found; None: nobody asked for a steady one.
    sent, completed, failed : requests of the whole run, failed ones by reason.
    spreads : by metric. rates : ``output_tokens_per_s`` and ``total_tokens_per_s``.
    """

    spans: tuple[tuple[float, float], ...]
    window: Window | None
    sent: int
    completed: int
    failed: dict[str, int]
    spreads: dict[str, Spread]
    rates: dict[str, Rate]
    requests_per_s: float | None
    goodput_per_s: float | None
    goodput_tokens_per_s: float | None
    goodput_share: float | None
    latency_cv: float | None
    latency_cv_interval: Interval | None
    concurrency: float | None
    load: Load
    lengths: Lengths
    efficiency: Efficiency | None

    @property
    def steady(self) -> bool:
        """Whether the metrics are of a steady window."""
        return self.window is not None and self.window.steady

    @property
    def interactivity(self) -> float | None:
        """Tokens per second of one user."""
        median = self.spreads["itl_s"].p50
        return 1 / median if median else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it: the block ``metrics`` of a run."""
        energy = self.efficiency
        joule = (
            "power_w", "tokens_per_joule", "total_tokens_per_joule", "tokens_per_joule_net",
            "total_tokens_per_joule_net",
        )  # fmt: skip
        return {
            **{name: one.as_dict() for name, one in self.spreads.items()},
            **{name: one.headline for name, one in self.rates.items()},
            "rates": {name: asdict(one) for name, one in self.rates.items()},
            "requests_per_s": self.requests_per_s,
            "goodput_per_s": self.goodput_per_s,
            "goodput_tokens_per_s": self.goodput_tokens_per_s,
            "goodput_share": self.goodput_share,
            "interactivity_tokens_per_s": self.interactivity,
            "latency_cv": self.latency_cv,
            "latency_cov": self.latency_cv,  # as `variance` and `scale` print it
            "latency_cv_interval": None if self.latency_cv_interval is None else list(self.latency_cv_interval),
            "concurrency": self.concurrency,
            **{name: None if energy is None else getattr(energy, name) for name in joule},
            "energy": None if energy is None else energy.as_dict(),
            "load": self.load.as_dict(),
            "lengths": asdict(self.lengths),
            "window": {
                "kind": "steady" if self.steady else "whole_run",
                "seconds": sum(end - begin for begin, end in self.spans),
                **(Window(self.spans) if self.window is None else self.window).as_dict(),
                "spans_s": [list(one) for one in self.spans],
            },
        }


def measure(
    timings: Timings,
    targets: Iterable[ServiceTarget] = (),
    window: Window | None = None,
    energy: EnergySum | None = None,
    *,
    parts: Callable[[], Iterable[Timings]] | None = None,
    flow: Flow | None = None,
    seed: int = 0,
) -> Metrics:
    """Every metric of a run.

    Parameters
    ----------
    timings : its requests. targets : those on TTFT, ITL and latency are limits of each request; none: no goodput.
    window : from `steady.steady_window`; where there is no steady state, or None, metrics are of the whole run.
    energy : of the same window.
    parts : gives stretches that together hold the events of a long run, each time it is called; None: ``timings`` has
        them. flow : tokens over time, where they were added up before.
    seed : of the bootstrap.

    Raises
    ------
    BadInput : energy of another window.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> columns = {"sent_s": [0.0], "first_token_s": [0.2], "finish_s": [0.49], "output_tokens": [33], "done": [True]}
    >>> at = 0.2 + 0.03625 * np.arange(9)
    >>> found = measure(timings_of(columns, at, [1] + 8 * [4], [0, 9], closed=True))
    >>> [round(1e3 * found.spreads[name].mean, 4) for name in ("ttft_s", "itl_s", "token_gap_s", "chunk_gap_s")]
    [200.0, 9.0625, 9.0625, 36.25]
    """
    targets = tuple(targets)
    give = (lambda: [timings]) if parts is None else parts
    flow = flow_of(timings, give()) if flow is None else flow
    whole = timings.spans()
    steady = window is not None and window.steady
    spans = np.array(window.spans) if window is not None and steady else whole
    seconds = float((spans[:, 1] - spans[:, 0]).sum())
    chosen = _chosen(timings, spans)
    # offline all began before the window: it has rates, while latencies and goodput are of the whole run
    of_window = steady and bool(chosen.any())
    chosen = chosen if of_window else np.isfinite(timings.sent_s)
    kept_s = seconds if of_window else float((whole[:, 1] - whole[:, 0]).sum())
    done = chosen & timings.done
    block = (timings.clients or 1) if timings.closed else 1
    blocks = blocks_of(timings.clock_s[done], block, seed=seed)
    spreads = {name: spread_of(getattr(timings, name)[done], blocks) for name in OF_REQUESTS}
    latency = timings.latency_s[done]
    known = latency[np.isfinite(latency)]
    token_gap, chunk_gap, arrived = gap_spreads(give, lambda at: within(at, spans), timings.clock_s, block, seed)
    lengths = lengths_of(timings)
    output, total = _tokens(timings, lengths, float(arrived.sum()), spans)
    kept = good(timings, targets) & chosen if limits(targets) else None
    return Metrics(
        spans=tuple((float(begin), float(end)) for begin, end in spans),
        window=window,
        sent=int(np.isfinite(timings.sent_s).sum()),
        completed=int(timings.done.sum()),
        failed=failures(timings),
        spreads=spreads | {"token_gap_s": token_gap, "chunk_gap_s": chunk_gap},
        rates=_rates(timings, flow, lengths, spans, (output, total) if steady else None),
        requests_per_s=_per(int((timings.done & within(timings.finish_s, spans)).sum()), seconds),
        goodput_per_s=None if kept is None else _per(int(kept.sum()), kept_s),
        goodput_tokens_per_s=None if kept is None else _per(float(timings.output_tokens[kept].sum()), kept_s),
        goodput_share=None if kept is None else _per(int(kept.sum()), int(chosen.sum())),
        latency_cv=float(known.std() / known.mean()) if known.size > 1 and known.mean() > 0 else None,
        latency_cv_interval=variation_interval(blocks, latency) if known.size > 1 else None,
        concurrency=_concurrency(timings, spans, seconds),
        load=load_of(timings),
        lengths=lengths,
        efficiency=None if energy is None else efficiency_of(energy, seconds, output, total),
    )


def _chosen(timings: Timings, spans: Floats) -> Flags:
    """Requests that were sent, and began in the window."""
    return np.isfinite(timings.sent_s) & within(timings.clock_s, spans, sending=True)


def _per(count: float, seconds: float) -> float | None:
    return count / seconds if seconds > 0 and np.isfinite(count) else None


def _tokens(timings: Timings, lengths: Lengths, arrived: float, spans: Floats) -> tuple[float | None, float | None]:
    """Output tokens and all tokens of the window; None where too many of them are unknown."""
    if lengths.unknown_output > UNKNOWN:
        return None, None
    if lengths.unknown_input > UNKNOWN:
        return arrived, None
    began = within(timings.first_token_s, spans)
    return arrived, arrived + float(np.nansum(timings.input_tokens[began]))


def _rates(
    timings: Timings, flow: Flow, lengths: Lengths, spans: Floats, steady: tuple[float | None, float | None] | None
) -> dict[str, Rate]:
    whole = timings.spans()
    all_s, seconds = (float((one[:, 1] - one[:, 0]).sum()) for one in (whole, spans))
    found: dict[str, Rate] = {}
    for n, (name, total) in enumerate((("output_tokens_per_s", False), ("total_tokens_per_s", True))):
        if lengths.unknown_output > UNKNOWN or (total and lengths.unknown_input > UNKNOWN):
            found[name] = Rate(None, None, None)
            continue
        tokens = None if steady is None else steady[n]
        found[name] = Rate(
            _per(float((flow.total if total else flow.output).sum()), all_s),
            None if tokens is None else _per(tokens, seconds),
            flow.peak(total=total),
            None if tokens is None else _rate_interval(timings, flow, spans, total=total),
        )
    return found


def _rate_interval(timings: Timings, flow: Flow, spans: Floats, *, total: bool) -> Interval | None:
    """By means over parts of the longest span, each longer than requests take, so that they are nearly independent."""
    begin, end = spans[np.argmax(spans[:, 1] - spans[:, 0])]
    latency = timings.latency_service_s[_chosen(timings, spans) & timings.done]
    if not np.isfinite(latency).any():
        return None
    parts = int(min((end - begin) / (LATENCIES_A_PART * float(np.nanmean(latency))), RATE_PARTS))
    if parts < FEWEST_PARTS:
        return None
    edges = np.linspace(begin, end, parts + 1)
    return student_interval(flow.between(edges, total=total) / np.diff(edges))


def _concurrency(timings: Timings, spans: Floats, seconds: float) -> float | None:
    if seconds <= 0:
        return None
    sent, ended = timings.sent_s, timings.ended_s
    held = (float(in_flight(sent, ended, one)[0] * np.ptp(one)) for one in spans if one[1] > one[0])
    return sum(held) / seconds
