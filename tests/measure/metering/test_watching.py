import os
import shutil
import signal
import tempfile
import threading
import urllib.request

import numpy as np
import pytest
from made import Played, channel

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.exporter import metrics, served
from inferatlas.measure.metering.live import Live, spark, take_all
from inferatlas.measure.metering.logs.journal import RECORD
from inferatlas.measure.metering.watching import watch

S = 10**9


def steady() -> Played:
    return Played((channel("instant"), lambda t: 400.0), (channel("counter", device="GPU-2"), lambda t: 300.0 * t))


def records(*rows) -> np.ndarray:
    return np.array(list(rows), dtype=RECORD)


def test_watching_shows_figures_and_ends_with_energies():
    seen = []

    def begun(meter, lives, address):
        seen.append((lives, address))

    found = watch([steady()], interval_s=0.005, seconds=0.2, begun=begun, look=lambda: seen.append("look"))
    lives, address = seen[0]
    assert address is None and "look" in seen
    assert lives[0].watts == 400.0 and lives[1].watts == pytest.approx(300.0, rel=0.05)
    (window,) = found.windows
    assert window.joules == pytest.approx(700.0 * window.duration_s, rel=0.1) and found.cost.reads > 20


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_everything_written(tmp_path, sign):
    threading.Timer(0.15, lambda: os.kill(os.getpid(), sign)).start()
    path = tmp_path / "power.csv"
    found = watch([steady()], interval_s=0.005, record=path)
    assert found.windows[0].joules > 0 and path.stat().st_size > 1000
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_metrics_are_served_while_it_lasts():
    pages = []

    def begun(meter, lives, address):
        pages.append(address)

    def look():
        pages.append(urllib.request.urlopen(pages[0]).read().decode())

    watch([steady()], interval_s=0.005, seconds=0.1, prometheus="127.0.0.1:0", begun=begun, look=look)
    text = pages[-1]
    labels = 'device="GPU-1",name="",part="",scope="gpu",semantics="instant",source="nvml"'
    assert f"inferatlas_power_watts{{{labels}}} 400.0" in text
    assert "inferatlas_energy_joules_total{" in text and "inferatlas_sampler_cpu_seconds_total" in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(pages[0], timeout=1)


def test_a_missing_reading_is_left_out_of_metrics_and_never_0():
    from prometheus_client import generate_latest

    card = Live(channel("instant"))
    take_all([card], records((0, 0, 400.0, 0), (0, S, np.nan, Fault.DEVICE_LOST)))
    text = generate_latest(metrics([card], lambda: 0.1)).decode()
    assert "inferatlas_power_watts{" not in text and "inferatlas_energy_joules_total{" in text


@pytest.mark.parametrize("address", ["9400", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(BadInput, match="HOST:PORT"), served(metrics([], lambda: 0.0), address):
        pass


def test_an_address_in_use_is_refused():
    with served(metrics([], lambda: 0.0), "127.0.0.1:0") as page:
        port = page.rpartition(":")[2].partition("/")[0]
        with (
            pytest.raises(BadInput, match="cannot be listened on"),
            served(metrics([], lambda: 0.0), f"127.0.0.1:{port}"),
        ):
            pass


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), 1e12])
def test_a_time_out_of_range_is_refused(seconds):
    with pytest.raises(BadInput, match="for"):
        watch([steady()], seconds=seconds)


def test_running_figures_follow_counters_through_wraps_and_new_starts():
    wrapping = Live(channel("counter", source="rapl", wrap_j=1000.0, limit_w=300.0))
    take_all([wrapping], records((0, 0, 900.0, 0), (0, S, 50.0, 0), (0, 2 * S, 150.0, 0)))
    assert wrapping.joules == pytest.approx(250.0) and wrapping.watts == pytest.approx(100.0)
    new = Live(channel("counter"))
    take_all([new], records((0, 0, 900.0, 0), (0, S, 1000.0, 0), (0, 2 * S, 5.0, 0), (0, 3 * S, 105.0, 0)))
    assert new.joules == pytest.approx(200.0)
    absurd = Live(channel("instant"))
    take_all([absurd], records((0, 0, 400.0, 0), (0, S, 3.7e12, 0), (0, 2 * S, 400.0, 0)))
    assert absurd.joules == pytest.approx(800.0) and absurd.peak_w == 400.0


def test_only_the_last_minute_is_drawn():
    card = Live(channel("instant"))
    rows = [(0, n * S, 100.0 + n, 0) for n in range(200)]
    take_all([card], records(*rows))
    assert len(card.history) == 61 and card.history[-1] == (199.0, 299.0)
    assert len(spark([watts for _, watts in card.history], 24)) == 24


def test_where_nothing_can_be_read_watching_goes_on(monkeypatch):
    from inferatlas.measure.metering import meter as module
    from inferatlas.measure.metering.finding import Found, Refusal

    monkeypatch.setattr(module, "find", lambda names: Found((), (Refusal("nvml", "no driver", "install it"),)))
    found = watch([], interval_s=0.005, seconds=0.05)
    assert found.windows == () and found.refusals[0].why == "no driver" and found.cost.reads == 0


def test_a_folder_that_vanishes_leaves_the_energies(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    found = watch(
        [steady()], interval_s=0.005, seconds=0.1, record=folder / "p.csv", look=lambda: shutil.rmtree(folder)
    )
    assert found.windows[0].joules > 0
    assert any("the readings were not kept" in note for note in found.notes)


def test_where_there_is_no_place_for_files_readings_stay_in_memory(monkeypatch):
    def none(*_, **__):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", none)
    found = watch([steady()], interval_s=0.005, seconds=0.05)
    assert found.windows[0].joules > 0 and found.notes == ()


def test_an_address_that_is_refused_closes_the_sources_and_leaves_the_file_alone(tmp_path):
    source, path = steady(), tmp_path / "p.csv"
    path.write_text("of an earlier run")
    with pytest.raises(BadInput, match="HOST:PORT"):
        watch([source], interval_s=0.005, seconds=1.0, record=path, prometheus="nowhere")
    assert source.closed and path.read_text() == "of an earlier run"


def test_running_energy_leaves_out_what_nobody_read():
    card, slow = Live(channel("instant")), Live(channel("instant"))
    lost = [(0, n * S, np.nan, Fault.DEVICE_LOST) for n in range(2, 3600)]
    take_all(
        [card], records((0, 0, 400.0, 0), (0, S, 400.0, 0), *lost, (0, 3600 * S, 400.0, 0), (0, 3601 * S, 400.0, 0))
    )
    assert card.joules == pytest.approx(800.0)
    take_all(
        [slow], records((0, 0, 400.0, 0), (0, S, np.nan, Fault.TIMEOUT), (0, 2 * S, 400.0, 0), (0, 32 * S, 400.0, 0))
    )
    assert slow.joules == pytest.approx(400.0 * 32)  # a single reading, and a slow rate, are no hole
