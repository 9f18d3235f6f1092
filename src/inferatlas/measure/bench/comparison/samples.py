"""What is compared of a run: latencies of its completed requests, and its rates in batches of time.

Over the steady window where the record has one: requests whose clock started in it, tokens that came in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.bench.record.finding import Record
from inferatlas.measure.bench.record.flat import LATENCIES, flat, mapping
from inferatlas.workload.targets import ServiceTarget, parse_targets

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Spans = list[tuple[float, float]]
RATES = ("output_tokens_per_s", "total_tokens_per_s", "goodput_per_s", "tokens_per_joule")
BATCHES = 20  # Schmeiser (1982), "Batch size effects": 10 to 30 are enough, more gain little
FEWEST_BATCHES = 8
EVENLY = 32  # moments that stand for the tokens of a request whose times are not kept
NEEDED = ("sent_s", "status", *LATENCIES)
USED = (*NEEDED, "due_s", "first_token_s", "finish_s", "input_tokens", "output_tokens", "prompt", "token_s")


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """A rate over the window, and in batches of it; None where the window holds too few requests in a row."""

    value: float
    batches: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A run as it is compared.

    ``latencies``: per completed request of the window in the order of sending, seconds, NaN where undefined.
    ``prompts``: 16 digits of each one's prompt, empty where unknown. ``tokens``: means of input and output tokens.
    ``lost``: requests of the window that failed. ``steady``: whether there was a window.
    """

    record: Record
    row: Mapping[str, Any]
    latencies: Mapping[str, Floats]
    prompts: NDArray[np.str_]
    rates: Mapping[str, Rate]
    tokens: tuple[float | None, float | None]
    lost: int
    steady: bool
    targets: tuple[str, ...]

    @property
    def size(self) -> int:
        return self.prompts.size

    @property
    def users(self) -> int:
        """Requests of a round: in a closed loop those of all users, whose latencies depend on each other."""
        return max(int(self.row["concurrency"] or 1), 1) if self.row["load"] == "closed" else 1


def read_sample(record: Record) -> Sample:
    """Read what is compared of a record.

    Raises
    ------
    BadInput : tables that are missing, unreadable, or lack columns.
    """
    import polars as pl

    frame = _table(record, "requests", NEEDED, USED)
    due = [pl.col("due_s")] if "due_s" in frame.columns else []
    frame = frame.with_columns(clock_s=pl.coalesce(*due, "sent_s")).filter(pl.col("clock_s").is_not_null())
    frame = frame.sort("clock_s", maintain_order=True)
    spans = _spans(record)
    clock = frame["clock_s"].to_numpy()
    inside = frame.filter(_within(clock, spans)) if spans else frame
    done = inside.filter(pl.col("status") == "done")
    latencies = {name: _floats(done, name) for name in LATENCIES}
    prompts = (
        done["prompt"].cast(pl.String).fill_null("") if "prompt" in done.columns else pl.Series([""] * done.height)
    )
    targets = _targets(record.document)
    means = [_mean(done, name) for name in ("input_tokens", "output_tokens")]
    return Sample(
        record, flat(record), latencies, prompts.to_numpy().astype(np.str_),
        _rates(record, frame, spans, targets, latencies["latency_s"]), (means[0], means[1]),
        inside.height - done.height, bool(spans), tuple(sorted(one.text() for one in targets)),
    )  # fmt: skip


def _table(record: Record, name: str, needed: tuple[str, ...], used: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    file = record.path / f"{name}.parquet"
    if not file.is_file():
        raise BadInput("is missing from the record", field="run", file=file)
    try:
        lazy = pl.scan_parquet(file, glob=False)
        there = lazy.collect_schema().names()
        if absent := [one for one in needed if one not in there]:
            raise BadInput("a column is missing", field=absent[0], allowed=", ".join(needed), file=file)
        return lazy.select(one for one in used if one in there).collect()
    except (pl.exceptions.PolarsError, OSError):
        raise BadInput("cannot be read as Parquet", field="run", file=file) from None


def _floats(frame: pl.DataFrame, name: str) -> Floats:
    import polars as pl

    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _mean(frame: pl.DataFrame, name: str) -> float | None:
    values = _floats(frame, name)
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _spans(record: Record) -> Spans:
    """From where to where the run was steady, in seconds of its clock; empty where it was not, or does not say."""
    if record.document.get("kind") == "simulated":
        steady = mapping(mapping(record.document.get("outcome")).get("steady"))
        told: Any = [[steady.get("from_s"), steady.get("to_s")]]
    else:
        window = mapping(mapping(record.document.get("metrics")).get("window"))
        told = window.get("spans_s") if window.get("kind") == "steady" else []
    pairs = [one for one in told if isinstance(one, list) and len(one) == 2] if isinstance(told, list) else []
    known = [(a, b) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float) and a < b]
    # a simulated window holds the request that is sent at its end
    last = np.inf if record.document.get("kind") == "simulated" else -np.inf
    return [(float(a), float(np.nextafter(b, last)) if last > 0 else float(b)) for a, b in known]


def _within(times: Floats, spans: Spans) -> NDArray[np.bool_]:
    found = np.zeros(times.size, np.bool_)
    for begin, end in spans:
        found |= (times >= begin) & (times < end)
    return found


def _targets(document: Mapping[str, Any]) -> tuple[ServiceTarget, ...]:
    """Targets of goodput, which every request is held to."""
    told = (
        mapping(document.get("workload")).get("slo") or mapping(document.get("load")).get("slo") or document.get("slo")
    )
    texts = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    try:
        found = parse_targets(texts) if texts else ()
    except BadInput:
        return ()
    return tuple(one for one in found if f"{one.metric}_s" in LATENCIES)


# Rates


def _rates(
    record: Record, frame: pl.DataFrame, spans: Spans, targets: tuple[ServiceTarget, ...], latency: Floats
) -> dict[str, Rate]:
    first, finish, clock = (_floats(frame, name) for name in ("first_token_s", "finish_s", "clock_s"))
    if not np.isfinite(finish).any() or not np.isfinite(latency).any():
        return {}
    spans = spans or [(float(clock.min()), float(np.nanmax(finish)))]
    tokens, weights = _tokens(frame, first, finish)
    counted = {"output_tokens_per_s": [(tokens, weights)]}
    counted["total_tokens_per_s"] = [(tokens, weights), (first, np.nan_to_num(_floats(frame, "input_tokens")))]
    if targets:
        counted["goodput_per_s"] = [(clock[(kept := _good(frame, targets))], np.ones(int(kept.sum())))]
    begin, end = max(spans, key=lambda one: one[1] - one[0])
    # batches shorter than a request would depend on each other
    many = min(int((end - begin) / float(np.nanmedian(latency))), BATCHES)
    edges = np.linspace(begin, end, many + 1) if many >= FEWEST_BATCHES else None
    seconds = sum(b - a for a, b in spans)
    rates = {}
    for name, parts in counted.items():
        whole = sum(float(weights[_within(times, spans)].sum()) for times, weights in parts)
        each = None if edges is None else sum(np.histogram(t, edges, weights=w)[0] for t, w in parts) / np.diff(edges)
        rates[name] = Rate(whole / seconds, each)
    per_joule = flat(record)["tokens_per_joule"]
    if per_joule is not None:
        joules, made = None if edges is None else _joules(record, edges), rates["output_tokens_per_s"].batches
        # the record knows which devices count; only how it varies comes from the table
        each = None if joules is None or made is None else per_joule * (made / joules) * (joules.sum() / made.sum())
        rates["tokens_per_joule"] = Rate(per_joule, each)
    return rates


def _good(frame: pl.DataFrame, targets: tuple[ServiceTarget, ...]) -> NDArray[np.bool_]:
    """Requests that kept every target; one without a gap between tokens has none that is too long."""
    kept = (frame["status"] == "done").to_numpy().copy()
    for one in targets:
        values = _floats(frame, f"{one.metric}_s")
        kept &= np.asarray(one.met(values), np.bool_) | (np.isnan(values) if one.metric == "itl" else False)
    return kept


def _tokens(frame: pl.DataFrame, first: Floats, finish: Floats) -> tuple[Floats, Floats]:
    """When output tokens came, and how many each time stands for.

    Where the times are of events they share the request's tokens; where none are kept they are spread evenly.
    """
    import polars as pl

    output = np.nan_to_num(_floats(frame, "output_tokens"))
    if "token_s" in frame.columns and frame["token_s"].dtype.base_type() == pl.List:
        many = frame["token_s"].list.len().fill_null(0).to_numpy().astype(np.int64)
        times = frame["token_s"].filter(many > 0).explode().cast(pl.Float64).to_numpy()
        share = np.where(output > 0, output, many) / np.maximum(many, 1)
        return times, np.repeat(share, many)
    known = np.isfinite(first) & np.isfinite(finish) & (output > 0)
    place = np.arange(EVENLY) / (EVENLY - 1)
    times = first[known, None] + (finish - first)[known, None] * place
    return times.ravel(), np.repeat(output[known] / EVENLY, EVENLY)


def _joules(record: Record, edges: Floats) -> Floats | None:
    """Energy of all devices of the table between moments, None where readings do not span them."""
    if not (record.path / "power.parquet").is_file():
        return None
    columns = ("time_s", "device", "power_w")
    table = _table(record, "power", (), columns).drop_nulls()
    if set(table.columns) != set(columns) or not table.height:
        return None
    total = np.zeros(edges.size)
    for part in table.partition_by("device"):
        ordered = part.sort("time_s")
        times, power = ordered["time_s"].to_numpy(), ordered["power_w"].to_numpy()
        upto = np.concatenate([[0.0], np.cumsum(np.diff(times) * (power[1:] + power[:-1]) / 2)])
        total += np.interp(edges, times, upto)
    joules = np.diff(total)
    return joules if (joules > 0).all() else None


__all__ = ["RATES", "Rate", "Sample", "read_sample"]
