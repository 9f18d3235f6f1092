"""Steps are found where there are steps, and times spread over them stay in order and in their step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.workload.rounded import spread, step_of


@given(st.lists(st.integers(3, 9), min_size=3, max_size=30), st.sampled_from([0.001, 1.0, 3.0, 60.0]), st.data())
def test_a_step_is_found_through_empty_steps_and_a_clock_that_is_a_little_off(counts, step, data):
    empty = data.draw(st.lists(st.sampled_from([1, 1, 2, 5]), min_size=len(counts) - 1, max_size=len(counts) - 1))
    late = data.draw(st.lists(st.floats(-1e-3, 1e-3), min_size=len(counts), max_size=len(counts)))
    at = (np.cumsum([0, 1, *empty[1:]]) + np.array(late)) * step  # two steps without one between them
    arrival = np.repeat(at - at[0], counts)
    found = step_of(arrival)
    assert found == pytest.approx(step, rel=3e-3)
    apart = spread(arrival, step)
    assert np.all(np.diff(apart) > 0)
    assert np.all((apart > arrival) & (apart < arrival + step))


@pytest.mark.parametrize(
    "times",
    [
        [0, 1, 2, 3],  # on a grid, and nothing shares a time
        [0, 0, 1, 1, 2, 2],  # no more than half
        [0, 0, 0, 5, 5, 5],  # one distance is no step
        [0, 0, 0, 1, 1, 1, 2.5, 2.5, 2.5, 3.7, 3.7, 3.7],  # bursts at times of their own
    ],
)
def test_times_are_left_alone(times):
    assert step_of(np.array(times, dtype=np.float64)) is None
