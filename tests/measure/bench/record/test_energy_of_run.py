"""Which energy tokens are set against: never one of a part of the window."""

from dataclasses import replace

from inferatlas.measure.bench.record.energy import headline
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.scope import Scope

WHOLE = Energy(1000.0, {"gain": 50.0}, "counter", "nvml", Scope.GPU, 10.0, 10.0)
DOUBTFUL = replace(WHOLE, reasons=("gap_too_long",))
LOST = replace(WHOLE, joules=400.0, covered_s=4.0, reasons=("device_lost", "edge_not_bracketed"))
NODE = replace(WHOLE, joules=3000.0, source="redfish", scope=Scope.NODE_AC)


def test_a_valid_one_goes_first_and_accelerators_before_nodes():
    assert headline([WHOLE, NODE]) is WHOLE
    assert headline([DOUBTFUL, NODE]) is NODE
    assert headline([DOUBTFUL]) is DOUBTFUL


def test_a_meter_that_was_lost_in_the_middle_makes_no_token_cheap():
    """400 J of 4 s under the tokens of 10 s were two and a half times too many tokens per joule."""
    assert headline([LOST]) is None
    assert headline([LOST, NODE]) is NODE


def test_nothing_is_no_energy():
    assert headline([replace(WHOLE, joules=0.0), replace(WHOLE, joules=None)]) is None
