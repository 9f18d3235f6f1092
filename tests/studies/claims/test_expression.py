"""Expressions against Python's own arithmetic, their intervals against random inputs, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

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


MORE = st.sampled_from(["(a - b) ** 2", "abs(a - b)", "1 / (a - b)", "a / (a + b)", "sqrt(a) * b - a", "exp(a / b) / a",
                        "log(a - b)", "spread(a, b, c)", "ceil(a) - floor(b)", "(a - b) ** 3 / a", "(a - b) ** -2",
                        "median(a, b, c) / mean(a, b, c)", "-(a * b) ** 0.5"])  # fmt: skip


@given(
    st.one_of(arithmetic(), MORE), st.tuples(*[st.floats(-3, 1e3)] * 3), st.tuples(*[st.floats(0, 0.2)] * 3),
    st.tuples(*[st.floats(0, 1)] * 3),
)  # fmt: skip
def test_an_interval_holds_whatever_its_inputs_allow(text, numbers, spreads, places):
    low = {name: x - d * abs(x) for name, x, d in zip(NAMES, numbers, spreads, strict=True)}
    value = dict(zip(NAMES, numbers, strict=True))
    high = {name: x + d * abs(x) for name, x, d in zip(NAMES, numbers, spreads, strict=True)}
    least, most = parse(text).interval(low, value, high)
    within = {name: low[name] + t * (high[name] - low[name]) for name, t in zip(NAMES, places, strict=True)}
    found = parse(text).value(within)
    if math.isfinite(found) and math.isfinite(parse(text).value(value)):
        slack = 1e-9 * max(abs(end) for end in (found, *(end for end in (least, most) if math.isfinite(end))))
        assert least - slack <= found <= most + slack


def test_an_interval_is_exact_where_every_input_occurs_once():
    low, value, high = ({"a": a, "b": b, "x": np.array(x)} for a, b, x in (
        (1.0, 4.0, [0.5, 1.5]), (2.0, 5.0, [1.0, 2.0]), (3.0, 6.0, [1.5, 2.5])))  # fmt: skip
    for text, least, most in (
        ("a * b", 4, 18), ("a - b", -5, -1), ("a / b", 1 / 6, 3 / 4), ("abs(a - 2)", 0, 1), ("(a - 2) ** 2", 0, 1),
        ("spread(x)", 1, 5), ("max(x)", 1.5, 2.5), ("sum(x) * a", 2, 12), ("count(x)", 2, 2),
    ):  # fmt: skip
        assert parse(text).interval(low, value, high) == pytest.approx((least, most)), text
    least, most = parse("a / (a + b)").interval(low, value, high)
    assert 0.13 < least <= 1 / 7 and 3 / 7 <= most < 0.46, "an input that occurs twice is followed in pieces"


def test_what_no_end_bounds_is_unbounded():
    low, value, high = {"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 2.5}, {"a": 3.0, "b": 3.0}
    assert parse("1 / (a - b)").interval(low, value, high) == (-math.inf, math.inf)
    assert parse("log(a - 1)").interval({"a": 0.0}, {"a": 2.0}, {"a": 3.0})[0] == -math.inf


def test_rounding_may_move_a_correlation():
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.1, 1.9, 3.2, 3.8])
    low, value, high = ({"x": x, "y": y + d} for d in (-0.5, 0.0, 0.5))
    middle = parse("corr(x, y)").value(value)
    least, most = parse("corr(x, y)").interval(low, value, high)
    assert 0.8 < least < middle < most == 1.0
    shuffled = parse("corr(x, y)").value({"x": x, "y": y + np.array([0.5, -0.5, -0.5, -0.5])})
    assert least <= shuffled <= most


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


@pytest.mark.parametrize("text", ["(0 - a) ** 0.5", "0 ** -1", "log(0)", "((9 ** 99) ** 99) ** 99", "exp(exp(exp(9)))"])
def test_what_is_undefined_is_no_number(text):
    assert not math.isfinite(parse(text).value({"a": 2.0}))


def test_what_is_refused_warns_nobody(recwarn):
    with pytest.raises(BadInput):
        parse("0x1for x in y")
    assert not recwarn.list


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


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_a_rank_correlation_is_scipys(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = parse("spearman(x, y)").value({"x": x, "y": y})
    if math.isnan(found):
        assert np.ptp(x) == 0 or np.ptp(y) == 0
    else:
        assert found == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


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
