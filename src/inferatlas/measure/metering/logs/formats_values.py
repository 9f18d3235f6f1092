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
# [Unknown Error], [Insufficient Permissions], [GPU is lost] (https://docs.nvidia.com/deploy/nvidia-smi/index.html);
# amd-smi and xpu-smi: N/A; dmon and exports of meters: "-".
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
    """Values in W or J and faults, of texts in a unit of `UNITS` that may repeat it (``"187.80 W"``).

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

    plain = texts.str.strip_suffix(unit).str.strip_chars_end(" ")
    number = plain.cast(pl.Float64, strict=False)
    fault = np.where(number.is_nan().fill_null(False).to_numpy(), np.int8(Fault.NOT_AVAILABLE), np.int8(0))
    gone = number.is_null()
    for text in plain.filter(gone).unique().to_list() if gone.any() else ():
        where = (plain == text).to_numpy()
        code = FAULTS.get(text.strip("[] ").lower())
        if code is None:
            raise _not_a_number(int(np.flatnonzero(where)[0]), texts, unit)
        fault[where] = code
    value = number.fill_null(np.nan).to_numpy() * UNITS[unit][0]
    if (endless := np.isinf(value)).any():
        row = int(np.flatnonzero(endless)[0])
        raise Wrong(row, f"'{texts[row]}' is not finite", f"a number in {unit}")
    return np.where(fault != 0, np.nan, value), fault.astype(np.int8)


def _not_a_number(row: int, texts: pl.Series, unit: str) -> Wrong:
    text, allowed = texts[row], f"a number in {unit}, or N/A"
    found = _NUMBER.fullmatch(text)
    if found and found[2].startswith(","):
        return Wrong(row, f"'{text[:40]}' has a decimal comma", allowed, "write it with a decimal point")
    if found and found[2] in UNITS:
        return Wrong(row, f"'{text[:40]}' is in {found[2]}, and its column in {unit}", allowed)
    return Wrong(row, f"'{text[:40]}' is not a number", allowed)
