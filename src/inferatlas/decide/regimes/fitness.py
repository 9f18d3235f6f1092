"""The fitness matrix: every accelerator in every regime, a value with its interval, a score, a grade and reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerator_ids, accelerators_named
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.coverage import assumed_hops, coverage
from inferatlas.decide.fleet import ROOM, Bound, bind_all, fleet, formats_among
from inferatlas.decide.regimes.against import against as beside
from inferatlas.decide.regimes.asking import beyond_training, check_kind, counterpart, model_for, refusal
from inferatlas.decide.regimes.cells import Cell, empty, filled, siblings, why_not
from inferatlas.decide.regimes.measures import Measure
from inferatlas.decide.regimes.ranks import DRAWS
from inferatlas.decide.regimes.result import Against, Fitness, RegimeResult, correlation, drivers
from inferatlas.errors import BadInput, UnknownName, called
from inferatlas.inputs import several
from inferatlas.predict.llm.measured import unmeasured
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.precision import format_named
from inferatlas.predict.mapping.memory import kv_bytes
from inferatlas.workload import Regime, in_regime, load_regime
from inferatlas.workload import regimes as every_regime

KEPT_BYTES = 2.0  # per value of a cache, where what a request keeps is told: 16 bit
GAIN = 1.05  # by the last level of concurrency, above which a value is said to be still rising


def fitness(
    model: str, *, against: str | Iterable[str] = (), regimes: str | Iterable[str] = (),
    accelerators: str | Iterable[str] = (),
) -> Fitness:  # fmt: skip
    """Grade accelerators in operating regimes.

    Parameters
    ----------
    model : catalogue name or path; a regime about another kind of model asks its own.
    against : models whose order of accelerators is compared with that of ``model``, regime by regime.
    regimes : names, or YAML files of one's own; none: all eight. accelerators : names or files; none, or ``all``: all.

    Raises
    ------
    BadInput, UnknownName, NotModelled.

    Examples
    --------
    >>> found = fitness("llama-3.1-8b", regimes="single-stream", accelerators=["h100", "groq-lpu-v1", "l4"])
    >>> [(cell.accelerator, cell.grade) for cell in found.regimes[0].cells][0][1]
    'excellent'
    >>> three = ["h100", "a100", "l4"]
    >>> found = fitness("mamba2-2.7b", against="llama-3.2-3b", regimes="long-context", accelerators=three)
    >>> found.against[0].regimes[0].rank_correlation.value
    1.0
    """
    asked, others = load_model(model), _others(against)
    known = accelerators_named(accelerators)
    chosen, graded = _chosen(regimes, known), _Graded(known)
    ours = graded.results(asked, chosen)
    compared = tuple(beside(other.id, ours, graded.results(other, chosen)) for other in others)
    every = list({model.id: model for model in (asked, *others)}.values())
    beyond = None if others else counterpart(asked, chosen)
    return Fitness(
        asked.id, ours, list(_assumptions(every, ours, compared)), compared, None if beyond is None else beyond.id
    )


class _Graded:
    """Results of regimes for the accelerators known: each model is bound once, and asked once in a regime."""

    def __init__(self, known: Sequence[Accelerator]) -> None:
        self.known = known
        self._bound: list[tuple[ModelConfig, Regime, Bound]] = []
        self._found: list[tuple[ModelConfig, Regime, RegimeResult]] = []

    def results(self, asked: ModelConfig, regimes: Sequence[Regime]) -> list[RegimeResult]:
        """Of every regime, the result for the model asked about or for the regime's own."""
        return [self._result(regime, model_for(regime, asked)) for regime in regimes]

    def _result(self, regime: Regime, model: ModelConfig) -> RegimeResult:
        for who, where, found in self._found:
            if who is model and where is regime:
                return found
        found = _result(regime, model, self.known, lambda: self._bind(regime, model))
        self._found.append((model, regime, found))
        return found

    def _bind(self, regime: Regime, model: ModelConfig) -> Bound:
        for who, like, found in self._bound:
            if who is model and (like.weights, like.within) == (regime.weights, regime.within):
                return found
        found = bind_all(model, self.known, formats_among(regime.weights), regime.within)
        self._bound.append((model, regime, found))
        return found


def _others(names: str | Iterable[str]) -> list[ModelConfig]:
    """The models to compare with, each once; what is wrong with a name is wrong with ``against``."""
    found: dict[str, ModelConfig] = {}
    for name in several(names, "against"):
        with called("against", "model"):
            model = load_model(name)
        if model.id in found:
            raise BadInput(f"{model.id} is named twice", field="against", allowed="each model once")
        found[model.id] = model
    return list(found.values())


def _chosen(names: str | Iterable[str], known: Sequence[Accelerator]) -> list[Regime]:
    """The regimes asked for, each once: answers go by their names."""
    given = [(name, load_regime(name)) for name in several(names, "regime")]
    found: dict[str, Regime] = {}
    for name, regime in given or [(one.name, one) for one in every_regime()]:
        if regime.name in found:
            raise BadInput(f"{regime.name} is named twice", field="regime", allowed="each name once, files' names too")
        try:
            _check_names(regime, known)
        except BadInput as wrong:
            raise wrong if wrong.file else in_regime(wrong, name) from None
        found[regime.name] = regime
    return list(found.values())


def _check_names(regime: Regime, known: Sequence[Accelerator]) -> None:
    """Names in a regime that the floor it is read on does not know: formats, graded accelerators, and the model."""
    for name in regime.weights:
        format_named(name)
    graded = {*accelerator_ids(), *(one.id for one in known)}
    for name in regime.published.grades if regime.published else ():
        if name not in graded:
            raise UnknownName("accelerator", name, graded, field=f"published.grades.{name}")
    check_kind(regime)


def _result(
    regime: Regime, model: ModelConfig, known: Sequence[Accelerator], bound: Callable[[], Bound]
) -> RegimeResult:  # fmt: skip
    ops = operators(model)  # a model without performance model is refused before anything else is said about it
    if (why := refusal(regime, model)) is not None:
        return RegimeResult(regime, model.id, [empty(one, regime, *why) for one in known], {})
    levels: dict[str, Sequence[float]] = {"concurrency": [float(level) for level in regime.concurrency]}
    designs = fleet(
        model,
        known,
        regime.workload(regime.concurrency[0]),
        levels,
        within=regime.within,
        bound=bound(),
        room=ROOM if regime.per == "accelerator" else 1.0,
    )
    measure = Measure.of(designs, regime)
    index, owner = designs.accelerator_index()
    rejected = {out.accelerator: out for out in designs.rejected}
    best = {name: i for k, name in enumerate(index) if (i := measure.best(np.flatnonzero(owner == k))) is not None}
    top = measure.top(list(best.values()))
    cells = [
        filled(one, regime, designs, measure, best[one.id], top) if one.id in best
        else empty(one, regime, *why_not(designs, measure, rejected.get(one.id), one.id, regime))
        for one in known
    ]  # fmt: skip
    cells.sort(key=lambda cell: (cell.score is None, -(cell.score or 0.0), cell.accelerator))
    has = dict(zip(best, _has(designs, regime, list(best.values())), strict=True))
    graded = {cell.accelerator: cell for cell in cells if cell.score is not None}
    follows = drivers(graded, has, higher=measure.higher)
    chosen = tuple((designs.platform(i), designs.layout(i)) for i in best.values())
    rising = tuple(name for name, i in best.items() if _rises(designs, measure, i))
    kept = None if model.embeds else _kept_bytes(ops, regime)
    return RegimeResult(regime, model.id, cells, follows, _energy(cells), chosen, rising, has, kept, model.layer_count)


def _kept_bytes(ops: Operators, regime: Regime) -> float:
    """Cache and states of one request at its end."""
    end = regime.input_tokens + regime.output_tokens
    return float(kv_bytes(ops, 1, 1, end, KEPT_BYTES, source=regime.input_tokens))


def _rises(designs: Designs, measure: Measure, i: int) -> bool:
    """Whether a design gains at the last level of concurrency: a value that more is better of, still growing there."""
    flying, same = designs.points.concurrency, siblings(designs.points, i)
    fewer = same[(flying[same] < flying[i]) & measure.allowed[same]]
    if not measure.higher or flying[i] < flying.max() or not fewer.size:
        return False
    return bool(measure.metric.value[i] > GAIN * measure.metric.value[fewer].max())


def _has(designs: Designs, regime: Regime, chosen: list[int]) -> list[tuple[float, ...]]:
    """What each deployment has, in the order of `HAS`: of one accelerator where the value is per accelerator."""
    out = []
    for i in chosen:
        part, peak = designs.platform(i).device, designs.platform(i).peak_flop_per_s
        share = 1.0 if regime.per == "accelerator" else float(designs.points.accelerators[i])
        out.append((share * (part.memory.bytes_per_s or np.nan), share * peak, share * part.memory.bytes))
    return out


def _energy(cells: Sequence[Cell]) -> dict[str, Any]:
    """Who is best by output tokens per joule, and whether that is the order of the scores."""
    known = [(c, one.value) for c in cells if c.score is not None and (one := c.metrics.get("tokens_per_joule"))]
    if not known:
        return {"best": None, "rank_correlation": None}
    per_joule = np.array([value for _, value in known])
    scores = np.array([c.score for c, _ in known])
    ranks = [np.argsort(np.argsort(x)).astype(np.float64) for x in (per_joule, scores)]
    return {"best": known[int(np.argmax(per_joule))][0].accelerator, "rank_correlation": correlation(*ranks)}


def _assumptions(
    asked: Sequence[ModelConfig], ours: Sequence[RegimeResult], compared: Sequence[Against]
) -> Iterator[str]:  # fmt: skip
    every = [*ours, *(one for other in compared for one in other.results)]
    results = list({id(one): one for one in every}.values())  # what was asked once is said once
    for model in asked:
        yield from stands_for(model)
    given = {one.regime.name: one.regime.within for one in results if one.regime.within}
    yield from (f"in {name} a deployment has {within} accelerators" for name, within in given.items())
    if len(given) < len({one.regime.name for one in results}):
        others = "elsewhere " if given else ""
        yield f"{others}a deployment is one node, or as many whole nodes as hold the model"
        yield (
            f"{others}of machines with on-chip memory, per accelerator, up to {ROOM:g} times the least that serve "
            "are tried"
        )
    yield "weights: the checkpoint's format where the part runs it, else 16 bit, unless the regime names formats"
    yield "the best layout and level of concurrency of each accelerator counts; scores are relative to the best shown"
    yield coverage((cell.accelerator, cell.label) for one in results for cell in one.cells if cell.label)
    yield from assumed_hops(pair for one in results for pair in one.chosen)
    for one in (one for one in results if one.rising):
        most = max(one.regime.concurrency)
        where = f"{one.regime.name} on {one.model}" if compared else one.regime.name
        yield (
            f"in {where}, still gaining at {most:,} requests in flight (more might change their grade): "
            f"{', '.join(sorted(one.rising))}"
        )
    if any(one.regime.kind == "moe" for one in results):
        yield "tokens are routed uniformly over the experts"
    if any(one.regime.hosted > 1 for one in results):
        yield "weights of models that are not in memory come over each accelerator's own link to its host"
    yield from beyond_training([(one.regime, model) for one in results for model in asked if model.id == one.model])
    if compared:
        yield from _comparing(asked)


def _comparing(asked: Sequence[ModelConfig]) -> Iterator[str]:
    """How two orders were compared, and what the comparison cannot see."""
    yield (
        "orders are compared over the accelerators graded for both models, by Spearman's rank correlation of the "
        f"scores; its ends are 80 % of {DRAWS:,} samples of the accelerators, drawn with replacement"
    )
    yield (
        "who moves: values are drawn from the 80 % intervals of both models independently, and zero places lie outside "
        "80 % of the changes; an accelerator errs alike on two models in part, so this names too few rather than too "
        "many"
    )
    new = {model.id: list(unmeasured(model)) for model in asked}
    for name, what in new.items():
        if what:
            yield (
                f"{name} has {', '.join(what)}, which no measured point had: it takes each accelerator's efficiencies "
                "from transformer decoders, so how good the kernels of one accelerator are for it is in its intervals "
                "and not in its order"
            )
