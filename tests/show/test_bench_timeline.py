"""``export trace`` of a measured run: requests nest, counters start and end at nothing, marks lie where they were."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.show.timeline import write_run


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """An open loop of three requests: one done, one that failed after two tokens, one refused; power and an engine."""
    folder = tmp_path / "r2"
    folder.mkdir()
    run = {
        "schema_version": 1, "kind": "measured", "label": "measured", "models": ["tiny"], "load": {"kind": "open"},
        "endpoints": ["http://10.0.0.7:8000"],
        "metrics": {"window": {"kind": "steady", "spans_s": [[0.5, 1.5]]}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    requests = {
        "id": [0, 1, 2], "due_s": [0.0, 0.5, 1.0], "sent_s": [0.001, 0.5, 1.0], "first_token_s": [0.2, 0.7, None],
        "finish_s": [0.4, None, None], "end_s": [0.401, 1.2, 1.002], "input_tokens": [10, 10, None],
        "output_tokens": [3, None, None], "status": ["done", "failed", "failed"],
        "reason": [None, "closed_mid_stream", "http_503"], "token_s": [[0.2, 0.3, 0.4], [0.7, 0.8], []],
        "chunk_tokens": [[1, 1, 1], [1, 1], []],
    }  # fmt: skip
    pl.DataFrame(requests, schema_overrides={"chunk_tokens": pl.List(pl.Int32)}).write_parquet(
        folder / "requests.parquet"
    )
    events = {"time_s": [0.0, 1.3], "kind": ["segment", "client"], "detail": ["start 1 of the run", "{}"]}
    pl.DataFrame(events).write_parquet(folder / "events.parquet")
    power = {
        "time_s": [-0.5, 0.1, 0.2], "device": "nvml:0", "name": "H100", "scope": "gpu", "part": None,
        "power_w": [70.0, 300.0, 310.0],
    }  # fmt: skip
    pl.DataFrame(power, schema_overrides={"part": pl.String}).write_parquet(folder / "power.parquet")
    server = {"time_s": [0.5], "replica": [0], "running": [2.0], "waiting": [None], "kv_used_fraction": [0.25]}
    pl.DataFrame(server, schema_overrides={"waiting": pl.Float64}).write_parquet(folder / "server.parquet")
    return folder


def trace(folder: Path) -> list[dict[str, Any]]:
    path = folder.parent / "trace.json"
    count = write_run(folder, path)
    document = json.loads(path.read_text())
    assert document["otherData"]["kind"] == "measured" and len(document["traceEvents"]) == count
    return document["traceEvents"]


def test_every_request_nests_and_ends_where_it_did(record: Path):
    stacks: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
    for one in trace(record):
        if one["ph"] not in "bne":
            continue
        seen[one["id"]].append((one["ph"], one["name"], one["ts"]))
        if one["ph"] == "b":
            stacks[one["id"]].append(one["name"])
        elif one["ph"] == "e":
            assert stacks[one["id"]].pop() == one["name"]
    assert not any(stacks.values())
    assert seen["0x0"] == [
        ("b", "request", 0.0), ("b", "before sending", 0.0), ("e", "before sending", 1e3), ("b", "waiting", 1e3),
        ("e", "waiting", 2e5), ("b", "tokens", 2e5), ("n", "first token", 2e5), ("e", "tokens", 4e5),
        ("e", "request", 4.01e5),
    ]  # fmt: skip
    assert ("e", "tokens", 1.2e6) in seen["0x1"]  # it ended in the middle
    assert [name for _, name, _ in seen["0x2"]] == ["request", *["before sending"] * 2, *["waiting"] * 2, "request"]


def test_failures_say_why(record: Path):
    told = {one["args"]["id"]: one["args"] for one in trace(record) if one["ph"] == "b" and one["name"] == "request"}
    assert told[2] == {"id": 2, "status": "failed", "reason": "http_503"}
    assert (told[0]["input_tokens"], told[0]["output_tokens"]) == (10, 3)


def test_counters(record: Path):
    values: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in trace(record):
        if one["ph"] == "C":
            values[one["name"]].append((one["ts"], *one["args"].values()))
    assert values["in flight"] == [(1e3, 1), (4.01e5, 0), (5e5, 1), (1e6, 2), (1.002e6, 1), (1.2e6, 0)]
    assert values["power (nvml:0, gpu)"] == [(1e5, 300.0), (2e5, 310.0)]  # nothing lies before the start
    assert (values["running"], values["kv used fraction"]) == ([(5e5, 2.0)], [(5e5, 0.25)]) and "waiting" not in values
    rates = values["output tokens/s"]
    apart_s = (rates[1][0] - rates[0][0]) / 1e6
    assert sum(rate for _, rate in rates) * apart_s == pytest.approx(5, rel=1e-3)


def test_marks_and_names(record: Path):
    events = trace(record)
    (window,) = (one for one in events if one["ph"] == "X")
    assert (window["name"], window["ts"], window["dur"]) == ("steady window", 5e5, 1e6)
    assert [(one["name"], one["ts"]) for one in events if one["ph"] == "i"] == [("segment", 0.0)]
    names = {one["pid"]: one["args"]["name"] for one in events if one["name"] == "process_name"}
    assert names == {1: "requests", 2: "engine at http://10.0.0.7:8000"}


def test_tables_that_are_missing_are_left_out_and_without_requests_it_is_refused(record: Path):
    for name in ("power", "server", "events"):
        (record / f"{name}.parquet").unlink()
    assert {one["ph"] for one in trace(record)} == {"M", "X", "C", "b", "n", "e"}
    (record / "requests.parquet").unlink()
    with pytest.raises(BadInput, match="requests were not kept"):
        trace(record)
