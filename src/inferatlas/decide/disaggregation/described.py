"""Pools and fleets in plain numbers: layouts, what users see, what is in use, what it costs and draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from inferatlas.decide.disaggregation.mixed import Fleet
from inferatlas.decide.disaggregation.rates import Settings
from inferatlas.decide.disaggregation.sides import Side
from inferatlas.decide.disaggregation.splits import Operation, Pair, Splits
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.pools import Uses, pool_uses, prefill_points, served_uses, undisturbed
from inferatlas.predict.performance.predictor import predict

USES = ("compute", "bandwidth", "capacity")


def pool_words(pair: Pair, it: Splits, now: Operation, rate: float, asked: Settings) -> dict[str, dict[str, Any]]:
    """Both pools of one split at a rate; ``power_w`` and ``usd_per_hour`` of the whole pool."""
    out = {}
    ends = (
        ("prefill", pair.prefill, it.prefill_unit, it.prefill_copies, now.prefill),
        ("decode", pair.decode, it.decode_unit, it.decode_copies, now.decode),
    )
    for name, side, unit, copies, pool in ends:
        points = side.points(unit, 0, rate / copies, asked.isl[it.s], asked.osl[it.s], asked.cv)
        table = side.table
        if name == "prefill":
            points, table = prefill_points(points), undisturbed(table)
        uses = pool_uses(pair.ops, table, points, pool)
        u, n = int(unit[0]), int(copies[0])
        out[name] = {
            **_named(side, int(side.units.size[u]) * n), "layout": asdict(side.units.layout(u, n)),
            "requests_per_s": float(pool.fastest[0]) * n, "duty": float(pool.duty[0]), "batch": float(pool.batch[0]),
            "power_w": _known(float(pool.power_w[0]) * n), "uses": _shares(uses),
        }  # fmt: skip
    out["prefill"] |= {"prompt_s": float(now.prefill.prompt_s[0]), "ttft_s": float(now.prefill.ttft_s[0])}
    out["decode"] |= {"itl_s": float(now.decode.itl_s[0]), "wait_s": float(now.decode.wait_s[0])}
    return out


def fleet_words(ops: Operators, asked: Settings, fleet: Fleet) -> dict[str, Any]:
    """A mixed fleet at its largest rate under the first setting; latencies are those of the share that is slower."""
    parts, watts, dollars = [], [], []
    seen: dict[str, list[float]] = {"ttft_s": [], "itl_s": []}
    first = np.zeros(1, dtype=np.int32)
    for share in fleet.shares:
        side, unit, n = share.side, share.unit[:1], int(share.copies[0])
        own = float(share.rate[0, 0])
        if n == 0 or own <= 0:
            continue
        points = side.points(unit, 0, np.array([own / n]), asked.isl[first], asked.osl[first], asked.cv)
        answers = predict(ops, side.table, points, checked=True)
        for name, values in seen.items():
            values.append(float(getattr(answers, name)[0]))
        parts.append(
            {
                **_named(side, share.count), "layout": asdict(side.units.layout(int(unit[0]), n)),
                "request_rate": own, "uses": _shares(served_uses(ops, side.table, points, answers)),
            }
        )  # fmt: skip
        watts.append(_known(float(answers.power_w[0]) * n))
        dollars.append(parts[-1]["usd_per_hour"])
    return {
        "fleet": fleet.name, "parts": parts, "power_w": total(watts), "usd_per_hour": total(dollars),
        **{name: max(values) for name, values in seen.items()},
    }  # fmt: skip


def usage(
    pair: Pair, pools: Sequence[dict[str, Any]], fleet: dict[str, Any] | None
) -> dict[str, dict[str, float | None]]:
    """Shares in use of all peak compute, memory bandwidth and memory: in a mixed fleet, and split; ``change`` of it."""
    sides = {side.platform.device.id: side for side in (pair.prefill, pair.decode)}
    out: dict[str, dict[str, float | None]] = {}
    for use in USES:
        after = _weighed(use, pools, sides)
        before = _weighed(use, fleet["parts"], sides) if fleet else None
        out[use] = {"before": before, "after": after, "change": after / before - 1.0 if before else None}
    return out


def _weighed(use: str, parts: Sequence[dict[str, Any]], sides: dict[str, Side]) -> float:
    """Mean over accelerators, each by what it could do."""
    weights = [one["count"] * _peak(use, sides[one["accelerator"]]) for one in parts]
    return float(sum(w * one["uses"][use] for w, one in zip(weights, parts, strict=True)) / sum(weights))


def _peak(use: str, side: Side) -> float:
    if use == "compute":
        return side.platform.peak_flop_per_s
    memory = side.platform.device.memory
    return float(memory.bytes_per_s or 0.0) if use == "bandwidth" else memory.bytes


def _named(side: Side, count: int) -> dict[str, Any]:
    platform = side.platform
    price = side.money.usd_per_hour
    return {
        "accelerator": platform.device.id, "count": count, "engine": platform.engine.name,
        "weights": platform.precision.weights, "kv_cache": platform.precision.kv_cache,
        "usd_per_hour": None if price is None else price * count,
    }  # fmt: skip


def _shares(uses: Uses) -> dict[str, float]:
    return {name: float(getattr(uses, name)[0]) for name in USES}


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def total(values: Sequence[float | None]) -> float | None:
    """The sum; None where one of them is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
