"""Graphcore by gcipuinfo: strict about the text, fresh at every reading, and never shifted between IPUs."""

from __future__ import annotations

import math
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.graphcore import open_source, watts_of


class FakeInfo:
    """The library: what it read last (`told`), and what it would read now (`now`: device number to power)."""

    def __init__(self) -> None:
        self.now: dict[int, str] = {0: "93.50W", 1: "120W", 2: "N/A"}
        self.told, self.works, self.lists = dict(self.now), True, 0

    def updateData(self):
        if self.works:
            self.told = dict(self.now)
        return self.works

    def getDevices(self):
        return [self._about(n) for n in self.told]

    def _about(self, n):
        serial = {"board serial number": f"0131.000{n // 2}.8204521", "board ipu index": str(n % 2)}
        return {"id": str(n), "board type": "M2000", "ipu power": self.told[n], **serial}

    def getNamedAttributeForAll(self, name):
        assert name == "the power attribute"
        return list(self.told.values())


@pytest.fixture
def library(monkeypatch):
    info, module = FakeInfo(), types.ModuleType("gcipuinfo")
    module.gcipuinfo, module.IpuPower = lambda: info, "the power attribute"
    monkeypatch.setitem(sys.modules, "gcipuinfo", module)
    return info


def test_each_ipu_is_a_device_that_survives_renumbering(library):
    assert [(one.device, one.scope, one.name, one.assumed) for one in open_source().channels] == [
        ("0131.0000.8204521/0", Scope.DIE, "M2000", True),
        ("0131.0000.8204521/1", Scope.DIE, "M2000", True),
        ("0131.0001.8204521/0", Scope.DIE, "M2000", True),
    ]


def test_an_ipu_that_answers_na_shifts_no_other_and_is_not_0(library):
    source = open_source()
    library.now = {0: "N/A", 1: "120W", 2: "45.25W"}
    readings = source.read()
    assert [one.value for one in readings[1:]] == [120.0, 45.25]
    assert readings[0].fault is Fault.NOT_AVAILABLE
    assert math.isnan(readings[0].value)


def test_every_reading_is_a_new_one(library):
    source = open_source()
    values = []
    for watts in ("10.00W", "250.00W"):
        library.now[0] = watts
        values.append(source.read()[0].value)
    assert values == [10.0, 250.0]


def test_an_update_that_fails_is_a_fault_and_no_old_value(library):
    source = open_source()
    library.works = False
    assert [one.fault for one in source.read()] == [Fault.FAILED] * 3
    library.works = True
    assert source.read()[0].value == 93.5


def test_an_ipu_that_goes_away_is_lost_and_the_others_keep_their_own(library):
    source = open_source()
    library.now = {2: "3.00W", 1: "2.00W"}
    readings = source.read()
    assert readings[0].fault is Fault.DEVICE_LOST
    assert [one.value for one in readings[1:]] == [2.0, 3.0]


@pytest.mark.parametrize("texts", [["93.50W"], RuntimeError("server gone"), None])
def test_answers_that_match_no_devices_are_a_fault_and_do_not_raise(library, monkeypatch, texts):
    def answer(name):
        if isinstance(texts, Exception):
            raise texts
        return texts

    source = open_source()
    monkeypatch.setattr(library, "getNamedAttributeForAll", answer)
    assert [one.fault for one in source.read()] == [Fault.FAILED] * 3


def test_without_serial_numbers_ipus_go_by_their_ids(library, monkeypatch):
    monkeypatch.setattr(library, "_about", lambda n: {"id": str(n), "board ipu index": "0"})
    source = open_source()
    assert [one.device for one in source.channels] == ["id 0", "id 1", "id 2"]
    assert [one.fault for one in source.read()] == [Fault.NONE, Fault.NONE, Fault.NOT_AVAILABLE]
    monkeypatch.setattr(library, "_about", lambda n: {"id": "0"})
    assert [one.device for one in open_source().channels] == ["id 0 1", "id 0 2", "id 0 3"]


@given(st.integers(0, 999_999), st.integers(0, 99))
def test_two_decimals_and_a_w_are_watts(whole, cents):
    watts, fault = watts_of(f"{whole}.{cents:02d}W")
    assert watts == pytest.approx(whole + cents / 100, rel=1e-12)
    assert fault is Fault.NONE


@pytest.mark.parametrize(
    "text",
    [
        "", "W", "93.50", "93.50 W", "93.50w", "93500mW", "0.0935kW", "-5.00W", "1e3W", "nanW", "infW", ".5W", "5.W",
        "93,50W", "n/a", " 93.50W", "93.50W\n", "٣W", None, 93.5, 0, ["93.50W"],
    ],
)  # fmt: skip
def test_another_form_or_unit_is_unreadable(text):
    watts, fault = watts_of(text)
    assert (math.isnan(watts), fault) == (True, Fault.UNREADABLE)


@given(st.text())
def test_no_text_raises_or_becomes_a_value_without_its_unit(text):
    watts, fault = watts_of(text)
    assert math.isnan(watts) == (fault is not Fault.NONE)
    assert math.isnan(watts) or text.endswith("W")


def test_no_package_is_unavailable(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcipuinfo", None)
    with pytest.raises(Unavailable, match="gcipuinfo is not installed") as raised:
        open_source()
    assert "Poplar" in str(raised.value.hint)


def test_a_library_that_fails_to_start_is_unavailable(library):
    def fail():
        raise RuntimeError("no driver")

    sys.modules["gcipuinfo"].gcipuinfo = fail
    with pytest.raises(Unavailable, match="no driver"):
        open_source()


def test_no_ipu_is_unavailable(library):
    library.told = {}
    with pytest.raises(Unavailable, match="no IPU"):
        open_source()


def test_an_address_is_refused(library):
    with pytest.raises(BadInput, match="takes no address"):
        open_source("somewhere")


def test_closing_twice_is_allowed(library):
    source = open_source()
    source.close()
    source.close()
