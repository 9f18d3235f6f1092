"""The pieces of a comparison: largest rates, pools of units, how far errors move results."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.decide.disaggregation.asking import asking
from inferatlas.decide.disaggregation.doubt import (
    MOST,
    ROWS,
    SOURCES,
    deviations,
    measured_scales,
    moved,
    scenarios,
    unmodelled,
)
from inferatlas.decide.disaggregation.rates import FINE, largest
from inferatlas.decide.disaggregation.sides import side_of, units_of
from inferatlas.decide.disaggregation.splits import pool_rates
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.mapping.layouts import layouts_of
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.workload import parse_targets

H100 = bind("nvidia-h100-sxm", model="llama-3.1-8b")
OPS = operators(load_model("llama-3.1-8b"))
LOAD = {"input_tokens": 1024, "output_tokens": 256}


@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=8))
def test_the_largest_rate_is_the_threshold_or_the_top(pairs):
    top, threshold = (np.array(column) for column in zip(*pairs, strict=True))
    found = largest(lambda rate, at: rate <= threshold[at], top)
    expected = np.where(threshold < top / 1e4, 0.0, np.minimum(top, threshold))
    assert (found <= expected * (1 + 1e-12)).all() and (found >= expected * (1 - 2 * FINE)).all()


def test_nothing_to_ask_is_nothing_found():
    assert largest(lambda rate, at: rate > 0, np.zeros(0)).size == 0
    assert largest(lambda rate, at: rate < 0, np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_copies_of_units_are_all_legal_layouts_of_a_count():
    """Every layout of a count is so many copies of a unit, experts over several replicas included."""
    for name, part in (("llama-3.1-8b", "h100"), ("qwen3-30b-a3b", "h100"), ("llama-3.1-8b", "amd-mi250")):
        ops, platform = operators(load_model(name)), bind(part, model=name)
        units = units_of(ops, platform, 16)
        shapes = set(zip(units.tp.tolist(), units.pp.tolist(), units.ep.tolist(), units.dp.tolist(), strict=True))
        ranks = platform.device.engine_devices
        every = layouts_of(ops, platform.device, 16)
        held = {
            (int(t), int(p), int(e), max(int(e) // (int(t) * ranks), 1))
            for t, p, e, d in zip(every.tp, every.pp, every.ep, every.dp, strict=True)
            if (int(d) & (int(d) - 1)) == 0 and (int(p) & (int(p) - 1)) == 0
        }
        assert held <= shapes


def test_pools_of_units_leave_over_what_is_no_whole_unit():
    rate, unit = pool_rates(np.array([[1.0, 5.0]]), np.array([1, 4], dtype=np.int32), 9)
    assert rate[0, :, 0].tolist() == [0, 1, 2, 3, 5, 5, 6, 7, 10, 10]
    assert unit[0, [3, 4, 8], 0].tolist() == [0, 1, 1]


def test_moved_rows_are_slower_and_faster_than_the_first_which_is_as_predicted():
    table = moved(H100, is_moe=False)
    points = make_points(np.arange(ROWS), concurrency=16, **LOAD)
    found = predict(OPS, table, points)
    plain = predict(OPS, platform_table([H100]), make_points(0, concurrency=16, **LOAD))
    assert found.itl_s[0] == plain.itl_s[0] and found.ttft_s[0] == plain.ttft_s[0]
    for k, source in enumerate(SOURCES):
        slow, fast = found.itl_s[1 + 2 * k], found.itl_s[2 + 2 * k]
        assert slow > found.itl_s[0] > fast, source
    wider = predict(OPS, moved(H100, is_moe=False, scales=(2.0, 2.0)), points)
    assert wider.itl_s[3] > found.itl_s[3]


def test_scales_bring_the_ranges_to_what_was_measured():
    table = moved(H100, is_moe=False)
    point = make_points(0, concurrency=16, **LOAD)
    first, gap = measured_scales(OPS, table, point)
    assert MOST[0] <= min(first, gap) and max(first, gap) <= MOST[1]
    again = measured_scales(OPS, moved(H100, is_moe=False, scales=(gap, gap)), point)[1]
    assert again == pytest.approx(1.0, abs=0.35)  # logarithms of steps are not linear in those of coefficients


def test_on_one_part_errors_move_together_and_on_two_one_after_the_other():
    same, other = scenarios(same=True), scenarios(same=False)
    assert same[0] == other[0] == (0, 0, 1.0)
    assert all(p == d for p, d, _ in same)
    assert not any(p and d for p, d, _ in other) and len(other) == len(same) + ROWS - 1
    assert sum(factor != 1.0 for _, _, factor in same) == 2


def test_deviations_add_in_squares_and_a_scenario_that_serves_nothing_counts_as_a_tenth():
    low, high = deviations(np.array([[1.0, 1.0], [np.exp(-0.3), 0.0], [np.exp(-0.4), 1.0], [np.exp(0.2), 1.0]]))
    assert low == pytest.approx([0.5, np.log(10.0)]) and high == pytest.approx([0.2, 0.0])
    assert 0 < unmodelled(ratio=True) < unmodelled(ratio=False)


def test_the_question_comes_first_and_then_its_curves():
    targets = parse_targets(["ttft<1s", "itl:p95<40ms"])
    asked = asking(4096, 512, (0.0, 0.0), targets, None, 131_072)
    settings = asked.settings
    assert asked.axis[0] is None and (settings.isl[0], settings.osl[0]) == (4096, 512)
    assert settings.bounds[:, 0].tolist() == [1.0, 0.04]
    for s, axis in enumerate(asked.axis):
        assert settings.bounds[0, s] == 1.0
        if axis == "isl_over_osl":
            assert settings.isl[s] + settings.osl[s] == pytest.approx(4608)
            assert settings.isl[s] / settings.osl[s] == pytest.approx(asked.x[s])
        if axis == "itl_target_s":
            assert settings.bounds[1, s] == pytest.approx(asked.x[s])


def test_without_a_bound_on_the_gap_one_is_only_asked_along_its_curve():
    asked = asking(100, 100, (0.0, 0.0), parse_targets(["ttft<1s"]), 0.01, 131_072)
    free = [axis != "itl_target_s" for axis in asked.axis]
    assert np.isinf(asked.settings.bounds[1, free]).all()
    assert np.isfinite(asked.settings.bounds[1, np.logical_not(free)]).all()


def test_a_part_without_a_published_port_gets_the_default():
    side = side_of("google-tpu-v5e", load_model("llama-3.1-8b"), OPS, 8, engine=None, weights=None, kv_cache=None)
    network = side.platform.network
    expected = network.scale_out or network.default_scale_out
    assert side.port_bytes_per_s == pytest.approx(expected * network.efficiency)
