"""I(rho) of equation (45): printed values, and the quadrature behind it."""

from itertools import pairwise

import numpy as np
import pytest

from inferatlas.predict.performance.occupancy import occupancy_noise, occupancy_noise_quadrature


def test_printed_values():
    assert occupancy_noise([0, 0.2, 0.5, 0.8, 0.9]) == pytest.approx([0.6667, 0.8993, 1.6205, 4.5877, 9.5758], abs=5e-5)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.77, 0.95, 0.999])
def test_quadrature_agrees_with_another_integrator(rho):
    from scipy.integrate import quad

    def integrand(w):
        h = (1 - np.exp(-1j * w)) / (1j * w)
        return abs(h) ** 4 / abs(1 - rho * h) ** 2

    edges = [1e-12, 1e-4, 1e-2, 1.0, *(2 * np.pi * np.arange(1, 60))]
    total = sum(quad(integrand, low, high)[0] for low, high in pairwise(edges))
    assert occupancy_noise_quadrature(rho) == pytest.approx(total / np.pi, rel=2e-6)


def test_the_interpolation_follows_the_quadrature():
    rho = np.concatenate([np.linspace(0, 0.99, 100), [0.999, 0.9999]])
    assert occupancy_noise(rho) == pytest.approx([occupancy_noise_quadrature(r) for r in rho], rel=1e-6)


def test_saturation_is_infinite_and_unknown_is_unknown():
    assert np.isinf(occupancy_noise([1.0, 1.2])).all()
    assert np.isnan(occupancy_noise(None))
