"""Which deployment is the smallest that serves, and which reason is given where none does."""

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.judge import probability
from inferatlas.decide.advisor.search import Designs, Limits, evaluate
from inferatlas.decide.profiles.smallest import smallest
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.workload import make_workload
from inferatlas.workload.targets import parse_targets

PARTS = ("a100-80gb-sxm", "h100", "l4")


@pytest.fixture(scope="module")
def designs() -> Designs:
    load = make_workload(isl=1000, osl=100, request_rate=1.0)
    return evaluate(load_model("llama-3.1-8b"), load, Limits(accelerators=PARTS, max_count=4))


def test_no_smaller_design_of_an_accelerator_serves(designs: Designs):
    targets = parse_targets("ttft:p99<100ms")
    found = smallest(designs, targets)
    serves = designs.predictions.fits & (probability(designs, targets) >= 0.5)
    names, owner = designs.accelerator_index()
    for k, name in enumerate(names):
        counts = designs.points.accelerators[serves & (owner == k)]
        assert (name in found) == bool(counts.size)
        if name in found:
            assert designs.points.accelerators[found[name]] == counts.min()
    assert 0 < len(found) < len(names)


def test_of_those_that_miss_a_target_the_nearest_is_named(designs: Designs):
    targets = parse_targets("ttft:p99<15ms")
    odds = np.where(designs.predictions.fits, probability(designs, targets), 0.0)
    assert 0 < odds.max() < 0.5
    with pytest.raises(NoFeasibleAnswer) as caught:
        smallest(designs, targets)
    nearest = designs.platform(int(odds.argmax())).device.id
    assert f"({nearest}: " in str(caught.value) and "2 other accelerators do not either" in str(caught.value)
    assert (caught.value.code, caught.value.field) == ("target", "slo")
