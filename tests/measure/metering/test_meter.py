import os
import shutil
import threading
import time

import pytest
from made import Played, channel

from inferatlas import measure
from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.logs.journal import read_journal
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable

CARD = channel("counter", update_s=0.001), lambda t: 1e5 + 400.0 * t
NODE = channel("instant", source="redfish", scope=Scope.NODE_AC), lambda t: 900.0


def metered(*sources, **more):
    return measure.Meter(sources, interval_s=0.005, **more)


def test_a_window_has_its_energy_while_the_meter_runs_and_after():
    with metered(Played(CARD), Played(NODE)) as meter:
        time.sleep(0.02)
        with meter.window("decode"):
            time.sleep(0.1)
        during = meter["decode"].energy
    after = meter["decode"].energy
    assert during.method == "counter" and during.scope is Scope.GPU
    assert set(during.reasons) <= {"gap_too_long"}  # a busy machine may be late
    assert during.joules == pytest.approx(400.0 * meter["decode"].duration_s, rel=0.02)
    assert after.joules == pytest.approx(during.joules, rel=0.01)
    assert [one.source for one in meter["decode"].energies] == ["nvml", "redfish"]
    assert meter["all"].energy.joules > after.joules and meter["all"].duration_s > 0.12


def test_windows_lie_in_each_other_and_a_name_that_comes_again_adds_up():
    with metered(Played(CARD)) as meter:
        time.sleep(0.02)
        with meter.window("whole"):
            for _ in range(3):
                with meter.window("step"):
                    time.sleep(0.03)
                time.sleep(0.01)
    whole, step = meter["whole"], meter["step"]
    assert len(step.spans) == 3 and step.duration_s == pytest.approx(sum(b - a for a, b in step.spans) / 1e9)
    assert step.energy.joules == pytest.approx(400.0 * step.duration_s, rel=0.05)
    assert step.energy.mean_w == pytest.approx(400.0, rel=0.05)
    assert step.energy.joules < whole.energy.joules


def test_a_window_is_kept_when_its_block_fails():
    with metered(Played(CARD)) as meter, pytest.raises(RuntimeError), meter.window("broken"):
        time.sleep(0.03)
        raise RuntimeError
    assert meter["broken"].energy.joules > 0


def test_without_anything_to_read_the_energy_is_unknown_with_the_reason(monkeypatch):
    from inferatlas.measure.metering import meter as module
    from inferatlas.measure.metering.finding import Found, Refusal

    monkeypatch.setattr(module, "find", lambda names: Found((), (Refusal("nvml", "no driver", "install it"),)))
    with measure.Meter() as meter, meter.window("decode"):
        pass
    energy = meter["decode"].energy
    assert energy.joules is None and energy.reasons == ("no_source",)
    assert meter.refusals[0].why == "no driver"


def test_a_sensor_that_vanishes_leaves_the_window_invalid_and_the_run_goes_on():
    lost = channel("average", window_s=0.01), lambda t: 300.0 if t < 0.08 else Fault.DEVICE_LOST
    with metered(Played(lost), Played(NODE)) as meter:
        time.sleep(0.02)
        with meter.window("decode"):
            time.sleep(0.15)
    card, node = meter["decode"].energies
    assert "device_lost" in card.reasons and 0 < card.joules < 300.0 * 0.15
    assert node.joules == pytest.approx(900.0 * meter["decode"].duration_s, rel=0.01)


def test_a_record_holds_what_was_read_and_its_journal_goes(tmp_path):
    from inferatlas.measure.metering.logs.tables import read_log

    path = tmp_path / "power.parquet"
    with metered(Played(CARD), Played(NODE), record=path) as meter:
        with meter.window("decode"):
            time.sleep(0.05)
        assert (tmp_path / "power.parquet.journal").exists()
    assert [one.name for one in tmp_path.iterdir()] == ["power.parquet"]
    log = read_log(path)
    assert [(one.channel, one.t_ns.tolist()) for one in log.series] == [
        (one.channel, one.t_ns.tolist()) for one in meter.log().series
    ]
    assert meter["decode"].energy.joules > 0


def test_wrong_names_are_refused(tmp_path):
    with metered(Played(CARD)) as meter:
        with meter.window("decode"):
            time.sleep(0.01)
        for name in ("", "all"):
            with pytest.raises(BadInput, match="names no window"), meter.window(name):
                pass
        with pytest.raises(UnknownName, match="did you mean decode"):
            meter["decod"]
    with pytest.raises(UnknownName, match="did you mean nvml"):
        measure.Meter(["nvlm"])
    with pytest.raises(Unavailable, match="no documented power"):
        measure.Meter(["tpu"])
    with pytest.raises(BadInput, match="names no table"):
        metered(Played(CARD), record=tmp_path / "power.txt")
    with pytest.raises(BadInput, match="folder does not exist"):
        metered(Played(CARD), record=tmp_path / "none" / "power.csv")
    with pytest.raises(AttributeError, match="no attribute 'Metre'"):
        measure.Metre  # noqa: B018


def test_a_window_may_begin_at_once_and_the_whole_lies_between_readings():
    for _ in range(5):
        with metered(Played(CARD), Played(NODE)) as meter, meter.window("first"):
            time.sleep(0.01)
        for name in ("first", "all"):
            assert all("edge_not_bracketed" not in one.reasons for one in meter[name].energies)


def test_a_window_that_ends_within_a_round_of_readings_waits_for_the_next():
    """A source of many channels is read for some milliseconds; the first of them before the window ended."""
    gpus = [(channel("instant", device=str(n)), lambda t: time.sleep(0.002) or 400.0) for n in range(5)]
    with metered(Played(*gpus)) as meter:
        for n in range(10):
            with meter.window(str(n)):
                time.sleep(0.005)
            assert all("edge_not_bracketed" not in one.reasons for one in meter[str(n)].energy.devices)


def test_a_meter_runs_once_and_one_that_never_ran_closes_its_sources():
    source = Played(CARD)
    meter = metered(source)
    meter.close()
    assert source.closed and meter.log().series[0].t_ns.size == 0 and not meter.ended
    ran = metered(Played(CARD))
    with ran:
        pass
    ran.close()  # a second time is nothing
    with pytest.raises(BadInput, match="does not run yet"), metered(Played(CARD)).window("early"):
        pass
    for used in (meter, ran):
        with pytest.raises(BadInput, match="ran already"), used:
            pass
    assert ran["all"].energy.joules > 0


def test_an_open_window_has_no_energy_yet_and_an_empty_one_has_one():
    with metered(Played(CARD)) as meter:
        with meter.window("open") as window, pytest.raises(BadInput, match="still open"):
            window.energy  # noqa: B018
        for _ in range(500):
            with meter.window("empty"):
                pass
        empty = meter["empty"]
    assert len(empty.spans) == 500 and all(b > a for a, b in empty.spans)
    assert 0 < empty.energy.joules < 400.0 * meter["all"].duration_s and not empty.energy.valid


def test_windows_of_other_threads_and_those_that_outlive_the_meter_are_measured():
    def other(name: str, until: threading.Event) -> None:
        with meter.window(name):
            until.wait(5.0)

    inside, beyond = threading.Event(), threading.Event()
    with metered(Played(CARD)) as meter:
        threads = [threading.Thread(target=other, args=one) for one in (("inside", inside), ("beyond", beyond))]
        for one in threads:
            one.start()
        time.sleep(0.03)
        inside.set()
        threads[0].join()
    beyond.set()
    threads[1].join()
    assert meter["inside"].energy.joules == pytest.approx(400.0 * meter["inside"].duration_s, rel=0.05)
    assert "edge_not_bracketed" in meter["beyond"].energy.reasons


def test_devices_of_a_name_that_comes_again_keep_their_energies():
    both = Played(*((channel("instant", device=str(n)), lambda t, n=n: 100.0 + 200.0 * n) for n in range(2)))
    with metered(both) as meter:
        for _ in range(3):
            with meter.window("step"):
                time.sleep(0.01)
    energy = meter["step"].energy
    assert [one.device for one in energy.devices] == ["0", "1"]
    assert sum(one.joules for one in energy.devices) == pytest.approx(energy.joules)
    assert energy.mean_w == pytest.approx(400.0, rel=1e-6)


@pytest.mark.parametrize("name", ["power.parquet", "power.csv"])
def test_where_the_file_cannot_be_written_energies_stand_and_the_readings_stay(tmp_path, name, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    meter = metered(Played(CARD), record=folder / name)
    with pytest.raises(BadInput, match="cannot be written"), meter:
        with meter.window("decode"):
            time.sleep(0.01)
        shutil.rmtree(folder)  # the journal loses its name
    assert meter["decode"].energy.joules > 0 and meter.trouble is not None

    def full(*_):
        raise ValueError("parquet: No space left on device")  # as polars has it, no OSError

    monkeypatch.setattr("inferatlas.measure.metering.logs.tables.write_table", full)
    kept = metered(Played(CARD), record=tmp_path / name)
    with pytest.raises(BadInput, match=f"No space left on device\n  the readings are in .*{name}.journal"), kept:
        time.sleep(0.01)
    assert read_journal(tmp_path / f"{name}.journal").series[0].t_ns.size == kept.log().series[0].t_ns.size
    (tmp_path / "again").mkdir()
    failed = metered(Played(CARD), record=tmp_path / "again" / name)
    with pytest.raises(RuntimeError), failed:  # not hidden by that of the file
        raise RuntimeError
    assert "No space left" in str(failed.trouble)


def test_a_copy_in_another_process_leaves_record_and_journal_alone(tmp_path, monkeypatch):
    path = tmp_path / "power.csv"
    with metered(Played(CARD), record=path) as meter:
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)
            meter.close()
        assert not path.exists() and (tmp_path / "power.csv.journal").exists()
    assert path.exists() and meter["all"].energy.joules > 0


def test_windows_of_one_name_that_overlap_are_one():
    """A device that serves two threads at once draws no more for it."""
    with metered(Played(CARD)) as meter:
        with meter.window("request"):
            time.sleep(0.01)
            with meter.window("request"):
                time.sleep(0.02)
        with meter.window("request"):
            time.sleep(0.01)
        request = meter["request"]
    assert len(request.spans) == 3 and len(request.open_ns) == 2
    assert request.duration_s < meter["all"].duration_s
    assert request.energy.joules == pytest.approx(400.0 * request.duration_s, rel=0.05)
