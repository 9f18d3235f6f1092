"""The longest context of one request that main memory and tiers hold together, and what reaching for it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from inferatlas.decide.tiering.setting import Setting
from inferatlas.predict.arrays import Floats
from inferatlas.predict.mapping.memory import kv_bytes
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.replicas import points_of

LONGEST = 2.0**40  # tokens; beyond, a context has no limit worth stating
ANSWER = 64  # tokens that are generated at the end of it


@dataclass(frozen=True, slots=True)
class Contexts:
    """``tokens`` of one request; ``slowdown`` of its decoding over that in a main memory without end, if modelled."""

    tokens: int
    slowdown: float | None


def longest_contexts(setting: Setting, slower_bytes: float) -> Contexts:
    """Of the model asked about, with so many bytes of slower memory in the whole deployment, equation (32).

    Weights stay in main memory as far as they fit; the cache takes what is left there and all of the slower memory.
    """
    layout, table, ops = setting.layout, setting.table, setting.ops
    one = replace(setting.load, concurrency=1, request_rate=None)
    budget = budget_of(ops, table, points_of(one, [layout]))
    per_device = slower_bytes / (layout.count * setting.platform.device.engine_devices)
    taken = budget.weights + budget.activations + budget.reserve
    room = float((budget.usable - taken)[0]) + per_device
    if room <= 0:
        return Contexts(0, None)
    tokens = _solved(setting, room)
    main = max(float((budget.usable - taken)[0]), 0.0)
    return Contexts(tokens, _slowdown(setting, tokens, 1.0 - min(main / room, 1.0)))


def _solved(setting: Setting, room: float) -> int:
    """The most tokens whose cache takes no more than ``room`` bytes of one engine device; it grows with the tokens."""
    layout, table = setting.layout, setting.table
    resident = bool(table.resident[0])
    ranks = 1.0 if resident else layout.tp * setting.platform.device.engine_devices

    def held(tokens: Floats) -> Floats:
        return kv_bytes(
            setting.ops, ranks, layout.pp, tokens, table.bytes_kv[0], block=table.block[0], resident=resident,
            source=tokens - ANSWER,
        )  # fmt: skip

    low, high = np.array([1.0]), np.array([LONGEST])
    if held(low)[0] > room:
        return 0
    if held(high)[0] <= room:
        return int(LONGEST)
    for _ in range(64):
        middle = np.floor(0.5 * (low + high))
        fits = held(middle) <= room
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        if high[0] - low[0] <= 1:
            break
    return int(low[0])


def _slowdown(setting: Setting, tokens: int, share: float) -> float | None:
    """Of the tokens after such a context, with a share of the cache in slower memory."""
    if tokens <= ANSWER + 1 or tokens >= LONGEST:
        return None
    ops = replace(setting.ops, model=replace(setting.model, context_length=0))
    layout = setting.layout
    asked = {
        "tp": layout.tp, "pp": layout.pp, "ep": layout.ep, "dp": layout.dp, "concurrency": 1,
        "input_tokens": tokens - ANSWER, "output_tokens": ANSWER,
    }  # fmt: skip
    boundless = replace(setting.boundless, tier_bytes=np.full_like(setting.table.tier_bytes, 1e18))
    found = predict(ops, boundless, make_points(0, kv_offload=[0.0, share], **asked))
    if not found.fits.all():
        return None
    return float(found.itl_s[1] / found.itl_s[0])
