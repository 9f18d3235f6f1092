import time

import numpy as np
import pytest
from made import Played, channel, counter_of, series

from inferatlas.measure.metering.updating import measured_updates, update_period


@pytest.mark.parametrize("poll", [0.003, 0.01, 0.04])
def test_a_counter_of_100_ms_is_found_to_be_one(poll):
    """energy.md, mistake 2: a peer detects 0."""
    t = np.arange(0.0, 2.0, poll)
    read = series(channel("counter"), t, counter_of(lambda x: 300.0 * x, t, 0.1, 0.013))
    assert update_period(read) == pytest.approx(0.1, rel=0.03)


def test_a_sensor_that_hardly_changes_has_no_period():
    t = np.arange(0.0, 2.0, 0.01)
    assert update_period(series(channel("instant"), t, np.full(t.size, 75.0))) is None
    assert update_period(series(channel("instant"), t, (t > 1.0).astype(float))) is None


def test_sources_are_read_for_a_moment_and_closed():
    began = time.monotonic()
    source = Played((channel("counter"), lambda t: t // 0.02), (channel("instant"), lambda t: 75.0))
    stepping, still = measured_updates([source], 0.3)
    assert stepping == pytest.approx(0.02, rel=0.3) and still is None
    assert source.closed and time.monotonic() - began < 2.0
