"""Columns of third-party logs: the times, the devices and the quantities of a `Grid`, as arrays.

In: rows as texts, and the `Tool` that wrote them. Out: `Times`, names of devices with the device of every row, and
`Numbers` per quantity; a value that cannot be read is a `BadInput` with its line and column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Quantity
from inferatlas.measure.metering.logs.formats_clock import Times, read_times
from inferatlas.measure.metering.logs.formats_text import FIELD, Grid
from inferatlas.measure.metering.logs.formats_tools import AMD, DCGM, HOSTS, INTEL, TIMES, Column, Tool
from inferatlas.measure.metering.logs.formats_values import UNITS, UNITS_SHOWN, Label, Wrong, read_numbers

TILE = "tileid"  # of xpu-smi, where it dumps tiles
_TIME_UNIT = re.compile(r"(.+?)[_ ](s|ms|us|ns)")


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """One quantity of n rows: values in W or J, NaN with a fault; ``limit`` in W, where the file has one."""

    column: Column
    quantity: Quantity
    title: str
    value: NDArray[np.float64]
    fault: NDArray[np.int8]
    limit: NDArray[np.float64] | None


def refused(grid: Grid, column: str, wrong: Wrong) -> BadInput:
    """A wrong value with its file, line and column."""
    return grid.wrong(wrong.row, wrong.message, column=column, allowed=wrong.allowed, hint=wrong.hint)


def place_of(labels: list[Label], name: str) -> int | None:
    """Where the column of a name stands."""
    return next((n for n, label in enumerate(labels) if label.name == name), None)


def rows_of_devices(grid: Grid, tool: Tool, labels: list[Label]) -> tuple[Grid, tuple[str, ...]]:
    """Rows of whole devices: those of partitions and MIG instances repeat or lack the power of the device.

    Raises
    ------
    BadInput : there is none.
    """
    import polars as pl

    place = place_of(labels, "xcp" if tool is AMD else "entity")
    if place is None or tool not in (AMD, DCGM):
        return grid, ()
    cells = grid.cells[str(place)]
    keep = cells.str.starts_with("GPU ") if tool is DCGM else cells.is_in(["0", "N/A", ""])
    if keep.all():
        return grid, ()
    if not keep.any():
        raise grid.wrong(0, "no row is of a whole GPU", column=grid.header.names[place], allowed="rows of whole GPUs")
    what = "of partitions of a GPU" if tool is AMD else "of other things than whole GPUs"
    kept = replace(grid, cells=grid.cells.filter(pl.Series(keep)), lines=grid.lines[keep.to_numpy()])
    return kept, (f"rows {what} that are left out: {int((~keep).sum()):,}",)


def read_clock(grid: Grid, tool: Tool, labels: list[Label]) -> Times:
    """Times of all rows, from the first of the tool's columns, or of those that times usually have, that is there.

    Raises
    ------
    BadInput : there is none; a value that is not a time.
    """
    units: dict[str, tuple[int, str | None]] = {}
    for place, label in enumerate(labels):
        split = _TIME_UNIT.fullmatch(label.name)
        name, unit = (split[1], split[2]) if split and label.name != "time_s" else (label.name, label.unit)
        units.setdefault(name, (place, unit if unit in ("s", "ms", "us", "ns") else None))
    for names in (*tool.times, *TIMES):
        if not all(name in units for name in names):
            continue
        places = [units[name][0] for name in names]
        title = " ".join(grid.header.names[place] for place in places)
        cells = [grid.cells[str(place)] for place in places]
        try:
            return read_times(cells[0] if len(cells) == 1 else cells[0] + " " + cells[1], title, units[names[0]][1])
        except Wrong as error:
            raise refused(grid, title, error) from None
    raise BadInput(
        "no column of times",
        field=FIELD,
        allowed=", ".join(" and ".join(names) for names in TIMES),
        hint=tool.untimed or None,
        file=grid.path,
        line=grid.header.line,
    )


def read_devices(grid: Grid, tool: Tool, labels: list[Label]) -> tuple[list[str], NDArray[np.int64]]:
    """Names of devices in the order in which they come, and the device of every row; [""] without such a column.

    Raises
    ------
    BadInput : a row that does not name its device.
    """
    import polars as pl

    hosts = HOSTS if not tool.document else ()
    ranked = [place for name in tool.devices if (place := place_of(labels, name)) is not None][:1]
    places = [place for name in hosts if (place := place_of(labels, name)) is not None] + ranked
    places += [place for name in (TILE,) if tool is INTEL and (place := place_of(labels, name)) is not None]
    if not places:
        return [""], np.zeros(grid.cells.height, dtype=np.int64)
    for place in places:
        if (empty := grid.cells[str(place)] == "").any():
            wrong = Wrong(int(np.flatnonzero(empty.to_numpy())[0]), "is empty", "a name or number of the device")
            raise refused(grid, grid.header.names[place], wrong)
    names = grid.cells.select(pl.concat_str([pl.col(str(place)) for place in places], separator="/")).to_series()
    devices = names.unique(maintain_order=True).to_list()
    codes = names.replace_strict(devices, list(range(len(devices))), return_dtype=pl.Int64)
    return devices, codes.to_numpy()


def read_quantities(grid: Grid, tool: Tool, labels: list[Label]) -> list[Numbers]:
    """All quantities of the file.

    Raises
    ------
    BadInput : a column given twice, a unit of something else, a value that is not a number.
    """
    names, found = [label.name for label in labels], []
    for column in tool.columns:
        if column.name not in names:
            continue
        place = names.index(column.name)
        title, unit = grid.header.names[place], labels[place].unit or column.unit
        quantity: Quantity = "energy_j" if column.semantics == "counter" else "power_w"
        wrong, allowed = "is given twice", "one column of a name"
        if names.count(column.name) == 1:
            wrong = f"'{unit}' is no unit of {'energy' if quantity == 'energy_j' else 'power'}"
            allowed = UNITS_SHOWN if unit not in UNITS or UNITS[unit][1] != quantity else ""
        if allowed:
            raise BadInput(wrong, field=title, allowed=allowed, file=grid.path, line=grid.header.line)
        value, fault = _read(grid, place, unit)
        limits = place_of(labels, column.limit) if column.limit else None
        limit = None if limits is None else _read(grid, limits, labels[limits].unit or "W")[0]
        found.append(Numbers(column, quantity, title, value, fault, limit))
    return found


def _read(grid: Grid, place: int, unit: str) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    try:
        return read_numbers(grid.cells[str(place)], unit)
    except Wrong as error:
        raise refused(grid, grid.header.names[place], error) from None
