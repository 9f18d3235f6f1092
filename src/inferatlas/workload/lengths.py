"""How long requests are: drawn around a mean, or drawn from pairs that were observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.workload.seeds import random_stream
from inferatlas.workload.workload import MOST_TOKENS, Workload

Tokens = NDArray[np.int64]
REDRAWS = 32  # a mean below the limit lets at least about half of the draws pass: after 32 none is left in a billion


class Pairs(Protocol):
    """Observed lengths: `Lengths`, or a `Trace`."""

    @property
    def name(self) -> str: ...
    @property
    def input_tokens(self) -> Tokens: ...
    @property
    def output_tokens(self) -> Tokens: ...


@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """Observed pairs of input and output tokens, without times.

    Parameters
    ----------
    name : of the file. input_tokens, output_tokens : shape (n,), at least 1. notes : what was left out or estimated.

    Examples
    --------
    >>> two = Lengths("two", np.array([100, 300]), np.array([10, 10]))
    >>> two.workload(concurrency=4).input_tokens
    200.0
    """

    name: str
    input_tokens: Tokens
    output_tokens: Tokens
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.input_tokens)

    def workload(self, *, concurrency: int | None = None, request_rate: float | None = None) -> Workload:
        """The same lengths by their means and variation, with a load."""
        inputs, outputs = self.input_tokens, self.output_tokens
        return Workload(
            name=self.name,
            input_tokens=float(inputs.mean()),
            output_tokens=float(outputs.mean()),
            input_cv=float(inputs.std() / inputs.mean()),
            output_cv=float(outputs.std() / outputs.mean()),
            concurrency=concurrency,
            request_rate=request_rate,
            source=f"{len(self):,} pairs of lengths from {self.name}",
            note="; ".join(self.notes),
        )


def draw_tokens(
    count: int, mean: float, cv: float, random: np.random.Generator, rounding: np.random.Generator, least: int = 1
) -> Tokens:
    """Lengths with a mean and a coefficient of variation: ``least`` tokens and a lognormal number of further ones.

    The lognormal part is rounded up or down at random, in proportion, so that the mean is kept however short the
    lengths are; a lognormal that is cut off at one token would raise it. For a mean far above ``least`` this is the
    lognormal distribution itself. Without variation all are the rounded mean.

    Parameters
    ----------
    mean : tokens, at least 1. cv : 0 or more. least : tokens, at least 1: a common prefix and one token after it.

    Returns
    -------
    shape (count,), ``least`` to 10⁹.

    Examples
    --------
    >>> drawn = draw_tokens(200_000, 200.0, 0.8, np.random.default_rng(1), np.random.default_rng(2))
    >>> round(float(drawn.mean())), round(float(drawn.std() / drawn.mean()), 1), int(drawn.min()) >= 1
    (200, 0.8, True)
    """
    further = mean - least
    if cv == 0 or further <= 0:
        return np.full(count, max(round(mean), least), np.int64)
    variance = np.log1p((cv * mean / further) ** 2)
    drawn = random.standard_normal(count)
    drawn *= np.sqrt(variance)
    drawn += np.log(further) - variance / 2
    np.exp(np.minimum(drawn, np.log(MOST_TOKENS), out=drawn), out=drawn)
    drawn += rounding.random(count)
    return np.minimum(drawn.astype(np.int64) + least, MOST_TOKENS)


def draw_lengths(
    load: Workload, count: int, seed: int, *, least_input: int = 1, longest: int | None = None
) -> tuple[Tokens, Tokens, list[str]]:
    """Input and output tokens of so many requests by a workload's means and variations, and notes.

    Inputs, outputs and what is drawn anew have streams of their own.

    Parameters
    ----------
    least_input : tokens that every prompt has. longest : most tokens of a request, input and output; longer ones are
        drawn anew, which makes the mean shorter and is noted. None: no limit.

    Returns
    -------
    shape (count,) each, and notes. Where none is drawn anew the first ones are the same for every count.

    Raises
    ------
    BadInput : a limit below the mean lengths.
    """
    limit = _limit(load, longest, least_input)
    kinds = (
        (load.input_tokens, load.input_cv, "input", least_input),
        (load.output_tokens, load.output_cv, "output", 1),
    )
    again = random_stream(seed, "redrawn")
    fields = [
        draw_tokens(
            count, mean, cv, random_stream(seed, f"{name}_tokens"), random_stream(seed, f"{name}_rounding"), least
        )
        for mean, cv, name, least in kinds
    ]
    notes = [
        f"a mean of {mean:g} {name} tokens {'leaves nothing to vary' if cv else 'is rounded'}: all are {values[0]:,}"
        for (mean, cv, name, least), values in zip(kinds, fields, strict=True)
        if (cv > 0 and mean <= least) or (cv == 0 and mean != values[0])
    ]
    inputs, outputs = fields
    longer = np.flatnonzero(inputs + outputs > limit)
    if len(longer):
        share = len(longer) / count
        for _ in range(REDRAWS):
            if not len(longer):
                break
            inputs[longer], outputs[longer] = (
                draw_tokens(len(longer), mean, cv, again, again, least) for mean, cv, _, least in kinds
            )
            longer = longer[inputs[longer] + outputs[longer] > limit]
        inputs[longer] = np.minimum(inputs[longer], limit - 1)
        outputs[longer] = np.minimum(outputs[longer], limit - inputs[longer])
        notes.append(
            f"{share:.2%} of requests were longer than {limit:,} tokens and drawn anew: means are "
            f"{inputs.mean():.6g} input and {outputs.mean():.6g} output tokens"
        )
    return inputs, outputs, notes


def draw_pairs(pairs: Pairs, count: int, seed: int, *, longest: int | None = None) -> tuple[Tokens, Tokens, list[str]]:
    """Input and output tokens of so many requests, drawn from observed pairs: whole pairs, with replacement.

    Raises
    ------
    BadInput : no pair is as short as ``longest``.
    """
    inputs, outputs, notes = pairs.input_tokens, pairs.output_tokens, []
    kept = np.arange(len(inputs))
    if longest is not None:
        kept = np.flatnonzero(inputs + outputs <= longest)
        if not len(kept):
            raise BadInput(f"every pair of {pairs.name} is longer than {longest:,} tokens", field="longest")
        if len(kept) < len(inputs):
            left_out = len(inputs) - len(kept)
            notes.append(f"left out: {left_out:,} of {len(inputs):,} pairs of more than {longest:,} tokens")
    # by a share of the table and not by `integers`, so that the first requests are the same for any count
    rows = kept[(random_stream(seed, "pairs").random(count) * len(kept)).astype(np.int64)]
    notes.append(f"lengths are whole pairs drawn from {pairs.name}")
    return inputs[rows], outputs[rows], notes


def _limit(load: Workload, longest: int | None, least_input: int) -> int:
    if longest is None:
        return 2 * MOST_TOKENS
    shortest = max(load.input_tokens, least_input) + load.output_tokens
    if not shortest <= longest:
        message = (
            f"{load.input_tokens:g} input and {load.output_tokens:g} output tokens on average are more than {longest}"
        )
        raise BadInput(message, field="longest", allowed=f"{shortest:g} or more")
    return int(longest)
