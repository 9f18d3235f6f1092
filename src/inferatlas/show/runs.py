"""`inferatlas runs` in words: records below folders, one record, and the answer to a question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.measure.bench.record.finding import Finds, Record
from inferatlas.measure.bench.record.flat import flat, mapping
from inferatlas.measure.bench.record.querying import Answer
from inferatlas.show.numbers import NONE, as_given, counted, figure, quantity
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

MOST_ROWS = 1000  # of an answer that are drawn; the other formats have all
SHORT = 3  # values of a list that are drawn
STATISTICS = ("mean", "p50", "p90", "p95", "p99")


# runs list


def list_rows(found: Finds) -> list[dict[str, Any]]:
    """A flat row per whole record, oldest first."""
    return sorted((flat(one) for one in found.records), key=lambda row: row["started"] or "")


def list_document(found: Finds) -> dict[str, Any]:
    """As JSON: ``{"folders", "runs": [...], "unfinished": [{"directory", "why", "resume"}], "damaged": [...]}``."""
    return {
        "folders": list(found.folders), "runs": list_rows(found),
        "unfinished": [
            {"directory": one.path.as_posix(), "why": one.why, "resume": one.resume} for one in found.unfinished
        ],
        "damaged": [{"directory": one.path.as_posix(), "why": one.why} for one in found.damaged],
    }  # fmt: skip


def list_page(found: Finds, typed: str) -> Page:
    """The runs as a table, then what is unfinished or damaged."""
    rows = list_rows(found)
    columns = [
        Column("run"), Column("label\nstarted"), Column("model\nengine"), Column("load"),
        *(
            Column(name, right=True)
            for name in ("done\nsent", "TTFT\np50", "ITL\nmean", "latency\np50", "output\ntokens/s", "tokens/J")
        ),
        Column("verdict", wraps=True),
    ]  # fmt: skip
    cells = [
        [
            row["run"], f"{row['label'] or row['kind']}\n{(row['started'] or NONE)[:16]}",
            f"{row['model'] or NONE}\n{row['engine'] or NONE}", load_words(row),
            f"{as_given(row['completed'])}\n{as_given(row['sent'])}",
            *(figure(row[name], "s") for name in ("ttft_s_p50", "itl_s_mean", "latency_s_p50")),
            figure(row["output_tokens_per_s"], "1"), figure(row["tokens_per_joule"], "1"), verdict_words(row),
        ]
        for row in rows
    ]  # fmt: skip
    where = ", ".join(found.folders)
    blocks: list[Block] = [Heading(f"{counted(len(rows), 'run record')} below {where}.")]
    if cells:
        blocks.append(Table("", columns, cells))
    if found.unfinished:
        texts = [f"{one.path.as_posix()}: {one.why}. Go on with: {one.resume}" for one in found.unfinished]
        blocks.append(Items("Unfinished, or still running", texts))
    if found.damaged:
        blocks.append(Items("Damaged", [f"{one.path.as_posix()}: {one.why}" for one in found.damaged]))
    return [*blocks, Command("Reproduce", typed)]


def load_words(row: Mapping[str, Any]) -> str:
    """The load of a flat row in a few words; the lengths on a second line.

    >>> load_words({"load": "closed", "concurrency": 8, "request_rate": None, "input_tokens": 512, "output_tokens": 64})
    '8 in flight\\n512 in, 64 out'
    """
    if row["concurrency"] is not None:
        first = f"{row['concurrency']:,} in flight"
    elif row["request_rate"] is not None:
        first = f"{as_given(row['request_rate'])} requests/s"
    else:
        first = row["load"] or NONE
    known = [f"{as_given(row[f'{way}put_tokens'])} {way}" for way in ("in", "out") if row[f"{way}put_tokens"]]
    return f"{first}\n{', '.join(known)}" if known else first


def verdict_words(row: Mapping[str, Any]) -> str:
    """Whether a run is valid, with the reasons if not.

    >>> verdict_words({"verdict": "invalid", "reasons": ["cpu_share", "load_off"]})
    'invalid: cpu_share, load_off'
    """
    why = ", ".join(row["reasons"])
    return f"{row['verdict'] or NONE}{f': {why}' if why else ''}"


# runs show


def run_document(record: Record) -> dict[str, Any]:
    """As JSON: ``{"directory", "run": what run.json holds, "row": its flat row, "tables": names of its tables}``."""
    return {
        "directory": record.name, "run": record.document, "row": flat(record),
        "tables": sorted(one.name for one in record.path.glob("*.parquet")),
    }  # fmt: skip


def run_picture(found: Record, typed: str) -> str:
    """A measured run as a page with charts."""
    from inferatlas.show.bench_html import run_html

    return run_html(found.path, found.document, typed)


def run_rows(record: Record) -> list[dict[str, Any]]:
    """A row per figure: metric, statistic, value."""
    return [
        {"run": record.name, "metric": name, "statistic": statistic, "value": value}
        for name, statistic, value in _figures(record)
    ]


def run_page(record: Record, typed: str) -> Page:
    """What was run on what, its verdict, and every figure that its `run.json` holds."""
    d, row = record.document, flat(record)
    blocks: list[Block] = [
        Heading(f"{record.name}: {row['model'] or 'no model named'} [{row['label'] or row['kind']}]."),
        Table("", [Column("what"), Column("value", wraps=True)], _about(d, row)),
    ]
    told = mapping(d.get("metrics") or mapping(d.get("outcome")).get("metrics"))
    spread = {name: one for name, one in told.items() if isinstance(one, Mapping) and "mean" in one}
    if spread:
        known = [one for one in STATISTICS if any(one in values for values in spread.values())]
        cells = [
            [quantity(name)[0], *(figure(_number(values.get(one)), quantity(name)[1]) for one in known)]
            for name, values in spread.items()
        ]
        blocks.append(Table("Over requests", [Column("metric"), *(Column(one, right=True) for one in known)], cells))
    single = [
        [quantity(name)[0], figure(_number(one), quantity(name)[1])]
        for name, one in told.items()
        if _number(one) is not None
    ]
    if single:
        blocks.append(Table("Over the run", [Column("metric"), Column("value", right=True)], single))
    failed = mapping(mapping(d.get("requests")).get("failed"))
    if failed:
        blocks.append(Items("Failed requests", [f"{reason}: {count}" for reason, count in failed.items()]))
    for title, texts in (("Remarks", row["remarks"]), ("Notes", d.get("notes"))):
        if isinstance(texts, list) and texts:
            blocks.append(Items(title, [str(one) for one in texts]))
    definitions = mapping(d.get("definitions"))
    if definitions:
        blocks.append(Items("Definitions", [f"{name}: {text}" for name, text in definitions.items()]))
    return [*blocks, *([Command("Made by", row["command"])] if row["command"] else []), Command("Reproduce", typed)]


def _about(d: Mapping[str, Any], row: Mapping[str, Any]) -> list[list[str]]:
    count = f"{as_given(row['accelerators'])} x " if row["accelerators"] else ""
    told = {
        "started": row["started"], "verdict": verdict_words(row), "load": load_words(row).replace("\n", ", "),
        "requests": ", ".join(f"{as_given(row[name])} {name}" for name in ("sent", "completed", "failed")),
        "engine": " ".join(one for one in (row["engine"], row["engine_version"]) if one) or None,
        "accelerators": f"{count}{row['accelerator']}" if row["accelerator"] else None,
        "data set": row["dataset"], "protocol": row["protocol"], "seed": as_given(row["seed"]),
        "inferatlas": mapping(d.get("environment")).get("inferatlas"),
    }  # fmt: skip
    return [[name, str(value)] for name, value in told.items() if value not in (None, NONE)]


def _figures(record: Record) -> list[tuple[str, str | None, float]]:
    told = mapping(record.document.get("metrics") or mapping(record.document.get("outcome")).get("metrics"))
    found = []
    for name, one in told.items():
        values = {key: one.get(key) for key in STATISTICS} if isinstance(one, Mapping) else {None: one}
        found += [(name, key, number) for key, value in values.items() if (number := _number(value)) is not None]
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# runs query


def answer_page(found: Answer, typed: str) -> Page:
    """The answer as a table; long lists are drawn short, and so are many rows."""
    rows = found.rows()
    columns = [
        Column(name, right=_numeric(values), wraps=not _numeric(values)) for name, values in found.columns.items()
    ]
    blocks: list[Block] = [Table("", columns, [[cell(one) for one in row.values()] for row in rows[:MOST_ROWS]])]
    if len(rows) > MOST_ROWS:
        more = f"The first {MOST_ROWS:,} of {len(rows):,} rows; --format csv, jsonl or parquet have all."
        blocks.append(Paragraph(more, quiet=True))
    return [*blocks, Paragraph(f"{counted(len(rows), 'row')}.", quiet=True), Command("Reproduce", typed)]


def answer_columns(found: Answer) -> dict[str, Any]:
    """Columns that keep lists as lists, for Parquet."""
    import polars as pl

    return {name: pl.Series(name, values, strict=False) for name, values in found.columns.items()}


def cell(value: Any) -> str:
    """A value as a cell of a table.

    >>> cell(0.123456789), cell(12345), cell([0.1, 0.2, 0.3, 0.4]), cell(None), cell({"a": 1})
    ('0.123457', '12345', '[0.1, 0.2, 0.3, … 4]', '—', '{"a": 1}')
    """
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        more = [f"… {len(value)}"] if len(value) > SHORT else []
        return f"[{', '.join([*map(cell, value[:SHORT]), *more])}]"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _numeric(values: Sequence[Any]) -> bool:
    return all(one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in values)


__all__ = [
    "answer_columns", "answer_page", "list_document", "list_page", "list_rows", "load_words", "run_document",
    "run_page", "run_rows", "verdict_words",
]  # fmt: skip
