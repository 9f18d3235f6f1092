"""From predictions to what is shown: every metric by its definition, with its interval, unknown where it is unknown."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm

from inferatlas.predict.answer import DEFINITIONS, Answer, Interval, Metric, metric_arrays
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Predictions, empty_predictions, make_points
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask

MONEY = Economics(
    usd_per_hour=2.0, price_source="test", usd_per_hour_owned=1.5, owned_source="test", gco2e_per_kwh=400.0,
    grid_source="test", pue=1.25, pue_source="test", embodied_g_per_hour=30.0, embodied_source="test", utilisation=0.5,
)  # fmt: skip
FREE = replace(MONEY, usd_per_hour=None, usd_per_hour_owned=None, embodied_g_per_hour=None)


@pytest.fixture
def predictions() -> Predictions:
    """Two points; the second draws an unknown power."""
    values = {
        "ttft_s": [0.1, 0.2], "itl_s": [0.01, 0.02], "latency_s": [1.0, 2.0], "output_tokens_per_s": [1000.0, 500.0],
        "power_w": [800.0, np.nan], "ttft_sigma": [0.4, 0.3], "itl_sigma": [0.2, 0.2], "latency_sigma": [0.3, 0.25],
        "rate_sigma": [0.25, 0.25],
        "power_sigma": [0.2, 0.2],
    }  # fmt: skip
    return replace(empty_predictions(2), **{name: np.array(value) for name, value in values.items()})


def metrics(predictions: Predictions, money=(MONEY, FREE), open_loop: bool = False) -> dict[str, Metric]:
    load: dict[str, Any] = {"request_rate": 1.0} if open_loop else {"concurrency": 1}
    points = make_points([0, 1], tp=[2, 1], input_tokens=400, output_tokens=100, **load)
    table = replace(platform_table([bind("h100"), bind("h100")]), rated_w=np.array([600.0, np.nan]))
    return metric_arrays(predictions, points, table, money)


def test_every_metric_is_what_its_definition_says(predictions):
    found = metrics(predictions)
    assert found.keys() == DEFINITIONS.keys()
    first = {name: metric.value[0] for name, metric in found.items()}
    assert first["total_tokens_per_s"] == 5000.0  # five tokens in all for one of output
    assert first["tokens_per_joule"] == pytest.approx(1000 / 800)
    # two accelerators at 2 USD/h, working half of the hours paid
    assert first["usd_per_million_tokens"] == pytest.approx(2 * 2.0 / 0.5 / (1000 * 3600) * 1e6)
    assert first["usd_per_million_tokens_owned"] == pytest.approx(2 * 1.5 / 0.5 / (1000 * 3600) * 1e6)
    assert first["gco2e_per_million_tokens"] == pytest.approx(0.8 * 1.25 * 400 * 1e6 / (1000 * 3600))
    assert first["gco2e_embodied_per_million_tokens"] == pytest.approx(2 * 30 * 1e6 / (1000 * 3600))


def test_unknown_stays_unknown_and_is_never_zero(predictions):
    found = metrics(predictions)
    unknown = {name for name, metric in found.items() if metric.at(1) is None}
    assert unknown == {
        "power_w", "tokens_per_joule", "gco2e_per_million_tokens", "usd_per_million_tokens",
        "usd_per_million_tokens_owned", "gco2e_embodied_per_million_tokens",
    }  # fmt: skip
    assert all(np.isnan(found[name].value[1]) for name in unknown)
    assert all(metric.at(0) is not None for metric in found.values())


def test_in_an_open_loop_the_rate_is_given_and_only_our_own_figures_have_errors(predictions):
    found = metrics(predictions, open_loop=True)
    for name in ("output_tokens_per_s", "total_tokens_per_s", "usd_per_million_tokens"):
        one = found[name].at(0)
        assert one is not None and one.low == one.value == one.high
    energy, power = found["tokens_per_joule"], found["power_w"]
    assert energy.sigma[0] == pytest.approx(power.sigma[0])
    closed = metrics(predictions)
    assert closed["tokens_per_joule"].sigma[0] == pytest.approx(np.hypot(0.25, 0.2))


def test_power_ends_at_the_rating(predictions):
    power = metrics(predictions)["power_w"].at(0)
    assert power is not None
    assert power.high <= 2 * 600.0
    hot = metrics(replace(predictions, power_w=np.array([1190.0, np.nan])))["power_w"].at(0)
    assert hot is not None and (hot.value, hot.high) == (1190.0, 1200.0)


@given(st.floats(1e-6, 1e6), st.floats(0.0, 2.0))
def test_an_interval_holds_four_fifths_of_a_lognormal_error(value, sigma):
    one = Metric(np.array([value]), np.array([sigma])).at()
    assert one is not None
    assert one.low <= one.value == value <= one.high
    if sigma:
        ends = lognorm.ppf([0.1, 0.9], sigma, scale=value)
        assert [one.low, one.high] == pytest.approx(ends.tolist(), rel=1e-9)


def test_one_sigma_or_bound_may_serve_all_points():
    metric = Metric(np.array([1.0, 2.0, np.nan]), np.array(0.1), 2.1)
    assert metric.at(2) is None
    second = metric.at(1)
    assert second is not None and second.high == 2.1
    assert Metric(np.array([3.0]), np.array([np.nan])).at() == Interval(3.0, 3.0, 3.0)


def test_an_answer_as_a_dictionary_is_plain_json():
    answer = ask("llama-3.1-8b", "l4", isl=512, osl=128, concurrency=4)
    assert isinstance(answer, Answer)
    said = answer.as_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["interval"] == 0.8
    assert said["definitions"].keys() == said["metrics"].keys()
    assert said["metrics"]["usd_per_million_tokens"] is None  # no price of an L4 is known
    assert said["metrics"]["ttft_s"].keys() == {"low", "value", "high"}
