"""Equation (52): operational and embodied carbon, and water, with unknown parts kept unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.cost import carbon

positive = st.floats(1e-2, 1e6)
overheads = st.floats(1.0, 2.0)


def test_a_kilowatt_hour_emits_its_intensity():
    # 1 kW for an hour at 1e6/3600 tokens/s is a million tokens
    rate = 1e6 / 3600
    assert carbon.operational_gco2e_per_million_tokens(1000.0, 1.0, 381.0, rate) == pytest.approx(381.0)
    assert carbon.gco2e_per_million_tokens(1000.0, 1.5, 381.0, 20.0, rate) == pytest.approx(1.5 * 381.0 + 20.0)
    assert carbon.water_l_per_million_tokens(1000.0, 1.5, 1.8, 3.13, rate) == pytest.approx(1.8 + 1.5 * 3.13)


@given(positive, overheads, positive, positive, positive, st.floats(1.01, 10))
def test_directions(power, pue, intensity, embodied, tokens, factor):
    base = carbon.gco2e_per_million_tokens(power, pue, intensity, embodied, tokens)
    assert base > carbon.operational_gco2e_per_million_tokens(power, pue, intensity, tokens) * (1 - 1e-12)
    assert carbon.gco2e_per_million_tokens(power, pue, intensity, embodied, tokens * factor) == pytest.approx(
        base / factor
    )
    for more in (
        carbon.gco2e_per_million_tokens(power * factor, pue, intensity, embodied, tokens),
        carbon.gco2e_per_million_tokens(power, pue * factor, intensity, embodied, tokens),
        carbon.gco2e_per_million_tokens(power, pue, intensity * factor, embodied, tokens),
        carbon.gco2e_per_million_tokens(power, pue, intensity, embodied * factor, tokens),
    ):
        assert more >= base


def test_the_embodied_part_is_charged_to_the_hours_of_use():
    per_hour = carbon.embodied_g_per_hour(318e3, 4.0, 0.5)
    assert per_hour * 4.0 * 8760 * 0.5 == pytest.approx(318e3)
    assert carbon.embodied_g_per_hour(318e3, 4.0, 0.25) == pytest.approx(2 * per_hour)


def test_bad_dies_are_charged_to_the_good_ones():
    assert carbon.embodied_die_g(8e-4, 1e7, 0.5) == pytest.approx(2 * carbon.embodied_die_g(8e-4, 1e7))


def test_an_unpublished_embodied_part_leaves_the_sum_unknown_and_not_smaller():
    assert np.isnan(carbon.gco2e_per_million_tokens(1000.0, 1.2, 381.0, None, 100.0))
    assert carbon.operational_gco2e_per_million_tokens(1000.0, 1.2, 381.0, 100.0) > 0
    for answer in (
        carbon.operational_gco2e_per_million_tokens([1.0, None, 1.0], 1.2, [1.0, 1.0, None], 100.0),
        carbon.water_l_per_million_tokens([1.0, None, 1.0], 1.2, [1.0, 1.0, None], 3.0, 100.0),
        carbon.embodied_g_per_hour([1.0, None, 1.0], [1.0, 1.0, None]),
    ):
        assert np.isnan(answer).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: carbon.embodied_g_per_hour(1.0, 0.0),
        lambda: carbon.embodied_g_per_hour(1.0, 4.0, 50.0),
        lambda: carbon.embodied_die_g(1.0, 1.0, 0.0),
        lambda: carbon.operational_gco2e_per_million_tokens(-1.0, 1.2, 381.0, 100.0),
        lambda: carbon.water_l_per_million_tokens(1.0, 0.5, 1.0, 1.0, 1.0),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput):
        wrong()
