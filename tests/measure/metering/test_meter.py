import time

import pytest
from made import Played, channel

from inferatlas import measure
from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.channel import Fault
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
