"""Probability of meeting targets from the intervals, and budgets."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from inferatlas.decide.advisor.judge import Budget, hourly_usd, meets, probability, statistic, within
from inferatlas.decide.advisor.search import Designs
from inferatlas.predict.performance.priors import Z80
from inferatlas.workload import ServiceTarget, parse_target
from inferatlas.workload.targets import Statistic

seconds = st.floats(1e-4, 1e3)
sigmas = st.floats(0.01, 1.5)


def at(bound: float, metric: str = "ttft", of: Statistic = "mean") -> ServiceTarget:
    return ServiceTarget(metric, of, bound, ">" if "tokens" in metric else "<")


@given(seconds, sigmas)
def test_at_the_bound_the_chance_is_even(with_metrics, value, sigma):
    found = with_metrics(ttft_s=(value, sigma), output_tokens_per_s=(value, sigma))
    assert probability(found, (at(value),)) == pytest.approx(0.5)
    assert probability(found, (at(value, "output_tokens_per_s"),)) == pytest.approx(0.5)


@given(seconds, sigmas, seconds)
def test_it_is_the_normal_distribution_of_the_logarithm(with_metrics, value, sigma, bound):
    found = with_metrics(latency_s=(value, sigma), total_tokens_per_s=(value, sigma))
    z = np.log(bound / value) / sigma
    assert probability(found, (at(bound, "latency"),)) == pytest.approx(norm.cdf(z), abs=1e-12)
    assert probability(found, (at(bound, "total_tokens_per_s"),)) == pytest.approx(norm.cdf(-z), abs=1e-12)


@given(seconds, sigmas, seconds, st.floats(1.0, 100.0))
def test_a_looser_bound_is_never_less_likely(with_metrics, value, sigma, bound, factor):
    found = with_metrics(ttft_s=(value, sigma), output_tokens_per_s=(value, sigma))
    assert (probability(found, (at(bound * factor),)) >= probability(found, (at(bound),))).all()
    tight, loose = (probability(found, (at(b, "output_tokens_per_s"),)) for b in (bound * factor, bound))
    assert (loose >= tight).all()


def test_far_away_it_is_certain(with_metrics):
    found = with_metrics(itl_s=(0.05, 0.2))
    assert (probability(found, (at(50.0, "itl"),)) == 1).all()
    assert (probability(found, (at(5e-5, "itl"),)) == 0).all()


def test_the_ends_of_the_interval_are_met_nine_and_one_times_in_ten(designs: Designs):
    metric, fits = designs.metrics["latency_s"], designs.predictions.fits
    for i in np.flatnonzero(fits)[::97]:
        assert probability(designs, (at(float(metric.high()[i]), "latency"),))[i] == pytest.approx(0.9)
        assert probability(designs, (at(float(metric.low()[i]), "latency"),))[i] == pytest.approx(0.1)
    assert norm.cdf(Z80) == pytest.approx(0.9)


@given(seconds, sigmas, seconds, sigmas)
def test_targets_are_independent(with_metrics, ttft, ttft_sigma, itl, itl_sigma):
    found = with_metrics(ttft_s=(ttft, ttft_sigma), itl_s=(itl, itl_sigma))
    one, other = at(0.1), at(0.02, "itl")
    product = probability(found, (one,)) * probability(found, (other,))
    assert probability(found, (one, other)) == pytest.approx(product)
    assert probability(found, (other, one)) == pytest.approx(product)
    assert (probability(found, ()) == 1).all()


def test_infeasible_and_unknown_never_meet_a_target(designs: Designs, with_metrics):
    out = ~designs.predictions.fits
    assert (probability(designs, ())[out] == 0).all()
    assert (probability(designs, (at(1e9),))[out] == 0).all()
    unknown = with_metrics(itl_s=(np.nan, 0.1))
    assert (probability(unknown, (at(1e9, "itl"),)) == 0).all()
    assert not meets(unknown, (at(1e9, "itl"),), 0.01).any()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("output_tokens_per_s>=512", 1), ("output_tokens_per_s>512", 0), ("output_tokens_per_s>511.9", 1),
        ("output_tokens_per_s>=512.1", 0), ("output_tokens_per_s>=1", 1),
    ],
)  # fmt: skip
def test_what_the_question_fixes_meets_a_target_or_does_not(with_metrics, text, expected):
    found = with_metrics(output_tokens_per_s=(512.0, 0.0))
    assert (probability(found, (parse_target(text),)) == expected).all()


@pytest.mark.parametrize("metric", ["ttft", "itl", "latency"])
def test_higher_percentiles_are_later_and_stricter(designs: Designs, metric: str):
    fits = designs.predictions.fits
    values = {s: statistic(designs, at(0.1, metric, s)).value[fits] for s in ("mean", "p50", "p90", "p95", "p99")}
    for low, high in (("p50", "p90"), ("p90", "p95"), ("p95", "p99"), ("mean", "p95"), ("p50", "mean")):
        assert (values[high] >= values[low]).all(), (low, high)
    assert (values["p99"] > values["p95"]).any()
    mean, p95, p99 = (probability(designs, (at(0.1, metric, s),)) for s in ("mean", "p95", "p99"))
    assert (p99 <= p95).all()
    assert (p95 <= mean).all()


def test_the_mean_is_the_metric_itself(designs: Designs):
    assert statistic(designs, at(1.0)).value is designs.metrics["ttft_s"].value
    wide = statistic(designs, at(1.0, of="p99"))
    assert np.array_equal(
        wide.sigma, designs.metrics["ttft_s"].sigma, equal_nan=True
    )  # our error is of the whole distribution


def test_a_scaled_target_is_the_target_at_the_scaled_bound(designs: Designs):
    targets = (at(0.05), at(0.02, "itl"))
    for factor in (0.5, 2.0):
        changed = (targets[0], replace(targets[1], bound=0.02 * factor))
        assert np.array_equal(meets(designs, targets, 0.6, {1: factor}), meets(designs, changed, 0.6))
    assert meets(designs, targets, 0.9).sum() < meets(designs, targets, 0.5).sum()
    assert not (meets(designs, targets, 0.0) & ~designs.predictions.fits).any()


def test_hours_cost_the_price_times_the_count(designs: Designs):
    hourly = hourly_usd(designs)
    for i in range(0, len(designs), 61):
        price = designs.economics[int(designs.points.platform[i])].usd_per_hour
        if price is None:
            assert np.isnan(hourly[i])
        else:
            assert hourly[i] == pytest.approx(price * designs.points.accelerators[i])


def test_budgets_count_the_whole_deployment_and_what_is_unknown_is_outside(designs: Designs):
    assert within(designs, Budget()).all()
    hourly, power = hourly_usd(designs), designs.predictions.power_w
    usd, watts = float(np.nanmedian(hourly)), float(np.nanmedian(power))
    both = within(designs, Budget(usd, watts))
    assert np.array_equal(both, within(designs, Budget(usd)) & within(designs, Budget(power_w=watts)))
    for budget, value, bound in ((Budget(usd), hourly, usd), (Budget(power_w=watts), power, watts)):
        inside = within(designs, budget)
        assert (value[inside] <= bound).all()
        assert inside[value == bound].all()  # a budget may be spent to the last cent
        assert not inside[np.isnan(value)].any()
        assert inside.any() and not inside.all()
    assert np.isnan(hourly).any() and np.isnan(power[designs.predictions.fits]).any()
