"""When a larger model costs little: by requests in flight, how large and how fast slower memory must be; (28), (31)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferatlas.decide.tiering.grown import Way, grown
from inferatlas.decide.tiering.setting import Setting
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping.memory import kv_bytes
from inferatlas.predict.performance.memories import tier_latency
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.placing import place_points
from inferatlas.predict.replicas import points_of

FLYING = (1, 4, 16, 64, 256, 1024)
TIMES = 5.0  # Sharma 2025, VIII: "models 5 to 10 times as large"
RATES = np.geomspace(1e9, 1e13, 81)  # B/s of one accelerator


def conditions(setting: Setting, way: Way, within: float, scales: Sequence[float]) -> list[dict[str, Any]]:
    """By requests in flight: the largest scale whose slowdown is within bounds, and the rate that `TIMES` needs."""
    large = [_slowdowns(setting, operators_of(setting, scale, way)) for scale in scales]
    rates = _rates_needed(setting, operators_of(setting, TIMES, way), within)
    out = []
    for i, flying in enumerate(FLYING):
        held = [scale for scale, slow in zip(scales, large, strict=True) if slow[i] <= within]
        out.append({"concurrency": flying, "model_scale": max(held, default=None), "rate_for_5x_bytes_per_s": rates[i]})
    return out


def operators_of(setting: Setting, scale: float, way: Way) -> Operators:
    """Of a model so many times as large, with no limit of context."""
    return operators(replace(grown(setting.model, scale, way), context_length=0))


def _columns(setting: Setting) -> dict[str, Any]:
    layout, load = setting.layout, setting.load
    return {
        "tp": layout.tp, "pp": layout.pp, "ep": layout.ep, "dp": layout.dp, "concurrency": list(FLYING),
        "input_tokens": load.input_tokens, "output_tokens": load.output_tokens,
    }  # fmt: skip


def _slowdowns(setting: Setting, ops: Operators) -> Floats:
    """By requests in flight, of a model in the tiers; infinite where they do not hold it."""
    points, routing = make_points(0, **_columns(setting)), setting.routing
    ideal = predict(ops, setting.boundless, points, routing=routing)
    found = predict(ops, setting.table, place_points(ops, setting.table, points, routing=routing), routing=routing)
    return np.where(found.fits, found.latency_s / ideal.latency_s, np.inf)


def _rates_needed(setting: Setting, ops: Operators, within: float) -> list[float | None]:
    """The least rate of slower memory, per accelerator, at which the model costs no more than ``within``."""
    points = make_points(0, **_columns(setting))
    ideal = predict(ops, setting.boundless, points, routing=setting.routing).latency_s
    rate = np.zeros((len(RATES), setting.table.tier_rate.shape[1]))
    rate[:, 0] = RATES / float(setting.table.dies[0])  # all of it in one tier of any size
    table = setting.at_rates(rate, room=1e18)
    # the shares that are best in between are taken for all rates
    middle = replace(points, platform=np.full(len(points), len(RATES) // 2, dtype=np.int32))
    placed = place_points(ops, table, middle, routing=setting.routing)
    many = placed[np.tile(np.arange(len(points)), len(RATES))]
    many = replace(many, platform=np.repeat(np.arange(len(RATES), dtype=np.int32), len(points)))
    found = predict(ops, table, many, routing=setting.routing)
    slow = np.where(found.fits, found.latency_s, np.inf).reshape(len(RATES), -1) / ideal
    enough = np.less_equal(slow, within)
    first, never = enough.argmax(axis=0).tolist(), np.logical_not(enough.any(axis=0)).tolist()
    return [None if out else float(RATES[k]) for k, out in zip(first, never, strict=True)]


def restoring(setting: Setting) -> list[dict[str, Any]]:
    """By tier: seconds to bring the cache of one prompt back, against computing it again, equation (31)."""
    layout, load, table = setting.layout, setting.load, setting.table
    alone = replace(load, concurrency=1, request_rate=None, output_tokens=1.0)
    again = float(predict(setting.ops, setting.boundless, points_of(alone, [layout])).ttft_s[0])
    resident = bool(table.resident[0])
    dies = setting.platform.device.engine_devices
    ranks = 1.0 if resident else layout.tp * dies
    tokens = load.input_tokens
    held = float(kv_bytes(setting.ops, ranks, layout.pp, tokens, table.bytes_kv[0], resident=resident, source=tokens))
    out = []
    for k, tier in enumerate(setting.platform.device.behind):
        late = tier_latency(tier.name) if tier.latency_s is None else tier.latency_s
        seconds = late + held / float(table.tier_rate[0, k])
        out.append(
            {
                "tier": tier.name, "tokens": tokens, "bytes_per_accelerator": held * dies,
                "restore_s": seconds, "recompute_s": again, "restoring_wins": seconds < again,
                "break_even_bytes_per_s": held * dies / again,
            }
        )  # fmt: skip
    return out
