"""Metrics of a request are as defined, and a record on disk gives the same as its arrays."""

import json

import numpy as np
import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.reading import read_timings, stretches
from inferatlas.measure.bench.metrics.timings import timings_of


def table(**columns):
    """Three requests: two events of three and two tokens, one event, and a failure."""
    rows = {
        "id": [0, 1, 2], "due_s": [0.0, 1.0, 2.0], "sent_s": [0.1, 1.0, 2.0], "first_token_s": [0.5, 1.25, None],
        "finish_s": [0.9, 1.25, None], "end_s": [1.0, 1.3, 2.5], "status": ["done", "done", "failed"],
        "reason": [None, None, "refused"], "output_tokens": [5, 2, None], "input_tokens": [10, 20, None],
        "segment": [0, 0, 1], "token_s": [[0.5, 0.5, 0.5, 0.9, 0.9], [1.25, 1.25], []],
        "chunk_tokens": [[3, 2], [2], []],
    }  # fmt: skip
    return pl.DataFrame(
        rows | columns, schema_overrides={"chunk_tokens": pl.List(pl.Int32), "token_s": pl.List(pl.Float64)}
    )


@pytest.fixture
def record(tmp_path):
    table().write_parquet(tmp_path / "requests.parquet")
    return tmp_path


def test_definitions_of_a_request(record):
    run = read_timings(record, {"kind": "open"})
    assert not run.closed and run.clients is None
    np.testing.assert_allclose(run.ttft_s, [0.5, 0.25, np.nan])
    np.testing.assert_allclose(run.ttft_service_s, [0.4, 0.25, np.nan])
    np.testing.assert_allclose(run.latency_s, [0.9, 0.25, np.nan])
    np.testing.assert_allclose(run.latency_service_s, [0.8, 0.25, np.nan])
    np.testing.assert_allclose(run.send_lag_s, [0.1, 0.0, 0.0])
    np.testing.assert_allclose(run.itl_s, [0.4 / 2, np.nan, np.nan])  # undefined where all came at once
    assert run.chunk_s.tolist() == [0.5, 0.9, 1.25] and run.chunk_tokens.tolist() == [3, 2, 2]
    assert run.start.tolist() == [0, 2, 3, 3] and run.first_tokens[:2].tolist() == [3, 2]
    assert run.reason.tolist() == ["", "", "refused"] and run.done.tolist() == [True, True, False]
    assert run.spans().tolist() == [[0.1, 1.3], [2.0, 2.5]]


def test_the_clock_of_a_closed_loop_starts_at_the_sending(record):
    (record / "run.json").write_text(json.dumps({"load": {"kind": "closed", "concurrency": 4}}))
    run = read_timings(record)
    assert run.closed and run.clients == 4
    np.testing.assert_allclose(run.ttft_s, [0.4, 0.25, np.nan])


def test_before_run_json_is_written_the_schedule_tells_the_loop(record):
    assert not read_timings(record).closed
    table(due_s=pl.Series([None] * 3, dtype=pl.Float64)).write_parquet(record / "requests.parquet")
    assert read_timings(record).closed and read_timings(record).clients is None
    assert read_timings(record, {"kind": "offline", "concurrency": 3}).clients is None


def test_a_turn_that_waited_for_an_answer_is_clocked_from_its_sending():
    run = timings_of(
        {"due_s": [0.0, np.nan], "sent_s": [0.5, 3.0], "first_token_s": [1.0, 4.0], "done": [1, 1]}, closed=False
    )
    assert run.ttft_s.tolist() == [1.0, 1.0]


def test_stretches_hold_every_event_once_and_requests_do_without(record):
    whole, parts = read_timings(record), list(stretches(record, most=5))
    assert [len(one) for one in parts] == [1, 2]
    assert np.concatenate([one.chunk_s for one in parts]).tolist() == whole.chunk_s.tolist()
    light = read_timings(record, events=False)
    assert light.chunk_s.size == 0 and light.first_tokens[:2].tolist() == [3, 2]
    np.testing.assert_allclose(light.itl_s, whole.itl_s)


def test_unknown_tokens_of_events_are_unknown(record):
    nothing = pl.Series([None] * 3, dtype=pl.List(pl.Int32))
    table(chunk_tokens=nothing, token_s=[[0.5, 0.9], [1.25], None]).write_parquet(record / "requests.parquet")
    run = read_timings(record)
    assert run.chunk_s.tolist() == [0.5, 0.9, 1.25] and np.isnan(run.chunk_tokens).all() and np.isnan(run.itl_s).all()


def test_events_beyond_the_tokens_are_none(record):
    """A stream of three events and two tokens: the recorder gives the last one, or the first one, none."""
    table(chunk_tokens=[[3, 2, 0], [0, 2], []]).write_parquet(record / "requests.parquet")
    run = read_timings(record)
    assert run.chunk_s.tolist() == [0.5, 0.9, 1.25] and run.chunk_tokens.tolist() == [3, 2, 2]
    assert run.start.tolist() == [0, 2, 3, 3]
    assert read_timings(record, events=False).first_tokens[:2].tolist() == run.first_tokens[:2].tolist() == [3, 2]


def test_a_record_of_another_maker_may_lack_columns(record):
    table().select("sent_s", "status", "first_token_s", "finish_s").write_parquet(record / "requests.parquet")
    run = read_timings(record)
    assert run.ttft_service_s[0] == pytest.approx(0.4) and np.isnan(run.input_tokens).all() and run.chunk_s.size == 0


def test_bad_records_are_refused_with_their_file(tmp_path):
    file = tmp_path / "requests.parquet"
    with pytest.raises(BadInput, match="no such table") as caught:
        read_timings(tmp_path)
    assert caught.value.file == str(file)
    file.write_text("no table")
    with pytest.raises(BadInput, match="no Parquet"):
        read_timings(tmp_path)
    table().drop("status").write_parquet(file)
    with pytest.raises(BadInput, match="status"):
        read_timings(tmp_path)
    table(token_s=[[0.5], [1.25, 1.25], []]).write_parquet(file)
    with pytest.raises(BadInput, match="row 0: 1 times"):
        read_timings(tmp_path)
    table().write_parquet(file)
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(BadInput, match="JSON"):
        read_timings(tmp_path)


@pytest.mark.parametrize(
    ("columns", "events", "field"),
    [
        ({"sent_s": [0.0]}, ([], [], None), "done"),
        ({"sent_s": [0.0], "done": [True], "ttft": [1.0]}, ([], [], None), "columns"),
        ({"sent_s": [0.0], "done": [True, True]}, ([], [], None), "done"),
        ({"sent_s": [0.0], "done": [True]}, ([1.0], [], [0, 1]), "chunk_tokens"),
        ({"sent_s": [0.0], "done": [True]}, ([1.0], [1], [0, 2]), "start"),
        ({"sent_s": [0.0], "done": [True]}, ([1.0], [0], [0, 1]), "chunk_tokens"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(columns, events, field):
    with pytest.raises(BadInput) as caught:
        timings_of(columns, *events, closed=True)
    assert caught.value.field == field
