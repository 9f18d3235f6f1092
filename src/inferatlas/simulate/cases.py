"""Measured serving runs, simulated: requests at a rate on a known engine and machine, and how far apart both are.

The runs are read from a table (columns: the fields of `Case`, times in seconds, empty where unknown). Nothing of the
predictor is fitted on them: they score it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.predict.performance.priors import Z80
from inferatlas.simulate.answering import doubts
from inferatlas.simulate.asking import Question, question
from inferatlas.simulate.outcome import outcome
from inferatlas.simulate.running import run
from inferatlas.workload.chains import Chains

FIGURES = ("ttft_s", "ttft_p50_s", "itl_s", "latency_s", "latency_p99_s")
MOST = 6000  # requests of a case that are simulated


@dataclass(frozen=True, slots=True)
class Case:
    """One measured run. ``use``: *score*, or *borderline* where the machine was nearly or fully busy.

    ``prompts``: so many different prompts are sent whole, in turn, so that all but the first pass find them in the
    cache; None: all differ. ``itl_s`` is (latency - TTFT)/(output tokens - 1) of the means.
    """

    case: str
    use: str
    source: str
    detail: str
    model: str
    accelerator: str
    arrival: str
    request_rate: float
    requests: int
    input_tokens: int
    output_tokens: int
    engine_version: str = ""
    tp: int = 1
    dp: int = 1
    weights: str | None = None
    max_sequences: int | None = None
    step_tokens: int | None = None
    kv_blocks: int | None = None
    prompts: int | None = None
    ttft_s: float | None = None
    ttft_p50_s: float | None = None
    itl_s: float | None = None
    latency_s: float | None = None
    latency_p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a simulation of a case says, by figure: value, relative error, and whether the 80 % interval holds it."""

    case: Case
    values: dict[str, float]
    errors: dict[str, float]
    covered: dict[str, bool]
    saturated: bool
    label: str


def read_cases(path: str | Path) -> list[Case]:
    """Read a table of measured runs.

    Raises
    ------
    BadInput : a column that is missing or unknown, a value of the wrong kind; with file and line.
    """
    known = {one.name: one for one in fields(Case)}
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        for name in rows.fieldnames or ():
            if name not in known:
                raise BadInput("is no column of serving runs", field=name, allowed=", ".join(known), file=path, line=1)
        found = []
        for row in rows:
            values: dict[str, Any] = {}
            for name, one in known.items():
                text = row.get(name) or ""
                if not text and one.default is MISSING:
                    raise BadInput("is missing", field=name, file=path, line=rows.line_num)
                if text:
                    values[name] = _value(str(one.type), text, name, path, rows.line_num)
            found.append(Case(**values))
    return found


def _value(kind: str, text: str, field: str, path: str | Path, line: int) -> Any:
    read = float if "float" in kind else int if "int" in kind else str
    try:
        return read(float(text)) if read is int else read(text)
    except ValueError:
        raise BadInput(f"'{text}' is not a number", field=field, file=path, line=line) from None


def asked_of(case: Case) -> Question:
    """The question of a case, its prompts as they were sent."""
    settings = {name: getattr(case, name) for name in ("max_sequences", "step_tokens", "kv_blocks")}
    asked = question(
        case.model, case.accelerator, tp=case.tp, dp=case.dp, engine="vllm", weights=case.weights,
        settings={name: value for name, value in settings.items() if value is not None}, isl=case.input_tokens,
        osl=case.output_tokens, request_rate=case.request_rate, arrival=case.arrival,
        requests=min(case.requests, MOST), seed=1,
    )  # fmt: skip
    if case.prompts is None:
        return asked
    many, length = len(asked.requests), case.input_tokens
    chains = Chains(
        np.arange(many + 1), (np.arange(many) % case.prompts).astype(np.int32),
        np.zeros(case.prompts, np.int32), np.full(case.prompts, length, np.int32),
    )  # fmt: skip
    # no calibration has seen shared prefixes
    return replace(asked, requests=replace(asked.requests, chains=chains), label="extrapolated")


def score(case: Case) -> Scored:
    """Simulate a case and compare."""
    asked = asked_of(case)
    found = outcome(run(asked.fleet, asked.requests, seed=asked.seed), asked.fleet, asked.requests)
    metrics, widths = found.metrics, doubts(asked)
    values, errors, covered = {}, {}, {}
    for figure in FIGURES:
        measured = getattr(case, figure)
        name, _, statistic = figure.removesuffix("_s").partition("_")
        value = metrics[f"{name}_s"][statistic or "mean"]
        if measured is None or value is None:
            continue
        values[figure], errors[figure] = float(value), float(value) / measured - 1.0
        covered[figure] = bool(abs(np.log(value / measured)) <= Z80 * widths[f"{name}_s"])
    return Scored(case, values, errors, covered, found.saturated, asked.label)


def scores(cases: list[Case]) -> Iterator[Scored]:
    """Score one case after the other."""
    for case in cases:
        yield score(case)
