"""The owner's hour: each part by hand, every prior inside its own range, and the right direction of each."""

from dataclasses import fields, replace

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.predict.cost.ownership import PRIORS, Ownership, energy_usd_per_hour, ownership_usd_per_hour

BASE = Ownership(capex_usd=30000.0, power_w=1000.0, provisioned_w=1730.0)


def test_the_parts_by_hand():
    capital = 30000 * (0.2504564546 * 1.15 + 0.04) / (8760 * 0.97)
    energy = 1.0 * 1.2 * 0.08
    space = 1.73 * 184.06 / 730
    assert ownership_usd_per_hour(BASE) == pytest.approx(capital + energy + space, rel=1e-9)


def test_electricity_of_a_provisioned_h100_is_14_cents_an_hour():
    assert energy_usd_per_hour(1730.0, 1.0, 0.08) == pytest.approx(0.1384)


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_lies_in_its_range_and_says_where_it_comes_from(name):
    prior = PRIORS[name]
    assert prior.low <= prior.value <= prior.high
    assert prior.low < prior.high
    assert prior.source
    assert getattr(BASE, name) == prior.value


@pytest.mark.parametrize("name", ["life_years", "residual_share", "availability"])
def test_what_makes_an_hour_cheaper(name):
    low, high = (ownership_usd_per_hour(replace(BASE, **{name: end})) for end in (PRIORS[name].low, PRIORS[name].high))
    assert high < low


@pytest.mark.parametrize("name", sorted(set(PRIORS) - {"life_years", "residual_share", "availability"}))
def test_what_makes_an_hour_dearer(name):
    low, high = (ownership_usd_per_hour(replace(BASE, **{name: end})) for end in (PRIORS[name].low, PRIORS[name].high))
    assert high > low


def test_a_full_residual_leaves_only_the_interest():
    bare = replace(BASE, residual_share=1.0, network_share=0.0, maintenance_share=0.0, power_w=0.0, provisioned_w=0.0)
    assert ownership_usd_per_hour(bare) == pytest.approx(30000 * 0.08 / (8760 * 0.97))


@pytest.mark.parametrize("field", [field.name for field in fields(Ownership)])
def test_any_unknown_input_leaves_the_hour_unknown(field):
    assert np.isnan(ownership_usd_per_hour(replace(BASE, **{field: None})))


def test_arrays_are_answered_at_once():
    answer = ownership_usd_per_hour(replace(BASE, capex_usd=[0.0, 30000.0, None]))
    assert answer[0] < answer[1]
    assert np.isnan(answer[2])


@pytest.mark.parametrize(("field", "value"), [("pue", 0.9), ("availability", 97.0), ("capex_usd", -1.0)])
def test_what_cannot_be_is_refused_by_field(field, value):
    with pytest.raises(BadInput) as caught:
        ownership_usd_per_hour(replace(BASE, **{field: value}))
    assert caught.value.field == field
