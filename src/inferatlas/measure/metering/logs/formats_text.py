"""Text files of readings: their first lines, and what is a header among them.

In: a path. Out: lines with their numbers, a `Header`. What is not text is refused with what to do.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inferatlas.errors import BadInput

Layout = Literal["csv", "spaced", "pairs"]
FIELD = "log"
HEAD_BYTES, HEAD_LINES = 65_536, 40
KNOWN_FORMS = "CSV or Parquet as written by inferatlas, CSV with times and power_w, logs of nvidia-smi, dcgmi dmon, "
KNOWN_FORMS += "amd-smi, rocm-smi, xpu-smi, hl-smi, SPEC PTDaemon, or CSV with columns such as 'Power (W)'"
NOT_TEXT = {  # files that are not text, by their first bytes: what they are, and what to do
    b"\x1f\x8b": ("is compressed with gzip", "decompress it first: gunzip --keep FILE"),
    b"\x28\xb5\x2f\xfd": ("is compressed with Zstandard", "decompress it first: zstd --decompress FILE"),
    b"PK\x03\x04": ("is a ZIP archive", "unpack it first: unzip FILE"),
    b"\xff\xfe": ("is UTF-16 text", "save it as UTF-8; in PowerShell: Get-Content FILE | Out-File -Encoding utf8 NEW"),
    b"\xfe\xff": ("is UTF-16 text", "save it as UTF-8; in PowerShell: Get-Content FILE | Out-File -Encoding utf8 NEW"),
    b"{": ("is JSON", "log as CSV: the tools have --format=csv or --csv"),
    b"[": ("is JSON", "log as CSV: the tools have --format=csv or --csv"),
}


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header of a file stands and how its rows split.

    ``names`` : of the columns, stripped. ``line`` : counts from 1. ``separator`` : of CSV. ``before`` : of ``spaced``,
    how many of the columns stand before the tool's own: times that another program put there.
    """

    names: tuple[str, ...]
    line: int
    layout: Layout
    separator: str = ","
    before: int = 0


def head(path: Path) -> list[tuple[int, str]]:
    """The first lines that are not blank, with their numbers; what is not text is refused.

    Raises
    ------
    BadInput : a file that cannot be read, is empty or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(HEAD_BYTES)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field=FIELD, file=path) from None
    for magic, (message, hint) in NOT_TEXT.items():
        if raw.startswith(magic):
            raise BadInput(message, field=FIELD, allowed=KNOWN_FORMS, hint=hint, file=path)
    if b"\0" in raw:
        raise BadInput("is not text", field=FIELD, allowed=KNOWN_FORMS, file=path)
    if b"\r" in raw and b"\n" not in raw:
        hint = "end lines with a line feed: tr '\\r' '\\n' < FILE > NEW"
        raise BadInput("ends its lines with carriage returns alone", field=FIELD, file=path, hint=hint)
    text = raw.decode("utf-8-sig", errors="replace")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise BadInput("is empty", field=FIELD, allowed=KNOWN_FORMS, file=path)
    return lines[:HEAD_LINES]


def header_of(line: str, number: int) -> Header:
    """A line read as a header: pairs of names and values, names between spaces after a '#', or CSV.

    Examples
    --------
    >>> header_of('timestamp, index, "power.draw [W]"', 1).names
    ('timestamp', 'index', 'power.draw [W]')
    >>> header_of("12:00:01 # gpu   pwr gtemp", 1).names
    ('timestamp', 'gpu', 'pwr', 'gtemp')
    >>> header_of("Time,12-23-2020 10:21:51.496,Watts,23.4", 1).names
    ('Time', 'Watts')
    """
    text = line.strip(" \t\r\n\ufeff")
    cells = text.split(",")
    if cells[0] == "Time" and len(cells) % 2 == 0 and len(cells) > 3 and cells[2] == "Watts":
        return Header(tuple(cells[::2]), number, "pairs")
    before, mark, names = text.partition("#")
    if mark and "," not in text:
        times = ("timestamp",) if len(before.split()) == 1 else ("date", "time")[: len(before.split())]
        return Header((*times, *names.split()), number, "spaced", before=len(times))
    separator = next((one for one in ";\t," if one in text), ",")
    return Header(tuple(cells_of(text.lstrip("# "), separator)), number, "csv", separator)


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of one line of CSV, stripped; none where it is not CSV."""
    try:
        row = next(csv.reader([line.replace("\r", " ")], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row]
