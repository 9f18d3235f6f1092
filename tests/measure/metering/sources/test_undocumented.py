"""Accelerators without a documented reading: each says so, where that was looked for, and what to do in its place."""

from __future__ import annotations

import re

import pytest

from inferatlas.measure.metering.sources import model
from inferatlas.measure.metering.sources.undocumented import INTERFACES

EACH = pytest.mark.parametrize("interface", INTERFACES, ids=lambda one: one.name)


def test_each_is_listed_once():
    assert sorted(one.name for one in INTERFACES) == ["groq", "neuron", "tpu"]


@EACH
def test_none_offers_a_reading_or_is_looked_for(interface):
    assert interface.offers == ()
    assert not interface.local
    assert (interface.address, interface.extra) == ("", "")


@EACH
def test_each_says_that_no_reading_is_documented_and_what_else_there_is(interface):
    assert interface.notes.startswith("No documented power reading")
    assert all(word in interface.enable for word in ("BMC", "PDU", "model:"))


@EACH
def test_the_estimate_that_is_named_can_be_had(interface):
    (address,) = re.findall(r"model:([^`]+)`", interface.enable)
    assert all(one.value > 0 for one in model.open_source(address).read())
