"""Machines with several tiers of memory, equations (28) to (30): streamed weights, splits, latency, energy.

No prediction passes through here: the predictor takes the rate of the tier that holds the weights, and hides the stream
of offloaded layers behind the step as a whole (`performance/step.py`). Rates in byte/s, sizes in bytes, times in s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.arguments import floats


def streamed_step(
    compute_s: ArrayLike, resident_bytes: ArrayLike, offloaded_bytes: ArrayLike, bytes_per_s: float,
    link_bytes_per_s: float, *, prefetch: bool = True,
) -> Floats:  # fmt: skip
    """Seconds of a pass over layers of which a part waits in slower memory, equation (28). Source: arXiv:2303.06865.

    Parameters
    ----------
    compute_s, resident_bytes, offloaded_bytes : of each layer, [..., layer]: arithmetic, bytes read from fast memory,
        bytes that cross the link.
    prefetch : a layer is loaded while the one before it works: ``t_load(1) + Σ max(t_comp, res/M_bw, off/W_link)``.
        Without it the three follow one another.

    Within one load of a schedule where layers are alike; where they differ, a layer's load meets the work of another.

    >>> parts = ([1e-3] * 4, [2e9] * 4, [1e8] * 4, 2e12, 50e9)
    >>> round(float(streamed_step(*parts)), 4), round(float(streamed_step(*parts, prefetch=False)), 4)
    (0.01, 0.016)
    """
    work = floats(compute_s, "compute_s", 0)
    local = floats(resident_bytes, "resident_bytes", 0) / floats(bytes_per_s, "bytes_per_s", above=0)
    load = floats(offloaded_bytes, "offloaded_bytes", 0) / floats(link_bytes_per_s, "link_bytes_per_s", above=0)
    if not prefetch:
        return (work + local + load).sum(axis=-1)
    return load[..., 0] + np.maximum(np.maximum(work, local), load).sum(axis=-1)


def hiding_batch(
    offloaded_bytes: ArrayLike, active_parameters: ArrayLike, flop_per_s: ArrayLike, link_bytes_per_s: ArrayLike
) -> Floats:
    """Tokens in a step from which arithmetic hides the stream, equation (28): ``B* = W_off P/(2 N_act W_link)``.

    All of a 70B model in 16 bit behind a PCIe link of 50 GB/s on an H100:

    >>> round(float(hiding_batch(140e9, 70e9, 989e12, 50e9)))
    19780
    """
    work = 2.0 * floats(active_parameters, "active_parameters", above=0) / floats(flop_per_s, "flop_per_s", above=0)
    return floats(offloaded_bytes, "offloaded_bytes", 0) / (
        work * floats(link_bytes_per_s, "link_bytes_per_s", above=0)
    )


def tier_time(size: ArrayLike, shares: ArrayLike, rates: ArrayLike, *, one_path: bool = False) -> Floats:
    """Seconds to read ``size`` bytes of which ``shares`` [..., tier] lie in each tier, equation (29).

    Channels that work at the same time take ``max_i(f_i Q/W_i)``; on one path the parts follow one another.

    >>> float(tier_time(100e9, [0.8, 0.2], [1.6e12, 0.1e12])), float(tier_time(1e9, [1.0, 0.0], [1e9, 1e8]))
    (0.2, 1.0)
    """
    held = floats(shares, "shares", 0, 1)
    parts = held * np.asarray(size, dtype=np.float64)[..., None] / floats(rates, "rates", above=0)
    return parts.sum(axis=-1) if one_path else parts.max(axis=-1)


def best_shares(size: float, rates: ArrayLike, capacities: ArrayLike) -> Floats:
    """The split that reads fastest over concurrent tiers, equation (29): ``W_i/ΣW``, as far as capacities permit.

    What does not fit into a tier goes to the others in proportion to their rates. NaN if all of them are too small.

    >>> best_shares(100.0, [3.0, 1.0], [1000.0, 1000.0]).tolist(), best_shares(100.0, [3.0, 1.0], [50.0, 90.0]).tolist()
    ([0.75, 0.25], [0.5, 0.5])
    """
    speed, room = floats(rates, "rates", above=0), floats(capacities, "capacities", 0)
    if room.sum() < size:
        return np.full(speed.shape, np.nan)
    held, left, together = np.zeros_like(speed), float(size), float(speed.sum())
    for i in np.argsort(room / speed):  # the tier that fills up first takes its part first
        held[i] = min(room[i], left * speed[i] / together)
        left, together = left - held[i], together - speed[i]
    return held / size


def slowdown(
    size: ArrayLike, share: ArrayLike, fast: ArrayLike, slow: ArrayLike, compute_s: ArrayLike = 0.0, *,
    one_path: bool = False,
) -> Floats:  # fmt: skip
    """How many times longer a step takes with ``share`` of its ``size`` bytes in the slow tier, by (29).

    ``compute_s`` of arithmetic hides what it can in either case: ``max(t, t_tiers(f))/max(t, t_tiers(0))``. Below 1
    where two channels read a little of it at the same time. 1.0 is everything in the fast tier.

    >>> slowdown(1e9, [0.0, 0.1, 0.5], 1e12, 0.1e12).tolist()
    [1.0, 1.0, 5.0]
    >>> float(slowdown(1e9, 0.1, 1e12, 0.1e12, one_path=True))
    1.9
    """
    f, work = floats(share, "share", 0, 1), floats(compute_s, "compute_s", 0)
    bytes_read, near = floats(size, "size", above=0), floats(fast, "fast", above=0)
    shares = np.stack([1.0 - f, f], axis=-1)
    rates = np.stack(np.broadcast_arrays(near, floats(slow, "slow", above=0)), axis=-1)
    mixed = tier_time(bytes_read, shares, rates, one_path=one_path)
    return np.maximum(work, mixed) / np.maximum(work, bytes_read / near)


def hidden_share(
    size: ArrayLike, fast: ArrayLike, slow: ArrayLike, compute_s: ArrayLike = 0.0, slowdown: ArrayLike = 1.0, *,
    one_path: bool = False,
) -> Floats:  # fmt: skip
    """The largest share in the slow tier with which a step is at most ``slowdown`` times as long: 1, the curve's knee.

    Up to the knee the slow tier is hidden behind the fast one (concurrent channels) or behind arithmetic; from there
    the time grows with the share. On one path without arithmetic nothing is hidden.

    >>> round(float(hidden_share(1e9, 1e12, 0.1e12)), 3), round(float(hidden_share(1e9, 1e12, 0.1e12, slowdown=1.3)), 3)
    (0.1, 0.13)
    >>> round(float(hidden_share(1e9, 1e12, 0.1e12, compute_s=2.8e-3, one_path=True)), 3)
    0.2
    """
    bytes_read, near, far = floats(size, "size", above=0), floats(fast, "fast", above=0), floats(slow, "slow", above=0)
    allowed = np.maximum(floats(compute_s, "compute_s", 0), bytes_read / near) * floats(slowdown, "slowdown", 1)
    per_byte = allowed / bytes_read  # seconds
    if not one_path:
        return np.clip(per_byte * far, 0.0, 1.0)
    # all of it at the fast rate, and what a byte in the slow tier costs on top
    more = 1.0 / far - 1.0 / near
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(more > 0, (per_byte - 1.0 / near) / more, 1.0)
    return np.clip(share, 0.0, 1.0)


def latency_bound_rate(peak: ArrayLike, outstanding: ArrayLike, line_bytes: ArrayLike, latency_s: ArrayLike) -> Floats:
    """Bytes per second that so many requests under way can draw, equation (30): ``min(W_peak, N_out z/l)``.

    64 lines of 64 bytes under way over a CXL link of 64 GB/s, at 180 ns and at 60 ns:

    >>> (latency_bound_rate(64e9, 64, 64, [180e-9, 60e-9]) / 1e9).round(2).tolist()
    [22.76, 64.0]
    """
    drawn = floats(outstanding, "outstanding", 0) * floats(line_bytes, "line_bytes", above=0)
    return np.minimum(floats(peak, "peak", above=0), drawn / floats(latency_s, "latency_s", above=0))


def outstanding_to_saturate(peak: ArrayLike, line_bytes: ArrayLike, latency_s: ArrayLike) -> Floats:
    """Requests under way that draw all of it, equation (30): ``W_peak l/z``, rounded up.

    An NVMe drive of 7 GB/s at 90 µs wants 154 requests of 4 KiB, or 3 of 256 KiB:

    >>> outstanding_to_saturate(7e9, [4096, 262144], 90e-6).tolist()
    [154.0, 3.0]
    """
    needed = floats(peak, "peak", above=0) * floats(latency_s, "latency_s", above=0)
    return np.ceil(needed / floats(line_bytes, "line_bytes", above=0))


def energy_per_byte(shares: ArrayLike, j_per_bit: ArrayLike) -> Floats:
    """Joules per byte of a mixture of tiers [..., tier], equation (38): ``8 Σ f_i e_i``.

    A tenth from CXL memory at 25 pJ/bit beside HBM at 4 costs half as much again (energies: priors of (38)):

    >>> float(energy_per_byte([0.9, 0.1], [4e-12, 25e-12]) / energy_per_byte([1.0, 0.0], [4e-12, 25e-12]))
    1.525
    """
    return 8.0 * (floats(shares, "shares", 0, 1) * floats(j_per_bit, "j_per_bit", 0)).sum(axis=-1)
