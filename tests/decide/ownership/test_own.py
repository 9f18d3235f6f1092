"""Ownership of whole deployments: agreement with the prediction, what is unknown, and the right directions."""

import pytest

import inferatlas
from inferatlas.decide.ownership.own import Ownership
from inferatlas.decide.ownership.tornado import TOTALS
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.cost.carbon import operational_gco2e_per_million_tokens
from inferatlas.predict.cost.money import capital_recovery

LOAD = {"isl": 1024, "osl": 256, "concurrency": 64}
FULL = {"capex": 30000.0, "water_site": 0.2}


def own(accelerator: str = "h100", deployment: dict | None = None, region: str = "USA", **owner: float) -> Ownership:
    asked = {"tp": 4, "count": 4} if deployment is None else deployment
    return inferatlas.own(
        "llama-3.3-70b", accelerator, owner=inferatlas.Owner(**(FULL | owner)), region=region, **LOAD, **asked
    )


def test_it_rests_on_the_numbers_of_predict():
    answer = inferatlas.predict("llama-3.3-70b", "h100", tp=4, count=4, region="USA", **LOAD)
    rate, power = (answer.metrics[name] for name in ("output_tokens_per_s", "power_w"))
    assert rate is not None and power is not None
    found = own(utilisation=1.0, pue=1.2)
    held = {one.parameter: one for one in found.figures}
    assert held["throughput"].value == pytest.approx(rate.value / 4)
    assert (held["throughput"].low, held["throughput"].high) == pytest.approx((rate.low / 4, rate.high / 4))
    assert (held["power"].value, held["power"].high) == pytest.approx((power.value / 4, power.high / 4))
    assert found.parts["gco2e_per_million_tokens"]["operational"] == pytest.approx(
        float(operational_gco2e_per_million_tokens(power.value, 1.2, 369.0, rate.value))
    )
    capital = 30000.0 * float(capital_recovery(0.08, 5.0)) / (8760 * 0.97) * 1e6 / (3600 * rate.value / 4)
    assert found.parts["usd_per_million_tokens"]["capital"] == pytest.approx(capital)
    assert found.energy["idle_energy_share"] == found.energy["idle_hours_share"] == 0.0


@pytest.mark.parametrize("metric", TOTALS.values())
def test_parts_add_up_and_intervals_hold_their_value(metric):
    found = own()
    total = found.total(metric)
    assert total is not None and total.low < total.value < total.high
    assert sum(part or 0.0 for part in found.parts[metric].values()) == pytest.approx(total.value)
    for bar in found.tornado:
        if bar.metric == metric:
            assert min(bar.at_low, bar.at_high) <= total.value * (1 + 1e-9)
            assert max(bar.at_low, bar.at_high) >= total.value * (1 - 1e-9)


def test_what_is_given_narrows_the_interval():
    wide, narrow = own(), own(utilisation=0.5, life=5.0, interest=0.08)
    one, other = wide.usd_per_million_tokens, narrow.usd_per_million_tokens
    assert one is not None and other is not None
    assert one.value == other.value and other.high / other.low < one.high / one.low
    assert {bar.parameter for bar in narrow.tornado if bar.given} >= {"utilisation", "life", "interest"}


def test_idle_hours_cost_energy():
    half, rare = own(utilisation=0.5), own(utilisation=0.1)
    for name in ("kwh_per_million_tokens", "idle_energy_share"):
        assert (rare.energy[name] or 0) > (half.energy[name] or 0) > 0
    assert half.energy["idle_hours_share"] == 0.5
    assert (half.energy["mean_w"] or 0) > (rare.energy["mean_w"] or 0)


def test_what_nobody_states_is_named_and_not_guessed():
    found = inferatlas.own("llama-3.3-70b", "h100", tp=4, **LOAD)
    assert found.unknown == ["capex", "water_site"]
    assert found.usd_per_million_tokens is None and found.water_l_per_million_tokens is None
    assert found.gco2e_per_million_tokens is not None
    parts = found.parts["usd_per_million_tokens"]
    assert parts["capital"] is None and (parts["energy"] or 0) > 0 and (parts["space"] or 0) > 0
    assert any("capex is unknown" in line for line in found.assumptions)
    slopes = {row["parameter"]: row["value"] for row in found.elasticities if row["metric"] == "usd_per_million_tokens"}
    assert slopes["capex"] is slopes["throughput"] is None and slopes["grid"] == 0.0
    assert own("groq-lpu-v1", {}, capex=2e4).gco2e_per_million_tokens is None  # no embodied carbon
    assert own("groq-lpu-v1", {}, capex=2e4, embodied=1e5).gco2e_per_million_tokens is not None


def test_a_cleaner_grid_a_lower_cap_and_an_open_loop():
    dirty, clean = own(), own(region="France")
    green, brown = (one.gco2e_per_million_tokens for one in (clean, dirty))
    assert green is not None and brown is not None and green.value < 0.6 * brown.value
    capped = own(deployment={"tp": 4, "count": 4, "power_cap_w": 450.0})
    held = {one.parameter: one for one in capped.figures}
    assert capped.label == "extrapolated" and capped.inputs["clock"] < 1
    assert (held["power"].high or 0) <= 450.0
    offered = inferatlas.own(
        "llama-3.1-8b", "h100", isl=512, osl=64, request_rate=4.0, owner=inferatlas.Owner(capex=1.0)
    )
    rate = next(one for one in offered.figures if one.parameter == "throughput")
    assert rate.value == rate.low == rate.high == pytest.approx(256.0)
    assert not any(bar.parameter == "throughput" for bar in offered.tornado)


def test_what_cannot_be_is_refused():
    with pytest.raises(BadInput, match="life"):
        own(life=0.0)
    with pytest.raises(NoFeasibleAnswer) as caught:
        own("l4", {"count": 1})
    assert caught.value.code == "memory" and (caught.value.least_count or 0) > 1
