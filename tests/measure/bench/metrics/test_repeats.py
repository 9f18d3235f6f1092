"""Several runs of one load: their mean, how sure it is, and when it is sure enough."""

import json

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.metrics.repeats import again, repeated, together


def test_students_interval_by_hand():
    found = repeated([1.0, 2.0, 3.0])
    assert found.mean == 2.0 and found.cv == 0.5
    assert found.interval == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert found.reach == pytest.approx(4.3027 / 3**0.5 / 2, abs=1e-4) and found.bootstrap is None


def test_unknown_stays_unknown():
    assert repeated([None, None]).as_dict() == {
        "runs": 0, "mean": None, "interval": None, "bootstrap": None, "cv": None, "reach": None,
    }  # fmt: skip
    one = repeated([5.0, None])
    assert (one.runs, one.mean, one.interval, one.cv, one.reach) == (1, 5.0, None, None, None)


def test_the_interval_over_runs_holds_the_truth_95_times_in_100():
    random = np.random.default_rng(1)
    runs = [repeated(random.normal(10, 1, 6).tolist()) for _ in range(300)]
    for part in ("interval", "bootstrap"):
        inside = np.mean([low <= 10 <= high for low, high in (getattr(one, part) for one in runs)])
        assert 0.90 < inside < 0.99


def test_metrics_of_runs_together(loop):
    runs = [measure(loop(4, 20, 0.2, 0.02, 10, seed=seed)).as_dict() for seed in range(4)]
    found = together(runs)
    itl = found["itl_s.mean"]
    assert itl.runs == 4 and itl.mean == pytest.approx(0.02, rel=0.02) and itl.cv < 0.02
    assert found["output_tokens_per_s"].interval[0] < found["output_tokens_per_s"].mean
    assert found["power_w"].mean is None and "ttft_s.p99" in found and "ttft_s.n" not in found
    json.dumps({name: one.as_dict() for name, one in found.items()}, allow_nan=False)


def test_runs_are_repeated_until_the_interval_is_narrow_or_patience_ends():
    assert again([], within=0.1) and again([1.0, 1.0], within=0.1)
    assert not again([1.0, 1.0, 1.0], within=0.1)
    assert again([1.0, 2.0, 3.0], within=0.1)
    assert not again([1.0, 2.0, 3.0] * 4, within=0.1)  # ten are enough
    assert again([None, None, None], within=0.1)
    assert not again([1.0, 2.0], within=0.01, least=2, most=2)


@pytest.mark.parametrize(
    "wrong", [{"within": 0.0}, {"within": 0.1, "least": 1}, {"within": 0.1, "least": 5, "most": 4}]
)
def test_rules_that_are_none_are_refused(wrong):
    with pytest.raises(BadInput):
        again([1.0], **wrong)
