"""A PDU's total is read in its maker's unit, and once: no phases, no outlets, no value that stands for none."""

import asyncio
import contextlib
import logging
import math
import threading
import time
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, gaierror, socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable, checked
from inferatlas.measure.metering.sources import snmp
from inferatlas.measure.metering.sources.snmp_profiles import PROFILES

FIXTURES = Path(__file__).parent / "fixtures"
APC, RARITAN, GEIST = "1.3.6.1.4.1.318.1.1.26", "1.3.6.1.4.1.13742.6", "1.3.6.1.4.1.21239.5.2.3.1.1"
NUMBERS = ("2", "65", "66", "67", "70")  # tags of ASN.1: integers, counters and gauges


class Recorded:
    """A PDU from a recording: lines of object|tag|value. Notes what is asked; may be silent."""

    def __init__(self, name):
        rows = [line.split("|") for line in (FIXTURES / f"{name}.snmprec").read_text(encoding="utf-8").splitlines()]
        self.held = {one: int(value) if tag in NUMBERS else value for one, tag, value in rows}
        self.asked = []
        self.fault = Fault.NONE

    def get(self, objects):
        self.asked.append(list(objects))
        if self.fault is not Fault.NONE:
            return {}, self.fault
        return {one: self.held[one] for one in objects if one in self.held}, Fault.NONE


@pytest.fixture
def pdu():
    def load(name):
        return Recorded(f"pdu_{name}")

    return load


def described(source):
    return [(one.device, one.quantity, one.semantics, one.scope) for one in source.channels]


def values(source):
    return [one.value for one in source.read()]


def test_apc_counts_in_hundredths_of_a_kilowatt_and_tenths_of_a_kilowatt_hour(pdu):
    source = snmp.open_source("pdu-7/apc", get=pdu("apc").get)
    assert described(source) == [
        ("ZA1145000001 1", "power_w", "instant", Scope.RACK),
        ("ZA1145000001 1", "energy_j", "counter", Scope.RACK),
    ]
    assert values(source) == pytest.approx([6130.0, 17098.2 * 3.6e6])
    power, energy = source.channels
    assert (power.quantum, energy.quantum) == (10.0, pytest.approx(0.1 * 3.6e6))
    assert (power.name, power.assumed, power.gain) == ("RackPDU A", True, 0.01)
    assert source.least_s == 1.0


def test_raritan_says_decimals_and_its_inlets_are_meters_of_their_own(pdu):
    source = snmp.open_source("pdu-7/raritan", get=pdu("raritan").get)
    assert [one.device for one in source.channels] == ["PKE0952078 1"] * 2 + ["PKE0952078 2"] * 2
    assert values(source) == pytest.approx([4321.0, 3.6e9, 3999.5, 7.2e9])
    assert [one.quantum for one in source.channels] == pytest.approx([1.0, 3600.0, 0.1, 3600.0])


def test_geist_counts_in_watts_and_watt_hours(pdu):
    source = snmp.open_source("pdu-7:1161/geist", get=pdu("geist").get)
    assert values(source) == pytest.approx([6438.0, 564380 * 3600])
    assert source.channels[0].name == "PDU left"


@pytest.mark.parametrize("maker", list(PROFILES))
def test_phases_and_outlets_are_never_asked_for(pdu, maker):
    recorded = pdu(maker)
    source = snmp.open_source(f"pdu-7/{maker}", get=recorded.get)
    source.read()
    tables = {"apc": f"{APC}.6.", "raritan": f"{RARITAN}.5.4.", "geist": "1.3.6.1.4.1.21239.5.2.3.2."}
    assert any(one.startswith(tables[maker]) for one in recorded.held)  # it has them
    assert not any(one.startswith(tables[maker]) for asked in recorded.asked for one in asked)


def test_a_reading_is_one_request_at_the_middle_of_its_time(pdu):
    recorded = pdu("raritan")
    source = snmp.open_source("pdu-7/raritan", get=recorded.get)
    recorded.asked.clear()
    before = time.monotonic_ns()
    times = {one.t_ns for one in source.read()}
    assert len(recorded.asked) == len(times) == 1
    assert before <= times.pop() <= time.monotonic_ns()


def test_a_chain_of_pdus_is_read_to_its_end(pdu):
    recorded = pdu("apc")
    recorded.held |= {f"{APC}.3.0": 2, f"{APC}.4.3.1.5.2": 100, f"{APC}.4.3.1.9.2": 50, f"{APC}.2.1.9.2": "ZA2"}
    source = snmp.open_source("pdu-7/apc", get=recorded.get)
    assert [one.device for one in source.channels] == ["ZA1145000001 1"] * 2 + ["ZA2 2"] * 2
    assert values(source)[2:] == pytest.approx([1000.0, 5 * 3.6e6])


def test_what_a_model_does_not_have_is_left_out_and_not_minus_one(pdu):
    recorded = pdu("apc")
    recorded.held[f"{APC}.4.3.1.9.1"] = -1
    source = snmp.open_source("pdu-7/apc", get=recorded.get)
    assert [one.quantity for one in source.channels] == ["power_w"]
    assert source.notes == ("ZA1145000001 1: no energy (not_supported)",)
    recorded.held[f"{APC}.4.3.1.5.1"] = -1
    with pytest.raises(Unavailable, match="no total"):
        snmp.open_source("pdu-7/apc", get=recorded.get)


@pytest.mark.parametrize("unit", [4, 1, None])
def test_a_unit_other_than_that_of_the_mib_is_not_read(pdu, unit):
    recorded = pdu("raritan")
    recorded.held[f"{RARITAN}.3.3.4.1.6.1.1.5"] = unit
    recorded.held = {one: value for one, value in recorded.held.items() if value is not None}
    channels = snmp.open_source("pdu-7/raritan", get=recorded.get).channels
    assert [one.quantity for one in channels] == ["energy_j", "power_w", "energy_j"]


@pytest.mark.parametrize("digits", [-1, 12, "two"])
def test_decimals_that_make_no_sense_are_not_read(pdu, digits):
    recorded = pdu("raritan")
    recorded.held[f"{RARITAN}.3.3.4.1.7.1.1.5"] = digits
    assert len(snmp.open_source("pdu-7/raritan", get=recorded.get).channels) == 3


@pytest.mark.parametrize(
    ("maker", "state", "lost"), [("raritan", f"{RARITAN}.5.2.3.1.2.1.1.5", 2), ("geist", f"{GEIST}.5.1", 0)]
)
def test_a_sensor_that_the_pdu_has_lost_is_missing_until_it_is_back(pdu, maker, state, lost):
    recorded = pdu(maker)
    recorded.held[state] = lost
    source = snmp.open_source(f"pdu-7/{maker}", get=recorded.get)
    assert source.read()[0].fault is Fault.NOT_AVAILABLE
    recorded.held[state] = 1
    assert source.read()[0].fault is Fault.NONE


@pytest.mark.parametrize(
    ("value", "fault"), [(None, Fault.NOT_SUPPORTED), (-1, Fault.NOT_SUPPORTED), ("6.13 kW", Fault.UNREADABLE)]
)
def test_what_a_pdu_answers_later_becomes_a_reason_and_never_0(pdu, value, fault):
    recorded = pdu("apc")
    source = snmp.open_source("pdu-7/apc", get=recorded.get)
    recorded.held[f"{APC}.4.3.1.5.1"] = value
    recorded.held = {one: held for one, held in recorded.held.items() if held is not None}
    power, energy = source.read()
    assert (power.fault, math.isnan(power.value), energy.fault) == (fault, True, Fault.NONE)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.DEVICE_LOST, Fault.FAILED])
def test_a_pdu_that_goes_away_gives_reasons(pdu, fault):
    recorded = pdu("apc")
    source = snmp.open_source("pdu-7/apc", get=recorded.get)
    recorded.fault = fault
    assert [(one.fault, math.isnan(one.value)) for one in source.read()] == [(fault, True)] * 2
    source.close()
    source.close()


def test_a_pdu_that_does_not_answer_may_have_another_community(pdu, monkeypatch):
    monkeypatch.setenv(snmp.COMMUNITY, "t0p-secret")
    recorded = pdu("geist")
    recorded.fault = Fault.TIMEOUT
    with pytest.raises(Unavailable, match="pdu-7:161 gives no answer") as caught:
        snmp.open_source("pdu-7/geist", get=recorded.get)
    assert snmp.COMMUNITY in str(caught.value.hint)
    assert "t0p-secret" not in str(caught.value)


held = st.none() | st.integers(-(2**70), 2**70) | st.text(max_size=5)


@given(st.sampled_from(list(PROFILES)), st.dictionaries(st.integers(0, 40), held))
def test_any_answers_are_meters_that_give_numbers_or_reasons(maker, values):
    objects: dict[str, int] = {}

    def get(asked):  # each object has the value of its turn, the same ever after
        turns = {one: objects.setdefault(one, len(objects)) for one in asked}
        return {one: values[turn] for one, turn in turns.items() if values.get(turn) is not None}, Fault.NONE

    with contextlib.suppress(Unavailable):
        source = checked(snmp.open_source(f"pdu-7/{maker}", get=get))
        for _ in range(2):
            assert all(math.isfinite(one.value) == (one.fault is Fault.NONE) for one in source.read())
            values = dict.fromkeys(values)


def test_a_pdu_of_another_maker_is_told_what_was_looked_for(pdu):
    with pytest.raises(Unavailable) as caught:
        snmp.open_source("pdu-7/geist", get=pdu("apc").get)
    assert f"{GEIST}.9.1" in str(caught.value.allowed)
    assert "VERTIV-V5-MIB" in str(caught.value.allowed)


@pytest.mark.parametrize("address", ["", "pdu-7", "pdu-7/", "/apc", "pdu-7:port/apc", "me:t0p-secret@pdu-7/apc"])
def test_another_address_is_refused(address):
    with pytest.raises(BadInput) as caught:
        snmp.open_source(address, get=lambda _: ({}, Fault.NONE))
    assert "host[:port]/apc|raritan|geist" in str(caught.value.allowed)
    assert "t0p-secret" not in str(caught.value) + str(caught.value.as_dict())


def test_an_unknown_profile_is_told_the_known_ones():
    with pytest.raises(UnknownName, match="geist") as caught:
        snmp.open_source("pdu-7/gesit")
    assert caught.value.near == ["geist"]


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(snmp.importlib, "import_module", raising(ImportError("no pysnmp")))
    with pytest.raises(Unavailable) as caught:
        snmp.open_source("pdu-7/geist")
    assert "inferatlas[snmp]" in str(caught.value.hint)


def raising(error):
    def fail(*_):
        raise error

    return fail


@pytest.fixture
def network(pdu):
    """A PDU that answers by SNMP on this machine; ``recorded`` is what it holds, ``community`` whom it answers."""
    from pyasn1.codec.ber import decoder, encoder
    from pysnmp.proto import api, rfc1905

    v2c = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]

    class Answering:
        recorded, community, status, over = pdu("geist"), b"t0p-secret", 0, False

        def __init__(self):
            self.socket = socket(AF_INET, SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 0))
            self.socket.settimeout(0.02)
            self.port = self.socket.getsockname()[1]
            self.thread = threading.Thread(target=self.serve, daemon=True)
            self.thread.start()

        def serve(self):
            while not self.over:
                try:
                    question, who = self.socket.recvfrom(65536)
                except TimeoutError:
                    continue
                if answer := self.answer(question):
                    self.socket.sendto(answer, who)

        def answer(self, question):
            message, _ = decoder.decode(question, asn1Spec=v2c.Message())
            if bytes(v2c.apiMessage.get_community(message)) != self.community:
                return None
            asked = v2c.apiPDU.get_varbinds(v2c.apiMessage.get_pdu(message))
            reply = v2c.apiMessage.get_response(message)
            held = [(name, self.value(str(name))) for name, _ in asked]
            v2c.apiPDU.set_varbinds(v2c.apiMessage.get_pdu(reply), held)
            v2c.apiPDU.set_error_status(v2c.apiMessage.get_pdu(reply), self.status)
            return encoder.encode(reply)

        def value(self, name):
            held = self.recorded.held.get(name)
            if held is None:
                return rfc1905.noSuchInstance
            return v2c.Gauge32(held) if isinstance(held, int) else v2c.OctetString(held)

    running = Answering()
    yield running
    running.over = True
    running.thread.join()
    running.socket.close()


def test_a_pdu_on_the_network_is_read_and_lost(network, monkeypatch):
    monkeypatch.setenv(snmp.COMMUNITY, "t0p-secret")
    source = snmp.open_source(f"127.0.0.1:{network.port}/geist")
    readings = []
    reader = threading.Thread(target=lambda: readings.extend(source.read()))  # the sampler has a thread of its own
    reader.start()
    reader.join()
    assert [one.value for one in readings] == pytest.approx([6438.0, 564380 * 3600])
    assert source.channels[0].name == "PDU left"
    assert "t0p-secret" not in repr(source)
    del network.recorded.held[f"{GEIST}.9.1"]
    assert [one.fault for one in source.read()] == [Fault.NOT_SUPPORTED, Fault.NONE]
    network.recorded.held[f"{GEIST}.12.1"] = "564380"  # of digits, but a text
    assert [one.fault for one in source.read()] == [Fault.NOT_SUPPORTED, Fault.UNREADABLE]
    network.status = 5  # genErr
    assert {one.fault for one in source.read()} == {Fault.FAILED}
    network.community = b"another"
    monkeypatch.setattr(snmp, "RETRIES", 0)
    monkeypatch.setattr(snmp, "TIMEOUT_S", 0.03)
    assert {one.fault for one in source.read()} == {Fault.TIMEOUT}
    source.close()
    source.close()
    assert {one.fault for one in source.read()} == {Fault.FAILED}


def test_a_serial_number_of_digits_keeps_its_zeros(network, monkeypatch):
    monkeypatch.setenv(snmp.COMMUNITY, "t0p-secret")
    network.recorded.held[f"{GEIST}.2.1"] = "0952078"
    source = snmp.open_source(f"127.0.0.1:{network.port}/geist")
    assert {one.device for one in source.channels} == {"0952078 1"}
    source.close()


def test_a_pdu_is_read_and_closed_where_an_event_loop_runs(network, monkeypatch):
    monkeypatch.setenv(snmp.COMMUNITY, "t0p-secret")

    async def notebook():
        source = snmp.open_source(f"127.0.0.1:{network.port}/geist")
        values = [one.value for one in source.read()]
        source.close()
        return values

    assert asyncio.run(notebook()) == pytest.approx([6438.0, 564380 * 3600])


def test_the_community_is_in_no_text_and_no_log(network, monkeypatch, caplog, capfd):
    monkeypatch.setenv(snmp.COMMUNITY, "t0p-secret")
    with caplog.at_level(logging.DEBUG):
        source = snmp.open_source(f"127.0.0.1:{network.port}/geist")
        source.read()
        source.close()
    shown = [repr(source), repr(source.channels), repr(source.notes), caplog.text, *capfd.readouterr()]
    assert "t0p-secret" not in "".join(shown)


def test_a_name_that_is_searched_for_ever_is_not_waited_for(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: over.wait(2) and [])
    monkeypatch.setattr(snmp, "TIMEOUT_S", 0.02)
    network = snmp._network(("pdu-7", 161))
    assert network.get([f"{GEIST}.9.1"]) == ({}, Fault.TIMEOUT)
    over.set()
    network.close()


def test_a_host_that_does_not_resolve_is_not_reached(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", raising(gaierror(-2, "Name or service not known")))
    with pytest.raises(Unavailable, match="device_lost"):
        snmp.open_source("pdu-7/geist")
