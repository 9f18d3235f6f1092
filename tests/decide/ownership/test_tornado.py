"""Bars against the totals they stand for, and the interval against draws."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.decide.ownership.owner import FIELDS, Figure
from inferatlas.decide.ownership.tornado import TOTALS, Bar, interval, tornado
from inferatlas.predict.cost.owned import Owned, elasticities, token_totals
from inferatlas.predict.cost.ownership import PRIORS
from inferatlas.predict.performance.priors import Z80

BASE = Owned(30000.0, 500.0, 1730.0, tokens_per_s=1000.0, idle_w=70.0, gco2e_per_kwh=369.0, wue_grid=3.13)


def figure(name: str, low: float, high: float, *, given: bool = False) -> Figure:
    return Figure(name, float(np.asarray(getattr(BASE, FIELDS[name]))), "", low, high, "a test", given)


def bar(at_low: float, at_high: float, *, given: bool = False) -> Bar:
    return Bar("usd", "x", 1.0, 0.5, 2.0, "", at_low, at_high, given)


def test_each_bar_ends_where_the_total_is():
    found = tornado(BASE, [figure("life", 3.0, 6.0), figure("pue", 1.05, 1.58), figure("capex", 3e4, 3e4)])
    assert {(one.metric, one.parameter) for one in found} == {
        ("usd_per_million_tokens", "life"), ("usd_per_million_tokens", "pue"),
    }  # fmt: skip
    life = found[0]
    for end, at in ((life.low, life.at_low), (life.high, life.at_high)):
        assert at == pytest.approx(float(token_totals(replace(BASE, life_years=end))["usd"]))
    # totals that are unknown (no embodied carbon, no water at the site) have no bars
    whole = replace(BASE, embodied_g=1e6, wue_site=0.0)
    assert {one.metric for one in tornado(whole, [figure("pue", 1.05, 1.58)])} == set(TOTALS.values())


def test_the_longest_bar_comes_first():
    held = [figure(name, one.low, one.high) for name, field in FIELDS.items() if (one := PRIORS.get(field))]
    swings = [abs(one.at_high - one.at_low) for one in tornado(BASE, held)]
    assert swings == sorted(swings, reverse=True) and len(swings) == len(held)


@given(st.floats(0.01, 0.3), st.floats(0.01, 0.3))
def test_narrow_ranges_give_what_elasticities_say(a, b):
    """Equation (54): variances of logarithms add, each weighted by its elasticity squared."""
    widths = {"throughput": a * 0.1, "capex": b * 0.1}
    held = [
        figure(name, *(float(np.asarray(getattr(BASE, FIELDS[name]))) * math.exp(sign * width) for sign in (-1, 1)))
        for name, width in widths.items()
    ]
    value = float(token_totals(BASE)["usd"])
    found = interval(value, tornado(BASE, held))
    assert found is not None
    slopes = elasticities(BASE)["usd"]
    sigma = math.sqrt(sum((float(slopes[FIELDS[name]]) * width) ** 2 for name, width in widths.items()))
    for end in (found.low, found.high):
        assert abs(math.log(end / value)) == pytest.approx(sigma, rel=0.02)


def test_the_interval_holds_80_per_cent_of_draws():
    """Independent inputs, each lognormal to either side of its value with 10 % beyond either end of its range."""
    names = ("life", "electricity", "pue", "interest", "network", "maintenance", "colo")
    held = [figure(name, PRIORS[FIELDS[name]].low, PRIORS[FIELDS[name]].high) for name in names]
    held += [figure("utilisation", 0.3, 0.9), figure("throughput", 750.0, 1330.0)]
    value = float(token_totals(BASE)["usd"])
    found = interval(value, tornado(BASE, held))
    assert found is not None
    rng, draws = np.random.default_rng(54), {}
    for one in held:
        assert one.value is not None and one.low is not None and one.high is not None
        z = rng.standard_normal(20_000) / Z80
        drawn = one.value * np.where(z > 0, (one.high / one.value) ** z, (one.value / one.low) ** z)
        draws[FIELDS[one.parameter]] = np.clip(drawn, 1.0 if one.parameter == "pue" else 0.0, None)
    draws["utilisation"] = np.minimum(draws["utilisation"], 1.0)
    totals = token_totals(replace(BASE, **draws))["usd"]
    inside = float(((totals >= found.low) & (totals <= found.high)).mean())
    assert 0.76 < inside < 0.86


def test_what_was_given_is_certain_and_what_is_unknown_has_no_interval():
    assert interval(10.0, [bar(5.0, 20.0, given=True)]) == interval(10.0, [])
    assert interval(float("nan"), [bar(5.0, 20.0)]) is None
    one_sided = interval(10.0, [bar(10.0, 12.0), bar(11.0, 10.0)])
    assert one_sided is not None and one_sided.low == 10.0 < one_sided.high
    nothing = interval(0.0, [bar(0.0, 0.0)])
    assert nothing is not None and (nothing.low, nothing.high) == (0.0, 0.0)
