"""May the numbers of a run be believed: valid, degraded or invalid, with reasons.

Thresholds are those of reference/load-generation.md, section 7: proposals, to be calibrated on each host with the
mock server. A server that cannot keep up with a rate is overloaded, which is a finding; a client that cannot is a fault
of the measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inferatlas.measure.bench.client.health import PAUSES_NS
from inferatlas.measure.bench.metrics.measured import UNKNOWN, Metrics

Gravity = Literal["invalid", "degraded", "note"]

BUSY, LIMITED = 0.70, 0.90  # share of the client's processor
STAMP_S, STAMP_OF_ITL = 0.002, 0.10  # s, and share of the median gap: p99 of the delay of a stamp
LOAD_OFF, LOAD_WRONG = 0.02, 0.10  # share by which the delivered load differs from that asked for
STARVED_S, STARVED_OF_ITL = 0.010, 0.50  # the same beyond which the client was measured (ours): both are exceeded
PAUSES_S = tuple(one / 1e9 for one in PAUSES_NS)
PAUSED, PAUSED_LONG = 0.01, 0.05  # share of the run in pauses longer than the time between tokens (ours)
LENGTHS_OFF = 0.01  # share of the tokens asked for
FAILED = 0.01  # share of the requests
LAG_OF_TTFT = 0.10  # share of the median TTFT that a late sending may be (ours; TTFT has it inside in open loop)
CACHED = 0.01  # share of the input tokens

CODES: dict[str, str] = {
    "client_busy": "the client used more than 70 % of its processor",
    "client_limited": "the client used more than 90 % of its processor: it was measured, not the server",
    "client_starved": "half of the time between tokens, and 10 ms, passed before events were stamped (p99): the client "
    "did not run when it should have, so it was measured, not the server",
    "client_paused": "for more than 1 % of the run the client did not look at its connections for longer than the time "
    "between tokens (invalid: 5 %): that is in gaps and in times to the first token, and not the server's",
    "client_unwatched": "the client's own health was not recorded, as for a start of the run that was killed",
    "stamps_late": "events were stamped late by the client, as no kernel did it: p99 above 2 ms, or above 10 % of the "
    "median time between tokens",
    "sends_late": "requests were sent later than due: p99 above 10 % of the median time to the first token",
    "load_not_delivered": "requests were sent at another rate than asked for, by more than 2 % (invalid: 10 %)",
    "concurrency_not_reached": "fewer or more requests were in flight than asked for, by over 2 % (invalid: 10 %)",
    "lengths_not_met": "output lengths differ from those asked for by more than 1 % of the tokens (invalid where they "
    "were forced)",
    "prompt_lengths_off": "input lengths differ from those asked for by more than 1 % of the tokens",
    "too_many_failures": "more than 1 % of the requests failed",
    "nothing_completed": "no request was completed",
    "interrupted": "requests were in flight when the run was stopped",
    "overloaded": "more was sent than was served: latency grows with the length of the run, and is no property of the "
    "system",
    "no_steady_state": "load or throughput or latency changed throughout: there is no steady state",
    "too_short": "too few requests for a steady state: metrics are of the whole run, with its start and end",
    "steady_unchecked": "the steady window is too short to look for a trend in it",
    "not_streamed": "answers came in one piece though streams were asked for: TTFT is their latency",
    "few_requests": "too few requests to bound the 99th percentile at 99 % confidence (459 are needed)",
    "cached_prompts": "more than 1 % of the input tokens were found in a cache",
    "more_chunks_than_tokens": "requests had more events than tokens: usage and stream disagree",
    "tokens_estimated": "tokens of some requests were counted or spread over events by the client",
    "energy_doubtful": "the meter's readings of the window are not sound, for reasons that the record gives with the "
    "energy",
    "energy_unknown": "power was read, and the readings do not cover the window: its energy is unknown",
    "tokens_unknown": "tokens of more than 1 % of the requests are unknown: so are rates of tokens",
}
# With these it was not the server that gave no more.
BY_CLIENT = frozenset({"client_limited", "client_starved", "client_paused"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict: ``reasons`` make a run invalid; ``remarks`` do not, but those that degrade it change the word.

    Parameters
    ----------
    verdict : ``valid``, ``degraded`` or ``invalid``. reasons, remarks : codes of `CODES`.
    """

    verdict: Literal["valid", "degraded", "invalid"]
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        return self.verdict != "invalid"

    def as_dict(self) -> dict[str, Any]:
        """The block ``validity`` of a run."""
        return {
            "valid": self.valid,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "remarks": list(self.remarks),
        }


def judge(metrics: Metrics, health: Mapping[str, Any], *, forced: bool = True, metered: bool = False) -> Verdict:
    """The verdict on a run.

    Parameters
    ----------
    metrics : of the run. health : of the client: ``cpu_share`` (of the processor it may use, from 0 to 1),
        ``stamp_delay_p99_s``, or in its place ``event_loop_lag_p99_s``; ``paused_s`` (as `client.health.Health` has
        it) and ``duration_s``; ``unwatched``: starts of the run without an account; ``stamps``: ``kernel`` where
        packets were stamped as they came, so that reading them late lengthened nothing.
    forced : output lengths were forced, not only limited. metered : power was to be read.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.measured import measure
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> one = timings_of({"sent_s": [0.0], "finish_s": [1.0], "done": [True]}, closed=True)
    >>> judge(measure(one), {"cpu_share": 0.95, "stamp_delay_p99_s": 0.0001}).as_dict()
    {'valid': False, 'verdict': 'invalid', 'reasons': ['client_limited'], 'remarks': ['few_requests']}
    """
    found = _of_client(metrics, health) + _of_load(metrics) + _of_requests(metrics, forced) + _of_state(metrics)
    if metrics.efficiency is not None and metrics.efficiency.energy.reasons:
        found.append(("energy_doubtful", "degraded"))
    elif metered and metrics.efficiency is None:
        found.append(("energy_unknown", "note"))
    reasons = tuple(code for code, gravity in found if gravity == "invalid")
    remarks = tuple(code for code, gravity in found if gravity != "invalid")
    degraded = any(gravity == "degraded" for _, gravity in found)
    return Verdict("invalid" if reasons else "degraded" if degraded else "valid", reasons, remarks)


Found = list[tuple[str, Gravity]]


def _of_client(metrics: Metrics, health: Mapping[str, Any]) -> Found:
    share, delay = health.get("cpu_share"), health.get("stamp_delay_p99_s")
    delay = health.get("event_loop_lag_p99_s") if delay is None else delay
    found: Found = []
    if share is None or delay is None or health.get("unwatched"):
        found.append(("client_unwatched", "note"))
    if share is not None and share > BUSY:
        found.append(("client_limited", "invalid") if share > LIMITED else ("client_busy", "degraded"))
    gap = metrics.spreads["itl_s"].p50
    if delay is not None and delay > max(STARVED_S, STARVED_OF_ITL * (gap or 0.0)):
        found.append(("client_starved", "invalid"))
    elif (
        health.get("stamps") != "kernel"
        and delay is not None
        and (delay > STAMP_S or (gap is not None and delay > STAMP_OF_ITL * gap))
    ):
        found.append(("stamps_late", "degraded"))
    paused = _paused(health, gap)
    if paused > PAUSED:
        found.append(("client_paused", "invalid" if paused > PAUSED_LONG else "degraded"))
    lag, wait = metrics.spreads["send_lag_s"].p99, metrics.spreads["ttft_s"].p50
    if lag is not None and wait is not None and lag > max(STAMP_S, LAG_OF_TTFT * wait):
        found.append(("sends_late", "degraded"))
    return found


def _paused(health: Mapping[str, Any], gap: float | None) -> float:
    """Share of the run in pauses of the client that are longer than a gap between tokens."""
    seconds, told = health.get("duration_s"), health.get("paused_s")
    if not seconds or not told:
        return 0.0
    longer = [paused for least, paused in zip(PAUSES_S, told, strict=True) if least >= (gap or 0.0)]
    return (longer[0] if longer else told[-1]) / seconds


def _of_load(metrics: Metrics) -> Found:
    off = metrics.load.off
    if off is None or off <= LOAD_OFF:
        return []
    code = "concurrency_not_reached" if metrics.load.asked_concurrency else "load_not_delivered"
    return [(code, "invalid" if off > LOAD_WRONG else "degraded")]


def _of_requests(metrics: Metrics, forced: bool) -> Found:
    found: Found = []
    interrupted = metrics.failed.get("interrupted", 0)
    failed = sum(metrics.failed.values()) - interrupted
    if metrics.completed == 0:
        found.append(("nothing_completed", "invalid"))
    if failed > FAILED * (failed + metrics.completed):
        found.append(("too_many_failures", "invalid"))
    if interrupted:
        found.append(("interrupted", "degraded"))
    lengths = metrics.lengths
    if lengths.output_off is not None and lengths.output_off > LENGTHS_OFF:
        found.append(("lengths_not_met", "invalid" if forced else "degraded"))
    if lengths.input_off is not None and lengths.input_off > LENGTHS_OFF:
        found.append(("prompt_lengths_off", "degraded"))
    if lengths.cached is not None and lengths.cached > CACHED:
        found.append(("cached_prompts", "note"))
    if lengths.more_chunks:
        found.append(("more_chunks_than_tokens", "degraded"))
    if lengths.estimated:
        found.append(("tokens_estimated", "note"))
    if max(lengths.unknown_output, lengths.unknown_input) > UNKNOWN:
        found.append(("tokens_unknown", "degraded"))
    return found


def _of_state(metrics: Metrics) -> Found:
    found: Found = []
    window = metrics.window
    if window is not None and not window.steady:
        found.append(("too_short" if window.why == "short" else window.why, "degraded"))
    elif window is not None and not window.checked:
        found.append(("steady_unchecked", "note"))
    if metrics.completed and "p99" in metrics.spreads["latency_s"].few:
        found.append(("few_requests", "note"))
    return found
