"""From a source's own files, servers and libraries to joules: what a meter says of a window, end to end."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from web_servers import Served, send

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.meter import Meter
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.sources import level_zero, prometheus, rapl, redfish

FIXTURES = Path(__file__).parent / "sources" / "fixtures"
LENGTH_S, INTERVAL_S = 0.6, 0.01


class Advancing:
    """Calls something with the seconds since it began, every few ms, while the block runs."""

    def __init__(self, advance):
        self.advance, self.over, self.began = advance, threading.Event(), time.monotonic()
        self.thread = threading.Thread(target=self.run)
        advance(0.0)

    def run(self):
        while not self.over.wait(0.002):
            self.advance(time.monotonic() - self.began)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def metered(open_source):
    """The energies of a window by scope and part, and how long it was; again where the machine was too busy to read."""
    for _ in range(5):
        with Meter([open_source()], interval_s=INTERVAL_S) as meter:
            time.sleep(0.05)
            with meter.window("decode"):
                time.sleep(LENGTH_S)
        window = meter["decode"]
        found = {(one.scope, one.part): one for one in window.energies}
        if not any({"gap_too_long", "wrap_ambiguous"} & set(one.reasons) for one in found.values()):
            break
    return found, window.duration_s


def quick(source):
    """A source whose server answers at once, and need not be spared."""
    source.least_s = 0.0
    return source


def written(path, text):
    """As the kernel changes a number: half of it is never to be seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_text(f"{text}\n")
    path.with_suffix(".new").replace(path)


def test_a_processors_counters_are_followed_over_a_wrap_and_its_memory_is_a_part(tmp_path):
    zones, range_uj = tmp_path / "sys/class/powercap", 200_000_000
    meters = [("intel-rapl:0", "package-0", 200.0), ("intel-rapl:0:0", "dram", 40.0)]
    for zone, name, _ in meters:
        written(zones / zone / "name", name)
        written(zones / zone / "max_energy_range_uj", range_uj)

    def advance(passed_s):  # both begin at 150 J of 200 J: the package goes round after 0.25 s
        for zone, _, watts in meters:
            written(zones / zone / "energy_uj", (150_000_000 + round(passed_s * watts * 1e6)) % range_uj)

    with Advancing(advance):
        found, length_s = metered(lambda: rapl.open_source(root=tmp_path))
    for part, watts in (("", 200.0), ("dram", 40.0)):
        energy = found.pop((Scope.MODULE, part))
        assert (energy.method, energy.valid, energy.reasons) == ("counter", True, ())
        assert energy.joules == pytest.approx(watts * length_s, rel=0.1)
        assert energy.u_terms["gain"] == pytest.approx(0.05 * energy.joules)
        assert energy.remarks == (("counter_wrapped",) if part == "" else ())
    assert found == {}


@pytest.fixture
def bmc(monkeypatch):
    """A controller whose answers are in ``tree``; from ``silent`` on it accepts, and never answers."""
    monkeypatch.setenv(redfish.USER, "reader")
    monkeypatch.setenv(redfish.PASSWORD, "t0p-secret")

    def answer(handler):
        if running.silent.is_set():
            running.over.wait(20)
        found = running.tree.get(handler.path, {})
        send(handler, body=json.dumps(found() if callable(found) else found).encode())

    running = Served(answer)
    running.silent = threading.Event()
    began, chassis = time.monotonic(), "/redfish/v1/Chassis/1"
    running.tree = {
        "/redfish/v1/Chassis": {"Members": [{"@odata.id": chassis}]},
        chassis: {"ChassisType": "RackMount", "EnvironmentMetrics": {"@odata.id": "/metrics"}},
        "/metrics": lambda: {
            "PowerWatts": {"Reading": 900},
            "EnergykWh": {"Reading": round(3638.2 + 900 * (time.monotonic() - began) / 3.6e6, 2)},
        },
    }
    yield running
    running.close()


def test_a_nodes_power_stands_in_for_its_counter_that_steps_too_rarely(bmc):
    found, length_s = metered(lambda: quick(redfish.open_source(bmc.url)))
    (energy,) = found.values()
    assert (energy.method, energy.scope, energy.valid) == ("instant", Scope.NODE_AC, True)
    assert energy.joules == pytest.approx(900 * length_s, rel=1e-6)
    assert energy.u_terms["gain"] == pytest.approx(0.03 * energy.joules)
    assert {"semantics_assumed", "fallback"} <= set(energy.remarks)
    assert [(one.method, one.joules) for one in energy.checks] == [(None, None)]
    assert "counter_stuck" in energy.checks[0].reasons


def test_a_controller_that_falls_silent_holds_nobody_and_leaves_no_number(bmc):
    source = quick(redfish.open_source(bmc.url))
    source.timeout_s = 0.2
    with Meter([source], interval_s=INTERVAL_S) as meter:
        bmc.silent.set()
        time.sleep(0.05)
        with meter.window("decode"):
            time.sleep(0.3)
        ending = time.monotonic()
    # the reading under way, and the last one after the end
    assert time.monotonic() - ending < 2 * source.timeout_s + 1.0
    energy = meter["decode"].energy
    assert not energy.valid
    assert energy.joules is None
    log = meter.log()
    assert "timeout" in {Fault(int(one)).code for series in log.series for one in series.fault}


def test_an_exporters_gpu_and_rack_are_two_scopes_and_levels_of_a_pdu_count_once():
    began = time.monotonic()
    pdu = (FIXTURES / "pdu_sambanova.prom").read_text()

    def answer(handler):
        labels = '{gpu="0",UUID="GPU-1",modelName="NVIDIA H100 80GB HBM3"}'
        mj = 164_901_192_038 + round(500e3 * (time.monotonic() - began))
        dcgm = f"DCGM_FI_DEV_POWER_USAGE{labels} 500\nDCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} {mj}\n"
        send(handler, body=(dcgm + pdu).encode())

    exporter = Served(answer)
    try:
        found, length_s = metered(lambda: quick(prometheus.open_source(exporter.url)))
    finally:
        exporter.close()
    gpu, rack = found.pop((Scope.GPU, "")), found.pop((Scope.RACK, ""))
    assert found == {}
    assert (gpu.method, gpu.valid, gpu.device) == ("counter", True, "GPU-1")
    assert gpu.joules == pytest.approx(500 * length_s, rel=0.1)
    (average,) = gpu.checks  # over a second, or an instant: it does not say, and the window is short for that
    assert (average.method, average.reasons) == ("average", ("window_too_short",))
    assert (rack.method, rack.valid) == ("instant", True)
    assert rack.joules == pytest.approx(6438 * length_s, rel=1e-6)  # of level "total" alone
    assert rack.u_terms["gain"] == pytest.approx(0.01 * rack.joules)


def test_a_gpu_of_level_zero_is_read_by_one_of_its_domains(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    path = tmp_path / "libze_loader.so.1"
    flags = ["-shared", "-fPIC", "-o", str(path)]
    subprocess.run([compiler, *flags, str(FIXTURES / "level_zero" / "ze_loader.c")], check=True)
    counters = (ctypes.c_uint64 * 9).in_dll(ctypes.CDLL(str(path)), "energy")

    def advance(passed_s):  # of the first card: two tiles, its package, the card itself
        for domain, watts in ((0, 100.0), (1, 110.0), (2, 230.0), (3, 400.0), (6, 150.0)):
            counters[domain] = 7_000_000 + round(passed_s * watts * 1e6)

    with Advancing(advance):
        found, length_s = metered(lambda: level_zero.open_source(str(path)))
    card, gpu, unnamed = (found.pop((scope, "")) for scope in (Scope.BOARD, Scope.GPU, None))
    assert found == {}
    assert (card.method, card.valid, card.name) == ("counter", True, "Data Center GPU Max 1550")
    assert card.joules == pytest.approx(400 * length_s, rel=0.1)
    assert gpu.joules == pytest.approx(150 * length_s, rel=0.1)
    assert unnamed.joules is None and "counter_stuck" in unnamed.reasons  # it stands still: unknown, not 0
    assert "scope_unknown" in unnamed.remarks
