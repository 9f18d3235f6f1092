"""Sweep one quantity: where the best accelerator changes, and where what binds an accelerator changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.crossings import changes, crossings, leaders
from inferatlas.decide.swept import LAYOUT, METRICS, OVER, Curve, Sweep, Swept, joined, swept
from inferatlas.errors import BadInput, NoFeasibleAnswer, UnknownName
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.question import check_context
from inferatlas.predict.replicas import MOST_ACCELERATORS
from inferatlas.workload import Workload, make_workload

RANGES = {"batch": (1.0, 1024.0), "isl": (128.0, 131_072.0), "osl": (16.0, 8192.0), "rate": (0.1, 100.0)}
COUNTS = tuple(float(2**k) for k in range(11))
POINTS, MOST_POINTS = 60, 10_000
INPUT_TOKENS, OUTPUT_TOKENS, IN_FLIGHT = 1024, 256, 32  # what is not swept and not given
ALL_BETWEEN = 16  # whole numbers between two points that are tried one by one; of more, so many first


def crossover(
    model: str, accelerator_names: Sequence[str], *, over: str = "batch", values: Sequence[float] | None = None,
    start: float | None = None, stop: float | None = None, points: int = POINTS, metric: str | None = None,
    workload: str | None = None, isl: int | None = None, osl: int | None = None, concurrency: int | None = None,
    within: int | None = None, weights: Sequence[str] | None = None,
) -> Crossovers:  # fmt: skip
    """Sweep one quantity over several accelerators.

    Parameters
    ----------
    over : ``batch`` (requests in flight over the deployment), ``isl``, ``osl`` (tokens), ``rate`` (requests/s, open
        loop) or ``count`` (accelerators of the deployment).
    values, start, stop, points : the x: given one by one, or about so many in equal ratios, whole except rates.
    metric : primary metric; default latency for rates, else output tokens/s per accelerator.
    workload, isl, osl, concurrency : what is not swept; default 1,024 and 256 tokens and 32 requests in flight.
    within : accelerators in all, instead of whole nodes. weights : formats to try; default the checkpoint's.

    Raises
    ------
    BadInput, UnknownName, NotModelled. NoFeasibleAnswer : no accelerator serves anywhere.

    Examples
    --------
    >>> found = crossover("llama-3.1-8b", ["h100", "a100-80gb-sxm"], values=[1, 8, 64], isl=512, osl=128)
    >>> found.crossovers, {lead.accelerator for lead in found.leads if lead.metric == "itl_s"}
    ([], {'nvidia-h100-sxm'})
    """
    _check(over, metric, within, weights)
    config = load_model(model)
    operators(config)  # a model without performance model is refused before anything else is asked
    known = _known(accelerator_names)
    load = _load(over, workload, isl, osl, concurrency)
    if over not in ("isl", "osl"):
        check_context(config, load)
    xs = _grid(over, values, start, stop, points, config.context_length - (load.output_tokens if over == "isl" else
               load.input_tokens if over == "osl" else 0.0))  # fmt: skip
    ask = Sweep(config, tuple(known), load, over, tuple(weights or ()), within)
    fits = [x for x in xs if _total(load, over, x) <= config.context_length]
    found = swept(ask, fits) if fits else None
    names = [one.id for one in known]
    rejected = list(_absent(ask, found, xs))
    if found is None or not len(found):
        why = "; ".join(f"{one.accelerator}: {one.detail}" for one in rejected)
        raise NoFeasibleAnswer(f"nothing can be compared: {why}", code=rejected[0].code, field="accelerators")
    primary = metric or ("latency_s" if over == "rate" else "output_tokens_per_s_per_accelerator")
    found, tried = _narrowed(ask, found, names, fits)
    curves = {name: found.curve(name, names, xs) for name in METRICS}
    every = {name: found.curve(name, names, tried) for name in METRICS}
    return Crossovers(
        _inputs(ask, xs, names, primary),
        np.array(xs),
        names,
        primary,
        curves,
        found,
        [one for name, curve in every.items() for one in _crossovers(name, curve, names, tried)],
        [one for name, curve in every.items() for one in _leads(name, curve, names, tried)],
        list(_bounds(found, curves[primary], names, xs)),
        list(_assumptions(ask, found, primary)),
        [*rejected, *_unknown(found, curves, names, xs)],
    )


def _check(over: str, metric: str | None, within: int | None, weights: Sequence[str] | None) -> None:
    if over not in OVER:
        raise UnknownName("over", over, OVER)
    if metric is not None and metric not in METRICS:
        raise UnknownName("metric", metric, METRICS)
    if within is not None and over == "count":
        raise BadInput("the number of accelerators is what is swept", field="count", allowed="without --over count")
    if within is not None and not (1 <= within <= MOST_ACCELERATORS and within == int(within)):
        raise BadInput(f"{within} accelerators", field="count", allowed=f"1 to {MOST_ACCELERATORS}")
    for name in weights or ():
        if name not in FORMATS:
            raise BadInput(f"unknown format '{name}'", field="weights", allowed=", ".join(FORMATS))


def _known(asked: Sequence[str]) -> list[Accelerator]:
    if not asked:
        raise BadInput(
            "no accelerator is named", field="accelerators", allowed=f"one or more of {len(accelerator_ids())} names",
            hint="`inferatlas catalogue list` shows every name",
        )  # fmt: skip
    found: dict[str, Accelerator] = {}
    for name in asked:
        one = load_accelerator(name)
        if one.id in found:
            raise BadInput(f"{one.id} is named twice", field="accelerators", allowed="each accelerator once")
        found[one.id] = one
    return list(found.values())


def _load(over: str, name: str | None, isl: int | None, osl: int | None, concurrency: int | None) -> Workload:
    """What stays as it is; of the quantity that is swept, a placeholder."""
    given = {"isl": isl, "osl": osl}
    swept_too = "concurrency" if over in ("batch", "rate") and concurrency is not None else over
    if swept_too != over or given.get(over) is not None:
        raise BadInput(f"contradicts --over {over}", field=swept_too, allowed="either of them")
    if name is None:
        given = {"isl": isl or INPUT_TOKENS if isl is None else isl, "osl": OUTPUT_TOKENS if osl is None else osl}
    if concurrency is None:
        concurrency = IN_FLIGHT
        if name is not None:
            from inferatlas.workload import load_workload

            concurrency = load_workload(name).concurrency or IN_FLIGHT
    return make_workload(name, isl=given["isl"], osl=given["osl"], concurrency=concurrency)


def _total(load: Workload, over: str, x: float) -> float:
    if over == "isl":
        return x + load.output_tokens
    return load.input_tokens + (x if over == "osl" else load.output_tokens)


def _narrowed(ask: Sweep, found: Swept, names: list[str], xs: list[float]) -> tuple[Swept, list[float]]:
    """More x where the best changes, until it changes between neighbouring whole numbers."""
    if ask.over in ("rate", "count"):  # rates are not whole, and few numbers of accelerators can be divided
        return found, xs
    while True:
        more: set[float] = set()
        for name, higher in METRICS.items():
            best = leaders(found.curve(name, names, xs).value, higher=higher)
            more.update(x for i in range(len(xs) - 1) if best[i] != best[i + 1] for x in _between(xs[i], xs[i + 1]))
        if not more:
            return found, xs
        found, xs = joined([found, swept(ask, sorted(more))]), sorted({*xs, *more})


def _crossovers(metric: str, curve: Curve, names: list[str], xs: list[float]) -> list[Crossover]:
    found = crossings(np.array(xs), curve.value, curve.sigma, higher=METRICS[metric])
    return [Crossover(one.x, names[one.before], names[one.after], metric, one.low, one.high, one.first)
            for one in found]  # fmt: skip


def _leads(metric: str, curve: Curve, names: list[str], xs: list[float]) -> Iterator[Lead]:
    best = leaders(curve.value, higher=METRICS[metric])
    start = 0
    for i in range(1, len(best) + 1):
        if i == len(best) or best[i] != best[start]:
            if best[start] >= 0:
                yield Lead(metric, names[best[start]], xs[start], xs[i - 1])
            start = i


def _bounds(found: Swept, curve: Curve, names: list[str], xs: list[float]) -> Iterator[BoundChange]:
    for k, name in enumerate(names):
        row = curve.row[k].tolist()
        words = [None if i < 0 else BOUNDS[int(found.bound[i])] for i in row]
        for at, before, after in changes(words):
            last = next(j for j in range(at - 1, -1, -1) if words[j] is not None)
            yield BoundChange(name, xs[at], before, after, xs[last])


def _absent(ask: Sweep, found: Swept | None, xs: list[float]) -> Iterator[Absent]:
    """Accelerators without a point, by ranges of x with one reason."""
    limit = ask.model.context_length
    words = f"input and output tokens exceed the context of {ask.model.id} ({limit:,})"
    for one in ask.known:
        held: list[tuple[float, tuple[str, str] | None]] = []
        for x in xs:
            if _total(ask.workload, ask.over, x) > limit:
                held.append((x, (reasons.CODES[reasons.CONTEXT], words)))
            else:
                held.append((x, found.missing.get((one.id, x)) if found else None))
        yield from _ranges(one.id, held)


def _ranges(name: str, held: list[tuple[float, tuple[str, str] | None]], metric: str | None = None) -> Iterator[Absent]:
    start = 0
    for i in range(1, len(held) + 1):
        if i == len(held) or held[i][1] != held[start][1]:
            why = held[start][1]
            if why is not None:
                yield Absent(name, held[start][0], held[i - 1][0], *why, metric)
            start = i


UNKNOWN = {
    "power_w": "no rated power with a source is known",
    "tokens_per_joule": "no rated power with a source is known",
    "usd_per_million_tokens": "no price with a source is known",
    "itl_s": "a single output token has no gap between tokens",
}


def _unknown(found: Swept, curves: dict[str, Curve], names: list[str], xs: list[float]) -> Iterator[Absent]:
    """Metrics that an accelerator serves without having."""
    served = {name: curve.row >= 0 for name, curve in curves.items()}
    here = np.logical_or.reduce(list(served.values()))
    for metric, why in UNKNOWN.items():
        for k, name in enumerate(names):
            without = here[k] & ~served[metric][k]
            yield from _ranges(name, [(x, ("unknown", why) if no else None) for x, no in zip(xs, without, strict=True)],
                               metric)  # fmt: skip


def _inputs(ask: Sweep, xs: list[float], names: list[str], primary: str) -> dict[str, Any]:
    load, over = ask.workload, ask.over
    return {
        "model": ask.model.id, "accelerators": names, "over": over, "values": xs, "metric": primary,
        "workload": load.name, "input_tokens": None if over == "isl" else load.input_tokens,
        "output_tokens": None if over == "osl" else load.output_tokens,
        "concurrency": None if over in ("batch", "rate") else load.concurrency, "count": ask.within,
        "weights": list(ask.weights) or None,
    }  # fmt: skip


def _assumptions(ask: Sweep, found: Swept, primary: str) -> Iterator[str]:
    load, over = ask.workload, ask.over
    lengths = {"isl": f"{load.output_tokens:,.0f} output tokens", "osl": f"{load.input_tokens:,.0f} input tokens"}
    both = f"{load.input_tokens:,.0f} input and {load.output_tokens:,.0f} output tokens"
    flying = "" if over in ("batch", "rate") else f", {load.concurrency} requests in flight"
    yield f"requests of {lengths.get(over, both)}{flying}"
    if over == "count":
        yield "a deployment has exactly the number of accelerators swept"
    elif ask.within:
        yield f"a deployment has {ask.within} accelerators"
    else:
        yield "a deployment is one node, or as many whole nodes as serve at that x (nodes doubled until they do)"
        yield "machines that keep the model in on-chip memory take the fewest nodes that serve at that x"
    yield (
        f"weights: {', '.join(ask.weights)}"
        if ask.weights
        else ("weights: the checkpoint's format where the part multiplies it, else 16 bit")
    )
    yield "at each x the best layout of each accelerator counts, found for each metric by itself"
    yield "between two x values are interpolated in equal ratios; " + (
        "crossings are narrowed down to neighbouring whole numbers" if over in ("batch", "isl", "osl")
        else "x between those asked about are not tried"
    )  # fmt: skip
    yield "x_low to x_high: the probability of the order is between 20 and 80 %, errors lognormal and independent"
    labels = {p.device.id: p.label for p in found.platforms}
    for label in ("predicted", "extrapolated"):
        word = "calibrated (predicted)" if label == "predicted" else "not covered by a calibration (extrapolated)"
        yield f"{word}: {', '.join(sorted(n for n, one in labels.items() if one == label)) or 'none'}"
    if found.platforms and ask.model.kind == "moe":
        yield "tokens are routed uniformly over the experts"


__all__: Sequence[str] = ("METRICS", "OVER", "Crossover", "Crossovers", "crossover")
