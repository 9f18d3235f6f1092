"""What is between and around the pools of a fleet: the link that carries caches, and failures of replicas."""

from __future__ import annotations

from math import isfinite

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.question import Asked
from inferatlas.simulate.deployment import Deployment, Failures, LinkAsked
from inferatlas.simulate.fleet import Fault, Link, Pool
from inferatlas.workload.seeds import random_stream

MOST_FAULTS = 100_000  # of one run; more is a mean time of failure that no machine has


def link_of(
    given: LinkAsked | None, pools: tuple[Pool, ...], asks: list[list[Asked | None]], notes: list[str]
) -> Link | None:
    """As given, or the network ports of the slower side: one replica's for a transfer, all of them together."""
    if all(pool.role == "both" for pool in pools):
        return None
    given = given or LinkAsked()
    ports: dict[str, list[tuple[float, float]]] = {"prefill": [], "decode": []}
    latency, ops = 0.0, None
    for pool, row in zip(pools, asks, strict=True):
        one = next(one for one in row if one is not None)
        if pool.role == "both":
            continue
        network = one.platform.network
        port = (network.scale_out or network.default_scale_out) * network.efficiency * pool.law.accelerators
        ports[pool.role].append((port, port * pool.replicas))
        if network.scale_out is None and given.bytes_per_s is None:
            notes.append(f"{pool.name}: no network port is published: {network.default_scale_out / 1e9:g} GB/s assumed")
        if pool.role == "prefill":
            latency, ops = max(latency, network.scale_out_s), one.ops
    lane = min(port for side in ports.values() for port, _ in side)
    total = min(sum(all_of for _, all_of in side) for side in ports.values())
    rate = given.bytes_per_s or total
    lane = given.lane_bytes_per_s or (given.bytes_per_s or lane)
    if given.bytes_per_s is None:
        notes.append(f"between pools: {rate / 1e9:.3g} GB/s in all, {lane / 1e9:.3g} GB/s a transfer (network ports)")
    return Link(
        rate, lane, latency if given.latency_s is None else given.latency_s, _layers(ops) if given.overlap else 0,
        "prefill" if given.first_token == "prefill" else "decode",
    )  # fmt: skip


def _layers(ops: Operators | None) -> int:
    return ops.layers if ops is not None else 0


def faults_of(
    deployment: Deployment, pools: tuple[Pool, ...], seed: int, horizon_s: float, notes: list[str]
) -> tuple[Fault, ...]:
    """Those that are given, or random ones; all pipeline stages of a replica fail together."""
    most = [max(pool.replicas, pool.scaling.most if pool.scaling else 0) for pool in pools]
    lanes = [pool.law.lanes for pool, many in zip(pools, most, strict=True) for _ in range(many)]
    first = np.concatenate(([0], np.cumsum(lanes))).astype(int)
    if isinstance(deployment.faults, Failures):
        faults = sampled(deployment.faults, len(lanes), seed, horizon_s)
        notes.append(f"{len(faults)} failures drawn for {horizon_s:.3g} s")
    else:
        faults = deployment.faults
    if any(not 0 <= one.replica < len(lanes) for one in faults):
        raise BadInput("no such replica", field="faults", allowed=f"0 to {len(lanes) - 1}")
    return tuple(
        Fault(one.at_s, int(first[one.replica]) + lane, one.for_s)
        for one in faults for lane in range(lanes[one.replica])
    )  # fmt: skip


def sampled(given: Failures, replicas: int, seed: int, horizon_s: float) -> tuple[Fault, ...]:
    """Failures of each replica up to a time: exponential intervals between a repair and the next, and repairs.

    Examples
    --------
    >>> faults = sampled(Failures(1000.0, 10.0), 4, 1, 100_000.0)
    >>> 300 < len(faults) < 500, {fault.replica for fault in faults} == {0, 1, 2, 3}
    (True, True)
    """
    expected = replicas * horizon_s / (given.mtbf_s + given.mttr_s)
    if not isfinite(expected) or expected > MOST_FAULTS:
        message = f"{expected:.3g} failures in {horizon_s:.3g} s"
        raise BadInput(message, field="faults", allowed=f"up to {MOST_FAULTS:,}")
    random, faults = random_stream(seed, "faults"), []
    for replica in range(replicas):
        at = random.exponential(given.mtbf_s)
        while at < horizon_s:
            repair = random.exponential(given.mttr_s)
            faults.append(Fault(float(at), replica, float(repair)))
            at += repair + random.exponential(given.mtbf_s)
    return tuple(sorted(faults, key=lambda one: one.at_s))
