"""A result of another tool, in our words as far as they mean the same, and in its own where they do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# What a figure of ours means where no tool says it otherwise: reference/load-generation.md, section 2.
OURS = {
    "ttft_s": "first event with a token - t0 (due in open loop, sent in closed loop), s",
    "ttft_service_s": "first event with a token - sent, s",
    "latency_s": "last event with a token - t0 (due in open loop, sent in closed loop), s",
    "latency_service_s": "last event with a token - sent, s",
    "itl_s": "(last event - first event) / (output tokens - tokens of the first event), per request, s",
    "chunk_gap_s": "gaps between events with tokens, undivided, s",
    "send_lag_s": "sent - due, s",
    "output_tokens_per_s": "output tokens of completed requests / whole run, tokens/s",
    "total_tokens_per_s": "input and output tokens of completed requests / whole run, tokens/s",
    "requests_per_s": "completed requests / whole run, 1/s",
    "goodput_per_s": "completed requests that met every target / whole run, 1/s",
    "power_w": "mean power of all accelerators together, W",
}
ROLE = "may count the event that only names the role, which holds no token; safe on the completions route only"
REMARK = "ttft_may_count_role_event"
OWN = "exported_by"  # key that our exports carry, with the value `NAME`: their times are ours by definition
NAME = "inferatlas"


@dataclass(frozen=True, slots=True)
class Foreign:
    """One benchmark of another tool.

    ``load``: kind ("closed", "open", "trace", "offline"), concurrency, request_rate (1/s), input_tokens,
    output_tokens, requests, duration_s, model and so on, as in run.json; what is unknown is missing.
    ``requests``: columns of requests.parquet (`columns.COLUMNS`; seconds since the start of the run), None where the
    tool gives no requests. ``metrics``: figures that mean what ours mean, in our names and units; durations are dicts
    of statistics (mean, std, min, max, p50, p99 ...). ``foreign``: figures that mean something else, under the tool's
    own names and in the unit that the definition tells. ``definitions``: what each figure means. ``counts``: sent,
    completed, and failed by reason. ``remarks``: codes for the validity of the run.
    """

    tool: str
    version: str | None
    load: dict[str, Any]
    requests: dict[str, list[Any]] | None
    metrics: dict[str, Any]
    foreign: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def defined(metrics: dict[str, Any], told: dict[str, str]) -> dict[str, str]:
    """Definitions of the figures of ours that are there, and what is told of them or of others.

    Examples
    --------
    >>> defined({"itl_s": {}}, {"TPOT": "latency / tokens"})["TPOT"]
    'latency / tokens'
    """
    return {name: OURS[name] for name in metrics if name in OURS} | told
