from dataclasses import replace

import numpy as np
import pytest
from made import S, channel, counter_of, series

from inferatlas.errors import BadInput
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.tables import write_table
from inferatlas.measure.metering.overtime import power_over_time
from inferatlas.measure.metering.reporting import Counts, Site, integrated, report
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.windows import energies

T = np.arange(0.0, 60.0, 0.1)


def load(x):
    """Idle at 100 W for 20 s, then 500 W."""
    return 100.0 * np.asarray(x) + 400.0 * np.clip(np.asarray(x) - 20.0, 0.0, None)


@pytest.fixture
def log() -> Log:
    """A GPU by three ways, its memory, and the node; read one after the other."""
    counter = series(channel("counter", update_s=0.1), T, 1e5 + counter_of(load, T, 0.1, 0.03))
    instant = series(channel("instant", update_s=0.1), T + 1e-5, np.where(T < 20.0, 100.0, 500.0))
    memory = series(channel("average", part="memory", window_s=1.0), T + 2e-5, np.where(T < 20.0, 20.0, 90.0))
    node = series(
        channel("instant", source="redfish", scope=Scope.NODE_AC),
        T[::10] + 3e-5,
        np.where(T < 20.0, 300.0, 900.0)[::10],
    )
    return Log((counter, instant, memory, node), 1_790_000_000 * S)


@pytest.fixture
def path(log, tmp_path):
    write_table(log, tmp_path / "power.parquet")
    return tmp_path / "power.parquet"


def test_a_whole_log_is_bracketed_though_its_channels_begin_one_after_the_other(path):
    found = integrated(path)
    assert [one.valid for one in found.windows] == [True, True, True]
    # to the last reading of the node, 0.9 s before that of the GPU
    assert found.windows[0].joules == pytest.approx(100 * 20 + 500 * 39.0, rel=0.01)


def test_a_device_that_dies_early_does_not_shorten_the_window(log):
    died = series(channel("instant", device="GPU-2"), T[:100], np.full(100, 100.0))
    a, b = 0, int(59.9 * S)
    gpu = energies(Log((*log.series, died)), a, b)[0]
    assert not gpu.valid and "edge_not_bracketed" in gpu.reasons


def test_idle_is_a_marked_span_and_stands_beside_the_gross(path):
    found = integrated(path, start="25s", stop="55s", idle="1s..18s")
    gpu = next(one for one in found.idle if one.gross.source == "nvml" and not one.gross.part)
    assert gpu.idle.power_w == pytest.approx(100.0, rel=0.01)
    assert gpu.net.joules == pytest.approx(400.0 * 30, rel=0.01)
    # 17 s of readings every second are no valid window; what ran stands all the same
    assert {one.gross.source for one in found.idle} == {"nvml"}
    assert any("idle of redfish is not valid: gap_too_long" in note for note in found.notes)


def test_requests_and_footprint_are_of_wholes_not_of_their_parts(path):
    found = integrated(path, counts=Counts(10, 1000), site=Site(region="FRA", pue=1.2))
    assert [one.name for one in found.per] == [
        "gpu_joules_per_request", "gpu_joules_per_output_token", "node_ac_joules_per_request",
        "node_ac_joules_per_output_token",
    ]  # fmt: skip
    assert len(found.footprints) == 2
    document = found.as_dict()
    assert [one["source"] for one in document["footprints"]] == ["nvml", "redfish"]
    assert [one["part"] for one in document["windows"]] == [None, "memory", None]


def test_carbon_over_a_series_is_the_sum_over_its_intervals(path, tmp_path):
    series_of = tmp_path / "grid.csv"
    # the log starts at 2026-09-21T13:33:20Z; the grid changes 30 s later
    start = np.datetime64(1_790_000_000, "s")
    rows = [(start - np.timedelta64(30, "s"), 100.0), (start + np.timedelta64(30, "s"), 700.0)]
    rows.append((start + np.timedelta64(90, "s"), 1.0))
    series_of.write_text("timestamp,gco2e_per_kwh\n" + "".join(f"{t}Z,{value}\n" for t, value in rows))
    found = integrated(path, start="5s", stop="50s", site=Site(region="FRA", pue=1.0, carbon_series=str(series_of)))
    first, second = 100 * 15 + 500 * 10, 500 * 20
    assert found.footprints[0]["carbon"].value == pytest.approx((first * 100 + second * 700) / 3.6e6, rel=0.01)


def test_a_log_without_a_date_has_no_place_in_a_series(log, tmp_path):
    write_table(Log(log.series), tmp_path / "power.parquet")
    grid = tmp_path / "grid.csv"
    grid.write_text("timestamp,gco2e_per_kwh\n2026-01-01T00:00:00Z,100\n2026-01-01T01:00:00Z,100\n")
    with pytest.raises(BadInput, match="does not say when"):
        integrated(tmp_path / "power.parquet", site=Site(region="FRA", carbon_series=str(grid)))


def test_a_window_without_energy_is_reported_as_that(log):
    found = report(energies(log, 100 * S, 120 * S), log, (100 * S, 120 * S), counts=Counts(requests=5))
    assert all(one.joules is None for one in found.windows)
    assert all(one.joules is None for one in found.per)


def test_power_over_time_sums_to_the_window_and_goes_one_way(log):
    a, b = 5 * S, 55 * S
    whole = energies(log, a, b)
    for one, line in zip(whole, power_over_time(log, a, b, 50), strict=True):
        assert np.sum(line.watts * np.diff(line.edges_s)) == pytest.approx(one.joules, rel=1e-6)
    gpu = power_over_time(log, a, b, 50)[0]
    assert gpu.watts[0] == pytest.approx(100.0, rel=0.05) and gpu.watts[-1] == pytest.approx(500.0, rel=0.05)


def test_stretches_of_a_window_of_dates_end_where_it_ends(log):
    """Nanoseconds since 1970 are no numbers that doubles hold."""
    start = 1_790_000_000_123_456_789
    moved = Log(tuple(replace(one, t_ns=one.t_ns + start) for one in log.series), 0)
    a, b = start + 5 * S + 1, start + 55 * S + 3
    for one, line in zip(energies(moved, a, b), power_over_time(moved, a, b, 50), strict=True):
        assert line.edges_s[0] == 0.0 and line.edges_s[-1] == (b - a) / 1e9
        assert np.sum(line.watts * np.diff(line.edges_s)) == pytest.approx(one.joules, rel=1e-6)


def test_stretches_of_a_sensor_whose_rate_nobody_states_add_up_too():
    """Each stretch on its own would judge by the load that it saw."""
    rng = np.random.default_rng(0)
    renewed = np.where(T < 30.0, 100.0, 500.0) + np.where(T < 30.0, 0.0, np.floor(T / 0.5) % 7)
    log = Log((series(channel("instant"), T + rng.uniform(0, 0.01, T.size), renewed),))
    (one,), (line,) = energies(log, 5 * S, 55 * S), power_over_time(log, 5 * S, 55 * S, 50)
    assert np.sum(line.watts * np.diff(line.edges_s)) == pytest.approx(one.joules, rel=1e-9)


def test_a_device_that_was_not_read_leaves_a_hole_in_the_line():
    both = [series(channel("instant", device=str(n)), T, np.full(T.size, 400.0)) for n in range(2)]
    late = replace(both[1], t_ns=both[1].t_ns[300:], value=both[1].value[300:], fault=both[1].fault[300:])
    (line,) = power_over_time(Log((both[0], late)), S, 59 * S, 58)
    assert np.isnan(line.watts[:25]).all() and line.watts[35:] == pytest.approx(800.0)


def test_outlets_that_are_read_in_turn_once_a_minute_are_bracketed(tmp_path):
    t = np.arange(0.0, 7200.0, 60.0)
    outlets = [
        series(channel("instant", source="pdu", scope=Scope.NODE_AC, device=str(n)), t + 10 * n, np.full(t.size, 400.0))
        for n in range(4)
    ]
    write_table(Log(tuple(outlets)), tmp_path / "pdu.csv")
    (one,) = integrated(tmp_path / "pdu.csv").windows
    assert one.duration_s == pytest.approx(7140.0 - 30.0) and "edge_not_bracketed" not in one.reasons
    assert one.joules == pytest.approx(1600.0 * one.duration_s)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"start": "70s"}, "from"), ({"start": "20s", "stop": "10s"}, "to"), ({"stop": "-70s"}, "to"),
        ({"idle": "20s..10s"}, "idle"), ({"idle": "soon..10s"}, "idle"),
    ],
)  # fmt: skip
def test_a_window_without_length_is_told_by_what_was_asked_with_the_extent_of_the_log(path, asked, field):
    with pytest.raises(BadInput) as caught:
        integrated(path, **asked)
    assert caught.value.field == field and "the log runs from" in caught.value.message


def test_a_log_of_one_moment_has_no_energy(tmp_path):
    (tmp_path / "log.csv").write_text("time_s,power_w\n5,100\n5,110\n")
    with pytest.raises(BadInput, match="of one moment") as caught:
        integrated(tmp_path / "log.csv")
    assert caught.value.file == str(tmp_path / "log.csv")


def test_stretches_of_a_window_of_centuries_follow_each_other(log):
    (line, *_) = power_over_time(log, 0, 200 * 366 * 86400 * S)
    assert np.all(np.diff(line.edges_s) > 0)


def test_an_interval_of_the_grid_without_a_reading_is_said_to_have_the_mean_power(tmp_path):
    start = np.datetime64(1_790_000_000, "s")
    t = np.concatenate([np.arange(0.0, 10.0, 0.1), np.arange(50.0, 60.0, 0.1)])
    flat = series(channel("counter", update_s=0.1), t, 1e5 + 300.0 * t)
    write_table(Log((flat,), 1_790_000_000 * S), tmp_path / "power.parquet")
    grid = tmp_path / "grid.csv"
    rows = [(start + np.timedelta64(n * 20, "s"), 100.0 + n) for n in range(4)]
    grid.write_text("timestamp,gco2e_per_kwh\n" + "".join(f"{t}Z,{value}\n" for t, value in rows))
    site = Site(region="FRA", pue=1.0, carbon_series=str(grid))
    gone = replace(flat, value=np.where(t < 50.0, flat.value, np.nan), fault=np.where(t < 50.0, 0, 5).astype(np.int8))
    write_table(Log((gone,), 1_790_000_000 * S), tmp_path / "gone.parquet")
    whole, partly = (integrated(tmp_path / name, site=site) for name in ("power.parquet", "gone.parquet"))
    assert "mean_power_used" not in whole.footprints[0].remarks
    assert "mean_power_used" in partly.footprints[0].remarks
