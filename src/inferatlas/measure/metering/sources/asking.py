"""What sources share: values with the reason where there is none, the time that asking took, names told apart."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from inferatlas.measure.metering.channel import Fault, Reading

Value = tuple[float, Fault]  # NaN with the reason where there is none: whoever forgets the reason gets no number
Found = TypeVar("Found")


def no_value(fault: Fault) -> Value:
    """A value that is not there: never a 0.

    Examples
    --------
    >>> no_value(Fault.TIMEOUT)
    (nan, <Fault.TIMEOUT: 7>)
    """
    return math.nan, fault


def known(value: float) -> Value:
    """A number as a value; what is not finite is unreadable.

    Examples
    --------
    >>> known(412), known(10**400), known(math.nan)
    ((412.0, <Fault.NONE: 0>), (nan, <Fault.UNREADABLE: 8>), (nan, <Fault.UNREADABLE: 8>))
    """
    try:
        found = float(value)
    except OverflowError:
        return no_value(Fault.UNREADABLE)
    return (found, Fault.NONE) if math.isfinite(found) else no_value(Fault.UNREADABLE)


def readings(t_ns: int, values: Iterable[Value]) -> list[Reading]:
    """Readings of all channels of a source, taken at one time.

    Examples
    --------
    >>> readings(7, [(400.0, Fault.NONE)])
    [Reading(channel=0, t_ns=7, value=400.0, fault=<Fault.NONE: 0>)]
    """
    return [Reading(n, t_ns, value, fault) for n, (value, fault) in enumerate(values)]


def timed(ask: Callable[[], Found]) -> tuple[Found, int, float]:
    """What a call gives; the middle of the time that it took, in ns; the standard uncertainty of that, in s.

    Nobody says when within that time a device read its sensor: any moment is as likely, so that the middle is wrong by
    its length over the root of 12.

    Examples
    --------
    >>> answer, t_ns, u_time_s = timed(lambda: 400.0)
    >>> answer, t_ns <= time.monotonic_ns(), 0 <= u_time_s < 1
    (400.0, True, True)
    """
    begin = time.monotonic_ns()
    found = ask()
    end = time.monotonic_ns()
    return found, (begin + end) // 2, (end - begin) * 1e-9 / math.sqrt(12)


def told_apart(names: Sequence[str]) -> list[str]:
    """Names, with a number behind those that come more than once.

    Examples
    --------
    >>> told_apart(["a", "b", "a"])
    ['a 1', 'b', 'a 2']
    """
    total, seen = Counter(names), Counter[str]()
    apart = []
    for name in names:
        seen[name] += 1
        apart.append(name if total[name] == 1 else f"{name} {seen[name]}")
    return apart
