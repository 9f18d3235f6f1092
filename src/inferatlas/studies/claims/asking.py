"""Questions that a claim may put to the model, by name. An answer has an interval, a unit and a label."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import signature
from typing import Any, get_args, get_type_hints

from inferatlas.errors import BadInput, NoFeasibleAnswer, UnknownName
from inferatlas.predict.question import ask, asked
from inferatlas.studies.claims import known, named
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
    _takes(QUESTIONS[name], given)
    for key, value in given.items():
        if key in ("one", "other"):
            if not isinstance(value, dict):
                raise BadInput("a mapping is needed here", field=f"with.{key}", allowed="what one deployment has")
            for part, held in value.items():
                _is_allowed(part, held)
        else:
            _is_allowed(key, value)
    return _answered(name, json.dumps(given, sort_keys=True))


@lru_cache(maxsize=512)
def _answered(name: str, given: str) -> Known:
    question, arguments = QUESTIONS[name], json.loads(given)
    try:
        return question(**arguments)
    except NoFeasibleAnswer as error:
        return Known(f"model, {name}", missing=f"a deployment that the model can predict ({error.message})")


def _takes(question: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse what is missing, and what a question does not know."""
    try:
        signature(question).bind(**arguments)
    except TypeError as error:
        raise BadInput(str(error), field="with", allowed=", ".join(signature(question).parameters)) from None


_WORDS = {int: "a whole number", float: "a number", str: "a text"}
_NAMES = {"model": named.model, "accelerator": named.accelerator, "workload": named.workload}  # never files


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    return get_type_hints(ask) | {"of": str}


def _is_allowed(name: str, value: Any) -> None:
    """Refuse an argument of another type than `predict.question.ask` takes, and files in place of names."""
    if name not in _types():
        allowed = ", ".join(one for one in _types() if one != "return")
        raise UnknownName("argument", name, _types(), field=f"with.{name}", allowed=allowed)
    types = [one for one in _WORDS if one in (_types()[name], *get_args(_types()[name]))]
    number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    fits = (
        (str in types and isinstance(value, str)) or (number and (int in types or float in types))
        or (float in types and isinstance(value, float) and math.isfinite(value))
        or (name == "tier" and isinstance(value, list) and all(isinstance(one, str) for one in value))
    )  # fmt: skip
    if not fits:
        raise BadInput("this cannot be asked", field=f"with.{name}", allowed=" or ".join(_WORDS[one] for one in types))
    if name in _NAMES and isinstance(value, str):
        _NAMES[name](value)


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


def gain(
    *, of: str, model: str, accelerator: str, one: Mapping[str, Any], other: Mapping[str, Any], **both: Any
) -> Known:  # fmt: skip
    """How much more of a metric deployment ``one`` has than ``other``, as a share, its interval at 98 %.

    Both are on one part, so that errors of its coefficients cancel (`common_errors.ratios`). ``both`` is what they
    share (concurrency, isl, osl, count), parameters as of `runs.runs`; ``one`` and ``other`` what they do not.

    Examples
    --------
    >>> loads = {"concurrency": 64, "isl": 354, "osl": 214, "count": 1}
    >>> narrow = gain(of="output_tokens_per_s", model="llama-3.1-8b", accelerator="h100", one={"weights": "fp8"},
    ...               other={"weights": "bf16"}, **loads)
    >>> narrow.low < 0.3 < narrow.value < narrow.high
    True
    """
    from inferatlas.studies.common_errors import VALUES, ratios
    from inferatlas.studies.runs import runs

    if of not in VALUES:
        raise UnknownName("metric", of, VALUES, field="of")
    for deployment in (one, other):
        taken = {**both, **deployment}
        _takes(runs, {"model": model, "accelerator": accelerator, **taken})
        _takes(asked, {"load": None, "model": model, "accelerator": accelerator, **_served(taken)})
    first, second = (runs(model, accelerator, **both, **of_one) for of_one in (one, other))
    where = f"{first.label} gain in {of} of {_words(one)} over {_words(other)}, {model} on {accelerator}"
    (ratio,) = ratios(first.deployed, second.deployed, of)
    if ratio is None:
        return Known(where, missing=f"{where}: one of the two does not fit")
    low, high = (ratio.value * (end / ratio.value) ** Z98_OVER_Z80 for end in (ratio.low, ratio.high))
    return Known(where, "1", ratio.value - 1.0, low - 1.0, high - 1.0)


def _served(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Of a deployment under a load what is not the load."""
    return {name: value for name, value in deployment.items() if name not in ("concurrency", "isl", "osl", "clock")}


def _words(deployment: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {value}" for name, value in deployment.items())


QUESTIONS: dict[str, Callable[..., Known]] = {"prediction": prediction, "gain": gain}
