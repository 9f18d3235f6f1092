"""Reader of our own run records: `run.json` of a measured run, with the lengths in its `requests.parquet`.

A row per run, of the window its metrics are of (the steady one where there is one). What serves (accelerator, count,
layout, precisions) is what was told to ``bench run``; a served model's name or an accelerator that the catalogue does
not know gives way to what the caller names. Power is that of the accelerators alone: the meter of a node or a rack has
hosts in it, and is left out with a note. Simulated runs are no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from inferatlas.evidence.importers import names
from inferatlas.evidence.importers.rows import (
    Format,
    Found,
    Row,
    Unreadable,
    branch,
    each,
    flag,
    json_records,
    positive,
    text,
)

SCHEMA = 1  # of run.json
SOURCE = "inferatlas_bench"
HOW = "import with --accelerator NAME --accelerators N; `bench run --accelerator NAME --count N` keeps them in records"
OF_ACCELERATORS = ("die", "gpu", "module", "board")  # scopes of meters that hold no host
NOT_METERS = ("rapl", "model")  # of those scopes: processors, and estimates
HERE = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:|/|$)")
FIGURES = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s")


def _row(record: dict[str, Any], folder: Path) -> Row:
    if record.get("schema_version") != SCHEMA or record.get("kind") not in ("measured", "simulated"):
        raise Unreadable("not the run.json of a run record", f"schema_version {SCHEMA} and a kind are needed")
    if record["kind"] == "simulated":
        raise Unreadable("a simulated run: evidence is measured")
    metrics, hardware, software = (branch(record, name) for name in ("metrics", "hardware", "software"))
    tool = text(record, "imported_from")
    row = Row({
        **{name: positive(branch(metrics, name), "mean") for name in FIGURES[:3]},
        **{name: positive(metrics, name) for name in FIGURES[3:]},
        **{name: text(hardware, name) for name in ("weights", "kv_cache")},
        **{name: positive(hardware, name) for name in ("accelerators", "tp", "pp", "ep", "dp")},
        **_lengths(record, folder), "engine": text(software, "engine"), "engine_version": text(software, "version"),
        "reference": text(record, "started") or text(record, "written"),
    }, late={"source": tool or SOURCE}, derive=_placed)  # fmt: skip
    v = row.values
    if not any(v[name] for name in FIGURES):
        raise Unreadable("no measured figure: no request was completed")
    _load(row, record, metrics)
    window = "steady window" if branch(metrics, "window").get("kind") == "steady" else "whole run"
    where = f"as {tool} reports it" if tool else f"of the {window}"
    v |= {
        "ttft_statistic": f"mean of requests, {where}" if v["ttft_s"] else None,
        "itl_statistic": f"mean of requests, without the first token, {where}" if v["itl_s"] else None,
        "latency_meaning": f"mean of requests, end to end, {where}" if v["latency_s"] else None,
        "throughput_origin": f"measured tokens/s, {where}" if v["output_tokens_per_s"] else None,
    }
    _name(row, record, hardware)
    _power(row, record, metrics)
    _judge(row, record)
    return row


def _name(row: Row, record: dict[str, Any], hardware: dict[str, Any]) -> None:
    """Model and accelerator: as the record says where the catalogue knows them, else unless the caller says."""
    models, here = (_list(one) for one in (record.get("models"), branch(record, "environment").get("accelerators")))
    served = models[0] if len(models) == 1 and isinstance(models[0], str) else None
    told = text(hardware, "accelerator")
    for column, printed, find in (("model", served, names.model), ("accelerator", told, names.accelerator)):
        if printed is not None:
            (row.values if find(printed).known else row.late)[column] = printed
    if told is None and here and len(set(map(str, here))) == 1 and _local(record):
        row.late |= {"accelerator": str(here[0]), "accelerators": float(len(here))}


def _local(record: dict[str, Any]) -> bool:
    """Whether the server ran on the machine that measured."""
    addresses = _list(record.get("endpoints"))
    return bool(addresses) and all(HERE.match(str(one)) for one in addresses)


def _placed(row: Row) -> None:
    """What nobody said: a point without accelerators teaches nothing."""
    v = row.values
    if v.get("accelerator") is None or v.get("accelerators") is None:
        raise Unreadable("accelerators not named, or not how many", HOW)
    if "accelerators" in row.assumed:
        row.cautions.append("accelerators are all that the machine has")
    seen = row.late.get("_metered")
    if seen is not None and seen != v["accelerators"]:
        v |= {"power_w": None, "power_method": None}
        row.notes.append(f"power left out: meters of {seen:g} devices, {v['accelerators']:g} accelerators")


def _lengths(record: dict[str, Any], folder: Path) -> dict[str, float | None]:
    """Mean tokens of the completed requests of the window; as asked where requests were not kept."""
    columns = ("input_tokens", "output_tokens")
    load = branch(record, "load")
    asked = {name: positive(_mean_of(load.get(name)), "mean") for name in columns}
    file = folder / "requests.parquet"
    if not file.is_file():
        return asked
    try:
        done = pl.scan_parquet(file).filter(pl.col("status") == "done")
        kept = done.select("due_s", "sent_s", *columns).collect()
    except (pl.exceptions.PolarsError, OSError):
        raise Unreadable("requests.parquet beside it cannot be read") from None
    began = pl.coalesce("due_s", "sent_s")
    spans = [one for one in _list(branch(record, "metrics", "window").get("spans_s")) if len(_list(one)) == 2]
    inside = kept.filter(pl.any_horizontal(began.is_between(*span) for span in spans)) if spans else kept
    means = (inside if inside.height else kept).select(pl.col(columns).mean()).row(0, named=True)
    return {name: means[name] or asked[name] for name in columns}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mean_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"mean": value}


def _load(row: Row, record: dict[str, Any], metrics: dict[str, Any]) -> None:
    load, v = branch(record, "load"), row.values
    running = positive(metrics, "concurrency")
    match load.get("kind"):
        case "closed":
            v |= {"load": "closed_loop", "concurrency": positive(load, "concurrency") or running}
            if think := positive(branch(record, "prompts"), "think_s"):
                v["concurrency"] = running
                row.cautions.append(f"clients rest {think:g} s between requests, concurrency is the measured mean")
        case "open" | "trace":
            v |= {"load": "poisson", "concurrency": running}
            if load.get("rates"):
                raise Unreadable("the rate rises over the run: its means are of no one load")
            rate, arrival = text(load, "request_rate"), text(load, "arrival")
            row.notes.append(f"request rate {f'{rate}/s' if rate else 'of a trace'}, concurrency is the measured mean")
            if arrival != "poisson":
                row.cautions.append(f"arrivals: {arrival or 'of a trace'}, not Poisson")
        case "offline":
            v |= {"load": "offline", "concurrency": None, "ttft_s": None, "itl_s": None, "latency_s": None}
            row.notes.append("latencies left out: all at once, they are those of a queue as long as the run")
        case other:
            row.cautions.append(f"the load '{other or 'unknown'}' says not how requests arrive")
            v["concurrency"] = positive(load, "concurrency")


def _power(row: Row, record: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Power of the headline meter, which is the first that is known, where it is that of accelerators."""
    meters = [one for one in _list(record.get("energy")) if isinstance(one, dict)]
    meter = next((one for one in meters if one.get("joules") is not None), None)
    watts = positive(metrics, "power_w")
    if meter is None or watts is None:
        return
    scope, source = text(meter, "scope") or "unknown", text(meter, "source") or "unknown"
    what = f"{watts:g} W by {source}, scope {scope}"
    if scope not in OF_ACCELERATORS or source in NOT_METERS or meter.get("part"):
        row.notes.append(f"{what}: not of the accelerators alone, so not in power_w")
    elif not flag(meter, "valid"):
        row.notes.append(f"{what}: invalid, so not in power_w")
    else:
        row.values |= {"power_w": watts, "power_method": f"mean over the window by {source}, scope {scope}"}
        row.late["_metered"] = float(len(meter.get("devices") or ()) or 1)


def _judge(row: Row, record: dict[str, Any]) -> None:
    validity = branch(record, "validity")
    codes = [str(one) for name in ("reasons", "remarks") for one in _list(validity.get(name))]
    verdict = text(validity, "verdict")
    said = f"verdict {verdict or 'unknown'}{': ' if codes else ''}{', '.join(codes)}"
    if verdict == "invalid":
        row.invalid = said
    (row.notes if verdict == "valid" else row.cautions).append(said)
    for name in ("protocol", "imported_from"):
        if value := text(record, name):
            row.notes.append(f"{name.replace('_', ' ')} {value}")


def read(file: Path) -> Iterator[Found]:
    """The row of one record."""
    return each(json_records(file), lambda record: _row(record, file.parent))


FORMAT = Format(read, ("run.json",))
