"""Bytes that one device sends per decode step, by the exchange that sends them: equations (18), (25), (26).

Volumes, not times: what a layout asks of the network whatever its speed.
"""

from __future__ import annotations

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.exchange import BYTES
from inferatlas.predict.performance.shard import Shard


def sent_bytes(ops: Operators, shard: Shard, sequences: Floats) -> dict[str, Floats]:
    """Bytes per device and step with so many ``sequences`` in a micro-batch of a replica, by exchange.

    ``all_reduce``: 2(n-1)/n of the hidden states per block, ring volume. ``all_to_all``: a rank's share of the tokens
    to at most top_k owners, there and back. ``logits``: gathered from all ranks. ``hops``: one a stage. ``context``:
    parts of attention among the shards, of MLA in its latent space.
    """
    hidden = BYTES * ops.model.hidden * sequences
    ranks, ep = shard.ranks_f, shard.ep_f
    wide = shard.ep > shard.ranks
    blocks = ops.reductions - ops.expert_reductions * wide
    out = {"all_reduce": blocks * 2.0 * (ranks - 1.0) / ranks * hidden / shard.stages_f}
    k = max((op.top_k for op in ops.experts), default=0)
    trips = 2.0 * ops.expert_reductions / shard.stages_f
    out["all_to_all"] = np.where(wide, trips * hidden / ranks * np.minimum(k, ep) * (1.0 - 1.0 / ep), 0.0)
    out["logits"] = (ranks - 1.0) / ranks * BYTES * ops.model.vocab * sequences / shard.stages_f
    out["hops"] = np.where(shard.stages > 1, hidden / ranks, 0.0)
    shards = np.ones_like(ranks) if shard.cp_f is None else shard.cp_f
    values = sum(
        row.count * row.attention.heads * (row.attention.kv_lora or row.attention.head_dim) for row in ops.attentions
    )
    out["context"] = 2.0 * (shards - 1.0) / shards * BYTES * values / ranks * sequences / shard.stages_f
    return out
