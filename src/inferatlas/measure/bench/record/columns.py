"""The columns of requests.parquet, in their order: one list for whoever writes or reads a record."""

from __future__ import annotations

from typing import Any

# Name and kind: numbers, whole numbers, text, yes or no, lists of numbers. What each means: docs/benchmarking.md.
COLUMNS = {
    "id": "i64", "due_s": "f64", "sent_s": "f64", "connect_s": "f64", "first_byte_s": "f64", "first_token_s": "f64",
    "first_answer_s": "f64", "finish_s": "f64", "end_s": "f64", "failed_s": "f64", "ttft_s": "f64",
    "ttft_service_s": "f64", "ttft_answer_s": "f64", "latency_s": "f64", "latency_service_s": "f64", "itl_s": "f64",
    "send_lag_s": "f64", "asked_input_tokens": "i64", "input_tokens": "i64", "asked_output_tokens": "i64",
    "output_tokens": "i64", "output_tokens_source": "text", "cached_tokens": "i64", "chunks": "i64",
    "preemptions": "i64", "retries": "i64", "replica": "i64", "model": "text", "adapter": "text", "status": "text",
    "reason": "text", "detail": "text", "http_status": "i64", "finish_reason": "text", "conversation": "i64",
    "turn": "i64", "prompt": "text", "segment": "i64", "streamed": "bool", "token_s": "f64s", "chunk_tokens": "i32s",
    "chunk_tokens_source": "text",
}  # fmt: skip


def schema() -> Any:
    """The columns with polars' types."""
    import polars as pl

    kinds = {
        "f64": pl.Float64, "i64": pl.Int64, "text": pl.String, "bool": pl.Boolean, "f64s": pl.List(pl.Float64),
        "i32s": pl.List(pl.Int32),
    }  # fmt: skip
    return {name: kinds[kind] for name, kind in COLUMNS.items()}
