"""Equations (54) and (55): spread from elasticities against Monte-Carlo, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.evidence.intervals import quantile_regression
from inferatlas.predict.handbook.operator_law import operator_time
from inferatlas.predict.handbook.uncertainty import (
    conformal_factor,
    drawn_log_variance,
    elasticities,
    interval_factor,
    log_variance,
)

SIGMA = {"peak_flop_per_s": 0.1, "bytes_per_s": 0.08, "launch_s": 0.2}


def operator(flop: float, moved: float, q: float = 2.0):
    """The law (7) as a function of what is uncertain."""

    def form(**values):
        return operator_time(flop, moved, q=q, **values)

    return form


WORK = st.tuples(st.floats(1e9, 1e14), st.floats(1e6, 1e11), st.sampled_from([1.0, 2.0, 4.0]))
AT = {"peak_flop_per_s": 500e12, "bytes_per_s": 2e12, "launch_s": 5e-6}


@given(WORK)
def test_54_elasticities_of_the_operator_law_are_the_shares_of_its_terms(work):
    flop, moved, q = work
    found = elasticities(operator(flop, moved, q), AT)
    compute, memory = flop / AT["peak_flop_per_s"], moved / AT["bytes_per_s"]
    total = float(operator_time(flop, moved, q=q, **AT))
    worked = 1 - AT["launch_s"] / total
    share = 1 / (1 + (memory / compute) ** q)
    assert float(found["peak_flop_per_s"]) == pytest.approx(-share * worked, abs=1e-6)
    assert float(found["bytes_per_s"]) == pytest.approx(-(1 - share) * worked, abs=1e-6)
    assert float(found["launch_s"]) == pytest.approx(AT["launch_s"] / total, abs=1e-6)
    assert sum(abs(float(e)) for e in found.values()) == pytest.approx(
        1.0, abs=1e-6
    )  # the law is of degree one in time


@pytest.mark.parametrize(
    ("flop", "moved"),
    [(1e13, 1e9), (1e10, 1e10), (2.5e11, 1e9), (1e9, 1e6)],
    ids=["compute", "memory", "both", "launch"],
)
def test_54_the_variance_is_that_of_a_thousand_draws(flop, moved):
    form = operator(flop, moved)
    expected = float(log_variance(elasticities(form, AT), SIGMA))
    assert drawn_log_variance(form, AT, SIGMA, draws=1000) == pytest.approx(expected, rel=0.15)  # 1000 draws: 4.5 % sd
    assert drawn_log_variance(form, AT, SIGMA, draws=200_000, seed=1) == pytest.approx(expected, rel=0.05)


@given(WORK, st.floats(0, 0.3))
def test_54_no_uncertainty_adds_less_than_none(work, more):
    flop, moved, q = work
    found = elasticities(operator(flop, moved, q), AT)
    plain = float(log_variance(found, SIGMA))
    assert 0 < plain <= max(SIGMA.values()) ** 2  # shares that sum to one
    assert float(log_variance(found, SIGMA | {"launch_s": 0.2 + more})) >= plain


def test_54_arrays_of_designs_are_answered_at_once():
    def form(**values):
        return operator_time(np.array([1e9, 1e14]), 1e9, **values)

    both = log_variance(elasticities(form, AT), SIGMA)
    assert both.shape == (2,)
    assert both[1] == pytest.approx(SIGMA["peak_flop_per_s"] ** 2, rel=0.01)


def test_54_what_has_no_elasticity_is_refused():
    with pytest.raises(BadInput) as caught:
        log_variance({"launch_s": 0.1}, {"lunch_s": 0.1})
    assert caught.value.field == "sigma" and caught.value.allowed == "launch_s"


@pytest.mark.parametrize("points", [20, 60])
@pytest.mark.parametrize("share", [0.8, 0.9])
def test_55_the_conformal_factor_covers_what_it_says(points, share):
    random = np.random.default_rng(5)
    inside = []
    for _ in range(4000):  # skewed and heavy-tailed errors: nothing is assumed of them
        error = np.exp(0.1 * random.standard_t(3, points + 1) + 0.05)
        inside.append(abs(np.log(error[-1])) <= np.log(conformal_factor(error[:-1], 1.0, share)))
    exact = np.ceil((points + 1) * share - 1e-9) / (points + 1)
    assert np.mean(inside) == pytest.approx(exact, abs=0.02)
    assert np.mean(inside) >= share - 0.02


@given(st.lists(st.floats(0.2, 5), min_size=20, max_size=60), st.floats(0.05, 0.95))
def test_55_so_many_of_the_points_lie_inside(errors, share):
    factor = conformal_factor(errors, 1.0, share)
    inside = np.mean(np.abs(np.log(errors)) <= np.log(factor) * (1 + 1e-12))
    assert inside >= share
    assert conformal_factor(1 / np.array(errors), 1.0, share) == pytest.approx(factor)  # either way


def test_55_a_quantile_regression_on_nothing_but_a_constant_finds_the_same():
    errors = np.exp(0.2 * np.random.default_rng(8).standard_normal(400))
    size = np.abs(np.log(errors))
    found = quantile_regression(np.ones((400, 1)), size, np.ones(400), 0.9)[0]
    assert np.log(conformal_factor(errors, 1.0, 0.9)) == pytest.approx(found, rel=0.03)


def test_55_below_20_points_the_factor_is_the_prior():
    errors = np.exp(np.linspace(-0.1, 0.1, 20))
    assert interval_factor(errors[:19], 1.0) == 1.6
    assert interval_factor(errors, 1.0) == conformal_factor(errors, 1.0, 0.9) < 1.11
    assert interval_factor([], []) == 1.6


def test_55_too_few_points_for_a_share_promise_nothing():
    assert conformal_factor(np.ones(20), 1.0, 0.99) == float("inf")
    with pytest.raises(BadInput):
        conformal_factor(np.ones(20), 1.0, 1.0)
    with pytest.raises(BadInput):
        conformal_factor([0.0], 1.0)
