"""Binary heaps on arrays of records with the fields ``at`` and ``id``; ties go to the smaller id."""

from __future__ import annotations

from inferatlas.simulate.kernel.compiling import jit


@jit
def before(heap, i, j):
    return heap[i].at < heap[j].at or (heap[i].at == heap[j].at and heap[i].id < heap[j].id)


@jit
def exchange(heap, i, j):
    at, one = heap[i].at, heap[i].id
    heap[i].at, heap[i].id = heap[j].at, heap[j].id
    heap[j].at, heap[j].id = at, one


@jit
def push(heap, size, at, one):
    """Add an entry to a heap of ``size``; the caller counts."""
    heap[size].at, heap[size].id = at, one
    rise(heap, size)


@jit
def rise(heap, i):
    while i > 0:
        up = (i - 1) >> 1
        if not before(heap, i, up):
            break
        exchange(heap, i, up)
        i = up


@jit
def remove(heap, size, i):
    """Take entry ``i`` out of a heap of ``size``; the caller counts."""
    last = size - 1
    if i == last:
        return
    heap[i].at, heap[i].id = heap[last].at, heap[last].id
    if i > 0 and before(heap, i, (i - 1) >> 1):
        rise(heap, i)
        return
    while True:
        down = 2 * i + 1
        if down >= last:
            return
        if down + 1 < last and before(heap, down + 1, down):
            down += 1
        if not before(heap, down, i):
            return
        exchange(heap, i, down)
        i = down


@jit
def find(heap, size, one):
    """Place of an id, by looking at all: for what is rarely removed."""
    for i in range(size):
        if heap[i].id == one:
            return i
    return -1
