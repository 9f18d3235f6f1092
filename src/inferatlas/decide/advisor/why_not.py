"""Why an accelerator is out: memory, target, budget, rate; with the number that decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferatlas.decide.advisor.judge import Budget, hourly_usd, probability, statistic, within
from inferatlas.decide.advisor.search import Designs, Rejected
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.replicas import least_replica
from inferatlas.quantities import show
from inferatlas.workload import ServiceTarget, Workload

_UNITS = {"ttft": "s", "itl": "s", "latency": "s", "output_tokens_per_s": "1/s", "total_tokens_per_s": "1/s"}


def explain(
    designs: Designs, targets: tuple[ServiceTarget, ...], budget: Budget, kept: set[str], least: float
) -> list[Rejected]:
    """One reason for every accelerator that was searched and has no candidate, beside those never searched."""
    out = list(designs.rejected)
    names, owner = designs.accelerator_index()
    inside = within(designs, budget)
    for k, name in enumerate(names):
        if name in kept:
            continue
        mine = owner == k
        fits = mine & designs.predictions.fits
        if not fits.any():
            out.append(_infeasible(designs, np.flatnonzero(mine), name))
        elif not (fits & inside).any():
            out.append(Rejected(name, "budget", _over_budget(designs, np.flatnonzero(fits), budget)))
        else:
            out.append(Rejected(name, "target", _missed(designs, np.flatnonzero(fits & inside), targets, least)))
    return out


def _infeasible(designs: Designs, mine: np.ndarray, name: str) -> Rejected:
    code = reasons.nearest(designs.predictions.reason[mine])
    most, least = designs.most[name], None
    detail = reasons.DETAILS[code]
    if code in reasons.MEMORY:
        platforms = [designs.table.platforms[int(p)] for p in np.unique(designs.points.platform[mine])]
        detail, least = too_large(designs.ops, platforms, designs.workload, f"up to {most} accelerators", most)
    elif code == reasons.RATE:
        detail = f"the rate exceeds what {most} accelerators can serve"
    return Rejected(name, reasons.CODES[code], detail, least)


def too_large(
    ops: Operators, platforms: Sequence[Platform], load: Workload, tried: str, most: int, *, other: str = "except"
) -> tuple[str, int | None]:
    """That nothing tried holds the model, and the least count that holds one request of ``load``, None without one.

    Searches try some numbers of accelerators and of pipeline stages; an engine can run any.

    Parameters
    ----------
    platforms : one accelerator in the formats tried; the narrowest needs fewest.
    tried : numbers of accelerators, in words. most : how many there are.
    other : joins a count that is among the accelerators there are to those tried.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> from inferatlas.predict.llm.operators import operators
    >>> from inferatlas.predict.platforms import bind
    >>> from inferatlas.workload import make_workload
    >>> ops, load = operators(load_model("llama-3.1-405b")), make_workload(isl=1024, osl=256, concurrency=1)
    >>> too_large(ops, [bind("mi300x")], load, "up to 5 accelerators", 5)
    ('does not fit on up to 5 accelerators, except on 5 with bf16 weights in uneven pipeline stages', 5)
    """
    narrow = min(platforms, key=lambda p: FORMATS[p.precision.weights].bytes)
    least = least_replica(ops, platform_table([narrow], is_moe=bool(ops.experts)), load)
    words, weights = f"does not fit on {tried}", narrow.precision.weights
    if least is None:
        return words, None
    if least.count > most:
        return f"{words}; {weights} weights need {least.count:,}", least.count
    stages = "uneven pipeline stages" if ops.layers % least.pp else f"{least.pp} pipeline stages"
    how = f"in {stages}" if least.pp > 1 else f"at tp {least.tp}"
    return f"{words}, {other} on {least.count:,} with {weights} weights {how}", least.count


def _over_budget(designs: Designs, fits: np.ndarray, budget: Budget) -> str:
    """Each bound that no design keeps; else that none keeps them together."""
    words = []
    if budget.usd_per_hour is not None:
        price = hourly_usd(designs)[fits]
        if np.isnan(price).all():
            words.append(f"its price is unknown (budget {budget.usd_per_hour:g} USD/h)")
        elif np.nanmin(price) > budget.usd_per_hour:
            words.append(f"it needs at least {np.nanmin(price):.2f} USD/h (budget {budget.usd_per_hour:g})")
    if budget.power_w is not None:
        power = designs.predictions.power_w[fits]
        asked = show(budget.power_w, "W")
        if np.isnan(power).all():
            words.append(f"its power is unknown (budget {asked})")
        elif np.nanmin(power) > budget.power_w:
            words.append(f"it draws at least {show(np.nanmin(power), 'W')} (budget {asked})")
    return "; ".join(words) or "no design is inside both budgets at once"


def _missed(designs: Designs, mine: np.ndarray, targets: tuple[ServiceTarget, ...], least: float) -> str:
    """The best that each missed target gets on its own; else that they fail together or too likely."""
    words = []
    for target in targets:
        values = statistic(designs, target).value
        best = float(np.nanmin(values[mine]) if target.sense.startswith("<") else np.nanmax(values[mine]))
        if not target.met(best):
            unit = _UNITS[target.metric]
            digits = next((n for n in (3, 4, 5) if show(best, unit, n) != show(target.bound, unit, n)), 6)
            reached, asked = show(best, unit, digits), show(target.bound, unit, digits)
            words.append(f"{target.metric} {target.statistic} is {reached} at best, {asked} asked")
    if words:
        return "; ".join(words)
    likely = float(probability(designs, targets)[mine].max())
    return f"the targets are met together with a probability of {likely:.3f} at best, {least:g} asked"
