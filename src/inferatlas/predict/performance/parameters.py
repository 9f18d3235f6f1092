"""A device's parameters as columns of the platform table: scaled for what-if questions, or seeded for derivatives.

Each parameter enters predictions through the columns that `PARAMETERS` names, to the power given there: twice the
compute halves the seconds per FLOP. `log_derivatives` runs the predictor once with all of them as directions.
`energy_kept` says what more of a part does to the rating, where a FLOP and a byte take the energy that they took (39).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.dual import Dual
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import constant
from inferatlas.predict.performance.speculation import Speculation

# parameter -> {column of `PlatformTable`: power of the parameter in it}
PARAMETERS: dict[str, dict[str, int]] = {
    "compute": {"flop_s": -1, "flop_s_wide": -1, "vector_flop_s": -1},
    "memory_bandwidth": {"byte_s": -1, "cache_byte_s": -1, "expert_byte_s": -1},
    "memory_capacity": {"capacity": 1},
    "link_bandwidth": {"network_byte_scale": -1, "hop_byte_scale": -1},
    "link_latency": {"network_scale": 1, "hop_scale": 1},
    "tier_bandwidth": {"offload_s": -1, "tier_rate": 1},
    "tier_latency": {"tier_latency": 1},
    "tier_capacity": {"tier_bytes": 1},
    "kernel_overhead": {"kernel_s": 1, "prefill_kernel_s": 1, "layer_s": 1, "routing_s": 1},
    "host_overhead": {"step_s": 1, "sequence_s": 1},
    "request_overhead": {"request_s": 1, "prompt_token_s": 1},
    "rated_power": {"rated_w": 1},
    "idle_power": {"idle_w": 1},
}
# +1: a time; -1: a rate. All times together set the scale of every predicted time.
TIMES = {
    "compute": -1, "memory_bandwidth": -1, "link_bandwidth": -1, "link_latency": 1, "tier_bandwidth": -1,
    "tier_latency": 1,
    "kernel_overhead": 1, "host_overhead": 1, "request_overhead": 1,
}  # fmt: skip
PREDICTED = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w")


def scaled(table: PlatformTable, factors: Mapping[str, Any]) -> PlatformTable:
    """The same platforms with parameters so many times as large; a factor is a number or an array of one a platform.

    Examples
    --------
    >>> from inferatlas.predict.platforms import bind
    >>> from inferatlas.predict.performance.platform_table import platform_table
    >>> table = platform_table([bind("h100")])
    >>> float(scaled(table, {"compute": 2.0}).flop_s[0] / table.flop_s[0])
    0.5
    """
    columns = {
        column: (
            getattr(table, column).T * np.asarray(factor, dtype=np.float64) ** power
        ).T  # of tiers: [platform, tier]
        for name, factor in factors.items()
        for column, power in PARAMETERS[name].items()
    }
    return replace(table, **columns)


def seeded(table: PlatformTable, parameters: Mapping[str, Mapping[str, Any]]) -> PlatformTable:
    """The table with derivatives by the logarithm of each parameter; one more direction is that of roots (`dual`)."""
    # bytes always carry derivatives: `predict` asks them which kind of number to answer in
    moved = {"byte_s", *(column for powers in parameters.values() for column in powers)}
    columns = {
        name: Dual(value := getattr(table, name), np.zeros((len(parameters) + 1, *value.shape))) for name in moved
    }
    for place, powers in enumerate(parameters.values()):
        for column, power in powers.items():
            value = columns[column].value  # a memory without end stays so
            columns[column].tangent[place] = np.where(np.isfinite(value), power * value, 0.0)
    return replace(table, **cast("dict[str, Any]", columns))


def log_derivatives(
    ops: Operators, table: PlatformTable, points: Points, parameters: Mapping[str, Mapping[str, Any]] = PARAMETERS,
    speculation: Speculation | None = None,
) -> dict[str, dict[str, Floats]]:  # fmt: skip
    """Elasticities ``d ln(metric)/d ln(parameter)`` of every point, by metric and parameter; exact, one pass.

    NaN where a metric is unknown or a point infeasible. At a kink (a bound that just binds) the derivative is that of
    one side; whole numbers (sequences that fit, compiled batches) have none. Idle power that nobody publishes moves
    with the rating; what unpacking a packed cache takes, relative to reading it, is taken as it is.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> from inferatlas.predict.llm.operators import operators
    >>> from inferatlas.predict.performance.platform_table import platform_table
    >>> from inferatlas.predict.performance.points import make_points
    >>> from inferatlas.predict.platforms import bind
    >>> ops, table = operators(load_model("llama-3.1-8b")), platform_table([bind("h100")])
    >>> found = log_derivatives(ops, table, make_points(0, concurrency=1, input_tokens=128, output_tokens=128))
    >>> bool(-1 < found["itl_s"]["memory_bandwidth"][0] < -0.5)
    True
    """
    found = predict(ops, seeded(table, parameters), points, speculation=speculation)
    out: dict[str, dict[str, Floats]] = {}
    for metric in PREDICTED:
        column: Any = getattr(found, metric)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = column.tangent / column.value
        out[metric] = dict(zip(parameters, relative, strict=False))  # the last direction is that of roots
    return out


def idle_fixed(table: PlatformTable) -> PlatformTable:
    """The table with the idle power that predictions assume where none is published, so that no rating moves it."""
    assumed = constant("power", "idle_share") * table.rated_w
    return replace(table, idle_w=np.where(np.isnan(table.idle_w), assumed, table.idle_w))


def energy_kept(table: PlatformTable, compute: Floats | float, memory: Floats | float) -> PlatformTable:
    """Power of platforms with so many times the compute and memory bandwidth, energy per FLOP and byte as it was.

    The floor draws what it drew, the other shares of (39) grow with their part, and the rating keeps its ratio to what
    all of them at once would draw. Idle power stays. Only columns of power change; `scaled` does the rest.
    """
    m, c = table.power_memory * memory, table.power_compute * compute
    growth = (table.power_floor + m + c) / (table.power_floor + table.power_memory + table.power_compute)
    return replace(
        idle_fixed(table), rated_w=table.rated_w * growth, power_floor=table.power_floor / growth,
        power_memory=m / growth, power_compute=c / growth,
    )  # fmt: skip


def parameters_with_watts(table: PlatformTable) -> dict[str, dict[str, Any]]:
    """Compute and memory bandwidth as directions in which `energy_kept` holds; for a table with `idle_fixed`."""
    whole = table.power_floor + table.power_memory + table.power_compute
    found: dict[str, dict[str, Any]] = {}
    for name, own in (("compute", "power_compute"), ("memory_bandwidth", "power_memory")):
        grows = getattr(table, own) / whole  # of the rating, per relative change of the parameter
        shares: dict[str, Any] = dict.fromkeys(("power_floor", "power_memory", "power_compute"), -grows)
        found[name] = PARAMETERS[name] | shares | {own: 1.0 - grows, "rated_w": grows}
    return found
