"""How printed values are read: rounding, relations, ranges, units, and what is not stated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.studies.claims.printed import read_printed


@pytest.mark.parametrize(
    ("text", "unit", "low", "value", "high", "relation"),
    [
        ("3.7", "1", 3.65, 3.7, 3.75, "equal"),
        ("450", "ms", 0.4495, 0.45, 0.4505, "equal"),
        ("1,979 TFLOPS", "1", 1978.5e12, 1979e12, 1979.5e12, "equal"),
        ("7 783 ‡", "tokens/s", 7782.5, 7783, 7783.5, "equal"),
        ("20k", "W", 19.5e3, 20e3, 20.5e3, "equal"),
        ("≈ 75 W", "1", 67.5, 75, 82.5, "about"),
        ("approximately 900,000", "1", 810e3, 900e3, 990e3, "about"),
        ("5-10×", "1", 4.5, 7.5, 10.5, "equal"),
        ("15–30 %", "1", 0.145, 0.225, 0.305, "equal"),
        ("220+ TB/s", "1", 219.5e12, 220e12, 220.5e12, "at_least"),
        ("> 100 billion", "1", 99.5e9, 100e9, 100.5e9, "at_least"),
        ("up to 3.7×", "1", 3.65, 3.7, 3.75, "equal"),
        ("<b>21 000</b> (21 PB/s)", "TB/s", 20999.5e12, 21e15, 21000.5e12, "equal"),
        ("185 (LLMPerf '24)", "tokens/s", 184.5, 185, 185.5, "equal"),
        ("220 Pb/s", "1", 219.5e15 / 8, 220e15 / 8, 220.5e15 / 8, "equal"),
        ("≈275 W per chip†", "W", 247.5, 275, 302.5, "about"),
        ("8.2B", "billion", 8.15e9, 8.2e9, 8.25e9, "equal"),
        ("$8.4 \\times$", "1", 8.35, 8.4, 8.45, "equal"),
    ],
)
def test_a_number_with_its_rounding(text, unit, low, value, high, relation):
    found = read_printed(text, unit)
    assert (found.low, found.value, found.high) == pytest.approx((low, value, high), rel=1e-12)
    assert found.relation == relation


@pytest.mark.parametrize(
    ("text", "low", "high", "ends", "unit", "relation"),
    [
        ("5 TB/s - 8 TB/s", 4.5e12, 8.5e12, (5e12, 8e12), "B/s", "equal"),
        ("500 GB/s to 2.0 TB/s", 499.5e9, 2.05e12, (500e9, 2e12), "B/s", "equal"),
        ("5%-10%", 0.045, 0.105, (0.05, 0.1), "1", "equal"), ("5x-10x", 4.5, 10.5, (5, 10), "1", "equal"),
        ("from 5 W to 10 W", 4.5, 10.5, (5, 10), "W", "equal"), ("10-5", 4.5, 10.5, (5, 10), "1", "equal"),
        ("≈ 50-100 W", 45, 110, (50, 100), "W", "about"), ("-5 to -3", -5.5, -2.5, (-5, -3), "1", "equal"),
        ("1e-3 s", 0.0005, 0.0015, None, "s", "equal"), ("2-fold", 1.5, 2.5, None, "1", "equal"),
        ("-5 W", -5.5, -4.5, None, "W", "equal"),
    ],
)  # fmt: skip
def test_a_range_is_its_two_ends_each_rounded(text, low, high, ends, unit, relation):
    found = read_printed(text)
    assert (found.low, found.high) == pytest.approx((low, high)) and (found.unit, found.relation) == (unit, relation)
    assert found.ends == (ends and pytest.approx(ends))


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.86 tokens per joule", 0.86, "1/J"), ("55 tokens per second", 55, "1/s"), ("3 TB per second", 3e12, "B/s"),
        ("2 USD per hour", 2, "USD/h"), ("700 W per chip", 700, "W"), ("90 gCO2e", 90, "gCO2e"), ("3 L", 3, "L"),
        ("0.2 kWh", 720e3, "J"), ("64 Gb/s", 8e9, "B/s"),
    ],
)  # fmt: skip
def test_units_are_those_of_the_field(text, value, unit):
    assert (read_printed(text).value, read_printed(text).unit) == (pytest.approx(value), unit)


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "1e-9999999999999999999", "5 W - 8 B", "< 5 and > 3"])
def test_what_cannot_be_computed_with_is_refused(text):
    with pytest.raises(BadInput):
        read_printed(text)


@pytest.mark.parametrize("text", ["-", "–", "—", "ND", "ND (≈ 10 000 tok/s claims)", "N/A", "", "×", "="])
def test_what_is_not_stated_has_no_value(text):
    found = read_printed(text, "W")
    assert found.value is None and not found.stated


def test_words_stay_words():
    assert read_printed("×", words=True).text == "×" and read_printed("✓", words=True).stated
    assert read_printed("HBM3e", words=True).value is None


@pytest.mark.parametrize("text", ["HBM3e", "fast", "12 parsecs", "1.2.3", "12 TB/sec/GPU"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(BadInput):
        read_printed(text)


@given(st.decimals(min_value="0.001", max_value="99999", places=3))
def test_the_true_value_of_a_rounded_one_lies_within_its_print(true):
    for places in (0, 1, 2):
        printed = read_printed(f"{true:.{places}f}")
        assert printed.low - 1e-9 <= float(true) <= printed.high + 1e-9
