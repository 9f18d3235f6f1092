import os
import signal
import sys
import threading
import time

import pytest
from made import Played, channel

from inferatlas.errors import BadInput
from inferatlas.measure.metering.meter import Meter
from inferatlas.measure.metering.reporting import Counts, Site
from inferatlas.measure.metering.running import run_command

PYTHON = sys.executable


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
