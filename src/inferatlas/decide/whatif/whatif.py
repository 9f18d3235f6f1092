"""``inferatlas whatif``: one device beside another, what its parameters buy, and the front of its family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.whatif.axes import axes_of
from inferatlas.decide.whatif.deployment import METRICS, Deployment, deployment, placed
from inferatlas.decide.whatif.elasticities import STEP, Sensitivity, cost_shares, sensitivity
from inferatlas.decide.whatif.family import OBJECTIVES, Family, family
from inferatlas.errors import BadInput, UnknownName, called
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.loads import usual_load
from inferatlas.predict.question import Asked


@dataclass(frozen=True)
class WhatIf:
    """A device under a load; ``ratios`` are the device over ``against``, by metric, ``family`` is None unless asked."""

    inputs: dict[str, Any]
    device: Deployment
    against: Deployment | None
    ratios: dict[str, float | None]
    sensitivity: Sensitivity
    family: Family | None
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas whatif --format json``."""
        whole = asdict(self)
        return {
            **{name: whole[name] for name in ("inputs", "device", "against", "ratios")},
            **{name: rows for name, rows in whole["sensitivity"].items() if name != "notes"},
            "step": STEP, "family": whole["family"], "notes": [*self.notes, *self.sensitivity.notes], "interval": 0.8,
        }  # fmt: skip


def whatif(
    device: str, *, model: str, against: str | None = None, workload: str | None = None, isl: int | None = None,
    osl: int | None = None, concurrency: int | None = None, request_rate: float | None = None,
    count: int | None = None, tp: int | None = None, pp: int | None = None, ep: int | None = None,
    dp: int | None = None, cp: int | None = None, engine: str | None = None, weights: str | None = None,
    kv_cache: str | None = None, price: float | None = None, region: str = "USA", site: str = "AWS",
    utilisation: float = 1.0, cost_share: str | Mapping[str, float] | None = None, vary: Sequence[str] = (),
    by: Sequence[str] = ("latency", "energy"),
) -> WhatIf:  # fmt: skip
    """Predict a device beside another one, differentiate its prediction, and predict the family around it.

    Parameters
    ----------
    device, against : names in the catalogue, or paths of YAML files. ``against`` runs on the same count, or on the
        fewest accelerators that hold the model, and says so.
    model, workload, isl, osl, concurrency, request_rate, count to cp, engine, weights, kv_cache : as of
        `predict.question.ask`; 1,024 and 256 tokens, 16 requests in flight unless given. price : USD per
        accelerator-hour of ``device``. region, site, utilisation : likewise.
    cost_share : shares of the device's price that grow with compute, memory or link (`elasticities.cost_shares`).
    vary : ranges of up to three parameters (`axes.axes_of`). by : the two objectives of the front, of
        `family.OBJECTIVES`.

    Raises
    ------
    BadInput, UnknownName : names, ranges, shares. NoFeasibleAnswer : nothing holds the model, or it is not modelled.

    Examples
    --------
    >>> found = whatif("h100", model="llama-3.1-8b", against="h200", isl=1024, osl=256, concurrency=16)
    >>> found.sensitivity.elasticities[0].parameter, 0.5 < found.ratios["output_tokens_per_s"] < 1
    ('memory_bandwidth', True)
    """
    with called("device", "accelerator"):
        load_accelerator(device)  # before all else: the file that is being written
    load, usual = usual_load(
        load_model(model), workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate
    )
    shares = cost_shares(cost_share)
    objectives = _objectives(by)
    layout: dict[str, Any] = {"count": count, "tp": tp, "pp": pp, "ep": ep, "dp": dp, "cp": cp}
    formats: dict[str, Any] = {"engine": engine, "weights": weights, "kv_cache": kv_cache}
    with called("device", "accelerator"):
        one, notes = placed(model, device, load, **layout, **formats)
    place = {"region": region, "site": site, "utilisation": utilisation}
    money = money_of(one, price=price, **place)
    mine = deployment(one, money, notes)
    theirs = None
    if against is not None:
        layout["count"] = one.layout.count
        with called("against", "accelerator"):
            other, notes = placed(model, against, load, free=True, **layout, **formats)
        theirs = deployment(other, money_of(other, **place), notes)
    axes = axes_of(vary, one.platform)
    inputs = {
        "model": one.model.id, "workload": asdict(load), "cost_share": shares, "vary": list(vary),
        "by": list(objectives), "economics": money.as_dict(),
    }  # fmt: skip
    return WhatIf(
        inputs,
        mine,
        theirs,
        _ratios(mine, theirs),
        sensitivity(one, money, shares),
        family(one, money, axes, objectives) if axes else None,
        [*usual, *_notes(one, mine, theirs, money, shares)],
    )


def money_of(one: Asked, **given: Any) -> Economics:
    """Price, grid and site of a deployment."""
    part = one.platform.device
    return economics(part.id, part.architectural_class, part.node, cluster=one.accelerator.cluster, **given)


def _objectives(by: Sequence[str]) -> tuple[str, str]:
    for name in by:
        if name not in OBJECTIVES:
            raise UnknownName("objective", name, OBJECTIVES, field="by")
    if len(by) != 2 or by[0] == by[1]:
        raise BadInput("a front is between two objectives", field="by", allowed="two of " + ", ".join(OBJECTIVES))
    return by[0], by[1]


def _ratios(mine: Deployment, theirs: Deployment | None) -> dict[str, float | None]:
    if theirs is None:
        return {}
    pairs = {name: (mine.metrics.get(name), theirs.metrics.get(name)) for name in (*METRICS, "power_w")}
    return {name: None if a is None or b is None else a.value / b.value for name, (a, b) in pairs.items()}


def _notes(
    one: Asked, mine: Deployment, theirs: Deployment | None, money: Economics, shares: Mapping[str, float]
) -> list[str]:
    notes = []
    if theirs is not None and theirs.count != mine.count:
        notes.append(f"compared on different counts: {mine.count} x {mine.id}, {theirs.count} x {theirs.id}")
    scopes = one.platform.device.power.scope
    if scopes:
        notes.append(f"power of {mine.id} is of the {scopes}")
    if money.usd_per_hour is None:
        notes.append(f"no price of {mine.id} with a source is known: give a price")
    else:
        notes.append("rent includes electricity and the site's overhead: they move neither price nor energy here")
    if not shares:
        notes.append("no answer by the dollar: say which share of the price grows with what (cost_share)")
    return notes
