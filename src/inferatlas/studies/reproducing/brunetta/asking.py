"""Many configurations of the paper, predicted in one vectorised pass per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.studies.exhibits import Label
from inferatlas.studies.reproducing.brunetta.protocol import ACCELERATORS, DATAFLOW, LENGTHS, MAX1550

UNITS = {
    "total_tokens_per_s": "1/s", "total_tokens_per_s_per_accelerator": "1/s", "total_tokens_per_s_per_instance": "1/s",
    "latency_s": "s", "ttft_s": "s", "itl_s": "s", "power_w": "W", "total_tokens_per_joule": "1/J",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration. ``accelerator`` as the paper calls it; ``in_flight`` requests over the whole deployment.

    ``weights``: "" is the 16-bit format that the paper used there. ``memory``: of each accelerator, times its own
    (1 but where it is asked what if).
    """

    model: str
    accelerator: str
    in_flight: float
    tp: int = 1
    dp: int = 1
    ep: int = 1
    weights: str = ""
    memory: float = 1.0

    @property
    def count(self) -> int:
        return self.tp * self.dp


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers in the order of their cases. ``metrics`` by the names of `UNITS`; NaN where a case cannot be.

    ``reasons``: codes of `mapping.reasons`; ``whole``: whether memory holds all requests in flight at once; ``rows``:
    the place of each case.
    """

    cases: tuple[Case, ...]
    metrics: dict[str, Metric]
    reasons: tuple[int, ...]
    labels: tuple[Label, ...]
    whole: tuple[bool, ...]
    rows: Mapping[Case, int]

    def __len__(self) -> int:
        return len(self.cases)

    def at(self, name: str, i: int) -> Interval | None:
        """One figure of the i-th case with its interval; None where the case cannot be or the figure is unknown."""
        return self.metrics[name].at(i)

    def of(self, case: Case, name: str) -> Interval | None:
        """The same of a case that was asked."""
        return self.at(name, self.rows[case])

    def number(self, case: Case, name: str) -> float:
        """One figure of a case without its interval, NaN where it is unknown."""
        return float(self.metrics[name].value[self.rows[case]])

    def value(self, name: str) -> Floats:
        """One figure of all cases, NaN where it is unknown."""
        return self.metrics[name].value

    def why_not(self, i: int) -> str:
        """Why a case cannot be; empty where it can."""
        return reasons.DETAILS.get(self.reasons[i], "")


def answered(cases: Sequence[Case]) -> Answers:
    """Predict every case, one pass per model.

    Examples
    --------
    >>> two = answered([Case("llama-3.1-8b", "NVIDIA H100", 16), Case("llama-3.3-70b", "NVIDIA H100", 16)])
    >>> two.at("latency_s", 0) is not None, two.at("latency_s", 1), two.why_not(1).split(",")[0]
    (True, None, 'weights')
    """
    of_model: dict[str, list[int]] = {}
    for i, case in enumerate(cases):
        of_model.setdefault(case.model, []).append(i)
    parts = [_of_model(model, [cases[i] for i in rows]) for model, rows in of_model.items()]
    back = np.argsort(np.concatenate(list(of_model.values())))
    metrics = {
        name: Metric(*(np.concatenate([getattr(p.metrics[name], column) for p in parts])[back] for column in COLUMNS))
        for name in UNITS
    }
    rest = {name: [x for part in parts for x in getattr(part, name)] for name in ("reasons", "labels", "whole")}
    columns = {name: tuple(column[i] for i in back) for name, column in rest.items()}
    return Answers(tuple(cases), metrics, **columns, rows={case: i for i, case in enumerate(cases)})


COLUMNS = ("value", "sigma", "most")
MOST_SEQUENCES = 4096  # more than any batch here
FULL = 0.98  # of the requests in flight; a little less are in steps where answers end between them


@lru_cache(maxsize=512)
def platform_of(model: str, accelerator: str, weights: str) -> Platform:
    """The platform of a case: vLLM on GPUs, where the paper ran it whatever we know of its support."""
    known = load_accelerator(ACCELERATORS[accelerator])
    if accelerator in DATAFLOW:
        return bind(known, None, weights or None, model=load_model(model))
    wide = "fp16" if accelerator == MAX1550 else None  # Sec. III-C1: better optimised there than bfloat16
    platform = bind(known, "vllm", weights or wide, model=load_model(model), proven=True)
    # Sec. III-C1: every run names its largest batch, so the engine's own limit does not count
    return replace(platform, engine=replace(platform.engine, max_sequences=MOST_SEQUENCES))


@lru_cache(maxsize=16)
def _label(accelerator: str) -> Label:
    return "predicted" if platform_of("llama-3.1-8b", accelerator, "").label == "predicted" else "extrapolated"


def label_of(words: str) -> Label:
    """Extrapolated where the words name an accelerator that no calibration covers.

    >>> label_of("NVIDIA H100 over NVIDIA A100"), label_of("NVIDIA A100 over AMD MI250")
    ('predicted', 'extrapolated')
    """
    named = [name for name in ACCELERATORS if name in words]
    return "extrapolated" if any(_label(name) == "extrapolated" for name in named) else "predicted"


@lru_cache(maxsize=64)
def operators_of(model: str) -> Operators:
    return operators(load_model(model))


def _of_model(model: str, cases: Sequence[Case]) -> Answers:
    ops = operators_of(model)
    keys = list(dict.fromkeys((case.accelerator, case.weights, case.memory) for case in cases))
    platforms = [platform_of(model, accelerator, weights) for accelerator, weights, _ in keys]
    table = platform_table(platforms, is_moe=bool(ops.experts))
    table = replace(table, capacity=table.capacity * np.array([memory for _, _, memory in keys]))
    number = {key: i for i, key in enumerate(keys)}
    points = make_points(
        [number[case.accelerator, case.weights, case.memory] for case in cases],
        **{name: [getattr(case, name) for case in cases] for name in ("tp", "dp", "ep")},
        concurrency=[case.in_flight for case in cases],
        input_tokens=LENGTHS.input_tokens, output_tokens=LENGTHS.output_tokens,
        input_cv=LENGTHS.input_cv, output_cv=LENGTHS.output_cv,
    )  # fmt: skip
    found = predict(ops, table, points)
    labels: list[Label] = [
        "predicted" if platforms[i].label == "predicted" and keys[i][2] == 1.0 else "extrapolated"
        for i in points.platform.tolist()
    ]
    rated = table.rated_w.take(points.platform) * points.accelerators
    whole = found.batch >= FULL * points.concurrency / points.dp
    return Answers(
        tuple(cases), _metrics(points, found, rated), tuple(found.reason.tolist()), tuple(labels),
        tuple(whole.tolist()), {},
    )  # fmt: skip


def _metrics(points: Points, found: Predictions, rated_w: Floats) -> dict[str, Metric]:
    """The paper's figures: throughput and tokens per joule count input and output tokens (Sec. III-D)."""
    most = np.full(len(points), np.inf)
    total = found.output_tokens_per_s * (LENGTHS.tokens / LENGTHS.output_tokens)
    rate, power = found.rate_sigma.astype(np.float64), found.power_sigma.astype(np.float64)
    out = {
        "total_tokens_per_s": Metric(total, rate, most),
        "total_tokens_per_s_per_accelerator": Metric(total / points.accelerators, rate, most),
        "total_tokens_per_s_per_instance": Metric(total / points.dp, rate, most),
        "power_w": Metric(found.power_w, power, rated_w),
        "total_tokens_per_joule": Metric(total / found.power_w, np.hypot(rate, power), most),
    }
    for name in ("latency_s", "ttft_s", "itl_s"):
        sigma = getattr(found, name.replace("_s", "_sigma")).astype(np.float64)
        out[name] = Metric(getattr(found, name), sigma, most)
    return out
