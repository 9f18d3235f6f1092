"""Widths of intervals: wider the further the evidence, in the loads and for the models that were found harder."""

from itertools import pairwise

import numpy as np
import pytest

from inferatlas.predict.performance.calibrated import FOLDER, NOTHING, WIDTHS, load
from inferatlas.predict.performance.coefficients import ANSWERING
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import OFFLINE, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.widths import (
    FACTORS,
    LOADS,
    UNCALIBRATED,
    beyond,
    elasticities,
    factors,
    surplus,
    width_table,
)
from inferatlas.predict.platforms import bind

SIGMAS = ("ttft_sigma", "itl_sigma", "latency_sigma", "rate_sigma", "power_sigma")
METRICS = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w")
WIDTH = {
    "base": {metric: {"closed": 1.0, "open": 2.0, "static": 0.5} for metric in WIDTHS},
    "level": {metric: {level: 1.0 + i for i, level in enumerate(ANSWERING)} for metric in WIDTHS},
    "experts": {metric: dict.fromkeys(ANSWERING, 1.5) for metric in WIDTHS},
    "elasticity": dict(zip(WIDTHS, (1.0, 0.5, 0.25, 0.25, 0.0), strict=True)),
    "vendor": {metric: {"NVIDIA": 0.1, "other": 0.4} for metric in WIDTHS},
    "source": dict.fromkeys(WIDTHS, 0.3),
    "model": dict.fromkeys(WIDTHS, 1.2),
    "slice": {metric: {"engine:slow": 1.5, "model:odd": 2.0} for metric in WIDTHS},
    "beyond": {name: {"seen": 64.0, "per_doubling": dict.fromkeys(WIDTHS, 0.1)} for name in ("batch", "context")},
}


def test_columns_are_in_the_order_of_the_predictions():
    assert WIDTHS == METRICS


def test_a_width_is_base_times_level_times_experts():
    found = width_table(WIDTH, "accelerator", is_moe=False)
    assert found.shape == (len(LOADS), len(WIDTHS))
    assert found[:, 0].tolist() == [3.0, 6.0, 1.5]
    assert width_table(WIDTH, "accelerator", is_moe=True) == pytest.approx(1.5 * found)
    assert width_table(WIDTH, "prior", is_moe=False) == pytest.approx(2.0 * found)


def test_without_calibration_the_ranges_of_the_priors_are_widened_evenly():
    assert (width_table({}, "prior", is_moe=True) == UNCALIBRATED).all()
    assert elasticities({}).tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert (surplus({}, "NVIDIA", "prior") == 0).all()
    assert (surplus({}, "NVIDIA", "prior", model=False, source=False) == 0).all()
    assert (factors({}, ["engine:slow"]) == 1).all()
    assert beyond({}, np.array([1e9]), np.array([1e9])) == [1.0] * 5


def test_a_vendor_never_seen_takes_the_surplus_of_the_others():
    for level in ANSWERING:
        assert surplus(WIDTH, "Nobody", level).tolist() == [0.4] * 5


@pytest.mark.parametrize("level", ANSWERING)
def test_a_new_part_of_a_vendor_lies_midway_to_a_vendor_never_measured(level: str):
    new = level in ("class+engine", "class", "prior")
    assert surplus(WIDTH, "NVIDIA", level) == pytest.approx([0.2 if new else 0.1] * 5)


def test_a_model_and_a_source_that_were_not_measured_add_in_squares():
    known, unknown, both = (
        surplus(WIDTH, "Nobody", "class", **new) for new in ({}, {"source": False}, {"source": False, "model": False})
    )
    assert known == pytest.approx([0.4] * 5)
    assert unknown == pytest.approx([0.5] * 5)
    assert both == pytest.approx([1.3] * 5)


def test_factors_multiply_and_levels_without_one_change_nothing():
    assert factors(WIDTH, ["engine:slow", "accelerator:any"]) == pytest.approx([1.5] * 5)
    assert factors(WIDTH, ["engine:any"]) == pytest.approx([1.0] * 5)
    assert factors(WIDTH, ["engine:slow", "model:odd"]) == pytest.approx([FACTORS[1]] * 5)  # 3 is too much


def test_beyond_grows_only_past_what_was_seen():
    batch = np.array([0.0, 1.0, 64.0, 128.0, 256.0])
    for found in beyond(WIDTH, batch, np.ones(5)):
        assert found == pytest.approx(np.exp([0, 0, 0, 0.1, 0.2]))
    for found in beyond(WIDTH, batch, np.full(5, 128.0)):
        assert found == pytest.approx(np.exp([0.1, 0.1, 0.1, 0.2, 0.3]))


def test_an_offline_run_is_not_beyond_the_largest_batch(ops_of):
    """Its batch is what memory holds, and that is how offline runs were measured."""
    ops = ops_of("llama-3.1-8b")
    many = {"tp": 8, "input_tokens": 64, "output_tokens": 64}
    table = platform_table([bind("b200", "vllm")])
    offline, beside = (predict(ops, table, make_points(0, concurrency=c, **many)) for c in (OFFLINE, 0.9 * OFFLINE))
    assert offline.batch[0] == beside.batch[0] > 4 * load(FOLDER).width["beyond"]["batch"]["seen"]
    assert offline.rate_sigma[0] < 0.8 * beside.rate_sigma[0]


def sigmas(ops, calibration, load_of: dict, part: str = "h100", engine: str | None = None):
    table = platform_table([bind(part, engine, calibration=calibration)], is_moe=bool(ops.experts))
    found = predict(ops, table, make_points(0, input_tokens=512, output_tokens=128, **load_of))
    return {name: float(getattr(found, name)[0]) for name in SIGMAS}


def test_uncalibrated_sigmas_are_those_of_equation_54_widened(ops_of):
    ops = ops_of("llama-3.1-8b")
    found = sigmas(ops, NOTHING, {"concurrency": 8})
    assert found["rate_sigma"] == found["latency_sigma"]  # an interval of a closed loop's rate is that of its latency
    assert found["power_sigma"] == UNCALIBRATED
    assert all(0.05 < found[name] < UNCALIBRATED for name in SIGMAS[:4])


def test_the_shipped_widths_are_wider_the_further_the_evidence():
    width = load(FOLDER).width
    for metric in WIDTHS:
        assert all(value > 0 for value in width["base"][metric].values())
        by_level = [width["level"][metric][level] for level in ANSWERING]
        assert by_level[0] == 1.0
        assert by_level[-1] == max(by_level) and by_level[0] == min(by_level), metric
        # the accelerator without the engine, or the class with it, may be the better witness
        narrow_to_wide = [width["level"][metric][level] for level in ("model+accelerator+engine", "accelerator+engine",
                                                                      "class", "prior")]  # fmt: skip
        assert all(wider >= narrower for narrower, wider in pairwise(narrow_to_wide)), metric
        assert 0 <= width["elasticity"][metric] <= 1
        routed = [width["level"][metric][at] * width["experts"][metric][at] for at in ANSWERING]
        assert routed == sorted(routed), metric
    for name in ("batch", "context"):
        assert width["beyond"][name]["seen"] > 1
        assert all(0 <= growth <= 1 for growth in width["beyond"][name]["per_doubling"].values())
    for metric in WIDTHS:
        assert width["source"][metric] >= 0 and width["model"][metric] >= 0
        assert all(FACTORS[0] <= factor <= FACTORS[1] for factor in width["slice"][metric].values())
        assert width["vendor"][metric]["other"] == max(width["vendor"][metric].values())


@pytest.mark.parametrize("load_of", [{"concurrency": 8}, {"request_rate": 0.5}, {"concurrency": 8, "together": True}])
def test_every_metric_of_a_shipped_prediction_has_a_width(ops_of, load_of):
    for model in ("llama-3.1-8b", "mixtral-8x7b"):
        points = {"tp": 2, **load_of}
        for name, sigma in sigmas(ops_of(model), None, points).items():
            assert 0.01 < sigma < 5, (model, name)


def test_a_machine_without_evidence_is_less_certain_than_one_with(ops_of):
    ops = ops_of("llama-3.1-8b")
    near, far = (sigmas(ops, None, {"concurrency": 8}, *part) for part in (("h100", "vllm"), ("meta-mtia-v2",)))
    # TTFT of a harness and a model that nobody measured is uncertain everywhere
    assert all(far[name] > near[name] for name in SIGMAS[1:]) and far["ttft_sigma"] > 0.95 * near["ttft_sigma"]
