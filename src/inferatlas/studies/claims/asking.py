"""Questions that a claim may put to the model, by name. An answer has an interval, a unit and a label."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import signature
from typing import Any

from inferatlas.errors import BadInput, NoFeasibleAnswer, UnknownName
from inferatlas.predict.question import ask
from inferatlas.studies.claims import known
from inferatlas.studies.claims.known import Known

Z98_OVER_Z80 = 2.3263 / 1.2816  # standard normal; a model refutes a claim only beyond its 98 % interval
UNITS = {
    "ttft_s": "s", "itl_s": "s", "latency_s": "s", "output_tokens_per_s": "1/s", "total_tokens_per_s": "1/s",
    "power_w": "W", "tokens_per_joule": "1/J",
}  # fmt: skip


def answer(name: str, given: Mapping[str, Any]) -> Known:
    """The answer to a question asked with ``given``.

    Raises
    ------
    BadInput : an unknown question, or one that is asked with what it does not take.
    """
    if name not in QUESTIONS:
        raise UnknownName("question", name, QUESTIONS, field="ask")
    return _answered(name, json.dumps(given, sort_keys=True, default=str))


@lru_cache(maxsize=512)
def _answered(name: str, given: str) -> Known:
    question, arguments = QUESTIONS[name], json.loads(given)
    _takes(question, arguments)
    try:
        return question(**arguments)
    except NoFeasibleAnswer as error:
        return Known(f"model, {name}", missing=f"a deployment that the model can predict ({error.message})")


def _takes(question: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    try:
        signature(question).bind(**arguments)
    except TypeError as error:
        raise BadInput(str(error), field="with", allowed=", ".join(signature(question).parameters)) from None


def prediction(*, of: str, model: str, accelerator: str, **deployment: Any) -> Known:
    """A predicted metric of one deployment, its interval at 98 %; parameters as of `predict.question.ask`.

    Examples
    --------
    >>> one = prediction(of="itl_s", model="llama-3.1-8b", accelerator="h100", concurrency=1, isl=512, osl=128)
    >>> one.unit, one.low < one.value < one.high
    ('s', True)
    """
    if of not in UNITS:
        raise UnknownName("metric", of, UNITS, field="of")
    _takes(ask, {"model": model, "accelerator": accelerator, **deployment})
    found = ask(model, accelerator, **deployment)
    where = f"{found.label} {of} of {model} on {found.inputs['count']} x {found.inputs['accelerator']}"
    metric = found.metrics.get(of)
    if not found.fits or metric is None:
        why = found.reason["detail"] if found.reason else "the model has no such figure"
        return Known(where, missing=f"{where}: {why}")
    return known.of_interval(metric, UNITS[of], where, Z98_OVER_Z80)


QUESTIONS: dict[str, Callable[..., Known]] = {"prediction": prediction}
