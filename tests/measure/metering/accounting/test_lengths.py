"""Prefill and decode from outside: exact without noise, honest with it, and right where the share of time is wrong."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.lengths import Grid, fit_lengths, work

TRUE = np.array([0.05, 0.4, 2e-5])


def grid(inputs=(128, 1024, 4096), outputs=(1, 128, 512), theta=TRUE, noise=0.0, seed=0, requests=20.0, u=None):
    isl, osl = np.array(list(product(inputs, outputs)), dtype=float).T
    n = np.full(isl.size, requests)
    joules = n * (work(isl, osl) @ np.asarray(theta))
    joules *= 1 + noise * np.random.default_rng(seed).standard_normal(isl.size)
    return Grid(n, isl, osl, joules, None if u is None else u * joules)


coefficient = st.one_of(st.just(0.0), st.floats(0.01, 1.0))


@given(coefficient, coefficient, coefficient, st.sampled_from([(64, 512), (128, 1024, 4096), (1000, 30000)]))
def test_a_grid_without_noise_gives_the_coefficients_back(a, b, c, inputs):
    theta = np.array([a, 10 * b, 1e-4 * c])
    if not theta.any():
        theta[0] = 1.0
    fit = fit_lengths(grid(inputs, theta=theta))
    assert fit.coefficients == pytest.approx(theta, rel=1e-7, abs=1e-10)
    assert fit.r2 == pytest.approx(1.0)
    assert fit.left_out_error < 1e-6
    prefill, decode, *_ = fit.split(700, 90)
    assert prefill == pytest.approx(700 * theta[0], abs=1e-6)
    assert decode == pytest.approx(90 * theta[1] + 90 * (700 + 45) * theta[2], abs=1e-6)


@pytest.mark.parametrize("stated", [None, 0.03])
def test_with_noise_the_truth_is_within_three_uncertainties(stated):
    seeds = 60
    fits = [fit_lengths(grid(noise=0.03, seed=seed, u=stated)) for seed in range(seeds)]
    off = np.array([(fit.coefficients - TRUE) / fit.uncertainties for fit in fits])
    assert np.all((np.abs(off) < 3).mean(axis=0) >= 0.95)
    assert np.all((np.abs(off) > 0.3).mean(axis=0) > 0.4)  # and uncertainties are not simply large
    phases = [fit.split(1000, 200) for fit in fits]
    decode = 200 * TRUE[1] + 200 * 1100 * TRUE[2]
    assert np.mean([abs(one.prefill_j - 50) < 3 * one.prefill_u_j for one in phases]) >= 0.95
    assert np.mean([abs(one.decode_j - decode) < 3 * one.decode_u_j for one in phases]) >= 0.95


def test_uncertainties_are_the_scatter_of_repeated_fits_even_from_four_runs():
    fits = [fit_lengths(grid((128, 1024), (1, 64), noise=0.02, seed=seed)) for seed in range(300)]
    scatter = np.std([fit.coefficients[:2] for fit in fits], axis=0)
    stated = np.sqrt(np.mean([np.diag(fit.covariance)[:2] for fit in fits], axis=0))
    assert stated == pytest.approx(scatter, rel=0.2)


def test_the_fit_has_no_bias_from_weights_that_share_the_noise():
    found = np.mean([fit_lengths(grid(noise=0.1, seed=seed)).coefficients[:2] for seed in range(60)], axis=0)
    assert found == pytest.approx(TRUE[:2], rel=0.015)  # weights of 1/joules would leave -2 %


def test_the_larger_of_residuals_and_stated_uncertainties_is_used_and_named():
    honest, boastful = (fit_lengths(grid(noise=0.03, u=u)) for u in (0.2, 0.001))
    assert (honest.errors_from, boastful.errors_from) == ("uncertainties", "residuals")
    by_residuals = fit_lengths(grid(noise=0.03))
    assert by_residuals.errors_from == "residuals"
    assert boastful.uncertainties == pytest.approx(by_residuals.uncertainties, rel=0.2)
    assert np.all(np.array(honest.uncertainties) > 2 * np.array(by_residuals.uncertainties))


def test_a_gain_that_all_runs_share_does_not_average_out():
    plain, shared = fit_lengths(grid(noise=0.01)), fit_lengths(grid(noise=0.01), gain=0.05)
    assert shared.coefficients == pytest.approx(plain.coefficients)
    expected = np.hypot(plain.uncertainties, 0.05 * plain.coefficients)
    assert shared.uncertainties == pytest.approx(expected.tolist())
    assert shared.split(1000, 100).prefill_u_j >= 0.05 * shared.split(1000, 100).prefill_j


def test_no_coefficient_is_negative_and_one_at_0_keeps_its_uncertainty():
    fits = [fit_lengths(grid(theta=[0.05, 0.4, 0.0], noise=0.05, seed=seed)) for seed in range(20)]
    assert min(fit.coefficients.min() for fit in fits) >= 0
    at_zero = [fit for fit in fits if fit.context_j == 0]
    assert at_zero and all(fit.uncertainties[2] > 0 for fit in at_zero)


def test_the_error_on_lengths_not_seen_shows_a_model_that_does_not_hold():
    held = fit_lengths(grid(noise=0.01))
    bent = grid()
    joules = bent.joules * (1 + 2e-4 * bent.input_tokens)  # prefill that costs more per token the longer it is
    broken = fit_lengths(Grid(bent.requests, bent.input_tokens, bent.output_tokens, joules))
    assert held.left_out_error < 0.03
    assert broken.left_out_error > 0.1
    assert held.left_out.shape == (9, 3)


def test_runs_of_one_pair_leave_together():
    one = grid(noise=0.02)
    many = Grid(*(np.tile(each, 3) for each in (one.requests, one.input_tokens, one.output_tokens, one.joules)))
    assert fit_lengths(many).left_out == pytest.approx(fit_lengths(one).left_out)


def test_the_share_of_wall_time_is_wrong_where_the_regression_is_right():
    prefill_w, decode_w, prefill_tokens_per_s, itl_s = 650.0, 200.0, 20_000.0, 0.02
    isl, osl = np.array(list(product((512, 2048, 8192), (1, 64, 256))), dtype=float).T
    prefill_s, decode_s = isl / prefill_tokens_per_s, itl_s * osl
    joules = prefill_w * prefill_s + decode_w * decode_s
    phases = fit_lengths(Grid(np.ones(9), isl, osl, joules)).split(8192, 64)
    truth = prefill_w * 8192 / prefill_tokens_per_s
    assert phases.prefill_j == pytest.approx(truth, rel=1e-9)
    at = (isl == 8192) & (osl == 64)
    by_time = float((joules * prefill_s / (prefill_s + decode_s))[at][0])
    assert by_time < 0.75 * truth


# What is refused


def refusal(found):
    with pytest.raises(BadInput) as caught:
        fit_lengths(found)
    return caught.value


def test_too_few_pairs_are_refused_with_advice():
    error = refusal(grid((128, 128, 1024), (1,)))
    assert error.message == "2 different pairs of input and output tokens"
    assert "1024, 4096" in error.hint
    assert fit_lengths(grid((128, 1024), (1, 64))).condition < 100


def test_a_grid_without_one_output_token_is_refused():
    error = refusal(grid(outputs=(2, 64, 128)))
    assert (error.field, error.allowed) == ("output_tokens", "1 in some run")


@pytest.mark.parametrize(
    ("inputs", "outputs", "advice"),
    [
        ((1000, 1001), (1, 100), "inputs of 4004 tokens"),
        ((512, 520, 530), (1, 2, 3), "inputs of 2120 tokens"),
    ],
)
def test_lengths_that_tell_nothing_apart_are_refused_with_what_to_add(inputs, outputs, advice):
    error = refusal(grid(inputs, outputs, noise=0.01))
    assert "do not tell prefill, decode and context apart" in error.message
    assert advice in error.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [("joules", 0.0), ("joules", np.nan), ("requests", 0.0), ("output_tokens", 0.5), ("uncertainty_j", 0.0)],
)
def test_columns_out_of_range_are_refused(field, value):
    plain = grid(u=0.1)
    columns = {
        name: getattr(plain, name).copy()
        for name in ("requests", "input_tokens", "output_tokens", "joules", "uncertainty_j")
    }
    columns[field][3] = value
    with pytest.raises(BadInput) as caught:
        Grid(**columns)
    assert caught.value.field == field
    with pytest.raises(BadInput, match="differ in length"):
        Grid(**(columns | {field: np.ones(3)}))


def test_a_split_of_no_tokens_is_refused():
    with pytest.raises(BadInput, match="output_tokens"):
        fit_lengths(grid()).split(100, 0)


@pytest.mark.parametrize("gain", [-0.1, 1.0, float("nan"), float("inf")])
def test_a_gain_out_of_range_is_refused(gain):
    with pytest.raises(BadInput, match="out of range"):
        fit_lengths(grid(), gain=gain)
