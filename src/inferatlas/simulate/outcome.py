"""What a run says: latencies, throughput, goodput, energy and cost, in its steady state where it has one.

Definitions are those of section 4 of the reference. ITL is per request, (latency - TTFT)/(output tokens - 1), and
undefined for one token; the distribution over tokens is ``gap_s``. The client's clock starts at the scheduled sending,
that of the engine where the scheduler sees the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from inferatlas.simulate import statistics as st
from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.part import LATENCY_METRICS, Part, over
from inferatlas.simulate.running import Run
from inferatlas.simulate.series import (
    Floats,
    Series,
    Times,
    between,
    on_seconds,
    peak,
    series_of,
    times_of,
)
from inferatlas.simulate.steady import Window, window_of
from inferatlas.workload.requests import Requests
from inferatlas.workload.targets import LATENCIES, ServiceTarget

FEW = 100  # requests without which a 99th percentile is the largest of a few
RATE_METRICS = ("output_tokens_per_s", "total_tokens_per_s", "goodput_per_s", "power_w", "tokens_per_joule")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A run in numbers; what is unknown is None.

    ``metrics``: over the requests that were sent in the steady window and over its time, or over the whole run where
    there is no steady state (``steady`` is None then, and ``saturated`` says whether the backlog grew). Latencies are
    on the client's clock. ``batch``: decoding requests in a step of one replica, by time; ``queue``: requests waiting
    for admission and in flight, over time. ``intervals``: 95 %, by batch means. ``series`` and ``curves`` (values of
    latencies at even shares of the requests) are for drawing, and no part of `as_dict`.
    """

    requests: int
    completed: int
    failed: int
    saturated: bool
    duration_s: float
    wall_s: float
    metrics: dict[str, Any]
    batch: dict[str, float | None]
    kv_used_fraction: dict[str, float | None]
    preemptions: int
    queue: dict[str, float | None]
    steady: dict[str, Any] | None
    whole_run: dict[str, Any]
    engine_clock: dict[str, st.Summary]
    gap_s: st.Summary
    hit_rate: float | None
    queue_wait_s: st.Summary
    intervals: dict[str, Any] | None
    cost: dict[str, float | None]
    pools: list[dict[str, Any]]
    warnings: list[str]
    series: Series
    curves: dict[str, Floats]

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it: what is infinite (a percentile among requests that failed) is null."""
        names = [one.name for one in fields(self) if one.name not in {"series", "curves"}]
        return {name: _plain(getattr(self, name)) for name in names}

    def value(self, target: ServiceTarget) -> float | None:
        """The value that a target bounds."""
        found = self.metrics[target.quantity]
        return found[target.statistic] if target.metric in LATENCIES else found


def outcome(run: Run, fleet: Fleet, requests: Requests, targets: Sequence[ServiceTarget] = ()) -> Outcome:
    """Evaluate a run.

    Parameters
    ----------
    run, fleet, requests : what ran, and what it was asked to do. targets : clauses of goodput; none: it is None.

    Examples
    --------
    >>> from inferatlas.simulate.fleet import Pool
    >>> from inferatlas.simulate.law import affine_law
    >>> from inferatlas.simulate.running import run as simulate
    >>> fleet = Fleet((Pool((affine_law(0.01, 0.0, 4),)),))
    >>> three = Requests("three", np.array([0.0, 1.0, 2.0]), np.array([100, 100, 100]), np.array([1, 11, 21]))
    >>> found = outcome(simulate(fleet, three), fleet, three)
    >>> found.completed, round(found.metrics["itl_s"]["mean"], 9), found.duration_s
    (3, 0.01, 2.21)
    """
    times = times_of(run)
    series = series_of(run, fleet, times)
    window = window_of(times, series, requests.clients)
    sent = times.was_sent
    whole = Part(run, fleet, times, series, sent, times.begin, times.until, targets, whole=True)
    inside = sent & (times.sent >= window.from_s) & (times.sent <= window.to_s)
    part = Part(run, fleet, times, series, inside, window.from_s, window.to_s, targets) if window.steady else whole
    metrics, intervals = part.metrics(), part.intervals() if window.steady else None
    waits = (times.admitted - times.arrival)[part.chosen & np.isfinite(times.admitted)]
    asked = int(run.totals["asked_tokens"])
    steady = None
    if window.steady:
        steady = {
            "from_s": window.from_s, "to_s": window.to_s, "requests": int(inside.sum()),
            "completed": int((inside & times.done).sum()), "warm_up": "MSER-5",
            "offered_per_s": over(int(inside.sum()), window.to_s - window.from_s),
        }  # fmt: skip
    return Outcome(
        requests=len(requests), completed=int(times.done.sum()), failed=int(times.failed.sum()),
        saturated=window.saturated, duration_s=times.until - times.begin, wall_s=run.wall_s, metrics=metrics,
        batch=_batch(run, part), kv_used_fraction=_memory(run, part),
        preemptions=int(run.replicas["preemptions"].sum()),
        queue=_queue(times, series, window, part), steady=steady,
        whole_run=metrics if part is whole else whole.metrics(),
        engine_clock=part.engine_clock(),
        gap_s=st.histogram_summary(run.gaps, float(run.totals["gap_low"]), float(run.totals["gap_log"])),
        hit_rate=over(int(run.totals["hit_tokens"]), asked), queue_wait_s=st.summary(waits), intervals=intervals,
        cost=_cost(run, fleet, part, metrics["output_tokens_per_s"]), pools=_pools(run, fleet, times),
        warnings=_warnings(run, times, window, part, intervals), series=series, curves=part.curves(),
    )  # fmt: skip


def _batch(run: Run, part: Part) -> dict[str, float | None]:
    busy, batch = part.in_bins(np.array([part.start, part.end]))[0, [k.BUSY, k.BATCH]]
    return {"mean": over(float(batch), float(busy)), "max": float(run.replicas["most_batch"].max())}


def _memory(run: Run, part: Part) -> dict[str, float | None]:
    blocks = run.replicas["blocks"].astype(np.float64)
    used = float(part.in_bins(np.array([part.start, part.end]))[0, k.BLOCKS])
    return {
        "mean": over(used, float(blocks.sum()) * part.span),
        "max": float((run.replicas["most_blocks"] / blocks).max()),
    }


def _queue(times: Times, series: Series, window: Window, part: Part) -> dict[str, float | None]:
    end = np.fmin(times.finish, times.until)
    admitted = np.fmin(times.admitted, end)
    at = np.array([part.start, part.end])
    waiting, flying = between(np.stack([series.waiting, series.in_flight], axis=1) * series.bin_s, series.bin_s, at)[0]
    return {
        "waiting_mean": over(float(waiting), part.span),
        "waiting_max": float(peak(times.arrival, admitted)),
        "in_flight_mean": over(float(flying), part.span),
        "in_flight_max": float(peak(np.where(times.was_sent, times.sent, np.inf), end)),
        "growth_per_s": window.growth_per_s,
    }


def _cost(run: Run, fleet: Fleet, part: Part, tokens_per_s: float | None) -> dict[str, float | None]:
    """Rented accelerators, while their replicas are switched on."""
    prices = [pool.usd_per_hour for pool in fleet.pools]
    if any(one is None for one in prices) or part.times.until <= 0:
        return {"usd_per_hour": None, "usd_per_million_output_tokens": None}
    lanes = [pool.law.lanes for pool in fleet.pools]
    each = np.array(
        [(price or 0.0) * pool.law.accelerators / n for price, pool, n in zip(prices, fleet.pools, lanes, strict=True)]
    )
    hourly = float(each[run.replicas["pool"]] @ on_seconds(run, part.times.until)) / part.times.until
    return {
        "usd_per_hour": hourly,
        "usd_per_million_output_tokens": over(hourly / 3600 * 1e6, tokens_per_s or 0.0),
    }


def _pools(run: Run, fleet: Fleet, times: Times) -> list[dict[str, Any]]:
    """Totals of each pool over the whole run."""
    on, found = on_seconds(run, times.until), []
    for n, pool in enumerate(fleet.pools):
        mine = run.replicas["pool"] == n
        r = run.replicas[mine]
        up = float(on[mine].sum())
        found.append(
            {
                "name": pool.name, "role": pool.role, "accelerator": pool.accelerator, "replicas": pool.replicas,
                "busy_fraction": over(float(r["busy_s"].sum()), up),
                "loading_fraction": over(float(r["load_s"].sum()), up), "on_s": up / pool.law.lanes,
                "steps": int(r["steps"].sum()), "output_tokens": int(r["tokens"].sum()),
                "prompt_tokens_computed": int(r["prompt_tokens"].sum()), "preemptions": int(r["preemptions"].sum()),
                "model_switches": int(r["switches"].sum()),
            }
        )  # fmt: skip
    return found


def _warnings(run: Run, times: Times, window: Window, part: Part, intervals: dict[str, Any] | None) -> list[str]:
    found = []
    if run.interrupted:
        found.append(f"The run was interrupted at {times.until:.6g} s: it is not a whole one.")
    if window.why == "saturated":
        found.append(
            f"No steady state: more comes than is served, and the backlog grows by {window.growth_per_s:.3g} requests "
            "per second. Latencies grow with the length of the run and say nothing of the system; throughput is that "
            "of saturation."
        )
    elif window.why == "burst":
        found.append("No steady state: all requests were sent at once. Metrics are over the whole run.")
    elif window.why == "short":
        found.append(
            "No steady state was looked for: too few requests. Metrics are over the whole run, from empty to empty."
        )
    if part.done.size < FEW:
        found.append(f"{part.done.size} requests: the 99th percentile is little more than the largest of them.")
    if part.lost:
        share = part.lost / max(part.lost + part.done.size, 1)
        found.append(
            f"{part.lost} requests failed ({100 * share:.3g} %): they count as infinite in percentiles, and are in no "
            "mean."
        )
    if window.doubtful:
        found.append(
            f"The backlog grew by {window.growth_per_s:.3g} requests per second, which may be chance or the begin of "
            "an overload: a longer run tells."
        )
    if intervals is not None:
        likeness = st.alike(part.latency)
        if likeness is not None and likeness > st.ALIKE:
            found.append(
                f"Neighbouring twentieths of the run are alike (correlation {likeness:.2f}): it is too short for its "
                "intervals, which are too narrow. More requests, or several runs with other seeds, widen them honestly."
            )
    return found


def meets(found: Outcome, targets: Sequence[ServiceTarget]) -> list[dict[str, Any]]:
    """Whether a run keeps each target; a saturated fleet keeps no bound on a latency, however short the run.

    Returns
    -------
    A row per target: slo, metric, statistic, bound, value, met, and the reason where it is not the value.
    """
    verdicts = []
    for one in targets:
        value = found.value(one)
        kept = value is not None and bool(one.met(value))
        why = None
        if found.saturated and one.metric in LATENCIES:
            kept, why = False, "saturated"
        verdicts.append(
            {"slo": one.text(), "metric": one.metric, "statistic": one.statistic, "bound": one.bound,
             "value": _plain(value), "met": kept, "reason": why}
        )  # fmt: skip
    return verdicts


def across(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Mean and 95 % interval (Student) over replications, for each metric, in the form of ``metrics``."""

    def each(read: Callable[[Outcome], Any]) -> dict[str, Any]:
        return st.replicated([read(one) for one in outcomes])

    found: dict[str, Any] = {}
    for name in LATENCY_METRICS:
        found[name] = {q: each(lambda one, n=name, q=q: one.metrics[n][q]) for q in ("mean", *st.QUANTILES)}
    for name in RATE_METRICS:
        found[name] = each(lambda one, n=name: one.metrics[n])
    return found | {"saturated": sum(one.saturated for one in outcomes), "runs": len(outcomes)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


__all__ = ["Outcome", "across", "meets", "outcome"]
