"""What holds for every source, whatever it reads: channels told apart, closing, addresses, what is missing is named."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import sys
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from web_servers import Served, send

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Fault
from inferatlas.measure.metering.finding import SOURCES
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable, checked, key_of
from inferatlas.measure.metering.sources import graphcore, habana, level_zero

EACH = pytest.mark.parametrize("name", SOURCES)
FIXTURES = Path(__file__).parent / "fixtures"
CARD = {"ChassisType": "RackMount", "EnvironmentMetrics": {"@odata.id": "/metrics"}}
BMC = {
    "/redfish/v1/Chassis": {"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}]},
    "/redfish/v1/Chassis/1": CARD,
    "/metrics": {"PowerWatts": {"Reading": 374}, "EnergykWh": {"Reading": 3638.2}},
}
PDU = {"1.3.6.1.4.1.21239.5.2.3.1.1.9.1": 6438, "1.3.6.1.4.1.21239.5.2.3.1.1.12.1": 564380}
DEVICE = {"energy_j": "counter", "power_w": "instant"}


def module(name):
    return importlib.import_module(f"inferatlas.measure.metering.sources.{name}")


def channels(name, scope):
    return tuple(Channel(name, "device", quantity, semantics, scope) for quantity, semantics in DEVICE.items())


@pytest.fixture
def files(tmp_path):
    """A file system with one processor and one card."""
    for path, text in {
        "powercap/intel-rapl:0/name": "package-0", "powercap/intel-rapl:0/energy_uj": "5000000",
        "hwmon/hwmon0/name": "xe", "hwmon/hwmon0/energy1_input": "9000000", "hwmon/hwmon0/energy2_input": "7000000",
    }.items():  # fmt: skip
        (tmp_path / "sys/class" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/class" / path).write_text(f"{text}\n")
    return tmp_path


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Tools on PATH that print what was recorded."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name, text in {
        "ipmitool": "    Instantaneous power reading:                   220 Watts\n",
        "tt-smi": (FIXTURES / "tenstorrent" / "p300.json").read_text(),
    }.items():
        (tmp_path / f"{name}.out").write_text(text)
        (tmp_path / name).write_text('#!/bin/sh\ncat "$0.out"\n')
        (tmp_path / name).chmod(0o755)


@pytest.fixture
def server():
    """A controller and an exporter in one."""

    def answer(handler):
        text = (
            (FIXTURES / "dcgm.prom").read_text() if handler.path == "/dcgm" else json.dumps(BMC.get(handler.path, {}))
        )
        send(handler, body=text.encode())

    running = Served(answer)
    yield running
    running.close()


@pytest.fixture
def opened(request, tmp_path, monkeypatch):
    """A source of every kind, open."""

    def source(name):
        if name in ("rapl", "hwmon"):
            return module(name).open_source(root=request.getfixturevalue("files"))
        if name in ("ipmi", "tenstorrent"):
            request.getfixturevalue("tools")
            return module(name).open_source()
        if name in ("nvml", "amdsmi"):
            fake = request.getfixturevalue(f"fake_{name}")
            fake.add("gb200" if name == "nvml" else "0000:c1:00.0")
            return module(name).open_source()
        if name == "redfish":
            monkeypatch.setenv("INFERATLAS_REDFISH_USER", "reader")
            monkeypatch.setenv("INFERATLAS_REDFISH_PASSWORD", "t0p-secret")
            return module(name).open_source(request.getfixturevalue("server").url)
        if name == "prometheus":
            return module(name).open_source(f"{request.getfixturevalue('server').url}/dcgm")
        if name == "snmp":
            return module(name).open_source("pdu-7/geist", get=lambda objects: (PDU, Fault.NONE))
        if name == "level_zero":
            library = SimpleNamespace(zesPowerGetEnergyCounter=lambda domain, counter: 0)
            return level_zero._Counters(library, (1,), channels(name, Scope.BOARD)[:1])
        if name == "habana":
            return habana._Cards(channels(name, Scope.BOARD), (lambda: 5000, lambda: 100_000), lambda: None)
        if name == "graphcore":
            info = SimpleNamespace(
                updateData=lambda: True,
                getDevices=lambda: [{"board serial number": "device", "board ipu index": "0"}],
                getNamedAttributeForAll=lambda name: ["93.50W"],
            )
            (power,) = (Channel(name, "device/0", "power_w", "instant", Scope.DIE),)
            return graphcore._Ipus(info, "power", (power,))
        (tmp_path / "log.csv").write_text("time_s,device,power_w\n0,a,500\n0,b,300\n1,a,500\n")
        address = {"file": str(tmp_path / "log.csv"), "manual": "400W@rack", "model": "h100*2"}[name]
        return module(name).open_source(address)

    return source


@EACH
def test_a_source_says_who_it_is_and_tells_its_channels_apart(opened, name):
    source = checked(opened(name))
    assert (source.name, module(name).INTERFACE.name) == (name, name)
    assert source.channels
    assert len({key_of(one) for one in source.channels}) == len(source.channels)
    assert all(one.source == name for one in source.channels)
    assert 0.001 <= source.least_s <= 2.0
    assert isinstance(source.notes, tuple)
    assert all(isinstance(one, str) and one for one in source.notes)
    source.close()


@EACH
def test_a_reading_is_a_finite_number_or_has_a_reason_and_every_channel_has_one(opened, name):
    source = opened(name)
    readings = [one for one in source.read() if one.fault is not Fault.THROTTLED]
    assert [one.channel for one in readings] == list(range(len(source.channels)))
    assert all(math.isfinite(one.value) == (one.fault is Fault.NONE) for one in readings)
    assert all(one.value > 0 for one in readings if one.fault is Fault.NONE and name != "level_zero")
    source.close()


@EACH
def test_closing_twice_and_from_another_thread_while_it_is_read_does_no_harm(opened, name):
    source, failed, begun, closed = opened(name), [], threading.Event(), threading.Event()

    def read():
        try:
            while True:
                last = closed.is_set()
                source.read()
                begun.set()
                if last:
                    return
        except BaseException as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(10)
    source.close()
    source.close()
    closed.set()
    reader.join(10)
    assert not reader.is_alive()
    assert failed == []


@pytest.mark.parametrize("name", [one for one in SOURCES if not module(one).INTERFACE.address])
def test_an_address_is_refused_in_one_way_where_none_is_taken(name):
    with pytest.raises(BadInput) as caught:
        module(name).open_source("gpu0")
    assert str(caught.value) == f"source: '{name}' takes no address, got 'gpu0' (allowed: {name})"


@pytest.mark.parametrize("name", [one for one in SOURCES if not module(one).INTERFACE.local])
def test_an_address_that_is_needed_is_asked_for_in_one_way(name):
    with pytest.raises(BadInput) as caught:
        module(name).open_source("")
    error = caught.value
    assert (error.message, error.field) == (f"'{name}' needs an address", "source")
    assert error.allowed == f"{name}:{module(name).INTERFACE.address}"


@pytest.mark.parametrize(
    "name", ["nvml", "amdsmi", "graphcore", "rapl", "hwmon", "ipmi", "redfish", "snmp", "prometheus"]
)
def test_a_password_in_an_address_is_never_repeated(name):
    for address in ("https://me:t0p-secret@bmc-7/x", "me:t0p-secret@bmc-7/apc", "http://me:t0p-secret@[/"):
        with pytest.raises(BadInput) as caught:
            module(name).open_source(address)
        error = caught.value
        assert "t0p-secret" not in f"{error} {error!r} {error.as_dict()} {error.__cause__} {error.__context__}"


PACKAGES = {
    "nvml": ("pynvml", "nvidia-ml-py"), "amdsmi": ("amdsmi", "amdsmi"), "habana": ("pyhlml", "pyhlml"),
    "snmp": ("pysnmp.hlapi.v3arch.asyncio", "pysnmp"),
}  # fmt: skip


@pytest.mark.parametrize("name", [one for one in SOURCES if module(one).INTERFACE.extra])
def test_a_package_that_is_missing_is_named_with_the_extra_that_has_it(monkeypatch, name):
    imported, package = PACKAGES[name]
    monkeypatch.setitem(sys.modules, imported, None)
    with pytest.raises(Unavailable) as caught:
        module(name).open_source("pdu-7/geist" if name == "snmp" else "")
    extra = module(name).INTERFACE.extra
    assert (caught.value.message, caught.value.hint) == (
        f"{package} is not installed",
        f"pip install 'inferatlas[{extra}]'",
    )
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    assert any(re.match(rf"{package}\b", one) for one in project["optional-dependencies"][extra])
