"""A pool that nodes share against nodes that each hold their own peak: gain, price, worth; (29), (30), (50), (51)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.decide.disaggregation.conditions import CLAIMED
from inferatlas.errors import BadInput
from inferatlas.predict.cost.ownership import PRIORS, Ownership, ownership_usd_per_hour
from inferatlas.predict.cost.pooling import (
    access_ratio,
    independent_nodes,
    nodes_for,
    pooled_share,
    pooling_gain,
    service_quantile,
    slowdown,
)

MOST_NODES = 100_000
SHOWN = 24  # points of the curve over nodes
LOCAL_LATENCY_S = 100e-9
STRANDED, SAVED = 0.25, (0.09, 0.10)  # Pond: of DRAM, at most; of a fleet's DRAM
SLOWEST = 1.0  # seconds of a remote access
USES = ("compute", "capacity")  # claims of use that a pool of such a resource would have to give


@dataclass(frozen=True)
class Pooled:
    """What a pool of ``nodes`` saves; ``curve`` from 1 node on; ``claims``: from how many nodes on each holds.

    ``saved`` is the share of the capacity that is not bought, ``net_saved`` with the slowdown by remote accesses;
    money is per node and hour, None where no price was given.
    """

    inputs: dict[str, Any]
    gain: float
    saved: float
    slowdown: float | None
    net_gain: float
    net_saved: float
    usd_per_hour_alone: float | None
    usd_per_hour_saved: float | None
    break_even_fabric_usd: float | None
    usd_per_hour_fabric: float | None
    cost_change: float | None
    curve: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas pool --format json``."""
        return asdict(self)


@dataclass(frozen=True)
class Price:
    """What a node holds alone and what the fabric adds, USD and W per node; None: not given."""

    capex_usd: float | None = None
    power_w: float = 0.0
    fabric_capex_usd: float | None = None
    fabric_power_w: float = 0.0


def pool(
    nodes: int, demand_cv: float, *, service: float = 0.99, correlation: float = 0.0,
    latency_penalty: float | None = None, local_latency: float = LOCAL_LATENCY_S, remote_share: float | None = None,
    local_bandwidth: float | None = None, remote_bandwidth: float | None = None, memory_bound: float = 1.0,
    capex: float | None = None, power: float = 0.0, fabric_capex: float | None = None,
    fabric_power: float = 0.0,
) -> Pooled:  # fmt: skip
    """Compare nodes that each hold their own peak with nodes that share a pool.

    Parameters
    ----------
    nodes : that share it. demand_cv : standard deviation of a node's demand over its mean.
    service : share of the time in which capacity suffices. correlation : of two nodes' demands, 0 to 1.
    latency_penalty : seconds by which a remote access is later than a local one; None charges nothing.
    local_latency : seconds of a local access, where the penalty is charged.
    local_bandwidth, remote_bandwidth : B/s of both, given together; without them only latencies count.
    remote_share : of the accesses; without it the share of the capacity above the mean demand.
    memory_bound : share of the time that waits for what is pooled.
    capex, power : USD and W of what one node holds alone of what is pooled.
    fabric_capex, fabric_power : USD and W per node of switches, ports and cables.

    Raises
    ------
    BadInput : a number that cannot be.

    Examples
    --------
    >>> found = pool(16, 0.6, service=0.99)
    >>> round(found.gain, 2), round(found.saved, 2), found.usd_per_hour_saved
    (1.78, 0.44, None)
    """
    _check(nodes, demand_cv, correlation, latency_penalty, local_latency, remote_share, memory_bound)
    price = Price(capex, power, fabric_capex, fabric_power)
    _check_price(price)
    _check_rates(local_bandwidth, remote_bandwidth, latency_penalty)
    z = service_quantile(service)
    counts = _counts(nodes)
    gain = pooling_gain(counts, demand_cv, z, correlation)
    share = (
        pooled_share(counts, demand_cv, z, correlation) if remote_share is None else np.full(len(counts), remote_share)
    )
    share = np.where(counts == 1, 0.0, share)  # nothing is remote to a node alone
    slower = None
    if latency_penalty is not None:
        slower = slowdown(
            share, access_ratio(local_latency, latency_penalty, local_bandwidth, remote_bandwidth), memory_bound
        )  # fmt: skip
    net = gain if slower is None else gain / slower
    money = _money(price, net, counts > 1)
    rows = [
        {
            "nodes": int(n), "gain": float(gain[i]), "saved": 1.0 - 1.0 / float(gain[i]),
            "remote_share": float(share[i]), "slowdown": None if slower is None else float(slower[i]),
            "net_gain": float(net[i]), "net_saved": 1.0 - 1.0 / float(net[i]),
            **{name: None if column is None else float(column[i]) for name, column in money.items()},
        }
        for i, n in enumerate(counts)
    ]  # fmt: skip
    last = rows[-1]
    return Pooled(
        inputs={
            "nodes": nodes, "demand_cv": demand_cv, "service": service, "z": z, "correlation": correlation,
            "latency_penalty_s": latency_penalty, "local_latency_s": local_latency, "remote_share": remote_share,
            "local_bytes_per_s": local_bandwidth, "remote_bytes_per_s": remote_bandwidth,
            "memory_bound": memory_bound, **asdict(price),
            "independent_nodes": float(independent_nodes(nodes, correlation)),
        },
        **{name: last[name] for name in ("gain", "saved", "slowdown", "net_gain", "net_saved", *money)},
        curve=rows, claims=_claims(demand_cv, z, correlation, last["cost_change"]),
        assumptions=_assumptions(latency_penalty, remote_share, price),
    )  # fmt: skip


def _money(price: Price, net: np.ndarray, shared: np.ndarray) -> dict[str, np.ndarray | None]:
    """Per node and hour: alone, saved, fabric; the fabric's capex at which nothing is saved. One node needs none."""
    names = ("usd_per_hour_alone", "usd_per_hour_saved", "break_even_fabric_usd", "usd_per_hour_fabric", "cost_change")
    if price.capex_usd is None:
        return dict.fromkeys(names)
    alone = float(ownership_usd_per_hour(Ownership(price.capex_usd, price.power_w, price.power_w)))
    saved = alone * (1.0 - 1.0 / net)
    running = shared * float(ownership_usd_per_hour(Ownership(0.0, price.fabric_power_w, price.fabric_power_w)))
    per_dollar = float(ownership_usd_per_hour(Ownership(1.0, 0.0, 0.0)))
    fabric = None
    if price.fabric_capex_usd is not None:
        fabric = running + shared * per_dollar * price.fabric_capex_usd
    return {
        "usd_per_hour_alone": np.full(len(net), alone), "usd_per_hour_saved": saved,
        "break_even_fabric_usd": (saved - running) / per_dollar, "usd_per_hour_fabric": fabric,
        "cost_change": None if fabric is None or alone == 0 else (fabric - saved) / alone,
    }  # fmt: skip


def _claims(cv: float, z: float, correlation: float, cost_change: float | None) -> list[dict[str, Any]]:
    """From how many nodes on the claimed changes of use follow from (50); the cost where a fabric has a price."""
    out: list[dict[str, Any]] = []
    for name in USES:
        ends = [float(nodes_for(1.0 + change, cv, z, correlation)) for change in CLAIMED[name]]
        low, high = (int(np.ceil(round(end, 6))) if np.isfinite(end) else None for end in ends)
        out.append(
            {
                "claim": name, "low": CLAIMED[name][0], "high": CLAIMED[name][1], "nodes_low": low,
                "nodes_high": high, "found": None,
            }
        )  # fmt: skip
    low, high = CLAIMED["cost_per_request"]
    out.append({"claim": "cost", "low": low, "high": high, "nodes_low": None, "nodes_high": None, "found": cost_change})
    return out


def _counts(nodes: int) -> np.ndarray:
    """Every number of nodes up to `SHOWN`, or so many of them spread evenly in the logarithm."""
    if nodes <= SHOWN:
        return np.arange(1, nodes + 1)
    return np.unique(np.round(np.geomspace(1, nodes, SHOWN)).astype(int))


def _assumptions(penalty: float | None, share: float | None, price: Price) -> list[str]:
    out = [
        "demands of nodes are normal, alike, and correlate alike by pairs; capacity can be divided freely (50)",
        "a pool saves what is not bought; what is bought but idle costs the same",
    ]
    if penalty is None:
        out.append("no latency penalty was given: remote accesses are not charged (Pond: 70 to 90 ns over local DRAM)")
    else:
        out.append(
            "a remote access takes the local latency and the penalty, one by one (29), or the ratio of the "
            "bandwidths if that is worse (30): prefetching hides some of it; whatever runs slower needs so much more "
            "of the pool"
        )
        if share is None:
            out.append("each node keeps its mean demand; what is above it is remote, and is used as often as the rest")
    if price.capex_usd is None:
        out.append("no price of what is pooled was given: what a fabric may cost is unknown")
    else:
        out += [
            f"{name.replace('_', ' ')}: {prior.value:g} {prior.unit} ({prior.source})"
            for name, prior in PRIORS.items()
            if prior.value
        ]
    out.append(
        f"literature, for comparison: up to {STRANDED:.0%} of DRAM stranded, {SAVED[0]:.0%} to {SAVED[1]:.0%} of a "
        "fleet's DRAM saved by pools of 8 to 16 sockets (Pond, ASPLOS 2023, by title)"
    )
    return out


def _check(
    nodes: int, cv: float, correlation: float, penalty: float | None, local: float, share: float | None, bound: float
) -> None:
    if not 1 <= nodes <= MOST_NODES or nodes != int(nodes):
        raise BadInput(f"{nodes} nodes", field="nodes", allowed=f"a whole number, 1 to {MOST_NODES:,}")
    if not 0 <= cv <= 100:
        raise BadInput(f"{cv!r} is not a coefficient of variation", field="demand_cv", allowed="0 to 100")
    if not 0 <= correlation <= 1:
        raise BadInput(f"{correlation!r} is not a correlation of nodes", field="correlation", allowed="0 to 1")
    if penalty is not None and not 0 <= penalty <= SLOWEST:
        raise BadInput(f"{penalty!r} s", field="latency_penalty", allowed="0 to 1 s")
    if not 0 < local <= SLOWEST:
        raise BadInput(f"{local!r} s", field="local_latency", allowed="above 0 and up to 1 s")
    for name, value in (("remote_share", share), ("memory_bound", bound)):
        if value is not None and not 0 <= value <= 1:
            raise BadInput(f"{value!r} is not a share", field=name, allowed="0 to 1")


def _check_rates(local: float | None, remote: float | None, penalty: float | None) -> None:
    for name, value in (("local_bandwidth", local), ("remote_bandwidth", remote)):
        if value is not None and not 0 < value <= 1e18:
            raise BadInput(f"{value!r} B/s", field=name, allowed="above 0 and up to 1e18 B/s")
    if (local is None) != (remote is None) or (local is not None and penalty is None):
        allowed = "both bandwidths together with a latency penalty (0 ns for none)"
        raise BadInput("says too little of the pool", field="remote_bandwidth", allowed=allowed)


def _check_price(price: Price) -> None:
    names = {
        "capex_usd": "capex",
        "power_w": "power",
        "fabric_capex_usd": "fabric_capex",
        "fabric_power_w": "fabric_power",
    }
    for attribute, field in names.items():
        value = getattr(price, attribute)
        if value is not None and not 0 <= value <= 1e12:
            raise BadInput(f"{value!r} is no amount", field=field, allowed="0 to 1e12")
    if price.capex_usd is None and (price.fabric_capex_usd is not None or price.power_w or price.fabric_power_w):
        raise BadInput("needs the price of what is pooled", field="fabric_capex", allowed="--capex with it")
