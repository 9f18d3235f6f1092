"""Whether every request has room in the cache of a pool that may serve it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import NoFeasibleAnswer
from inferatlas.simulate.fleet import Fleet, Pool
from inferatlas.simulate.law import StepLaw
from inferatlas.workload.requests import Requests


def holds(pool: Pool, law: StepLaw) -> int:
    """Tokens of the longest request that one replica (one stage's micro-batch of a pipeline) has room for.

    >>> from inferatlas.simulate.law import affine_law
    >>> holds(Pool((law := affine_law(1.0, 0.0, 1, blocks=10, block_tokens=16),)), law)
    160
    """
    blocks = (pool.scheduler.kv_blocks or law.blocks) // law.lanes - law.fixed_blocks
    return max(blocks, 0) * law.block_tokens


def check_room(
    fleet: Fleet, requests: Requests, lines: NDArray[np.int64] | None = None, *, file: str | Path | None = None
) -> None:
    """Refuse requests that no cache of a pool on their way holds: they would wait for ever.

    Parameters
    ----------
    lines, file : of the trace that the requests were read from, to name the line.

    Raises
    ------
    NoFeasibleAnswer : (code ``memory``) names the first such request, its line, and how long it may be.
    """
    for pool in fleet.pools:
        for model, law in enumerate(pool.laws):
            if law is not None:
                _check(pool, law, model, fleet, requests, lines, file)


def _check(
    pool: Pool, law: StepLaw, model: int, fleet: Fleet, requests: Requests, lines: NDArray[np.int64] | None,
    file: str | Path | None,
) -> None:  # fmt: skip
    whole = pool.scheduler.reserve_whole or pool.scheduler.policy == "static" or law.queries > 1
    said = requests.output_tokens if pool.role != "prefill" or whole else 1
    need = requests.input_tokens + said
    most = holds(pool, law)
    own = np.ones(len(requests), np.bool_) if requests.model is None else requests.model == model
    wrong = own & (need > most)
    if not wrong.any():
        return
    first = int(np.argmax(wrong))
    error = NoFeasibleAnswer(
        f"request {first + 1:,} of {len(requests):,} has {requests.input_tokens[first]:,} input and "
        f"{requests.output_tokens[first]:,} output tokens, and the cache of one replica of {pool.name} holds {most:,} "
        f"of {fleet.models[model]}; in all {int(np.count_nonzero(wrong)):,} are longer",
        code="memory",
        field="trace" if lines is not None else "isl",
        allowed=f"isl + osl up to {most:,}",
        hint="more accelerators a replica (tp, pp), narrower weights or kv_cache make room; with "
        f"longest = {most} longer requests are left out, and counted",
    )
    error.file = None if file is None else str(file)
    error.line = None if lines is None else int(lines[first])
    raise error
