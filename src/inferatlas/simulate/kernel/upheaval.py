"""Replicas that come, go and fail (section 2.8): what their requests do then."""

from __future__ import annotations

from inferatlas.simulate.kernel import heaps, lists
from inferatlas.simulate.kernel.boundary import run_ends
from inferatlas.simulate.kernel.cache import forget
from inferatlas.simulate.kernel.changes import made_since, nudge, return_blocks, sequel, steps_of, taken
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.moving import flow, hand_over, open_door
from inferatlas.simulate.kernel.routing import route
from inferatlas.simulate.kernel.state import (
    ACTIVE,
    BY_KV,
    DECODE,
    DOWN,
    DRAINING,
    FAILED,
    IDLE,
    INF,
    MOVING,
    NO_SCALING,
    NONE,
    OFF,
    PREFILL,
    REPAIR,
    RUN,
    STARTING,
    STATIC,
    WAITING,
)


@jit
def place(w, i, t):
    """Give a request to a replica, or keep it until one can take it."""
    run = w.run[0]
    r = route(w, i, PREFILL, t)
    if r == NONE:
        lists.limbo_last(run, w.req, i)
        return
    me, q = w.rep[r], w.req[i]
    if run.queue_limit > 0 and me.waiting >= run.queue_limit:
        fail(w, i, t)
        return
    q.replica = r
    me.outstanding += 1
    me.queued += q.prompt
    p = w.pool[me.pool]
    first = me.waiting == 0 or me.doing == IDLE or p.several or p.slots > 0
    lists.wait_last(me, w.req, i)
    if first and me.running < p.sequences and not (p.policy == STATIC and me.alive > 0):
        nudge(w, r, t)


@jit
def fail(w, i, t):
    """A request that is turned away, or lost."""
    q = w.req[i]
    q.phase, q.finish = FAILED, t
    w.run[0].failed += 1
    sequel(w, i, t)


@jit
def again(w, i, t):
    """A request whose replica is gone starts once more, with what it made as part of its prompt, or fails."""
    q = w.req[i]
    q.prompt, q.computed, q.held, q.kept = q.input + q.made, 0, 0, 0
    q.phase, q.replica = WAITING, NONE
    q.retries += 1
    if w.run[0].retry:
        place(w, i, t)
    else:
        fail(w, i, t)


@jit
def breaks(w, t):
    """A replica fails: steps that had ended count, all else on it is lost."""
    run = w.run[0]
    fault = w.fault[run.fault]
    run.fault += 1
    r = fault.replica
    me = w.rep[r]
    if me.state in (OFF, DOWN):
        return
    if me.doing == RUN and t > me.clock:
        k = steps_of(w, r, t - me.clock, me.k)
        if me.clock + taken(w, r, k) > t:
            k -= 1
        if k > 0:
            me.k, w.ends[r] = k, me.clock + taken(w, r, k)
            run_ends(w, r)
    me.state, me.doing, w.ends[r] = DOWN, REPAIR, t + fault.for_s
    me.on_s += t - me.on_at
    i, many = run.limbo_head, run.limbo
    run.limbo_head, run.limbo_tail, run.limbo = NONE, NONE, 0
    scatter(w, r, t)
    for _ in range(many):  # those that no replica could take wait on, unless what they wait with is lost
        following = w.req[i].next
        if w.req[i].phase == MOVING and w.req[i].from_ == r:
            again(w, i, t)
        else:
            lists.limbo_last(run, w.req, i)
        i = following


@jit
def scatter(w, r, t):
    """Empty a replica, and start its requests again elsewhere."""
    me = w.rep[r]
    run = w.run[0]
    flow(w, t)
    running, waiting, door = me.run_head, me.wait_head, me.door_head
    joined = me.joined
    clear(w, r)
    for j in range(joined):
        again(w, w.join[r, j], t)
    while running != NONE:
        i, running = running, w.req[running].next
        q = w.req[i]
        if q.phase == DECODE:
            q.made += made_since(q, me.step)
            q.last = me.clock
        if q.made < q.output:  # of a static batch some have ended
            again(w, i, t)
    while waiting != NONE:
        i, waiting = waiting, w.req[waiting].next
        again(w, i, t)
    while door != NONE:  # the cache is still where it was computed
        i, door = door, w.req[door].next
        elsewhere(w, i, t)
    n = 0
    while n < run.flying:
        i = w.flying[n].id
        q = w.req[i]
        if r in (q.replica, q.from_):
            heaps.remove(w.flying, run.flying, n)
            run.flying -= 1
            if q.from_ != r:
                return_blocks(w, q.from_, i)
                nudge(w, q.from_, t)
            else:
                cancel(w, i)
            again(w, i, t)
            n = 0
        else:
            n += 1
    for d in range(w.rep.size):
        i = w.rep[d].door_head
        while d != r and i != NONE:
            following = w.req[i].next
            if w.req[i].from_ == r:
                lists.door_leave(w.rep[d], w.req, i)
                w.rep[d].outstanding -= 1
                again(w, i, t)
            i = following
    for d in range(w.rep.size):  # what was promised to transfers that are lost is free
        if d != r and w.rep[d].door > 0:
            open_door(w, d, t)


@jit
def elsewhere(w, i, t):
    """A computed prompt that waited for a replica which is gone waits for another one."""
    q = w.req[i]
    giver = q.from_
    w.rep[giver].outstanding += 1  # `hand_over` takes it off again
    w.rep[giver].served -= 1
    hand_over(w, giver, i, t)


@jit
def cancel(w, i):
    """A transfer whose sender is gone: the receiver takes its promise back."""
    q = w.req[i]
    you = w.rep[q.replica]
    p = w.pool[you.pool]
    tokens = q.input + q.output if p.whole else q.prompt + 1
    you.private -= (tokens + p.block - 1) // p.block + p.fixed
    you.joins -= 1
    you.outstanding -= 1


@jit
def clear(w, r):
    """Nothing is left of what a replica did."""
    me = w.rep[r]
    me.run_head, me.run_tail, me.running = NONE, NONE, 0
    me.wait_head, me.wait_tail, me.waiting = NONE, NONE, 0
    me.door_head, me.door_tail, me.door = NONE, NONE, 0
    me.parts, me.chunks, me.fins, me.loads, me.joins, me.joined = 0, 0, 0, 0, 0, 0
    me.b, me.context, me.growth, me.vain, me.counted, me.alive = 0, 0.0, 0.0, 0.0, 0, 0
    me.private, me.shared, me.cached, me.fresh, me.queued = 0, 0, 0, 0, 0.0
    me.outstanding, me.adapters, me.resident = 0, 0, 0
    me.ready, me.stall, me.pause = INF, 0.0, 0.0
    w.phase[r, :] = 0
    for a in range(w.adapter.shape[1]):
        w.adapter[r, a].active, w.adapter[r, a].used = 0, 0
    forget(w, r)


@jit
def comes_up(w, r, t):
    """A replica that was started or repaired takes requests; those that waited for one are first."""
    me, run = w.rep[r], w.run[0]
    me.state, me.doing, w.ends[r] = ACTIVE, IDLE, INF
    me.clock, me.on_at = t, t
    i, many = run.limbo_head, run.limbo
    run.limbo_head, run.limbo_tail, run.limbo = NONE, NONE, 0
    for _ in range(many):
        following = w.req[i].next
        if w.req[i].phase == MOVING:
            elsewhere(w, i, t)
        else:
            place(w, i, t)
        i = following


@jit
def tick(w, t):
    """Every pool that scales looks at its signal."""
    soonest = INF
    for n in range(w.pool.size):
        p = w.pool[n]
        if p.signal == NO_SCALING:
            continue
        if p.tick_at <= t:
            p.tick_at = t + p.every_s
            scale(w, p, t)
        soonest = min(soonest, p.tick_at)
    w.run[0].tick_at = soonest


@jit
def scale(w, p, t):
    """Start a replica, or let one go."""
    up, coming, load = 0, 0, 0.0
    idle, most_idle = NONE, INF
    off = NONE
    for r in range(p.first, p.first + p.many):
        me = w.rep[r]
        if me.state == ACTIVE:
            up += 1
            load += (me.private + me.shared) / me.blocks if p.signal == BY_KV else me.outstanding
            if me.outstanding <= most_idle:
                idle, most_idle = r, me.outstanding
        elif me.state == OFF and me.doing == STARTING:
            coming += 1
        elif me.state == OFF and off == NONE:
            off = r
    mean = (load + w.run[0].limbo) / max(up, 1)
    if t - p.scaled_at < p.cooldown_s and up > 0:
        return
    wanted = mean > p.up_above or (up + coming == 0 and w.run[0].limbo > 0)
    if wanted and off != NONE:
        w.rep[off].doing, w.ends[off] = STARTING, t + p.startup_s
        w.rep[off].clock = t
    elif mean < p.down_below and coming == 0 and up > p.least:
        w.rep[idle].state = DRAINING
        nudge(w, idle, t)
    else:
        return
    p.scaled_at = t
    w.run[0].scalings += 1
