"""Pictures' data: the same as the metrics, and never more than a chart can show."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inferatlas.measure.bench.record.overtime import BINS, POINTS, gap_tail, latencies, over_time

Measured = Callable[..., Path]


def read(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def test_requests_and_tokens_over_time_add_up(measured: Measured):
    folder = measured("c4", requests=300, users=4, power=True)
    found = over_time(folder, read(folder))
    assert found is not None
    table = pl.read_parquet(folder / "requests.parquet")
    width = np.diff(found.edges_s)  # tokens are counted in steps of 10 ms, which the last edge may cut
    assert (found.output_tokens_per_s * width).sum() == pytest.approx(table["output_tokens"].sum(), rel=1e-4)
    assert (found.in_flight * width).sum() == pytest.approx((table["end_s"] - table["sent_s"]).sum(), rel=1e-6)
    assert found.in_flight.max() == pytest.approx(4.0)
    assert np.nanmean(found.power_w["nvml:0"]) == pytest.approx(300, abs=3)
    assert found.running is None and found.edges_s.size == BINS + 1
    assert found.steady == tuple(map(tuple, read(folder)["metrics"]["window"]["spans_s"]))


def test_engines_behind_several_endpoints_are_added(measured: Measured):
    folder = measured("c4")
    rows = {"time_s": [0.0, 1e4] * 2, "replica": [0, 0, 1, 1], "running": [2.0, 2.0, 3.0, 3.0], "waiting": [None] * 4}
    pl.DataFrame(rows, schema_overrides={"waiting": pl.Float64}).write_parquet(folder / "server.parquet")
    found = over_time(folder, read(folder))
    assert found is not None and found.running is not None
    assert set(found.running.tolist()) == {5.0}
    assert found.waiting is None


def test_distributions_are_over_the_requests_of_the_metrics(measured: Measured):
    folder = measured("c4", requests=1000, steady=True)
    document = read(folder)
    ((low, high),) = document["metrics"]["window"]["spans_s"]
    table = pl.read_parquet(folder / "requests.parquet").filter(pl.col("sent_s").is_between(low, high, closed="left"))
    found = latencies(folder, document, ("ttft_s", "itl_s"))
    assert found["ttft_s"].size == POINTS
    assert found["ttft_s"][[0, -1]] == pytest.approx([table["ttft_s"].min(), table["ttft_s"].max()])
    assert np.quantile(found["ttft_s"], 0.5) == pytest.approx(table["ttft_s"].median(), rel=0.01)


def test_where_no_request_began_in_the_window_all_are_drawn(measured: Measured):
    """As offline: everything was sent before the window."""
    folder = measured("c4", requests=100, metrics={"window": {"kind": "steady", "spans_s": [[1e5, 2e5]]}})
    assert latencies(folder, read(folder), ("ttft_s",))["ttft_s"].size == 100


def test_the_tail_of_gaps_is_the_share_of_longer_ones(measured: Measured):
    folder = measured("c4", requests=300, steady=False, metrics={})
    token_s = pl.read_parquet(folder / "requests.parquet")["token_s"].to_list()
    gaps = np.concatenate([np.diff(one) for one in token_s])
    seconds, share = gap_tail(folder, read(folder))
    assert np.all(np.diff(seconds) >= 0) and np.all(np.diff(share) <= 0)
    assert share[0] == 1.0 and 2 < seconds.size <= POINTS
    for at, longer in list(zip(seconds, share, strict=True))[1::40]:  # classes are 0.1 % wide
        assert (gaps > 1.001 * at).mean() - 1e-9 <= longer <= (gaps > at / 1.001).mean() + 1e-9


def test_a_record_without_tables_has_no_pictures(tmp_path: Path):
    assert over_time(tmp_path, {}) is None
    assert latencies(tmp_path, {}, ("ttft_s",)) == {}
    assert gap_tail(tmp_path, {})[0].size == 0
