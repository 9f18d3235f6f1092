"""What happens to one request on a replica: it begins to decode, is preempted, ends."""

from __future__ import annotations

import math

from inferatlas.simulate.kernel import heaps, lists
from inferatlas.simulate.kernel.cache import blocks_for, evict, publish, release, room
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.runs import elapsed, steps_until
from inferatlas.simulate.kernel.state import (
    DECODE,
    DONE,
    DOWN,
    IDLE,
    INF,
    NONE,
    RUN,
    SWAPPED,
    UNSENT,
    WAITING,
    WAKE,
)


@jit
def made_since(q, step):
    """Tokens since its decoding began."""
    return int(q.growth * (step - q.begun) + 1e-6)


@jit
def length_of(q, step):
    """Tokens of a decoding sequence in the cache."""
    return q.prompt + made_since(q, step)


@jit
def decoding_starts(w, r, i):
    """A request that has a token decodes from the next step on."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    q.phase, q.begun = DECODE, me.step
    left = q.output - q.made
    q.ends = me.step + (left if q.growth == 1.0 else max(1, math.ceil(left / q.growth - 1e-9)))
    heaps.push(w.fin[r], me.fins, q.ends, i)
    me.fins += 1
    me.b += 1
    me.context += q.prompt
    me.growth += q.growth
    if not p.whole:
        w.phase[r, (q.prompt - q.begun - 1) % p.block] += 1
        me.counted += 1


@jit
def decoding_stops(w, r, i):
    """The reverse, for a request whose end was taken from the heap already."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    me.b -= 1
    me.context -= q.prompt + q.growth * (me.step - q.begun)
    me.growth -= q.growth
    if me.b == 0:
        me.context, me.growth = 0.0, 0.0
    if not p.whole:
        w.phase[r, (q.prompt - q.begun - 1) % p.block] -= 1
        me.counted -= 1


@jit
def own_blocks(w, r, i):
    """Blocks of a request that nobody else uses."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    if p.whole:
        return blocks_for(q.input + q.output, p.block, p.fixed) - q.kept
    tokens = length_of(q, me.step) if q.phase == DECODE else q.computed
    return blocks_for(tokens, p.block, p.fixed) - q.kept


@jit
def new_blocks(w, r, first, last):
    """Blocks that decoding takes in the steps ``first`` to ``last`` (numbers of steps) of a replica."""
    me = w.rep[r]
    if me.counted == 0:
        return 0
    size = w.pool[me.pool].block
    rounds = (last - first + 1) // size
    total = rounds * me.counted
    for n in range(first + rounds * size, last + 1):
        total += w.phase[r, (-n) % size]
    return total


@jit
def steps_with_room(w, r, most):
    """How many of the steps after the next one find blocks, the next one's taken already."""
    me = w.rep[r]
    if me.counted == 0:
        return most
    size = w.pool[me.pool].block
    left = room(me)
    rounds = left // me.counted
    if rounds * size >= most:
        return most
    left -= rounds * me.counted
    k = rounds * size
    for n in range(me.step + 2 + k, me.step + 2 + k + size):
        left -= w.phase[r, (-n) % size]
        if left < 0 or k >= most:
            break
        k += 1
    return min(k, most)


@jit
def preempt(w, r, i):
    """A running request loses its blocks and waits first in line; what it made is part of its prompt from now on."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    blocks = own_blocks(w, r, i) + q.kept
    me.private -= own_blocks(w, r, i)
    lists.run_leave(me, w.req, i)
    if q.phase == DECODE:
        heaps.remove(w.fin[r], me.fins, heaps.find(w.fin[r], me.fins, i))
        me.fins -= 1
        more = made_since(q, me.step)
        decoding_stops(w, r, i)
        q.made += more
        q.last = me.clock
        q.prompt = q.input + q.made
        me.queued += q.prompt
        if p.swap:
            q.phase, q.computed = SWAPPED, q.prompt - 1
            me.pause += blocks * p.swap_block_s
        else:
            q.phase, q.computed = WAITING, 0
    else:
        leave_prompt(w, r, i)
        me.queued += q.computed
        q.phase, q.computed = WAITING, 0
    release(w, r, i)
    drop_adapter(w, r, i)
    q.preempted += 1
    me.preemptions += 1
    lists.wait_first(me, w.req, i)


@jit
def leave_prompt(w, r, i):
    """A request in its prompt, or whose prefix is on its way, is not in the step being planned."""
    me = w.rep[r]
    at = heaps.find(w.load[r], me.loads, i)
    if at >= 0:
        heaps.remove(w.load[r], me.loads, at)
        me.loads -= 1
        me.ready = w.load[r, 0].at if me.loads > 0 else INF
    for j in range(me.parts):
        if w.part[r, j] == i:
            for l in range(j, me.parts - 1):  # noqa: E741
                w.part[r, l] = w.part[r, l + 1]
            me.parts -= 1
            break
    for j in range(me.chunks):
        if w.chunk[r, j].id == i:
            me.fresh -= w.chunk[r, j].tokens
            w.chunk[r, j].tokens = 0


@jit
def drop_adapter(w, r, i):
    """A running request uses its adapter no more."""
    me, a = w.rep[r], w.req[i].adapter
    if a != NONE and w.pool[me.pool].slots > 0:
        w.adapter[r, a].active -= 1
        if w.adapter[r, a].active == 0:
            me.adapters -= 1


@jit
def ended(w, r, i, t):
    """A request has its last token at t; who waits for that sends the next one."""
    me, q = w.rep[r], w.req[i]
    q.phase, q.finish = DONE, t
    w.run[0].ended += 1
    me.served += 1
    me.outstanding -= 1
    sequel(w, i, t)


@jit
def sequel(w, i, t):
    """What is sent because request i ended, well or not: its next turn, or the next request of its client."""
    run = w.run[0]
    following = w.req[i].after
    if following == NONE and run.closed and run.sent < w.req.size:
        following = run.sent
        run.sent += 1
    while following != NONE:
        q = w.req[following]
        if q.phase == UNSENT:
            q.sent, q.replica = t + q.think, w.req[i].replica
            if q.sent <= run.until:
                heaps.push(w.soon, run.soon, q.sent + q.before, following)
                run.soon += 1
        following = q.beside


@jit
def leaves(w, r, i):
    """A request that ended, or moves on, gives its blocks back."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    if p.cache and q.units > 0:
        publish(w, r, i, q.input + q.output - 1 if q.phase == DONE else q.prompt, p.block)
    return_blocks(w, r, i)


@jit
def return_blocks(w, r, i):
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    if p.whole:
        me.private -= blocks_for(q.input + q.output, p.block, p.fixed) - q.kept
    else:
        tokens = q.input + q.output - 1 if q.phase == DONE else q.prompt
        me.private -= blocks_for(tokens, p.block, p.fixed) - q.kept
    release(w, r, i)
    evict(w, r)


@jit
def nudge(w, r, t):
    """Something changed at t that a replica should see: it plans again at the first end of a step from t on."""
    me = w.rep[r]
    if me.state == DOWN:
        return
    if me.doing == RUN:
        if w.ends[r] > t:
            shorten(w, r, t)
    elif me.doing == IDLE:
        me.doing = WAKE
        w.ends[r] = max(t, me.clock)


@jit
def shorten(w, r, t):
    """End a run of decode steps with the step under way at t."""
    me = w.rep[r]
    if me.k > 1:
        me.k = steps_of(w, r, t - me.clock, me.k)
        w.ends[r] = me.clock + taken(w, r, me.k)


@jit
def taken(w, r, k):
    """Seconds of the first k steps of a run, the random part of routing included."""
    me = w.rep[r]
    seconds = me.pause + elapsed(me.s0, me.d, k)
    if me.swing != 0.0:
        row, size = w.pool[me.pool].law + me.model, w.noise.shape[1] - 1
        low = me.step % size
        rounds = (low + k) // size
        seconds += me.swing * (w.noise[row, (low + k) % size] - w.noise[row, low] + rounds * w.noise[row, size])
    return seconds


@jit
def steps_of(w, r, span, most):
    """The fewest steps of a run that take ``span`` seconds or longer, at most ``most``."""
    me = w.rep[r]
    if me.swing == 0.0:
        return steps_until(me.s0, me.d, span - me.pause, most)
    low, high = 1, most
    while low < high:
        middle = (low + high) >> 1
        if taken(w, r, middle) >= span:
            high = middle
        else:
            low = middle + 1
    return low
