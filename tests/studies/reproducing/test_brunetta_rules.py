"""Verdicts on the guidelines of Brunetta et al. follow from the numbers: made-up grids in, verdicts out."""

import math

import numpy as np
import pytest

from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.printed import read_printed
from inferatlas.studies.reproducing.brunetta import (
    rules_dataflow,
    rules_experts,
    rules_memory,
    rules_parallel,
    rules_precision,
    rules_single,
)
from inferatlas.studies.reproducing.brunetta.judging import Trial, compared, judged, tried
from inferatlas.studies.reproducing.brunetta.pairs import parameters
from inferatlas.studies.reproducing.brunetta.protocol import CS3, DATAFLOW, DENSE


def trials(ratios: dict[str, list[float]], column: str = "batch", *, within: bool = False) -> list[Trial]:
    """So many trials of each value of one column."""
    return tried(compared({column: name}, ratio, within=within) for name, more in ratios.items() for ratio in more)


def test_all_held_agrees():
    found = judged(trials({"1": [2.0] * 5, "8": [1.1] * 5}))
    assert (found.verdict, found.held, found.tried) == ("agrees", 10, 10)


def test_even_differences_do_not_speak_against():
    found = judged(trials({"1": [2.0] * 24 + [1.005]}))
    assert (found.verdict, found.held, found.even) == ("agrees", 24, 1)


def test_a_single_exception_is_named():
    found = judged(trials({"1": [2.0] * 20, "64": [2.0] * 20 + [0.5]}))
    assert found.verdict == "agrees_under_condition"
    assert found.where == "except for batch 64"


def test_a_bound_on_a_number_is_found():
    found = judged(trials({"1": [2.0] * 4, "8": [1.5] * 4, "64": [0.8] * 4, "128": [0.5] * 4}))
    assert found.verdict == "agrees_under_condition"
    assert found.where.startswith("for batch up to 8 (8 of 8; elsewhere 0 of 8)")


def test_names_of_which_all_hold_are_found():
    found = judged(trials({"A": [2.0] * 6, "B": [0.5, 2.0, 0.5, 0.5], "C": [3.0] * 2}, "accelerator"))
    assert found.where.startswith("for accelerator A, C (8 of 8;")


def test_few_trials_make_no_condition():
    assert judged(trials({"1": [2.0] * 2, "8": [0.5] * 20})).verdict == "disagrees"


def test_the_opposite_everywhere_disagrees():
    found = judged(trials({"1": [0.5] * 5}))
    assert (found.verdict, found.where) == ("disagrees", "nowhere")


def test_the_opposite_within_the_intervals_is_undecided():
    assert judged(trials({"1": [0.9] * 5}, within=True)).verdict == "undecided"


def test_a_scattered_half_is_undecided():
    assert judged(trials({"1": [2.0, 0.5] * 5, "8": [0.5, 2.0] * 5})).verdict == "undecided"


def test_nothing_tried_is_undecided():
    assert judged(tried([compared({}, math.nan)])).verdict == "undecided"


def power_law(exponent: float, start: float = 0.0):
    """Times of so much size to a power, rates their inverse."""

    def value(model: str, gpu: str, tp: int, level: int, quantity: str) -> float:
        time = start + (parameters(model).total / 1e9) ** exponent * level
        return time if quantity in ("latency_s", "ttft_s") else 1.0 / time

    return value


@pytest.mark.parametrize(
    ("exponent", "start", "verdict"), [(1.0, 0.0, "agrees"), (1.0, 5.0, "agrees"), (2.5, 0.0, "disagrees")]
)
def test_a_line_is_linear_whatever_its_start(exponent: float, start: float, verdict: str):
    found = rules_single.size_trials(power_law(exponent, start), lambda *_: True)
    assert judged(found).verdict == verdict


def test_missing_models_are_left_out_of_the_line():
    law = power_law(1.0)

    def value(model: str, *more) -> float:
        return math.nan if model in DENSE[-3:] else law(model, *more)

    found = rules_single.size_trials(value, lambda *_: True)
    assert found and judged(found).verdict == "agrees"


def test_batches_that_gain_nothing_do_not_agree():
    flat = rules_single.batch_trials(lambda *_: 1.0)
    grown = rules_single.batch_trials(lambda model, gpu, tp, level, quantity: level**0.5)
    assert judged(flat).verdict == "undecided"
    assert judged(grown).verdict == "agrees"


@pytest.mark.parametrize(("large", "verdict"), [(1.0, "agrees"), (1.3, "agrees_under_condition")])
def test_w8a16_must_stop_gaining(large: float, verdict: str):
    def gains(model: str, gpu: str, batch: float, quantity: str) -> float:
        return 1.4 if batch <= 32 else large

    assert judged(rules_precision.w8a16_trials(gains)).verdict == verdict


def test_the_last_batch_of_a_gain():
    assert rules_precision.last_gain("qwen3-14b", "total_tokens_per_s", lambda m, g, b, q: 2.0 if b < 50 else 1.0) == 32
    assert rules_precision.last_gain("qwen3-14b", "total_tokens_per_s", lambda *_: 1.0) is None


def test_data_parallelism_loses_where_the_boundary_is():
    """Tensor parallelism is made to pay from a share of weights of a half: the condition found is near that half."""

    def value(case, quantity: str) -> float:
        share = rules_parallel.weights_share(case.model, case.accelerator, 1, case.weights)
        return 1.0 if case.tp == 1 else 1.5 if share >= 0.5 else 0.7

    found = judged(rules_parallel.layout_trials(value))
    assert found.verdict == "agrees_under_condition"
    assert 0.4 < float(found.where.split("up to ")[1].split(" ")[0]) < 0.6


@pytest.mark.parametrize("at", [0.4, 0.6, 0.8])
def test_the_boundary_is_where_the_curves_cross(at: float):
    shares = list(rules_memory.SHARES)
    one = np.array([1.0 if share < at else 0.2 for share in shares])
    two, four = np.full(len(shares), 0.6), np.full(len(shares), 0.4)
    ratios = rules_memory.more_over_one(np.array([one, two, four]))
    assert rules_memory.crossing(shares, ratios.tolist()) == pytest.approx(at, abs=0.025)


def test_no_boundary_where_tensor_parallelism_never_or_always_pays():
    shares = list(rules_memory.SHARES)
    for larger in (0.5, 2.0):
        ratios = rules_memory.more_over_one(np.array([np.ones(len(shares)), np.full(len(shares), larger)]))
        assert math.isnan(rules_memory.crossing(shares, ratios.tolist()))


def test_a_share_that_only_a_larger_t_holds_is_beyond_the_boundary():
    assert rules_memory.crossing([0.7, 0.8, 0.9], [0.6, 0.7, math.inf]) == 0.9


@pytest.mark.parametrize(("ratio", "verdict"), [(1.5, "agrees"), (0.5, "disagrees")])
def test_beyond_80_percent_a_larger_t_must_pay(ratio: float, verdict: str):
    curve = {("qwen3-14b", "NVIDIA H100", "", 128): np.full(len(rules_memory.SHARES), ratio)}
    assert judged(rules_memory.share_trials({rules_memory.RATE: curve}, 0.8)).verdict == verdict


def test_boundaries_within_a_tenth_are_counted():
    found = {("a", "b", "", i): value for i, value in enumerate((0.5, 0.75, 0.85, 0.95, math.nan))}
    assert rules_memory.about(found, read_printed("80 %")) == 2


def sized(factor: float):
    """Throughput that falls with size; mixtures are so many times better than a dense model of equal size."""

    def value(model: str, node: str, quantity: str) -> float:
        better = 1.0 if model in DENSE else factor
        rate = better * 1e12 / parameters(model).total
        return rate if "tokens" in quantity else 1.0 / rate

    return value


def test_mixtures_are_judged_against_dense_models_of_equal_size():
    assert judged(rules_experts.sparse_trials(sized(2.0))).verdict == "agrees"
    assert judged(rules_experts.sparse_trials(sized(0.5))).verdict == "disagrees"


def test_a_gain_beyond_what_sparsity_gives_disagrees():
    assert judged(rules_experts.bounded_trials(sized(2.0))).verdict == "agrees"
    assert judged(rules_experts.bounded_trials(sized(100.0))).verdict == "disagrees"


def never(*_) -> bool:
    return False


def test_the_gap_must_narrow():
    def narrowing(model: str, *_) -> float:
        return 1.0 + 8.0 / rules_experts.experts_of(model)

    assert judged(rules_experts.gap_trials(narrowing, never)).verdict == "agrees"
    assert judged(rules_experts.gap_trials(lambda m, *_: 1 / narrowing(m), never)).verdict == "disagrees"


def test_the_exception_of_deepseek_turns_at_batch_16():
    def turning(model: str, node: str, batch: float, way: str, quantity: str) -> float:
        return 0.9 if batch <= 16 else 1.2

    assert judged(rules_experts.deepseek_trials(turning, never)).verdict == "agrees"
    assert judged(rules_experts.deepseek_trials(lambda *_: 1.2, never)).held == 8 * 4


def machines(speed: float, ttft: float = 1.0):
    """A dataflow machine so many times faster in decode; exact numbers."""

    def figures(name: str, batch: float, quantity: str, model: str) -> Interval:
        fast = name in DATAFLOW
        value = {
            "total_tokens_per_s": (speed if fast else 1.0) * batch if batch <= 8 or not fast else 0.0,
            "itl_s": 1.0 / speed if fast else 1.0,
            "ttft_s": 1.0 / ttft if fast else 1.0,
            "total_tokens_per_joule": 1.0,
        }[quantity]
        return Interval(value, value, value)

    return figures


@pytest.mark.parametrize(("speed", "verdict"), [(12.0, "agrees"), (3.5, "agrees"), (2.0, "disagrees")])
def test_an_order_of_magnitude_is_nearer_to_ten_than_to_one(speed: float, verdict: str):
    assert judged(rules_dataflow.speed_trials(machines(speed))).verdict == verdict


def test_the_gain_must_be_in_decode():
    assert judged(rules_dataflow.phase_trials(machines(10.0, 1.2))).verdict == "agrees"
    assert judged(rules_dataflow.phase_trials(machines(2.0, 5.0))).verdict == "disagrees"


def test_larger_batches_narrow_the_gap():
    found = rules_dataflow.offline_trials(machines(10.0))
    assert judged(found).verdict == "agrees"
    assert {trial.what["machine"] for trial in found} == set(DATAFLOW)


def test_equal_tokens_per_joule_are_no_advantage():
    found = rules_dataflow.energy_trials(machines(10.0))
    assert not any(trial.held for trial in found)
    assert CS3 in {trial.what["series"].split(",")[0] for trial in found}


def test_conditions_on_two_columns_are_found_where_one_does_not_do():
    made = [
        compared({"batch": str(batch), "share": str(share)}, 2.0 if batch >= 2 and share <= 4 else 0.5)
        for batch in range(1, 6)
        for share in range(1, 6)
    ]
    assert judged(tried(made)).where.startswith("for batch from 2 and share up to 4 (16 of 16; elsewhere 0 of 9)")
