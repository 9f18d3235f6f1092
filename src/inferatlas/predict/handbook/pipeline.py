"""A pipeline of p stages and m micro-batches from the time of one stage: equation (27).

Predictions time every stage with its own step and keep as many micro-batches as stages under way
(`performance/serving.py`); the bubble and the share of stages at work are in `performance/parallelism.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats


def pipeline_prefill(stage_s: ArrayLike, stages: ArrayLike, micro_batches: ArrayLike) -> Floats:
    """Seconds of a pipelined prefill, equation (27): ``(m+p-1) t_stage``."""
    return (np.asarray(micro_batches, dtype=np.float64) + np.asarray(stages) - 1.0) * np.asarray(stage_s)


def pipeline_token_time(
    stage_s: ArrayLike, stages: ArrayLike, micro_batches: ArrayLike, hop_s: ArrayLike = 0.0
) -> Floats:
    """Seconds per token of one user in decode, equation (27): ``max(p, m) t_stage(B/m) + p t_hop``.

    ``stage_s`` is the time of one stage for one micro-batch: at least its share of the weights, re-read for
    every micro-batch (`stage_floor`).
    """
    p, m = np.asarray(stages, dtype=np.float64), np.asarray(micro_batches, dtype=np.float64)
    return np.maximum(p, m) * np.asarray(stage_s) + p * np.asarray(hop_s)


def pipeline_throughput(batch: ArrayLike, stage_s: ArrayLike, stages: ArrayLike, micro_batches: ArrayLike) -> Floats:
    """Tokens per second in decode, equation (27): ``B/(max(p, m) t_stage(B/m))``; hops delay, they do not block.

    >>> float(pipeline_throughput(32, 0.002, 4, [1, 4])[1])
    4000.0
    """
    return np.asarray(batch, dtype=np.float64) / (np.maximum(stages, micro_batches) * np.asarray(stage_s))


def stage_floor(weight_bytes: ArrayLike, stages: ArrayLike, bytes_per_s: ArrayLike) -> Floats:
    """Least seconds of one stage in decode, equation (27): ``W_bytes/(p M_bw)``, whatever the micro-batch."""
    return np.asarray(weight_bytes, dtype=np.float64) / (np.asarray(stages) * np.asarray(bytes_per_s))
