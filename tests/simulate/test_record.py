"""Run records: every token's time, what is written and read again, what is refused, and what a kill leaves."""

import json

import numpy as np
import polars as pl
import pytest
from serving import interrupted, law, load, one, pair, served

from inferatlas.errors import BadInput
from inferatlas.simulate import record as record_module
from inferatlas.simulate.fleet import Fault, Fleet, Pool, Scheduler
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.outcome import outcome
from inferatlas.simulate.record import About, check_folder, write_record
from inferatlas.simulate.recorded import read_record
from inferatlas.simulate.running import run
from inferatlas.simulate.tokens import TokenTimes

ABOUT = About("inferatlas simulate", "predicted", 0, ("toy",), {"engine": "none"}, {"named": "toy"}, ("Assumed.",))
SMALL = Scheduler(kv_blocks=60, step_tokens=300)
FLEETS = {
    "plain": one(),
    "preempted": one(SMALL),
    "swapped": one(Scheduler(kv_blocks=40, swap=True)),
    "prefill first": one(Scheduler(policy="prefill-first")),
    "static": one(Scheduler(policy="static")),
    "two pools": pair(),
    "faults": Fleet((Pool((law(),), SMALL, replicas=3),), faults=(Fault(3.0, 1, 9.0), Fault(9.0, 0, 5.0))),
}


def written(folder, r, fleet, requests, about=ABOUT):
    found = outcome(r, fleet, requests)
    return write_record(folder, r, fleet, requests, found, about), found


@pytest.mark.parametrize("name", FLEETS)
def test_tokens_come_between_first_and_last_and_all_of_them(name):
    r, _, requests = served(1200, 0.8, log=True, fleet=FLEETS[name])
    q = r.requests
    if name in {"preempted", "swapped"}:
        assert q["preempted"].sum() > 10
    if name == "faults":
        assert q["retries"].sum() > 0
    times, bounds = TokenTimes(r).of(0, len(requests))
    assert np.diff(bounds).tolist() == requests.output_tokens.tolist() == TokenTimes(r).counts.tolist()
    assert times[bounds[:-1]] == pytest.approx(q["first"], rel=1e-12)
    assert times[bounds[1:] - 1] == pytest.approx(q["finish"], rel=1e-12)
    within = np.ones(times.size - 1, bool)
    within[bounds[1:-1] - 1] = False
    assert np.diff(times)[within].min() > 0.01  # no step is shorter


def test_stretches_of_requests_have_the_times_of_all():
    r, _, _ = served(500, 0.8, log=True, fleet=FLEETS["preempted"])
    times = TokenTimes(r)
    whole, parts = times.of(0, 500)[0], [times.of(low, low + 100)[0] for low in range(0, 500, 100)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_one_request_alone_has_steps_of_the_law():
    requests = load(1, 0.01)
    r = run(one(), requests, log=True)
    times, _ = TokenTimes(r).of(0, 1)
    assert np.diff(times) == pytest.approx(0.0105)


def test_what_is_written_is_read_again(tmp_path):
    r, fleet, requests = served(800, 0.7, log=True)
    folder, found = written(tmp_path / "run", r, fleet, requests)
    assert sorted(one.name for one in folder.iterdir()) == [
        "events.parquet", "power.parquet", "requests.parquet", "run.json", "server.parquet",
    ]  # fmt: skip
    back = read_record(folder)
    assert back.document["kind"] == "simulated" and back.document["label"] == "predicted"
    assert back.document["validity"] == {"valid": True, "reasons": [], "remarks": []}
    assert {"python", "numpy", "numba", "inferatlas"} <= set(back.document["environment"])
    assert back.outcome.as_dict() == found.as_dict()
    assert np.allclose(back.outcome.series.in_flight, found.series.in_flight)
    assert np.array_equal(back.outcome.curves["ttft_s"], found.curves["ttft_s"])
    q = back.requests
    assert np.allclose(q["latency_s"], q["ttft_s"] + np.nan_to_num(q["itl_s"]) * (q["output_tokens"] - 1))
    assert np.array_equal(q["input_tokens"], requests.input_tokens)
    tokens = back.token_times()
    assert tokens is not None and [one.size for one in tokens] == requests.output_tokens.tolist()
    assert np.allclose([one[-1] for one in tokens], q["finish_s"])


def test_the_tables_add_up(tmp_path):
    r, fleet, requests = served(800, 0.7, log=True, fleet=pair())
    folder, found = written(tmp_path / "run", r, fleet, requests)
    back = read_record(folder)
    s, p, e = back.server, back.power, back.events
    assert (s["output_tokens_per_s"] * s["bin_s"]).sum() == pytest.approx(requests.output_tokens.sum())
    assert set(p["device"]) == {"prefill", "decode"}
    joules = sum((p["power_w"][p["device"] == name] * s["bin_s"]).sum() for name in ("prefill", "decode"))
    assert joules / s["bin_s"].sum() == pytest.approx(found.whole_run["power_w"], rel=1e-3)
    assert e["joules"].sum() == pytest.approx(r.replicas["joules"].sum())
    assert (e["steps"].sum(), e["prompt_tokens"].sum()) == (
        r.replicas["steps"].sum(),
        r.replicas["prompt_tokens"].sum(),
    )


def test_long_runs_are_written_in_stretches_and_without_tokens_beyond_a_limit(tmp_path, monkeypatch):
    r, fleet, requests = served(400, 0.7, log=True)
    whole, _ = written(tmp_path / "whole", r, fleet, requests)
    monkeypatch.setattr(record_module, "STRETCH", 1000)
    parts, _ = written(tmp_path / "parts", r, fleet, requests)
    assert pl.read_parquet(whole / "requests.parquet").equals(pl.read_parquet(parts / "requests.parquet"))
    assert len(list(parts.iterdir())) == 5
    monkeypatch.setattr(record_module, "MOST_TOKENS", 1000)
    short, _ = written(tmp_path / "short", r, fleet, requests)
    back = read_record(short)
    assert back.token_times() is None
    assert back.document["tokens"]["written"] is False and "1,000" in back.document["tokens"]["reason"]


def test_a_run_that_was_interrupted_is_written_as_far_as_it_came(tmp_path):
    r, fleet, requests = interrupted(1000, 0.7)
    folder, found = written(tmp_path / "run", r, fleet, requests)
    back = read_record(folder)
    assert back.document["validity"]["valid"] is False and back.document["validity"]["reasons"] == ["interrupted"]
    done = back.requests["status"] == "done"
    assert done.sum() == found.completed == (r.requests["phase"] == k.DONE).sum() < 1000
    assert np.isfinite(back.requests["finish_s"]).sum() == done.sum()
    tokens = back.token_times()
    assert tokens is not None
    under_way = back.requests["status"] == "decode"
    sizes = np.array([one.size for one in tokens])
    assert (sizes[done] == requests.output_tokens[done]).all()
    assert (sizes[under_way] >= 1).all() and (sizes[under_way] < requests.output_tokens[under_way]).all()
    assert max(one[-1] for one in tokens if one.size) <= found.duration_s + r.requests["sent"].min() + 1e-9


def test_models_adapters_and_failures_are_named(tmp_path):
    requests = load(50, 0.5)
    named = type(requests)(
        "named", requests.arrival_s, requests.input_tokens, requests.output_tokens, model=np.zeros(50, np.int32),
        models=("toy",), adapter=np.arange(50) % 3 - 1, adapters=("a", "b"),
    )  # fmt: skip
    fleet = one()
    folder, _ = written(tmp_path / "run", run(fleet, named, log=True), fleet, named)
    table = pl.read_parquet(folder / "requests.parquet")
    assert table["model"].unique().to_list() == ["toy"]
    assert table["adapter"].head(3).to_list() == [None, "a", "b"]


# What is refused


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(BadInput, match="precious"):
        check_folder(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="is a file"):
        check_folder(tmp_path / "file")
    measured = tmp_path / "measured"
    measured.mkdir()
    (measured / "run.json").write_text(json.dumps({"schema_version": 1, "kind": "measured"}))
    with pytest.raises(BadInput, match="measured"):
        check_folder(measured)


def test_a_record_is_written_anew_and_what_a_kill_left_is_no_obstacle(tmp_path):
    r, fleet, requests = served(50, 0.5, log=True)
    folder, _ = written(tmp_path / "run", r, fleet, requests)
    (folder / "run.json").unlink()
    (folder / "requests.parquet.tmp3").write_text("half")
    with pytest.raises(BadInput, match=r"run\.json"):
        read_record(folder)
    written(folder, r, fleet, requests)
    assert read_record(folder).document["seed"] == 0
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "{", "JSON"),
        ("run.json", "[]", "no JSON object"),
        ("run.json", '{"schema_version": 99}', "schema 99"),
        ("events.parquet", "nonsense", "Parquet"),
    ],
)
def test_damaged_records_are_refused(tmp_path, name, text, message):
    r, fleet, requests = served(50, 0.5, log=True)
    folder, _ = written(tmp_path / "run", r, fleet, requests)
    (folder / name).write_text(text)
    with pytest.raises(BadInput, match=message):
        read_record(folder)


def test_no_record(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        read_record(tmp_path / "none")
    with pytest.raises(BadInput, match="has no"):
        read_record(tmp_path)
