"""Arrays with derivatives: every rule against finite differences, and nothing lost in silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.arrays import as_floats
from inferatlas.predict.performance.dual import FLAT, FUNCTIONS, PARTIALS, Dual, plain, variable
from inferatlas.predict.performance.roots import root

positive = st.floats(0.1, 4.0)


def moving(*values):
    """Each value with a direction of its own, and one free direction."""
    return [variable(np.array([x]), len(values) + 1, i) for i, x in enumerate(values)]


def differences(f, values, h=1e-6):
    out = []
    for i in range(len(values)):
        up, down = ([x + sign * h * (i == j) for j, x in enumerate(values)] for sign in (1, -1))
        out.append((float(f(*up)) - float(f(*down))) / (2 * h))
    return out


@pytest.mark.parametrize("ufunc", sorted(PARTIALS, key=lambda f: f.__name__), ids=lambda f: f.__name__)
@given(values=st.tuples(positive, positive).filter(lambda xy: abs(xy[0] - xy[1]) > 1e-3))
def test_every_rule_is_the_derivative(ufunc, values):
    values = values[: ufunc.nin]
    found = ufunc(*moving(*values))
    assert float(plain(found)[0]) == pytest.approx(float(ufunc(*values)))
    assert found.tangent[:-1, 0] == pytest.approx(differences(ufunc, values), rel=1e-5, abs=1e-6)


@given(positive, positive)
def test_the_chain_rule_through_functions_of_numpy(x, y):
    xp, fp = np.array([0.0, 3.0, 20.0]), np.array([1.0, 5.0, 6.0])

    def f(a, b):
        one = np.clip(a * b, 0.5, 60.0) + np.interp(a, xp, fp)
        return np.where(np.greater(a, b), one, np.hypot(one, b)) / (np.ones_like(a) + b)

    if abs(x - 3.0) > 1e-3 and abs(x - y) > 1e-3 and abs(x * y - 0.5) > 1e-3 and abs(x * y - 60.0) > 1e-3:
        assert f(*moving(x, y)).tangent[:-1, 0] == pytest.approx(differences(f, (x, y)), rel=1e-4, abs=1e-6)


def test_a_product_that_stands_still_has_no_derivative_even_at_infinity():
    (x,) = moving(0.0)
    still = x * 0.0
    assert np.sqrt(still).tangent[0, 0] == 0.0  # its slope at 0 is infinite


def test_comparisons_and_whole_numbers_are_plain():
    (x,) = moving(2.5)
    assert type(np.floor(x)) is np.ndarray and type(x > 1) is np.ndarray and bool(x > 1)
    assert all(ufunc not in PARTIALS for ufunc in FLAT)


def test_in_place_work_is_in_place():
    x, y = moving(2.0, 3.0)
    alias = x
    x *= y
    np.sqrt(x, out=x)
    assert alias is x and float(x.value[0]) == pytest.approx(6**0.5)
    assert x.tangent[:2, 0] == pytest.approx([0.5 * 3 / 6**0.5, 0.5 * 2 / 6**0.5])
    x[0] = 4.0
    assert not x.tangent.any()


def test_a_plain_array_that_is_added_to_becomes_one_with_derivatives():
    (x,) = moving(2.0)
    total = old = np.zeros(1)
    total += x
    assert isinstance(total, Dual) and total.tangent[0, 0] == 1.0
    assert np.isnan(old).all()  # whoever still holds the plain one finds no number there


def test_what_would_drop_derivatives_raises():
    (x,) = moving(2.0)
    for lossy in (
        lambda: np.asarray(x), lambda: x.astype(np.float32), lambda: np.sin(x), lambda: np.add.reduce(x),
        lambda: np.sort(x), lambda: np.zeros(1).__setitem__(0, x), lambda: float(x),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):  # numpy's own, with ours behind it, where an element is set
            lossy()
    assert as_floats(x) is x
    assert np.sort not in FUNCTIONS


def test_shapes_broadcast_as_of_numpy():
    scalar, row = Dual(np.array(2.0), np.array([1.0])), np.arange(1.0, 4.0)
    found = scalar * row + np.arange(2.0)[:, None]
    assert found.shape == (2, 3) and found.tangent.shape == (1, 2, 3)
    assert found.tangent[0].tolist() == [[1.0, 2.0, 3.0]] * 2
    assert found[1].value.tolist() == [3.0, 5.0, 7.0] and found[1].tangent.tolist() == [[1.0, 2.0, 3.0]]


@given(st.floats(0.5, 4.0), st.floats(0.5, 4.0))
def test_a_root_moves_as_the_implicit_function_theorem_says(a, b):
    """``a x^3 = b``: x = (b/a)^(1/3), and its elasticities are a third."""
    da, db = moving(a, b)
    x = root(lambda n: db - da * n * n * n, np.array([0.0]), np.array([3.0]), 40)
    assert float(plain(x)[0]) == pytest.approx((b / a) ** (1 / 3))
    assert x.tangent[:, 0] / plain(x)[0] == pytest.approx([-1 / (3 * a), 1 / (3 * b), 0.0])


def test_a_root_at_an_end_moves_with_that_end():
    p, top = moving(1.0, 2.0)
    assert root(lambda n: p + n, np.array([0.0]), top, 8).tangent[:, 0].tolist() == [0.0, 1.0, 0.0]
    assert root(lambda n: -p - n, np.array([0.0]), top, 8).tangent[:, 0].tolist() == [0.0, 0.0, 0.0]
