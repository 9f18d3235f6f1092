import json
import subprocess
import sys
from dataclasses import replace

import pytest
from made import Played, channel

from inferatlas.errors import InferAtlasError, UnknownName
from inferatlas.measure.metering import finding
from inferatlas.measure.metering.channel import Reading
from inferatlas.measure.metering.finding import SOURCES, Found, Refusal, find, interfaces, survey
from inferatlas.measure.metering.logs.log import log_of
from inferatlas.measure.metering.sampler import Sampler
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.file import ReplaySource
from inferatlas.show.page import Items
from inferatlas.show.power_sources import sources_page

HEAVY = ("pynvml", "amdsmi", "pyhlml", "gcipuinfo", "pysnmp", "prometheus_client", "polars", "duckdb")


def test_knowing_what_there_is_imports_no_vendors_package():
    code = (
        "import json, sys\nfrom inferatlas.measure.metering.finding import interfaces\n"
        "names = [one.name for one in interfaces()]\n"
        f"print(json.dumps([names, [one for one in {HEAVY!r} if one in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    names, loaded = json.loads(done.stdout)
    assert set(names) >= set(SOURCES) and loaded == []


def test_every_interface_says_what_it_gives_and_how_to_enable_it():
    known = interfaces()
    assert {one.name for one in known} >= set(SOURCES) and len({one.name for one in known}) == len(known)
    for one in known:
        assert one.title and one.enable, one.name
        assert one.offers or one.name in ("file", "tpu", "neuron", "groq"), one.name
        assert one.local or one.address or not one.offers, one.name  # what is not looked for can be named


def test_all_that_is_missing_is_told_with_what_to_do(monkeypatch):
    found = find()
    assert {one.name for one in found.refusals} | {one.name for one in found.sources} == {
        one.name for one in interfaces() if one.local
    }
    assert all(one.why for one in found.refusals)
    for source in found.sources:
        source.close()


def test_what_is_named_must_be_there():
    with pytest.raises(UnknownName, match="did you mean redfish"):
        find(["redfsh:https://x"])
    with pytest.raises(Unavailable, match="no documented power reading") as caught:
        find(["neuron"])
    assert caught.value.hint


@pytest.fixture
def modules(monkeypatch):
    """Modules of sources in place of the real ones: name -> what opening gives, or raises."""
    given, real = {}, finding._module

    def module(name):
        class Fake:
            INTERFACE = real(name).INTERFACE

            @staticmethod
            def open_source(address):
                found = given.get(f"{name}:{address}".rstrip(":"), Unavailable("not here"))
                if isinstance(found, BaseException):
                    raise found
                return found

        return Fake

    monkeypatch.setattr(finding, "_module", module)
    return given


@pytest.mark.parametrize("error", [Unavailable("no answer"), KeyError("of a vendor's package"), KeyboardInterrupt()])
def test_a_named_source_that_fails_closes_those_before_it(modules, error):
    opened = Played((channel("instant"), lambda t: 1.0))
    modules |= {"nvml:good": opened, "nvml:bad": error}
    with pytest.raises(type(error)):
        find(["nvml:good", "nvml:bad"])
    assert opened.closed


def test_a_source_that_is_named_twice_is_opened_once(modules):
    modules["nvml"] = Played((channel("instant"), lambda t: 1.0))
    assert len(find(["nvml", "nvml"]).sources) == 1


def test_a_package_that_is_broken_hides_no_other_source(modules):
    modules |= {"amdsmi": AttributeError("undefined\n symbol"), "rapl": Played((channel(source="rapl"), lambda t: 1.0))}
    found = find()
    assert [one.name for one in found.sources] == ["rapl"]
    (broken,) = [one for one in found.refusals if one.name == "amdsmi"]
    assert broken.why == "cannot be opened: AttributeError: undefined symbol" and "report" in str(broken.hint)


def test_two_channels_that_nothing_tells_apart_are_a_defect(modules):
    card = channel("instant")
    twice = Played((card, lambda t: 1.0), (replace(card, name="another", limit_w=1.0), lambda t: 1.0))
    modules["nvml"] = twice
    with pytest.raises(InferAtlasError, match=r"nvml reads instant power_w of 'GPU-1' twice") as caught:
        find(["nvml"])
    assert caught.value.exit_code == 1 and twice.closed
    with pytest.raises(InferAtlasError, match="twice"):
        Sampler([twice])
    assert "twice" in next(one.why for one in find().refusals if one.name == "nvml")
    apart = [channel(), channel("average"), channel("counter"), channel(part="memory"), channel(scope=None)]
    Sampler([Played(*((one, lambda t: 1.0) for one in (*apart, channel(device="GPU-2"))))])


def test_a_survey_has_a_row_per_kind_of_reading_and_the_reason_for_the_rest():
    source = Played(
        (channel("counter"), lambda t: 1.0), (channel("counter", device="GPU-2"), lambda t: 1.0),
        (channel("average", window_s=1.0), lambda t: 1.0),
    )  # fmt: skip
    rows = survey(Found((source,), (Refusal("rapl", "may not be read", "chmod"),)), [0.098, 0.1, None])
    here = [one for one in rows if one.available]
    assert [(one.offer.semantics, len(one.channels), one.update_s) for one in here] == [
        ("counter", 2, 0.098), ("average", 1, None)
    ]  # fmt: skip
    assert here[0].update_measured and not here[1].update_measured
    rapl = next(one.as_dict() for one in rows if one.interface.name == "rapl")
    assert not rapl["available"] and rapl["why_not"] == "may not be read" and rapl["enable"] == "chmod"
    assert set(rapl) >= {"source", "available", "quantity", "semantics", "scope", "update_s", "why_not"}
    named = next(one for one in rows if one.interface.name == "redfish")
    assert "--source redfish:" in named.why_not
    habana = next(one for one in rows if one.interface.name == "habana")
    assert habana.why_not == "not looked for, as others were named"
    tpu = next(one for one in rows if one.interface.name == "tpu")
    assert tpu.why_not == "no documented power reading" and not tpu.available
    assert tpu.as_dict()["quantity"] is None and tpu.as_dict()["semantics"] is None


def test_what_a_source_does_not_read_is_told_with_its_interface():
    silent = "GPU 1 is not read: GPU is lost."
    source = Played((channel(), lambda t: 1.0), (channel("counter"), lambda t: 1.0), notes=(silent,))
    rows = survey(Found((source,), ()))
    nvml = next(one for one in interfaces() if one.name == "nvml").notes
    for one in rows[:2]:
        assert one.as_dict()["notes"] == f"{nvml}; GPU 1 is not read: GPU is lost"
    quiet = next(one.as_dict() for one in rows if one.interface.name == "rapl")
    assert quiet["notes"].startswith("Packages and their memory")
    told = [one for one in sources_page(rows, "inferatlas power sources") if isinstance(one, Items)]
    assert told[-1] == Items("Good to know", [f"nvml: {nvml}", f"nvml: {silent}"])


def test_a_log_that_is_played_is_not_taken_for_the_devices_in_it():
    card = channel("instant")
    rows = survey(Found((ReplaySource(log_of([card], [Reading(0, 0, 400.0)])),), ()))
    assert [(one.interface.name, one.channels) for one in rows if one.available] == [("file", (card,))]
