"""Columns of requests.parquet, filled row by row with what a tool tells; what follows from it is computed here."""

from __future__ import annotations

from typing import Any

from inferatlas.measure.bench.record.columns import COLUMNS

LONGEST_DETAIL = 500  # characters of an error that are kept: some tools keep whole tracebacks


class Rows:
    """Requests on their way into a run record.

    Parameters
    ----------
    open_loop : latencies count from when a request was due, where that is known; else from when it was sent.

    Examples
    --------
    >>> rows = Rows(open_loop=False)
    >>> rows.add(sent_s=1.0, first_token_s=1.5, finish_s=3.5, output_tokens=5, status="done")
    >>> [rows.columns[name][0] for name in ("id", "ttft_s", "latency_s", "itl_s", "due_s")]
    [0, 0.5, 2.5, 0.5, None]
    """

    def __init__(self, *, open_loop: bool) -> None:
        self.open_loop = open_loop
        self.columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}

    def __len__(self) -> int:
        return len(self.columns["id"])

    def add(self, *, itl_s: float | None = None, **told: Any) -> None:
        """Add a request. ``told``: values of columns, those that are missing follow from the others or are unknown.

        ``chunk_tokens`` tells the tokens of the first event, on which `itl_s` depends; where it is unknown, one.
        """
        row: dict[str, Any] = dict.fromkeys(COLUMNS) | told | {"id": len(self)}
        sent, first, finish = row["sent_s"], row["first_token_s"], row["finish_s"]
        start = row["due_s"] if self.open_loop else sent
        row["ttft_service_s"] = _first(row["ttft_service_s"], _gap(first, sent))
        row["latency_service_s"] = _first(row["latency_service_s"], _gap(finish, sent))
        for name, of in (("ttft_s", first), ("ttft_answer_s", row["first_answer_s"]), ("latency_s", finish)):
            row[name] = _first(row[name], _gap(of, start))
        if not self.open_loop:  # durations told without moments
            row["ttft_s"] = _first(row["ttft_s"], row["ttft_service_s"])
            row["latency_s"] = _first(row["latency_s"], row["latency_service_s"])
        row["send_lag_s"] = _gap(sent, row["due_s"])
        row["itl_s"] = _first(itl_s, _itl(row))
        if row["detail"] is not None:
            row["detail"] = row["detail"][-LONGEST_DETAIL:]
        for name, column in self.columns.items():
            column.append(row[name])

    def counts(self) -> dict[str, Any]:
        """Requests sent, completed, and failed by reason."""
        failed: dict[str, int] = {}
        for status, reason in zip(self.columns["status"], self.columns["reason"], strict=True):
            if status != "done":
                failed[reason or "unknown"] = failed.get(reason or "unknown", 0) + 1
        return {"sent": len(self), "completed": len(self) - sum(failed.values()), "failed": failed}

    def statistics(self, name: str) -> dict[str, float] | None:
        """Mean, standard deviation and percentiles of a column over completed requests, None where it is empty."""
        done = zip(self.columns[name], self.columns["status"], strict=True)
        return summary([value for value, status in done if value is not None and status == "done"])


def summary(values: list[float]) -> dict[str, float] | None:
    """Statistics of numbers: percentiles with linear interpolation, standard deviation of the population.

    Examples
    --------
    >>> summary([1.0, 2.0, 3.0])["p50"]
    2.0
    """
    if not values:
        return None
    import numpy as np

    ranks = (50, 90, 95, 99)
    tails = np.percentile(values, ranks)
    return {
        "mean": float(np.mean(values)), "std": float(np.std(values)), "min": float(min(values)),
        "max": float(max(values)),
    } | {f"p{rank}": float(value) for rank, value in zip(ranks, tails, strict=True)}  # fmt: skip


def reason(text: str | None, status: int | None = None) -> str:
    """Our code (`fates`) for a failure as another tool tells it; what it does not tell clearly is "unknown".

    Examples
    --------
    >>> reason("Too Many Requests"), reason("ConnectionRefusedError: [Errno 111]"), reason("odd")
    ('http_429', 'refused', 'unknown')
    """
    if status is not None and 400 <= status < 600 and status != 499:
        return f"http_{status}"
    from http import HTTPStatus

    said = (text or "").strip()
    for one in HTTPStatus:
        if one >= 400 and said.lower() == one.phrase.lower():
            return f"http_{one.value}"
    for code, words in _WORDS:
        if any(word in said.lower() for word in words):
            return code
    return "unknown"


_WORDS = (
    ("interrupted", ("requestcancellationerror", "cancelled")),
    ("refused", ("connectionrefusederror", "connection refused", "connect call failed")),
    ("unreachable", ("name or service not known", "gaierror", "network is unreachable", "no route to host")),
    ("closed_mid_stream", ("clientpayloaderror", "transferencodingerror", "incompleteread")),
    ("closed_before_reply", ("serverdisconnectederror", "server disconnected", "remoteprotocolerror")),
    ("tls_failed", ("sslcertverificationerror", "certificate verify failed")),
    ("no_tokens", ("never received a valid chunk",)),
    ("timeout_total", ("timeouterror", "readtimeout", "timed out")),
)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _gap(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier


def _itl(row: dict[str, Any]) -> float | None:
    first, finish, tokens = row["first_token_s"], row["finish_s"], row["output_tokens"]
    if first is None or finish is None:  # moments unknown, durations known
        first, finish = row["ttft_service_s"], row["latency_service_s"]
    early = row["chunk_tokens"][0] if row["chunk_tokens"] else 1
    if first is None or finish is None or tokens is None or tokens <= early:
        return None
    return (finish - first) / (tokens - early)
