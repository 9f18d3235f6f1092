"""Service targets: ``ttft:p95<500ms`` as text, as an object, and as a check on numbers."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from inferatlas.errors import BadInput, UnknownName
from inferatlas.inputs import several
from inferatlas.quantities import parse

Statistic = Literal["mean", "p50", "p90", "p95", "p99"]
Sense = Literal["<", "<=", ">", ">="]

STATISTICS: tuple[str, ...] = ("mean", "p50", "p90", "p95", "p99")
LATENCIES = ("ttft", "itl", "latency")
THROUGHPUTS = ("output_tokens_per_s", "total_tokens_per_s")
ALIASES = {"tpot": "itl", "e2e": "latency", "request_latency": "latency"}
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_FORM = re.compile(r"\s*([A-Za-z_][\w-]*)\s*(?::\s*(\w+)\s*)?(<=|>=|<|>)\s*(.+?)\s*")


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A bound on one statistic of one metric.

    Parameters
    ----------
    metric : ``ttft``, ``itl``, ``latency`` (seconds), ``output_tokens_per_s`` or ``total_tokens_per_s``
        (of the whole deployment).
    statistic : over requests: ``mean``, ``p50``, ``p90``, ``p95``, ``p99``; a throughput has only its mean.
    bound : in SI, seconds or tokens per second, above 0.
    sense : how the value must compare with the bound; latencies have an upper bound, throughputs a lower one.

    Examples
    --------
    >>> ServiceTarget("ttft", "p95", 0.5, "<").text()
    'ttft:p95<500ms'
    """

    metric: str
    statistic: Statistic
    bound: float
    sense: Sense

    def __post_init__(self) -> None:
        if self.metric not in LATENCIES + THROUGHPUTS:
            raise UnknownName("metric", self.metric, LATENCIES + THROUGHPUTS)
        if self.statistic not in STATISTICS:
            raise UnknownName("statistic", str(self.statistic), STATISTICS)
        allowed = ("<", "<=") if self.metric in LATENCIES else (">", ">=")
        if self.sense not in allowed:
            raise BadInput(
                f"'{self.metric} {self.sense} ...' is not a target",
                field="slo",
                allowed=f"{self.metric} with {' or '.join(allowed)}",
            )
        if self.metric in THROUGHPUTS and self.statistic != "mean":
            raise BadInput(
                f"{self.metric} is of the whole deployment and has no {self.statistic}", field="slo", allowed="mean"
            )
        if not 0 < self.bound < float("inf"):
            raise BadInput(f"a bound of {self.bound!r}", field="slo", allowed="a number above 0")

    @property
    def quantity(self) -> str:
        """The name of the predicted quantity, with its unit: ``ttft_s``, ``output_tokens_per_s``."""
        return f"{self.metric}_s" if self.metric in LATENCIES else self.metric

    def met(self, value: Any) -> Any:
        """Whether a value, or each of an array, in SI meets the target; unknown (NaN) does not.

        Examples
        --------
        >>> parse_target("itl<50ms").met(0.04)
        True
        """
        return _COMPARE[self.sense](value, self.bound)

    def text(self) -> str:
        """The target as it would be typed; `parse_target` reads it back to an equal object."""
        if self.metric in THROUGHPUTS:
            return f"{self.metric}{self.sense}{_shortest(self.bound)}"
        head = f"{self.metric}:{self.statistic}{self.sense}"
        in_ms = f"{self.bound * 1e3:.12g}ms"  # 18, not 18.000000000000004: what reads back to the same bound
        if self.bound < 1 and parse(in_ms, "s") == self.bound:
            return head + in_ms
        return f"{head}{_shortest(self.bound)}s"


def parse_target(text: str) -> ServiceTarget:
    """Read a target: ``metric[:statistic]<value``; the statistic is the mean unless given.

    Parameters
    ----------
    text : for example ``ttft:p95<500ms``, ``tpot<50ms``, ``latency:p99<=10s``, ``output_tokens_per_s>1000``.
        A latency needs its unit; a throughput may go without (tokens per second).

    Raises
    ------
    BadInput, UnknownName : with what is allowed, and near names.

    Examples
    --------
    >>> parse_target("ttft:p95<500ms")
    ServiceTarget(metric='ttft', statistic='p95', bound=0.5, sense='<')
    >>> parse_target("output_tokens_per_s>1000").text()
    'output_tokens_per_s>1000'
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise BadInput(
            f"'{text}' is not a service target",
            field="slo",
            allowed="metric[:statistic] < value, for example ttft:p95<500ms",
        )
    name, statistic, sense, value = match[1].lower().replace("-", "_"), (match[2] or "mean").lower(), match[3], match[4]
    metric = ALIASES.get(name) or ALIASES.get(name.removesuffix("_s")) or name
    metric = metric.removesuffix("_s") if metric not in THROUGHPUTS else metric
    if metric in {"throughput", "tokens_per", "tps"}:
        raise BadInput(f"'{name}' does not say which tokens", field="slo", allowed=" or ".join(THROUGHPUTS))
    if metric not in LATENCIES + THROUGHPUTS:
        known = (*LATENCIES, *THROUGHPUTS, *ALIASES)
        raise UnknownName("metric", name, known, field="slo", allowed=", ".join(known))
    if statistic not in STATISTICS:
        raise UnknownName("statistic", statistic, STATISTICS, field="slo")
    field = f"slo {metric}"
    if metric in LATENCIES:
        bound = parse(value, "s", field=field)
    else:
        if re.search(r"req|Hz", value):
            raise BadInput(f"'{value}' is not a rate of tokens", field=field, allowed="a number, or tokens/s")
        bound = parse(value, "1/s", field=field, default_unit="tokens/s")
    return ServiceTarget(metric, statistic, bound, sense)  # pyright: ignore[reportArgumentType] - checked above


def parse_targets(texts: str | Iterable[str]) -> tuple[ServiceTarget, ...]:
    """Read one target or several, all of which must be met; two bounds on one statistic are refused.

    Examples
    --------
    >>> [t.text() for t in parse_targets(["ttft:p95<0.5 s", "tpot<50ms"])]
    ['ttft:p95<500ms', 'itl:mean<50ms']
    """
    targets: dict[tuple[str, str], ServiceTarget] = {}
    for text in several(texts, "slo"):
        target = parse_target(text)
        rival = targets.setdefault((target.metric, target.statistic), target)
        if rival is not target:
            raise BadInput(f"'{text}' and '{rival.text()}' bound the same thing", field="slo", allowed="one of the two")
    return tuple(targets.values())


def _shortest(number: float) -> str:
    text = repr(float(number))
    return text.removesuffix(".0")
