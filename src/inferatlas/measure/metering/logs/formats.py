"""Logs of other tools: which tool wrote a file, and its rows as a `Log`.

In: a text file whose header `formats_tools.py` knows. Out: one series per device and quantity, in the order of the
file, never mixed; what was assumed, left out or repaired is in the notes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Series
from inferatlas.measure.metering.logs.formats_clock import ROUNDED, times_of
from inferatlas.measure.metering.logs.formats_columns import (
    TILE,
    Numbers,
    columns_read,
    place_of,
    read_clock,
    read_devices,
    read_quantities,
    rows_of_devices,
)
from inferatlas.measure.metering.logs.formats_grid import Grid, read_grid
from inferatlas.measure.metering.logs.formats_text import FIELD, KNOWN_FORMS, Header, head, header_of
from inferatlas.measure.metering.logs.formats_told import Told, as_told
from inferatlas.measure.metering.logs.formats_tools import ALL, INTEL, NVIDIA, Tool, of_generation, recognise, strange
from inferatlas.measure.metering.logs.formats_values import UNITS_SHOWN, Label, label_of
from inferatlas.measure.metering.logs.log import Log, rows_of_each
from inferatlas.measure.metering.scope import Scope


def read_foreign(path: Path, told: Told) -> Log:
    """A log of another tool; ``told`` fills in what the tool leaves open.

    Raises
    ------
    BadInput : an unknown form; no times, no power; a value or a unit that cannot be read, with its line.
    """
    header, tool, labels = find_header(head(path), path)
    _check_ours(header, tool, labels, path)
    grid, notes = rows_of_devices(read_grid(path, header, columns_read(header, tool, labels)), tool, labels)
    times = read_clock(grid, tool, labels)
    device = read_devices(grid, tool, labels)
    numbers = read_quantities(grid, tool, labels)
    each = rows_of_each(device.to_frame())
    if not device[0] and tool.polls_all and _in_bursts(times.t_ns):
        allowed = f"a column of {' or '.join(tool.devices)}"
        message = "rows come in groups, as of several devices, and no column says which"
        raise grid.wrong(0, message, column=FIELD, allowed=allowed, hint=tool.untimed or None)
    series: list[Series] = []
    said: dict[str, None] = dict.fromkeys((*grid.notes, *notes, *times.notes))  # a set that keeps its order
    jumped = False
    several = len(each) > 1
    nested = several and not tool.document and any(ALL.search(device[int(rows[0])]) for rows in each)
    for rows in each:
        identity = device[int(rows[0])]
        t_ns, spaced = times_of(times, rows, tool.floors)
        said |= dict.fromkeys(spaced)
        if (back := np.flatnonzero(np.diff(t_ns) < 0)).size:
            jumped = True
            line = int(grid.lines[rows[back[0] + 1]])
            said[f"times of {identity or 'the device'} go backwards in line {line:,}"] = None
        named = _named(grid, tool, labels, rows)
        used, left = _with_values(numbers, tool, rows, identity)
        said |= dict.fromkeys(left)
        for one in used:
            channel = _channel(tool, labels, one, (identity, named), rows, several)
            channel = replace(channel, shared=channel.shared or nested, u_time_s=times.step_s * ROUNDED)
            series.append(Series(as_told(channel, told), t_ns, one.value[rows], one.fault[rows]))
    return Log(tuple(series), times.unix_ns, reasons=("clock_jump",) if jumped else (), notes=tuple(said))


def find_header(lines: list[tuple[int, str]], path: Path) -> tuple[Header, Tool, list[Label]]:
    """The first line that a tool writes as its header; what stands before it is not read.

    Raises
    ------
    BadInput : there is none; a column of power in an unknown unit.
    """
    odd: tuple[int, Label] | None = None
    for place, (number, line) in enumerate(lines):
        header = header_of(line, number)
        labels = [label_of(name) for name in header.names]
        following = lines[place + 1][1].strip() if place + 1 < len(lines) else ""
        row = [cell.strip() for cell in following.split(header.separator)]
        tool = recognise(header, labels, row)
        if tool is not None:
            return header, tool, labels
        if odd is None and len(labels) > 1 and (found := strange(labels)) is not None:
            odd = number, found
    if odd is not None:
        number, label = odd
        message = "has no unit" if label.unit is None else f"'{label.unit}' is no unit of power or energy"
        hint = "write it in the header: Power (W), or power_w"
        raise BadInput(message, field=label.name, allowed=UNITS_SHOWN, hint=hint, file=path, line=number)
    number, line = lines[0]
    message = f"no column of power or energy: {line.strip()[:120]}"
    hint = "is the header missing? log again with it (without noheader)" if re.match(r"\W*\d", line) else None
    raise BadInput(message, field=FIELD, allowed=KNOWN_FORMS, hint=hint, file=path, line=number)


def _check_ours(header: Header, tool: Tool, labels: list[Label], path: Path) -> None:
    """What a table of ours says of its channels is not read from others: better refused than passed over."""
    names = [label.name for label in labels if label.name in ("scope", "part", "semantics")]
    if names and not tool.document:
        hint = "name devices in a column 'device', with their hosts, and times in 'time_s' or 'timestamp'"
        allowed = "a table with power_w, time_s or timestamp, and device alone"
        raise BadInput(
            "is read from our own tables only", field=names[0], allowed=allowed, hint=hint, file=path, line=header.line
        )


def _in_bursts(t_ns: NDArray[np.int64]) -> bool:
    """Most rows follow the one before them at once, compared with the longest gaps: several devices, one poll."""
    gaps = np.diff(t_ns)
    return gaps.size > 2 and float(np.median(gaps)) < 0.1 * float(np.quantile(gaps, 0.95))


def _named(grid: Grid, tool: Tool, labels: list[Label], rows: NDArray[np.intp]) -> str:
    place = place_of(labels, tool.label) if tool.label else None
    return "" if place is None else grid.cells[int(rows[0]), place]


def _with_values(
    numbers: list[Numbers], tool: Tool, rows: NDArray[np.intp], device: str
) -> tuple[list[Numbers], list[str]]:
    """Quantities that a device gives, none of them twice, and notes. Where it gives none, its faults are kept."""
    held = [one for one in numbers if not one.fault[rows].all()] or numbers
    whose = device or "the device"
    notes = [f"'{one.title}' of {whose} has no value: left out" for one in numbers if one not in held]
    names, better = {one.column.name for one in held}, dict(tool.drops)
    used = []
    for one in held:
        others = sorted(names.intersection(better.get(one.column.name, ())))
        if others:
            notes.append(f"'{one.title}' is not read: '{others[0]}' says what it is")
        else:
            used.append(one)
    return used, notes


def _channel(
    tool: Tool,
    labels: list[Label],
    one: Numbers,
    device: tuple[str, str],
    rows: NDArray[np.intp],
    several: bool,
) -> Channel:
    """What one quantity of one device, given with its name, means."""
    column, (identity, named) = one.column, device
    semantics, window_s, assumed = column.semantics, column.window_s, column.assumed
    if tool is NVIDIA and column.name == "power.draw":
        semantics, window_s, assumed = of_generation(named)
    limit = None if one.limit is None or np.isnan(one.limit[rows]).all() else float(np.nanmax(one.limit[rows]))
    return Channel(
        tool.name,
        "/".join(part for part in (identity, column.name if column.wide else "") if part) or "0",
        one.quantity,
        semantics,
        Scope.DIE if tool is INTEL and place_of(labels, TILE) is not None else column.scope,
        name=named,
        window_s=window_s,
        update_s=tool.update_s,
        gain=tool.gain,
        limit_w=limit if limit and limit > 0 else None,
        shared=column.shared or (column.scope is Scope.MODULE and several),
        assumed=assumed,
    )
