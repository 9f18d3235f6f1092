"""Speculative decoding in closed form: tokens per verification, speed-up, how far to draft, load: equation (48).

A small model drafts γ tokens; the large one verifies them in one step of γ + 1 tokens per sequence and keeps those
before the first that it would not have chosen, and one of its own. Sources: arXiv:2211.17192; arXiv:2505.19645 for
mixtures of experts. Times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats
from inferatlas.predict.handbook.continuous_batching import Occupancy, continuous_batching
from inferatlas.predict.llm.experts import distinct_uniform
from inferatlas.predict.performance.arguments import floats


def expected_tokens(acceptance: ArrayLike, drafted: ArrayLike, width: ArrayLike = 1) -> Floats:
    """Expected tokens per verification, equation (48): ``(1 - A^(γ+1))/(1 - A)``; γ + 1 where all are accepted.

    Parameters
    ----------
    acceptance : probability A that a drafted token is kept, independent of the others.
    drafted : γ tokens, one after another.
    width : of a tree: w candidates in each place, of which one may be kept, so A becomes ``1 - (1 - A)^w``.

    >>> expected_tokens([0.7, 0.9], [4, 8]).round(4).tolist(), round(float(expected_tokens(0.7, 4, width=2)), 3)
    ([2.7731, 6.1258], 4.177)
    """
    a = 1.0 - (1.0 - floats(acceptance, "acceptance", 0, 1)) ** floats(width, "width", 1)
    gamma = floats(drafted, "drafted", 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == 1.0, gamma + 1.0, (1.0 - a ** (gamma + 1.0)) / (1.0 - a))


def speed_up(
    acceptance: ArrayLike, drafted: ArrayLike, decode_s: ArrayLike, verify_s: ArrayLike, draft_s: ArrayLike,
    width: ArrayLike = 1,
) -> Floats:  # fmt: skip
    """Tokens per second against plain decode, equation (48): ``E T(B, 1)/(T_verify(B, γ+1) + γ T_draft(B))``.

    Parameters
    ----------
    decode_s : a step of one token per sequence; ``verify_s`` one of γ + 1 (γ w + 1 in a tree); ``draft_s`` one of the
        drafting model.

    >>> round(float(speed_up(0.7, 4, 20e-3, 21e-3, 1e-3)), 3)
    2.218
    """
    spent = floats(verify_s, "verify_s", above=0) + floats(drafted, "drafted", 0) * floats(draft_s, "draft_s", 0)
    return expected_tokens(acceptance, drafted, width) * floats(decode_s, "decode_s", above=0) / spent


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the large model by (11): weights once, products per token, cache per sequence; in seconds.

    ``weights_s`` to stream the weights, ``token_s`` of arithmetic per token, ``cache_s`` to read a sequence's cache.
    """

    weights_s: float
    token_s: float
    cache_s: float = 0.0
    fixed_s: float = 0.0

    @property
    def critical_batch(self) -> float:
        """Tokens in a step from which products take longer than weights: B_crit of (11)."""
        return self.weights_s / self.token_s

    def time(self, batch: ArrayLike, tokens: ArrayLike = 1) -> Floats:
        """Seconds of a step of so many tokens for each of ``batch`` sequences; the cache is read once for all of them.

        >>> Step(20e-3, 0.1e-3, cache_s=0.05e-3).time([1, 100], 5).round(5).tolist()
        [0.02005, 0.055]
        """
        b = floats(batch, "batch", 0)
        products = b * floats(tokens, "tokens", 0) * self.token_s
        return np.maximum(products, self.weights_s) + b * self.cache_s + self.fixed_s


def best_drafted(acceptance: float, step: Step, batch: float, draft_s: float, longest: int = 32) -> tuple[int, float]:
    """The γ up to ``longest`` with the largest speed-up, by integer search, and that speed-up; 0 and 1: do not draft.

    >>> step = Step(weights_s=20e-3, token_s=0.1e-3)
    >>> [best_drafted(0.8, step, batch, 0.5e-3)[0] for batch in (1, 20, 40, 190)]
    [10, 9, 4, 0]
    """
    if longest < 0:
        raise BadInput(f"{longest} is out of range", field="longest", allowed="0 or more")
    gamma = np.arange(longest + 1)
    gain = speed_up(acceptance, gamma, step.time(batch), step.time(batch, gamma + 1), draft_s)
    best = int(np.argmax(gain))
    return best, float(gain[best])


def free_batch(critical_batch: ArrayLike, drafted: ArrayLike) -> Floats:
    """Sequences up to which a verification costs no more than a decode step: ``B_crit/(γ + 1)``.

    From here the gain falls; where it is gone says `break_even_batch`.

    >>> float(free_batch(295.0, 4))
    59.0
    """
    return floats(critical_batch, "critical_batch", above=0) / (floats(drafted, "drafted", 0) + 1.0)


def break_even_batch(
    critical_batch: ArrayLike, acceptance: ArrayLike, drafted: ArrayLike, draft_share: ArrayLike = 0.0
) -> Floats:
    """Sequences from which drafting slows decode down, where ``B (γ + 1) > B_crit``: ``B_crit (E - γ d)/(γ + 1)``.

    Parameters
    ----------
    draft_share : time of a drafted token over that of a decode step bound by weights, d.

    Returns
    -------
    0 where drafting never pays (``E <= 1 + γ d``). Reading the cache, left out, moves it up.

    >>> break_even_batch(295.0, [0.7, 0.7, 0.1], 4, [0.0, 0.05, 0.05]).round(1).tolist()
    [163.6, 151.8, 0.0]
    """
    gamma = floats(drafted, "drafted", 0)
    left = expected_tokens(acceptance, drafted) - gamma * floats(draft_share, "draft_share", 0)
    return np.where(left > 1.0, free_batch(critical_batch, drafted) * left, 0.0)


def expert_growth(experts: float, top_k: float, batch: ArrayLike, drafted: ArrayLike) -> Floats:
    """How many times more experts a verification streams than a decode step: ``E(U(B(γ + 1)))/E(U(B))``, (48), (13).

    Most for the first few sequences, which a mixture of experts decodes with few of its weights:

    >>> expert_growth(256, 8, [1, 16, 256], 4).round(2).tolist()
    [4.7, 2.32, 1.0]
    """
    one = floats(batch, "batch", above=0)
    tokens = one * (floats(drafted, "drafted", 0) + 1.0)
    return distinct_uniform(experts, top_k, tokens) / distinct_uniform(experts, top_k, one)


def under_load(
    fixed_s: ArrayLike, per_sequence_s: ArrayLike, output_tokens: ArrayLike, rate: ArrayLike, acceptance: ArrayLike,
    drafted: ArrayLike, draft_fixed_s: ArrayLike = 0.0, draft_per_sequence_s: ArrayLike = 0.0,
) -> Occupancy:  # fmt: skip
    """Where continuous batching settles with speculation: (48) put into (44), per token and not per verification.

    Parameters
    ----------
    fixed_s, per_sequence_s : t0 and a of a verification, ``t0 + a b`` (γ + 1 tokens per sequence are in ``a``).
    output_tokens, rate : tokens per request; requests per second.
    draft_fixed_s, draft_per_sequence_s : the same of one drafted token.

    Returns
    -------
    Utilisation, sequences in flight and seconds per token: ``(t0 + γ t0')/E`` and ``(a + γ a')/E`` in (44).

    >>> plain, drafting = continuous_batching(20e-3, 0.1e-3, 500, 10), under_load(20e-3, 0.4e-3, 500, 10, 0.7, 4, 1e-3)
    >>> [round(float(x), 3) for x in (plain.step_s, drafting.step_s, plain.utilisation, drafting.utilisation)]
    [0.04, 0.031, 0.5, 0.721]
    """
    gain, gamma = expected_tokens(acceptance, drafted), floats(drafted, "drafted", 0)
    fixed = floats(fixed_s, "fixed_s", 0) + gamma * floats(draft_fixed_s, "draft_fixed_s", 0)
    each = floats(per_sequence_s, "per_sequence_s", 0) + gamma * floats(draft_per_sequence_s, "draft_per_sequence_s", 0)
    return continuous_batching(fixed / gain, each / gain, output_tokens, rate)
