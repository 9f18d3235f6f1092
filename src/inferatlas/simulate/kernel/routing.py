"""Which replica takes a request (section 2.5). Routers may know the state of the replicas late."""

from __future__ import annotations

from inferatlas.simulate.kernel.cache import found
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.state import (
    ACTIVE,
    BOTH,
    CONVERSATION,
    INF,
    LEAST_KV,
    NONE,
    PREFILL,
    PREFIX,
    RANDOM,
    ROUND_ROBIN,
    SHORTEST_QUEUE,
    TWO_CHOICES,
)


@jit
def scrambled(seed, n):
    """A number in [0, 1) for each n: SplitMix64 (Steele, Lea, Flood 2014), so that no state is kept."""
    z = seed + (n + 1) * 0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z = z ^ (z >> 31)
    return (z >> 11) * (1.0 / 9007199254740992.0)


@jit
def takes(w, r, i, role):
    """Whether a replica may take a request in a role: it is up, of that role, and hosts the model."""
    me = w.rep[r]
    if me.state != ACTIVE:
        return False
    p = w.pool[me.pool]
    if not (p.role == role or (role == PREFILL and p.role == BOTH)):
        return False
    return hosts(p, w.req[i].model)


@jit
def hosts(p, model):
    return (p.hosted >> model) & 1 == 1


@jit
def refresh(w, t):
    """What routers see: of now, or of the last time that they were told."""
    run = w.run[0]
    if run.stale_s > 0.0:
        if t < run.snapshot_at:
            return
        run.snapshot_at = (t // run.stale_s + 1.0) * run.stale_s
    for r in range(w.rep.size):
        me = w.rep[r]
        w.snapshot[r, 0] = me.outstanding
        w.snapshot[r, 1] = (me.private + me.shared) / me.blocks
        w.snapshot[r, 2] = me.queued


@jit
def nth_free(w, i, role, n):
    """The n-th of the replicas that may take a request."""
    for r in range(w.rep.size):
        if takes(w, r, i, role):
            if n == 0:
                return r
            n -= 1
    return NONE


@jit
def route(w, i, role, t):
    """A replica for request i, or NONE where no one can take it now."""
    run, q = w.run[0], w.req[i]
    if w.rep.size == 1:
        return 0 if takes(w, 0, i, role) else NONE
    free = 0
    for r in range(w.rep.size):
        if takes(w, r, i, role):
            free += 1
    if free == 0:
        return NONE
    kind = run.router
    if kind == ROUND_ROBIN:
        if role == PREFILL:
            run.turn += 1
            return nth_free(w, i, role, (run.turn - 1) % free)
        run.turn_there += 1  # in turn among those that decode, whoever computed the prompt
        return nth_free(w, i, role, (run.turn_there - 1) % free)
    run.turn += 1
    if kind == RANDOM:
        return nth_free(w, i, role, int(scrambled(run.seed, run.turn) * free))
    refresh(w, t)
    if kind == TWO_CHOICES and free > 2:
        first = int(scrambled(run.seed, 2 * run.turn) * free)
        second = int(scrambled(run.seed, 2 * run.turn + 1) * (free - 1))
        second += second >= first
        a, b = nth_free(w, i, role, first), nth_free(w, i, role, second)
        return a if w.snapshot[a, 0] <= w.snapshot[b, 0] else b
    if kind == CONVERSATION and q.replica != NONE and takes(w, q.replica, i, role):
        return q.replica
    best, least = NONE, INF
    for r in range(w.rep.size):
        if not takes(w, r, i, role):
            continue
        if kind == LEAST_KV:
            cost = w.snapshot[r, 1]
        elif kind == SHORTEST_QUEUE:
            cost = w.snapshot[r, 2]
        elif kind == PREFIX:
            hit = 0
            if w.pool[w.rep[r].pool].cache and q.units > 0:
                hit = found(w, r, i, w.pool[w.rep[r].pool].block)[0]
            cost = run.load_penalty * w.snapshot[r, 0] - hit
        else:
            cost = w.snapshot[r, 0]
        if cost < least:
            best, least = r, cost
    return best
