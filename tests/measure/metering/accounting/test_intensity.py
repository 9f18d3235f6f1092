"""A series of carbon intensity is read strictly, averages exactly, and answers for no time that it does not cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.intensity import Intensity, read_intensity

HOUR = 3600.0
T0 = 1767225600.0  # 2026-01-01T00:00:00Z
MAPS = """\
Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),Carbon intensity gCO₂eq/kWh (Life cycle),\
Carbon-free energy percentage (CFE%),Renewable energy percentage (RE%),Data source,Data estimated,Data estimation method
2026-01-01 00:00:00,Sweden,Sweden,SE,2.54,30.02,99.42,60.13,somebody,false,
2026-01-01 01:00:00,Sweden,Sweden,SE,2.60,31.50,99.40,60.00,somebody,false,
"""


def read(folder, text, name="grid.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_intensity(path)


def refusal(folder, text):
    with pytest.raises(BadInput) as caught:
        read(folder, text)
    assert caught.value.file == str(folder / "grid.csv")
    return caught.value


def series(starts, stops, values):
    return Intensity("x.csv", "not stated", *(np.array(each, dtype=float) for each in (starts, stops, values)))


# Reading


def test_each_value_holds_until_the_next_and_the_last_for_a_median_step(tmp_path):
    text = "timestamp,gco2e_per_kwh\n2026-01-01T00:00:00Z,100\n2026-01-01T01:00:00Z,200\n2026-01-01T02:00:00Z,300\n"
    found = read(tmp_path, text)
    assert (found.start_s - T0).tolist() == [0, HOUR, 2 * HOUR]
    assert (found.stop_s - T0).tolist() == [HOUR, 2 * HOUR, 3 * HOUR]
    assert (found.gco2e_per_kwh.tolist(), found.method, found.notes) == ([100, 200, 300], "not stated", ())


def test_rows_may_stand_in_any_order(tmp_path):
    header, *rows = ["timestamp,gco2e_per_kwh", "2026-01-01,1", "2026-01-02,2", "2026-01-03,3"]
    sorted_, mixed = (read(tmp_path, "\n".join([header, *lines])) for lines in (rows, rows[::-1]))
    assert mixed.start_s.tolist() == sorted_.start_s.tolist()
    assert mixed.gco2e_per_kwh.tolist() == [1, 2, 3]


def test_zones_are_converted_and_their_absence_is_noted(tmp_path):
    zoned = read(tmp_path, "timestamp,gco2e_per_kwh\n2026-01-01T02:00+02:00,1\n2026-01-01T01:00Z,2\n")
    bare = read(tmp_path, "timestamp,gco2e_per_kwh\n2026-01-01 00:00,1\n2026-01-01 01:00,2\n")
    assert zoned.start_s.tolist() == bare.start_s.tolist() == [T0, T0 + HOUR]
    assert (zoned.notes, bare.notes) == ((), ("times without a zone are taken as UTC",))


def test_an_export_of_electricity_maps_is_read_by_its_own_names(tmp_path):
    found = read(tmp_path, MAPS)
    assert (found.gco2e_per_kwh.tolist(), found.method) == ([30.02, 31.50], "life cycle")
    assert found.notes == (
        "read from 'Carbon intensity gCO₂eq/kWh (Life cycle)', not 'Carbon intensity gCO₂eq/kWh (direct)'",
    )
    older = MAPS.replace("intensity", "Intensity").replace("Life cycle", "LCA")
    assert read(tmp_path, older).gco2e_per_kwh.tolist() == [30.02, 31.50]
    direct = read(tmp_path, MAPS.replace("(Life cycle)", "(other)"))
    assert (direct.gco2e_per_kwh.tolist(), direct.method, direct.notes) == ([2.54, 2.60], "direct", ())


def test_rates_of_watttime_are_refused_because_their_unit_is_another(tmp_path):
    for header in ("point_time,value", "timestamp,MOER"):
        error = refusal(tmp_path, header + "\n2026-01-01T00:00Z,900\n2026-01-01T00:05Z,910\n")
        assert "lb/MWh" in error.hint and "marginal" in error.hint


def test_a_gap_is_noted_and_not_covered(tmp_path):
    hours = [0, 1, 2, 8, 9, 10]
    rows = "\n".join(f"2026-01-01T{hour:02}:00Z,{100 + hour}" for hour in hours)
    found = read(tmp_path, "timestamp,gco2e_per_kwh\n" + rows)
    assert found.notes == ("gaps of over 7200 s: 1, the first after 2026-01-01T02:00:00Z",)
    assert found.mean([T0 + 2 * HOUR], [T0 + 3 * HOUR]).tolist() == [102]
    with pytest.raises(BadInput, match=r"no value for 3600 s of 2026-01-01T02:00:00Z .* with gaps"):
        found.mean([T0 + 2 * HOUR], [T0 + 4 * HOUR])


def test_two_steps_are_no_gap(tmp_path):
    rows = "\n".join(f"2026-01-01T{hour:02}:00Z,{100 + hour}" for hour in (0, 1, 2, 4, 5))
    found = read(tmp_path, "timestamp,gco2e_per_kwh\n" + rows)
    assert (found.notes, found.mean([T0 + 3 * HOUR], [T0 + 4 * HOUR]).tolist()) == ((), [102])


def test_rows_without_a_value_are_left_out_with_a_note(tmp_path):
    found = read(tmp_path, "timestamp,gco2e_per_kwh\n2026-01-01,1\n2026-01-02,\n2026-01-03,3\n2026-01-04,4\n")
    assert found.gco2e_per_kwh.tolist() == [1, 3, 4]
    assert found.notes[-1] == "left out: 1 without a value, the first in line 3"


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("", "intensity", 1),
        ("time,co2\n1,2\n", "intensity", 1),
        ("timestamp,gco2e_per_kwh\n2026-01-01,1\n", "intensity", None),
        ("timestamp,gco2e_per_kwh\n2026-01-01,1\n\n2026-13-01,2\n", "timestamp", 4),
        ("timestamp,gco2e_per_kwh\n2026-01-01,1\n1767225600,2\n", "timestamp", 3),
        ("timestamp,gco2e_per_kwh\n2026-01-01,1\n2026-01-01,1\n", "timestamp", 3),
        ("timestamp,gco2e_per_kwh\n2026-01-01T00:00Z,1\n2026-01-01 01:00,1\n", "timestamp", 3),
        ("timestamp,gco2e_per_kwh\n2026-01-01,-1\n2026-01-02,1\n", "gco2e_per_kwh", 2),
        ("timestamp,gco2e_per_kwh\n2026-01-01,1\n2026-01-02,2001\n", "gco2e_per_kwh", 3),
        ("timestamp,gco2e_per_kwh\n2026-01-01,nan\n2026-01-02,1\n", "gco2e_per_kwh", 2),
        ("timestamp,gco2e_per_kwh\n2026-01-01,high\n2026-01-02,1\n", "gco2e_per_kwh", 2),
        ("timestamp,gco2e_per_kwh\n2026-01-01\n", "intensity", 2),
        ("timestamp,gco2e_per_kwh,timestamp\n2026-01-01,1,2\n", "timestamp", 1),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path, text, field, line):
    error = refusal(tmp_path, text)
    assert (error.field, error.line) == (field, line)


# Means


@given(st.lists(st.floats(0, 2000), min_size=2, max_size=20), st.data())
def test_the_mean_over_an_interval_is_the_integral_over_its_length(values, data):
    edges = np.cumsum([T0, *data.draw(st.lists(st.floats(60, 7200), min_size=len(values), max_size=len(values)))])
    found = series(edges[:-1], edges[1:], values)
    a, b = sorted(data.draw(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True)))
    start, stop = (edges[0] + share * (edges[-1] - edges[0]) for share in (a, b))
    if stop - start < 1:
        stop = min(start + 1, edges[-1])
        start = stop - 1
    overlap = np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None)
    assert found.mean([start], [stop])[0] == pytest.approx(overlap @ np.array(values) / (stop - start), abs=0.01)


@given(st.floats(0, 2000), st.floats(0.0, 9000.0), st.floats(0.001, 1000.0))
def test_a_constant_series_is_exact_over_any_interval(value, after, length):
    found = series([T0, T0 + 5000], [T0 + 5000, T0 + 10000], [value, value])
    start = T0 + after
    assert found.mean([start], [start + length])[0] == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(("start", "stop"), [(-1, 100), (7000, 7201), (-200, -100), (8000, 9000)])
def test_times_outside_are_refused(start, stop):
    found = series([T0, T0 + HOUR], [T0 + HOUR, T0 + 2 * HOUR], [1, 2])
    with pytest.raises(BadInput, match="it has 2026-01-01T00:00:00Z to 2026-01-01T02:00:00Z"):
        found.mean([T0, T0 + start], [T0 + HOUR, T0 + stop])


def test_intervals_that_end_before_they_start_are_refused():
    with pytest.raises(BadInput, match="start before stop"):
        series([T0], [T0 + HOUR], [1]).mean([T0 + 5], [T0 + 5])
