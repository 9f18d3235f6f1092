"""Why no split keeps its targets: memory, the prompt, the gap, the link; and what came closest."""

from __future__ import annotations

import numpy as np

from inferatlas.decide.disaggregation.rates import DEEP, Settings, unit_rates
from inferatlas.decide.disaggregation.sides import Side
from inferatlas.decide.disaggregation.splits import Pair, divisions, operate
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.pools import decode_pool, prefill_pool
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.quantities import show

IDLE = 1e-6  # requests/s: nobody waits for anybody


def why_none(pair: Pair, asked: Settings, count: int) -> NoFeasibleAnswer:
    """The first thing, in the order of a request's way, that no split of up to ``count`` accelerators can do."""
    one = Settings(asked.isl[:1], asked.osl[:1], asked.cv, asked.targets, asked.bounds[:, :1])
    for name, side in (("prefill", pair.prefill), ("decode", pair.decode)):
        if (found := _alone(pair, one, name, side, count)) is not None:
            return found
    first, then = ((side, unit_rates(pair.ops, side, one, roles=("prefill", "decode"))) for side in _sides(pair))
    least = [
        int(side.units.size[rates > 0].min())
        for side, rates in ((first[0], first[1].prefill[0]), (then[0], then[1].decode[0]))
    ]
    if sum(least) > count:
        return NoFeasibleAnswer(
            f"the smallest pools that keep the targets take {least[0]} and {least[1]} accelerators", code="memory",
            least_count=sum(least), field="count",
        )  # fmt: skip
    splits, top = divisions(pair, (first[1], then[1]), count)
    if not len(splits):
        return NoFeasibleAnswer(
            f"no division of {count} accelerators has two pools that keep the targets", code="target", field="slo"
        )
    now = operate(pair, one, splits, top / DEEP)
    best = int(np.argmin(now.sent.exposed_s + now.latency_s))
    asked_of = [target for target, bound in zip(one.targets, one.bounds, strict=True) if bound[0] < np.inf]
    seen = []
    for target in asked_of:
        mean, cv = getattr(now, f"{target.metric}_s")[best], getattr(now, f"{target.metric}_cv")[best]
        seen.append(f"{target.text()} is {show(float(percentile_of(mean, cv, target.statistic)), 's')}")
    return NoFeasibleAnswer(
        f"no split of {count} accelerators keeps every target, transfer and waits included; closest, nearly idle: "
        f"{', '.join(seen)}; {show(float(now.sent.exposed_s[best]), 's')} of a transfer show behind prefill",
        code="target", field="slo",
    )  # fmt: skip


def _sides(pair: Pair) -> tuple[Side, Side]:
    return pair.prefill, pair.decode


def _alone(pair: Pair, asked: Settings, name: str, side: Side, count: int) -> NoFeasibleAnswer | None:
    """What one side cannot do on its own, nearly idle; None where it can."""
    n = len(side.units)
    who = f"{side.platform.device.id} for {name}"
    if not n:
        return NoFeasibleAnswer(f"{who}: {reasons.DETAILS[reasons.HEADS]}", code="layout", field="count")
    full = np.ones(n)
    points = side.points(np.arange(n), 0, full * IDLE, full * asked.isl[0], full * asked.osl[0], asked.cv)
    if name == "prefill":
        pool = prefill_pool(pair.ops, side.table, points)
        metric, mean, cv = "ttft", pool.ttft_s, pool.ttft_cv
    else:
        pool = decode_pool(pair.ops, side.table, points)
        metric, mean, cv = "itl", pool.itl_s, pool.itl_cv
    fits = pool.reason == 0
    if not fits.any():
        code = reasons.nearest(pool.reason)
        return NoFeasibleAnswer(
            f"{who}, up to {count} accelerators: {reasons.DETAILS[code]}", code=reasons.CODES[code], field="count"
        )
    for target, bound in zip(asked.targets, asked.bounds, strict=True):
        if target.metric == metric:
            best = float(percentile_of(mean[fits], cv[fits], target.statistic).min())
            if not best < bound[0]:
                return NoFeasibleAnswer(
                    f"{who} cannot keep {target.text()} with any layout of up to {count} accelerators; closest, nearly "
                    f"idle: {show(best, 's')}",
                    code="target", field="slo",
                )  # fmt: skip
    return None
