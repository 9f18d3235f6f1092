"""Columns of third-party logs: the times, the devices and the quantities of a `Grid`, as arrays.

In: rows as texts, and the `Tool` that wrote them. Out: `Times`, the device of every row, and `Numbers` per quantity; a
value that cannot be read is a `BadInput` with its line and column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Quantity
from inferatlas.measure.metering.logs.formats_clock import Times, read_times
from inferatlas.measure.metering.logs.formats_grid import Grid
from inferatlas.measure.metering.logs.formats_text import FIELD, Header
from inferatlas.measure.metering.logs.formats_tools import AMD, DCGM, HOSTS, INTEL, TIMES, Column, Tool
from inferatlas.measure.metering.logs.formats_values import UNITS, UNITS_SHOWN, Label, Wrong, read_numbers

if TYPE_CHECKING:
    import polars as pl

TILE, PARTITION, ENTITY = "tileid", "xcp", "entity"  # columns of xpu-smi, where it dumps tiles, amd-smi and dcgmi
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


def place_of(labels: list[Label], name: str) -> int | None:
    """Where the column of a name stands."""
    return next((n for n, label in enumerate(labels) if label.name == name), None)


def columns_read(header: Header, tool: Tool, labels: list[Label]) -> dict[str, Any]:
    """Of all columns those that are read here, by their names in the header: texts."""
    import polars as pl

    wanted = {*HOSTS, TILE, PARTITION, ENTITY, tool.label, *tool.devices, *chain(*tool.times, *TIMES)}
    wanted |= {name for column in tool.columns for name in (column.name, column.limit)}
    named = zip(header.names, labels, strict=True)
    return {name: pl.String for name, label in named if label.name in wanted or _time_of(label)[0] in wanted}


def rows_of_devices(grid: Grid, tool: Tool, labels: list[Label]) -> tuple[Grid, tuple[str, ...]]:
    """Rows of whole devices: those of partitions and MIG instances repeat or lack the power of the device.

    Raises
    ------
    BadInput : there is none.
    """
    import polars as pl

    place = place_of(labels, PARTITION if tool is AMD else ENTITY)
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
        name, unit = _time_of(label)
        units.setdefault(name, (place, unit))
    for names in (*tool.times, *TIMES):
        if not all(name in units for name in names):
            continue
        places = [units[name][0] for name in names]
        title = " ".join(grid.header.names[place] for place in places)
        cells = [grid.cells[str(place)] for place in places]
        try:
            return read_times(cells[0] if len(cells) == 1 else cells[0] + " " + cells[1], title, units[names[0]][1])
        except Wrong as error:
            raise grid.refused(title, error) from None
    raise BadInput(
        "no column of times",
        field=FIELD,
        allowed=", ".join(" and ".join(names) for names in TIMES),
        hint=tool.untimed or None,
        file=grid.path,
        line=grid.header.line,
    )


def _time_of(label: Label) -> tuple[str, str | None]:
    """A column's name without the unit of time that it says, in itself or behind, and that unit."""
    split = _TIME_UNIT.fullmatch(label.name)
    name, unit = (split[1], split[2]) if split and label.name != "time_s" else (label.name, label.unit)
    return name, unit if unit in ("s", "ms", "us", "ns") else None


def read_devices(grid: Grid, tool: Tool, labels: list[Label]) -> pl.Series:
    """The device of every row; "" without a column that says.

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
        return pl.Series("device", [""]).new_from_index(0, grid.cells.height)
    for place in places:
        if (empty := grid.cells[str(place)] == "").any():
            wrong = Wrong(int(np.flatnonzero(empty.to_numpy())[0]), "is empty", "a name or number of the device")
            raise grid.refused(grid.header.names[place], wrong)
    joined = pl.concat_str([pl.col(str(place)) for place in places], separator="/")
    return grid.cells.select(joined.alias("device")).to_series()


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
        quantity: Quantity = "energy_j" if column.semantics == "counter" else "power_w"
        value, fault = _read(grid, place, _unit(grid, labels, place, quantity, column.unit))
        limits = place_of(labels, column.limit) if column.limit else None
        limit = None if limits is None else _read(grid, limits, _unit(grid, labels, limits, "power_w", "W"))[0]
        found.append(Numbers(column, quantity, grid.header.names[place], value, fault, limit))
    return found


def _unit(grid: Grid, labels: list[Label], place: int, quantity: Quantity, otherwise: str) -> str:
    """The unit that a column's header says, or that it has otherwise; a column of its name has to be the only one."""
    unit, title = labels[place].unit or otherwise, grid.header.names[place]
    if sum(label.name == labels[place].name for label in labels) > 1:
        wrong, allowed = "is given twice", "one column of a name"
    elif unit not in UNITS or UNITS[unit][1] != quantity:
        wrong, allowed = f"'{unit[:40]}' is no unit of {'energy' if quantity == 'energy_j' else 'power'}", UNITS_SHOWN
    else:
        return unit
    raise BadInput(wrong, field=title, allowed=allowed, file=grid.path, line=grid.header.line)


def _read(grid: Grid, place: int, unit: str) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    try:
        return read_numbers(grid.cells[str(place)], unit)
    except Wrong as error:
        raise grid.refused(grid.header.names[place], error) from None
