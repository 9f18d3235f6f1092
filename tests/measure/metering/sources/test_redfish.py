"""A controller's power is that of the outermost chassis, at the scope its form says; its password shows nowhere."""

import contextlib
import json
import logging
import math
import ssl
import time
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_servers import Served, send

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources import redfish
from inferatlas.measure.metering.sources.redfish_tree import chassis_of, link, meters_of, number_at

SECRET = "t0p-secret"
PEM = Path(__file__).parent / "fixtures" / "bmc_selfsigned.pem"  # a key that protects nothing
LIST, ONE = "/redfish/v1/Chassis", "/redfish/v1/Chassis/1"
POWER, METRICS = f"{ONE}/Power", f"{ONE}/EnvironmentMetrics"


def chassis(path=ONE, kind="RackMount", inside=None, power=False, metrics=False):
    return {
        "@odata.id": path,
        "ChassisType": kind,
        "Manufacturer": "Contoso",
        "Model": "3500RX",
        "Links": {"ContainedBy": {"@odata.id": inside}} if inside else {},
        **({"Power": {"@odata.id": f"{path}/Power"}} if power else {}),
        **({"EnvironmentMetrics": {"@odata.id": f"{path}/EnvironmentMetrics"}} if metrics else {}),
    }


def listed(*paths):
    return {"Members": [{"@odata.id": path} for path in paths]}


def consumed(watts, **more):
    return {"PowerControl": [{"Name": "Server", "PowerConsumedWatts": watts, **more}]}


OLDER = {LIST: listed(ONE), ONE: chassis(power=True), POWER: consumed(590)}
NEWER = {
    LIST: listed(ONE),
    ONE: chassis(power=True, metrics=True),
    METRICS: {"PowerWatts": {"Reading": 374}, "EnergykWh": {"Reading": 3638.2, "LifetimeReading": 6491}},
    POWER: consumed(590),
}


class Bmc(Served):
    """A controller on this machine: ``tree`` maps a path to a resource, a status or a text; ``asked`` are the paths.

    ``silent`` : from so many requests on it accepts, and never answers. ``slow_s`` : before each answer.
    """

    def __init__(self, tls=None):
        self.tree, self.asked, self.silent, self.slow_s = {}, [], math.inf, 0.0
        super().__init__(self.answer, tls)

    def answer(self, handler):
        self.asked.append(handler.path)
        self.over.wait(20 if len(self.asked) > self.silent else self.slow_s)
        who = b64decode(handler.headers.get("Authorization", "").partition(" ")[2]).decode()
        found = self.tree.get(handler.path, 404) if who == f"reader:{SECRET}" else 401
        status, body = (found, b"{}") if isinstance(found, int) else (200, found)
        send(handler, status, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.fixture(autouse=True)
def user(monkeypatch):
    monkeypatch.setenv(redfish.USER, "reader")
    monkeypatch.setenv(redfish.PASSWORD, SECRET)
    monkeypatch.delenv(redfish.INSECURE, raising=False)


@pytest.fixture
def bmc():
    controller = Bmc()
    yield controller
    controller.close()


@pytest.fixture
def tls_bmc():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    controller = Bmc(context)
    yield controller
    controller.close()


def refused(address, kind=Unavailable, **kw):
    with pytest.raises(kind) as caught:
        redfish.open_source(address, **kw)
    assert SECRET not in str(caught.value) + repr(caught.value) + str(caught.value.as_dict())
    return caught.value


def test_the_older_resource_has_the_power_that_the_chassis_consumes(bmc):
    bmc.tree = OLDER
    source = redfish.open_source(bmc.url)
    (channel,) = source.channels
    assert (channel.quantity, channel.semantics, channel.assumed) == ("power_w", "instant", True)
    assert (channel.scope, channel.shared, channel.name) == (Scope.NODE_AC, False, "Contoso 3500RX")
    assert channel.device == f"{bmc.url.removeprefix('http://')}{ONE}"
    assert channel.u_time_s > 0
    assert source.least_s == 1.0
    before = time.monotonic_ns()
    (reading,) = source.read()
    assert (reading.value, reading.fault) == (590.0, Fault.NONE)
    assert before < reading.t_ns < time.monotonic_ns()


def test_the_newer_resource_has_power_and_energy_and_is_enough(bmc):
    bmc.tree = NEWER
    source = redfish.open_source(bmc.url)
    assert [(one.quantity, one.semantics) for one in source.channels] == [
        ("power_w", "instant"),
        ("energy_j", "counter"),
    ]
    assert source.channels[1].quantum == pytest.approx(36e3)
    bmc.asked.clear()
    assert [one.value for one in source.read()] == pytest.approx([374.0, 3638.2 * 3.6e6])
    assert bmc.asked == [METRICS]  # one request for both, and the same power is not read twice


def test_an_average_is_read_with_its_window_where_nothing_newer_is_given(bmc):
    metrics = {"AverageConsumedWatts": 587, "IntervalInMin": 20}
    bmc.tree = OLDER | {POWER: consumed(None, PowerMetrics=metrics)}
    source = redfish.open_source(bmc.url)
    (channel,) = source.channels
    assert (channel.semantics, channel.window_s, channel.assumed) == ("average", 1200.0, False)
    assert source.read()[0].value == 587.0
    bmc.tree = OLDER | {POWER: consumed(590, PowerMetrics=metrics)}
    assert redfish.open_source(bmc.url).channels[0].semantics == "instant"


@pytest.mark.parametrize("metrics", [{"AverageConsumedWatts": 587}, {"AverageConsumedWatts": 587, "IntervalInMin": 0}])
def test_an_average_over_an_unknown_time_is_not_read(bmc, metrics):
    bmc.tree = OLDER | {POWER: consumed(None, PowerMetrics=metrics)}
    assert "gives power" in refused(bmc.url).message


def test_a_sub_system_is_not_taken_for_the_whole(bmc):
    cpu = {"Name": "CPU Sub-system Power", "PhysicalContext": "CPU", "PowerConsumedWatts": 90}
    whole = {"Name": "Server Power Control", "PhysicalContext": "Chassis", "PowerConsumedWatts": 590}
    bmc.tree = OLDER | {POWER: {"PowerControl": [cpu, whole]}}
    assert [one.value for one in redfish.open_source(bmc.url).read()] == [590.0]
    bmc.tree = OLDER | {POWER: {"PowerControl": [cpu]}}
    refused(bmc.url)


@pytest.mark.parametrize(
    ("kind", "scope"),
    [("StandAlone", Scope.NODE_AC), ("Blade", Scope.NODE_DC), ("Sled", Scope.NODE_DC), ("Rack", Scope.RACK),
     ("Enclosure", None), ("Module", None), (None, None)],
)  # fmt: skip
def test_the_form_of_a_chassis_says_its_scope_or_nothing_does(bmc, kind, scope):
    bmc.tree = OLDER | {ONE: chassis(kind=kind, power=True)}
    (channel,) = redfish.open_source(bmc.url).channels
    assert (channel.scope, channel.shared) == (scope, scope is None)


def test_what_is_inside_a_chassis_is_not_counted_beside_it(bmc):
    card, node = f"{LIST}/GPU_1", f"{LIST}/Node"
    bmc.tree = {
        LIST: listed(card, ONE, node),
        card: chassis(card, "Module", inside=node, metrics=True),
        node: chassis(node, "Component", inside=ONE),  # gives none itself
        ONE: chassis(power=True),
        POWER: consumed(590),
        f"{card}/EnvironmentMetrics": {"PowerWatts": {"Reading": 232}},
    }
    assert [one.value for one in redfish.open_source(bmc.url).read()] == [590.0]
    bmc.tree[POWER] = 404  # the outer one gives nothing: then the inner ones are what there is
    source = redfish.open_source(bmc.url)
    assert [one.value for one in source.read()] == [232.0]
    assert source.channels[0].scope is None


def test_chassis_that_contain_each_other_end_the_search(bmc):
    two = f"{LIST}/2"
    bmc.tree = {
        LIST: listed(ONE, two),
        ONE: chassis(inside=two, power=True),
        two: chassis(two, inside=ONE),
        POWER: consumed(590),
    }
    assert len(redfish.open_source(bmc.url).channels) == 1


def test_two_servers_behind_one_controller_are_two_devices(bmc):
    two = f"{LIST}/2"
    bmc.tree = OLDER | {LIST: listed(ONE, two), two: chassis(two, power=True), f"{two}/Power": consumed(400)}
    source = redfish.open_source(bmc.url)
    assert [one.value for one in source.read()] == [590.0, 400.0]
    assert len({one.device for one in source.channels}) == 2


def test_a_list_of_several_pages_is_read_to_its_end(bmc):
    bmc.tree = OLDER | {
        LIST: listed(f"{LIST}/absent") | {"Members@odata.nextLink": f"{LIST}?$skip=1"},
        f"{LIST}?$skip=1": listed(ONE),
    }
    assert redfish.open_source(bmc.url).read()[0].value == 590.0


@pytest.mark.parametrize("members", [None, [], "x", [{"@odata.id": "https://elsewhere/1"}, {}, 7]])
def test_a_list_without_chassis_of_this_server_has_no_power(bmc, members):
    bmc.tree = {LIST: {"Members": members}}
    assert "none of the 0 chassis" in refused(bmc.url).message


@pytest.mark.parametrize("path", [".elsewhere/1", "@elsewhere/1", ":1@elsewhere/1", "https://elsewhere/1", "", 7, None])
def test_a_link_that_would_take_the_password_to_another_server_is_not_followed(path):
    assert link({"Power": {"@odata.id": path}}, "Power") is None


def test_numbers_written_as_texts_are_numbers(bmc):
    bmc.tree = OLDER | {POWER: consumed("590.5")}
    assert redfish.open_source(bmc.url).read()[0].value == 590.5


@pytest.mark.parametrize("value", [None, "590 W", "", True, [590], {"Watts": 590}, "nan", "1e999"])
def test_what_is_no_number_is_no_power(bmc, value):
    bmc.tree = OLDER | {POWER: consumed(value)}
    error = refused(bmc.url)
    assert "PowerConsumedWatts" in str(error.allowed)
    assert ONE in str(error.hint)


@pytest.mark.parametrize(
    ("later", "fault"),
    [
        (consumed(None), Fault.NOT_AVAILABLE),
        ({"PowerControl": []}, Fault.NOT_AVAILABLE),
        ({}, Fault.NOT_AVAILABLE),
        ([1], Fault.NOT_AVAILABLE),
        (consumed("off"), Fault.UNREADABLE),
        (b'{"PowerControl": [', Fault.UNREADABLE),
        (b"<html>", Fault.UNREADABLE),
        (b"[" * 100_000, Fault.UNREADABLE),
        (404, Fault.NOT_SUPPORTED),
        (503, Fault.FAILED),
        (401, Fault.PERMISSION_DENIED),
    ],
)
def test_what_a_controller_answers_later_becomes_a_reason_and_never_0(bmc, later, fault):
    bmc.tree = dict(OLDER)
    source = redfish.open_source(bmc.url)
    bmc.tree[POWER] = later
    (reading,) = source.read()
    assert (reading.fault, math.isnan(reading.value)) == (fault, True)
    bmc.tree[POWER] = consumed(600)
    assert source.read()[0].value == 600.0


def test_an_energy_beyond_all_numbers_is_unreadable(bmc):
    bmc.tree = dict(NEWER)
    source = redfish.open_source(bmc.url)
    bmc.tree[METRICS] = {"PowerWatts": {"Reading": 1}, "EnergykWh": {"Reading": 1e305}}
    assert [one.fault for one in source.read()] == [Fault.NONE, Fault.UNREADABLE]


def test_a_controller_that_goes_away_is_lost():
    bmc = Bmc()
    bmc.tree = NEWER
    source = redfish.open_source(bmc.url)
    bmc.close()
    assert {one.fault for one in source.read()} == {Fault.DEVICE_LOST}
    source.close()
    source.close()


def two_servers(bmc):
    two = f"{LIST}/2"
    bmc.tree = OLDER | {LIST: listed(ONE, two), two: chassis(two, power=True), f"{two}/Power": consumed(400)}
    return redfish.open_source(bmc.url)


def test_a_controller_that_does_not_answer_is_asked_once(bmc):
    source = two_servers(bmc)
    source.ask = lambda path, timeout_s: (bmc.asked.append(path), ("does not answer", Fault.TIMEOUT))[1]
    bmc.asked.clear()
    assert [one.fault for one in source.read()] == [Fault.TIMEOUT, Fault.TIMEOUT]
    assert bmc.asked == [POWER]


def test_all_resources_of_a_reading_share_one_time_limit(bmc):
    source = two_servers(bmc)
    bmc.slow_s, source.timeout_s = 0.06, 0.1
    begin = time.monotonic()
    assert [one.fault for one in source.read()] == [Fault.NONE, Fault.TIMEOUT]
    assert time.monotonic() - begin < 1.0


def test_a_controller_that_says_nothing_is_not_waited_for(bmc):
    bmc.tree, bmc.silent = OLDER, 0
    assert "(timeout)" in refused(bmc.url, timeout_s=0.03).message


@pytest.mark.parametrize("answered", [1, 2])
def test_a_controller_that_falls_silent_while_we_look_around_is_asked_no_more(bmc, answered):
    others = [f"{LIST}/{n}" for n in range(20)]
    bmc.tree, bmc.silent = OLDER | {LIST: listed(ONE, *others)}, answered
    assert "(timeout)" in refused(bmc.url, timeout_s=0.03).message
    assert len(bmc.asked) == answered + 1


def test_chassis_that_give_no_power_are_noted(bmc):
    bmc.tree = OLDER | {LIST: listed(ONE, f"{LIST}/Fans"), f"{LIST}/Fans": chassis(f"{LIST}/Fans")}
    assert redfish.open_source(bmc.url).notes == (f"1 of 2 chassis give no power of their own: {LIST}/Fans",)
    bmc.tree = OLDER
    assert redfish.open_source(bmc.url).notes == ()


def test_a_wrong_password_names_the_variable(bmc, monkeypatch):
    bmc.tree = OLDER
    monkeypatch.setenv(redfish.PASSWORD, SECRET[:-1])
    with pytest.raises(Unavailable, match="HTTP 401") as caught:
        redfish.open_source(bmc.url)
    assert redfish.USER in str(caught.value.hint)
    assert SECRET[:-1] not in str(caught.value)


@pytest.mark.parametrize("name", [redfish.USER, redfish.PASSWORD])
def test_without_a_user_nothing_is_asked(bmc, monkeypatch, name):
    bmc.tree = OLDER
    monkeypatch.delenv(name)
    assert name in refused(bmc.url).message
    assert bmc.asked == []


@pytest.mark.parametrize(
    "address",
    ["", "bmc-7", "http://bmc-7", "ftp://bmc-7", "https://", "https://bmc-7/redfish", "https://[",
     "https://bmc-7:x"],
)  # fmt: skip
def test_another_address_is_refused(address):
    error = refused(address, BadInput)
    assert "https://bmc[:port]" in str(error.allowed)
    assert error.field == "source"


def test_an_address_with_a_password_is_refused_and_not_repeated():
    error = refused(f"https://reader:{SECRET}@bmc-7", BadInput)
    assert redfish.PASSWORD in str(error.hint)


def test_a_self_signed_certificate_is_refused_unless_it_is_accepted(tls_bmc, monkeypatch):
    tls_bmc.tree = OLDER
    error = refused(tls_bmc.url)
    assert "certificate" in error.message
    assert redfish.INSECURE in str(error.hint)
    assert tls_bmc.asked == []
    monkeypatch.setenv(redfish.INSECURE, "1")
    assert redfish.open_source(tls_bmc.url).read()[0].value == 590.0


def test_a_server_without_tls_is_said_to_speak_none(bmc):
    bmc.tree = OLDER
    assert "TLS" in refused(bmc.url.replace("http:", "https:")).message


def test_the_password_is_in_no_text_and_no_log(bmc, caplog, capfd):
    bmc.tree = OLDER
    with caplog.at_level(logging.DEBUG):
        source = redfish.open_source(bmc.url)
        source.read()
    shown = repr(source) + str(source) + repr(source.channels) + caplog.text + "".join(capfd.readouterr())
    token = "cmVhZGVyOnQwcC1zZWNyZXQ="  # base64 of both
    assert SECRET not in shown
    assert token not in shown
    assert SECRET not in redfish.INTERFACE.enable


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=8,
)


@given(anything, st.lists(st.sampled_from(["a", "b", 0, 1]), max_size=3))
def test_any_resource_has_a_number_or_a_fault(document, steps):
    value, fault = number_at(document, steps)
    assert (fault is Fault.NONE) == math.isfinite(value)
    link(document, *map(str, steps))


paths = st.sampled_from([LIST, ONE, POWER, METRICS, "/x", "//x", "", None, 7])
linked = st.builds(lambda path: {"@odata.id": path}, paths)
resources = st.fixed_dictionaries(
    {},
    optional={
        "Members": st.lists(linked | anything, max_size=3) | anything,
        "Members@odata.nextLink": paths,
        "Power": linked | anything,
        "EnvironmentMetrics": linked | anything,
        "Links": st.fixed_dictionaries({"ContainedBy": linked | anything}) | anything,
        "ChassisType": st.sampled_from(["RackMount", "Blade", "x"]) | anything,
        "PowerWatts": st.fixed_dictionaries({"Reading": anything}) | anything,
        "EnergykWh": st.fixed_dictionaries({"Reading": anything}) | anything,
        "PowerControl": st.lists(st.fixed_dictionaries({"PowerConsumedWatts": anything}) | anything, max_size=2),
    },
)


@given(st.dictionaries(st.sampled_from([LIST, ONE, POWER, METRICS]), resources | anything))
def test_any_tree_has_meters_or_none(tree):
    def get(path):
        return (json.dumps(tree[path]), Fault.NONE) if path in tree else ("answers HTTP 404", Fault.NOT_SUPPORTED)

    with contextlib.suppress(Unavailable):
        for one in chassis_of(get):
            for spot in meters_of(get, one):
                value, fault = number_at(tree[spot.path], spot.steps)
                assert (fault, math.isfinite(value)) == (Fault.NONE, True)
                assert len(redfish._channel(one, spot, "https://bmc").device) > 0
