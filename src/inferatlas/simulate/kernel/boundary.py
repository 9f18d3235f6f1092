"""The end of a step or of a run of steps: tokens are made, requests begin to decode, end or move on."""

from __future__ import annotations

from inferatlas.simulate.kernel import heaps, lists
from inferatlas.simulate.kernel.accounts import account, note_gaps, note_piece, note_run
from inferatlas.simulate.kernel.cache import evict, publish
from inferatlas.simulate.kernel.changes import (
    decoding_starts,
    decoding_stops,
    drop_adapter,
    ended,
    leaves,
    new_blocks,
)
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.moving import hand_over
from inferatlas.simulate.kernel.runs import elapsed
from inferatlas.simulate.kernel.state import BUDGET, PREFILL, RUN, STATIC, STEP


@jit
def after(w, r):
    """What the step or run that ends now has done."""
    me = w.rep[r]
    if me.doing == RUN:
        run_ends(w, r)
    elif me.doing == STEP:
        step_ends(w, r)
    me.clock, me.pause = w.ends[r], 0.0


@jit
def run_ends(w, r):
    me = w.rep[r]
    k = me.k
    joules = elapsed(me.e0, me.de, k)
    blocks = me.private + me.shared
    if w.run[0].logging:
        note_run(w, r, me.s0, me.d, joules, k, 0, blocks)
    me.private += new_blocks(w, r, me.step + 2, me.step + k)
    evict(w, r)  # in these steps, before those that end now give theirs back
    gaps(w, me, k)
    made = int((me.growth - me.vain) * k + 0.5)
    account(w, r, me.clock, w.ends[r], joules, made, 0.5 * (blocks + me.private + me.shared))
    me.step += k
    me.steps += k
    me.context += me.growth * k
    over(w, r, w.ends[r])


@jit
def gaps(w, me, k):
    """The gaps before the tokens of a run; where a step yields several per sequence they share its time."""
    each, weight = me.growth / me.b, me.growth - me.vain
    before = me.pause + me.stall
    if before > 0.0:
        note_gaps(w, (me.s0 + before) / each, 0.0, 1, weight)
        if k > 1:
            note_gaps(w, (me.s0 + me.d) / each, me.d / each, k - 1, weight)
    else:
        note_gaps(w, me.s0 / each, me.d / each, k, weight)
    me.stall = 0.0


@jit
def step_ends(w, r):
    me = w.rep[r]
    p = w.pool[me.pool]
    t = w.ends[r]
    seconds = t - me.clock
    if w.run[0].logging:
        note_run(w, r, seconds - me.pause, 0.0, me.e0, 1, me.outputs, me.private + me.shared)
    made = 0
    if p.policy == BUDGET and me.b > 0:
        me.step += 1
        me.context += me.growth
        made = int(me.growth + 0.5)
        note_gaps(w, seconds * me.b / me.growth, 0.0, 1, me.growth)
    elif me.b > 0:
        me.stall += seconds
    elif p.policy == BUDGET:
        me.step += 1
    me.steps += 1
    for j in range(me.chunks):
        q = w.req[w.chunk[r, j].id]
        if w.chunk[r, j].tokens > 0 and q.computed + w.chunk[r, j].tokens == q.prompt:
            made += 1
    account(w, r, me.clock, t, me.e0, made, me.private + me.shared)
    over(w, r, t)
    prompts_advance(w, r, t)


@jit
def over(w, r, t):
    """Decoding requests that have their last token."""
    me = w.rep[r]
    static = w.pool[me.pool].policy == STATIC
    while me.fins > 0 and w.fin[r, 0].at <= me.step:
        i = w.fin[r, 0].id
        heaps.remove(w.fin[r], me.fins, 0)
        me.fins -= 1
        w.req[i].made = w.req[i].output
        ended(w, r, i, t)
        if static:
            me.alive -= 1
            me.vain += w.req[i].growth
            continue
        decoding_stops(w, r, i)
        lists.run_leave(me, w.req, i)
        drop_adapter(w, r, i)
        leaves(w, r, i)
    if static and me.alive == 0:
        disband(w, r)


@jit
def disband(w, r):
    """A static batch ends with its longest member: only now its slots and blocks are free."""
    me = w.rep[r]
    while me.run_head >= 0:
        i = me.run_head
        lists.run_leave(me, w.req, i)
        drop_adapter(w, r, i)
        leaves(w, r, i)
    me.b, me.context, me.growth, me.vain = 0, 0.0, 0.0, 0.0


@jit
def prompts_advance(w, r, t):
    """Chunks that were computed; a prompt that is complete yields a token in the same step."""
    me = w.rep[r]
    p = w.pool[me.pool]
    me.queued -= me.fresh
    for j in range(me.chunks):
        i, tokens = w.chunk[r, j].id, w.chunk[r, j].tokens
        if tokens == 0:
            continue
        q = w.req[i]
        q.computed += tokens
        if p.cache and q.units > 0:
            publish(w, r, i, q.computed, p.block)
        if q.computed < q.prompt:
            continue
        first_token(w, r, i, t)
    left = 0
    for j in range(me.parts):
        i = w.part[r, j]
        if w.req[i].computed < w.req[i].prompt:
            w.part[r, left] = i
            left += 1
    me.parts = left
    if p.policy == STATIC and me.alive == 0:
        disband(w, r)
    evict(w, r)


@jit
def first_token(w, r, i, t):
    """A prompt is complete."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    q.made += 1
    note_piece(w, r, i, t)
    if q.last > 0.0:  # it was computed again: its tokens are this far apart
        note_gaps(w, t - q.last, 0.0, 1, 1.0)
        q.last = 0.0
    if q.first != q.first and not (p.role == PREFILL and w.run[0].decode_sends and q.made < q.output):
        q.first = t
    if q.first_replica < 0:
        q.first_step, q.first_replica = me.step, r
    if q.made == q.output:
        ended(w, r, i, t)
        if p.policy == STATIC:  # it goes on computing with its batch
            me.alive -= 1
            me.b, me.context, me.growth = me.b + 1, me.context + q.prompt, me.growth + q.growth
            me.vain += q.growth
            return
        lists.run_leave(me, w.req, i)
        drop_adapter(w, r, i)
        leaves(w, r, i)
    elif p.role == PREFILL:
        lists.run_leave(me, w.req, i)
        drop_adapter(w, r, i)
        hand_over(w, r, i, t)
    else:
        decoding_starts(w, r, i)
