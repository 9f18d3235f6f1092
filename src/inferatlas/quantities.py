"""Units at the border: text with a unit in, SI floats inside, readable text out (floor 0).

1 GB is 1e9 bytes and 1 GiB is 2**30 bytes; both parse and neither is guessed. The table of common
units answers without loading pint (which takes a quarter of a second to import); pint answers for
everything else, and a test holds the two against each other.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache

from inferatlas.errors import BadInput

# unit as written -> (factor to SI, SI unit, dimension)
_PREFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
COMMON: dict[str, tuple[float, str]] = {
    "s": (1.0, "s"), "ms": (1e-3, "s"), "us": (1e-6, "s"), "µs": (1e-6, "s"), "ns": (1e-9, "s"),
    "min": (60.0, "s"), "h": (3600.0, "s"),
    "mm2": (1e-6, "m2"), "cm2": (1e-4, "m2"), "m2": (1.0, "m2"),
    "count": (1.0, "1"), "1": (1.0, "1"), "": (1.0, "1"), "%": (0.01, "1"), "sequences": (1.0, "1"),
    "tokens": (1.0, "1"), "tokens/s": (1.0, "1/s"), "tok/s": (1.0, "1/s"), "1/s": (1.0, "1/s"), "req/s": (1.0, "1/s"),
    "USD": (1.0, "USD"), "USD/h": (1.0, "USD/h"), "USD/kWh": (1.0, "USD/kWh"),
    "gCO2e/kWh": (1.0, "gCO2e/kWh"), "kgCO2e": (1000.0, "gCO2e"), "gCO2e": (1.0, "gCO2e"),
    "L": (1.0, "L"), "L/kWh": (1.0, "L/kWh"),
    "kWh": (3.6e6, "J"), "Wh": (3600.0, "J"), "mWh": (3.6, "J"),
    "pJ/bit": (8e-12, "J/B"), "tokens/J": (1.0, "1/J"), "tok/J": (1.0, "1/J"), "1/J": (1.0, "1/J"),
    "FLOP/B": (1.0, "FLOP/B"), "FLOP/W": (1.0, "FLOP/W"), "thousand": (1e3, "1"), "million": (1e6, "1"),
    "billion": (1e9, "1"), "trillion": (1e12, "1"),
}  # fmt: skip
for _p, _f in _PREFIX.items():
    COMMON |= {
        f"{_p}W": (_f, "W"), f"{_p}Wh": (_f * 3600.0, "J"), f"{_p}J": (_f, "J"), f"{_p}Hz": (_f, "Hz"),
        f"{_p}FLOPS": (_f, "FLOP/s"), f"{_p}FLOP/s": (_f, "FLOP/s"), f"{_p}OPS": (_f, "FLOP/s"),
        f"{_p}FLOP": (_f, "FLOP"),
        f"{_p}B": (_f, "B"), f"{_p}B/s": (_f, "B/s"), f"{_p}b/s": (_f / 8, "B/s"), f"{_p}bit/s": (_f / 8, "B/s"),
    }  # fmt: skip
for _p, _f in {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}.items():
    COMMON |= {f"{_p}J": (_f, "J"), f"{_p}J/B": (_f, "J/B"), f"{_p}J/FLOP": (_f, "J/FLOP")}
for _p, _f in _BINARY.items():
    COMMON |= {f"{_p}B": (_f, "B"), f"{_p}B/s": (_f, "B/s")}
COMMON |= {"bytes": (1.0, "B"), "bytes/s": (1.0, "B/s"), "bits/s": (0.125, "B/s"), "kWh": (3.6e6, "J")}

# Thousands may be grouped as show() prints them ("1,200 W"); a decimal comma ("0,5 s") is refused.
_NUMBER = re.compile(
    r"\s*([-+]?(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?![\d,])|\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*"
)
# What may be handed to pint: names, small powers, products and quotients. Its parser evaluates arithmetic,
# so that "1000**1000**1000" would keep it busy for ever.
_NAME = r"[A-Za-zµ°][A-Za-zµ°0-9]*(?:(?:\*\*|\^)-?[1-9])?"
_UNIT = re.compile(rf"{_NAME}(?:(?:\s*[*/]\s*|\s+)(?:1|{_NAME})){{0,5}}")


def unit_factor(unit: str) -> tuple[float, str] | None:
    """Factor to SI and the SI unit of a common unit, or None if only pint may know it."""
    return COMMON.get(unit)


def parse(text: str, si_unit: str, *, field: str | None = None, default_unit: str | None = None) -> float:
    """Read a number with a unit and return it in SI.

    Parameters
    ----------
    text : for example ``"3.35 TB/s"``, ``"500ms"``, ``"80 GiB"``, ``"1,200 W"`` (thousands grouped).
    si_unit : the unit of the result, for example ``"B/s"``; another dimension is refused.
    field : name used in the error.
    default_unit : unit of a bare number; without it a bare number is refused (1 is accepted as "1").

    Raises
    ------
    BadInput : no number, NaN or infinite, unknown unit, or a unit of another dimension.

    Examples
    --------
    >>> parse("3.35 TB/s", "B/s")
    3350000000000.0
    >>> parse("1 GiB", "B"), parse("1 GB", "B")
    (1073741824.0, 1000000000.0)
    >>> parse("500ms", "s")
    0.5
    """
    match = _NUMBER.fullmatch(text)
    if not match and si_unit == "1":
        raise BadInput(f"'{text}' is not a number", field=field, allowed="a number")
    if not match:
        raise BadInput(f"'{text}' is not a number with a unit", field=field, allowed=f"for example '1 {si_unit}'")
    number, unit = float(match[1].replace("_", "").replace(",", "")), match[2].replace("\u03bc", "µ")
    if not unit and default_unit is None and si_unit != "1":
        raise BadInput(f"'{text}' has no unit", field=field, allowed=_allowed(si_unit))
    unit = unit or default_unit or "1"
    known = COMMON.get(unit) or _ask_pint(unit, si_unit)
    if known is None or known[1] != si_unit:
        near = difflib.get_close_matches(unit, [name for name, (_, si) in COMMON.items() if si == si_unit], n=2)
        raise BadInput(
            f"'{text}': '{unit}' is not a unit of {si_unit}",
            field=field,
            allowed=_allowed(si_unit),
            hint=f"did you mean {' or '.join(near)}?" if near else None,
        )
    if not math.isfinite(number * known[0]):
        raise BadInput(f"'{text}' is not finite", field=field)
    return number * known[0]


def _allowed(si_unit: str) -> str:
    names = [name for name, (_, si) in COMMON.items() if si == si_unit and name]
    return f"a unit such as {', '.join(names[:6])}" if names else f"units of {si_unit}"


@lru_cache(maxsize=256)
def _ask_pint(unit: str, si_unit: str) -> tuple[float, str] | None:
    if not _UNIT.fullmatch(unit):
        return None
    import pint  # lazily: a quarter of a second

    registry = registry_of_units()
    try:
        quantity = registry.Quantity(1.0, unit)
        target = registry.Quantity(1.0, si_unit.replace("B", "byte"))
        # pint counts bits and angles as dimensionless, so "8 rad" would pass as one byte: the roots must agree too
        if quantity.to_root_units().units != target.to_root_units().units:
            return None
        return float(quantity.to(target.units).magnitude), si_unit
    except (pint.PintError, AttributeError, TypeError, ValueError, AssertionError, ArithmeticError, SyntaxError):
        return None


@lru_cache(maxsize=1)
def registry_of_units():
    """The pint registry with the units of this field (FLOP, USD, gCO2e) defined."""
    import pint

    registry = pint.UnitRegistry()
    registry.define("FLOP = [operation]")
    registry.define("FLOPS = FLOP / second")
    registry.define("OPS = FLOP / second")
    registry.define("USD = [currency]")
    registry.define("gCO2e = [carbon]")
    return registry


def si_unit(unit: str, *, field: str | None = None) -> str:
    """The SI unit in which `parse` gives what is written in ``unit``.

    Raises
    ------
    BadInput : an unknown unit.

    Examples
    --------
    >>> si_unit("TB/s"), si_unit("billion"), si_unit("PFLOPS")
    ('B/s', '1', 'FLOP/s')
    """
    known = COMMON.get(unit)
    if known is None:
        near = difflib.get_close_matches(unit, COMMON, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else None
        raise BadInput(f"unknown unit '{unit}'", field=field, allowed="for example TB/s, W, ms, tokens/s, %", hint=hint)
    return known[1]


@lru_cache(maxsize=1)
def formula_units():
    """The pint registry in which formulas are checked: few units, a byte being a dimension of its own.

    pint's own registry counts bits as dimensionless, so that it would add bytes to tokens.
    """
    import pint  # lazily, see above

    registry = pint.UnitRegistry(None)  # pyright: ignore[reportArgumentType] - None: no units but those below
    for line in (
        "second = [time] = s", "hour = 3600 * second = h", "hertz = 1 / second = Hz", "joule = [energy] = J",
        "watt = joule / second = W", "kilowatt_hour = 3600000 * joule = kWh", "byte = [information] = B",
        "FLOP = [operation]", "USD = [currency]", "gCO2e = [carbon]", "metre = [length] = m",
        "square_metre = metre ** 2 = m2", "litre = [volume] = L",
    ):  # fmt: skip
        registry.define(line)
    return registry


def show(value: float | None, unit: str, digits: int = 3) -> str:
    """Print an SI value for people: ``show(3.35e12, "B/s") == "3.35 TB/s"``; None is an em dash.

    Examples
    --------
    >>> show(0.0125, "s"), show(None, "W"), show(85520809984, "B"), show(1700, "W")
    ('12.5 ms', '—', '85.5 GB', '1.70 kW')
    """
    if value is None or math.isnan(value):  # NaN is unknown as well
        return "—"
    value = float(value)
    if unit in _BARE or value == 0 or not math.isfinite(value):
        return f"{_significant(value, digits)} {unit if unit != '1' else ''}".strip()
    scales = _SCALES.get(unit) or [(factor, prefix + unit) for factor, prefix in _UP]
    rounded = abs(float(f"{value:.{digits - 1}e}"))  # so that 999.9996 W is 1.00 kW and not 1,000 W
    factor, name = next((scale for scale in scales if rounded >= scale[0]), scales[-1])
    return f"{_significant(value / factor, digits)} {name}"


_BARE = {"1", "1/s", "1/J", "FLOP/B", "FLOP/W", "USD", "USD/h", "USD/kWh", "gCO2e/kWh", "L/kWh"}
_UP = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")]
_DOWN = [(1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p")]
_SCALES: dict[str, list[tuple[float, str]]] = {
    "s": [(factor, prefix + "s") for factor, prefix in _DOWN[:-1]],
    "J": [(factor, prefix + "J") for factor, prefix in _UP[:-1] + _DOWN],
    "J/B": [(factor, prefix + "J/B") for factor, prefix in _DOWN],
    "J/FLOP": [(factor, prefix + "J/FLOP") for factor, prefix in _DOWN],
    "m2": [(1.0, "m2"), (1e-6, "mm2")],  # a prefix before m2 is squared with it: 1 km2 is 1e6 m2
    "gCO2e": [(1e3, "kgCO2e"), (1.0, "gCO2e")],
}


def _significant(value: float, digits: int) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.{digits - 1}e}")
    if not 1e-4 <= abs(rounded) < 1e15:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)}f}"


def percent(share: float | None) -> str:
    """A share or probability in whole percent, never rounded to certainty.

    Examples
    --------
    >>> percent(0.6856), percent(0.9999), percent(1.0), percent(0.001)
    ('69 %', '>99 %', '100 %', '<1 %')
    """
    if share is None or not math.isfinite(share):
        return "—"
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"
