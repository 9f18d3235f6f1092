"""Many equal steps at once: step times from the tables, and the closed forms of a run of decode steps.

Between two events the batch is the same and every sequence gains a token a step, so the mean context, and with it the
step time, grows evenly: ``s_j = s_0 + j d`` within a segment of the table. k steps take ``k s_0 + d k (k-1)/2``, and
how many steps pass until a given moment is the root of a quadratic equation.
"""

from __future__ import annotations

import math

from inferatlas.simulate.kernel.compiling import jit


@jit
def elapsed(s0, d, k):
    """Seconds of k steps."""
    return k * s0 + d * (0.5 * k * (k - 1.0))


@jit
def steps_until(s0, d, span, most):
    """The fewest steps, at least 1 and at most ``most``, that take ``span`` seconds or longer."""
    if most <= 1 or span <= s0:
        return 1
    if d == 0.0:
        guess = span / s0
    else:
        h = s0 - 0.5 * d
        root = h * h + 2.0 * d * span
        if root <= 0.0:
            return most
        # the stable form of (-h + sqrt(h^2 + 2 d span))/d
        guess = 2.0 * span / (h + math.sqrt(root))
    k = most if guess >= most else max(int(guess), 1)
    while k > 1 and elapsed(s0, d, k - 1) >= span:
        k -= 1
    while k < most and elapsed(s0, d, k) < span:
        k += 1
    return k


@jit
def place(axis, x):
    """Index of the segment of an axis that holds x; the outer ones go on beyond the ends."""
    last = axis.size - 2
    if last > 7:
        low, high = 0, last
        while low < high:
            middle = (low + high + 1) >> 1
            if axis[middle] <= x:
                low = middle
            else:
                high = middle - 1
        return low
    i = 0
    while i < last and axis[i + 1] <= x:
        i += 1
    return i


@jit
def decode_step(decode, contexts, law, b, m):
    """Seconds and joules of a step of b sequences of mean context m, and how both grow per token of m."""
    i = place(contexts, m)
    x, width = m - contexts[i], contexts[i + 1] - contexts[i]
    s, e = decode[law, b, i, 0], decode[law, b, i, 1]
    slope, rise = (decode[law, b, i + 1, 0] - s) / width, (decode[law, b, i + 1, 1] - e) / width
    return s + slope * x, slope, e + rise * x, rise


@jit
def segment_end(contexts, m):
    """The mean context at which the next segment of the table begins."""
    i = place(contexts, m)
    return contexts[i + 1] if i < contexts.size - 2 else math.inf


@jit
def mixed_step(w, law, b, m, n, p, prompts):
    """Seconds and joules of a step with n tokens of ``prompts`` prompts, p pairs per token, beside b sequences."""
    i, j, k, l = place(w.batches, b), place(w.wides, m), place(w.tokens, n), place(w.pairs, p)  # noqa: E741
    x, y = share(w.batches, i, b), share(w.wides, j, m)
    z, v = share(w.tokens, k, n), share(w.pairs, l, p)
    seconds, joules = 0.0, 0.0
    for di in range(2):
        for dj in range(2):
            weight = (x if di else 1.0 - x) * (y if dj else 1.0 - y)
            if weight == 0.0:
                continue
            table = w.mixed[law, i + di, j + dj]
            for dk in range(2):
                at = weight * (z if dk else 1.0 - z)
                seconds += at * (table[k + dk, l, 0] * (1.0 - v) + table[k + dk, l + 1, 0] * v)
                joules += at * (table[k + dk, l, 1] * (1.0 - v) + table[k + dk, l + 1, 1] * v)
    if prompts > 1:
        low, high = place(w.outputs, b + 1.0), place(w.outputs, b + prompts)
        x, y = share(w.outputs, low, b + 1.0), share(w.outputs, high, b + prompts)
        several = w.several[law]
        seconds += several[high, 0] * (1.0 - y) + several[high + 1, 0] * y
        joules += several[high, 1] * (1.0 - y) + several[high + 1, 1] * y
        seconds -= several[low, 0] * (1.0 - x) + several[low + 1, 0] * x
        joules -= several[low, 1] * (1.0 - x) + several[low + 1, 1] * x
    return seconds, joules


@jit
def share(axis, i, x):
    """Where x lies in segment i: 0 to 1, and beyond at the ends."""
    return (x - axis[i]) / (axis[i + 1] - axis[i])
