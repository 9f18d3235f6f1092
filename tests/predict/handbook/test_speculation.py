"""Equation (48): tokens per verification, speed-up, the best draft, where it ends, and load (44)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.handbook.continuous_batching import continuous_batching
from inferatlas.predict.handbook.derated import Derating, critical_batch, decode_step
from inferatlas.predict.handbook.roofline import Peaks, Shape
from inferatlas.predict.handbook.speculation import (
    Step,
    best_drafted,
    break_even_batch,
    expected_tokens,
    expert_growth,
    free_batch,
    speed_up,
    under_load,
)

acceptances = st.floats(0, 1)
drafts = st.integers(0, 16)


def verified(acceptance: float, drafted: int, width: int, count: int, seed: int) -> np.ndarray:
    """Tokens of ``count`` verifications: those drafted before the first place where all w candidates fail, and one."""
    fails = (np.random.default_rng(seed).random((count, drafted, width)) >= acceptance).all(axis=2)
    return np.where(fails.any(axis=1), fails.argmax(axis=1), drafted) + 1


@pytest.mark.parametrize(("acceptance", "drafted", "tokens"), [(0.7, 4, 2.7731), (0.9, 8, 6.1258)])
def test_48_expected_tokens_as_stated_and_as_simulated(acceptance, drafted, tokens):
    assert float(expected_tokens(acceptance, drafted)) == pytest.approx(tokens, abs=5e-5)
    assert verified(acceptance, drafted, 1, 200_000, 1).mean() == pytest.approx(tokens, rel=0.005)


@pytest.mark.parametrize("width", [2, 4])
def test_48_a_tree_keeps_a_token_if_one_of_its_candidates_would_do(width):
    assert verified(0.4, 5, width, 100_000, 2).mean() == pytest.approx(float(expected_tokens(0.4, 5, width)), rel=0.01)
    assert float(expected_tokens(0.4, 5, width)) == float(expected_tokens(1 - 0.6**width, 5))


@given(acceptances, drafts)
def test_48_is_a_geometric_sum_between_one_and_all(acceptance, drafted):
    tokens = float(expected_tokens(acceptance, drafted))
    assert tokens == pytest.approx(sum(acceptance**i for i in range(drafted + 1)), rel=1e-6)
    assert 1 - 1e-9 <= tokens <= drafted + 1 + 1e-9
    assert float(expected_tokens(acceptance, drafted + 1)) >= tokens - 1e-9
    assert float(expected_tokens(1.0, drafted)) == drafted + 1


@given(acceptances, st.floats(1e-4, 1), st.floats(1, 5), st.floats(0, 1), drafts)
def test_48_no_speed_up_beyond_the_tokens_nor_from_nothing(acceptance, decode, slower, share, drafted):
    gain = float(speed_up(acceptance, drafted, decode, slower * decode, share * decode))
    assert gain <= float(expected_tokens(acceptance, drafted)) * (1 + 1e-12)
    assert float(speed_up(acceptance, 0, decode, decode, share * decode)) == pytest.approx(1.0)


@given(acceptances, st.floats(0.1, 300), st.floats(0, 2e-3), st.integers(0, 12))
def test_48_no_other_draft_is_faster_than_the_best(acceptance, batch, draft_s, drafted):
    step = Step(weights_s=20e-3, token_s=0.1e-3, cache_s=0.02e-3, fixed_s=1e-3)
    best, gain = best_drafted(acceptance, step, batch, draft_s, longest=12)
    other = speed_up(acceptance, drafted, step.time(batch), step.time(batch, drafted + 1), draft_s)
    assert gain >= max(1.0, float(other)) * (1 - 1e-12)
    assert gain == pytest.approx(
        float(speed_up(acceptance, best, step.time(batch), step.time(batch, best + 1), draft_s))
    )


def test_48_more_sequences_want_shorter_drafts_and_in_the_end_none():
    step = Step(weights_s=20e-3, token_s=0.1e-3)
    lengths = [best_drafted(0.8, step, batch, 0.5e-3)[0] for batch in np.geomspace(1, 400, 40)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 4 and lengths[-1] == 0


@given(st.floats(0.01, 0.999), st.integers(1, 12), st.floats(0, 0.5), st.floats(50, 600))
def test_48_at_the_break_even_batch_nothing_is_gained(acceptance, drafted, share, critical):
    step = Step(weights_s=20e-3, token_s=20e-3 / critical)
    end = float(break_even_batch(step.critical_batch, acceptance, drafted, share))

    def gain(batch):
        return float(
            speed_up(acceptance, drafted, step.time(batch), step.time(batch, drafted + 1), share * step.weights_s)
        )

    if end == 0:
        assert max(gain(b) for b in (1e-3, 1.0, end + 50)) <= 1 + 1e-9
        return
    assert free_batch(critical, drafted) <= end * (1 + 1e-9) and end <= critical * (1 + 1e-9)
    assert gain(end) == pytest.approx(1.0)
    assert gain(1.01 * end) < 1.0
    assert gain(0.99 * end) > 1.0


@given(st.floats(0.1, 0.95), st.integers(1, 8))
def test_48_beyond_the_critical_batch_drafting_only_loses(acceptance, drafted):
    step = Step(weights_s=20e-3, token_s=0.1e-3)
    batch = 1.001 * step.critical_batch
    expected = float(expected_tokens(acceptance, drafted)) / (drafted + 1)
    assert float(speed_up(acceptance, drafted, step.time(batch), step.time(batch, drafted + 1), 0.0)) == pytest.approx(
        expected
    )
    assert expected < 1


def test_48_the_step_is_that_of_equation_11():
    llama = Shape(32, 4096, 6476005376, 6476005376, 131072000, 262144, 524288, 524288)
    a100 = Peaks(312e12, 2039e9, 80e9, 300e9)
    weights = 2.0 * (llama.weights + llama.head)
    step = Step(weights / 2039e9, weights / 312e12, cache_s=2.0 * 262144 * 1000 / 2039e9)
    plain = Derating(1.0, 1.0, 1.0, 0.0)
    assert step.critical_batch == pytest.approx(float(critical_batch(312e12, 2039e9)))
    for batch, tokens in ((1, 1), (64, 1), (64, 5)):  # five tokens of a sequence read its cache once
        by_11 = float(decode_step(llama, a100, plain, batch * tokens, 1000 / tokens))
        assert float(step.time(batch, tokens)) == pytest.approx(by_11)


@given(st.floats(0.5, 4096), st.integers(1, 8))
def test_48_a_verification_of_experts_streams_more_of_them_but_never_more_than_tokens(batch, drafted):
    growth = float(expert_growth(256, 8, batch, drafted))
    assert 1 - 1e-9 <= growth <= drafted + 1 + 1e-9


def test_48_with_experts_a_moderate_batch_gains_more_than_a_single_sequence():
    gains = []
    for batch in (1, 64):
        growth = float(expert_growth(256, 8, batch, 4))
        gains.append(float(speed_up(0.8, 4, 1.0, growth, 0.0)))
    assert gains[0] < 1 < gains[1]


@given(st.floats(1e-3, 0.1), st.floats(1e-6, 1e-3), st.integers(10, 2000), st.floats(0.05, 0.95), st.integers(0, 8))
def test_48_under_load_a_request_is_so_many_verifications(t0, a, tokens, acceptance, drafted):
    gain = float(expected_tokens(acceptance, drafted))
    rate = 0.5 / (tokens / gain * a)
    per_token, per_verification = (
        under_load(t0, a, tokens, rate, acceptance, drafted), continuous_batching(t0, a, tokens / gain, rate)
    )  # fmt: skip
    assert float(per_token.utilisation) == pytest.approx(float(per_verification.utilisation))
    assert float(per_token.batch) == pytest.approx(float(per_verification.batch))
    assert gain * float(per_token.step_s) == pytest.approx(float(per_verification.step_s))


def test_48_under_load_against_a_simulation_made_here():
    t0, a, tokens, rate, acceptance, drafted = 20e-3, 0.4e-3, 300, 12.0, 0.7, 4
    settled = under_load(t0, a, tokens, rate, acceptance, drafted, 1e-3)
    random = np.random.default_rng(3)
    left, batches, spent, made = np.zeros(0), [], 0.0, 0
    for i in range(30_000):
        duration = t0 + a * left.size + drafted * 1e-3
        gained = np.minimum(random.geometric(1 - acceptance, left.size), drafted + 1)
        left = left - gained
        if i > 3_000:
            batches.append(left.size * duration)
            spent, made = spent + duration, made + gained.sum()
        left = np.concatenate([left[left > 0], np.full(random.poisson(rate * duration), float(tokens))])
    batch = sum(batches) / spent
    assert batch == pytest.approx(float(settled.batch), rel=0.04)
    assert batch * spent / made == pytest.approx(float(settled.step_s), rel=0.03)  # seconds per token of one request


def test_48_under_heavy_load_speculation_saturates_first():
    plain = continuous_batching(20e-3, 0.1e-3, 500, 18.0)
    drafting = under_load(20e-3, 0.45e-3, 500, 18.0, 0.6, 4, 1e-3)
    assert np.isfinite(plain.step_s) and np.isinf(drafting.step_s)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: expected_tokens(1.2, 4),
        lambda: expected_tokens(0.5, -1),
        lambda: speed_up(0.5, 4, 0.0, 1.0, 0.0),
        lambda: best_drafted(0.5, Step(1.0, 0.1), 1, 0.1, longest=-1),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
