"""Estimates without a sensor: the prior of the handbook, from the rated power of the catalogue, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerators
from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.model import INTERFACE, open_source
from inferatlas.predict.hardware.power import power_of

RATED = [one for one in accelerators() if power_of(one, 1).rated_w]
UNRATED = [one.id for one in accelerators() if not power_of(one, 1).rated_w]


def test_the_estimate_is_the_mean_share_of_the_rated_power():
    source = open_source("nvidia-h100-sxm")
    assert [one.value for one in source.read()] == [pytest.approx(0.735 * 700.0)]
    assert source.channels[0].device == "nvidia-h100-sxm"
    assert source.channels[0].limit_w == 700.0


def test_the_uncertainty_spans_the_5th_to_the_95th_percentile():
    gain = open_source("h100").channels[0].gain
    assert gain == pytest.approx(0.2357, abs=1e-4)
    assert 2 * 1.645 * gain * 0.735 == pytest.approx(0.97 - 0.40)


def test_it_is_a_model_and_no_reading_of_a_sensor():
    (channel,) = open_source("h100").channels
    assert (channel.semantics, channel.quantity, channel.source) == ("model", "power_w", "model")
    assert not INTERFACE.local


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("nvidia-h100-sxm", None), ("intel-arc-b60", Scope.BOARD), ("cerebras-wse-3", Scope.NODE_AC),
        ("google-tpu-v4", Scope.DIE),
    ],
)  # fmt: skip
def test_the_scope_is_that_of_the_rated_power_and_unknown_where_the_catalogue_does_not_say(name, scope):
    assert open_source(name).channels[0].scope is scope


@pytest.mark.parametrize("accelerator", RATED, ids=lambda one: one.id)
def test_every_rated_accelerator_has_an_estimate_between_its_idle_and_its_rated_power(accelerator):
    power = power_of(accelerator, 1)
    (reading,) = open_source(accelerator.id).read()
    assert (power.idle_w or 0.0) <= reading.value < power.rated_w


@pytest.mark.parametrize("name", UNRATED)
def test_an_unknown_rated_power_gives_no_estimate(name):
    with pytest.raises(Unavailable, match="not known"):
        open_source(name)


@given(st.integers(1, 4096))
def test_several_accelerators_are_so_many_devices_of_the_same_power(count):
    source = open_source(f"h100*{count}")
    assert len({one.device for one in source.channels}) == count
    readings = source.read()
    assert [one.channel for one in readings] == list(range(count))
    assert math.fsum(one.value for one in readings) == pytest.approx(count * 0.735 * 700)


@pytest.mark.parametrize("count", ["", "0", "-1", "1.5", "x", "4097", "99999", "²", "1e3", "9" * 5000])
def test_what_is_no_count_is_refused(count):
    with pytest.raises(BadInput, match="count"):
        open_source(f"h100*{count}")


def test_an_unknown_name_offers_near_ones():
    with pytest.raises(UnknownName, match=r"source: unknown accelerator 'h10'.*\n.*did you mean"):
        open_source("h10*8")


@pytest.mark.parametrize("address", ["", " ", "*8"])
def test_a_name_is_needed(address):
    with pytest.raises(BadInput, match="needs an address"):
        open_source(address)


def test_closing_twice_is_allowed():
    source = open_source("h100")
    source.close()
    source.close()
