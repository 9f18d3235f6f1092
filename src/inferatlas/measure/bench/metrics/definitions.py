"""What every metric means, in a sentence each, with its unit: it goes into every result.

The definitions are those of reference/load-generation.md, section 2.
"""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    """A sentence, and the unit."""

    text: str
    unit: str


CLOCK = "the time when the request was due in open loop, when it was sent in a closed loop"
DEFINITIONS: dict[str, Definition] = {
    "ttft_s": Definition(
        f"First event with text, reasoning or a tool call, less {CLOCK}; an empty event never counts.", "s"
    ),
    "ttft_service_s": Definition("First event with text, reasoning or a tool call, less the sending.", "s"),
    "ttft_answer_s": Definition(f"First event with text that is no reasoning, less {CLOCK}.", "s"),
    "itl_s": Definition(
        "Per request: last less first event with tokens, over the output tokens after those of the first event.", "s"
    ),
    "latency_s": Definition(f"Last event with tokens, less {CLOCK}.", "s"),
    "latency_service_s": Definition("Last event with tokens, less the sending.", "s"),
    "token_gap_s": Definition(
        "Every gap between tokens: the gap before an event over the tokens it brought, each of which counts once.", "s"
    ),
    "chunk_gap_s": Definition("Every gap between events with tokens, undivided.", "s"),
    "send_lag_s": Definition("Sending less the time when the request was due.", "s"),
    "connect_s": Definition("Connecting, with TLS, of the requests that needed a new connection.", "s"),
    "output_tokens_per_s": Definition(
        "Output tokens whose event arrived in the window, of failed requests too where known, over its length.", "1/s"
    ),
    "total_tokens_per_s": Definition(
        "Output tokens whose event arrived in the window and input tokens of the requests whose first token came in "
        "it, over its length.",
        "1/s",
    ),
    "rates": Definition(
        "Tokens per second three ways: of the whole run with its start and end, of the steady window, and the most in "
        "any second, counted in tokens.",
        "1/s",
    ),
    "requests_per_s": Definition("Requests completed in the window, over its length.", "1/s"),
    "goodput_per_s": Definition(
        f"Requests of the window that kept every limit, over its length; a request belongs to the window by {CLOCK}, "
        "and one that failed has missed.",
        "1/s",
    ),
    "goodput_tokens_per_s": Definition("Output tokens of the requests that count for goodput, over the window.", "1/s"),
    "goodput_share": Definition("Requests that kept every limit, over all that were sent in the window.", "1"),
    "interactivity_tokens_per_s": Definition("1 over the median of itl_s: tokens per second of one user.", "1/s"),
    "latency_cv": Definition("Standard deviation over mean of latency_s.", "1"),
    "concurrency": Definition("Mean number of requests in flight in the window, from sending to end.", "1"),
    "power_w": Definition("Energy over the length of the window of the tokens; its scope is named.", "W"),
    "tokens_per_joule": Definition("Output tokens of the window over the joules in it, idle power included.", "1/J"),
    "total_tokens_per_joule": Definition("Input and output tokens of the window over the joules in it.", "1/J"),
    "tokens_per_joule_net": Definition("Output tokens of the window over its joules beyond idle power.", "1/J"),
    "total_tokens_per_joule_net": Definition("Input and output tokens over the joules beyond idle power.", "1/J"),
    "window": Definition(
        "Closed loop: from N requests with a first token to N - 1 left unfinished; open loop: from the end of the "
        "warm-up (MSER-5 on the number in flight) to the last sending; without a steady state the whole run. Requests "
        "belong to it that began in it, tokens that arrived in it; time between segments of a resumed run does not.",
        "s",
    ),
    "intervals": Definition(
        "95 %, by bootstrap over requests in open loop and over rounds of all users in a closed loop.", "-"
    ),
    "upper_99": Definition("What the percentile does not exceed at 99 % confidence, by order statistics.", "s"),
}


def definitions() -> dict[str, str]:
    """The definitions as a record keeps them, with units.

    Examples
    --------
    >>> definitions()["send_lag_s"]
    'Sending less the time when the request was due. [s]'
    """
    return {name: f"{one.text} [{one.unit}]" for name, one in DEFINITIONS.items()}
