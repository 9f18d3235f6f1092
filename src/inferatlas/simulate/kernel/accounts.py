"""Totals of what replicas did, over the run and over bins of time, and the distribution of gaps between tokens."""

from __future__ import annotations

import math

from inferatlas.simulate.kernel.compiling import jit
from inferatlas.simulate.kernel.state import BATCH, BLOCKS, BUSY, COLUMNS, IN, JOULES, OUT


@jit
def account(w, r, t0, t1, joules, made, blocks):
    """A step, or run of steps, from t0 to t1 in which ``made`` tokens came out."""
    me = w.rep[r]
    span = t1 - t0
    me.busy_s += span
    me.joules += joules
    me.batch_s += me.batch * span
    me.block_s += blocks * span
    me.tokens += made
    me.prompt_tokens += me.fresh
    me.most_batch = max(me.most_batch, me.batch)
    run, bins = w.run[0], w.bins
    while t1 >= run.bin_s * bins.shape[0]:
        fold(bins)
        run.bin_s *= 2.0
    first, last = int(t0 / run.bin_s), int(t1 / run.bin_s)
    for n in range(first, last + 1):
        share = 1.0
        if first != last:
            low, high = max(t0, n * run.bin_s), min(t1, (n + 1) * run.bin_s)
            share = (high - low) / span
        bins[n, BUSY] += span * share
        bins[n, BATCH] += me.batch * span * share
        bins[n, BLOCKS] += blocks * span * share
        bins[n, JOULES] += joules * share
        bins[n, OUT] += made * share
        bins[n, IN] += me.fresh * share


@jit
def fold(bins):
    """Bins twice as wide."""
    half = bins.shape[0] // 2
    for n in range(half):
        for c in range(COLUMNS):
            bins[n, c] = bins[2 * n, c] + bins[2 * n + 1, c]
    bins[half:] = 0.0


@jit
def note_gaps(w, s, d, k, weight):
    """k gaps of s, s + d, s + 2 d ... seconds, ``weight`` tokens each."""
    run, gaps = w.run[0], w.gaps
    first, last = slot(run, gaps, s), slot(run, gaps, s + (k - 1) * d)
    if first == last:
        gaps[first] += weight * k
        return
    done = 0
    while done < k:
        here = slot(run, gaps, s + done * d)
        if here == gaps.size - 1:
            gaps[here] += weight * (k - done)
            return
        edge = run.gap_low * math.exp((here + 1) * run.gap_log)
        upto = min(k, max(done + 1, math.ceil((edge - s) / d))) if d > 0.0 else k
        gaps[here] += weight * (upto - done)
        done = upto


@jit
def slot(run, gaps, s):
    if s <= run.gap_low:
        return 0
    return min(int(math.log(s / run.gap_low) / run.gap_log), gaps.size - 1)


@jit
def note_run(w, r, first, more, joules, steps, prompts, blocks):
    """A row of the log: what a replica has done until now."""
    me, run = w.rep[r], w.run[0]
    row = w.log[run.log]
    row.start_s, row.end_s, row.pause_s = me.clock, w.ends[r], me.pause
    row.first_s, row.more_s, row.joules = first, more, joules
    row.step, row.steps, row.replica, row.batch = me.step, steps, r, me.batch
    row.prompt_tokens, row.prompts, row.blocks, row.waiting = me.fresh, prompts, blocks, me.waiting
    run.log += 1


@jit
def note_piece(w, r, i, at):
    """A request decodes from the next step of a replica on."""
    run, me = w.run[0], w.rep[r]
    if run.logging:
        row = w.piece[run.pieces]
        row.id, row.replica, row.step, row.made, row.at_s = i, r, me.step, w.req[i].made, at
        run.pieces += 1
