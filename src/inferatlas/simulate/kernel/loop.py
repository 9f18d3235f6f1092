"""The event loop: arrivals, ends of steps, transfers, scaling and faults in the order of time.

At one moment arrivals come before all else, so that a step that begins then sees them; ends of steps come last.
"""

from __future__ import annotations

from inferatlas.simulate.kernel import heaps, lists
from inferatlas.simulate.kernel.boundary import after
from inferatlas.simulate.kernel.changes import nudge
from inferatlas.simulate.kernel.compiling import entry, jit
from inferatlas.simulate.kernel.moving import join, next_there, open_door, there
from inferatlas.simulate.kernel.plan import plan
from inferatlas.simulate.kernel.routing import route
from inferatlas.simulate.kernel.state import (
    FINISHED,
    INF,
    LOG_FULL,
    MORE,
    NONE,
    PREFILL,
    STATIC,
    WAITING,
)


@entry
def advance(w, events):
    """Go on for so many events; returns why it came back: MORE, FINISHED or LOG_FULL."""
    run = w.run[0]
    for _ in range(events):
        if run.logging and run.log >= w.log.size - 1:
            return LOG_FULL
        r, end = earliest(w.ends)
        arrival = coming(w)
        other = next_there(w)
        if arrival <= end and arrival <= other:
            if arrival == INF:
                return FINISHED
            run.now = arrival
            arrive(w, arrival)
        elif other <= end:
            run.now = other
            there(w, other)
        else:
            run.now = end
            step(w, r)
        run.events += 1
    return MORE


@jit
def earliest(ends):
    """The replica whose next event comes first."""
    best, least = 0, ends[0]
    for r in range(1, ends.size):
        if ends[r] < least:
            best, least = r, ends[r]
    return best, least


@jit
def coming(w):
    """When the next request comes to a scheduler."""
    run = w.run[0]
    at = INF
    if run.next_order < w.order.size:
        i = w.order[run.next_order]
        at = w.req[i].sent + w.req[i].before
    if run.soon > 0 and w.soon[0].at < at:
        at = w.soon[0].at
    return at


@jit
def arrive(w, t):
    run = w.run[0]
    i = NONE
    if run.next_order < w.order.size:
        i = w.order[run.next_order]
        if w.req[i].sent + w.req[i].before > t:
            i = NONE
    if i != NONE:
        run.next_order += 1
    else:
        i = w.soon[0].id
        heaps.remove(w.soon, run.soon, 0)
        run.soon -= 1
    q = w.req[i]
    q.arrival, q.prompt, q.phase = t, q.input, WAITING
    place(w, i, t)


@jit
def place(w, i, t):
    """Give a request to a replica, or keep it until one can take it."""
    r = route(w, i, PREFILL, t)
    if r == NONE:
        lists.limbo_last(w.run[0], w.req, i)
        return
    me, q = w.rep[r], w.req[i]
    q.replica = r
    me.outstanding += 1
    me.queued += q.prompt
    alone = me.waiting == 0
    lists.wait_last(me, w.req, i)
    p = w.pool[me.pool]
    if alone and me.running < p.sequences and not (p.policy == STATIC and me.alive > 0):
        nudge(w, r, t)


@jit
def step(w, r):
    """A replica comes to the end of what it did and decides what is next."""
    me = w.rep[r]
    after(w, r)
    if me.loads > 0:
        join(w, r)
    plan(w, r)
    if me.door > 0:
        open_door(w, r, me.clock)
