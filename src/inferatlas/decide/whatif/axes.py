"""Ranges of a device's parameters as people write them: ``mem.hbm.bandwidth=2TB/s..10TB/s:9``, ``compute=0.5..2:7``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.precision import FORMATS, sixteen_bit
from inferatlas.predict.performance.platform import Platform
from inferatlas.quantities import parse

MOST_AXES, MOST_MEMBERS = 3, 10_000
WIDEST = 1e4  # times or parts of the device's own value
FIELD = "vary"
UNITS = {
    "compute": "FLOP/s", "memory_bandwidth": "B/s", "memory_capacity": "B", "link_bandwidth": "B/s", "power": "W",
}  # fmt: skip
# Hardware that few devices have: facts of a device, with their unit and the values that make sense
OWN_UNITS = {
    "moe.routing_time": ("s", 1e-9, 1.0), "moe.grouped_efficiency": ("1", 1e-3, 1.0),
    "kv_engine.compression": ("1", 1.0, 1e3),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter at evenly spaced values.

    ``field`` as it was written, ``parameter`` one of `UNITS`, ``base`` the device's own value in SI. ``unit`` is "1"
    where values are multiples of the base. ``rates``: the peaks that a field names, None for all of them.
    """

    field: str
    parameter: str
    unit: str
    base: float
    values: list[float]
    rates: list[str] | None = None

    @property
    def factors(self) -> Floats:
        """Multiples of the device's own value."""
        return np.array(self.values) / (1.0 if self.unit == "1" else self.base)

    def value_of(self, factors: Floats) -> Floats:
        """The inverse: values as the axis is written."""
        return factors * (1.0 if self.unit == "1" else self.base)


def axes_of(texts: Sequence[str], platform: Platform) -> list[Axis]:
    """Read ranges of one device, up to `MOST_AXES` of them and `MOST_MEMBERS` members in all.

    Parameters
    ----------
    texts : ``FIELD=LOW..HIGH:N`` each: N values from LOW to HIGH. FIELD is a fact of the catalogue that the device's
        predictions use (``mem.hbm.bandwidth``, ``mem.hbm.capacity``, ``peak_bf16``, ``power.tdp``), or one of `UNITS`.
        The words also take plain numbers, multiples of the device's own value. `OWN_UNITS` are facts of hardware for
        experts and for the cache.

    Raises
    ------
    BadInput, UnknownName : with the field ``vary``.

    Examples
    --------
    >>> from inferatlas.predict.platforms import bind
    >>> axis = axes_of(["mem.hbm.bandwidth=2TB/s..4TB/s:3"], bind("h100"))[0]
    >>> axis.parameter, axis.values
    ('memory_bandwidth', [2000000000000.0, 3000000000000.0, 4000000000000.0])
    >>> axes_of(["compute=0.5..2:4"], bind("h100"))[0].factors.tolist()
    [0.5, 1.0, 1.5, 2.0]
    """
    if len(texts) > MOST_AXES:
        raise BadInput(f"{len(texts)} ranges", field=FIELD, allowed=f"up to {MOST_AXES}")
    axes = [_axis(text, platform) for text in texts]
    seen: dict[str, str] = {}
    for axis in axes:
        if axis.parameter in seen:
            raise BadInput(f"{seen[axis.parameter]} and {axis.field} move the same parameter", field=FIELD)
        seen[axis.parameter] = axis.field
    members = math.prod(len(axis.values) for axis in axes)
    if members > MOST_MEMBERS:
        raise BadInput(f"{members:,} members", field=FIELD, allowed=f"up to {MOST_MEMBERS:,} in all")
    return axes


def _axis(text: str, platform: Platform) -> Axis:
    name, equals, rest = text.partition("=")
    ends, colon, number = rest.rpartition(":")
    low, dots, high = ends.partition("..")
    if not (equals and colon and dots):
        raise BadInput(
            f"'{text}' is no range", field=FIELD, allowed="FIELD=LOW..HIGH:N, as mem.hbm.bandwidth=2TB/s..8TB/s:7"
        )
    field = name.strip()
    if field in OWN_UNITS:
        return _of_units(field, low, high, _count(number, text), text)
    parameter, rates, base = _meant(field, platform)
    multiples = field in UNITS and _plain(low) and _plain(high)
    unit = "1" if multiples else UNITS[parameter]
    if base is None and not multiples:
        hint = f"{parameter}=0.5..2:4 varies it by multiples" if parameter in UNITS else None
        raise BadInput(f"{platform.device.id} publishes no {parameter.replace('_', ' ')}", field=FIELD, hint=hint)
    if parameter == "power" and base is None:
        raise BadInput(f"{platform.device.id} publishes no rated power", field=FIELD)
    first, last = (parse(end.strip(), unit, field=f"{FIELD} {field}") for end in (low, high))
    count = _count(number, text)
    own = 1.0 if unit == "1" or base is None else base
    if not (0 < first <= last) or (first == last) != (count == 1):
        raise BadInput(
            f"'{text}' is no range", field=FIELD, allowed="a low end above 0 and below the high end, 2 values or more"
        )
    if not own / WIDEST <= first <= last <= own * WIDEST:
        raise BadInput(
            f"'{text}' leaves the device behind",
            field=FIELD,
            allowed=f"1/{WIDEST:,.0f} to {WIDEST:,.0f} times its own value",
        )
    return Axis(field, parameter, unit, own, np.linspace(first, last, count).tolist(), rates)


def _of_units(field: str, low: str, high: str, count: int, text: str) -> Axis:
    """A range of a unit for experts or for the cache; its values stand for themselves."""
    unit, least, most = OWN_UNITS[field]
    first, last = (parse(end.strip(), unit, field=f"{FIELD} {field}") for end in (low, high))
    if not least <= first <= last <= most or (first == last) != (count == 1):
        raise BadInput(f"'{text}' is out of range", field=FIELD, allowed=f"{least:g} to {most:g}, ascending")
    return Axis(field, field, unit, 1.0, np.linspace(first, last, count).tolist())


def _meant(field: str, platform: Platform) -> tuple[str, list[str] | None, float | None]:
    """Parameter, peaks and own value of a field."""
    part = platform.device
    words: dict[str, float | None] = {
        "compute": platform.peak_flop_per_s, "memory_bandwidth": part.memory.bytes_per_s,
        "memory_capacity": part.memory.bytes, "link_bandwidth": part.link_bytes_per_s, "power": part.power.rated_w,
    }  # fmt: skip
    if field in words:
        return field, None, words[field]
    facts = {
        f"mem.{part.memory.name}.bandwidth": "memory_bandwidth",
        f"mem.{part.memory.name}.capacity": "memory_capacity",
    }
    if part.power.field not in (None, "power.rack"):
        facts[str(part.power.field)] = "power"
    if field in facts:
        return facts[field], None, words[facts[field]]
    # the peaks that products of this precision run at: of quantised weights, and of those that stay in 16 bit
    used = {platform.compute_rate, FORMATS[sixteen_bit(part.peaks) or platform.compute].rate}
    peaks = {f"peak_{rate}": rate for rate in part.peaks if rate in used}
    if field in peaks:
        return "compute", [peaks[field]], part.peaks[peaks[field]]
    known = [*facts, *peaks, *words, *OWN_UNITS]
    raise UnknownName("parameter of a prediction", field, known, field=FIELD, allowed=", ".join(known))


def _plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _count(text: str, whole: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST_MEMBERS:
        raise BadInput(
            f"'{whole}': '{text}' is not a number of values",
            field=FIELD,
            allowed=f"a whole number, 1 to {MOST_MEMBERS:,}",
        )
    return count
