"""p-values and intervals are those of the t distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from inferatlas.measure.bench.comparison.chances import holm, judged, unpaired


def test_differences_of_means_are_those_of_welch():
    rng = np.random.default_rng(0)
    x, y = -rng.normal(5, 1, 12), -rng.normal(5.5, 2, 9)  # not above 0: differences, not ratios
    found = unpaired(x.mean(), y.mean(), (x.std(ddof=1) / 12**0.5, 12), (y.std(ddof=1) / 3, 9))
    assert found.p == pytest.approx(stats.ttest_ind(x, y, equal_var=False).pvalue)
    assert found.low is None


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1e-4, 1), st.integers(2, 500))
def test_an_interval_leaves_out_one_where_p_is_below_a_twentieth(a: float, b: float, error: float, freedom: int):
    found = judged(a, b, error, freedom)
    assert found.low is not None and found.high is not None
    assert found.low <= b / a * (1 + 1e-9) and b / a <= found.high * (1 + 1e-9)
    assert (found.p < 0.05) == (found.low > 1 or found.high < 1) or found.p == pytest.approx(0.05, abs=1e-6)


def test_equal_values_differ_by_chance_alone():
    assert judged(2.0, 2.0, 0.0, 10).p == judged(2.0, 2.0, 0.1, 10).p == judged(0.0, 0.0, 0.0, 3).p == 1.0
    assert judged(1.0, 1.1, 0.0, 10).p == 0.0


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p: list[float | None]):
    found = holm(p)
    pairs = sorted((a, b) for a, b in zip(p, found, strict=True) if a is not None and b is not None)
    assert [a is None for a in p] == [b is None for b in found]
    assert all(a <= b <= 1 for a, b in pairs)
    assert [b for _, b in pairs] == sorted(b for _, b in pairs)
    if pairs:
        assert pairs[0][1] == pytest.approx(min(pairs[0][0] * len(pairs), 1))
