"""``own``: dollars, carbon and water per million output tokens of a deployment that is owned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.decide.ownership.owner import FIELDS, UNITS, Figure, Owner, check, figures, unknown
from inferatlas.decide.ownership.tornado import TOTALS, Bar, interval, tornado
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.arrays import Floats
from inferatlas.predict.cost.owned import Owned, elasticities, mean_power, token_parts, token_totals
from inferatlas.predict.loads import load_of
from inferatlas.predict.mapping.reasons import field_of
from inferatlas.predict.performance.points import Predictions
from inferatlas.predict.question import Asked, asked, why_not

KWH = 3.6e6  # J


@dataclass(frozen=True)
class Ownership:
    """Totals with 80 % intervals (None where something is unknown), their parts, and what moves them.

    ``energy``: of a million tokens at the meter, and the share of it that idle hours take. ``figures``: every input
    with its range and source. ``unknown``: inputs that nobody stated.
    """

    inputs: dict[str, Any]
    usd_per_million_tokens: Interval | None
    gco2e_per_million_tokens: Interval | None
    water_l_per_million_tokens: Interval | None
    parts: dict[str, dict[str, float | None]]
    energy: dict[str, float | None]
    elasticities: list[dict[str, Any]]
    tornado: list[Bar]
    figures: list[Figure]
    unknown: list[str]
    label: str
    assumptions: list[str]

    def total(self, metric: str) -> Interval | None:
        return getattr(self, metric)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas own --format json``."""
        return asdict(self) | {"interval": 0.8}


def own(
    model: str, accelerator: str, *, owner: Owner | None = None, region: str = "USA", workload: str | None = None,
    isl: int | None = None, osl: int | None = None, concurrency: int | None = None, request_rate: float | None = None,
    **deployment: Any,
) -> Ownership:  # fmt: skip
    """Cost, carbon and water of a million output tokens of a deployment that is owned.

    Parameters
    ----------
    model, accelerator : as in `predict.question.ask`. region : grid whose carbon and water count.
    owner : the owner's figures; without a ``capex`` the dollars stay unknown.
    workload, isl, osl, concurrency, request_rate : the load while it serves, see `workload.make_workload`.
    deployment : ``count``, ``tp``, ``pp``, ``ep``, ``dp``, ``cp``, ``offload``, ``engine``, ``weights``,
        ``activations``, ``kv_cache``, ``clock`` and ``power_cap_w``, as in `predict.question.ask`.

    Raises
    ------
    BadInput, UnknownName, NotModelled. NoFeasibleAnswer : the deployment does not fit, with the reason.

    Examples
    --------
    >>> found = own("llama-3.1-8b", "h100", isl=1024, osl=256, concurrency=32, owner=Owner(capex=30000.0))
    >>> total = found.usd_per_million_tokens
    >>> total.low < total.value < total.high
    True
    >>> max(found.parts["usd_per_million_tokens"].items(), key=lambda part: part[1])[0]
    'capital'
    >>> found.unknown
    ['water_site']
    """
    owner = owner or Owner()
    check(owner)
    load = load_of(load_model(model), workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate)
    one = asked(model, accelerator, load, **deployment)
    answer = one.predict()
    if not answer.fits[0]:
        why = why_not(one, answer)
        field = field_of(why["code"], {name: deployment.get(name) for name in ("tp", "pp", "ep", "cp")})
        raise NoFeasibleAnswer(why["detail"], code=why["code"], least_count=why["least_count"], field=field)
    found = [*_predicted(one, answer), *figures(owner, one.accelerator, one.platform.device, region)]
    it = Owned(**{FIELDS[figure.parameter]: figure.value for figure in found})
    bars, totals = tornado(it, found), token_totals(it)
    intervals = {
        metric: interval(float(totals[total]), (bar for bar in bars if bar.metric == metric))
        for total, metric in TOTALS.items()
    }
    return Ownership(
        inputs={
            "model": one.model.id, "accelerator": one.platform.device.id, "count": one.layout.count,
            "layout": asdict(one.layout), "engine": one.platform.engine.name, "weights": one.platform.precision.weights,
            "workload": asdict(load), "region": region, "power_scope": one.platform.device.power.scope,
            "clock": one.clock, "power_cap_w": one.cap_w,
        },
        **intervals,
        parts={
            TOTALS[total]: {name: _known(part) for name, part in parts.items() if name != "other"}
            for total, parts in token_parts(it).items()
        },
        energy=_energy(it),
        elasticities=_rows(elasticities(it)),
        tornado=bars,
        figures=found,
        unknown=unknown(found),
        label=one.label,
        assumptions=_assumptions(one, found),
    )  # fmt: skip


def _predicted(one: Asked, answer: Predictions) -> list[Figure]:
    """Throughput and power of an accelerator's share, with the intervals of the prediction."""
    count, part = one.layout.count, one.platform.device
    closed = np.isnan(one.points.request_rate)
    most = np.inf if part.power.rated_w is None else part.power.rated_w
    rate = Metric(answer.output_tokens_per_s / count, np.where(closed, answer.rate_sigma, 0.0).astype(np.float64))
    power = Metric(answer.power_w / count, answer.power_sigma.astype(np.float64), min(most, one.cap_w or np.inf))
    given = "offered: the load fixes it" if one.load.concurrency is None else one.label
    return [_figure("throughput", rate, given), _figure("power", power, f"{one.label}, while it serves")]


def _figure(name: str, metric: Metric, source: str) -> Figure:
    one = metric.at()
    if one is None:
        return Figure(name, None, UNITS[name], None, None, "no rated power is published")
    return Figure(name, one.value, UNITS[name], one.low, one.high, source)


def _known(value: Floats) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _energy(it: Owned) -> dict[str, float | None]:
    """Energy of a million tokens at the meter, and what idle hours have in it."""
    mean, busy = float(mean_power(it)), float(it.utilisation)  # pyright: ignore[reportArgumentType] - a number here
    idle = (1.0 - busy) * float(np.asarray(it.idle_w, dtype=np.float64))
    seconds = 1e6 / (float(np.asarray(it.tokens_per_s)) * busy)
    out = {
        "kwh_per_million_tokens": mean * float(np.asarray(it.pue)) * seconds / KWH, "mean_w": mean,
        "idle_hours_share": 1.0 - busy, "idle_energy_share": idle / mean,
    }  # fmt: skip
    return {name: value if math.isfinite(value) else None for name, value in out.items()}


def _rows(found: Mapping[str, Mapping[str, Floats]]) -> list[dict[str, Any]]:
    """Of every total to every input, the strongest first; None where the total is unknown."""
    rows = [
        {"parameter": name, "metric": metric, "value": _known(found[total].get(field, np.zeros(())))}
        for total, metric in TOTALS.items()
        for name, field in FIELDS.items()
    ]
    order = list(TOTALS.values())
    return sorted(rows, key=lambda row: (order.index(row["metric"]), -abs(row["value"] or 0.0)))


def _assumptions(one: Asked, found: list[Figure]) -> list[str]:
    """What the totals take for granted, beside what the figures say of themselves."""
    held = {figure.parameter: figure for figure in found}
    scope = one.platform.device.power.scope
    out = [
        "idle hours draw idle power and pay for everything else: tokens of the hours in use carry them",
        f"energy is of the accelerators (scope: {scope}), without hosts and network unless that scope includes them",
        "intervals: ranges of what was not given and of the prediction, independent of one another, each from the 10th "
        "to the 90th percentile; a figure that was given, or has no range, counts as certain",
    ]
    priors = [name for name, figure in held.items() if not figure.given and "prior" in figure.source]
    if priors:
        out.append(f"priors, to be replaced by the owner's figures: {', '.join(priors)}")
    for name in unknown(found):
        out.append(f"{name} is unknown: no source is known and none was given; what depends on it stays unknown")
    return [*out, *one.platform.notes, *one.notes]
