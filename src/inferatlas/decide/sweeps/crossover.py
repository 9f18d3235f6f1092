"""Sweep one quantity: where the best accelerator changes, and where what binds an accelerator changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerator_ids, accelerators_named
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.coverage import assumed_hops, coverage
from inferatlas.decide.sweeps.crossings import changes, crossings, leaders
from inferatlas.decide.sweeps.crossovers import Absent, BoundChange, Crossover, Crossovers, Lead
from inferatlas.decide.sweeps.grids import STEPS, between, grid
from inferatlas.decide.sweeps.swept import METRICS, OVER, ROOM, Curve, Sweep, Swept, joined, swept
from inferatlas.errors import BadInput, NoFeasibleAnswer, UnknownName
from inferatlas.inputs import several
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.precision import format_named
from inferatlas.predict.loads import check_kind, check_load
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.replicas import MOST_ACCELERATORS
from inferatlas.workload import Workload, load_workload, make_workload

INPUT_TOKENS, OUTPUT_TOKENS, IN_FLIGHT = 1024, 256, 32  # what is neither swept nor given
UNKNOWN = {
    "power_w": "no rated power with a source is known",
    "tokens_per_joule": "no rated power with a source is known",
    "usd_per_million_tokens": "no price with a source is known",
    "itl_s": "a single output token has no gap between tokens",
}


def crossover(
    model: str, accelerators: str | Sequence[str], *, over: str = "batch", values: Sequence[float] | None = None,
    first: float | None = None, last: float | None = None, steps: int = STEPS, metric: str | None = None,
    workload: str | None = None, isl: int | None = None, osl: int | None = None, concurrency: int | None = None,
    count: int | None = None, weights: str | Sequence[str] | None = None,
) -> Crossovers:  # fmt: skip
    """Sweep one quantity over several accelerators.

    Parameters
    ----------
    accelerators : names or files, or ``all``.
    over : ``batch`` (requests in flight over the deployment), ``isl``, ``osl`` (tokens), ``rate`` (requests/s, open
        loop) or ``count`` (accelerators of the deployment).
    values, first, last, steps : the x: one by one, or about so many in equal ratios; whole except rates.
    metric : primary metric, one of `METRICS`; default: latency for rates, else output tokens/s per accelerator.
    workload, isl, osl, concurrency : what is not swept; default 1,024 and 256 tokens and 32 requests in flight.
    count : accelerators in all, instead of whole nodes. weights : formats to try; default the checkpoint's.

    Raises
    ------
    BadInput, UnknownName, NotModelled. NoFeasibleAnswer : no accelerator serves anywhere.

    Examples
    --------
    >>> found = crossover("llama-3.1-8b", ["h100", "a100-80gb-sxm"], values=[1, 8, 64], isl=512, osl=128)
    >>> [(lead.accelerator, lead.x_from, lead.x_to) for lead in found.leads if lead.metric == "itl_s"]
    [('nvidia-h100-sxm', 1.0, 64.0)]
    """
    formats = tuple(format_named(name) for name in several(weights, "weights"))
    _check(over, metric, count)
    config = load_model(model)
    operators(config)  # a model without performance model is refused before anything else is asked
    known = _known(several(accelerators, "accelerator"))
    if config.embeds and over == "osl":
        raise BadInput(f"{config.id} yields a vector, no tokens", field="over", allowed="batch, rate, count or isl")
    load = _load(over, workload, isl, 1 if config.embeds and osl is None and workload is None else osl, concurrency)
    (check_kind if over in ("isl", "osl") else check_load)(config, load)
    room = (config.context_length or math.inf) - _total(load, over, 0.0)
    xs = grid(over, values, first, last, steps, room)
    ask = Sweep(config, tuple(known), load, over, formats, count)
    fits = [x for x in xs if config.holds(_total(load, over, x))]
    found = swept(ask, fits) if fits else None
    rejected = list(_absent(ask, found, xs))
    if found is None or not len(found):
        raise _nothing(rejected)
    names = [one.id for one in known]
    primary = metric or ("latency_s" if over == "rate" else "output_tokens_per_s_per_accelerator")
    found, tried, every = _narrowed(ask, found, names, fits)
    curves = every if tried == xs else {name: found.curve(name, names, xs) for name in METRICS}
    return Crossovers(
        _inputs(ask, xs, names, primary, workload),
        np.array(xs),
        names,
        primary,
        curves,
        found,
        [one for name, curve in every.items() for one in _crossovers(name, curve, names, tried)],
        [one for name, curve in every.items() for one in _leads(name, curve, names, tried)],
        list(_bounds(found, curves[primary], names, xs)),
        list(_assumptions(ask, found, curves)),
        [*rejected, *_unknown(curves, names, xs)],
    )


def _check(over: str, metric: str | None, count: int | None) -> None:
    if over not in OVER:
        raise UnknownName("over", over, OVER)
    if metric is not None and metric not in METRICS:
        raise UnknownName("metric", metric, METRICS)
    if count is not None and over == "count":
        raise BadInput("contradicts --over count", field="count", allowed="either of them")
    if count is not None and not (1 <= count <= MOST_ACCELERATORS and count == int(count)):
        raise BadInput(f"{count} accelerators", field="count", allowed=f"1 to {MOST_ACCELERATORS}")


def _known(asked: Sequence[str]) -> list[Accelerator]:
    if not asked:
        raise BadInput(
            "no accelerator is named", field="accelerator", allowed=f"all, or some of {len(accelerator_ids())} names",
            hint="`inferatlas catalogue list` shows every name",
        )  # fmt: skip
    return accelerators_named(asked)


def _load(over: str, name: str | None, isl: int | None, osl: int | None, concurrency: int | None) -> Workload:
    """What stays as it is; of the quantity that is swept, a placeholder."""
    also = {"isl": isl, "osl": osl, "batch": concurrency, "rate": concurrency}.get(over)
    if also is not None:
        field = over if over in ("isl", "osl") else "concurrency"
        raise BadInput(f"contradicts --over {over}", field=field, allowed="either of them")
    profile = load_workload(name) if name is not None else None
    if concurrency is None:
        concurrency = (profile.concurrency if profile else None) or IN_FLIGHT
    if profile is None:
        isl, osl = INPUT_TOKENS if isl is None else isl, OUTPUT_TOKENS if osl is None else osl
    return make_workload(name, isl=isl, osl=osl, concurrency=concurrency)


def _total(load: Workload, over: str, x: float) -> float:
    """Tokens of a request at an x."""
    return (x if over == "isl" else load.input_tokens) + (x if over == "osl" else load.output_tokens)


def _narrowed(
    ask: Sweep, found: Swept, names: list[str], xs: list[float]
) -> tuple[Swept, list[float], dict[str, Curve]]:
    """More x where the best changes, until it changes between neighbours; and the curves over all x tried."""
    while True:
        curves = {name: found.curve(name, names, xs) for name in METRICS}
        more: set[float] = set()
        for name, curve in curves.items() if ask.over != "count" else ():
            best = leaders(curve.value, higher=METRICS[name])
            for i in (i for i in range(len(xs) - 1) if best[i] != best[i + 1]):
                more.update(between(xs[i], xs[i + 1], whole=ask.over != "rate"))
        if not more:
            return found, xs, curves
        found, xs = joined([found, swept(ask, sorted(more))]), sorted({*xs, *more})


def _crossovers(metric: str, curve: Curve, names: list[str], xs: list[float]) -> Iterator[Crossover]:
    for one in crossings(np.array(xs), curve.value, curve.sigma, higher=METRICS[metric]):
        yield Crossover(
            one.x, names[one.before], names[one.after], metric, one.low, one.high, one.first, one.how
        )  # fmt: skip


def _leads(metric: str, curve: Curve, names: list[str], xs: list[float]) -> Iterator[Lead]:
    """Who is best from where to where; an x where nobody serves parts nothing."""
    best = [(x, k) for x, k in zip(xs, leaders(curve.value, higher=METRICS[metric]), strict=True) if k >= 0]
    for k, same in groupby(best, key=lambda one: one[1]):
        held = [x for x, _ in same]
        yield Lead(metric, names[k], held[0], held[-1])


def _bounds(found: Swept, curve: Curve, names: list[str], xs: list[float]) -> Iterator[BoundChange]:
    for k, name in enumerate(names):
        words = [None if i < 0 else BOUNDS[int(found.bound[i])] for i in curve.row[k].tolist()]
        for at, before, after in changes(words):
            last = next(j for j in range(at - 1, -1, -1) if words[j] is not None)
            yield BoundChange(name, xs[at], before, after, xs[last])


def _nothing(rejected: Sequence[Absent]) -> NoFeasibleAnswer:
    who: dict[str, list[str]] = {}
    for one in rejected:
        who.setdefault(one.detail, []).append(one.accelerator)
    why = "; ".join(f"{', '.join(dict.fromkeys(names))}: {detail}" for detail, names in who.items())
    code = rejected[0].code
    field = reasons.field_of(code) if all(one.code == code for one in rejected) else None
    field = field if field in ("count", "isl", "weights") else "accelerator"  # what a sweep can ask otherwise
    return NoFeasibleAnswer(f"nothing can be compared: {why}", code=code, field=field)


Why = tuple[str, str] | None  # code and words


def _absent(ask: Sweep, found: Swept | None, xs: list[float]) -> Iterator[Absent]:
    """Accelerators without a point, by ranges of x with one reason."""
    model = ask.model
    words = f"input and output tokens exceed the context of {model.id} ({model.context_length:,})"
    beyond = reasons.CODES[reasons.CONTEXT], words
    for one in ask.known:
        held: list[Why] = [
            found.missing.get((one.id, x))
            if found is not None and model.holds(_total(ask.workload, ask.over, x))
            else beyond
            for x in xs
        ]
        yield from _ranges(one.id, xs, held)


def _unknown(curves: dict[str, Curve], names: list[str], xs: list[float]) -> Iterator[Absent]:
    """Metrics that an accelerator does not have where it serves."""
    served = np.logical_or.reduce([curve.row >= 0 for curve in curves.values()])
    for metric, words in UNKNOWN.items():
        for k, name in enumerate(names):
            without = (served[k] & (curves[metric].row[k] < 0)).tolist()
            yield from _ranges(name, xs, [("unknown", words) if no else None for no in without], metric)


def _ranges(name: str, xs: list[float], held: list[Why], metric: str | None = None) -> Iterator[Absent]:
    for why, same in groupby(zip(xs, held, strict=True), key=lambda one: one[1]):
        if why is not None:
            at = [x for x, _ in same]
            yield Absent(name, at[0], at[-1], *why, metric)


def _inputs(ask: Sweep, xs: list[float], names: list[str], primary: str, workload: str | None) -> dict[str, Any]:
    load, over = ask.workload, ask.over
    return {
        "model": ask.model.id, "accelerators": names, "over": over, "values": xs, "metric": primary,
        "workload": workload, "input_tokens": None if over == "isl" else load.input_tokens,
        "output_tokens": None if over == "osl" else load.output_tokens,
        "concurrency": None if over in ("batch", "rate") else load.concurrency, "count": ask.within,
        "weights": list(ask.weights) or None,
    }  # fmt: skip


def _assumptions(ask: Sweep, found: Swept, curves: dict[str, Curve]) -> Iterator[str]:
    load, over = ask.workload, ask.over
    yield from stands_for(ask.model)
    lengths = {"isl": f"{load.output_tokens:,.0f} output tokens", "osl": f"{load.input_tokens:,.0f} input tokens"}
    both = f"{load.input_tokens:,.0f} input and {load.output_tokens:,.0f} output tokens"
    flying = {"batch": ", a closed loop", "rate": ", Poisson arrivals"}.get(over, f", {load.concurrency} in flight")
    yield f"requests of {lengths.get(over, both)}{flying}"
    if over == "count" or ask.within:
        yield f"a deployment has {'the number of' if over == 'count' else ask.within} accelerators" + (
            " that is swept" if over == "count" else ""
        )
    else:
        yield "a deployment is one node; where that does not serve at an x, nodes are doubled until they do"
        yield (
            "machines that keep the model in on-chip memory take from the fewest nodes that serve at an x up to "
            f"{ROOM:g} times that, whichever is best"
        )
    yield (
        f"weights: {', '.join(ask.weights)}"
        if ask.weights
        else ("weights: the checkpoint's format where the part runs it, else 16 bit")
    )
    yield "at each x the best layout of each accelerator counts, found for each metric by itself"
    yield "an accelerator is one device as sold: a wafer counts as one"
    near = {"rate": "crossings are narrowed down to 1 %", "count": "counts between those asked about are not tried"}
    yield "between two x, values are interpolated in equal ratios; " + near.get(
        over, "crossings are narrowed down to neighbouring whole numbers"
    )
    yield "from x_low to x_high the probability of the order is between 20 and 80 %: errors lognormal, independent"
    yield coverage((p.device.id, p.label) for p in found.platforms)
    shown = np.unique(np.concatenate([curve.row[curve.row >= 0] for curve in curves.values()])).tolist()
    yield from assumed_hops((found.platforms[found.platform[i]], found.layout_at(i)) for i in shown)
    if ask.model.has_experts:
        yield "tokens are routed uniformly over the experts"


__all__: Sequence[str] = ("METRICS", "OVER", "Crossovers", "crossover")
