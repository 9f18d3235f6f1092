"""Arguments: None is NaN, out of range is refused with the field and what is allowed."""

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.predict.performance.arguments import floats


def test_none_is_unknown_alone_and_inside_a_list():
    assert np.isnan(floats(None, "x", 0))
    assert np.isnan(floats([1, None, 3], "x", 0)).tolist() == [False, True, False]


def test_bounds_are_closed_except_the_one_called_above():
    assert floats([0, 1], "x", 0, 1).tolist() == [0, 1]
    with pytest.raises(BadInput, match=r"x: 0 is out of range \(allowed: above 0, at most 1\)"):
        floats([0.5, 0.0], "x", above=0, high=1)
    with pytest.raises(BadInput, match=r"x: -1 is out of range \(allowed: 0 or more\)"):
        floats([[2.0, -1.0]], "x", 0)


def test_text_is_no_number():
    with pytest.raises(BadInput, match="not a number"):
        floats("fast", "speed")
