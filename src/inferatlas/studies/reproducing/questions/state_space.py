"""Whether state-space models and other families rank the architecture classes as transformers do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from inferatlas.decide.regimes.cells import Cell
from inferatlas.decide.regimes.fitness import fitness
from inferatlas.decide.regimes.result import Comparison, RegimeResult
from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, spoken
from inferatlas.studies.runs import exactly, joint, over

REGIMES = ("single-stream", "moderate-batch", "high-throughput", "long-context")
# a model of each family beside a transformer of its size; the first of them holds the longest requests as well
PAIRS = (("mamba2-2.7b", "llama-3.2-3b"), ("rwkv-7-world-7.2b", "llama-3.1-8b"))

SAME = 0.9  # rank correlation above which an order hardly changes


@dataclass(frozen=True)
class Classes:
    """The best accelerator of each architecture class in one regime, for a model and for its transformer."""

    regime: str
    metric: str
    higher: bool
    model: str
    beside: str
    ours: dict[str, Cell]
    theirs: dict[str, Cell]
    compared: Comparison

    @property
    def names(self) -> list[str]:
        """Classes with an accelerator for both, best for the transformer first."""
        return [name for name in self.theirs if name in self.ours]

    def ahead(self, cells: dict[str, Cell], first: str, second: str) -> Interval:
        """How many times as good the first class is as the second."""
        a, b = (_value(cells[name]) for name in (first, second))
        if first == second:
            return exactly(1.0)
        return over(a, b) if self.higher else over(b, a)

    def swapped(self) -> list[tuple[str, str]]:
        """Pairs of classes whose order is another one for the two models; the one ahead for the transformer first."""
        return [(x, y) for x, y in combinations(self.names, 2) if self.ahead(self.ours, x, y).value < 1.0]


def classes(model: str, beside: str, regimes: Sequence[str] = REGIMES) -> list[Classes]:
    """The classes in every regime that both models can be asked in."""
    found = fitness(model, against=beside, regimes=regimes)
    rows = zip(found.regimes, found.against[0].results, found.against[0].regimes, strict=True)
    every = [
        Classes(
            one.regime.name, one.regime.metric, one.regime.better == "higher", model, beside, _best(one), _best(other),
            compared,
        )
        for one, other, compared in rows
    ]  # fmt: skip
    return [one for one in every if len(one.names) > 1]


def _best(result: RegimeResult) -> dict[str, Cell]:
    """The first cell of each class: they come best first."""
    out: dict[str, Cell] = {}
    for cell in result.cells:
        if cell.value is not None and cell.score is not None:
            out.setdefault(cell.architectural_class, cell)
    return out


def state_space_ranking(pairs: Sequence[tuple[str, str]] = PAIRS) -> OpenQuestion:
    """Open question 3 of Sharma 2025: the ranking of the classes under state-space models."""
    found = [one for model, beside in pairs for one in classes(model, beside)]
    grounds = list(_grounds(found))
    sure, why = confidence(grounds)
    swapped = [(one, pair) for one in found for pair in one.swapped()]
    return OpenQuestion(
        id="state-space-ranking",
        place="VIII-B (1); open question 3; next check 3",
        question="How does the ranking of the architecture classes change under state-space models?",
        answer=_answer(found, grounds, swapped),
        confidence=sure,
        why=why,
        conditions=(
            "best accelerator of each class of the catalogue in "
            f"{listed(list(dict.fromkeys(o.regime for o in found)))}; per accelerator where the regime counts so",
            "a request of a state-space model keeps a state of fixed size: classes gain from it where the cache of a "
            "transformer fills memory, in long contexts and large batches, and hardly in single requests",
            "no measured point had recurrent layers: each accelerator keeps its efficiencies of transformer decoders, "
            "so kernels that one of them lacks would move it",
            "errors of the two models are taken as independent, which makes the intervals too wide",
        ),
        pairs=tuple(_pair(one, name) for one in found for name in one.names),
        plot=Plot("bars", x="class", colour="model", facet="regime", log=True),
    )  # fmt: skip


def _grounds(found: Sequence[Classes]) -> Iterator[Ground]:
    """Each pair of classes in each regime: which of them is ahead for the state-space model."""
    for one in found:
        for first, second in combinations(one.names, 2):
            x, y = one.ours[first], one.ours[second]
            says = f"{spoken(first)} against {spoken(second)} in {one.regime} ({one.model})"
            yield Ground(says, one.ahead(one.ours, first, second), 1.0, joint((x.label or "", y.label or "")))


def _answer(found: Sequence[Classes], grounds: Sequence[Ground], swapped: list) -> str:
    values = [one.compared.rank_correlation.value for one in found if one.compared.rank_correlation is not None]
    tried, clear = len(grounds), sum(ground.clear for ground in grounds)
    who = listed(sorted({f"{spoken(y)} passes {spoken(x)} in {one.regime} ({one.model})" for one, (x, y) in swapped}))
    moved = (
        f"{len(swapped)} of {tried} pairs of classes change places: {who}"
        if swapped
        else "no two classes change places"
    )
    beyond = sum(len(one.compared.moved) for one in found)
    compared = max(one.compared.compared for one in found)
    return (
        f"{'Hardly' if min(values) > SAME else 'Much'}: over up to {compared} accelerators the rank correlation with a "
        f"transformer of the same size is {number(min(values))} to {number(max(values))} by regime, and {moved}. "
        f"{clear} of {tried} pairs are in their order beyond the intervals, and {beyond} accelerators move beyond what "
        "theirs allow."
    )


def _pair(one: Classes, name: str) -> Pair:
    """How good a class is beside the one that is best for the transformer."""
    mine, first = one.ours[name], one.names[0]
    return Pair(
        {"regime": one.regime, "model": one.model, "class": spoken(name)},
        "goodness_over_the_transformers_best_class", "1", None, one.ahead(one.ours, name, first),
        joint((mine.label or "",)),
        f"{mine.name}, {one.metric}; {number(one.ahead(one.theirs, name, first).value)} for {one.beside}",
    )  # fmt: skip


def _value(cell: Cell) -> Interval:
    return cell.value or Interval(float("nan"), float("nan"), float("nan"))
