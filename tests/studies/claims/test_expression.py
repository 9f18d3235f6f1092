"""Expressions against Python's own arithmetic, their intervals against random inputs, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.studies.claims.expression import parse
from inferatlas.studies.claims.units import formula_unit

NAMES = ("a", "b", "c")


@st.composite
def arithmetic(draw, depth=3):
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from([*NAMES, "2", "0.5", "7"]))
    left, right = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    form = draw(st.sampled_from(["({} + {})", "({} - {})", "({} * {})", "({} / {})", "max({}, {})", "min({}, {})"]))
    return form.format(left, right)


POSITIVE = st.floats(0.1, 1e3)


@given(arithmetic(), st.tuples(POSITIVE, POSITIVE, POSITIVE))
def test_a_value_is_what_python_computes(text, numbers):
    inputs = dict(zip(NAMES, numbers, strict=True))
    try:
        wanted = eval(text, {"max": max, "min": min}, inputs)
    except ZeroDivisionError:
        wanted = math.nan
    found = parse(text).value(inputs)
    assert math.isnan(found) if math.isnan(wanted) else found == pytest.approx(wanted, rel=1e-12)


@given(
    st.sampled_from(["a / b", "a * b + c", "a / (b * c)", "max(a, b) / c", "(a - b) / c", "a ** 2 / b", "sqrt(a) * b"]),
    st.tuples(POSITIVE, POSITIVE, POSITIVE), st.tuples(*[st.floats(0, 0.2)] * 3), st.tuples(*[st.floats(0, 1)] * 3),
)  # fmt: skip
def test_an_interval_holds_whatever_its_inputs_allow(text, numbers, spreads, places):
    low = {name: x * (1 - d) for name, x, d in zip(NAMES, numbers, spreads, strict=True)}
    value = dict(zip(NAMES, numbers, strict=True))
    high = {name: x * (1 + d) for name, x, d in zip(NAMES, numbers, spreads, strict=True)}
    least, most = parse(text).interval(low, value, high)
    within = {name: low[name] + t * (high[name] - low[name]) for name, t in zip(NAMES, places, strict=True)}
    slack = 1e-9 * (abs(least) + abs(most))
    assert least - slack <= parse(text).value(within) <= most + slack


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "().__class__", "a.b", "a[0]", "lambda: 1", "[a for a in b]",
        "a if b else c", "a and b", "a < b", "'text'", "True", "print(a)", "f'{a}'", "a := 1", "a; b", "", "   ",
        "a +", "max()", "sqrt(a, b)", "a ** b", "2 ** 10000", "9e99", "max(a, key=b)", "max(*a)",
        "(" * 40 + "a" + ")" * 40 + "+", "-" * 60 + "a", "+".join("abcdefghijk"), "a" * 400, "1_0 if a else 2",
        "min", "a @ b", "a // b", "a % b", "~a", "…",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text):
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert refused.value.exit_code == 2 and refused.value.field == "expression"


def test_columns_pair_what_both_state():
    x, y = np.array([1.0, 2.0, np.nan, 4.0]), np.array([2.0, 4.0, 5.0, 8.0])
    assert parse("corr(x, y)").value({"x": x, "y": y}) == pytest.approx(1.0)
    assert parse("spearman(x, y)").value({"x": x, "y": -y}) == pytest.approx(-1.0)
    assert math.isnan(parse("corr(x, y)").value({"x": x[:2], "y": y[:2]})), "two points have no correlation"
    assert parse("spread(x)").value({"x": x}) == 4.0 and parse("count(x)").value({"x": x}) == 3.0


def test_a_correlation_is_numpys():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(2, 40))
    assert parse("corr(x, y)").value({"x": x, "y": y}) == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_units_multiply_and_are_not_added_across():
    units = {"w": formula_unit("B"), "bw": formula_unit("B/s"), "p": formula_unit("W"), "f": formula_unit("FLOP")}
    assert parse("w / bw").unit(units) == formula_unit("s")
    assert parse("p * w / bw").unit(units).dimensionality == formula_unit("J").dimensionality
    assert parse("f / w").unit(units) == formula_unit("FLOP/B")
    assert parse("max(w, 2 * w) / w").unit(units).dimensionality == formula_unit("1").dimensionality
    for text in ("w + bw", "w + 1", "max(w, f)", "log(w)", "exp(p)"):
        with pytest.raises(BadInput):
            parse(text).unit(units)


def test_bytes_are_a_dimension_of_their_own():
    with pytest.raises(BadInput, match="adds or compares"):
        parse("w + tokens").unit({"w": formula_unit("B"), "tokens": formula_unit("tokens")})
