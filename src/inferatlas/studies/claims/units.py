"""Units of inputs and formulas, as pint sees them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.quantities import formula_units

_LONGEST = 40


@lru_cache(maxsize=256)
def formula_unit(text: str) -> Any:
    """The pint unit of an SI unit of this package, or of a product of such (``"FLOP/B"``, ``"USD/h"``).

    Raises
    ------
    BadInput : an unknown unit.

    Examples
    --------
    >>> formula_unit("FLOP/s") == formula_unit("FLOP/B") * formula_unit("B/s")
    True
    """
    import pint

    registry = formula_units()
    if text in ("1", "", "count", "tokens"):
        return registry.Unit("")
    parts = [part.strip() for part in text.replace("*", "·").split("/")]
    try:
        if len(text) > _LONGEST or any(not part for part in parts):
            raise ValueError
        unit = registry.Unit("")
        for i, part in enumerate(parts):
            for name in part.split("·"):
                one = registry.Unit("" if name.strip() == "1" else _name(name.strip()))
                unit = unit * one if i == 0 else unit / one
        return unit
    except (pint.PintError, ValueError, AttributeError, TypeError):
        raise BadInput(
            f"unknown unit '{text}'", field="unit", allowed="s, B, FLOP, J, W, Hz, USD, gCO2e, m, L, and quotients"
        ) from None


def _name(name: str) -> str:
    if not name.replace("_", "").isalnum() or not name[0].isalpha():
        raise ValueError(name)
    return name


def base_factor(unit: str) -> float:
    """What a value in ``unit`` is multiplied with to be in base units: hours count in seconds, kWh in joules."""
    return float((1.0 * formula_unit(unit)).to_base_units().magnitude)


def spelt(unit: Any) -> str:
    """A pint unit in words."""
    return f"{unit:~}" or "a bare number"
