"""What is asked of a deployment: how long the requests are and how they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferatlas.errors import BadInput

Arrival = Literal["closed", "poisson"]


# What nobody has; beyond it a number is a slip of the keyboard, and its answer would look like one.
MOST_TOKENS = 10**9  # in one request
MOST_IN_FLIGHT, MOST_PER_S = 10**6, 10**9  # requests over one deployment
MOST_CV = 100.0  # a variation of 100 shows in no sample of fewer than 10,000 requests; traces have 0 to 5


@dataclass(frozen=True, slots=True)
class NamedLengths:
    """The lengths of a kind of request, with where they were observed.

    Parameters
    ----------
    name : as the user names it.
    input_tokens, output_tokens : means, in tokens of the source's own tokenizer; at least 1.
    input_cv, output_cv : coefficients of variation (standard deviation over mean); 0 is fixed lengths.
    concurrency, request_rate : the load that belongs to it, if any; a trace of a service has none, since
        its rate is that of a fleet and not of the deployment that is asked about.
    source, address, licence, citation, note : where the numbers come from.

    Raises
    ------
    BadInput : a length below one token, a negative variation, NaN, or two loads at once.
    """

    name: str
    input_tokens: float
    output_tokens: float
    input_cv: float = 0.0
    output_cv: float = 0.0
    concurrency: int | None = None
    request_rate: float | None = None
    source: str = ""
    address: str = ""
    licence: str = ""
    citation: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        _check_lengths(self)
        if self.concurrency is not None and self.request_rate is not None:
            raise _two_loads(self)
        _check_load(self.concurrency, self.request_rate)


@dataclass(frozen=True, slots=True)
class Workload:
    """Lengths and load: a whole question about traffic.

    Parameters
    ----------
    name, input_tokens, output_tokens, input_cv, output_cv, source, address, note : as in `NamedLengths`.
    concurrency : requests in flight, held constant by so many clients (closed loop).
    request_rate : requests per second over the whole deployment (open loop). Exactly one of the two is set.
    prefix_tokens : mean tokens at the start of a prompt that others share and that are in the cache already (a system
        prompt, retrieved documents); of the input tokens.

    Examples
    --------
    >>> Workload("mine", 1024, 256, concurrency=32).total_tokens
    1280.0
    """

    name: str
    input_tokens: float
    output_tokens: float
    input_cv: float = 0.0
    output_cv: float = 0.0
    concurrency: int | None = None
    request_rate: float | None = None
    source: str = ""
    address: str = ""
    note: str = ""
    prefix_tokens: float = 0.0

    def __post_init__(self) -> None:
        _check_lengths(self)
        if not _is_number(self.prefix_tokens, 0, MOST_TOKENS) or self.prefix_tokens >= self.input_tokens:
            message = (
                f"{shown(_plain(self.prefix_tokens))} tokens are no beginning of a prompt of {self.input_tokens:g}"
            )
            raise BadInput(message, field="prefix_tokens", allowed="0 to the input tokens less one")
        if self.concurrency is not None and self.request_rate is not None:
            raise _two_loads(self)
        if self.concurrency is None and self.request_rate is None:
            raise BadInput("no load is given", field="concurrency", allowed="exactly one of concurrency, request_rate")
        _check_load(self.concurrency, self.request_rate)

    @property
    def arrival(self) -> Arrival:
        """How requests come: ``closed`` (the next one when one ends) or ``poisson`` (at random, at a rate)."""
        return "closed" if self.concurrency is not None else "poisson"

    @property
    def total_tokens(self) -> float:
        """Mean input and output tokens of a request."""
        return float(self.input_tokens + self.output_tokens)


def _check_lengths(it: NamedLengths | Workload) -> None:
    if not it.name:
        raise BadInput("is empty", field="name")
    for field in ("input_tokens", "output_tokens"):
        value = getattr(it, field)
        if not _is_number(value, 1, MOST_TOKENS):
            allowed = f"a mean of 1 to {MOST_TOKENS:,} tokens"
            raise BadInput(f"{shown(value)} is not a length", field=field, allowed=allowed)
    for field in ("input_cv", "output_cv"):
        value = getattr(it, field)
        if not _is_number(value, 0, MOST_CV):
            message = f"{shown(value)} is not a coefficient of variation"
            raise BadInput(message, field=field, allowed=f"0 to {MOST_CV:g}")


def _check_load(concurrency: int | None, request_rate: float | None) -> None:
    in_flight = concurrency is None or (_is_number(concurrency, 1, MOST_IN_FLIGHT) and concurrency == int(concurrency))
    if not in_flight:
        allowed = f"a whole number, 1 to {MOST_IN_FLIGHT:,}"
        raise BadInput(f"{shown(concurrency)} requests in flight", field="concurrency", allowed=allowed)
    if request_rate is not None and not (_is_number(request_rate, 0, MOST_PER_S) and request_rate > 0):
        allowed = f"a number above 0 and up to {MOST_PER_S:,}"
        raise BadInput(f"{shown(request_rate)} requests per second", field="request_rate", allowed=allowed)


def _two_loads(it: NamedLengths | Workload) -> BadInput:
    return BadInput(
        f"concurrency {it.concurrency} and request rate {it.request_rate} contradict each other",
        field="request_rate",
        allowed="exactly one of concurrency, request_rate",
        hint="a closed loop holds a number of requests in flight, an open loop a number per second",
    )


def _is_number(value: object, least: float, most: float) -> bool:
    # bounds rather than isfinite: an integer may be larger than any float
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _plain(value: object) -> object:
    """A whole number without the point that a float would show."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: object) -> str:
    """A value in a message; one of a hundred digits by its beginning."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
