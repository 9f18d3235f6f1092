"""What the event loop works on: records of requests, replicas and pools, and the arrays that hold them.

Records keep what one event touches side by side in memory. Times in seconds, energy in joules, memory in blocks of the
KV cache. Nothing here grows with the number of tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

INF = np.inf
NONE = -1

# phase of a request
UNSENT, WAITING, PROMPT, DECODE, LOADING, MOVING, ARRIVED, SWAPPED, DONE, FAILED = range(10)
# what a replica is doing until `ends`
IDLE, WAKE, RUN, STEP, STARTING, REPAIR, SWAPPING = range(7)
# whether a replica takes requests
ACTIVE, DRAINING, OFF, DOWN = range(4)
# roles of pools
BOTH, PREFILL, DECODER = range(3)
# policies of a scheduler
BUDGET, PREFILL_FIRST, STATIC = range(3)
# routers
ROUND_ROBIN, RANDOM, LEAST_OUTSTANDING, LEAST_KV, SHORTEST_QUEUE, TWO_CHOICES, PREFIX, CONVERSATION = range(8)
# signals of an autoscaler
NO_SCALING, BY_OUTSTANDING, BY_KV = range(3)
# why the loop came back
MORE, FINISHED, LOG_FULL = range(3)

REQUEST = np.dtype([
    # given
    ("sent", "f8"), ("before", "f8"), ("think", "f8"), ("chain", "i8"),
    ("input", "i4"), ("output", "i4"), ("units", "i4"), ("after", "i4"), ("beside", "i4"), ("adapter", "i4"),
    ("model", "i4"), ("tier", "i4"),
    # as it goes
    ("arrival", "f8"), ("growth", "f8"), ("begun", "i8"), ("ends", "i8"),
    ("prompt", "i8"), ("computed", "i8"), ("made", "i8"), ("held", "i8"), ("replica", "i8"), ("from_", "i8"),
    ("prev", "i8"), ("next", "i8"), ("phase", "i4"), ("due", "i8"),
    # what comes out
    ("admitted", "f8"), ("first", "f8"), ("finish", "f8"), ("moved", "f8"),
    ("last", "f8"),
    ("hit", "i4"), ("preempted", "i4"), ("retries", "i4"), ("first_step", "i8"), ("first_replica", "i4"),
    ("kept", "i8"),
], align=True)  # fmt: skip

REPLICA = np.dtype([
    ("clock", "f8"), ("s0", "f8"), ("d", "f8"), ("e0", "f8"), ("de", "f8"), ("pause", "f8"), ("extra", "f8"),
    ("context", "f8"), ("growth", "f8"), ("vain", "f8"), ("on_at", "f8"), ("ready", "f8"),
    ("stall", "f8"),
    ("swing", "f8"),
    ("k", "i8"), ("step", "i8"),
    ("pool", "i8"), ("doing", "i8"), ("state", "i8"), ("model", "i8"), ("b", "i8"), ("batch", "i8"),
    ("blocks", "i8"), ("private", "i8"), ("shared", "i8"), ("cached", "i8"), ("counted", "i8"),
    ("run_head", "i8"), ("run_tail", "i8"), ("running", "i8"),
    ("wait_head", "i8"), ("wait_tail", "i8"), ("waiting", "i8"),
    ("door_head", "i8"), ("door_tail", "i8"), ("door", "i8"),
    ("parts", "i8"), ("chunks", "i8"), ("fins", "i8"), ("loads", "i8"), ("joins", "i8"), ("joined", "i8"),
    ("fresh", "i8"), ("outputs", "i8"), ("alive", "i8"), ("adapters", "i8"), ("resident", "i8"),
    ("outstanding", "i8"), ("queued", "f8"),
    # totals
    ("busy_s", "f8"), ("joules", "f8"), ("on_s", "f8"), ("batch_s", "f8"), ("block_s", "f8"), ("load_s", "f8"),
    ("steps", "i8"), ("tokens", "i8"), ("prompt_tokens", "i8"), ("served", "i8"),
    ("preemptions", "i8"), ("switches", "i8"), ("most_batch", "i8"), ("most_blocks", "i8"), ("evicted", "i8"),
], align=True)  # fmt: skip

POOL = np.dtype([
    ("law", "i8"), ("role", "i8"), ("policy", "i8"), ("step_tokens", "i8"), ("sequences", "i8"), ("chunked", "i8"),
    ("chunk_limit", "i8"), ("whole", "i8"), ("swap", "i8"), ("block", "i8"), ("fixed", "i8"), ("cache", "i8"),
    ("queries", "i8"), ("hosted", "i8"), ("several", "i8"), ("slots", "i8"), ("first", "i8"), ("many", "i8"),
    ("noise", "i8"), ("signal", "i8"), ("least", "i8"),
    ("swap_block_s", "f8"), ("adapter_load_s", "f8"), ("adapter_step_s", "f8"), ("model_load_s", "f8"),
    ("patience_s", "f8"), ("host_s", "f8"), ("tier_blocks", "i8"), ("tier_block_s", "f8"), ("tier_latency_s", "f8"),
    ("startup_s", "f8"), ("up_above", "f8"), ("down_below", "f8"), ("every_s", "f8"), ("cooldown_s", "f8"),
    ("tick_at", "f8"), ("scaled_at", "f8"),
], align=True)  # fmt: skip

# of the whole run
WORLD = np.dtype([
    ("now", "f8"), ("seed", "u8"), ("snapshot_at", "f8"), ("stale_s", "f8"), ("bin_s", "f8"), ("until", "f8"),
    ("link_v", "f8"), ("link_at", "f8"), ("link_total", "f8"), ("link_lane", "f8"), ("link_latency", "f8"),
    ("link_bytes", "f8"), ("hidden", "f8"), ("token_bytes", "f8"), ("load_penalty", "f8"),
    ("tick_at", "f8"), ("gap_low", "f8"), ("gap_log", "f8"),
    ("next_order", "i8"), ("soon", "i8"), ("flying", "i8"), ("sent", "i8"), ("ended", "i8"), ("failed", "i8"),
    ("log", "i8"), ("pieces", "i8"), ("logging", "i8"), ("fault", "i8"), ("turn", "i8"), ("turn_there", "i8"),
    ("router", "i8"), ("closed", "i8"), ("decode_sends", "i8"), ("retry", "i8"), ("queue_limit", "i8"),
    ("limbo_head", "i8"), ("limbo_tail", "i8"), ("limbo", "i8"), ("stamp", "i8"),
    ("link_busy_s", "f8"), ("scalings", "i8"), ("hit_tokens", "i8"), ("asked_tokens", "i8"), ("events", "i8"),
    ("tier_tokens", "i8"),
], align=True)  # fmt: skip

EVENT = np.dtype([("at", "f8"), ("id", "i8")], align=True)
ENDING = np.dtype([("at", "i8"), ("id", "i8")], align=True)
CHUNK = np.dtype([("id", "i8"), ("tokens", "i8")], align=True)
UNIT = np.dtype([("have", "i8"), ("refs", "i8"), ("prev", "i8"), ("next", "i8")], align=True)
FAULT = np.dtype([("at", "f8"), ("for_s", "f8"), ("replica", "i8")], align=True)
ADAPTER = np.dtype([("active", "i8"), ("used", "i8")], align=True)  # used: 0 where it is not resident
# one row per run of equal steps: `steps` of them after `pause_s` from `start_s` on, the first of `first_s` seconds,
# each `more_s` longer; the random part of routing is in `end_s` alone
LOG = np.dtype([
    ("start_s", "f8"), ("end_s", "f8"), ("pause_s", "f8"), ("first_s", "f8"), ("more_s", "f8"), ("joules", "f8"),
    ("step", "i8"), ("steps", "i8"),
    ("replica", "i8"), ("batch", "i8"), ("prompt_tokens", "i8"), ("prompts", "i8"), ("blocks", "i8"),
    ("waiting", "i8"),
], align=True)  # fmt: skip
# a request decodes in pieces, one after each time that its prompt was computed or its cache came: tokens after the
# ``made``-th, in the steps after ``step``; ``at_s``: when that one came, NaN where it had come before
PIECE = np.dtype([("id", "i8"), ("replica", "i8"), ("step", "i8"), ("made", "i8"), ("at_s", "f8")], align=True)
# columns of the bins of time
BUSY, BATCH, BLOCKS, JOULES, OUT, IN, COLUMNS = range(7)

Array = NDArray[Any]


class World(NamedTuple):
    """Everything, as arrays; entries of `REPLICA` and of arrays by replica have the replica first."""

    run: Array  # WORLD[1]
    req: Array  # REQUEST[n]
    order: Array  # int64: requests sent at a known time, by their arrival at the scheduler
    soon: Array  # EVENT heap: arrivals that follow from ends
    flying: Array  # EVENT heap: transfers by the virtual time of their end
    rep: Array  # REPLICA[r]
    ends: Array  # float64[r]: when each comes to its next event
    snapshot: Array  # float64[r, 3]: outstanding, KV use, queued tokens as routers know them
    pool: Array  # POOL[p]
    fin: Array  # ENDING[r, n]: heap of the steps at which decoding requests end
    phase: Array  # int64[r, block]: decoding requests by the step (modulo block) at which they take a new block
    part: Array  # int64[r, n]: requests in their prompts, in order
    chunk: Array  # CHUNK[r, n]: prompts in the step under way
    load: Array  # EVENT[r, n]: heap of requests whose cache is on its way from a slower memory
    join: Array  # int64[r, n]: requests whose cache has come
    unit: Array  # UNIT[r, u]
    tier: Array  # UNIT[r, u], in the slower memory
    upper: Array  # int64[r, 2]: head and tail of the list of cached prefixes that nobody uses, the oldest first
    lower: Array  # int64[r, 3]: head, tail and blocks of the list of those in the slower memory
    tier_free: Array  # float64[r]: when the link to it is free
    space: Array  # int64[p, model]: blocks of a replica while that model is resident
    chain: Array  # int64
    begin: Array  # int64[u]
    end: Array  # int64[u]
    adapter: Array  # ADAPTER[r, a]
    fault: Array  # FAULT[f]
    batches: Array
    contexts: Array
    wides: Array
    tokens: Array
    pairs: Array
    outputs: Array
    decode: Array  # [law, b, context, 2]
    mixed: Array  # [law, batch, wide, tokens, pairs, 2]
    several: Array  # [law, outputs, 2]
    noise: Array  # float64[law, n + 1]: sums of the random part of steps, see `imbalance`
    swing: Array  # float64[law, tokens + 1]: seconds that one unit of it adds to a step
    bins: Array  # float64[n, COLUMNS]
    gaps: Array  # float64[n]: tokens by the logarithm of the gap before them
    log: Array  # LOG[n]
    piece: Array  # PIECE[n]


INT, FLOAT = np.dtype(np.int64), np.dtype(np.float64)
# kind and rank of every array, in the order of `World`
FIELDS: dict[str, tuple[np.dtype[Any], int]] = {
    "run": (WORLD, 1), "req": (REQUEST, 1), "order": (INT, 1), "soon": (EVENT, 1), "flying": (EVENT, 1),
    "rep": (REPLICA, 1), "ends": (FLOAT, 1), "snapshot": (FLOAT, 2), "pool": (POOL, 1), "fin": (ENDING, 2),
    "phase": (INT, 2), "part": (INT, 2), "chunk": (CHUNK, 2), "load": (EVENT, 2), "join": (INT, 2),
    "unit": (UNIT, 2), "tier": (UNIT, 2), "upper": (INT, 2), "lower": (INT, 2), "tier_free": (FLOAT, 1),
    "space": (INT, 2), "chain": (INT, 1), "begin": (INT, 1), "end": (INT, 1), "adapter": (ADAPTER, 2),
    "fault": (FAULT, 1), "batches": (FLOAT, 1), "contexts": (FLOAT, 1), "wides": (FLOAT, 1), "tokens": (FLOAT, 1),
    "pairs": (FLOAT, 1), "outputs": (FLOAT, 1), "decode": (FLOAT, 4), "mixed": (FLOAT, 6), "several": (FLOAT, 3),
    "noise": (FLOAT, 2), "swing": (FLOAT, 2), "bins": (FLOAT, 2), "gaps": (FLOAT, 1), "log": (LOG, 1),
    "piece": (PIECE, 1),
}  # fmt: skip
