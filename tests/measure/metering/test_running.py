import os
import signal
import sys
import threading
import time

import pytest
from made import Played, channel

from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.measure.metering import running
from inferatlas.measure.metering.meter import Meter
from inferatlas.measure.metering.reporting import Counts, Site
from inferatlas.measure.metering.running import run_command

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(running, "LEAD_S", 0.01)


def meter() -> Meter:
    return Meter([Played((channel("instant"), lambda t: 400.0))], interval_s=0.005)


def test_a_command_is_measured_and_its_status_kept():
    found = run_command([PYTHON, "-c", "import time; time.sleep(0.1); raise SystemExit(7)"], meter())
    (one,) = found.windows
    assert found.exit_code == 7 and one.duration_s >= 0.1
    assert set(one.reasons) <= {"gap_too_long"}  # a busy machine may be late
    assert one.joules == pytest.approx(400.0 * one.duration_s, rel=1e-3)
    assert found.cost.reads > 10 and found.command[0] == PYTHON


def test_idle_time_before_is_measured_and_taken_off():
    waited = []
    found = run_command(
        [PYTHON, "-c", "pass"], meter(), idle_s=1.0, waiting=lambda s: (waited.append(s), time.sleep(s)),
        counts=Counts(requests=4, output_tokens=100), site=Site(region="FRA", pue=1.2, usd_per_kwh=0.1),
    )  # fmt: skip
    assert 1.0 in waited
    (both,) = found.idle
    assert both.idle.power_w == pytest.approx(400.0) and abs(both.net.joules) < 1e-6 * both.gross.joules + 1e-6
    assert [one.name for one in found.per] == ["gpu_joules_per_request", "gpu_joules_per_output_token"]
    assert found.per[0].joules == pytest.approx(found.windows[0].joules / 4)
    assert found.footprints[0]["cost"].value == pytest.approx(found.windows[0].joules * 1.2 / 3.6e6 * 0.1)


def test_a_command_ended_by_a_signal_has_the_status_of_shells():
    found = run_command([PYTHON, "-c", "import os; os.kill(os.getpid(), 15)"], meter())
    assert found.exit_code == 128 + signal.SIGTERM


def test_ctrl_c_ends_the_command_and_what_it_took_is_told():
    # the terminal sends it to both; here the command waits for its own
    code = "import os, signal, sys, time\nsignal.signal(2, lambda *_: sys.exit(5))\nos.kill(os.getppid(), 2)\n"
    code += "os.kill(os.getpid(), 2)\ntime.sleep(20)"
    assert threading.current_thread() is threading.main_thread()
    found = run_command([PYTHON, "-c", code], meter())
    assert found.exit_code == 5 and found.windows[0].joules > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "no command"), (["no-such-program-here"], "is not a program"), (["/etc/passwd"], "cannot be started"),
     (["a\0b"], "cannot be started")],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(words, said):
    with pytest.raises(BadInput, match=said):
        run_command(words, meter())


@pytest.mark.parametrize("idle", [-1.0, float("nan"), 1e9])
def test_an_idle_time_out_of_range_is_refused(idle):
    with pytest.raises(BadInput, match="idle"):
        run_command([PYTHON], meter(), idle_s=idle)


def test_output_goes_where_it_is_told(tmp_path):
    with (tmp_path / "out").open("wb") as file:
        run_command([PYTHON, "-c", "print('hello')"], meter(), stdout=file.fileno())
    assert (tmp_path / "out").read_text() == f"hello{os.linesep}"


def telling(sign: int, ignoring: tuple[int, ...] = ()) -> list[str]:
    """A command that has us told to end until that ends it."""
    code = "import os, signal, time\n" + "".join(f"signal.signal({one}, signal.SIG_IGN)\n" for one in ignoring)
    return [PYTHON, "-c", f"{code}while True:\n    os.kill(os.getppid(), {sign})\n    time.sleep(0.05)"]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_us_ends_the_command_and_its_energy_is_told(sign):
    before = signal.getsignal(sign)
    found = run_command(telling(sign), meter())
    assert found.exit_code == 128 + sign and found.windows[0].joules > 0
    assert signal.getsignal(sign) is before


def test_a_second_ctrl_c_ends_the_command_and_a_third_one_that_will_not():
    assert run_command(telling(2, ignoring=(2,)), meter()).exit_code == 128 + signal.SIGTERM
    assert run_command(telling(2, ignoring=(2, 15)), meter()).exit_code == 128 + signal.SIGKILL


def test_a_signal_that_is_ignored_stays_so_for_the_command_too():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        found = run_command([PYTHON, "-c", "import signal, sys; sys.exit(signal.getsignal(1) != 1)"], meter())
        assert found.exit_code == 0 and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_a_command_runs_without_our_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(run_command([PYTHON, "-c", "pass"], meter())))
    thread.start()
    thread.join()
    assert found[0].exit_code == 0 and found[0].windows[0].joules > 0


def test_a_command_that_ends_at_once_lies_between_readings():
    found = run_command(["true"], meter())
    assert found.exit_code == 0 and found.windows[0].joules > 0
    assert "edge_not_bracketed" not in found.windows[0].reasons


def test_what_a_command_leaves_running_is_not_waited_for():
    began = time.monotonic()
    found = run_command(["sh", "-c", "sleep 3 >/dev/null 2>&1 & exit 6"], meter())
    assert found.exit_code == 6 and time.monotonic() - began < 2.5


def test_ctrl_c_in_the_idle_time_runs_nothing_and_closes_the_meter(tmp_path):
    source = Played((channel("instant"), lambda t: 400.0))
    waits = []

    def interrupted(seconds: float) -> None:
        waits.append(seconds)
        if seconds == 30.0:
            raise KeyboardInterrupt

    one = Meter([source], interval_s=0.005, record=tmp_path / "p.csv")
    with pytest.raises(KeyboardInterrupt):
        run_command(["touch", str(tmp_path / "ran")], one, idle_s=30.0, waiting=interrupted)
    assert source.closed and (tmp_path / "p.csv").exists() and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [({"counts": Counts(requests=0)}, "above 0"), ({"site": Site(region="Atlantis")}, "unknown region"),
     ({"site": Site(pue=1.2)}, "need the grid"), ({"site": Site(region="FRA", pue=0.5)}, "pue"),
     ({"site": Site(region="FRA", carbon_series="none.csv")}, "none.csv")],
)  # fmt: skip
def test_what_cannot_be_told_of_a_command_is_refused_before_it_runs(tmp_path, more, said):
    source = Played((channel("instant"), lambda t: 400.0))
    with pytest.raises(InferAtlasError, match=said):
        run_command(["touch", str(tmp_path / "ran")], Meter([source], interval_s=0.005), **more)
    assert not (tmp_path / "ran").exists() and source.closed


def test_what_turns_out_to_be_impossible_later_leaves_the_energies(tmp_path):
    grid = tmp_path / "grid.csv"
    grid.write_text("timestamp,gco2e_per_kwh\n2020-01-01T00:00:00Z,100\n2020-01-01T01:00:00Z,100\n")
    site = Site(region="FRA", pue=1.2, carbon_series=str(grid))
    found = run_command([PYTHON, "-c", "raise SystemExit(4)"], meter(), counts=Counts(requests=2), site=site)
    assert found.exit_code == 4 and found.windows[0].joules > 0 and found.per and not found.footprints
    assert any("neither idle nor footprint" in note for note in found.notes)


def test_a_file_that_cannot_be_written_leaves_status_and_energies(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    one = Meter([Played((channel("instant"), lambda t: 400.0))], interval_s=0.005, record=folder / "p.csv")
    found = run_command([PYTHON, "-c", f"import shutil, sys; shutil.rmtree({str(folder)!r}); sys.exit(9)"], one)
    assert found.exit_code == 9 and found.windows[0].joules > 0
    assert any("the readings were not kept" in note for note in found.notes)


def test_what_a_source_does_not_read_is_said_with_the_energy():
    source = Played((channel("instant"), lambda t: 400.0))
    source.notes = ("GPU 3 is not read: not permitted",)
    found = run_command([PYTHON, "-c", "pass"], Meter([source], interval_s=0.005))
    assert "nvml: GPU 3 is not read: not permitted" in found.notes
