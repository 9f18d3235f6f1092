"""What can be read on this machine, as a page and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferatlas.measure.metering.finding import Row
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE, counted, listed
from inferatlas.show.page import Column, Command, Heading, Items, Page, Paragraph, Table

MEANINGS = {
    ("energy_j", "counter"): "energy counter", ("power_w", "average"): "average power",
    ("power_w", "instant"): "instant power", ("power_w", "model"): "an estimate",
}  # fmt: skip
LADDER = (
    "What a reading covers, from narrow to wide: die, gpu, module, board, node_dc (behind the supplies), node_ac (at "
    "the plug), rack, facility. Readings of different scopes are different quantities and are never added."
)


def sources_page(rows: Sequence[Row], typed: str) -> Page:
    """What is there, what is not and why."""
    here = [one for one in rows if one.available]
    away = [one for one in rows if not one.available]
    return [
        Heading(_words(here)),
        *([_here(here)] if here else []),
        *([_away(away)] if away else []),
        *([Items("To enable", _enable(away))] if away else []),
        *([Items("Good to know", _notes(here))] if _notes(here) else []),
        Paragraph(LADDER, quiet=True),
        Command("Reproduce", typed),
    ]


def source_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A row per kind of reading."""
    return [one.as_dict() | {"devices": " ".join(one.as_dict()["devices"])} for one in rows]


def _words(here: Sequence[Row]) -> str:
    if not here:
        return "No power sensor can be read on this machine; below is what was looked for and how to enable it."
    names = list(dict.fromkeys(one.interface.name for one in here))
    devices = {(one.interface.name, channel.device) for one in here for channel in one.channels}
    return f"{counted(len(devices), 'device')} can be read through {listed(names)}."


def _here(rows: Sequence[Row]) -> Table:
    columns = [
        Column("source"), Column("reading"), Column("covers"), Column("devices", right=True),
        Column("new value every", right=True), Column("names", wraps=True),
    ]  # fmt: skip
    return Table("Can be read", columns, [
        [one.interface.name, _reading(one), _covers(one), str(len(one.channels)), _update(one),
         listed([channel.name or channel.device for channel in one.channels])]
        for one in rows
    ])  # fmt: skip


def _away(rows: Sequence[Row]) -> Table:
    columns = [Column("source"), Column("would give", wraps=True), Column("why not", wraps=True)]
    names = dict.fromkeys(one.interface.name for one in rows)
    return Table("Not here", columns, [
        [name, "; ".join(dict.fromkeys(_would(one) for one in own)), own[0].why_not or NONE]
        for name in names
        if (own := [one for one in rows if one.interface.name == name])
    ])  # fmt: skip


def _enable(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(f"{one.interface.title}: {one.hint or one.interface.enable}" for one in rows))


def _notes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(f"{one.interface.name}: {note}" for one in rows for note in one.notes))


def _would(one: Row) -> str:
    return _reading(one) if one.offer is None else f"{_reading(one)} ({_covers(one)})"


def _reading(one: Row) -> str:
    if one.offer is None:
        return "what the log holds" if one.interface.address else "nothing"
    meaning = MEANINGS[one.offer.quantity, one.offer.semantics]
    return f"{meaning} over {show(one.offer.window_s, 's')}" if one.offer.window_s else meaning


def _covers(one: Row) -> str:
    if one.offer is None:
        return NONE
    scope = "scope unknown" if one.offer.scope is None else one.offer.scope.label
    part = one.channels[0].part if one.channels else ""
    return f"{scope}, {part}" if part else scope


def _update(one: Row) -> str:
    if one.update_s is None:
        return NONE
    return f"{show(one.update_s, 's')}{' (measured)' if one.update_measured else ''}"
