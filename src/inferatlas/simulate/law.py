"""Step times of one replica as tables that the event loop reads: seconds and joules over batch, context and prompts.

The law of a step stays that of `predict` (equations (3) to (10)); it is evaluated once on a grid, and the simulator
interpolates linearly. In the mean context of a batch that makes the step time piecewise linear, so that many decode
steps have a closed form (`kernel.runs`). The grid is exact in the batch of a decode step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.simulate.imbalance import Imbalance

HOST_LINK = 3.2e10  # B/s of one accelerator where none is stated: 16 lanes of PCIe 4.0, one direction (prior)


class Grid(NamedTuple):
    """Step times of one replica.

    Parameters
    ----------
    batch : shape (B,): whole numbers from 0 on which the steps with prompts are tabulated, 0 first.
    context : shape (C,): mean tokens that a decoding sequence reads.
    tokens : shape (T,): prompt tokens in a step.
    pairs : shape (P,): query-key pairs of these prompts per token: half the prompt, or more after cached tokens.
    outputs : shape (O,): sequences that yield a token in a step.
    decode : shape (b, C, 2): seconds and joules of a step without prompts, of b = 0, 1, 2, ... sequences.
    mixed : shape (B, M, T, P, 2): the same of a step with one prompt; ``wide`` (M,): its contexts, fewer.
    several : shape (O, 2): what outputs beyond the first add.
    """

    batch: Floats
    context: Floats
    tokens: Floats
    pairs: Floats
    outputs: Floats
    wide: Floats
    decode: Floats
    mixed: Floats
    several: Floats


@dataclass(frozen=True, slots=True, eq=False)
class StepLaw:
    """One replica's machine: step times, room for the cache, and what a request costs outside of the steps.

    ``blocks`` of ``block_tokens`` tokens; every sequence takes ``fixed_blocks`` beside those of its tokens (states of
    fixed size). ``request_s`` and ``prompt_token_s``: from sending a request until the scheduler sees it, per request
    and per token of the prompt. ``idle_w``: of the replica. ``block_bytes``: of all devices of the replica.
    ``max_sequences``, ``step_tokens``: the engine's. ``lanes``: pipeline stages, each with a micro-batch of its own.
    """

    grid: Grid
    blocks: int
    block_tokens: int
    fixed_blocks: int
    block_bytes: float
    request_s: float
    prompt_token_s: float
    idle_w: float
    accelerators: int
    max_sequences: int
    step_tokens: int
    lanes: int
    weight_bytes: float
    queries: int = 1
    speculation: Speculation | None = None
    imbalance: Imbalance | None = None
    host_bytes_per_s: float = HOST_LINK


def affine_law(
    t0: float, per_sequence: float, most: int, *, prompt_s: float = 0.0, per_prompt_token: float = 0.0,
    per_context: float = 0.0, blocks: int = 1 << 30, block_tokens: int = 16, longest: int = 1 << 20,
) -> StepLaw:  # fmt: skip
    """A machine whose step of b sequences with C tokens of context and n prompt tokens takes
    ``t0 + per_sequence b + per_context C + per_prompt_token n`` seconds, and ``prompt_s`` more with prompts in it.

    For queueing theory (equations (42) to (45)); one joule a second while it works.

    >>> law = affine_law(1.0, 0.02, 4)
    >>> law.grid.decode[:, 0, 0].tolist()
    [0.0, 1.02, 1.04, 1.06, 1.08]
    """
    batch, context = np.arange(most + 1.0), np.array([0.0, float(longest)])
    tokens = pairs = outputs = context
    decode = (t0 + per_sequence * batch)[:, None] + per_context * batch[:, None] * context
    decode[0] = 0.0
    base = np.maximum(decode, t0)
    mixed = base[:, :, None, None] + prompt_s + (per_prompt_token * tokens)[None, None, :, None] + 0.0 * pairs
    return StepLaw(
        Grid(batch, context, tokens, pairs, outputs, context, np.repeat(decode[..., None], 2, -1),
             np.repeat(mixed[..., None], 2, -1), np.zeros((2, 2))),
        blocks, block_tokens, 0, 0.0, 0.0, 0.0, 0.0, 1, most, longest, 1, 0.0,
    )  # fmt: skip


def seconds_of(
    grid: Grid, batch: int, context: float, tokens: float = 0.0, pairs: float = 0.0, prompts: int = 1
) -> float:
    """Seconds of one step as the simulator reads them: linear in every direction, beyond the grid too."""
    if tokens <= 0:
        return float(_linear(grid.decode[batch, :, 0], ((grid.context, context),)))
    axes = (grid.batch, grid.wide, grid.tokens, grid.pairs)
    one = _linear(grid.mixed[..., 0], tuple(zip(axes, (batch, context, tokens, pairs), strict=True)))
    more, first = (_linear(grid.several[:, 0], ((grid.outputs, n),)) for n in (batch + prompts, batch + 1))
    return float(one + more - first)


def _linear(values: NDArray[np.float64], at: tuple[tuple[Floats, float], ...]) -> NDArray[np.float64]:
    """Multilinear interpolation, one axis after the other."""
    for axis, x in at:
        i = min(max(int(axis.searchsorted(x, side="right")) - 1, 0), axis.size - 2)
        share = (x - axis[i]) / (axis[i + 1] - axis[i])
        values = values[i] + (values[i + 1] - values[i]) * share
    return values
