"""Why a request failed: the codes that stand in a record, each with what it means."""

from __future__ import annotations

REASONS = {
    "unreachable": "the name does not resolve, or no route leads there",
    "refused": "nothing listens at the address",
    "connect_timeout": "no connection within the time allowed",
    "tls_failed": "the secure connection could not be made: certificate, name or version",
    "send_failed": "the connection broke while the request was being sent",
    "closed_before_reply": "the server closed the connection before it answered",
    "closed_mid_stream": "the server closed the connection before the answer was whole",
    "timeout_first_token": "no token within the time allowed",
    "timeout_stalled": "nothing came for the time allowed, in the middle of an answer",
    "timeout_total": "the answer was not whole within the time allowed",
    "malformed_http": "the reply is no HTTP/1.1",
    "malformed_sse": "an event of the stream is no JSON object of the API",
    "too_large": "an event or a reply is longer than 16 MiB",
    "error_event": "the stream carried an error of the server",
    "no_tokens": "the stream ended without a token",
    "interrupted": "the run was stopped, or its time was over, while the request was in flight",
    "unknown": "another tool says that it failed, and not how",
    "previous_failed": "the turn before it failed, so it was not sent",
}
HTTP = "http_"  # followed by the status, for example http_429


def meaning(reason: str) -> str:
    """What a code means.

    Examples
    --------
    >>> meaning("http_429"), meaning("refused")
    ('the server answered with status 429', 'nothing listens at the address')
    """
    if reason.startswith(HTTP):
        return f"the server answered with status {reason.removeprefix(HTTP)}"
    return REASONS[reason]
