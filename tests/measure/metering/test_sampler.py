import time

import numpy as np
import pytest
from made import Played, channel

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.logs.journal import ENDING, Journal, read_journal
from inferatlas.measure.metering.sampler import KEPT, Kept, Sampler, keep_time


class Virtual:
    """A clock that only waiting moves; reading takes ``read_s``."""

    def __init__(self, end_s: float, read_s: float = 0.0) -> None:
        self.now, self.end_s, self.read_s, self.times = 0.0, end_s, read_s, []

    def read(self) -> int:
        self.times.append(self.now)
        self.now += self.read_s
        return 1

    def wait(self, seconds: float) -> bool:
        self.now += max(seconds, 0.0)
        return self.now >= self.end_s

    def run(self, period: float) -> tuple[int, int, float]:
        return keep_time(self.read, period, self.wait, lambda: self.now)


def test_ten_minutes_keep_their_rate_and_their_jitter():
    time_kept = Virtual(600.0, read_s=0.003)
    reads, missed, late = time_kept.run(0.1)
    assert abs(reads - 6001) <= 1 and missed == 0 and late == 0.0
    off = np.array(time_kept.times[1:-1]) - 0.1 * np.arange(1, len(time_kept.times) - 1)
    assert np.abs(off).max() <= 0.005 + 1e-9 and off.std() > 0.002  # no drift, and not in step with the load
    assert time_kept.times[-1] >= 600.0  # a reading after the end


def test_a_slow_source_misses_deadlines_and_does_not_catch_up():
    slow = Virtual(60.0, read_s=0.25)
    reads, missed, _ = slow.run(0.1)
    assert 190 <= reads <= 205 and missed == pytest.approx(2 * reads, rel=0.1)
    assert np.diff(slow.times).min() >= 0.24


def test_sources_are_read_side_by_side_and_their_cost_is_known():
    quick = Played((channel("instant"), lambda t: 300.0), (channel("counter"), lambda t: 300.0 * t))
    slow = Played((channel("instant", source="redfish"), lambda t: time.sleep(0.03) or 900.0), least_s=0.05)
    sampler = Sampler([quick, slow], 0.005).start()
    time.sleep(0.2)
    sampler.stop()
    log = sampler.log()
    assert [one.t_ns.size for one in log.series] == [quick.reads, quick.reads, slow.reads]
    assert quick.reads > 3 * slow.reads > 3
    assert quick.closed and slow.closed
    cost = sampler.cost()
    assert cost.reads == 2 * quick.reads + slow.reads and 0.0 < cost.cpu_s < cost.wall_s
    sampler.stop()  # a second time is nothing


def test_a_source_that_breaks_its_contract_is_a_fault_and_the_others_go_on():
    def broken(t: float) -> float:
        raise RuntimeError("a defect")

    bad, good = Played((channel("instant"), broken)), Played((channel("instant", source="rapl"), lambda t: 100.0))
    sampler = Sampler([bad, good], 0.005).start()
    time.sleep(0.05)
    sampler.stop()
    first, second = sampler.log().series
    assert set(first.fault.tolist()) == {Fault.FAILED} and np.isnan(first.value).all()
    assert second.value.size > 2 and (second.value == 100.0).all()


def test_everything_is_on_the_disk_within_a_second_and_memory_stays_small(tmp_path):
    source = Played((channel("instant"), lambda t: 300.0))
    journal = Journal(tmp_path / f"power.parquet{ENDING}")
    sampler = Sampler([source], 0.001, journal)
    sampler.start()
    time.sleep(0.05)
    sampler.flush()  # what happens every second
    on_disk = read_journal(journal.path).series[0]
    assert 0 < on_disk.t_ns.size <= source.reads
    kept = sampler._kept[0]
    for _ in range(3 * KEPT):
        kept.add(source)
    sampler.flush()
    assert len(kept.t_ns) <= KEPT + 10
    sampler.stop()
    (whole,) = sampler.log().series
    assert whole.t_ns.size == source.reads


def test_a_full_disk_leaves_readings_in_memory():
    source = Played((channel("instant"), lambda t: 300.0))
    sampler = Sampler([source], 0.002, Journal("/dev/full"))
    with pytest.raises(BadInput, match="No space left"):
        sampler.start()


def test_a_disk_that_fills_up_on_the_way_loses_nothing(tmp_path, monkeypatch):
    source = Played((channel("instant"), lambda t: 300.0))
    journal = Journal(tmp_path / "p.journal")
    sampler = Sampler([source], 0.002, journal).start()
    time.sleep(0.02)
    sampler.flush()

    def full(_: bytes) -> None:
        raise BadInput("cannot be written: No space left on device", field="output", file=journal.path)

    monkeypatch.setattr(journal, "_put", full)
    time.sleep(0.03)
    sampler.stop()
    assert sampler.trouble is not None and "No space left" in str(sampler.trouble)
    assert sampler.log().series[0].t_ns.size == source.reads


def test_readings_of_a_source_come_back_as_they_were_kept():
    kept = Kept(3, 2)
    source = Played((channel("instant"), lambda t: 300.0), (channel("average"), lambda t: Fault.NOT_AVAILABLE))
    kept.add(source)
    records = kept.records()
    assert records["channel"].tolist() == [3, 4] and records["fault"].tolist() == [0, Fault.NOT_AVAILABLE]
    assert kept.records(2).size == 0


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan"), 1e9])
def test_an_interval_out_of_range_is_refused(interval):
    with pytest.raises(BadInput, match="interval"):
        Sampler([], interval)


def test_readings_since_the_last_look_come_once(tmp_path):
    source = Played((channel("instant"), lambda t: 300.0), (channel("counter"), lambda t: 300.0 * t))
    sampler = Sampler([source], 0.001, Journal(tmp_path / "p.journal")).start()
    seen, total = [0], 0
    for _ in range(5):
        time.sleep(0.01)
        fresh, seen = sampler.fresh(seen)
        total += fresh.size
        sampler.flush()
    sampler.stop()
    fresh, seen = sampler.fresh(seen)
    assert total + fresh.size == 2 * source.reads == seen[0]
    assert sampler.fresh(seen)[0].size == 0


def test_the_readings_of_a_window_do_not_cost_the_whole_log():
    source = Played((channel("instant"), lambda t: 300.0))
    sampler = Sampler([source], 0.001).start()
    time.sleep(0.2)
    sampler.stop()
    whole = sampler.log().series[0]
    late = sampler.log(int(whole.t_ns[-10])).series[0]
    assert late.t_ns.size == 70 and late.t_ns[-1] == whole.t_ns[-1]
