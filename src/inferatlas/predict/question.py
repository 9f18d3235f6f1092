"""One question: a model on an accelerator under a load, answered with intervals, memory, breakdown and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator, Cluster
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.answer import Answer, metric_arrays
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.loads import check_load, load_of
from inferatlas.predict.looking import assumed, drafting, memories
from inferatlas.predict.mapping import memory, reasons
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.clock import check_limits, limited
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import BOUNDS, Points, Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.predict.placing import with_tiers
from inferatlas.predict.platforms import bind, checkpoint_format
from inferatlas.predict.replicas import (
    MOST_ACCELERATORS,
    Layout,
    choose_layout,
    fewest_that_serve,
    label_of,
    layout_notes,
    least_count,
    points_of,
)
from inferatlas.predict.techniques import (
    check_cache,
    parse_speculation,
    parse_tiers,
    with_cache_policy,
    with_images,
)
from inferatlas.workload import Workload


@dataclass(frozen=True, slots=True)
class Asked:
    """One deployment under a load, ready to be predicted; ``notes``: what was chosen for want of being given.

    ``cap_w``: power cap per accelerator, which the clock of the points keeps.
    """

    model: ModelConfig
    accelerator: Accelerator
    ops: Operators
    platform: Platform
    table: PlatformTable
    load: Workload
    layout: Layout
    points: Points
    notes: list[str]
    speculation: Speculation | None = None
    cap_w: float | None = None

    @property
    def clock(self) -> float:
        return float(self.points.clock[0])

    @property
    def label(self) -> str:
        """No calibration has seen drafts, shared prefixes, images or another clock."""
        beyond_all = self.speculation or self.load.prefix_tokens or self.ops.images or self.clock < 1
        return "extrapolated" if beyond_all else label_of(self.platform, self.layout)

    def predict(self) -> Predictions:
        return predict(self.ops, self.table, self.points, speculation=self.speculation)


def asked(
    model: str, accelerator: str, load: Workload, *, count: int | None = None, tp: int | None = None,
    pp: int | None = None, ep: int | None = None, dp: int | None = None, cp: int | None = None,
    offload: float | None = None, kv_offload: float | None = None, engine: str | None = None,
    weights: str | None = None, activations: str | None = None, kv_cache: str | None = None,
    kv_compression: float | None = None, kv_keep: int | None = None, kv_read: int | None = None,
    tier: str | Sequence[str] | None = None, speculate: str | None = None, images: int = 0,
    image_size: str = "1024x1024", clock: float = 1.0, power_cap_w: float | None = None,
) -> Asked:  # fmt: skip
    """From names to one deployment, everything that is left open chosen; parameters and errors as of `ask`."""
    check_limits(clock, power_cap_w)
    config, known = with_cache_policy(load_model(model), keep=kv_keep, read=kv_read), load_accelerator(accelerator)
    ops, seen = with_images(config, images, image_size)
    load = replace(load, input_tokens=load.input_tokens + seen)
    check_load(config, load)
    drafts = parse_speculation(speculate)
    if drafts is not None and config.embeds:
        raise BadInput(f"{config.id} yields a vector: there is nothing to draft", field="speculate")
    check_cache(ops, kv_keep=kv_keep, kv_read=kv_read, kv_compression=kv_compression, kv_offload=kv_offload)
    weights = weights or checkpoint_format(config, device(known))
    platform = bind(
        known, engine, weights, activations, kv_cache, model=config, kv_compression=kv_compression,
        behind=parse_tiers(tier),
    )  # fmt: skip
    table = platform_table([platform], is_moe=bool(ops.experts))
    given = {"tp": tp, "pp": pp, "ep": ep, "dp": dp, "cp": cp}
    slowed = table.at_clock(np.array([clock]))
    choose = partial(choose_layout, ops, slowed, load, count=count, **given, offload=offload or 0.0)
    layout, notes = choose()
    if drafts is not None and not predict(ops, slowed, points_of(load, [layout]), speculation=drafts).fits[0]:
        layout, notes = choose(speculation=drafts)
        notes.append("the layout chosen without drafts has no room for what drafts")
    layout = replace(layout, kv_offload=kv_offload or 0.0)
    if tier and offload is None:
        layout, more = with_tiers(ops, slowed, load, layout, count, given, drafts, kv_offload)
        notes += more
    notes += list(assumed(drafts, load, kv_keep, kv_read, images, seen))
    if known.cluster is not None and layout.count > known.cluster.count:
        raise beyond(known.cluster, layout.count, free=count is None and tp is None and pp is None and dp is None)
    points, limits = limited(ops, table, points_of(load, [layout]), clock, power_cap_w, speculation=drafts)
    notes = [*stands_for(config), *notes, *layout_notes(platform, layout), *limits]
    return Asked(config, known, ops, platform, table, load, layout, points, notes, drafts, power_cap_w)


def ask(
    model: str, accelerator: str, *, count: int | None = None, tp: int | None = None, pp: int | None = None,
    ep: int | None = None, dp: int | None = None, cp: int | None = None, offload: float | None = None,
    kv_offload: float | None = None, engine: str | None = None, weights: str | None = None,
    activations: str | None = None, kv_cache: str | None = None, kv_compression: float | None = None,
    kv_keep: int | None = None, kv_read: int | None = None, tier: str | Sequence[str] | None = None,
    speculate: str | None = None, images: int = 0, image_size: str = "1024x1024", workload: str | None = None,
    isl: int | None = None, osl: int | None = None, prefix_tokens: int | None = None, concurrency: int | None = None,
    request_rate: float | None = None, price: float | None = None, region: str = "USA", site: str = "AWS",
    utilisation: float = 1.0, clock: float = 1.0, power_cap_w: float | None = None,
) -> Answer:  # fmt: skip
    """Predict latency, throughput, power, cost and carbon of one deployment.

    Parameters
    ----------
    model, accelerator : catalogue names, or paths (YAML of an accelerator or a cluster; ``config.json`` of a model).
    count : accelerators in all; without it the smallest number that the layout needs.
    tp, pp, ep, dp : layout; what is not given is chosen and named in ``fallbacks``.
    cp, offload, kv_offload : shards of each sequence's context; shares of the layers' weights and of the KV cache
        that stream in from slower memory.
    tier : memories behind the main one, of each accelerator (`techniques.parse_tier`); what does not fit goes there.
    kv_compression, kv_keep, kv_read : the cache packed so many times smaller; tokens kept of a context; tokens of it
        that a query reads.
    speculate : ``gamma=4,acceptance=0.7`` (`techniques.parse_speculation`).
    images, image_size : pictures in every prompt beside its ``isl`` tokens of text. prefix_tokens : of the
        prompt, those that are shared and in the cache.
    weights : format; default: the checkpoint's where the part runs it, else 16 bit (`platforms.checkpoint_format`).
    engine, activations, kv_cache : names; defaults are documented in `platforms.bind`.
    workload, isl, osl, concurrency, request_rate : traffic, see `workload.make_workload`.
    price : USD per accelerator-hour. region, site : rows of the grid and PUE tables.
    clock : of the cores, relative to the one that was measured, equation (40).
    power_cap_w : most that an accelerator may draw while it works; the clock falls until it does.

    Raises
    ------
    BadInput, UnknownName : the question is malformed. NoFeasibleAnswer : engine or formats are not supported,
    or the model has no performance model yet. A layout that does not fit is an answer (``fits`` False).

    Examples
    --------
    >>> answer = ask("llama-3.1-8b", "nvidia-h100-sxm", concurrency=32, isl=1024, osl=256)
    >>> answer.fits, answer.bound, answer.batch
    (True, 'memory_bandwidth', 32.0)
    """
    load = load_of(
        load_model(model), workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate,
        prefix_tokens=prefix_tokens,
    )  # fmt: skip
    one = asked(
        model, accelerator, load, count=count, tp=tp, pp=pp, ep=ep, dp=dp, cp=cp, offload=offload,
        kv_offload=kv_offload, engine=engine, weights=weights, activations=activations, kv_cache=kv_cache,
        kv_compression=kv_compression, kv_keep=kv_keep, kv_read=kv_read, tier=tier, speculate=speculate,
        images=images, image_size=image_size, clock=clock, power_cap_w=power_cap_w,
    )  # fmt: skip
    part = one.platform.device
    money = economics(
        part.id, part.architectural_class, part.node, price=price, region=region, site=site,
        utilisation=utilisation, cluster=one.accelerator.cluster,
    )  # fmt: skip
    return _answer(one, one.predict(), money)


def beyond(cluster: Cluster, count: int, *, free: bool = False) -> BadInput | NoFeasibleAnswer:
    """Who asks for more than a cluster has made a mistake; who left the count open has too small a cluster."""
    words = f"{count} accelerators are more than cluster {cluster.id} has"
    if free:
        return NoFeasibleAnswer(
            words, code="memory", least_count=count, field="count", allowed=f"up to {cluster.count}"
        )
    return BadInput(words, field="count", allowed=f"up to {cluster.count}")


def reason_of(
    code: int, ops: Operators, table: PlatformTable, load: Workload, *, count: int | None = None,
    speculation: Speculation | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Reason code, words and the least count that would do."""
    least = least_count(ops, table, load, speculation) if code in reasons.MEMORY else None
    detail = reasons.IN_LAYOUT.get(code, reasons.DETAILS[code])
    if code == reasons.RATE:
        serves = fewest_that_serve(ops, table, load, {}, speculation=speculation)
        least = serves.count if serves else None
        return {
            "code": reasons.CODES[code], "least_count": least,
            "detail": f"{detail}; {least} accelerator{' serves' if least == 1 else 's serve'} it" if least
            else f"{detail}; up to {MOST_ACCELERATORS} accelerators do not serve it either",
        }  # fmt: skip
    if least and least <= (count or 0):
        detail += f"; another layout of {least} accelerator{'' if least == 1 else 's'} fits"
    elif least:
        detail += f"; it fits from {least} accelerators on" + (f" (asked: {count})" if count else "")
    elif code in reasons.MEMORY:
        detail += f"; it does not fit on up to {MOST_ACCELERATORS} either"
    return {"code": reasons.CODES[code], "detail": detail, "least_count": least}


def _answer(one: Asked, predictions: Predictions, money: Economics) -> Answer:
    platform, layout, load, notes = one.platform, one.layout, one.load, one.notes
    inputs = {
        "model": one.model.id,
        "accelerator": platform.device.id,
        "count": layout.count,
        "layout": asdict(layout),
        "engine": platform.engine.name,
        "weights": platform.precision.weights,
        "activations": platform.precision.activations,
        "kv_cache": platform.precision.kv_cache,
        "compute": platform.compute,
        "workload": asdict(load),
        "economics": money.as_dict(),
        "power_scope": platform.device.power.scope,
        "clock": one.clock if predictions.fits[0] else None,
        "power_cap_w": one.cap_w,
    }
    held = memory_words(budget_of(one.ops, one.table, one.points, speculation=one.speculation), predictions)
    if not predictions.fits[0]:
        return Answer(
            inputs, False, why_not(one, predictions), {}, None, None, held, [], one.label, [*platform.notes, *notes],
            evidence=evidence_of(platform),
        )  # fmt: skip
    arrays = metric_arrays(predictions, one.points, one.table, [money])
    if one.cap_w is not None:
        power = arrays["power_w"]
        arrays["power_w"] = replace(power, most=np.minimum(power.most, one.cap_w * layout.count))
    metrics = {name: metric.at() for name, metric in arrays.items()}
    if money.usd_per_hour is None:
        notes = [*notes, f"no price of {platform.device.id} with a source is known: give a price"]
    percentiles = {
        name: {
            q: float(percentile_of(getattr(predictions, f"{name}_s")[0], getattr(predictions, f"{name}_cv")[0], q))
            for q in ("p50", "p90", "p95", "p99")
        }
        for name in ("ttft", "itl", "latency")
        if np.isfinite(getattr(predictions, f"{name}_s")[0])
    }
    return Answer(
        inputs,
        True,
        None,
        metrics,
        BOUNDS[int(predictions.bound[0])],
        float(predictions.batch[0]),
        held,
        [
            asdict(spent) | {"seconds": spent.seconds}
            for spent in breakdown(one.ops, one.table, one.points, predictions, speculation=one.speculation)
        ],
        one.label,
        [*platform.notes, *notes],
        percentiles,
        evidence_of(platform),
        _looked_at(one, predictions),
    )


def _looked_at(one: Asked, predictions: Predictions) -> dict[str, Any]:
    """Drafts and slower memories, where they are used."""
    asked = one.ops, one.table, one.points
    out: dict[str, Any] = {}
    if one.speculation is not None:
        out["speculation"] = drafting(*asked, one.speculation)
    if one.layout.waits:
        out["memories"] = memories(*asked, predictions)
    return out


def why_not(one: Asked, predictions: Predictions) -> dict[str, Any]:
    """Why one deployment cannot be; with a cap, how many would serve a rate is not searched."""
    code = int(predictions.reason[0])
    if code == reasons.RATE and one.cap_w is not None and one.clock < 1:
        detail = f"{reasons.IN_LAYOUT[code]} under a cap of {one.cap_w:g} W per accelerator"
        return {"code": reasons.CODES[code], "detail": detail, "least_count": None}
    slowed = one.table.at_clock(one.points.clock)
    return reason_of(code, one.ops, slowed, one.load, count=one.layout.count, speculation=one.speculation)


def evidence_of(platform: Platform) -> dict[str, Any]:
    """Which level of measured points answered, how many there are, and the calibration they are in."""
    near, learned = platform.coefficients.closest, platform.calibration
    return {
        "level": near.level, "points": near.points, "model_measured": near.model, "calibration": learned.version,
        "date": learned.date,
    }  # fmt: skip


def memory_words(budget: memory.Budget, predictions: Predictions, i: int = 0) -> dict[str, float]:
    """Bytes per engine device of point i; ``kv_bytes`` at the predicted batch, ``sequences`` that would fit."""
    batch = float(np.nan_to_num(predictions.batch[i]))
    return {
        "weights_bytes": float(budget.weights[i]),
        "kv_bytes": float(budget.kv_per_sequence[i]) * batch,
        "kv_bytes_per_sequence": float(budget.kv_per_sequence[i]),
        "activations_bytes": float(budget.activations[i]),
        "reserve_bytes": float(budget.reserve[i]),
        "usable_bytes": float(budget.usable[i]),
        "capacity_bytes": float(budget.capacity[i]),
        "sequences": float(budget.sequences[i]),
    }
