"""What a replica does next: the scheduler's decision at the end of a step (section 2.1).

The token budget goes to decoding requests first, then to prompts under way, then to those that wait, in order. Where
blocks run out the request admitted last gives its own back. A step without prompts is a run: as many steps as pass
until somebody ends, blocks run out, the table's next segment begins or a nudge shortens it.
"""

from __future__ import annotations

import math

from inferatlas.simulate.kernel import lists
from inferatlas.simulate.kernel.accounts import note_piece
from inferatlas.simulate.kernel.cache import blocks_for, evict, found, found_below, hold, newly_used, room
from inferatlas.simulate.kernel.changes import decoding_starts, new_blocks, preempt, steps_of, steps_with_room, taken
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.loading import begin_prompt, change_model, fetch, has_slot, switch_off, take_slot
from inferatlas.simulate.kernel.runs import decode_step, mixed_step, segment_end
from inferatlas.simulate.kernel.state import (
    BUDGET,
    DECODE,
    DRAINING,
    IDLE,
    INF,
    NONE,
    PREFILL_FIRST,
    RUN,
    STEP,
    SWAPPED,
    WAKE,
)


@jit
def plan(w, r):
    """Decide the next step, or run of steps, of a replica whose clock stands at the end of the last."""
    me = w.rep[r]
    p = w.pool[me.pool]
    me.chunks, me.fresh = 0, 0
    preempted = False
    if p.policy == BUDGET:
        preempted = make_room(w, r)
        left = p.step_tokens - me.b * p.queries
        left, again = prompts_under_way(w, r, left)
        if not (preempted or again):
            left = admit(w, r, left)
        preempted = preempted or again
    elif p.policy == PREFILL_FIRST:
        left, preempted = prompts_under_way(w, r, p.step_tokens)
        if not preempted:
            left = admit(w, r, left)
        if me.chunks == 0:
            preempted = make_room(w, r) or preempted
    elif me.alive == 0:
        left = admit(w, r, p.step_tokens)
        me.alive = me.running
    else:
        left, again = prompts_under_way(w, r, p.step_tokens)
    if preempted and me.fresh == 0 and me.b == 0:  # nobody is left in this step: it takes no time, and another begins
        admit(w, r, p.step_tokens)
        if p.policy == PREFILL_FIRST and me.chunks == 0:
            make_room(w, r)
    me.extra = me.adapters * p.adapter_step_s
    if me.fresh > 0:
        one_step(w, r)
    elif me.b > 0:
        many_steps(w, r, preempted)
    elif me.loads > 0:
        me.doing, w.ends[r] = WAKE, me.ready
    elif p.several and me.running == 0 and me.private + me.shared == 0 and asks_other(w, r):
        change_model(w, r)
    elif me.state == DRAINING and me.outstanding == 0 and me.private + me.shared == 0:
        switch_off(w, r)
    else:
        me.doing, w.ends[r] = IDLE, INF
    me.most_blocks = max(me.most_blocks, me.private + me.shared)


@jit
def asks_other(w, r):
    """Whether the first in line asks for a model that is not resident."""
    me = w.rep[r]
    return me.wait_head != NONE and w.req[me.wait_head].model != me.model


@jit
def make_room(w, r):
    """Blocks that decoding needs for the next step; the last admitted are preempted until they are there."""
    me = w.rep[r]
    preempted = False
    need = new_blocks(w, r, me.step + 1, me.step + 1)
    while need > room(me):
        preempt(w, r, me.run_tail)
        preempted = True
        need = new_blocks(w, r, me.step + 1, me.step + 1)
    me.private += need
    evict(w, r)  # before anybody finds what these blocks held
    return preempted


@jit
def undo_room(w, r, i):
    """Give back the block promised to a request for a step before which it is preempted; not in `own_blocks`."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    if p.policy == BUDGET and not p.whole and (q.prompt - q.begun + me.step) % p.block == 0:
        me.private -= 1


@jit
def prompts_under_way(w, r, left):
    """Next chunks of prompts that were begun; returns the tokens left and whether somebody was preempted."""
    me = w.rep[r]
    p = w.pool[me.pool]
    preempted, j = False, 0
    while j < me.parts and left > 0:
        i = w.part[r, j]
        q = w.req[i]
        tokens = min(q.prompt - q.computed, left)
        if p.chunk_limit > 0:
            tokens = min(tokens, p.chunk_limit)
        need = 0
        if not p.whole:
            need = blocks_for(q.computed + tokens, p.block, 0) - blocks_for(q.computed, p.block, 0)
        gone = False
        while need > room(me):
            last = me.run_tail
            if w.req[last].phase == DECODE:
                undo_room(w, r, last)
            preempt(w, r, last)
            preempted = True
            if last == i:
                gone = True
                break
        if gone:
            continue
        me.private += need
        evict(w, r)
        take(w, r, i, tokens)
        left -= tokens
        j += 1
    return left, preempted


@jit
def take(w, r, i, tokens):
    """A chunk of a prompt is part of the next step."""
    me = w.rep[r]
    w.chunk[r, me.chunks].id, w.chunk[r, me.chunks].tokens = i, tokens
    me.chunks += 1
    me.fresh += tokens


@jit
def admit(w, r, left):
    """Requests that wait, in order, as long as there are slots, tokens and blocks; returns the tokens left."""
    me = w.rep[r]
    p = w.pool[me.pool]
    following = me.wait_head
    while following != NONE and me.running + me.joins < p.sequences and left > 0:
        i = following
        q = w.req[i]
        following = q.next
        if p.several and q.model != me.model:
            if me.clock - q.arrival >= p.patience_s:
                break  # nobody else is let in until what runs has ended and the other model is loaded
            continue
        if not has_slot(w, r, q.adapter):
            continue
        taken_up = swap_in(w, r, i) if q.phase == SWAPPED else let_in(w, r, i, left)
        if taken_up < 0:
            break
        left -= taken_up
    return left


@jit
def swap_in(w, r, i):
    """A request that was swapped out decodes on; returns the tokens it takes of the step, -1 where it has no room."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    need = blocks_for(q.prompt, p.block, p.fixed)
    if need > room(me):
        return -1
    moves(w, r, i)
    me.private += need
    if p.policy == PREFILL_FIRST:  # decoding has no blocks yet of the step in which it goes on
        me.private += blocks_for(q.prompt - 1, p.block, p.fixed) - need
    evict(w, r)
    me.pause += need * p.swap_block_s
    take_slot(w, r, q.adapter)
    me.queued -= q.prompt
    q.prompt -= 1  # its last token is not in the cache yet
    note_piece(w, r, i, math.nan)
    decoding_starts(w, r, i)
    return p.queries


@jit
def let_in(w, r, i, left):
    """A request begins its prompt, or has the start of it fetched; returns tokens as `swap_in`."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    there, below, units = 0, 0, 0
    if p.cache and q.units > 0:
        there, units = found(w, r, i, p.block)
        if p.tier_blocks > 0:
            below = found_below(w, r, i, there, units, p.block)
    units = units if there > 0 else 0
    tokens = q.prompt - there
    if p.chunked:
        tokens = min(tokens, left)
        if p.chunk_limit > 0:
            tokens = min(tokens, p.chunk_limit)
    elif tokens > left and (me.chunks > 0 or left < p.step_tokens - me.b * p.queries):
        return -1  # a whole prompt waits for a step with room; one longer than any step goes alone
    upto = q.input + q.output if p.whole else (below if below > there else there + tokens)
    need = blocks_for(upto, p.block, p.fixed) - there // p.block
    if need + newly_used(w, r, i, units) > room(me):
        return -1
    moves(w, r, i)
    use_prefix(w, r, i, there, units)
    me.private += need
    evict(w, r)
    if below > there:
        fetch(w, r, i, there, below)
        return 0
    begin_prompt(w, r, i)
    take(w, r, i, tokens)
    return tokens


@jit
def moves(w, r, i):
    """From those that wait to those that run."""
    me = w.rep[r]
    lists.wait_leave(me, w.req, i)
    lists.run_last(me, w.req, i)


@jit
def use_prefix(w, r, i, tokens_there, units):
    """A request that waited is admitted, with what is cached of its prompt."""
    me, q = w.rep[r], w.req[i]
    run = w.run[0]
    if units > 0 and tokens_there > 0:
        hold(w, r, i, units)
        q.kept = tokens_there // w.pool[me.pool].block
    q.computed = tokens_there
    me.queued -= tokens_there
    if q.admitted != q.admitted:
        q.admitted, q.hit = me.clock, tokens_there
        run.hit_tokens += tokens_there
        run.asked_tokens += q.input
    take_slot(w, r, q.adapter)


@jit
def one_step(w, r):
    """A step with prompts, beside it those that decode unless prompts go first."""
    me = w.rep[r]
    p = w.pool[me.pool]
    beside = me.b if p.policy == BUDGET else 0
    pairs, prompts = 0.0, 0
    for j in range(me.chunks):
        n = w.chunk[r, j].tokens
        if n > 0:
            c = w.req[w.chunk[r, j].id].computed
            pairs += n * (c + 0.5 * n)
            prompts += 1
    mean = (me.context + me.growth) / me.b if beside > 0 else 0.0
    law = p.law + me.model
    n = float(me.fresh)
    seconds, me.e0 = mixed_step(w, law, float(beside), mean, n, pairs / n, prompts)
    me.s0 = seconds + p.host_s + me.extra
    me.d, me.de, me.k, me.batch, me.outputs = 0.0, 0.0, 1, beside, prompts
    me.doing = STEP
    me.swing = w.swing[law, min(beside + me.fresh, w.swing.shape[1] - 1)] if p.noise else 0.0
    w.ends[r] = me.clock + taken(w, r, 1)


@jit
def many_steps(w, r, preempted):
    """Steps that only decode, until something changes."""
    me = w.rep[r]
    p = w.pool[me.pool]
    law = p.law + me.model
    mean = (me.context + me.growth) / me.b
    more = me.growth / me.b
    s, slope, e, rise = decode_step(w.decode, w.contexts, law, me.b, mean)
    me.s0, me.d = s + p.host_s + me.extra, slope * more
    me.e0, me.de = e, rise * more
    most = w.fin[r, 0].at - me.step
    border = segment_end(w.contexts, mean)
    if border < INF:
        most = min(most, max(math.ceil((border - mean) / more), 1))
    if preempted:
        most = 1  # those that wait are asked again after it
    if most > 1:
        most = min(most, 1 + steps_with_room(w, r, most - 1))
    me.k, me.doing, me.batch = most, RUN, me.b
    me.swing = w.swing[law, min(me.b * p.queries, w.swing.shape[1] - 1)] if p.noise else 0.0
    if me.ready < INF:
        me.k = steps_of(w, r, me.ready - me.clock, me.k)
    w.ends[r] = me.clock + taken(w, r, me.k)
