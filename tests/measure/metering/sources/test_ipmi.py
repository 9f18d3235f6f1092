"""The controller's watts are read as its tool prints them; what is cut, foreign or 0 is no reading."""

import math
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources import ipmi

PRINTED = """
    Instantaneous power reading:                   220 Watts
    Minimum during sampling period:                 30 Watts
    Maximum during sampling period:                400 Watts
    Average power reading over sample period:      210 Watts
    IPMI timestamp:                           Sun Mar  6 15:13:42 2022
    Sampling period:                          00123893 Seconds.
    Power reading state is:                   activated


"""
ZERO = PRINTED.replace(" 220 ", "   0 ").replace("activated", "deactivated")
NO_DEVICE = "Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0: No such file or directory"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Puts an ipmitool on PATH that runs one line of shell, with its output in a file beside it."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def put(text, line='cat "$0.out"'):
        (tmp_path / "ipmitool.out").write_text(text)
        program = tmp_path / "ipmitool"
        program.write_text(f"#!/bin/sh\n[ \"$*\" = 'dcmi power reading' ] || exit 9\n{line}\n")
        program.chmod(0o755)

    return put


@pytest.mark.parametrize(
    "text",
    [
        PRINTED,
        PRINTED.replace("activated", "deactivated"),  # OpenBMC says so beside good readings
        "warning: something else\n" + PRINTED,
        PRINTED.replace("\n", "\r\n"),
    ],
)
def test_the_instantaneous_line_is_the_reading(text):
    assert ipmi.parse(text) == (220.0, Fault.NONE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ZERO, Fault.NOT_AVAILABLE),
        ("    No data available\n", Fault.NOT_AVAILABLE),
        ("    Instantaneous power reading:  No data available\n", Fault.NOT_AVAILABLE),
        ("", Fault.UNREADABLE),
        (PRINTED[: PRINTED.index("0 Watts")], Fault.UNREADABLE),  # cut in the number: 22
        (PRINTED[: PRINTED.index(" Watts") + 4], Fault.UNREADABLE),
        (PRINTED.replace("220 Watts", "0.22 kW"), Fault.UNREADABLE),
        (PRINTED.replace("220 Watts", "-220 Watts"), Fault.UNREADABLE),
        (PRINTED.replace("220 Watts", "9" * 400 + " Watts"), Fault.UNREADABLE),
        (PRINTED.replace("220 Watts", "٢٢٠ Watts"), Fault.UNREADABLE),
        (PRINTED.replace("Instantaneous power reading", "Lecture instantanée de la puissance"), Fault.UNREADABLE),
        ("    Average power reading over sample period:      210 Watts\n", Fault.UNREADABLE),
    ],
)
def test_what_is_no_reading_has_a_reason_and_no_value(text, fault):
    value, found = ipmi.parse(text)
    assert (found, math.isnan(value)) == (fault, True)


@given(st.text())
def test_any_text_is_a_number_or_a_fault(text):
    value, fault = ipmi.parse(text)
    assert (fault is Fault.NONE) == (value > 0)


def test_the_node_is_read_and_nobody_says_over_which_time(tool):
    tool(PRINTED)
    source = ipmi.open_source()
    (channel,) = source.channels
    assert (channel.semantics, channel.assumed, channel.quantum) == ("instant", True, 1.0)  # as redfish has it
    assert channel.u_time_s > 0
    assert source.least_s == 1.0
    before = time.monotonic_ns()
    (reading,) = source.read()
    assert (reading.value, reading.fault) == (220.0, Fault.NONE)
    assert before < reading.t_ns < time.monotonic_ns()


def test_a_controller_that_stops_answering_gives_reasons_and_no_values(tool, monkeypatch):
    tool(PRINTED)
    source = ipmi.open_source()
    tool(ZERO)
    assert source.read()[0].fault is Fault.NOT_AVAILABLE
    tool("", "echo 'Get Device ID command failed' >&2; exit 1")
    assert source.read()[0].fault is Fault.FAILED
    tool("", "exec sleep 20")
    monkeypatch.setattr(ipmi, "TIMEOUT_S", 0.05)
    assert source.read()[0].fault is Fault.TIMEOUT
    tool(PRINTED)
    monkeypatch.setattr(ipmi, "TIMEOUT_S", 5.0)
    assert source.read()[0].value == 220.0
    source.close()
    source.close()


def test_a_machine_without_a_controller_says_what_is_needed(tool):
    tool("", f"echo '{NO_DEVICE}' >&2; exit 1")
    with pytest.raises(Unavailable) as caught:
        ipmi.open_source()
    assert "Could not open device at /dev/ipmi0" in caught.value.message
    assert "modprobe ipmi_devintf" in str(caught.value.hint)


def test_a_machine_without_the_tool_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"^ipmitool is not installed"):
        ipmi.open_source()


def test_a_controller_without_a_reading_is_not_opened(tool):
    tool(ZERO)
    with pytest.raises(Unavailable, match="not_available") as caught:
        ipmi.open_source()
    assert "redfish" in str(caught.value.hint)


def test_another_machine_is_read_by_redfish():
    with pytest.raises(BadInput, match="takes no address"):
        ipmi.open_source("bmc-7")
    assert "redfish" in ipmi.INTERFACE.notes


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(BadInput) as caught:
        ipmi.open_source("https://root:t0p-secret@bmc-7")
    assert "t0p-secret" not in str(caught.value) + repr(caught.value) + str(caught.value.as_dict())


@pytest.mark.parametrize(
    ("form", "scope", "shared"),
    [(None, Scope.NODE_AC, False), (23, Scope.NODE_AC, False), (28, Scope.NODE_DC, False), (25, None, True)],
)
def test_a_blade_is_read_behind_the_supplies_of_its_enclosure(tool, tmp_path, form, scope, shared):
    tool(PRINTED)
    if form is not None:
        (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
        (tmp_path / "sys/class/dmi/id/chassis_type").write_text(f"{form}\n")
    (channel,) = ipmi.open_source(root=tmp_path).channels
    assert (channel.scope, channel.shared) == (scope, shared)
