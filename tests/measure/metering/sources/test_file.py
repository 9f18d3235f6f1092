"""A recorded log as a source."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Fault, Reading, missing
from inferatlas.measure.metering.logs.log import log_of
from inferatlas.measure.metering.logs.tables import write_table
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Source, Unavailable
from inferatlas.measure.metering.sources import file
from inferatlas.measure.metering.sources.file import INTERFACE, ReplaySource, open_source

SECOND = 10**9
CARD = Channel("nvml", "GPU-1", "power_w", "average", Scope.GPU, window_s=1.0, update_s=0.1)
COUNTER = Channel("nvml", "GPU-1", "energy_j", "counter", Scope.GPU)
READINGS = [
    Reading(0, 100 * SECOND, 400.0),
    Reading(1, 100 * SECOND, 9000.0),
    missing(0, 101 * SECOND, Fault.NOT_AVAILABLE),
    Reading(1, 101 * SECOND, 9400.0),
    Reading(0, 102 * SECOND, 410.0),
]


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, now_ns: int = 5 * SECOND) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source(clock):
    return ReplaySource(log_of([CARD, COUNTER], READINGS), clock=clock)


def test_keeps_what_the_log_says_of_its_channels(source: Source):
    assert source.channels == (CARD, COUNTER)
    assert source.name == INTERFACE.name == "file"
    assert source.least_s == 1.0


def test_gives_every_reading_once_when_its_time_has_come(source, clock):
    assert [(one.channel, one.t_ns, one.value) for one in source.read()] == [
        (0, 5 * SECOND, 400.0),
        (1, 5 * SECOND, 9000.0),
    ]
    clock.now_ns += SECOND - 1
    assert not source.read()
    clock.now_ns += 1
    gone, held = source.read()
    assert (gone.channel, gone.t_ns, gone.fault) == (0, 6 * SECOND, Fault.NOT_AVAILABLE)
    assert np.isnan(gone.value)
    assert held.value == 9400.0


def test_gives_nothing_after_the_last_and_what_was_missed_at_once(source, clock):
    clock.now_ns += 3600 * SECOND
    assert len(source.read()) == len(READINGS)
    clock.now_ns += 3600 * SECOND
    assert not source.read()


def test_plays_faster_with_the_times_of_the_log(clock):
    source = ReplaySource(log_of([CARD, COUNTER], READINGS), speed=10.0, clock=clock)
    clock.now_ns += SECOND // 5
    assert [one.t_ns for one in source.read()][-1] == 7 * SECOND
    assert source.least_s == 0.1


def test_a_clock_that_was_set_back_in_the_log_stops_nothing(clock):
    times = (100, 99, 101)
    source = ReplaySource(log_of([CARD], [Reading(0, at * SECOND, 1.0) for at in times]), clock=clock)
    assert [one.t_ns for one in source.read()] == [5 * SECOND, 4 * SECOND]
    clock.now_ns += SECOND
    assert [one.t_ns for one in source.read()] == [6 * SECOND]


def test_is_closed_from_another_thread_and_twice(source):
    thread = threading.Thread(target=source.close)
    thread.start()
    thread.join()
    source.close()
    assert not source.read()


def test_is_opened_by_its_address(tmp_path, clock):
    path = tmp_path / "power.csv"
    write_table(log_of([CARD, COUNTER], READINGS), path)
    opened = open_source(str(path), clock=clock)
    assert opened.channels == (CARD, COUNTER)
    fast = open_source(f"{path}@60x", clock=clock)
    clock.now_ns += SECOND
    assert len(fast.read()) == len(READINGS)
    assert len(opened.read()) == 4


@pytest.mark.parametrize("address", ["", " "])
def test_no_file_is_no_source(address):
    with pytest.raises(BadInput, match="needs an address"):
        open_source(address)


def test_a_log_without_readings_is_no_source(tmp_path):
    write_table(log_of([CARD], []), tmp_path / "power.parquet")
    with pytest.raises(Unavailable, match="holds no reading"):
        open_source(str(tmp_path / "power.parquet"))


def test_a_log_that_holds_one_reading_twice_over_is_refused(tmp_path, monkeypatch):
    doubled = log_of([CARD, replace(CARD, limit_w=700.0)], [Reading(0, 0, 1.0), Reading(1, 0, 1.0)])
    monkeypatch.setattr(file, "read_log", lambda name: doubled)
    with pytest.raises(BadInput, match="twice over"):
        open_source("power.csv")


def test_what_is_no_log_or_no_speed_is_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        open_source(str(tmp_path / "none.csv"))
    with pytest.raises(BadInput, match="no speed"):
        open_source("power.csv@0x")
