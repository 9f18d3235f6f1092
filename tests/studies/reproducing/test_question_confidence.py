"""The rule of confidence on made-up intervals, and ratios of predictions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.answer import Interval
from inferatlas.studies.common_errors import ratios
from inferatlas.studies.reproducing.questions.apart import _pays
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.published import said
from inferatlas.studies.runs import exactly, over, runs

ABOVE, BELOW, ACROSS = Interval(1.4, 2.0, 3.0), Interval(0.3, 0.5, 0.9), Interval(0.8, 1.2, 1.9)


def ground(found: Interval, label="predicted", boundary: float = 1.0) -> Ground:
    return Ground(f"{found.value:g} against {boundary:g}", found, boundary, label)


@pytest.mark.parametrize(
    ("grounds", "expected"),
    [
        ([ground(ABOVE), ground(BELOW)], "high"),
        ([ground(ABOVE, "derived"), ground(BELOW, "catalogue")], "high"),
        ([ground(ABOVE), ground(BELOW, "extrapolated")], "medium"),
        ([ground(ABOVE), ground(ACROSS)], "low"),
        ([ground(ACROSS, "extrapolated")], "low"),
        ([], "low"),
    ],
)
def test_confidence_follows_from_intervals_and_labels(grounds, expected):
    assert confidence(grounds)[0] == expected


def test_what_nothing_computes_makes_an_answer_unsure_and_is_named():
    sure, why = confidence([ground(ABOVE)], unknown=["accuracy of answers"])
    assert sure == "low" and "not computed here: accuracy of answers" in why


def test_an_interval_that_ends_on_its_boundary_holds_it():
    assert not ground(Interval(1.0, 2.0, 3.0)).clear
    assert ground(Interval(1.0, 2.0, 3.0), boundary=0.99).clear
    assert not ground(exactly(1.0)).clear


def test_the_reason_counts_and_names_what_is_open():
    _, why = confidence([ground(ABOVE), ground(ACROSS, "extrapolated"), ground(BELOW)])
    assert why.startswith("2 of 3 intervals lie clear") and "1 of them on parts" in why and "open: 1.2 against 1" in why


positive = st.floats(0.01, 100.0)
width = st.floats(1.0, 5.0)


@given(positive, width, positive, width)
def test_a_ratio_of_independent_intervals_is_wider_than_either_and_turns_over(a, wa, b, wb):
    one, other = Interval(a / wa, a, a * wa), Interval(b / wb, b, b * wb)
    ratio, back = over(one, other), over(other, one)
    assert ratio.value == pytest.approx(a / b)
    assert math.log(ratio.high / ratio.value) >= max(math.log(wa), math.log(wb)) - 1e-9
    assert ratio.low == pytest.approx(1.0 / back.high) and ratio.high == pytest.approx(1.0 / back.low)


def test_an_interval_down_to_nothing_stays_one():
    assert over(Interval(0.0, 1.0, 2.0), exactly(1.0)).low == 0.0


LOAD = {"isl": 1024, "osl": 256, "count": 1, "tp": 1}


def test_a_deployment_beside_itself_is_exactly_one():
    one = runs("llama-3.1-8b", "h100", concurrency=[1, 64], **LOAD).deployed
    assert list(ratios(one, one, "itl_s")) == [exactly(1.0), exactly(1.0)]


def test_common_errors_cancel():
    """The same part at half the clock: narrower than two independent predictions, and around the same value."""
    full, half = (runs("llama-3.1-8b", "h100", concurrency=64, clock=clock, **LOAD) for clock in (1.0, 0.5))
    together = ratios(full.deployed, half.deployed, "output_tokens_per_s")[0]
    apart = over(full.at("output_tokens_per_s", 0), half.at("output_tokens_per_s", 0))
    assert together.value == pytest.approx(apart.value, rel=1e-6)
    assert together.high / together.low < apart.high / apart.low


def test_a_load_that_does_not_fit_has_no_value():
    found = runs("llama-3.1-8b", "nvidia-t4", concurrency=1, weights="fp16", **LOAD)
    assert not found.fits[0] and found.at("itl_s", 0) is None


def test_a_claim_that_no_ledger_has_says_nothing():
    assert said("sharma-2025", "no-such-claim") is None


def test_ranges_of_a_gain_are_told_with_their_open_ends():
    rows = [
        {"axis": "isl_over_osl", "x_from": 2.0, "x_to": 32.0, "from_end": False, "to_end": True},
        {"axis": "itl_target_s", "x_from": 0.01, "x_to": 0.04, "from_end": True, "to_end": False},
    ]
    assert _pays(rows) == "at 2 or more input tokens per output token and with gaps bound at 40.0 ms or less"
    assert _pays([]) == "at no ratio of lengths tried and at no bound on the gap tried"
