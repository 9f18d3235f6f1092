"""One workload from what the user gave: a name, lengths, a load, or some of each."""

from __future__ import annotations

from pathlib import Path

from inferatlas.errors import BadInput
from inferatlas.workload.loading import load_workload, workload_names
from inferatlas.workload.workload import MOST_TOKENS, NamedLengths, Workload, shown


def make_workload(
    name: str | Path | None = None,
    *,
    isl: int | None = None,
    osl: int | None = None,
    input_cv: float | None = None,
    output_cv: float | None = None,
    concurrency: int | None = None,
    request_rate: float | None = None,
    prefix_tokens: int | None = None,
) -> Workload:
    """Merge a named workload with lengths and load given explicitly; what is explicit wins.

    Parameters
    ----------
    name : a named workload or a file (`load_workload`); without it both lengths are needed.
    isl, osl : input and output tokens per request, whole and at least 1. Beside a name they replace its mean and
        keep its relative spread; without a name lengths are fixed.
    input_cv, output_cv : coefficients of variation of the lengths.
    prefix_tokens : of the input, those that are shared and in the cache already.
    concurrency, request_rate : the load, exactly one; either replaces the load of the named workload.

    Raises
    ------
    BadInput : both loads or none, a length that is not a whole number of tokens, a missing length.
    UnknownName : no such named workload.

    Examples
    --------
    >>> w = make_workload("chat", request_rate=4)
    >>> w.name, w.arrival, w.input_tokens, w.request_rate
    ('chat', 'poisson', 1154.7, 4.0)
    >>> make_workload(isl=1024, osl=256, concurrency=32).name
    '1024/256'
    """
    isl, osl = _tokens(isl, "isl"), _tokens(osl, "osl")
    if name is not None:
        named = load_workload(name)
    elif isl is None or osl is None:
        missing = "isl" if isl is None else "osl"
        raise BadInput(
            "neither a workload nor both lengths are given" if isl is osl else "the other length is missing",
            field=missing,
            allowed=f"isl and osl, or a workload: {', '.join(workload_names())}",
        )
    else:
        named = NamedLengths(f"{isl}/{osl}", isl, osl, source="given by the user")
    if concurrency is None and request_rate is None:
        concurrency, request_rate = named.concurrency, named.request_rate
    if concurrency is None and request_rate is None:
        raise BadInput(
            f"workload '{named.name}' says how long requests are, not how many",
            field="concurrency",
            allowed="exactly one of concurrency (requests in flight) and request rate (requests per second)",
        )
    changes = [
        f"{label} {value:g}"
        for label, value in (("isl", isl), ("osl", osl), ("input_cv", input_cv), ("output_cv", output_cv))
        if value is not None and name is not None
    ]
    return Workload(
        name=named.name + (f" ({', '.join(changes)})" if changes else ""),
        input_tokens=named.input_tokens if isl is None else float(isl),
        output_tokens=named.output_tokens if osl is None else float(osl),
        input_cv=named.input_cv if input_cv is None else input_cv,
        output_cv=named.output_cv if output_cv is None else output_cv,
        concurrency=int(concurrency) if isinstance(concurrency, float) and concurrency.is_integer() else concurrency,
        request_rate=float(request_rate) if isinstance(request_rate, int) else request_rate,
        source=named.source,
        address=named.address,
        note=named.note,
        prefix_tokens=float(prefix_tokens or 0),
    )


def _tokens(value: float | None, field: str) -> int | None:
    if value is None:
        return None
    given = isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= MOST_TOKENS
    if not given or value != int(value):
        allowed = f"a whole number of tokens, 1 to {MOST_TOKENS:,}"
        raise BadInput(f"{shown(value)} is not a length", field=field, allowed=allowed)
    return int(value)
