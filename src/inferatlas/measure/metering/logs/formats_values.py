"""Values of third-party logs: numbers with units, times by several clocks, and what tools write where they know none.

In: columns of texts. Out: arrays, or a `Wrong` that says which row is wrong and why; `formats.py` adds file and line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Fault, Quantity

if TYPE_CHECKING:
    import polars as pl

# What tools write in the place of a number, in lower case and without brackets. nvidia-smi: [N/A], [Not Supported],
# [Unknown Error] (https://github.com/Quake4/MindMiner/issues/627), [Insufficient Permissions], [GPU is lost] and [GPU
# requires reset], which no document lists: they are seen in logs; amd-smi and xpu-smi: N/A; dmon and exports of meters:
# "-".
FAULTS = {
    "": Fault.NOT_AVAILABLE,
    "-": Fault.NOT_AVAILABLE,
    "--": Fault.NOT_AVAILABLE,
    "n/a": Fault.NOT_AVAILABLE,
    "na": Fault.NOT_AVAILABLE,
    "nan": Fault.NOT_AVAILABLE,
    "none": Fault.NOT_AVAILABLE,
    "null": Fault.NOT_AVAILABLE,
    "not available": Fault.NOT_AVAILABLE,
    "not supported": Fault.NOT_SUPPORTED,
    "insufficient permissions": Fault.PERMISSION_DENIED,
    "gpu is lost": Fault.DEVICE_LOST,
    "gpu requires reset": Fault.FAILED,
    "unknown error": Fault.FAILED,
    "err!": Fault.FAILED,
}
# Units of headers. Names of columns in lower case (power_mw) mean milliwatts; a megawatt needs its capital letter.
UNITS: dict[str, tuple[float, Quantity]] = {
    "W": (1.0, "power_w"), "mW": (1e-3, "power_w"), "uW": (1e-6, "power_w"), "µW": (1e-6, "power_w"),
    "kW": (1e3, "power_w"), "KW": (1e3, "power_w"), "MW": (1e6, "power_w"), "w": (1.0, "power_w"),
    "mw": (1e-3, "power_w"), "kw": (1e3, "power_w"), "Watt": (1.0, "power_w"), "Watts": (1.0, "power_w"),
    "watt": (1.0, "power_w"), "watts": (1.0, "power_w"),
    "J": (1.0, "energy_j"), "mJ": (1e-3, "energy_j"), "uJ": (1e-6, "energy_j"), "µJ": (1e-6, "energy_j"),
    "kJ": (1e3, "energy_j"), "MJ": (1e6, "energy_j"), "j": (1.0, "energy_j"), "mj": (1e-3, "energy_j"),
    "uj": (1e-6, "energy_j"), "kj": (1e3, "energy_j"), "joules": (1.0, "energy_j"),
    "Wh": (3600.0, "energy_j"), "WH": (3600.0, "energy_j"), "wh": (3600.0, "energy_j"),
    "kWh": (3.6e6, "energy_j"), "KWh": (3.6e6, "energy_j"), "KWH": (3.6e6, "energy_j"), "kwh": (3.6e6, "energy_j"),
    "MWh": (3.6e9, "energy_j"),
}  # fmt: skip
MOST = 1e30  # J, s: larger numbers would overflow in squares
UNITS_SHOWN = "W, mW, kW, MW, J, mJ, kJ, MJ, Wh, kWh, MWh"
_BRACKETS = re.compile(r"(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]")
_SUFFIX = re.compile(r"(.*[^\W_])[_ ]([A-Za-zµ]+)")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)", re.ASCII)


class Wrong(ValueError):
    """A value that cannot be read. ``row`` counts from 0; ``allowed`` and ``hint`` as in `BadInput`."""

    def __init__(self, row: int, message: str, allowed: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.row, self.message, self.allowed, self.hint = row, message, allowed, hint


@dataclass(frozen=True, slots=True)
class Label:
    """The header of a column: its name in lower case, and the unit that it says, as it is written."""

    name: str
    unit: str | None


def label_of(text: str) -> Label:
    """A header's name and unit: in brackets, or after the last underscore or space where it is one of `UNITS`.

    Examples
    --------
    >>> label_of("power.draw [W]"), label_of("Active Power (kW)"), label_of("power_w"), label_of("socket_power")
    (Label(name='power.draw', unit='W'), Label(name='active power', unit='kW'), Label(name='power', unit='w'),
     Label(name='socket_power', unit=None))
    """
    text = " ".join(text.split())
    if found := _BRACKETS.fullmatch(text):
        return Label(found[1].lower(), found[2] or None)
    if (found := _SUFFIX.fullmatch(text)) and found[2] in UNITS:
        return Label(found[1].lower(), found[2])
    return Label(text.lower(), text if text.lower() in ("watt", "watts") else None)


def read_numbers(texts: pl.Series, unit: str) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Values in W or J and faults, of texts in a unit of `UNITS` that may repeat it (``"187.80 W"``), or of numbers.

    Raises
    ------
    Wrong : a text that is neither a number in this unit nor one of `FAULTS`; an infinite number.

    Examples
    --------
    >>> import polars as pl
    >>> read_numbers(pl.Series(["0.5 kW", "[N/A]"]), "kW")
    (array([500.,  nan]), array([0, 1], dtype=int8))
    """
    import polars as pl

    cells = texts.to_frame("text")
    if texts.dtype == pl.String:
        cells = cells.select(pl.col("text").str.strip_suffix(unit).str.strip_chars_end(" "))
    number = cells.select(pl.col("text").cast(pl.Float64, strict=False)).to_series()
    with np.errstate(over="ignore"):
        value = number.to_numpy() * UNITS[unit][0]
    fault = np.where(np.isnan(value), np.int8(Fault.NOT_AVAILABLE), np.int8(0))
    if texts.dtype == pl.String and number.null_count():
        words = cells.select(pl.when(number.is_null()).then(pl.col("text"))).to_series()
        for word in words.drop_nulls().unique().to_list():
            where = (words == word).fill_null(False).to_numpy()
            code = FAULTS.get(word.strip("[] ").lower())
            if code is None:
                raise _not_a_number(int(np.flatnonzero(where)[0]), texts, unit)
            fault[where] = code
    check_range(value, texts, unit)
    return value, fault


def check_range(value: NDArray[np.float64], texts: pl.Series, unit: str) -> None:
    """Refuse numbers without end, and energies whose differences would have none; NaN passes.

    Raises
    ------
    Wrong : with the first row, as ``texts`` have it.
    """
    far = np.isinf(value) if UNITS[unit][1] == "power_w" else np.abs(value) > MOST
    if far.any():
        row = int(np.flatnonzero(far)[0])
        raise Wrong(row, f"'{str(texts[row])[:40]}' is not finite", f"a number in {unit}")


def _not_a_number(row: int, texts: pl.Series, unit: str) -> Wrong:
    text, allowed = texts[row], f"a number in {unit}, or N/A"
    found = _NUMBER.fullmatch(text)
    if found and found[2].startswith(","):
        return Wrong(row, f"'{text[:40]}' has a decimal comma", allowed, "write it with a decimal point")
    if found and found[2] in UNITS:
        return Wrong(row, f"'{text[:40]}' is in {found[2]}, and its column in {unit}", allowed)
    return Wrong(row, f"'{text[:40]}' is not a number", allowed)
