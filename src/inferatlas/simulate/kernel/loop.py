"""The event loop: arrivals, ends of steps, transfers, scaling and faults in the order of time.

At one moment arrivals come before all else, so that a step that begins then sees them; ends of steps come last.
"""

from __future__ import annotations

from inferatlas.simulate.kernel import heaps
from inferatlas.simulate.kernel.boundary import after
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.loading import fetched
from inferatlas.simulate.kernel.moving import join, next_there, open_door, there
from inferatlas.simulate.kernel.plan import plan
from inferatlas.simulate.kernel.state import (
    FINISHED,
    INF,
    LOG_FULL,
    MORE,
    NO_SCALING,
    OFF,
    REPAIR,
    STARTING,
    WAITING,
)
from inferatlas.simulate.kernel.upheaval import breaks, comes_up, place, tick


@jit
def advance(w, events):
    """Go on for so many events; returns why it came back: MORE, FINISHED or LOG_FULL."""
    run = w.run[0]
    for _ in range(events):
        if run.logging and (run.log >= w.log.size - 1 or run.pieces >= w.piece.size - w.fin.shape[1]):
            return LOG_FULL
        r, end = earliest(w.ends)
        arrival, sent = coming(w)
        fault = w.fault[run.fault].at
        other = min(next_there(w), fault, run.tick_at)
        t = min(arrival, end, other)
        if t > run.until or (arrival == INF and idle(w, end)):
            return FINISHED
        run.now = t
        run.events += 1
        if arrival == t:
            arrive(w, t, sent)
        elif other == t:
            if run.tick_at == t:
                tick(w, t)
            elif fault == t:
                breaks(w, t)
            else:
                there(w, t)
        else:
            step(w, r)
    return MORE


@jit
def idle(w, end):
    """Nothing is under way, and nothing that waits will ever be served."""
    run = w.run[0]
    if run.flying > 0:
        return False
    if end == INF:
        return run.limbo == 0 or not may_start(w)
    if run.limbo > 0:
        return False
    for r in range(w.ends.size):
        if w.ends[r] < INF and w.rep[r].doing != REPAIR and w.rep[r].doing != STARTING:
            return False
    return True


@jit
def may_start(w):
    """Whether a pool that scales has a replica left to start."""
    off = 0
    for r in range(w.rep.size):
        off += w.rep[r].state == OFF and w.pool[w.rep[r].pool].signal != NO_SCALING
    return off > 0


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
    """When the next request comes to a scheduler, and whether that was known from the start."""
    run = w.run[0]
    at, sent = INF, False
    if run.next_order < w.order.size:
        q = w.req[w.order[run.next_order]]
        at, sent = q.sent + q.before, True
    if run.soon > 0 and w.soon[0].at < at:
        at, sent = w.soon[0].at, False
    return at, sent


@jit
def arrive(w, t, sent):
    run = w.run[0]
    if sent:
        i = w.order[run.next_order]
        run.next_order += 1
    else:
        i = w.soon[0].id
        heaps.remove(w.soon, run.soon, 0)
        run.soon -= 1
    q = w.req[i]
    q.arrival, q.prompt, q.phase = t, q.input, WAITING
    place(w, i, t)


@jit
def step(w, r):
    """A replica comes to the end of what it did and decides what is next."""
    me = w.rep[r]
    if me.doing in (REPAIR, STARTING):
        comes_up(w, r, w.ends[r])
        return
    after(w, r)
    if me.loads > 0:
        fetched(w, r)
    if me.joined > 0:
        join(w, r)
    plan(w, r)
    if me.door > 0:
        open_door(w, r, me.clock)
