"""Run records as the harness writes them, made by hand, and files of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inferatlas.measure.bench.formats.rows import Rows
from inferatlas.measure.bench.record.columns import schema


def asked(sent: float, events: list[tuple[float, int]], *, due: float | None = None, **told: Any) -> dict[str, Any]:
    """A completed request: when it was sent, and each event as its time after the send and its tokens."""
    times = [sent + after for after, _ in events]
    many = [tokens for _, tokens in events]
    return {
        "due_s": due, "sent_s": sent, "first_token_s": times[0], "first_answer_s": times[0], "finish_s": times[-1],
        "end_s": times[-1] + 0.001, "input_tokens": 100, "output_tokens": sum(many), "output_tokens_source": "usage",
        "chunks": len(events), "chunk_tokens": many, "chunk_tokens_source": "usage", "status": "done",
        "token_s": [time for time, tokens in zip(times, many, strict=True) for _ in range(tokens)],
        "http_status": 200, "model": "tiny",
    } | told  # fmt: skip


CLOSED = [
    asked(0.25, [(0.2, 1), (0.25, 1), (0.31, 1)], conversation=0, turn=0),
    asked(0.26, [(0.4, 4), (0.5, 3), (0.9, 1)]),  # several tokens per event
    asked(0.7, [(0.1, 1)]),  # one token: no time between tokens
    {"sent_s": 0.8, "failed_s": 0.9, "status": "failed", "reason": "http_429", "detail": "Too Many Requests",
     "http_status": 429, "input_tokens": 100},
    asked(1.5, [(0.3, 2), (0.7, 2)], conversation=0, turn=1),
]  # fmt: skip
OPEN = [row | {"due_s": row["sent_s"] - 0.002 * number} for number, row in enumerate(CLOSED)]
HARDWARE = {"accelerator": "h100", "accelerators": 2, "tp": 2}


@pytest.fixture
def make_record(tmp_path: Path) -> Callable[..., Path]:
    """A run record in a folder, from rows of requests."""

    def make(requests: list[dict[str, Any]] | None = None, **run: Any) -> Path:
        folder = tmp_path / "record"
        folder.mkdir()
        load = {"kind": "closed", "concurrency": 2, "requests": 5} | run.pop("load", {})
        if load["kind"] == "open":
            del load["concurrency"]
        rows = Rows(open_loop=load["kind"] == "open")
        for one in CLOSED if requests is None else requests:
            rows.add(**one)
        pl.DataFrame(rows.columns, schema=schema()).write_parquet(folder / "requests.parquet")
        whole = {
            "schema_version": 1, "kind": "measured", "started": "2026-11-29T12:13:16+00:00", "models": ["tiny"],
            "hardware": HARDWARE, "software": {"engine": "vllm", "version": "0.11"}, "load": load,
            "metrics": {"power_w": 640.0},
        } | run  # fmt: skip
        (folder / "run.json").write_text(json.dumps(whole))
        return folder

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A file of some content: text as it is, anything else as JSON."""

    def make(content: Any, name: str = "result.json") -> Path:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return make


@pytest.fixture
def open_requests() -> list[dict[str, Any]]:
    """Requests in open loop, each sent later than it was due."""
    return OPEN


@pytest.fixture
def request_of() -> Callable[..., dict[str, Any]]:
    """`asked`, for tests that make their own requests."""
    return asked
