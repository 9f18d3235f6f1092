"""``export trace``: a trace that follows the Trace Event Format, and what is refused."""

import gzip
import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from inferatlas.simulate.fleet import Fault, Fleet, Pool, Scheduler
from inferatlas.simulate.law import affine_law
from inferatlas.simulate.outcome import outcome
from inferatlas.simulate.record import About, write_record
from inferatlas.simulate.running import run
from inferatlas.workload.requests import Requests


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    """Two replicas, one of which fails for a while; requests that are turned away."""
    n, random = 300, np.random.default_rng(0)
    requests = Requests(
        "toy", np.cumsum(random.exponential(0.03, n)), random.integers(50, 900, n), random.integers(1, 40, n)
    )
    law = affine_law(0.01, 0.0005, 8, per_prompt_token=1e-5)
    pool = Pool((law,), Scheduler(kv_blocks=200, step_tokens=512), replicas=2, name="main")
    fleet = Fleet((pool,), faults=(Fault(2.0, 0, 1.0),), queue_limit=3)
    done = run(fleet, requests, log=True)
    about = About("inferatlas simulate", "predicted", 0, ("toy",))
    return write_record(
        tmp_path_factory.mktemp("run") / "run", done, fleet, requests, outcome(done, fleet, requests), about
    )


@pytest.fixture(scope="module")
def events(record) -> list[dict]:
    from inferatlas.show.timeline import write_trace
    from inferatlas.simulate.recorded import read_record

    path = record.parent / "trace.json"
    count = write_trace(read_record(record), path)
    document = json.loads(path.read_text())
    assert set(document) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert len(document["traceEvents"]) == count
    return document["traceEvents"]


def test_every_event_has_what_its_phase_needs(events):
    needs = {
        "M": {"name", "pid", "tid", "args"},
        "X": {"name", "cat", "pid", "tid", "ts", "dur", "args"},
        "C": {"name", "pid", "ts", "args"},
        "b": {"name", "cat", "id", "pid", "tid", "ts"},
        "e": {"name", "cat", "id", "pid", "tid", "ts"},
    }
    for one in events:
        assert needs[one["ph"]] <= set(one), one
        if one["ph"] != "M":
            assert isinstance(one["ts"], int | float) and one["ts"] >= 0
        if one["ph"] == "C":
            assert all(isinstance(value, int | float) for value in one["args"].values())
        if one["ph"] == "M":
            assert one["name"] in {"process_name", "process_sort_index", "thread_name"}


def test_steps_of_a_replica_follow_each_other_in_microseconds(events, record):
    import polars as pl

    rows = pl.read_parquet(record / "events.parquet")
    slices = [one for one in events if one["ph"] == "X"]
    assert len(slices) == rows.height
    assert sum(one["args"]["steps"] for one in slices) == rows["steps"].sum()
    assert max(one["ts"] + one["dur"] for one in slices) == pytest.approx(rows["end_s"].max() * 1e6, abs=0.01)
    for process in {one["pid"] for one in slices}:
        own = [one for one in slices if one["pid"] == process]
        for before, after in pairwise(own):
            assert after["ts"] >= before["ts"] + before["dur"] - 0.01


def test_asynchronous_slices_nest_and_close(events, record):
    import polars as pl

    table = pl.read_parquet(record / "requests.parquet")
    assert {"done", "failed"} == set(table["status"])
    open_slices: dict[str, list[str]] = defaultdict(list)
    times: dict[str, float] = {}
    seen = Counter()
    for one in events:
        if one["ph"] not in "be":
            continue
        stack = open_slices[one["id"]]
        assert one["ts"] >= times.get(one["id"], 0.0) - 0.001
        times[one["id"]] = one["ts"]
        if one["ph"] == "b":
            stack.append(one["name"])
            seen[one["name"]] += 1
        else:
            assert stack.pop() == one["name"]
    assert not any(open_slices.values())
    assert seen["request"] == table.height
    assert seen["decode"] == table["first_token_s"].is_not_null().sum()


def test_counters_fall_to_nothing_at_the_end(events):
    for name in ("running", "waiting", "KV cache"):
        for process in (2, 3):
            last = [one for one in events if one["ph"] == "C" and one["name"] == name and one["pid"] == process][-1]
            assert not any(last["args"].values())


def test_processes_are_named(events):
    names = {one["pid"]: one["args"]["name"] for one in events if one["name"] == "process_name"}
    assert names == {1: "requests", 2: "replica 0 (main)", 3: "replica 1 (main)"}


def test_the_command_writes_and_compresses(cli, record, tmp_path, events):
    ran = cli("export", "trace", str(record), "--output", str(tmp_path / "trace.json.gz"))
    assert (ran.code, ran.out) == (0, "") and f"{len(events):,} events" in ran.err
    with gzip.open(tmp_path / "trace.json.gz", "rt") as stream:
        assert json.load(stream)["traceEvents"] == events
    quiet = cli("export", "trace", str(record), "-o", str(tmp_path / "trace.json"), "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{record}", "-o", "{tmp}/trace.txt"), "names no trace"),
        (("{record}", "-o", "{tmp}/none/trace.json"), "its folder does not exist"),
        (("{tmp}/none", "-o", "{tmp}/trace.json"), "does not exist"),
        (("{tmp}", "-o", "{tmp}/trace.json"), "has no run.json"),
        (("{record}",), "--output is missing"),
    ],
)
def test_refused(cli, record, tmp_path, words, message):
    told = [word.format(record=record, tmp=tmp_path) for word in words]
    cli("export", "trace", *told).refused(message)
    assert not (tmp_path / "trace.json").exists()
