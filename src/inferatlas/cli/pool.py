"""``inferatlas pool``: what nodes save that share memory or accelerators, and what the sharing may cost."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Token

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import COST, DEPLOYMENT, WORKLOAD, flag, integer


def _unit(unit: str, field: str):
    def read(_: Any, tokens: tuple[Token, ...]) -> float:
        from inferatlas.quantities import parse

        return parse(tokens[0].value, unit, field=field)

    return read


def measured(help: str, group: flags.Group, unit: str, field: str):
    """A flag that takes a number with its unit."""
    return flag(help, group, converter=_unit(unit, field), n_tokens=1)


def pool(
    *,
    nodes: Annotated[int, integer("Nodes that share the pool.", DEPLOYMENT)],
    demand_cv: Annotated[float, flag("Standard deviation of a node's demand over its mean.", WORKLOAD)],
    service: Annotated[float, flag("Share of the time in which capacity suffices.", WORKLOAD)] = 0.99,
    correlation: Annotated[float, flag("Correlation of the demands of two nodes, 0 to 1.", WORKLOAD)] = 0.0,
    latency_penalty: Annotated[
        float | None,
        measured(
            "By how much a remote access is later: 80ns; not charged without it.", DEPLOYMENT, "s", "latency_penalty"
        ),
    ] = None,
    local_latency: Annotated[float, measured("Latency of a local access.", DEPLOYMENT, "s", "local_latency")] = 100e-9,
    local_bandwidth: Annotated[
        float | None, measured("Bandwidth of local accesses: 300GB/s.", DEPLOYMENT, "B/s", "local_bandwidth")
    ] = None,
    remote_bandwidth: Annotated[
        float | None, measured("Bandwidth of remote accesses: 64GB/s.", DEPLOYMENT, "B/s", "remote_bandwidth")
    ] = None,
    remote_share: Annotated[
        float | None, flag("Share of remote accesses; default: of the capacity above the mean demand.", DEPLOYMENT)
    ] = None,
    memory_bound: Annotated[float, flag("Share of the time that waits for what is pooled.", WORKLOAD)] = 1.0,
    capex: Annotated[float | None, flag("USD of what a node alone holds of what is pooled.", COST)] = None,
    power: Annotated[float, measured("Power of it: 100W.", COST, "W", "power")] = 0.0,
    fabric_capex: Annotated[float | None, flag("USD per node of switches, ports and cables.", COST)] = None,
    fabric_power: Annotated[float, measured("Power of them per node: 20W.", COST, "W", "fabric_power")] = 0.0,
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:  # fmt: skip
    """Gain of a pool over nodes that each hold their own peak, over the number of nodes, and its break-even cost."""
    from inferatlas.decide.disaggregation.pool import pool as compare
    from inferatlas.show.pooling import pooling_html, pooling_page, pooling_rows

    sink = Sink(out)
    found = compare(
        nodes,
        demand_cv,
        service=service,
        correlation=correlation,
        latency_penalty=latency_penalty,
        local_latency=local_latency,
        local_bandwidth=local_bandwidth,
        remote_bandwidth=remote_bandwidth,
        remote_share=remote_share,
        memory_bound=memory_bound,
        capex=capex,
        power=power,
        fabric_capex=fabric_capex,
        fabric_power=fabric_power,
    )
    sink.put(found, rows=pooling_rows, page=pooling_page, html=pooling_html)
    return 0
