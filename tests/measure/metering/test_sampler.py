import os
import threading
import time

import numpy as np
import pytest
from made import Played, channel

from inferatlas.errors import BadInput
from inferatlas.measure.metering import sampler as module
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.kept import KEPT, Kept
from inferatlas.measure.metering.logs.journal import ENDING, Journal, read_journal
from inferatlas.measure.metering.sampler import Sampler, keep_time


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


class Odd(Played):
    """A source that gives whatever a function says."""

    def __init__(self, gives, many: int = 2, **more) -> None:
        super().__init__(*[(channel("instant", device=str(n)), lambda t: 1.0) for n in range(many)], **more)
        self.gives = gives

    def read(self):
        self.reads += 1
        return self.gives()


@pytest.mark.parametrize(
    "gives",
    [lambda: None, lambda: [(0, 1, 2.0, 0), (1, None, 2.0, 0)], lambda: [(7, 1, 2.0, 0)], lambda: [(0, 1, "x", 0)],
     lambda: [(0, 1)], lambda: 1 / 0],
    ids=["nothing", "no time", "no channel", "no number", "no reading", "raises"],
)  # fmt: skip
def test_what_is_no_reading_is_a_fault_of_all_channels_and_the_columns_stay_in_step(gives):
    kept, good = Kept(3, 2), Played((channel("instant"), lambda t: 300.0), (channel("average"), lambda t: 1.0))
    kept.add(good)
    assert kept.add(Odd(gives)) == 2
    kept.add(good)
    records = kept.records()
    assert records["channel"].tolist() == [3, 4] * 3
    assert records["fault"].tolist() == [0, 0, Fault.FAILED, Fault.FAILED, 0, 0]
    assert np.isnan(records["value"][2:4]).all() and records["t_ns"][2] > 1


def test_a_source_that_gives_no_answer_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    go_on = threading.Event()
    stuck, good = Odd(lambda: go_on.wait(10.0) or []), Played((channel("counter"), lambda t: 300.0 * t))
    sampler = Sampler([stuck, good], 0.005).start()
    time.sleep(0.03)
    sampler.stop()
    log = sampler.log()
    assert good.closed and not stuck.closed and log.series[2].t_ns.size == good.reads > 2
    assert log.notes == ("nvml gave no answer at the end, and was left",)
    go_on.set()


def test_sources_are_closed_whatever_becomes_of_the_sampler(tmp_path):
    unused, twice, refused = (Played((channel("instant"), lambda t: 1.0)) for _ in range(3))
    Sampler([unused]).stop()
    assert unused.closed
    with pytest.raises(BadInput, match="cannot be written"):
        Sampler([refused], 0.01, Journal(tmp_path / "none" / "p.journal")).start()
    assert refused.closed
    sampler = Sampler([twice], 0.01).start()
    with pytest.raises(BadInput, match="ran already"):
        sampler.start()
    assert not twice.closed
    sampler.stop()
    with pytest.raises(BadInput, match="ran already"):
        sampler.start()
    assert twice.closed


def test_without_sources_there_is_an_empty_log(tmp_path):
    sampler = Sampler([], 0.01, Journal(tmp_path / "p.journal")).start()
    sampler.flush()
    assert sampler.fresh([])[0].size == 0 and sampler.read_since(0)
    sampler.stop()
    assert sampler.log().series == () and sampler.cost().cpu_s == 0.0


def test_no_source_is_read_faster_than_makes_sense_however_many_windows_there_are():
    began = []
    source = Odd(lambda: began.append(time.monotonic()) or [], least_s=0.02)
    sampler = Sampler([source], 0.02).start()
    for _ in range(60):
        sampler.now()
        time.sleep(0.001)
    sampler.stop()
    assert len(began) > 3 and np.diff(began).min() >= 0.0199


def test_a_round_that_was_under_way_is_no_reading_after_a_moment():
    """Its first channel was read before, and its edge would have no reading beyond."""
    kept, source = Kept(0, 1), Played((channel("instant"), lambda t: 1.0))
    moment = []
    kept.add(Odd(lambda: moment.append(time.monotonic_ns()) or source.read(), 1))
    assert not kept.read_since(moment[0]) and kept.read_since(moment[0] - 10**9)
    kept.add(source)
    assert kept.read_since(moment[0])
    stale = Kept(0, 1)  # stamps of its own, from before
    stale.add(Odd(lambda: [(0, 5, 1.0, 0)], 1))
    assert not stale.read_since(time.monotonic_ns() - 10**8) and stale.read_since(time.monotonic_ns() - 2 * 10**9)


def test_no_reading_is_lost_between_disk_and_memory(tmp_path, monkeypatch):
    source = Played((channel("instant"), lambda t: 300.0))
    sampler = Sampler([source], 3600.0, Journal(tmp_path / "p.journal")).start()
    kept, records = sampler._kept[0], sampler.journal.records

    def meanwhile():
        found = records()
        kept.add(source)
        other = threading.Thread(target=sampler.flush)  # as happens every second
        other.start()
        other.join(0.02)
        return found

    monkeypatch.setattr(sampler.journal, "records", meanwhile)
    for _ in range(5):
        kept.add(source)
    assert sampler.log().series[0].t_ns.size == source.reads
    sampler.stop()


def test_readings_that_the_disk_does_not_give_back_are_not_silently_missing(tmp_path, monkeypatch):
    sampler = Sampler([Played((channel("instant"), lambda t: 300.0))], 0.005, Journal(tmp_path / "p.journal")).start()

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    sampler.stop()
    assert any("lost: " in note and "Input/output error" in note for note in sampler.log().notes)


def test_a_copy_in_another_process_touches_nothing(tmp_path, monkeypatch):
    source = Played((channel("instant"), lambda t: 300.0))
    sampler = Sampler([source], 0.005, Journal(tmp_path / "p.journal")).start()
    time.sleep(0.02)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        size = (tmp_path / "p.journal").stat().st_size
        sampler.flush()
        sampler.stop()
        assert (tmp_path / "p.journal").stat().st_size == size and not source.closed
    sampler.stop()
    assert source.closed and read_journal(tmp_path / "p.journal").series[0].t_ns.size == source.reads
