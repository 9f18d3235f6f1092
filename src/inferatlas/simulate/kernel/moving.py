"""From prefill to decode: the cache of a prompt crosses a link that all transfers share (section 2.4).

A decoding replica promises slot and blocks before the transfer starts; until then the cache stays where it was computed
and blocks that memory. Transfers under way share the link evenly, each up to its lane: with ``v`` the bytes that each
one has sent since the start of the run, a transfer of n bytes that starts at v ends at v + n.
"""

from __future__ import annotations

import math

from inferatlas.simulate.kernel import heaps, lists
from inferatlas.simulate.kernel.accounts import note_piece
from inferatlas.simulate.kernel.cache import blocks_for, room
from inferatlas.simulate.kernel.changes import decoding_starts, new_blocks, nudge, return_blocks, steps_of
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.loading import take_slot
from inferatlas.simulate.kernel.routing import route
from inferatlas.simulate.kernel.state import ARRIVED, DECODER, INF, MOVING, NONE, RUN


@jit
def hand_over(w, r, i, t):
    """A prompt is complete on a prefill replica; its cache goes to one that decodes."""
    me, q, run = w.rep[r], w.req[i], w.run[0]
    me.outstanding -= 1
    me.served += 1
    q.phase, q.from_, q.moved = MOVING, r, t
    to = route(w, i, DECODER, t)
    if to == NONE:
        q.due = NONE
        lists.limbo_last(run, w.req, i)
        return
    q.due = to
    w.rep[to].outstanding += 1
    lists.door_last(w.rep[to], w.req, i)
    open_door(w, to, t)


@jit
def open_door(w, to, t):
    """Start the transfers for which a decoding replica has a slot and blocks, in order."""
    you = w.rep[to]
    p = w.pool[you.pool]
    while you.door_head != NONE and you.running + you.joins < p.sequences:
        q = w.req[you.door_head]
        need = blocks_for(q.input + q.output if p.whole else q.prompt + 1, p.block, p.fixed)
        if need > room(you) - used_meanwhile(w, to, t):
            return
        i = you.door_head
        lists.door_leave(you, w.req, i)
        you.private += need
        you.joins += 1
        q.replica = to
        set_out(w, i, t)
        if you.doing == RUN:
            nudge(w, to, t)  # its steps counted on these blocks


@jit
def used_meanwhile(w, r, t):
    """Blocks that the steps begun by t of a run under way took, beyond those of its first step."""
    me = w.rep[r]
    if me.doing != RUN:
        return 0
    return new_blocks(w, r, me.step + 2, me.step + steps_of(w, r, t - me.clock, me.k))


@jit
def set_out(w, i, t):
    """Begin a transfer; layers that were sent while later ones were computed are on the other side already (49)."""
    run, q = w.run[0], w.req[i]
    flow(w, t)
    size = q.prompt * run.token_bytes
    early = 0.0
    if q.moved == t:  # there was room on the other side
        early = run.hidden * min(size, run.link_lane * (t - q.admitted))
    heaps.push(w.flying, run.flying, run.link_v + size - early + run.link_latency * rate(run), i)
    run.flying += 1
    run.link_bytes += size


@jit
def rate(run):
    """Bytes per second of each transfer under way."""
    return min(run.link_lane, run.link_total / max(run.flying, 1))


@jit
def flow(w, t):
    """Let the transfers under way send until t."""
    run = w.run[0]
    if run.flying > 0:
        run.link_v += (t - run.link_at) * rate(run)
        run.link_busy_s += t - run.link_at
    run.link_at = t


@jit
def next_there(w):
    """When the next transfer ends."""
    run = w.run[0]
    if run.flying == 0:
        return INF
    return run.link_at + max(w.flying[0].at - run.link_v, 0.0) / rate(run)


@jit
def there(w, t):
    """A cache has come: its request decodes from the next step of its replica on, and the sender's blocks are free."""
    run = w.run[0]
    flow(w, t)
    i = w.flying[0].id
    run.link_v = max(run.link_v, w.flying[0].at)
    heaps.remove(w.flying, run.flying, 0)
    run.flying -= 1
    q = w.req[i]
    q.moved = t
    giver, taker = q.from_, q.replica
    return_blocks(w, giver, i)
    nudge(w, giver, t)
    q.phase = ARRIVED
    if q.first != q.first:
        q.first = t
    you = w.rep[taker]
    w.join[taker, you.joined] = i
    you.joined += 1
    nudge(w, taker, t)


@jit
def join(w, r):
    """Requests whose cache has come decode from now on."""
    me = w.rep[r]
    for j in range(me.joined):
        i = w.join[r, j]
        me.joins -= 1
        lists.run_last(me, w.req, i)
        take_slot(w, r, w.req[i].adapter)
        if not w.pool[me.pool].whole:  # `plan` takes the block of the next step itself
            p = w.pool[me.pool]
            q = w.req[i]
            me.private -= blocks_for(q.prompt + 1, p.block, p.fixed) - blocks_for(q.prompt, p.block, p.fixed)
        note_piece(w, r, i, math.nan)
        decoding_starts(w, r, i)
    me.joined = 0
