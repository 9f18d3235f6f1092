"""What comes to a replica from slower memory or goes: cached prefixes, models, adapters, the replica itself."""

from __future__ import annotations

from inferatlas.simulate.kernel import heaps
from inferatlas.simulate.kernel.cache import forget, publish
from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.state import IDLE, INF, LOADING, NONE, OFF, PROMPT, SWAPPING


@jit
def begin_prompt(w, r, i):
    """A request computes its prompt from the next step on."""
    me = w.rep[r]
    w.req[i].phase = PROMPT
    w.part[r, me.parts] = i
    me.parts += 1


@jit
def resume_prompt(w, r, i):
    """The same for one that was admitted before others: prompts are kept in the order of admission."""
    me = w.rep[r]
    later = w.req[i].next
    while later != NONE and w.req[later].phase != PROMPT:
        later = w.req[later].next
    begin_prompt(w, r, i)
    for j in range(me.parts - 1, 0, -1):
        if later == NONE:
            break
        before = w.part[r, j - 1]
        w.part[r, j - 1], w.part[r, j] = i, before
        if before == later:
            break


@jit
def fetch(w, r, i, there, below):
    """The prefix from ``there`` to ``below`` comes from the slower memory, after what its link has to carry already."""
    me, q = w.rep[r], w.req[i]
    p = w.pool[me.pool]
    begin = max(me.clock, w.tier_free[r])
    w.tier_free[r] = begin + (below - there) / p.block * p.tier_block_s
    ready = w.tier_free[r] + p.tier_latency_s
    q.phase, q.computed, q.tier = LOADING, below, below - there
    me.queued -= below - there
    heaps.push(w.load[r], me.loads, ready, i)
    me.loads += 1
    me.ready = w.load[r, 0].at
    w.run[0].tier_tokens += below - there


@jit
def fetched(w, r):
    """Prefixes that have come by the end of a step."""
    me = w.rep[r]
    while me.loads > 0 and w.load[r, 0].at <= me.clock:
        i = w.load[r, 0].id
        heaps.remove(w.load[r], me.loads, 0)
        me.loads -= 1
        publish(w, r, i, w.req[i].computed, w.pool[me.pool].block)
        resume_prompt(w, r, i)
    me.ready = w.load[r, 0].at if me.loads > 0 else INF


@jit
def change_model(w, r):
    """Nothing runs and the first in line asks for another model: its weights take the place of those that are there."""
    me = w.rep[r]
    p = w.pool[me.pool]
    me.model = w.req[me.wait_head].model
    me.blocks = w.space[me.pool, me.model]
    me.switches += 1
    me.load_s += p.model_load_s
    forget(w, r)
    me.cached = 0
    me.doing, w.ends[r] = SWAPPING, me.clock + p.model_load_s


@jit
def has_slot(w, r, adapter):
    """Whether the batch may hold one more adapter, or holds this one already."""
    slots = w.pool[w.rep[r].pool].slots
    return adapter == NONE or slots == 0 or w.adapter[r, adapter].active > 0 or w.rep[r].adapters < slots


@jit
def take_slot(w, r, adapter):
    """A request that runs uses an adapter; one not on the device takes the place of that used longest ago."""
    me = w.rep[r]
    p = w.pool[me.pool]
    if adapter == NONE or p.slots == 0:
        return
    one, run = w.adapter[r, adapter], w.run[0]
    if one.active == 0:
        me.adapters += 1
    one.active += 1
    run.stamp += 1
    if one.used == 0:
        me.pause += p.adapter_load_s
        if me.resident < p.slots:
            me.resident += 1
        else:
            oldest = NONE
            for a in range(w.adapter.shape[1]):
                other = w.adapter[r, a]
                if other.used > 0 and other.active == 0 and (oldest == NONE or other.used < w.adapter[r, oldest].used):
                    oldest = a
            w.adapter[r, oldest].used = 0
    one.used = run.stamp


@jit
def switch_off(w, r):
    """A replica that was to go has nothing left to do."""
    me = w.rep[r]
    me.state, me.doing, w.ends[r] = OFF, IDLE, INF
    me.on_s += me.clock - me.on_at
    forget(w, r)
    me.cached = 0
