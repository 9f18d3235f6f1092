"""Footprints of measured windows: the formulas of predict, PUE by scope, and no number where an input is unknown."""

import json

import numpy as np
import pytest

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.accounting.footprint import Z80, OverTime, footprint
from inferatlas.measure.metering.accounting.intensity import Intensity
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.scope import Scope
from inferatlas.predict.cost.carbon import operational_gco2e_per_million_tokens, water_l_per_million_tokens

KWH = 3.6e6
T0 = 1767225600.0


def energy(joules=KWH, u=0.0, scope=Scope.NODE_AC, **rest):
    return Energy(joules, {"gain": u}, "counter", "redfish", scope, 3600.0, 3600.0, **rest)


def hours(*values):
    start = T0 + 3600.0 * np.arange(len(values))
    return Intensity("grid.csv", "life cycle", start, start + 3600.0, np.array(values, dtype=float))


def values(found):
    return {one.name: one.value for one in found.figures}


def test_it_agrees_with_what_predict_says_of_the_same_power():
    power, rate = 10000.0, 20000.0
    joules = power * 1e6 / rate  # of a million tokens
    found = values(footprint(energy(joules), region="USA", pue=1.2, wue_site=1.8, usd_per_kwh=0.08))
    assert found["carbon"] == pytest.approx(float(operational_gco2e_per_million_tokens(power, 1.2, 369.0, rate)))
    assert found["water"] == pytest.approx(float(water_l_per_million_tokens(power, 1.2, 1.8, 3.13, rate)))
    assert found["water"] == pytest.approx(found["water_site"] + found["water_grid"])
    assert found["cost"] == pytest.approx(joules / KWH * 1.2 * 0.08)
    assert found["energy_with_overhead"] == pytest.approx(1.2 * joules)


def test_the_range_holds_both_tables_and_the_uncertainty_and_names_the_table_used():
    found = footprint(energy(u=0.01 * KWH), region="fra", site="AWS")
    carbon, grid = found["carbon"], found["intensity"]
    assert (grid.value, grid.low, grid.high) == (56.0, 41.4, 56.0)
    assert "Ember" in grid.source and "41.4 by France" in grid.source and "EcoLogits" in grid.source
    assert carbon.value == pytest.approx(1.135 * 56.0)
    assert carbon.low == pytest.approx(1.135 * 41.4 * (1 - 0.01 * Z80))
    assert carbon.high == pytest.approx(1.135 * 56.0 * (1 + 0.01 * Z80))
    assert "tables_disagree" in found.remarks
    assert "Cloud Carbon Footprint" in carbon.source
    poland = footprint(energy(), region="Poland", pue=1.0)
    assert (poland["intensity"].low, poland["intensity"].high) == (662.0, 662.0)
    assert "tables_disagree" not in poland.remarks


# PUE by scope


@pytest.mark.parametrize("scope", [one for one in Scope if one <= Scope.RACK])
def test_up_to_the_rack_pue_multiplies(scope):
    found = footprint(energy(scope=scope), region="USA", pue=1.5)
    assert found["energy_with_overhead"].value == pytest.approx(1.5 * KWH)
    assert ("scope_partial" in found.remarks) == (scope < Scope.NODE_AC)
    assert found.scope is scope


def test_at_the_facility_the_overhead_is_in_the_reading():
    plain = footprint(energy(scope=Scope.FACILITY), region="USA", wue_site=1.8)
    told = footprint(energy(scope=Scope.FACILITY), region="USA", wue_site=1.8, site="AWS")
    assert values(told) == values(plain)
    assert plain["carbon"].value == pytest.approx(369.0)
    assert plain["water_grid"].value == pytest.approx(3.13)
    assert ("pue_not_applied" in told.remarks, "pue_not_applied" in plain.remarks) == (True, False)
    # site water goes by the energy of the machines, and that is not what the meter read
    assert (plain["water_site"].value, plain["water"].value, plain.unknown) == (None, None, ("energy_of_machines",))


def test_a_meter_of_unknown_scope_takes_no_pue_until_somebody_states_it():
    for asked in ({"pue": 1.2}, {"site": "AWS"}):
        with pytest.raises(BadInput, match="state the scope") as caught:
            footprint(energy(scope=None), region="USA", **asked)
        assert caught.value.field == "scope"
    stated = footprint(energy(scope=None), region="USA", pue=1.2, scope=Scope.RACK)
    assert stated["carbon"].value == pytest.approx(1.2 * 369.0)
    assert "scope_stated" in stated.remarks
    silent = footprint(energy(scope=None), region="USA")
    assert silent["carbon"].value is None
    assert silent.unknown == ("scope", "energy_of_machines", "pue", "wue_site")


def test_a_scope_other_than_the_energys_is_refused():
    with pytest.raises(BadInput, match="gpu and rack are different things"):
        footprint(energy(scope=Scope.GPU), region="USA", scope=Scope.RACK)


# What is unknown


def test_what_nobody_stated_is_none_and_named_never_0():
    found = footprint(energy(), region="Germany")
    assert found.unknown == ("pue", "wue_site", "wue_grid")
    assert {name: value for name, value in values(found).items() if value is not None} == {
        "energy": KWH, "intensity": 381.0,
    }  # fmt: skip
    assert "cost" not in values(found)
    with_site = footprint(energy(), region="Germany", pue=1.1, wue_site=0.2)
    assert (with_site["water_site"].value, with_site["water"].value) == (0.2, None)
    assert with_site.unknown == ("wue_grid",)


def test_an_unknown_energy_leaves_every_amount_unknown_with_its_reasons():
    found = footprint(energy(None, reasons=("device_lost",)), region="USA", pue=1.2, wue_site=1.0, usd_per_kwh=0.1)
    amounts = {name: value for name, value in values(found).items() if name not in ("pue", "intensity")}
    assert set(amounts.values()) == {None}
    assert (found.valid, found.reasons, found.unknown) == (False, ("device_lost",), ("energy",))


def test_an_energy_that_is_not_valid_keeps_its_numbers():
    found = footprint(energy(reasons=("gap_too_long",), remarks=("fallback",)), region="USA", pue=1.0)
    assert (found.valid, found.reasons, found["carbon"].value) == (False, ("gap_too_long",), 369.0)
    assert "fallback" in found.remarks


def test_a_net_energy_below_0_keeps_its_range_in_order():
    carbon = footprint(energy(-1000.0, 5000.0), region="USA", pue=1.2)["carbon"]
    assert carbon.low < carbon.value < 0 < carbon.high


def test_it_is_written_as_json():
    told = json.loads(json.dumps(footprint(energy(), region="USA", pue=1.2).as_dict()))
    assert (told["scope"], told["valid"], told["unknown"]) == ("node_ac", True, ["wue_site"])
    assert told["figures"]["carbon"]["unit"] == "gCO2e"
    assert set(told["figures"]["carbon"]) == {"value", "low", "high", "unit", "source"}
    assert told["figures"]["water"]["value"] is None


# Over time


def test_a_series_is_weighted_by_the_energy_of_each_interval():
    over = OverTime([T0, T0 + 1800.0], [T0 + 1800.0, T0 + 5400.0], [0.25 * KWH, 0.75 * KWH])
    found = footprint(energy(), region="nowhere", pue=1.2, intensity=hours(100.0, 500.0), over_time=over)
    assert found["carbon"].value == pytest.approx(1.2 * (0.25 * 100.0 + 0.75 * 300.0))
    assert found["intensity"].source == "grid.csv (life cycle), 2 values"
    assert "wue_grid" in found.unknown  # the region is no table's


def test_one_interval_is_constant_power_over_the_window():
    over = OverTime([T0], [T0 + 7200.0], [KWH])
    assert footprint(energy(), region="USA", pue=1.0, intensity=hours(100.0, 500.0), over_time=over)[
        "carbon"
    ].value == pytest.approx(300.0)


def test_intervals_that_do_not_make_up_the_window_are_refused():
    for joules in ([0.5 * KWH], [0.0], [-1.0], [[KWH]]):
        with pytest.raises(BadInput) as caught:
            footprint(energy(), region="USA", intensity=hours(1.0, 2.0), over_time=OverTime([T0], [T0 + 60.0], joules))
        assert caught.value.field == "over_time"
    near = OverTime([T0], [T0 + 60.0], [1.01 * KWH])
    assert footprint(energy(u=0.01 * KWH), region="USA", pue=1.0, intensity=hours(5.0, 5.0), over_time=near)[
        "carbon"
    ].value == pytest.approx(5.0)


def test_a_window_that_the_series_does_not_cover_is_refused():
    over = OverTime([T0 + 7000.0], [T0 + 7300.0], [KWH])
    with pytest.raises(BadInput, match="no value for 100 s"):
        footprint(energy(), region="USA", intensity=hours(1.0, 2.0), over_time=over)


def test_a_series_and_intervals_come_together():
    for asked in ({"intensity": hours(1.0, 2.0)}, {"over_time": OverTime([T0], [T0 + 1], [KWH])}):
        with pytest.raises(BadInput, match="is missing"):
            footprint(energy(), region="USA", **asked)


# What is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [("pue", 0.9), ("pue", 11.0), ("pue", float("nan")), ("wue_site", -1.0), ("usd_per_kwh", float("inf"))],
)
def test_numbers_out_of_range_are_refused(field, value):
    with pytest.raises(BadInput) as caught:
        footprint(energy(), region="USA", **{field: value})
    assert caught.value.field == field


def test_unknown_names_and_two_overheads_are_refused():
    with pytest.raises(UnknownName, match="region"):
        footprint(energy(), region="Atlantis")
    with pytest.raises(UnknownName, match="site"):
        footprint(energy(scope=Scope.FACILITY), region="USA", site="Aws2")
    with pytest.raises(BadInput, match="not both"):
        footprint(energy(), region="USA", site="AWS", pue=1.2)
