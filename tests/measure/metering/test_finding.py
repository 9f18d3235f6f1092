import pytest
from made import Played, channel

from inferatlas.errors import UnknownName
from inferatlas.measure.metering import finding
from inferatlas.measure.metering.finding import SOURCES, Found, Refusal, find, interfaces, survey
from inferatlas.measure.metering.source import Unavailable


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


def test_a_named_source_that_fails_closes_those_before_it(monkeypatch):
    opened = Played((channel("instant"), lambda t: 1.0))

    class Fake:
        @staticmethod
        def open_source(address):
            if address == "good":
                return opened
            raise Unavailable("no answer")

    monkeypatch.setattr(finding, "_module", lambda name: Fake)
    with pytest.raises(Unavailable, match="no answer"):
        find(["nvml:good", "nvml:bad"])
    assert opened.closed


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
    tpu = next(one for one in rows if one.interface.name == "tpu")
    assert tpu.why_not == "no documented power reading" and not tpu.available
    assert tpu.as_dict()["quantity"] is None and tpu.as_dict()["semantics"] is None
