"""Rows of the evidence table as questions to the predictor, or the reason why a row is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.engines import engine_ids, load_engine
from inferatlas.catalogue.models import load_model
from inferatlas.errors import InferAtlasError, UnknownName
from inferatlas.evidence.sources import about, era_of, harness
from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Ints
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.precision import FORMATS, SIXTEEN_BIT
from inferatlas.predict.performance.calibrated import Calibration, current
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.points import OFFLINE, Points, make_points
from inferatlas.predict.platforms import bind, supported_engines

KEYS = ("model", "accelerator", "engine", "version", "weights", "activations", "kv_cache", "source")
LOADS = ("closed_loop", "saturated", "static_batch", "offline", "per_user", "poisson")
OPEN = "poisson"
# Where a table gives the pace of tokens and no length, a short chat is assumed: it moves that pace little.
SHORT = 128.0


@dataclass(frozen=True)
class Asked:
    """Questions of one model: ``rows`` are row numbers of the frame, points index ``platforms``."""

    ops: Operators
    platforms: tuple[Platform, ...]
    first_entry: int
    points: Points
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class Questions:
    """``frame`` holds the rows that are questions; ``skipped`` counts the others by reason.

    An *entry* is one model on one platform as one source measured it: ``entry`` of each row, ``entries`` by `KEYS`.
    ``drawn``: rows whose source draws lengths below the nominal ones and derives its other figures from those.
    """

    frame: pl.DataFrame
    asked: tuple[Asked, ...]
    entry: NDArray[np.intp]
    drawn: NDArray[np.bool_]
    entries: tuple[dict[str, str], ...]
    skipped: dict[str, int]


def questions(frame: pl.DataFrame, calibration: Calibration | None = None) -> Questions:
    """Turn rows into questions.

    What a row does not state gets the documented default (layout: all accelerators in one tensor-parallel group;
    formats: those of checkpoint and engine) and what `sources.yaml` knows of its source; rows that cannot be asked
    are counted by reason. ``calibration``: the one in use unless given.
    """
    learned = current() if calibration is None else calibration
    paced = _paced()
    frame = frame.with_columns(
        *_lengths(frame, paced),
        _cards(frame),
        *(pl.when(~paced).then(pl.col(name)).alias(name) for name in ("output_tokens_per_s", "total_tokens_per_s")),
        pl.when(_of_batch(frame)).then(pl.col("ttft_s")).alias("ttft_s"),
        _rate=pl.when(_open()).then(pl.col("output_tokens_per_s") / pl.col("output_tokens")),
    )
    frame = frame.with_columns(_reason=_unanswerable())
    skipped: Counter[str] = Counter(reason for reason in frame["_reason"] if reason is not None)
    given = pl.when(pl.col("_rate").is_null())  # what an open loop sends is what comes out: no prediction of ours
    frame = frame.filter(pl.col("_reason").is_null()).with_columns(
        *(given.then(pl.col(name)).alias(name) for name in ("output_tokens_per_s", "total_tokens_per_s"))
    )
    keys = frame.select(pl.col("engine_version" if key == "version" else key).fill_null("").alias(key) for key in KEYS)
    unique = keys.unique(maintain_order=True).with_row_index("_entry")
    entry = keys.join(unique, on=KEYS, how="left", maintain_order="left")["_entry"].to_numpy().astype(np.intp)
    named = list(unique.drop("_entry").iter_rows(named=True))
    bound = [_bound(**row, calibration=learned) for row in named]
    skipped.update(text for e in entry if isinstance(text := bound[e], str))
    keep = np.array([not isinstance(b, str) for b in bound], dtype=bool)[entry]
    frame, entry = frame.filter(pl.Series(keep)), entry[keep]
    by_model: dict[str, list[tuple[int, Operators, Platform]]] = {}
    for e, b in enumerate(bound):
        if not isinstance(b, str):
            by_model.setdefault(b[0].model.id, []).append((e, *b))
    layout, place, entries = _layouts(frame), np.full(len(bound), -1), []
    asked: list[Asked] = []
    for members in by_model.values():
        first, ops = len(entries), members[0][1]
        for e, _, _ in members:
            place[e] = len(entries)
            entries.append(named[e])
        rows = np.flatnonzero(np.isin(entry, [e for e, _, _ in members]))
        points = _points(frame, rows, place[entry[rows]] - first, layout, ops)
        asked.append(Asked(ops, tuple(p for _, _, p in members), first, points, rows))
    return Questions(
        frame.drop("_rate", "_reason"), tuple(asked), place[entry], _drawn(frame), tuple(entries), dict(skipped)
    )


@lru_cache(maxsize=512)
def _operators(model: str) -> Operators:
    return operators(load_model(model))


@lru_cache(maxsize=4096)
def engine_behind(printed: str | None, accelerator: str) -> str | None:
    """The catalogue's engine behind a printed name ("vLLM (tt-metal fork)"); None: the accelerator's own stack."""
    text = (printed or "").lower()
    if text:
        try:
            return load_engine(text).id
        except UnknownName:
            pass
    usable = supported_engines(load_accelerator(accelerator))
    return next((name for name in engine_ids() if name in text and name in usable), None)


def _bound(
    model: str, accelerator: str, engine: str, version: str, weights: str, activations: str, kv_cache: str,
    source: str, calibration: Calibration,
) -> tuple[Operators, Platform] | str:  # fmt: skip
    """Operators and platform of an entry, or the reason why it is no question."""
    try:
        ops = _operators(model)
        name = engine_behind(engine, accelerator)
        part = device(load_accelerator(accelerator))
        formats = [format_behind(weights), format_behind(activations), format_behind(kv_cache)]
        if formats[1] and FORMATS[formats[1]].rate not in part.peaks:
            formats[1] = ""  # printed by the source, but not what this part computes with
        if not formats[0] and ops.model.checkpoint_weights not in SIXTEEN_BIT:
            formats[0] = ops.model.checkpoint_weights  # what an engine loads unless told otherwise
        return ops, bind(
            accelerator, name, *(x or None for x in formats), era=era_of(name or "", version, source),
            model=ops.model.id, version=version or None, source=harness(source),
            drafted=ops.model.id in about(source).get("speculative", ()), proven=True, calibration=calibration,
        )  # fmt: skip
    except UnknownName as problem:
        return problem.message
    except InferAtlasError as problem:
        return f"not predicted: {problem.message}"


def format_behind(printed: str) -> str:
    """The format behind a printed one; empty where it is none, and the engine's default answers.

    Block floating point in 4 and 8 bits mixed is taken as the 8-bit one.
    """
    text = printed.lower()
    if text.startswith(("bfp", "blockfp")):
        text = "blockfp8"
    return text if text in FORMATS else ""


def _unanswerable() -> pl.Expr:
    """The reason why a row cannot be asked, null where it can."""
    empty = lambda c: pl.col(c).fill_null("") == ""  # noqa: E731
    load, count = pl.col("load"), pl.col("tp").fill_null(1).clip(1) * pl.col("pp").fill_null(1).clip(1)
    pools = pl.col("notes").fill_null("").str.contains(r"^(disagg|\dP\dD )")
    reasons = [
        (empty("model"), "no model"),
        (empty("accelerator"), "no accelerator"),
        (~pl.any_horizontal(pl.col(m).is_not_null() for m in METRICS), "no measured figure"),
        (pools, "disaggregated: two pools, one layout column"),
        (pl.col("accelerators").is_null(), "no accelerator count"),
        (load.is_not_null() & ~load.is_in(LOADS), f"a load that is none of {', '.join(LOADS)}"),
        (_open() & ~(pl.col("_rate") > 0).fill_null(False), "an open loop without throughput: its rate is unknown"),
        (pl.col("concurrency").is_null() & ~_open() & (load.fill_null("") != "offline"), "no concurrency"),
        (pl.col("input_tokens").is_null(), "no input length"),
        (pl.col("output_tokens").is_null(), "no output length"),
        (~((pl.col("input_tokens") >= 1) & (pl.col("output_tokens") >= 1)), "a length below 1 token"),
        (~(pl.col("concurrency").fill_null(1) > 0) & ~_open(), "a concurrency of 0 or less"),
        ((pl.col("accelerators") % 1 != 0) | (pl.col("accelerators") < 1), "accelerators are no whole number"),
        (pl.col("accelerators") % count != 0, "tp and pp do not divide the accelerators"),
    ]  # fmt: skip
    return pl.coalesce(pl.when(condition).then(pl.lit(text)) for condition, text in reasons)


def _open() -> pl.Expr:
    return pl.col("load").fill_null("") == OPEN


def _paced() -> pl.Expr:
    """Rows that give the pace of tokens and not how many: what they call a throughput leaves the prompt out."""
    pace = pl.col("itl_s").is_not_null() & pl.col("latency_s").is_null()
    return pl.col("output_tokens").is_null() & (pace | (pl.col("load").fill_null("") == "per_user"))


def _of_batch(frame: pl.DataFrame) -> pl.Expr:
    """Rows whose first token, if they are of a static batch, is that of the whole batch."""
    whole = [about(source).get("ttft_of_batch", True) for source in frame["source"]]
    return pl.Series(whole, dtype=pl.Boolean) | (pl.col("load").fill_null("") != "static_batch")


def _lengths(frame: pl.DataFrame, paced: pl.Expr) -> list[pl.Expr]:
    """Published lengths and loads, else what is assumed for the source's task or for the pace of tokens."""
    task = frame["notes"].str.extract(r"task=([^;]+)", 1)
    assumed = [
        (known := about(source)).get("tasks", {}).get(t, known.get("input_tokens"))
        for source, t in zip(frame["source"], task, strict=True)
    ]
    one_user = pl.when(pl.col("load") == "per_user").then(SHORT)
    # a prompt measured alone yields its first token
    prompt = pl.when((pl.col("output_tokens") == 0) & pl.col("ttft_s").is_not_null()).then(1.0)
    return [
        pl.coalesce("input_tokens", pl.Series(assumed, dtype=pl.Float64), one_user).alias("input_tokens"),
        pl.coalesce(prompt, "output_tokens", pl.when(paced).then(SHORT)).alias("output_tokens"),
        pl.coalesce("concurrency", pl.when(pl.col("load") == "per_user").then(1.0)).alias("concurrency"),
    ]


def _cards(frame: pl.DataFrame) -> pl.Expr:
    """Accelerators as sold: tables that explain their systems in ``system_note`` count chips, two on some cards."""
    count = pl.col("accelerators")
    if "system_note" not in frame.columns:
        return count
    two = [name for name in frame["accelerator"].unique().drop_nulls() if _chips(name) == 2]
    chips = pl.col("accelerator").is_in(two) & (count % 2 == 0) & pl.col("system_note").str.contains("chips")
    return pl.when(chips).then(count / 2).otherwise(count).alias("accelerators")


@lru_cache(maxsize=256)
def _chips(accelerator: str) -> int:
    try:
        return load_accelerator(accelerator).devices_per_card
    except InferAtlasError:
        return 1


def _layouts(frame: pl.DataFrame) -> dict[str, Ints]:
    """tp, pp, ep, dp of every row; see `questions`."""
    count = frame["accelerators"].to_numpy()
    pp = np.maximum(frame["pp"].fill_null(1).to_numpy(), 1)
    tp = frame["tp"].fill_null(np.nan).to_numpy()
    tp = np.where(np.isnan(tp), np.maximum(count / pp, 1), np.maximum(tp, 1))
    dp = np.maximum(count / (tp * pp), 1)
    ep = np.maximum(frame["ep"].fill_null(1).to_numpy(), 1)
    return {name: value.astype(np.int32) for name, value in (("tp", tp), ("pp", pp), ("ep", ep), ("dp", dp))}


def _points(
    frame: pl.DataFrame, rows: NDArray[np.intp], platform: NDArray[np.intp], layout: dict[str, Ints], ops: Operators
) -> Points:
    part = frame[rows]
    known = [about(source) for source in part["source"]]
    rate = part["_rate"].fill_null(np.nan).to_numpy()
    held = part["concurrency"].fill_null(OFFLINE).to_numpy()
    length = np.array([k.get("length", 1.0) for k in known])
    spread = np.array([k.get("spread", 0.0) for k in known])
    at = {name: value[rows] for name, value in layout.items()}
    if not ops.experts:
        at["ep"] = np.ones_like(at["ep"])
    return make_points(
        platform, **at,
        concurrency=np.where(np.isnan(rate), held, np.nan),
        request_rate=rate,
        input_tokens=np.maximum(part["input_tokens"].to_numpy() * length, 1.0),
        output_tokens=np.maximum(part["output_tokens"].to_numpy() * length, 1.0),
        input_cv=spread, output_cv=spread, together=(part["load"].fill_null("") == "static_batch").to_numpy(),
    )  # fmt: skip


def _drawn(frame: pl.DataFrame) -> NDArray[np.bool_]:
    closed = (frame["load"].fill_null("closed_loop") == "closed_loop").to_numpy()
    return closed & np.array(["length" in about(source) for source in frame["source"]], dtype=bool)
