"""Evidence tables that the tests make themselves: fixtures ``measured`` and ``as_predicted`` are functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from inferatlas.evidence.predicting import predict_rows
from inferatlas.evidence.table import METRICS, conform


def _measured(**columns: Any) -> pl.DataFrame:
    """Twelve closed-loop points of two models on two accelerators, with plausible figures; ``columns`` replace."""
    parts = ("nvidia-h100-sxm", "nvidia-h200-sxm")
    at = [(m, a, c) for m in ("llama-3.1-8b", "qwen3-8b") for a in parts for c in (1, 8, 64)]
    rows = {
        "row_id": [f"r{i}" for i in range(len(at))], "source": "a test", "model": [m for m, _, _ in at],
        "accelerator": [a for _, a, _ in at], "accelerators": 1.0, "engine": "vllm", "engine_version": "0.11.0",
        "weights": "bf16", "activations": "bf16", "kv_cache": "bf16", "tp": 1.0, "load": "closed_loop",
        "concurrency": [float(c) for _, _, c in at], "input_tokens": 512.0, "output_tokens": 256.0, "weight": 1.0,
        "ttft_s": 0.2, "itl_s": 0.02, "latency_s": 5.3, "output_tokens_per_s": 50.0, "power_w": 500.0,
    }  # fmt: skip
    return conform(pl.DataFrame(rows | columns, strict=False), "test")


def _as_predicted(factor: float = 1.0) -> pl.DataFrame:
    """The same points, of which every time is measured ``factor`` times the prediction (and every rate 1/factor)."""
    frame = _measured()
    figures, _ = predict_rows(frame)
    wide = figures.pivot("metric", index="row_id", values="value")
    scale = {name: 1 / factor if name == "output_tokens_per_s" else factor for name in METRICS}
    return frame.drop(METRICS).join(wide, on="row_id", maintain_order="left").with_columns(
        pl.col(name) * scale[name] for name in METRICS
    ).select(frame.columns)  # fmt: skip


@pytest.fixture
def measured() -> Callable[..., pl.DataFrame]:
    return _measured


@pytest.fixture
def as_predicted() -> Callable[..., pl.DataFrame]:
    return _as_predicted
