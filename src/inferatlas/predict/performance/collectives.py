"""Time of collective operations, equations (19) and (21) to (24) of the performance model.

Every topology is brought to one law, ``t = (latency^q + (V*s)^q)^(1/q)``: a latency in seconds and
seconds per byte of the full tensor V for a group of n devices. So a million points with different
machines need one expression. What the references print, topology by topology, is in `handbook/collectives.py`, and
tests hold the law against it; the two plain forms here stand in where no real network is given (`parallelism.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats

OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


def volume(op: str, n: int) -> float:
    """Bytes that each device of a ring sends per byte of the full tensor, equation (19)."""
    return (2.0 if op == "all_reduce" else 1.0) * (n - 1) / n


MEASURED = 8  # devices, up to which the laws of switches were fitted (21)


def steps(op: str, n: int) -> int:
    """Messages of a ring that follow one another, equation (19)."""
    return (2 if op == "all_reduce" else 1) * (n - 1)


def serial_steps(op: str, n: int, measured: int = 1) -> float:
    """The same where the faster of ring (19) and tree (20) is taken; up to ``measured`` devices a law is of rings.

    Beyond what was measured an all-reduce grows as a tree over rings, ``2 log2(n/measured)``.

    >>> serial_steps("all_reduce", 4), serial_steps("all_reduce", 64), serial_steps("all_reduce", 64, 8)
    (4.0, 12.0, 20.0)
    """
    ringed = float(steps(op, n))
    if op != "all_reduce" or n <= measured:
        return ringed
    return min(ringed, steps(op, measured) + 2.0 * math.log2(n / measured))


def ring(op: str, n: int, size: ArrayLike, alpha_s: float, bytes_per_s: float) -> Floats:
    """Ring algorithm, equation (19): AR ``2(n-1)α + 2(n-1)/n V/W``, AG and RS half of both.

    ``size`` is the full tensor in bytes, ``bytes_per_s`` the injection bandwidth of one direction.

    >>> round(float(ring("all_reduce", 8, 16 * 2**20, 1e-6, 450e9)) * 1e6, 2)
    79.24
    """
    return steps(op, n) * alpha_s + volume(op, n) * np.asarray(size, dtype=np.float64) / bytes_per_s


def switch_all_to_all(
    n: int, per_device: ArrayLike, alpha_s: float, bytes_per_s: float, *, pipelined: bool = True,
    oversubscription: float = 1.0,
) -> Floats:  # fmt: skip
    """Equation (22): one α if pipelined else n-1 of them, plus ``V_dev/W`` times the oversubscription."""
    latency = alpha_s if pipelined else (n - 1) * alpha_s
    return latency + np.asarray(per_device, dtype=np.float64) * oversubscription / bytes_per_s


@dataclass(frozen=True, slots=True)
class Network:
    """What the law needs of a device's network: fixed and per-step latency, link share reached, exponent.

    ``bytes_per_s`` one direction of the scale-up links, ``scale_out`` of the NICs (None: unknown),
    ``domain`` devices on the scale-up network, ``default_scale_out`` assumed for hops where none is known.
    ``fitted`` holds constants measured per operation (equation (21)) where there are any:
    {op: (a0_s, a1_s, bytes_per_s, q)}.
    """

    topology: str
    bytes_per_s: float
    scale_out: float | None
    domain: int
    base_s: float
    step_s: float
    efficiency: float
    q: float
    scale_out_s: float
    default_scale_out: float
    fitted: dict[str, tuple[float, float, float, float]] | None = None


def group_cost(network: Network, op: str, n: int, stride: int = 1) -> tuple[float, float, float]:
    """Latency (s), seconds per byte of the full tensor and exponent q for a group of n devices.

    Groups beyond the scale-up domain work in two levels: inside each domain, then between domains over
    the NICs with 1/n_local of the data each. ``stride``: devices from one member to the next.

    Raises
    ------
    BadInput : the group leaves the domain and the catalogue knows no scale-out bandwidth.
    """
    if n <= 1:
        return 0.0, 0.0, 1.0
    if n * stride > network.domain:
        if not network.scale_out:
            raise BadInput(
                f"a group of {n * stride} leaves the scale-up domain of {network.domain} and the scale-out bandwidth "
                "is unknown",
                field="tp",
                allowed=f"groups of up to {network.domain}",
            )
        local = math.gcd(n, max(network.domain // stride, 1))
        latency, per_byte, q = group_cost(network, op, local, stride)
        nodes = math.ceil(n / local)
        outer = volume(op, nodes) / (local if op != "all_to_all" else 1) / (network.scale_out * network.efficiency)
        return latency + network.scale_out_s * serial_steps(op, nodes), per_byte + outer, q
    if network.fitted and op in network.fitted:
        a0, a1, width, q = network.fitted[op]
        return a0 + a1 * serial_steps(op, n, MEASURED), volume(op, n) / width, q
    width = network.bytes_per_s * network.efficiency
    if network.topology == "full_mesh" and network.domain > 1:
        width *= (n - 1) / (network.domain - 1)  # a smaller group reaches only the links to its peers
    hops, per_byte = _shape_cost(network.topology, op, n)
    return network.base_s + network.step_s * hops, per_byte / width, network.q


def law_time(network: Network, op: str, n: int, size: ArrayLike) -> Floats:
    """Seconds of one collective of ``size`` bytes on a group of n: the law of `group_cost`."""
    latency, per_byte, q = group_cost(network, op, n)
    moved = np.asarray(size, dtype=np.float64) * per_byte
    return (latency**q + moved**q) ** (1.0 / q) if latency > 0 else moved


def faster(network: Network, factor: float) -> Network:
    """The same network with links of another speed."""
    fitted = network.fitted and {op: (a0, a1, w * factor, q) for op, (a0, a1, w, q) in network.fitted.items()}
    out = network.scale_out and network.scale_out * factor
    return replace(network, bytes_per_s=network.bytes_per_s * factor, scale_out=out, fitted=fitted)


def hop_cost(network: Network, *, across: bool) -> tuple[float, float, float]:
    """Latency, seconds per byte of the message and exponent of one send to a neighbour; ``across`` domains.

    Where the catalogue knows no scale-out bandwidth, the prior of `priors.json` stands in (and answers say so).
    """
    if across or network.domain < 2:
        rate = network.scale_out or network.default_scale_out
        return network.scale_out_s, 1.0 / (rate * network.efficiency), 1.0
    latency, per_byte, q = group_cost(network, "all_gather", 2)
    return latency, 2.0 * per_byte, q  # in an all-gather of two, each sends half of the tensor


def _shape_cost(topology: str, op: str, n: int) -> tuple[float, float]:
    """Serial steps and bytes sent per byte of tensor, relative to all links of a device in one direction."""
    double = 2 if op == "all_reduce" else 1
    if topology in ("torus2d", "torus3d"):
        shape = grid(n, 2 if topology == "torus2d" else 3)
        hops = sum(math.ceil(side / 2) for side in shape if side > 1)
        used = sum(1 for side in shape if side > 1) / len(shape)  # axes that this slice has
        if op == "all_to_all":  # bisection bound, one link of the 2k links of a device
            return hops, max(shape) * len(shape) / 4.0
        return double * hops, double / used
    if topology == "mesh2d":
        side = max(grid(n, 2))
        if op == "all_to_all":  # twice the bisection bound of the torus
            return 2 * (side - 1), float(side)
        # W_edge is one of the four edges of a device
        return (4 * (side - 1) if double == 2 else 2 * (side - 1)), 4.0 * double
    if topology in ("ring", "pipeline"):
        return steps(op, n), (n / 4.0 if op == "all_to_all" else volume(op, n))
    if topology == "full_mesh":
        return (2 if double == 2 else 1), volume(op, n)
    if topology == "dragonfly":
        return 3 * double, volume(op, n)
    return serial_steps(op, n, MEASURED), volume(op, n)  # switch, pcie


def grid(n: int, dimensions: int) -> tuple[int, ...]:
    """The most even factorisation of n into a given number of sides, largest first.

    >>> grid(64, 3), grid(8, 2), grid(7, 2)
    ((4, 4, 4), (4, 2), (7, 1))
    """
    if dimensions == 1:
        return (n,)
    best = (n,) + (1,) * (dimensions - 1)
    for side in range(1, n + 1):
        if n % side == 0:
            rest = grid(n // side, dimensions - 1)
            shape = tuple(sorted((side, *rest), reverse=True))
            if max(shape) < max(best):
                best = shape
    return best
