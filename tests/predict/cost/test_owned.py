"""Tokens of a machine that is owned: parts by hand, idle hours, and derivatives against differences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.cost.money import capital_recovery, usd_per_million_tokens
from inferatlas.predict.cost.owned import (
    UTILISATION,
    Owned,
    elasticities,
    mean_power,
    recovery_elasticities,
    token_parts,
    token_totals,
)
from inferatlas.predict.cost.ownership import Ownership, ownership_usd_per_hour

BASE = Owned(
    30000.0, 500.0, 1730.0, tokens_per_s=1000.0, idle_w=70.0, gco2e_per_kwh=369.0, embodied_g=9e5, wue_site=0.4,
    wue_grid=3.13, residual_share=0.1, opex_usd_per_hour=0.05,
)  # fmt: skip
positive = st.floats(0.1, 10.0)


@st.composite
def owners(draw: st.DrawFn) -> Owned:
    """Owners of all sorts: every figure that can vary freely by a factor of ten, shares within their bounds."""
    free = ("capex_usd", "power_w", "provisioned_w", "life_years", "colo_usd_per_kw_month", "usd_per_kwh",
            "tokens_per_s", "idle_w", "gco2e_per_kwh", "embodied_g", "wue_site", "wue_grid", "network_share",
            "maintenance_share", "opex_usd_per_hour")  # fmt: skip
    scaled = {name: np.asarray(getattr(BASE, name)) * draw(positive) for name in free}
    shares = {name: draw(st.floats(0.05, 0.95)) for name in ("utilisation", "availability", "residual_share")}
    return replace(BASE, **scaled, **shares, interest=draw(st.floats(1e-3, 0.5)), pue=draw(st.floats(1.05, 2.0)))


@given(owners())
def test_every_elasticity_is_the_slope_that_differences_show(it):
    step = 1e-4
    for total, found in elasticities(it).items():
        for name, value in found.items():
            near = np.asarray(getattr(it, name)) * np.exp([-step, step])
            low, high = token_totals(replace(it, **{name: near}))[total]
            assert float(value) == pytest.approx(np.log(high / low) / (2 * step), abs=1e-4), (total, name)


@given(owners())
def test_inputs_without_an_elasticity_do_not_move_the_total(it):
    names = [name for name in Owned.__dataclass_fields__ if name not in ("availability", "pue")]
    for total, found in elasticities(it).items():
        for name in set(names) - set(found):
            other = replace(it, **{name: np.asarray(getattr(it, name)) * 0.9})
            assert token_totals(other)[total] == pytest.approx(float(token_totals(it)[total]), rel=1e-12), name


@given(owners(), st.floats(1.1, 5.0))
def test_what_the_elasticities_must_add_up_to(it, factor):
    usd, carbon, water = (elasticities(it)[total] for total in ("usd", "gco2e", "water_l"))
    assert all(found["tokens_per_s"] == pytest.approx(-1.0) for found in (usd, carbon, water))
    # a bill in other money: every price times the same factor
    prices = ("capex_usd", "usd_per_kwh", "colo_usd_per_kw_month", "opex_usd_per_hour")
    assert sum(float(usd[name]) for name in prices) == pytest.approx(1.0)
    dearer = replace(it, **{name: np.asarray(getattr(it, name)) * factor for name in prices})
    assert token_totals(dearer)["usd"] == pytest.approx(factor * float(token_totals(it)["usd"]))
    assert float(carbon["gco2e_per_kwh"] + carbon["embodied_g"]) == pytest.approx(1.0)
    assert float(water["wue_site"] + water["wue_grid"]) == pytest.approx(1.0)
    if it.idle_w <= it.power_w:
        assert -1 <= usd["utilisation"] < 0 and -1 <= carbon["utilisation"] < 0


@given(owners())
def test_the_parts_are_the_owner_s_hour_and_the_energy_of_all_hours(it):
    hour = ownership_usd_per_hour(replace(it, power_w=mean_power(it)))
    assert token_totals(it)["usd"] == pytest.approx(
        float(usd_per_million_tokens(hour, it.tokens_per_s or 0.0, it.utilisation or 0.0))
    )
    seconds = 1e6 / (float(np.asarray(it.tokens_per_s)) * float(np.asarray(it.utilisation)))
    kwh = float(mean_power(it)) * seconds / 3.6e6
    parts = token_parts(it)
    assert parts["gco2e"]["operational"] == pytest.approx(kwh * it.pue * it.gco2e_per_kwh)
    assert parts["water_l"]["site"] == pytest.approx(kwh * it.wue_site)
    assert parts["water_l"]["grid"] == pytest.approx(kwh * it.pue * it.wue_grid)
    life = it.life_years * 8760 * 3600 * it.availability * it.utilisation  # seconds of use
    assert parts["gco2e"]["embodied"] == pytest.approx(it.embodied_g / life * 1e6 / it.tokens_per_s)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.08, 0.5])
@pytest.mark.parametrize("years", [0.5, 5.0, 30.0])
def test_elasticities_of_capital_recovery_are_smooth_at_no_interest(rate, years):
    to_rate, to_years = (float(e) for e in recovery_elasticities(rate, years))
    assert 0 <= to_rate < 1 and -1 <= to_years < 0
    nearer, later = capital_recovery(rate, years * np.exp([-1e-5, 1e-5]))
    assert to_years == pytest.approx(np.log(later / nearer) / 2e-5, abs=1e-5)


def test_a_machine_that_never_waits_has_no_idle_energy():
    busy = replace(BASE, utilisation=1.0)
    assert mean_power(busy) == 500.0
    assert elasticities(busy)["water_l"]["idle_w"] == 0
    assert mean_power(replace(BASE, utilisation=0.5)) == 285.0
    # without idle power energy per token does not depend on use
    cold = replace(BASE, idle_w=0.0)
    assert elasticities(cold)["water_l"]["utilisation"] == 0


def test_the_less_it_is_used_the_dearer_each_token():
    shares = np.linspace(0.05, 1.0, 20)
    totals = token_totals(replace(BASE, utilisation=shares))
    assert all((np.diff(total) < 0).all() for total in totals.values())


def test_unknown_inputs_make_their_own_parts_unknown_and_no_other():
    parts = token_parts(replace(BASE, capex_usd=None, wue_site=None, embodied_g=None))
    lost = {(total, name) for total, held in parts.items() for name, part in held.items() if np.isnan(part)}
    assert lost == {
        ("usd", "capital"), ("usd", "network"), ("usd", "maintenance"), ("gco2e", "embodied"), ("water_l", "site"),
    }  # fmt: skip
    assert all(np.isnan(float(e)) for e in elasticities(replace(BASE, capex_usd=None))["usd"].values())


def test_the_prior_of_use_lies_in_its_range():
    assert UTILISATION.low < UTILISATION.value < UTILISATION.high <= 1
    assert issubclass(Owned, Ownership)


@pytest.mark.parametrize(
    ("field", "value"),
    [("utilisation", 0.0), ("utilisation", 1.1), ("life_years", 0.0), ("pue", 0.9), ("tokens_per_s", 0.0),
     ("idle_w", -1.0), ("embodied_g", -1.0), ("wue_site", -0.1), ("gco2e_per_kwh", -1.0)],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_field(field, value):
    with pytest.raises(BadInput) as caught:
        token_totals(replace(BASE, **{field: value}))
    assert caught.value.field == field
