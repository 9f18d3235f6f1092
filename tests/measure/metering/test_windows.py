import numpy as np
import pytest
from made import S, channel, counter_of, series

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault, Series
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.windows import energies, integrate, near

T = np.arange(0.0, 61.0, 0.1)


def counting(watts: float, **facts) -> Series:
    return series(channel("counter", update_s=0.1, **facts), T, 1e5 + counter_of(lambda x: watts * x, T, 0.1, 0.03))


def averaging(watts: float, **facts) -> Series:
    return series(channel("average", window_s=1.0, update_s=0.1, **facts), T, np.full(T.size, watts))


def found_in(*all_series: Series, **more):
    return energies(Log(tuple(all_series), **more), 5 * S, 55 * S)


def test_the_counter_comes_first_and_is_held_against_power():
    (one,) = found_in(averaging(404.0), counting(400.0))
    assert one.method == "counter" and one.joules == pytest.approx(400.0 * 50, rel=0.005)
    assert [check.method for check in one.checks] == ["average"] and one.valid


def test_a_disagreement_above_5_percent_is_flagged():
    """zeus issue 181: 187 J against 327 J in 5 s."""
    (one,) = found_in(averaging(327 / 5), counting(187 / 5))
    assert one.reasons == ("sources_disagree",) and one.joules == pytest.approx(374 * 5, rel=0.01)
    assert found_in(averaging(419.0), counting(400.0))[0].valid
    assert not found_in(averaging(422.0), counting(400.0))[0].valid


def test_a_counter_that_failed_is_replaced_and_stays_as_a_check():
    reset = series(channel("counter", update_s=0.1), T, np.where(T < 30.0, 1e6 + 400.0 * T, 400.0 * (T - 30.0)))
    (one,) = found_in(reset, averaging(400.0))
    assert one.method == "average" and one.valid and "fallback" in one.remarks
    assert one.checks[0].reasons == ("counter_reset",)


def test_an_average_goes_before_instant_readings_and_both_before_a_model():
    instant = series(channel("instant"), T, np.full(T.size, 401.0))
    model = series(channel("model"), T, np.full(T.size, 700.0))
    (one,) = found_in(model, instant, averaging(400.0))
    assert one.method == "average" and one.valid  # that a model is far off says nothing against a sensor
    (alone,) = found_in(model)
    assert alone.method == "model" and "estimated" in alone.remarks


def test_scopes_and_parts_and_sources_stand_beside_each_other():
    """energy.md, mistakes 7 and 13."""
    found = found_in(
        averaging(400.0), averaging(650.0, scope=Scope.MODULE), averaging(60.0, part="memory"),
        averaging(1200.0, source="redfish", scope=Scope.NODE_AC),
    )  # fmt: skip
    assert [(one.source, one.scope, one.part) for one in found] == [
        ("nvml", Scope.GPU, ""), ("nvml", Scope.MODULE, ""), ("nvml", Scope.GPU, "memory"),
        ("redfish", Scope.NODE_AC, ""),
    ]  # fmt: skip


def test_devices_of_one_scope_add_up_with_their_gain():
    (both,) = found_in(averaging(400.0, device="GPU-1"), averaging(300.0, device="GPU-2"))
    assert both.joules == pytest.approx(700.0 * 50) and both.device is None
    assert both.u_terms["gain"] == pytest.approx(0.05 * 700.0 * 50)
    assert [one.device for one in both.devices] == ["GPU-1", "GPU-2"]


def test_module_readings_of_several_gpus_are_never_added():
    """k8s-test-infra issue 676: the module of a GB300 holds two GPUs."""
    (both,) = found_in(*(averaging(2000.0, device=f"GPU-{n}", scope=Scope.MODULE, shared=True) for n in (1, 2)))
    assert both.joules is None and "scope_shared" in both.reasons
    assert [one.joules for one in both.devices] == pytest.approx([1e5, 1e5])
    (alone,) = found_in(averaging(2000.0, scope=Scope.MODULE, shared=True))
    assert alone.valid


def test_two_names_of_one_meter_count_once():
    """codecarbon issue 1274: mirrored RAPL counters."""
    zones = [counting(120.0, source="rapl", device=f"package-{n}", scope=Scope.MODULE) for n in (0, 1)]
    (one,) = found_in(*zones)
    assert one.joules == pytest.approx(120.0 * 50, rel=0.01) and "mirrored_meter" in one.remarks
    other = counting(121.0, source="rapl", device="package-1", scope=Scope.MODULE)
    assert found_in(zones[0], other)[0].joules == pytest.approx(241.0 * 50, rel=0.01)


def test_a_device_without_readings_leaves_the_sum_of_the_others_invalid():
    nan = np.full(T.size, np.nan)
    silent = series(channel("average", device="GPU-2"), T, nan, np.full(T.size, Fault.NOT_AVAILABLE))
    (both,) = found_in(averaging(400.0), silent)
    assert both.joules == pytest.approx(400.0 * 50)
    assert not both.valid and "device_missing" in both.reasons


def test_what_makes_a_log_doubtful_makes_its_windows_so():
    (one,) = found_in(averaging(400.0), reasons=("clock_jump",))
    assert one.reasons == ("clock_jump",)
    (one,) = found_in(averaging(400.0), remarks=("clock_step",))
    assert one.valid and "clock_step" in one.remarks


def test_a_window_must_end_after_it_starts():
    with pytest.raises(BadInput, match="does not end after it starts"):
        integrate(averaging(1.0), S, S)


def test_only_what_isnear_a_window_is_looked_at():
    t = np.arange(0.0, 4000.0, 0.1)
    rng = np.random.default_rng(0)
    long = series(channel("counter", update_s=0.1), t, np.cumsum(rng.uniform(20.0, 70.0, t.size)))
    (found,) = energies(Log((long,)), 2000 * S, 2050 * S)
    assert found.joules == pytest.approx(integrate(long, 2000 * S, 2050 * S).joules, rel=1e-12)


def wrapping(watts: float, device: str, wrap: float, *, late_s: float = 1e-4, first: int = 0) -> Series:
    zone = channel("counter", source="rapl", device=device, scope=Scope.MODULE, update_s=0.001, wrap_j=wrap)
    return series(zone, T[first:] + late_s, (watts * (T[first:] + late_s) + 900.0) % wrap)


@pytest.mark.parametrize("first", [0, 1])
def test_two_names_of_one_meter_count_once_though_it_wraps_or_one_of_them_lacks_a_reading(first):
    """A slice of a log in memory may begin within a round; 1,000 J at 120 W wrap every 8 s."""
    zones = wrapping(120.0, "package-0", 1000.0), wrapping(120.0, "package-1", 1000.0, late_s=2e-4, first=first)
    (one,) = found_in(*zones)
    assert one.joules == pytest.approx(120.0 * 50, rel=0.01) and "mirrored_meter" in one.remarks
    (two,) = found_in(zones[0], wrapping(125.0, "package-1", 1000.0))
    assert two.joules == pytest.approx(245.0 * 50, rel=0.01) and "mirrored_meter" not in two.remarks


def test_a_sum_that_is_not_formed_was_found_by_no_method():
    (both,) = found_in(*(averaging(2000.0, device=f"GPU-{n}", scope=Scope.MODULE, shared=True) for n in (1, 2)))
    assert both.joules is None and both.method is None and both.uncertainty_j is None


def test_one_of_several_devices_that_has_only_faults_tells_its_fault():
    nan = np.full(T.size, np.nan)
    denied = series(channel("average", device="GPU-2"), T, nan, np.full(T.size, Fault.NOT_SUPPORTED))
    (both,) = found_in(averaging(400.0), denied)
    assert {"not_supported", "device_missing"} <= set(both.reasons)
    assert both.devices[1].reasons == ("not_supported",)


def test_a_thousand_windows_of_a_long_log_cost_as_much_as_their_readings():
    t = np.arange(0.0, 100_000.0, 0.1)
    long = series(channel("instant", update_s=0.1), t, np.full(t.size, 400.0))
    assert near(long, 50_000 * S, 50_010 * S).t_ns.size < 1000
    counter = series(channel("counter"), t, 400.0 * t)
    assert near(counter, 50_000 * S, 50_010 * S).t_ns.size < 1000
    coarse = series(channel("counter"), t, np.floor(400.0 * t / 36e3) * 36e3)  # a step every 90 s
    some = near(coarse, 50_000 * S, 50_010 * S)
    assert some.t_ns.size < 200_000 and np.count_nonzero(np.diff(some.value)) >= 50
    assert near(coarse, -10 * S, 10**6 * S).t_ns.size == t.size
    silent = np.where((t > 49_000) & (t < 51_000), np.nan, 400.0)  # what bounds the hole is not left out
    holed = series(channel("instant", update_s=0.1), t, silent, np.where(np.isnan(silent), Fault.TIMEOUT, 0))
    whole, (one,) = integrate(holed, 50_000 * S, 50_010 * S), energies(Log((holed,)), 50_000 * S, 50_010 * S)
    assert one.reasons == whole.reasons and one.joules == pytest.approx(whole.joules)


@pytest.mark.parametrize("semantics", ["instant", "counter"])
def test_a_device_that_went_and_came_back_over_an_edge_marks_the_window(semantics):
    """Between the last reading before and the first one inside: the energy up to it may be another device's."""
    t = np.arange(0.0, 30.0, 0.1)
    value = np.where(t < 0, 0.0, 300.0 * t + 1.0) if semantics == "counter" else np.full(t.size, 300.0)
    fault = np.where(np.abs(t - 5.0) < 0.05, Fault.DEVICE_CHANGED, 0)
    read = series(channel(semantics, update_s=0.1), t, np.where(fault > 0, np.nan, value), fault)
    assert integrate(read, int(5.05 * S), 28 * S).reasons == ("device_changed",)
    assert integrate(read, S, int(4.95 * S)).reasons[0] == "device_changed"
    assert integrate(read, int(5.15 * S), 28 * S).valid and integrate(read, S, int(4.85 * S)).valid
