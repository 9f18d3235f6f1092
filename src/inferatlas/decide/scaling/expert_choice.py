"""Experts and how to spread them: parameters per unit of compute, imbalance by placement, expert against tensor."""

from __future__ import annotations

from typing import Any

from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.placement import GROUPS, SPARE, Routing, by_placement, layer_load
from inferatlas.predict.performance.collectives import faster
from inferatlas.predict.performance.parallelism import ExpertLayer, Machine, expert_parallel_from
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.replicas import Layout

LINKS = (0.25, 1.0, 4.0)  # of the part's own


def _tokens(layout: Layout, batch: float, dies: int) -> float:
    """Tokens that one layer of experts sees in a step: those of every replica that shares them."""
    return batch * max(layout.ep // (layout.tp * dies), 1)


def imbalance(
    ops: Operators, layout: Layout, batch: float, routing: Routing, *, dies: int = 1
) -> dict[str, float | None]:
    """The busiest device's load over the mean, as placed and with other placements, and what spare copies weigh.

    ``dies``: devices that an engine sees per accelerator.
    """
    op = max(ops.experts, key=lambda one: one.count)
    tokens = _tokens(layout, batch, dies)
    out: dict[str, float | None] = {"imbalance": layer_load(op, tokens, layout.ep, routing).imbalance}
    for name, load in by_placement(op, tokens, layout.ep, routing).items():
        out[f"imbalance_{name}"] = load.imbalance
    out["spare_parameters"] = float(sum(one.count * one.weights for one in ops.experts) * SPARE)
    return out


def params_per_flop(ops: Operators, layout: Layout, batch: float, routing: Routing, *, dies: int = 1) -> float:
    """Parameters that the model holds per FLOP that a token costs, at the pace of the busiest device.

    0.5 for a dense model, whose every parameter takes part in a multiplication and an addition, except an input
    embedding that the output does not share: it is only looked up. For experts over several devices the FLOPs of a
    token count as often as the busiest device has more than the mean.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> from inferatlas.predict.llm.operators import operators
    >>> round(params_per_flop(operators(load_model("llama-3.1-8b")), Layout(1, 1, 1, 1), 8.0, Routing()), 2)
    0.53
    """
    parameters = count(ops.model)
    routed = sum(op.count * op.top_k * op.weights for op in ops.experts)
    dense = parameters.active_without_embedding - routed
    uneven = 1.0
    if ops.experts and layout.ep > 1:
        op = max(ops.experts, key=lambda one: one.count)
        uneven = layer_load(op, _tokens(layout, batch, dies), layout.ep, routing).imbalance
    return parameters.total / (2.0 * (dense + routed * uneven))


def table(ops: Operators, platform: Platform, platforms: PlatformTable) -> list[dict[str, Any]]:
    """From how many tokens a step expert parallelism is cheaper than tensor parallelism, equation (26).

    For the model's own experts at links of several speeds, and for others of the same total size: half and twice as
    many, half and twice the top k. ``tokens`` None: never up to 65,536.
    """
    op = max(ops.experts, key=lambda one: one.count)
    shapes = {(op.experts, op.top_k), (op.experts // 2, op.top_k), (op.experts * 2, op.top_k)}
    shapes |= {(op.experts, max(op.top_k // 2, 1)), (op.experts, op.top_k * 2)}
    rows = []
    for experts, top_k in sorted(s for s in shapes if s[1] < s[0]):
        own = (experts, top_k) == (op.experts, op.top_k)
        layer = ExpertLayer(experts, top_k, op.weights * op.experts // experts, op.hidden, float(platforms.bytes_w[0]))
        for n in (n for n in GROUPS if experts % n == 0):
            for link in LINKS if own else (1.0,):
                machine = _machine(platform, platforms, n, link)
                if machine is not None:
                    tokens = expert_parallel_from(layer, machine)
                    rows.append(
                        {"experts": experts, "top_k": top_k, "devices": n, "link": link, "tokens": tokens, "own": own}
                    )
    return rows


def _machine(platform: Platform, platforms: PlatformTable, n: int, link: float) -> Machine | None:
    """n devices of a platform at links of another speed; None where no network is known to join so many."""
    network = platform.network
    if n > network.domain and not network.scale_out:
        return None
    compute = float(platforms.grouped_efficiency[0]) / float(platforms.flop_s[0])  # products of few rows each
    memory = 1.0 / float(platforms.expert_byte_s[0])
    return Machine(n, compute, memory, network.bytes_per_s * link, network.base_s, faster(network, link))
