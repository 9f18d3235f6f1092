"""Lists of requests and of cached prefixes, linked through the records themselves: ends at -1."""

from __future__ import annotations

from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.state import NONE


@jit
def wait_last(me, req, i):
    """Behind all that wait at a replica."""
    req[i].prev, req[i].next = me.wait_tail, NONE
    if me.wait_tail == NONE:
        me.wait_head = i
    else:
        req[me.wait_tail].next = i
    me.wait_tail = i
    me.waiting += 1


@jit
def wait_first(me, req, i):
    """Before all that wait: who was preempted."""
    req[i].prev, req[i].next = NONE, me.wait_head
    if me.wait_head == NONE:
        me.wait_tail = i
    else:
        req[me.wait_head].prev = i
    me.wait_head = i
    me.waiting += 1


@jit
def wait_leave(me, req, i):
    before, after = req[i].prev, req[i].next
    if before == NONE:
        me.wait_head = after
    else:
        req[before].next = after
    if after == NONE:
        me.wait_tail = before
    else:
        req[after].prev = before
    me.waiting -= 1


@jit
def run_last(me, req, i):
    """Behind all that run, in the order of admission."""
    req[i].prev, req[i].next = me.run_tail, NONE
    if me.run_tail == NONE:
        me.run_head = i
    else:
        req[me.run_tail].next = i
    me.run_tail = i
    me.running += 1


@jit
def run_leave(me, req, i):
    before, after = req[i].prev, req[i].next
    if before == NONE:
        me.run_head = after
    else:
        req[before].next = after
    if after == NONE:
        me.run_tail = before
    else:
        req[after].prev = before
    me.running -= 1


@jit
def door_last(me, req, i):
    """Behind all whose cache waits for room on a replica that decodes."""
    req[i].prev, req[i].next = me.door_tail, NONE
    if me.door_tail == NONE:
        me.door_head = i
    else:
        req[me.door_tail].next = i
    me.door_tail = i
    me.door += 1


@jit
def door_leave(me, req, i):
    before, after = req[i].prev, req[i].next
    if before == NONE:
        me.door_head = after
    else:
        req[before].next = after
    if after == NONE:
        me.door_tail = before
    else:
        req[after].prev = before
    me.door -= 1


@jit
def limbo_last(run, req, i):
    """Behind all that found no replica to take them."""
    req[i].prev, req[i].next = run.limbo_tail, NONE
    if run.limbo_tail == NONE:
        run.limbo_head = i
    else:
        req[run.limbo_tail].next = i
    run.limbo_tail = i
    run.limbo += 1


@jit
def lru_last(lists, units, u):
    """The prefix that was used last; ``lists``: head, tail and blocks."""
    units[u].prev, units[u].next = lists[1], NONE
    if lists[1] == NONE:
        lists[0] = u
    else:
        units[lists[1]].next = u
    lists[1] = u


@jit
def lru_leave(lists, units, u):
    before, after = units[u].prev, units[u].next
    if before == NONE:
        lists[0] = after
    else:
        units[before].next = after
    if after == NONE:
        lists[1] = before
    else:
        units[after].prev = before
