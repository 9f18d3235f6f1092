"""An operating regime: what a deployment is asked, how the answer is measured, and the words that grade it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload.targets import ServiceTarget
from inferatlas.workload.workload import Workload

Better = Literal["lower", "higher"]

# What a regime can be measured by, in SI (as predictions name it), and which way is better.
METRICS: dict[str, Better] = {
    "ttft_s": "lower",
    "itl_s": "lower",
    "latency_s": "lower",
    "output_tokens_per_s": "higher",
    "total_tokens_per_s": "higher",
    "requests_per_s": "higher",
    "tokens_per_joule": "higher",
    "power_w": "lower",
    "usd_per_million_tokens": "lower",
    "usd_per_million_tokens_owned": "lower",
    "gco2e_per_million_tokens": "lower",
}
# Those that add up over accelerators, so that a share of each means something; a latency or a cost per token does not.
ADDITIVE = ("output_tokens_per_s", "total_tokens_per_s", "requests_per_s", "power_w")
PER = ("deployment", "accelerator")
KINDS = ("any", "moe", "embedding")
GRADES = ("excellent", "very good", "good", "fair", "limited")

# The least score (share of the best value) of each grade. Sharma 2025 (arXiv:2506.00008) states no thresholds, but
# they can be read off its own data: Table IV prints throughputs in tokens/s, and the matrix of section IV-B grades
# the same machines in the high-throughput regime.
#
#   excellent  5,280  4,560  4,380    scores 1, 0.86, 0.83
#   very good  3,240                  0.61
#   good       1,840                  0.35
#   fair         450                  0.085
#
# A boundary is the geometric mean of its two neighbours: 0.71, 0.46 and 0.17, rounded here. No machine of Table IV
# is graded limited, so between fair and limited there is no datum: 0.05 is this project's choice.
THRESHOLDS: dict[str, float] = {"excellent": 0.7, "very good": 0.45, "good": 0.17, "fair": 0.05, "limited": 0.0}

_SLUG = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_MOST = 1_000_000  # models or accelerators that nobody has in one deployment


@dataclass(frozen=True, slots=True)
class Published:
    """The grades that a study gave in a regime.

    Parameters
    ----------
    source, address : the study, and where in it the grades stand.
    grades : accelerator slug to one of `GRADES`.
    note : what the study says, or leaves out, about how it graded.

    Raises
    ------
    BadInput : no source, no grades, a word that is not a grade, a name that is not a slug.

    Examples
    --------
    >>> Published("a study", "https://example.org", {"amd-mi300x": "very good"}).grades["amd-mi300x"]
    'very good'
    """

    source: str
    address: str
    grades: dict[str, str] = field(hash=False)  # a dict has no hash; what else there is tells two apart well enough
    note: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            raise BadInput("is empty", field="published.source")
        if not self.grades:
            raise BadInput("is empty", field="published.grades", allowed="accelerators, each with its grade")
        for accelerator, grade in self.grades.items():
            where = f"published.grades.{accelerator}"
            if not _SLUG.fullmatch(accelerator):
                raise BadInput("is not an accelerator's short name", field=where, allowed="for example amd-mi300x")
            _one_of("grade", grade, GRADES, where)


@dataclass(frozen=True, slots=True)
class Regime:
    """One operating condition in which accelerators are compared: requests, a metric, limits and grades.

    Parameters
    ----------
    name : short name; that of its file.
    title, description : for people: what it asks, and why by this metric and with these numbers.
    metric : what counts, one of `METRICS`.
    per : ``deployment`` or ``accelerator``: what the value is divided by. Only what adds up over accelerators
        (throughputs, requests, power) can be per accelerator.
    input_tokens, output_tokens, input_cv, output_cv : lengths of a request, as in `Workload`.
    concurrency : numbers of requests in flight over the deployment; the best of these levels counts.
    slo : targets; a level that misses one does not count.
    weights : weight formats to choose from; () is the checkpoint's where the part runs it, else 16 bit.
    kind : kind of model that the regime is about: ``any``, ``moe`` (mixture of experts) or ``embedding`` (models whose
        answer is a vector, counted as one output token).
    model : the model asked where the user's is not of that kind, or ``always``.
    always : ask ``model`` whatever model the user names.
    hosted : models of the asked one's size that share the deployment.
    within : accelerators; None is one node, or as many whole nodes as the model needs.
    thresholds : each of `GRADES` with its least score, falling, 0 for the last.
    published : grades that a study gave in this regime.
    source, address, note : where the numbers of the workload and the targets come from.
    order : place in a list of regimes.

    Raises
    ------
    BadInput : a value out of range, two that contradict each other, an unknown word (near ones are offered).

    Examples
    --------
    >>> mine = Regime("mine", "Chat at night", "Few users, electricity counts.", "tokens_per_joule", "deployment",
    ...               input_tokens=1024, output_tokens=256, concurrency=(1, 4))
    >>> mine.better, mine.grade(0.5), mine.workload(4).concurrency
    ('higher', 'very good', 4)
    """

    name: str
    title: str
    description: str
    metric: str
    per: str
    input_tokens: float
    output_tokens: float
    concurrency: tuple[int, ...]
    input_cv: float = 0.0
    output_cv: float = 0.0
    slo: tuple[ServiceTarget, ...] = ()
    weights: tuple[str, ...] = ()
    kind: str = "any"
    model: str | None = None
    always: bool = False
    hosted: int = 1
    within: int | None = None
    thresholds: dict[str, float] = field(default_factory=lambda: dict(THRESHOLDS), hash=False)
    published: Published | None = None
    source: str = ""
    address: str = ""
    note: str = ""
    order: int = 0

    def __post_init__(self) -> None:
        for name in ("title", "description"):
            if not getattr(self, name):
                raise BadInput("is empty", field=name)
        _one_of("metric", self.metric, METRICS)
        _one_of("per", self.per, PER)
        if self.per == "accelerator" and self.metric not in ADDITIVE:
            raise BadInput(
                f"{self.metric} does not add up over accelerators",
                field="per",
                allowed=f"deployment; accelerator with {', '.join(ADDITIVE)}",
            )
        if not self.concurrency:
            raise BadInput("is empty", field="concurrency", allowed="one number of requests in flight or more")
        for level in self.concurrency:
            self.workload(level)  # checks the lengths as well
        for name in self.weights:
            if not _SLUG.fullmatch(name):
                raise BadInput(f"'{name}' is not a weight format", field="weights", allowed="for example fp8, int4")
        _check_model(self)
        for name in ("hosted", "within"):
            count = getattr(self, name)
            if not _is_count(count) and (name, count) != ("within", None):
                raise BadInput(f"{count!r} is not a count", field=name, allowed=f"a whole number, 1 to {_MOST:,}")
        _check_thresholds(self.thresholds)

    @property
    def better(self) -> Better:
        """Which way the metric is better: ``lower`` or ``higher``."""
        return METRICS[self.metric]

    def grade(self, score: float) -> str:
        """The word for a score: the value over the best one if higher is better, the best over it if lower.

        Examples
        --------
        >>> from inferatlas.workload import load_regime
        >>> [load_regime("high-throughput").grade(rate / 5280) for rate in (4380, 3240, 1840, 450)]
        ['excellent', 'very good', 'good', 'fair']
        """
        if not score >= 0:
            raise BadInput(f"{score!r} is not a score", field="score", allowed="0 or more; 1 is the best")
        return next(word for word in GRADES if score >= self.thresholds[word])

    def workload(self, concurrency: int) -> Workload:
        """The requests of the regime with so many in flight.

        Examples
        --------
        >>> from inferatlas.workload import load_regime
        >>> load_regime("single-stream").workload(1).total_tokens
        1280.0
        """
        return Workload(
            name=self.name,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            input_cv=self.input_cv,
            output_cv=self.output_cv,
            concurrency=concurrency,
            source=self.source,
            address=self.address,
            note=self.note,
        )


def _check_model(it: Regime) -> None:
    _one_of("kind", it.kind, KINDS)
    if it.model == "":
        raise BadInput("is empty", field="model")
    if it.model is None and (it.always or it.kind != "any"):
        why = "always is true" if it.always else f"kind is {it.kind}"
        raise BadInput(f"no model is given, and {why}", field="model", allowed="the model to ask instead")
    if it.model is not None and not it.always and it.kind == "any":
        allowed = "a model with kind: moe, kind: embedding or always: true"
        raise BadInput("is never asked: kind is any", field="model", allowed=allowed)
    if it.kind == "embedding" and it.output_tokens != 1:
        raise BadInput(f"{it.output_tokens:g} is not 1: kind is embedding, and a vector counts as one token",
                       field="output_tokens", allowed="1")  # fmt: skip


def _check_thresholds(thresholds: dict[str, float]) -> None:
    for word, least in thresholds.items():
        _one_of("grade", word, GRADES, f"thresholds.{word}")
        if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
            raise BadInput(f"{least!r} is not a score", field=f"thresholds.{word}", allowed="0 to 1")
    missing = [word for word in GRADES if word not in thresholds]
    if missing:
        raise BadInput(f"{', '.join(missing)} missing", field="thresholds", allowed=", ".join(GRADES))
    for better, worse in pairwise(GRADES):
        if thresholds[worse] >= thresholds[better]:
            raise BadInput(
                f"{thresholds[worse]:g} is not below the {thresholds[better]:g} of {better}",
                field=f"thresholds.{worse}",
                allowed="least scores that fall from excellent to limited",
            )
    if thresholds[GRADES[-1]] != 0:
        raise BadInput("leaves scores without a grade", field=f"thresholds.{GRADES[-1]}", allowed="0")


def _one_of(what: str, value: str, allowed: Iterable[str], where: str | None = None) -> None:
    allowed = tuple(allowed)
    if value not in allowed:
        raise UnknownName(what, value, allowed, field=where, allowed=", ".join(allowed))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST
