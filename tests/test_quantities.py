"""Units: the quick table against pint, GB against GiB, and what people type by mistake."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.quantities import COMMON, parse, registry_of_units, show

# pint has no such word, or reads another one (b is barn, Gb is gilbert there)
UNKNOWN_TO_PINT = {"mm2", "cm2", "m2", "sequences", "tokens", "tokens/s", "tok/s", "req/s", "tokens/J", "tok/J"}
UNKNOWN_TO_PINT |= {"thousand", "million", "billion", "trillion"}
SI_UNITS = sorted({si for _, si in COMMON.values()})


def known_to_pint(unit: str) -> bool:
    return unit not in UNKNOWN_TO_PINT and not unit.startswith("K") and not unit.endswith("b/s")


@pytest.mark.parametrize("unit", [unit for unit in COMMON if known_to_pint(unit)])
def test_the_quick_table_agrees_with_pint(unit):
    factor, si = COMMON[unit]
    answer = registry_of_units().Quantity(1.0, unit).to(si.replace("B", "byte")).magnitude
    assert answer == pytest.approx(factor, rel=1e-12)


def test_decimal_and_binary_bytes_are_kept_apart_exactly():
    assert parse("1 GB", "B") == 1e9
    assert parse("1 GiB", "B") == 2**30
    assert parse("1 GB/s", "B/s") == 1e9  # acceptance test I: never 2**30
    assert parse("80 GiB", "B") - parse("80 GB", "B") == 80 * (2**30 - 10**9)
    assert parse("100 Gbit/s", "B/s") == parse("12.5 GB/s", "B/s") == parse("100 Gb/s", "B/s")


@given(st.sampled_from(SI_UNITS), st.floats(1e-14, 1e21), st.sampled_from([1, -1]))
def test_what_is_shown_can_be_read_again(unit, magnitude, sign):
    value = magnitude * sign
    assert parse(show(value, unit, digits=4), unit) == pytest.approx(value, rel=6e-4, abs=6e-14)


@given(st.sampled_from([unit for unit in COMMON if unit]), st.floats(-1e6, 1e6))
def test_every_common_unit_scales_by_its_factor(unit, number):
    factor, si = COMMON[unit]
    assert parse(f"{number!r} {unit}", si) == number * factor


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("nan s", "s"),
        ("NaN", "1"),
        ("inf s", "s"),
        ("1e400 s", "s"),
        ("1e308 TB", "B"),  # finite until the unit is applied
        ("500", "s"),
        ("", "s"),
        ("ms", "s"),
        ("3 GBps", "B/s"),
        ("3 GB", "B/s"),
        ("5 W", "J"),
        ("8 rad", "B"),  # pint calls bits and angles dimensionless
        ("50 percent", "B"),
        ("1 byte", "1"),
        ("60 rpm", "1/s"),
        ("0,5 s", "s"),
        ("3,35 TB/s", "B/s"),
        ("1,23,456 W", "W"),
        ("1 s; 2 s", "s"),
        ("1 (", "s"),
        ("1 2 s", "s"),
        ("1 1000**1000**1000", "s"),  # pint would evaluate it
        ("1 __import__('os')", "s"),
    ],
)
def test_bad_text_is_refused_with_the_field_and_exit_code_2(text, unit):
    with pytest.raises(BadInput) as caught:
        parse(text, unit, field="memory.bandwidth")
    assert caught.value.exit_code == 2
    assert caught.value.field == "memory.bandwidth"


def test_a_typo_in_a_unit_gets_the_near_ones():
    with pytest.raises(BadInput, match=r"did you mean .*GB/s"):
        parse("3 GBps", "B/s")


def test_a_bare_number_needs_a_default_unit():
    assert parse("500", "s", default_unit="ms") == 0.5
    assert parse("2", "s", default_unit="fortnight") == pytest.approx(2 * 14 * 86400)
    assert parse("0.6", "1") == 0.6


def test_units_beyond_the_table_are_answered_by_pint():
    assert parse("1 day", "s") == 86400
    assert parse("5 kgCO2e/MWh", "gCO2e/kWh") == pytest.approx(5.0)
    assert parse("3.35 terabyte/second", "B/s") == pytest.approx(3.35e12)


def test_both_signs_for_micro_are_read():
    assert parse("60 \u00b5s", "s") == parse("60 \u03bcs", "s") == parse("60 us", "s") == 60 * 1e-6


def test_unknown_is_a_dash_and_zero_is_zero():
    assert show(None, "W") == show(math.nan, "W") == show(np.float32("nan"), "W") == "—"  # pyright: ignore[reportArgumentType]
    assert show(0.0, "W") == "0 W"


def test_rounding_carries_into_the_next_prefix():
    assert show(999.9996, "W") == "1.00 kW"
    assert show(0.9999996, "s") == "1.00 s"


def test_areas_and_small_energies_are_shown_in_units_of_the_field():
    assert show(814e-6, "m2") == "814 mm2"
    assert show(12.9 * 8e-12, "J/B") == "103 pJ/B"
    assert show(5000.0, "m2") == "5,000 m2"  # not 5.00 km2, which is a thousand times more


def test_what_is_no_pure_number_is_not_asked_for_a_unit():
    with pytest.raises(BadInput, match=r"'nan' is not a number \(") as caught:
        parse("nan", "1", field="acceptance")
    assert caught.value.allowed == "a number"
