"""The rows of a trace file as arrays: those that were served, with what was left out and why.

In: the columns and rows that `trace_formats.py` found. Out: `Rows`, in the order of the file, of which `traces.py`
makes a `Trace`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains, block_chains
from inferatlas.workload.trace_formats import ENOUGH, GENERIC, HASHES, FileColumns, Record, model_name, tokens
from inferatlas.workload.workload import MOST_TOKENS


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Requests of a file, n of them; ``ticks`` are arrival times by its clock."""

    ticks: NDArray[Any]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    model_index: NDArray[np.int64]  # empty where there are no models
    models: tuple[str, ...]
    lines: NDArray[np.int64]
    chains: Chains | None
    notes: tuple[str, ...]


def read_rows(columns: FileColumns, records: Iterator[Record], path: Path, longest: int | None) -> Rows:
    """Read all rows; those without input or output, and those longer than ``longest``, are left out and counted.

    Raises
    ------
    BadInput : a value that cannot be read, with its line; fewer than two requests; all at one instant.
    """
    pick, read_time, has_model, line = columns.pick, columns.clock.read, len(columns.labels) > 3, 1
    times, inputs, outputs, owners = array(columns.clock.typecode), array("q"), array("q"), array("q")
    lines, hashes, blocks, models = array("q"), array("q"), array("q"), dict[str, int]()
    left_out: dict[str, list[int]] = {"0 output": [], "0 input": [], "more": []}
    most = 2 * MOST_TOKENS if longest is None else longest
    for line, record in records:
        try:
            values = pick(record)
            time, input_length, output_length = read_time(values[0]), tokens(values[1]), tokens(values[2])
            model = model_name(values[3]) if has_model else ""
        except (ValueError, KeyError):
            raise columns.wrong(record, path, line) from None
        if not output_length:
            left_out["0 output"].append(line)
            continue
        if not input_length:
            if columns.format is GENERIC:
                raise BadInput("0 is not a length", field=columns.labels[1], allowed="1 or more", file=path, line=line)
            left_out["0 input"].append(line)
            continue
        if input_length + output_length > most:
            left_out["more"].append(line)
            continue
        times.append(time)  # pyright: ignore[reportArgumentType] - the clock reads what its typecode holds
        inputs.append(input_length)
        outputs.append(output_length)
        lines.append(line)
        if has_model:
            owners.append(models.setdefault(model, len(models)))
        if columns.has_hashes:
            ids = columns.hashes(record, path, line)
            hashes.extend(ids)
            blocks.append(len(ids))
    notes = _notes(left_out, len(times), longest)
    _check_enough(times, path, line, notes)
    chains = block_chains(np.array(blocks), np.array(hashes), np.array(inputs)) if columns.has_hashes else None
    if isinstance(chains, str):
        notes.append(f"'{HASHES}' are not used: {chains}")
    return Rows(
        ticks=np.array(times),
        input_tokens=np.array(inputs),
        output_tokens=np.array(outputs),
        model_index=np.array(owners),
        models=tuple(models),
        lines=np.array(lines),
        chains=chains if isinstance(chains, Chains) else None,
        notes=tuple(notes),
    )


def _notes(left_out: dict[str, list[int]], kept: int, longest: int | None) -> list[str]:
    rows = kept + sum(map(len, left_out.values()))
    whats = {"more": f"more than {longest:,} input and output tokens"} if longest is not None else {}
    return [
        f"left out: {len(lines):,} of {rows:,} rows with {whats.get(what, f'{what} tokens')}, the first in line "
        f"{lines[0]:,}"
        for what, lines in left_out.items()
        if lines
    ]


def _check_enough(times: array[Any], path: Path, line: int, left_out: list[str]) -> None:
    if len(times) > 1 and min(times) < max(times):
        return
    if not times:
        message = "holds no request with input and output"
    elif len(times) == 1:
        message = "a trace of one request has no rate"
    else:
        message = f"all {len(times):,} requests arrive at one instant, which has no rate"
    message = "; ".join((message, *left_out))
    raise BadInput(message, field="trace", allowed=ENOUGH, file=path, line=line)
