"""Prefix caching: which blocks of a prompt are there already, who uses them, which are given up first (section 2.3).

A prompt is a chain of units; a unit that was computed stays in memory when its last user leaves, until others need the
blocks: the unit used least recently goes first, its last block before its first. Blocks in use are ``private`` (of one
request) or ``shared`` (units with users); ``cached`` ones nobody uses and are free to take.
"""

from __future__ import annotations

from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.lists import lru_last, lru_leave


@jit
def blocks_for(tokens, block, fixed):
    """Blocks of a sequence with so many tokens in the cache."""
    return (tokens + block - 1) // block + fixed


@jit
def room(me):
    """Blocks that can be taken."""
    return me.blocks - me.private - me.shared


@jit
def whole_of(w, u, block):
    """Full blocks of a unit, of those that its chain fills up to its end."""
    return w.end[u] // block - w.begin[u] // block


@jit
def found(w, r, i, block):
    """Tokens of the start of a prompt that are in memory (whole blocks, and never the last token), and its units."""
    q = w.req[i]
    tokens, units = 0, 0
    for j in range(q.units):
        u = w.chain[q.chain + j]
        if w.begin[u] >= q.prompt:
            break
        have, whole = w.unit[r, u].have, whole_of(w, u, block)
        if have == 0 and whole > 0:
            break
        units = j + 1
        tokens = (w.begin[u] // block + have) * block
        if have < whole:
            break
    return min(tokens, (q.prompt - 1) // block * block), units


@jit
def hold(w, r, i, units):
    """A request uses the first units of its chain."""
    me, q = w.rep[r], w.req[i]
    for j in range(q.held, units):
        u = w.chain[q.chain + j]
        one = w.unit[r, u]
        if one.refs == 0 and one.have > 0:
            lru_leave(w.upper[r], w.unit[r], u)
            me.cached -= one.have
            me.shared += one.have
        one.refs += 1
    q.held = max(q.held, units)


@jit
def newly_used(w, r, i, units):
    """Blocks among the first units of a chain that nobody uses yet: free to take until now."""
    total = 0
    for j in range(units):
        one = w.unit[r, w.chain[w.req[i].chain + j]]
        if one.refs == 0:
            total += one.have
    return total


@jit
def publish(w, r, i, computed, block):
    """Blocks of a prompt that are full can be shared from now on; a copy that is there already is used."""
    me, q = w.rep[r], w.req[i]
    for j in range(q.units):
        u = w.chain[q.chain + j]
        if w.begin[u] >= computed:
            break
        upto = min(w.end[u], computed) // block
        if upto <= q.kept and j < q.held:
            continue
        one, here = w.unit[r, u], upto - w.begin[u] // block
        if one.refs == 0 and one.have > here:
            break  # a copy of more blocks than this request can give back yet
        hold(w, r, i, j + 1)
        if here > one.have:
            me.shared += here - one.have
            one.have = here
        if upto > q.kept:
            me.private -= upto - q.kept
            q.kept = upto


@jit
def release(w, r, i):
    """A request uses its units no more: the deepest are given up first."""
    me, q = w.rep[r], w.req[i]
    for j in range(q.held - 1, -1, -1):
        u = w.chain[q.chain + j]
        one = w.unit[r, u]
        one.refs -= 1
        if one.refs == 0 and one.have > 0:
            lru_last(w.upper[r], w.unit[r], u)
            me.shared -= one.have
            me.cached += one.have
    q.held, q.kept = 0, 0


@jit
def evict(w, r):
    """Give up cached blocks until those in use have room."""
    me = w.rep[r]
    over = me.cached - room(me)
    while over > 0:
        u = w.upper[r, 0]
        one = w.unit[r, u]
        taken = min(over, one.have)
        one.have -= taken
        me.cached -= taken
        me.evicted += taken
        over -= taken
        if w.pool[me.pool].tier_blocks > 0:
            store(w, r, u, w.pool[me.pool].block)
        if one.have == 0:
            lru_leave(w.upper[r], w.unit[r], u)


@jit
def store(w, r, u, block):
    """A unit that leaves the device is kept in the slower memory, which forgets the one used least recently."""
    one, lists = w.tier[r, u], w.lower[r]
    if one.have > 0:
        lru_leave(lists, w.tier[r], u)
    else:
        one.have = whole_of(w, u, block)
        lists[2] += one.have
    lru_last(lists, w.tier[r], u)
    while lists[2] > w.pool[w.rep[r].pool].tier_blocks:
        old = lists[0]
        lists[2] -= w.tier[r, old].have
        w.tier[r, old].have = 0
        lru_leave(lists, w.tier[r], old)


@jit
def found_below(w, r, i, tokens, units, block):
    """Tokens of the prompt that follow those found on the device and lie in the slower memory."""
    q = w.req[i]
    start = units
    if units > 0:
        u = w.chain[q.chain + units - 1]
        if w.unit[r, u].have < whole_of(w, u, block):
            start = units - 1
    more = tokens
    for j in range(start, q.units):
        u = w.chain[q.chain + j]
        if w.begin[u] >= q.prompt or (w.tier[r, u].have == 0 and whole_of(w, u, block) > 0):
            break
        more = w.end[u] // block * block
    return min(max(more, tokens), (q.prompt - 1) // block * block)


@jit
def forget(w, r):
    """Nothing is left in the memory of a replica that failed."""
    w.unit[r].have[:] = 0
    w.unit[r].refs[:] = 0
    w.upper[r, 0] = -1
    w.upper[r, 1] = -1
