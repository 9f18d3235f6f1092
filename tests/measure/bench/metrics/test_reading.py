"""Runs that are read from their tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.metrics.reading import read_timings, stretches
from inferatlas.measure.bench.record.columns import schema


def test_a_run_in_which_nothing_was_sent_has_metrics_without_values(tmp_path: Path) -> None:
    pl.DataFrame(schema=schema()).write_parquet(tmp_path / "requests.parquet")
    load = {"kind": "open", "request_rate": 0.5}
    parts = list(stretches(tmp_path, load))
    assert [len(one) for one in parts] == [0]
    found = measure(read_timings(tmp_path, load, events=False), parts=lambda: parts)
    assert (found.sent, found.spreads["ttft_s"].mean, found.spreads["token_gap_s"].mean) == (0, None, None)
