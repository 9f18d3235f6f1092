"""Idle is a marked window and a line of its own; shares close; names carry what was measured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.attribution import baseline, net, per, shares, with_idle
from inferatlas.measure.metering.energy import Energy, together
from inferatlas.measure.metering.scope import Scope

positive = st.floats(1e-3, 1e9)


def energy(joules=10150.0, terms=None, seconds=20.0, scope=Scope.GPU, device="GPU-1", **rest):
    terms = {"gain": 0.05 * (joules or 0.0), "edges": 20.0} if terms is None else terms
    method, source = rest.pop("method", "counter"), rest.pop("source", "nvml")
    return Energy(joules, terms, method, source, scope, seconds, seconds, device=device, **rest)


def idle(watts=75.0, seconds=30.0, **rest):
    return energy(watts * seconds, seconds=seconds, **rest)


# Baselines


def test_idle_power_is_the_mean_of_the_window_with_its_terms():
    rest = baseline(idle(80.0, 40.0, terms={"gain": 160.0, "sampling": 30.0, "edges": 40.0}))
    assert (rest.power_w, rest.time_s, rest.devices) == (80.0, 40.0, ("GPU-1",))
    assert rest.u_terms == pytest.approx({"gain": 4.0, "sampling": 0.75, "edges": 1.0})
    assert rest.uncertainty_w == pytest.approx(math.hypot(4.0, 0.75, 1.0))


@pytest.mark.parametrize("reason", ["gap_too_long", "edge_not_bracketed"])
def test_an_idle_window_that_is_not_valid_is_refused_with_its_reasons(reason):
    with pytest.raises(BadInput, match=f"throttled.*{reason}|{reason}"):
        baseline(idle(reasons=(reason,)))


def test_an_unknown_idle_energy_is_refused_and_never_0():
    with pytest.raises(BadInput, match="its energy is unknown"):
        baseline(energy(None, {}))
    with pytest.raises(BadInput, match="no time in it"):
        baseline(energy(seconds=0.0))


def test_an_idle_power_by_a_model_stays_marked_in_all_that_follows():
    rest = baseline(idle(method="model"))
    assert rest.remarks == ("estimated",)
    above = net(energy(), rest)
    assert above.method == "model" and "estimated" in above.remarks
    assert per(above, 10, "request").name == "estimated_gpu_joules_per_request"
    assert net(energy(), baseline(idle())).remarks == ()


def test_idle_of_several_devices_is_their_sum():
    cards = together([idle(75.0, device="GPU-1"), idle(85.0, device="GPU-2")])
    rest = baseline(cards)
    assert (rest.power_w, rest.devices) == (160.0, ("GPU-1", "GPU-2"))
    run = together([energy(10000.0, device="GPU-2"), energy(6000.0, device="GPU-1")])
    assert net(run, rest).joules == pytest.approx(16000.0 - 160.0 * 20.0)


def test_idle_of_windows_one_after_the_other_is_their_mean():
    rest = baseline(together([idle(70.0, 10.0), idle(80.0, 30.0)]))
    assert rest.power_w == pytest.approx((700.0 + 2400.0) / 40.0)
    both = together([energy(5000.0, seconds=10.0), energy(9000.0, seconds=15.0)])
    assert net(both, rest).joules == pytest.approx(14000.0 - 77.5 * 25.0)


# Net


def test_gain_acts_on_the_difference_and_other_terms_are_independent():
    above = net(
        energy(10000.0, {"gain": 500.0, "edges": 30.0, "clock": 5.0}, 20.0),
        baseline(energy(3000.0, {"gain": 150.0, "edges": 60.0}, 30.0)),
    )
    assert above.joules == pytest.approx(8000.0)
    assert above.u_terms == pytest.approx({"gain": 400.0, "edges": math.hypot(30.0, 40.0), "clock": 5.0})


@given(positive, positive, st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(0.0, 0.1))
def test_a_gain_error_scales_net_energy_like_any_other(run, rest, run_s, rest_s, gain):
    above = net(energy(run, {"gain": gain * run}, run_s), baseline(energy(rest, {"gain": gain * rest}, rest_s)))
    assert above.u_terms["gain"] == pytest.approx(gain * abs(above.joules), rel=1e-6, abs=1e-9 * (run + rest * run_s))


@given(positive, st.floats(1.0, 1e4))
def test_a_device_that_rests_takes_nothing_above_idle(watts, seconds):
    rest = energy(watts * seconds, {}, seconds)
    assert net(rest, baseline(rest)).joules == pytest.approx(0.0, abs=1e-9 * watts * seconds)


def test_a_net_energy_below_0_keeps_its_number_and_is_implausible_only_far_below():
    rest = baseline(idle(100.0, 30.0, terms={}))
    near = net(energy(1970.0, {"edges": 20.0}, 20.0), rest)
    assert (near.joules, near.reasons) == (pytest.approx(-30.0), ())
    far = net(energy(1950.0, {"edges": 20.0}, 20.0, reasons=("throttled",)), rest)
    assert (far.joules, far.reasons) == (pytest.approx(-50.0), ("throttled", "implausible"))


def test_an_unknown_energy_stays_unknown_and_an_invalid_one_invalid():
    rest = baseline(idle())
    unknown = energy(None, {}, reasons=("device_lost",))
    assert net(unknown, rest) == unknown
    assert with_idle(unknown, rest).idle_share is None
    assert net(energy(reasons=("gap_too_long",)), rest).reasons == ("gap_too_long",)


def test_other_scopes_sources_parts_and_devices_are_refused():
    rest = baseline(idle())
    with pytest.raises(BadInput, match="gpu and module are different things"):
        net(energy(scope=Scope.MODULE), rest)
    with pytest.raises(BadInput, match="unknown and gpu are different things"):
        net(energy(scope=None), rest)
    for field, other in (("source", {"source": "dcgm"}), ("part", {"part": "memory"}), ("devices", {"device": "B"})):
        with pytest.raises(BadInput) as caught:
            net(energy(**other), rest)
        assert caught.value.field == field


def test_gross_net_and_idle_are_lines_of_their_own():
    run = energy(10000.0, name="H100 0")
    both = with_idle(run, baseline(idle(100.0)))
    assert both.gross is run
    assert (both.net.joules, both.idle_j, both.idle_share) == (8000.0, 2000.0, 0.2)
    assert both.net.name == "H100 0, net of 100.0 W idle"
    told = both.as_dict()
    assert (told["gross"]["joules"], told["net"]["joules"], told["idle_w"]) == (10000.0, 8000.0, 100.0)


# Per request and token


def test_names_of_results_carry_the_scope():
    for scope, part, name in (
        (Scope.NODE_AC, "", "node_ac_joules_per_output_token"),
        (Scope.GPU, "memory", "gpu_memory_joules_per_output_token"),
        (None, "", "unknown_scope_joules_per_output_token"),
    ):
        told = per(energy(5000.0, {"gain": 250.0}, scope=scope, part=part), 1000, "output token").as_dict()
        assert (told[name], told[f"{name}_uncertainty"]) == (5.0, 0.25)


@pytest.mark.parametrize("count", [0, -3, math.nan, math.inf])
def test_a_count_of_nothing_is_refused(count):
    with pytest.raises(BadInput, match="count of request"):
        per(energy(), count, "request")


def test_an_unknown_energy_is_unknown_per_request():
    one = per(energy(None, {}, reasons=("no_samples",)), 10, "request")
    assert (one.joules, one.uncertainty_j, one.valid) == (None, None, False)
    assert one.as_dict()["gpu_joules_per_request"] is None


# Slices


weights = st.dictionaries(
    st.text(max_size=3), st.one_of(st.just(0.0), st.floats(1e-9, 1e6)), min_size=1, max_size=9
).filter(lambda found: sum(found.values()) > 0)


@given(st.one_of(st.just(0.0), positive, positive.map(lambda each: -each)), weights)
def test_shares_of_slices_sum_to_the_device_exactly(joules, found):
    parts = shares(energy(joules, {"gain": 0.05 * abs(joules)}), found)
    assert math.fsum(one.joules for one in parts.values()) == joules
    for name, one in parts.items():
        assert one.joules == pytest.approx(joules * found[name] / sum(found.values()), abs=1e-12 * abs(joules))
        assert found[name] or one.joules == 0  # what rounding left goes to nobody who has no share


@given(positive, weights)
def test_uncertainties_of_slices_are_in_proportion(joules, found):
    parts = shares(energy(joules, {"gain": 0.05 * joules, "edges": 1.0}), found).values()
    assert math.fsum(one.u_terms["gain"] for one in parts) == pytest.approx(0.05 * joules)
    assert math.fsum(one.u_terms["edges"] for one in parts) == pytest.approx(1.0)


def test_a_slice_is_a_part_that_no_sensor_read():
    one = shares(energy(700.0), {"3g.40gb": 3, "4g.40gb": 4})["3g.40gb"]
    assert (one.part, one.remarks, one.joules) == ("3g.40gb", ("estimated",), pytest.approx(300.0))
    assert shares(energy(700.0), {"on": 1, "off": 0})["off"].joules == 0.0
    assert shares(energy(None, {}), {"a": 1})["a"].joules is None


@pytest.mark.parametrize("found", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": math.nan}, {"a": math.inf}])
def test_weights_that_share_nothing_out_are_refused(found):
    with pytest.raises(BadInput, match="weights"):
        shares(energy(), found)
