"""Our own table, and plain power logs: what is written comes back, and what is wrong is refused by its line."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Fault, Reading, Series
from inferatlas.measure.metering.logs.log import Log, log_of
from inferatlas.measure.metering.logs.tables import UNFINISHED, read_log, write_table
from inferatlas.measure.metering.logs.tables_read import MARK
from inferatlas.measure.metering.scope import Scope

SECOND = 10**9
CARD = Channel("nvml", "GPU-1", "power_w", "average", Scope.GPU, name="NVIDIA H100", window_s=1.0, update_s=0.1)
COUNTER = Channel("nvml", "GPU-1", "energy_j", "counter", Scope.GPU, quantum=0.001, wrap_j=262144.0)
START = 1_789_948_800 * SECOND

words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12).filter(
    lambda text: text == text.strip(' \t"')
)
positive = st.floats(1e-9, 1e12)
channels = st.builds(
    Channel,
    source=words,
    device=words,
    quantity=st.just("power_w"),
    semantics=st.sampled_from(["average", "instant", "model"]),
    scope=st.sampled_from([None, *Scope]),
    part=st.sampled_from(["", "memory", "a,b"]),
    name=st.one_of(st.just(""), words),
    window_s=st.none() | positive,
    update_s=st.none() | positive,
    quantum=st.floats(0, 10),
    gain=st.floats(0, 1),
    limit_w=st.none() | positive,
    shared=st.booleans(),
    assumed=st.booleans(),
    u_time_s=st.floats(0, 10),
)
counters = st.builds(
    Channel, words, words, st.just("energy_j"), st.just("counter"), st.none(), wrap_j=st.none() | positive
)


@st.composite
def series(draw):
    channel = draw(st.one_of(channels, counters))
    steps = draw(st.lists(st.integers(0, 10**12), max_size=6))
    t_ns = np.cumsum([draw(st.integers(0, 10**16)), *steps])[: len(steps)].astype(np.int64)
    fault = np.array([draw(st.sampled_from([0, 0, *map(int, Fault)])) for _ in steps], dtype=np.int8)
    value = np.array([draw(st.floats(-1e9, 1e15)) for _ in steps], dtype=np.float64)
    return Series(channel, t_ns, np.where(fault != 0, np.nan, value), fault)


logs = st.builds(
    Log,
    st.lists(series(), min_size=1, max_size=4).map(tuple),
    st.none() | st.integers(10**8 * SECOND, 4 * 10**9 * SECOND),
    notes=st.lists(words, unique=True, max_size=2).map(tuple),
)


def same(one: Log, other: Log) -> None:
    assert one.channels == other.channels
    for mine, its in zip(one.series, other.series, strict=True):
        np.testing.assert_array_equal(mine.t_ns, its.t_ns)
        np.testing.assert_array_equal(mine.value, its.value)
        np.testing.assert_array_equal(mine.fault, its.fault)


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "power.csv"
        path.write_bytes(text.encode())
        return path

    return write


def refusal(path: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_log(path)
    assert caught.value.file == str(path)
    return caught.value


def values(log: Log) -> list[list[float]]:
    return [one.value.tolist() for one in log.series]


class TestRoundTrip:
    @settings(max_examples=60, deadline=None)
    @given(log=logs, ending=st.sampled_from([".parquet", ".csv"]))
    def test_what_is_written_comes_back(self, tmp_path_factory, log, ending):
        path = tmp_path_factory.mktemp("log") / f"power{ending}"
        write_table(log, path)
        again = read_log(path)
        same(log, again)
        assert (again.unix_ns is None) == (log.unix_ns is None or log.span_ns is None)
        if again.unix_ns is not None and log.unix_ns is not None:
            assert 0 <= log.unix_ns - again.unix_ns < 1000  # stamps hold microseconds
        if ending == ".parquet":
            assert again.notes == log.notes

    def test_parquet_keeps_what_holds_for_the_whole_log(self, tmp_path):
        log = log_of([CARD], [Reading(0, 1, 1.0)])
        log = Log(log.series, START, ("clock_step",), ("interrupted",), ("a note",))
        write_table(log, tmp_path / "power.parquet")
        again = read_log(tmp_path / "power.parquet")
        assert (again.remarks, again.reasons, again.notes) == (log.remarks, log.reasons, log.notes)

    def test_a_log_without_channels(self, tmp_path):
        write_table(Log(()), tmp_path / "power.parquet")
        assert read_log(tmp_path / "power.parquet").series == ()

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), pl.exceptions.ComputeError("no space")])
    def test_a_disk_that_is_full_is_told_and_gets_its_room_back(self, tmp_path, monkeypatch, error):
        def full(_: object, path: Path, **__: object) -> None:
            path.write_bytes(b"PAR1")
            raise error

        monkeypatch.setattr(pl.LazyFrame, "sink_parquet", full)
        with pytest.raises(BadInput, match=r"(?i)cannot be written: no space"):
            write_table(log_of([CARD], [Reading(0, 1, 1.0)]), tmp_path / "power.parquet")
        assert list(tmp_path.iterdir()) == []

    def test_other_programs_find_plain_columns(self, tmp_path):
        log = log_of([CARD, COUNTER], [Reading(0, 2 * SECOND, 400.0), Reading(1, 3 * SECOND, 9.5)], START)
        write_table(log, tmp_path / "power.parquet")
        frame = pl.read_parquet(tmp_path / "power.parquet")
        assert frame.columns[:8] == [
            "time_s", "t_ns", "timestamp", "channel", "device", "power_w", "energy_j", "fault",
        ]  # fmt: skip
        assert frame["time_s"].to_list() == [2.0, 3.0]
        assert frame["power_w"].to_list() == [400.0, None]
        assert frame["energy_j"].to_list() == [None, 9.5]
        assert frame["timestamp"].dtype == pl.Datetime("us", "UTC")
        assert frame["scope"].to_list() == ["gpu", "gpu"]

    def test_rows_in_the_order_of_time_are_the_same_log(self, tmp_path):
        readings = [Reading(n % 2, n * SECOND, float(n)) for n in range(20)]
        log = log_of([CARD, COUNTER], readings)
        write_table(log, tmp_path / "power.parquet")
        pl.read_parquet(tmp_path / "power.parquet").sort("t_ns").write_parquet(tmp_path / "sorted.parquet")
        same(read_log(tmp_path / "sorted.parquet"), log)

    def test_nothing_half_written_is_left_under_the_name(self, tmp_path):
        (tmp_path / f"power.parquet{UNFINISHED}").mkdir()
        with pytest.raises(BadInput, match="cannot be written"):
            write_table(log_of([CARD], [Reading(0, 1, 1.0)]), tmp_path / "power.parquet")
        assert not (tmp_path / "power.parquet").exists()

    @pytest.mark.parametrize("name", ["power.txt", "power", "none/power.csv"])
    def test_a_path_that_cannot_be_written_is_refused(self, tmp_path, name):
        with pytest.raises(BadInput) as caught:
            write_table(log_of([CARD], [Reading(0, 1, 1.0)]), tmp_path / name)
        assert caught.value.field == "output"


class TestFolders:
    def test_a_run_record(self, tmp_path):
        log = log_of([CARD], [Reading(0, 1, 1.0)])
        write_table(log, tmp_path / "power.parquet")
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "requests.parquet")
        same(read_log(tmp_path), log)

    def test_parts_follow_each_other(self, tmp_path):
        for n in range(3):
            write_table(log_of([CARD], [Reading(0, n * SECOND, float(n))]), tmp_path / f"part-{n}.parquet")
        assert values(read_log(tmp_path)) == [[0.0, 1.0, 2.0]]

    def test_an_empty_folder_is_refused(self, tmp_path):
        assert "holds no log" in refusal(tmp_path).message


class TestPlainLogs:
    def test_has_the_defaults_of_a_log_that_says_nothing(self, written):
        log = read_log(written("time_s,power_w\n0.5,400\n1.5,410.25\n"))
        assert log.channels == (Channel("file", "0", "power_w", "instant", None, assumed=True),)
        assert log.series[0].t_ns.tolist() == [SECOND // 2, 3 * SECOND // 2]
        assert values(log) == [[400.0, 410.25]]
        assert (log.unix_ns, log.notes) == (None, ())

    def test_columns_of_ours_that_are_there_count(self, written):
        text = "time_s,device,power_w,scope,semantics,window_s,limit_w\n0,a,400,board,average,0.5,700\n"
        assert read_log(written(text)).channels == (
            Channel("file", "a", "power_w", "average", Scope.BOARD, window_s=0.5, limit_w=700.0),
        )

    def test_rows_of_one_device_in_two_scopes_are_two_channels(self, written):
        log = read_log(written("time_s,device,power_w,scope\n0,a,400,gpu\n0,a,600,board\n1,a,400,gpu\n"))
        assert [(one.channel.scope, one.value.tolist()) for one in log.series] == [
            (Scope.GPU, [400.0, 400.0]), (Scope.BOARD, [600.0]),
        ]  # fmt: skip

    def test_power_and_energy_of_one_row_are_two_channels(self, written):
        log = read_log(written("time_s,device,power_w,energy_j\n0,a,400,1000\n1,a,410,1400\n"))
        assert [one.semantics for one in log.channels] == ["instant", "counter"]
        assert values(log) == [[400.0, 410.0], [1000.0, 1400.0]]

    def test_stamps_are_the_clock(self, written):
        log = read_log(
            written("timestamp,power_w\n2026-09-20T17:00:00.001-07:00,400\n2026-09-20T17:00:01.001-07:00,1\n")
        )
        assert log.unix_ns == 1_789_948_800_001_000_000
        assert log.series[0].t_ns.tolist() == [0, SECOND]
        assert log.channels[0].u_time_s == 0

    def test_stamps_beside_seconds_tie_them_to_utc(self, written):
        log = read_log(written("time_s,timestamp,power_w\n7,,1\n8,2026-09-21T00:00:08.0Z,2\n"))
        assert log.series[0].t_ns.tolist() == [7 * SECOND, 8 * SECOND]
        assert log.unix_ns == START

    def test_seconds_since_1970_are_known_by_their_size(self, written):
        log = read_log(written("time_s,power_w\n1789948800.5,400\n1789948801.5,410\n"))
        assert log.unix_ns == START + SECOND // 2
        assert log.series[0].t_ns.tolist() == [0, SECOND]
        assert log.notes == ("numbers in 'time_s' are taken as seconds since 1970",)

    def test_stamps_of_whole_seconds_are_that_uncertain(self, written):
        log = read_log(written("timestamp,power_w\n2026-09-21T00:00:00Z,1\n2026-09-21T00:00:01Z,2\n"))
        assert log.channels[0].u_time_s == pytest.approx(1 / math.sqrt(12))
        assert log.series[0].t_ns.tolist() == [0, SECOND]

    @pytest.mark.parametrize("gone", ["", "N/A", "nan", "[Not Supported]"])
    def test_what_is_not_there_is_a_fault_and_never_0(self, written, gone):
        log = read_log(written(f"time_s,power_w,device\n0,400,a\n1,{gone},a\n2,400,a\n"))
        assert np.isnan(log.series[0].value[1])
        assert log.series[0].fault[1] == (Fault.NOT_SUPPORTED if "S" in gone else Fault.NOT_AVAILABLE)

    def test_spaces_quotes_semicolons_and_repeated_headers(self, written):
        text = 'time_s; device; power_w\r\n0; "a;b"; 400\r\n\r\ntime_s; device; power_w\r\n1; "a;b"; 410\r\n'
        log = read_log(written(text))
        assert log.channels[0].device == "a;b"
        assert values(log) == [[400.0, 410.0]]
        assert log.notes == ("headers that came again: 1, the first in line 4",)

    def test_a_reading_that_no_device_draws_stays_in_the_log(self, written):
        assert values(read_log(written("time_s,power_w\n0,3.7e12\n"))) == [[3.7e12]]

    def test_time_that_goes_backwards_makes_the_log_invalid(self, written):
        log = read_log(written("time_s,device,power_w\n1,a,1\n0,b,2\n2,a,3\n1,b,4\n"))
        assert not log.reasons
        log = read_log(written("time_s,device,power_w\n1,a,1\n0,a,2\n"))
        assert log.reasons == ("clock_jump",)
        assert values(log) == [[1.0, 2.0]]

    @pytest.mark.parametrize(
        ("end", "kept"),
        [
            ("2,412.3", [400.0, 410.0]),  # a digit fewer than the line before
            ("2,", [400.0, 410.0]),
            ("2", [400.0, 410.0]),
            ("2,41", [400.0, 410.0]),
            ("2,412.38", [400.0, 410.0, 412.38]),
        ],
    )
    def test_a_last_line_without_end_is_kept_where_it_looks_whole(self, written, end, kept):
        log = read_log(written(f"time_s,power_w\n0,400.00\n1,410.00\n{end}"))
        assert values(log) == [kept]
        assert bool(log.notes) == (len(kept) == 2)

    @pytest.mark.parametrize(("end", "kept"), [("2,95", [400, 410, 95]), ("2,41", [400, 410])])
    def test_whole_numbers_that_fall_to_a_tenth_without_end_are_cut_off(self, written, end, kept):
        assert values(read_log(written(f"time_s,power_w\n0,400\n1,410\n{end}"))) == [kept]

    def test_what_is_told_fills_in(self, written):
        log = read_log(written("time_s,power_w\n0,400\n"), scope="rack", semantics="average", window_s=2.0)
        assert log.channels == (Channel("file", "0", "power_w", "average", Scope.RACK, window_s=2.0),)


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "line", "field", "said"),
        [
            ("time_s,power_w\n0,400\n1,much\n2,400\n", 3, "power_w", "'much' is not a number"),
            ("time_s,power_w\n0,400\n\n1,0.4 kW\n", 4, "power_w", "is in kW"),
            ("time_s,power_w\n0,400\n-1,400\n", 3, "time_s", "negative"),
            ("time_s,power_w\n0,400\nnan,400\n", 3, "time_s", "not finite"),
            ("time_s,power_w\n0,400\n,400\n", 3, "time_s", "is empty"),
            ("time_s,power_w\n0,400\nsoon,400\n", 3, "time_s", "not a time"),
            ("time_s,power_w\n0,400\n1,inf\n", 3, "power_w", "not finite"),
            ("timestamp,power_w\n2026-09-21T00:00:00Z,1\n2026-09-21T00:00:61Z,1\n", 3, "timestamp", "not a time"),
            ("time_s,device,power_w\n0,a,400\n1,,400\n", 3, "device", "is empty"),
            ("time_s,device,power_w\n0,,400\n1,,400\n", 2, "device", "is empty"),
            ("time_s,power_w\n5,400\n1789948801,400\n", 3, "time_s", "another unit"),
            ("time_s,energy_j\n5,400\n6,1e300\n", 3, "energy_j", "not finite"),
            ("time_s,channel,scope,power_w\n0,,gpu,1\n1,,board,1\n", 3, "scope", "changes within channel"),
            ("time_s,power_w\n0,400\n1\n2,400\n", 3, "log", "1 values in a row"),
            ("time_s,power_w\n0,400\n1,2,3\n", 3, "log", "3 values in a row"),
            ("time_s,power_w,power_w\n0,400,400\n", 1, "power_w", "given twice"),
            ("time_s,power_w,scope\n0,400,shelf\n", 2, "scope", "'shelf' cannot be"),
            ("time_s,power_w,semantics\n0,400,mean\n", 2, "semantics", "'mean' cannot be"),
            ("time_s,power_w,gain\n0,400,-0.1\n", 2, "gain", "'-0.1' cannot be"),
            ("time_s,power_w,window_s\n0,400,wide\n", 2, "window_s", "'wide' cannot be read"),
            ("time_s,power_w,shared\n0,400,maybe\n", 2, "shared", "'maybe' cannot be read"),
            ("time_s,power_w,fault\n0,,tired\n", 2, "fault", "'tired' is no fault"),
            ("time_s,channel,scope,power_w\n0,1,gpu,1\n1,1,board,1\n", 3, "scope", "changes within channel 1"),
            ("time_s,channel,power_w\n0,1,1\n,1,\n", 3, "time", "is empty"),
            ("t_ns,power_w\n0,1\n1.5,1\n", 3, "t_ns", "cannot be read"),
            ("time_s,power_w\n", 1, "log", "holds no reading"),
            ("power_w,device\n400,a\n", 1, "log", "no column of times"),
            ("time_s,energy\n0,400\n", 1, "energy", "has no unit"),
            ("time_s,device\n0,a\n", 1, "log", "no column of power"),
        ],
    )
    def test_names_the_line_and_the_column(self, written, text, line, field, said):
        error = refusal(written(text))
        assert (error.line, error.field) == (line, field)
        assert said in error.message
        assert error.allowed

    def test_parquet_names_the_row(self, tmp_path):
        path = tmp_path / "power.parquet"
        pl.DataFrame({"time_s": [0.0, -1.0], "power_w": [1.0, 2.0]}).write_parquet(path)
        assert refusal(path).message == "row 2: '-1.0' is negative"

    @pytest.mark.parametrize(("columns", "said"), [({"time_s": [0.0]}, "power"), ({"power_w": [0.0]}, "times")])
    def test_parquet_of_something_else(self, tmp_path, columns, said):
        path = tmp_path / "power.parquet"
        pl.DataFrame(columns).write_parquet(path)
        assert f"no column of {said}" in refusal(path).message

    def test_parquet_that_was_cut_off(self, tmp_path):
        path = tmp_path / "power.parquet"
        write_table(log_of([CARD], [Reading(0, 1, 1.0)]), path)
        path.write_bytes(path.read_bytes()[:-20])
        assert "cannot be read" in refusal(path).message

    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({"time_s": pl.Series([1], dtype=pl.Duration("us")), "power_w": [1.0]}, "time_s"),
            ({"timestamp": pl.Series([1], dtype=pl.Date), "power_w": [1.0]}, "timestamp"),
            ({"time_s": [0.0], "power_w": [[1.0]]}, "power_w"),
            ({"time_s": [0.0], "power_w": [1.0], "gain": [True]}, "gain"),
        ],
    )
    def test_parquet_whose_numbers_are_something_else(self, tmp_path, columns, field):
        path = tmp_path / "power.parquet"
        pl.DataFrame(columns).write_parquet(path)
        error = refusal(path)
        assert error.field == field and "is of type" in error.message

    @pytest.mark.parametrize(
        "held", ["x", "[]", '{"schema": 2, "remarks": [], "reasons": [], "notes": []}', '{"schema": 1, "notes": 5}']
    )
    def test_parquet_of_ours_that_says_odd_things_of_itself(self, tmp_path, held):
        path = tmp_path / "power.parquet"
        pl.DataFrame({"time_s": [0.0], "power_w": [1.0]}).write_parquet(path, metadata={MARK: held})
        assert refusal(path).allowed == "schema 1"

    def test_parquet_of_ours_without_its_channels_is_a_plain_log(self, tmp_path):
        path = tmp_path / "power.parquet"
        held = '{"schema": 1, "remarks": [], "reasons": [], "notes": ["n"]}'
        pl.DataFrame({"time_s": [0.0, 0.0], "power_w": [1.0, 2.0], "device": ["a", "b"]}).write_parquet(
            path, metadata={MARK: held}
        )
        log = read_log(path)
        assert (values(log), log.notes) == ([[1.0], [2.0]], ("n",))

    def test_parquet_that_polars_panics_at(self, tmp_path, monkeypatch):
        def panic(*_: object, **__: object) -> None:
            raise pl.exceptions.PanicException("assertion failed\n  left: 0")

        path = tmp_path / "power.parquet"
        write_table(log_of([CARD], [Reading(0, 1, 1.0)]), path)
        monkeypatch.setattr(pl.LazyFrame, "collect", panic)
        assert refusal(path).message == "cannot be read: assertion failed"

    def test_parts_of_a_table_are_told_by_their_folder(self, tmp_path):
        for name, watts in (("a", 1.0), ("b", float("inf"))):
            pl.DataFrame({"time_s": [0.0], "power_w": [watts]}).write_parquet(tmp_path / f"{name}.parquet")
        assert "row 2" in refusal(tmp_path).message

    def test_what_is_no_file_is_refused_before_it_is_read(self, tmp_path):
        os.mkfifo(tmp_path / "power.csv")
        assert refusal(tmp_path / "power.csv").message == "is no file"

    def test_long_values_are_shortened(self, written):
        for text in ("time_s,power_w\n0," + "9" * 9999 + "\n", "time_s,power_w\n" + "9" * 9999 + ",1\n"):
            assert len(refusal(written(text)).message) < 120

    def test_facts_that_would_overflow(self, written):
        assert refusal(written("time_s,power_w,window_s\n0,1,1e308\n")).field == "window_s"

    def test_what_a_simulation_made_is_no_measurement_whatever_is_said(self, tmp_path):
        (tmp_path / "run.json").write_text('{"kind": "simulated"}')
        (tmp_path / "power.csv").write_text("time_s,power_w\n0,400\n")
        assert read_log(tmp_path).channels[0].semantics == "model"
        with pytest.raises(BadInput, match="a simulation made it"):
            read_log(tmp_path, semantics="average")

    def test_parquet_of_other_programs_is_read_by_what_it_says(self, tmp_path):
        path = tmp_path / "power.parquet"
        times = pl.Series([START // 1000, START // 1000 + 10**6]).cast(pl.Datetime("us"))
        pl.DataFrame({"timestamp": times, "power_w": [1, 2], "device": [3, 3]}).write_parquet(path)
        log = read_log(path)
        assert log.unix_ns == START
        assert values(log) == [[1.0, 2.0]]
        assert log.channels[0].device == "3"
        assert log.notes == ("'timestamp' names no time zone: taken as UTC",)


def test_the_folder_of_a_measured_run_is_read_from_its_meters_log(tmp_path: Path):
    """`power.parquet` beside it is on the clock of the run, which began after the first reading."""
    pl.DataFrame({"time_s": [-0.1, 0.9], "power_w": [1.0, 1.0]}).write_parquet(tmp_path / "power.parquet")
    channel = Channel("nvml", "GPU-1", "power_w", "average", Scope.GPU, window_s=1.0)
    log = Log((Series(channel, np.array([10**9, 2 * 10**9]), np.array([300.0, 310.0]), np.zeros(2, np.int8)),))
    write_table(log, tmp_path / "readings-0.parquet")
    (found,) = read_log(tmp_path).series
    assert (found.channel.scope, found.channel.window_s, found.value.tolist()) == (Scope.GPU, 1.0, [300.0, 310.0])
    write_table(log, tmp_path / "readings-1.parquet")
    with pytest.raises(BadInput, match=r"a log per start of the run .*readings-0\.parquet, readings-1\.parquet"):
        read_log(tmp_path)
