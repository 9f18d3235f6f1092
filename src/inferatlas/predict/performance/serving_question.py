"""What serving needs to know of design points: load, prompts and their steps, room in the batch, errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping.memory import Budget
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.shard import Shard
from inferatlas.predict.performance.speculation import Speculation


@dataclass(frozen=True, slots=True)
class Question:
    """What serving needs of a chunk of points; per replica, arrays of equal length.

    ``gaps``: inter-token gaps of a request (output tokens - 1). ``chunks``: steps a prompt takes,
    ``chunk`` its tokens in each, ``fill`` the steps' token budgets it takes (short prompts share a step),
    ``prefix`` its tokens that were computed before. ``accepted``: tokens a sequence yields per step. ``slots``:
    sequences that can run at once. ``prompts`` that one step can hold. ``slowest``: share of the layers in the fullest
    of the ``stages``.
    """

    concurrency: Floats
    rate: Floats
    gaps: Floats
    chunk: Floats
    chunks: Floats
    fill: Floats
    prefix: Floats
    context: Floats
    stages: Floats
    slowest: Floats
    slots: Floats
    memory_slots: Floats
    compiled: NDArray[np.bool_]
    request_s: Floats
    prompts: Floats
    interference: Floats
    grouping: Floats
    straggling: Floats
    accepted: Floats
    input_cv: Floats
    output_cv: Floats
    sigmas: tuple[Floats, Floats, Floats]  # compute, memory, overhead
    sigma_request: Floats
    experts: bool

    @property
    def prompt_steps(self) -> Floats:
        """Steps of a whole micro-batch that a prompt takes: its chunks follow one another through the stages."""
        return 1.0 + (self.chunks - 1.0) / self.stages

    @property
    def cached(self) -> Floats:
        """Tokens before a chunk of a prompt, over its chunks."""
        return self.prefix + 0.5 * self.chunk * (self.chunks - 1.0)

    @property
    def decode_steps(self) -> Floats:
        return self.gaps / self.accepted

    @property
    def decoding_share(self) -> Floats:
        """Of the steps of a request; 1 where it has one output token."""
        return np.where(self.gaps > 0, self.decode_steps / (self.decode_steps + self.prompt_steps), 1.0)

    def decoding(self, running: Floats) -> Floats:
        """Sequences of a micro-batch that decode in a step, of ``running`` in flight: others are in their prompts.

        A step that runs has one in it. Of requests with one output token none decodes, and all count.
        """
        return np.maximum(np.maximum(running / self.stages, 1.0) * self.decoding_share, 1.0)

    @staticmethod
    def of(
        points: Points, row: PlatformTable, shard: Shard, budget: Budget, ops: Operators, resident: bool,
        speculation: Speculation | None = None,
    ) -> Question:  # fmt: skip
        kind = row.dies.dtype
        step_tokens = tokens_of_a_step(row, shard)
        replicas, prefix = points.dp.astype(kind), points.prefix.astype(kind)
        tokens = points.input_tokens.astype(kind) - prefix
        chunks = chunks_of(row, shard, tokens, resident or ops.whole_prompts)
        held = budget.sequences * row.room  # in flight, of those that memory has room for
        slots = np.maximum(np.minimum(held, row.max_sequences), 1.0)
        if row.compiled.any():  # the largest batch compiled that memory holds
            slots = np.where(row.compiled > 0, np.exp2(np.floor(np.log2(slots))), slots)
        return Question(
            concurrency=points.concurrency.astype(kind) / replicas,
            rate=points.request_rate.astype(kind) / replicas,
            gaps=points.output_tokens.astype(kind) - 1.0,
            chunk=tokens / chunks,
            chunks=chunks,
            fill=tokens / step_tokens if not resident else np.zeros_like(tokens),
            prefix=prefix,
            context=points.input_tokens.astype(kind) + 0.5 * points.output_tokens.astype(kind),
            stages=np.ones_like(tokens) if resident else shard.stages_f,
            slowest=np.ones_like(tokens) if resident else np.ceil(ops.layers / shard.stages_f) / ops.layers,
            slots=slots,
            memory_slots=np.maximum(held, 1.0),
            compiled=row.compiled > 0,
            request_s=row.request_s + points.input_tokens.astype(kind) * row.prompt_token_s,
            prompts=np.maximum(step_tokens / tokens, 1.0) if not resident else np.full_like(tokens, np.inf),
            interference=row.interference,
            grouping=row.grouping,
            straggling=row.straggling,
            accepted=row.accepted * (1.0 if speculation is None else speculation.tokens),
            input_cv=points.input_cv.astype(kind),
            output_cv=points.output_cv.astype(kind),
            sigmas=(row.sigma_compute, row.sigma_memory, row.sigma_overhead),
            sigma_request=row.sigma_request,
            experts=bool(ops.experts),
        )


def tokens_of_a_step(row: PlatformTable, shard: Shard) -> Floats:
    """Token budget of a step; of shards of the context, each its own."""
    return row.step_tokens if shard.cp_f is None else row.step_tokens * shard.cp_f


def chunks_of(row: PlatformTable, shard: Shard, tokens: Floats, resident: bool) -> Floats:
    """Steps that a prompt takes; a fraction where the last chunk is short: jumps would make longer prompts faster."""
    return np.ones_like(tokens) if resident else np.maximum(tokens / tokens_of_a_step(row, shard), 1.0)
