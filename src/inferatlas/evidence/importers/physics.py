"""What no measurement can beat: peak compute, weights read once per step, and a point's own sums.

The bounds are the roofline's (Williams et al., CACM 52(4) 2009; section 5 of the performance model) without any
efficiency: all accelerators at their dense peak and full memory bandwidth, the fewest bytes and operations that the
model's shapes allow. A point beyond them is wrong, whatever the engine. 2 % are allowed for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import models
from inferatlas.errors import NotModelled
from inferatlas.evidence.importers import names
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.precision import FORMATS

ROUNDING = 1.02
LITTLE = 1.1  # requests that are counted on one side of the window only
LARGEST_ITL_S, LARGEST_TTFT_S = 5.0, 1000.0
POWER_FACTOR = 20.0  # milliwatts are a thousand times a rating, no fault is twenty
_PEAK_BITS = {"fp32": 32, "bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "blockfp8": 8, "fp6": 6, "fp4": 4, "int4": 4}
_COLUMNS = (
    "accelerators", "concurrency", "input_tokens", "output_tokens", "ttft_s", "itl_s", "latency_s",
    "output_tokens_per_s", "power_w",
)  # fmt: skip
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a row cannot be: ``kind`` is broken_physics or unit; ``factor`` by how much the bound is passed."""

    kind: str
    text: str
    factor: float

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Bounds:
    """One model on one accelerator at one precision, NaN where unknown.

    ``flop_s``: dense peak per accelerator; ``bytes_s``: main memory, ``fast_bytes_s`` a faster level if it holds
    ``fast_bytes``; ``token_flop``, ``prompt_flop``: operations per output and per prompt token; ``step_bytes``:
    weights that every decode step reads; ``rated_w``: power rating.
    """

    flop_s: float
    bytes_s: float
    fast_bytes: float
    fast_bytes_s: float
    token_flop: float
    prompt_flop: float
    step_bytes: float
    rated_w: float


def broken(frame: pl.DataFrame) -> list[str | None]:
    """Per row of an evidence table, why it is impossible, or None; see `judge` for kind and factor.

    Rows whose model or accelerator the catalogue does not hold are judged by their own sums only; what is empty is
    not judged; an unknown precision is taken as the fastest.

    Examples
    --------
    >>> row = {"model": "llama-3.1-8b", "accelerator": "nvidia-h100-sxm", "accelerators": 1.0, "weights": "bf16"}
    >>> broken(pl.DataFrame([row | {"itl_s": 0.0071}, row | {"itl_s": 0.0000071}]))[0] is None
    True
    >>> broken(pl.DataFrame([row | {"itl_s": 0.0000071}]))[0]
    'itl_s: 619x faster than reading the active weights once at peak memory bandwidth; was a unit converted twice?'
    """
    return [None if found is None else found.text for found in judge(frame)]


def judge(frame: pl.DataFrame) -> list[Broken | None]:
    """As `broken`, with kind and factor; of several bounds passed, the text names all and the factor is the largest."""
    if frame.height == 0:
        return []
    value = {name: _numbers(frame, name) for name in _COLUMNS}
    bound = _bounds_of(frame)
    n = np.where(value["accelerators"] > 0, value["accelerators"], np.nan)
    found: list[tuple[str, str, Floats]] = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        peak = bound["flop_s"] * n
        fast = bound["fast_bytes"] * n >= bound["step_bytes"]
        bandwidth = np.where(fast, bound["fast_bytes_s"], bound["bytes_s"]) * n
        # a step of speculative decoding yields several tokens for one reading of the weights
        floor = np.where(_speculative(frame), np.nan, bound["step_bytes"] / bandwidth)
        found += [
            (
                "broken_physics",
                "output_tokens_per_s: {} the peak compute of all accelerators",
                value["output_tokens_per_s"] * bound["token_flop"] / peak / ROUNDING,
            ),
            (
                "broken_physics",
                "itl_s: {} faster than reading the active weights once at peak memory bandwidth",
                floor / value["itl_s"] / ROUNDING,
            ),
            (
                "broken_physics",
                "latency_s: {} faster than reading the active weights once per token at peak memory bandwidth",
                floor * value["output_tokens"] / value["latency_s"] / ROUNDING,
            ),
            (
                "broken_physics",
                "ttft_s: {} faster than the prompt at the peak compute of all accelerators (cached prompts?)",
                value["input_tokens"] * bound["prompt_flop"] / peak / value["ttft_s"] / ROUNDING,
            ),
            (
                "broken_physics",
                "ttft_s: {} the whole latency of its request",
                value["ttft_s"] / value["latency_s"] / ROUNDING,
            ),
            (
                "broken_physics",
                "output_tokens_per_s: {} what its concurrency and latency allow (Little's law)",
                np.where(
                    _closed(frame),
                    value["output_tokens_per_s"]
                    * value["latency_s"]
                    / (value["concurrency"] * value["output_tokens"])
                    / LITTLE,
                    np.nan,
                ),
            ),
            ("unit", "itl_s: {} the 5 s a token may take; milliseconds?", value["itl_s"] / LARGEST_ITL_S),
            ("unit", "ttft_s: {} the 1000 s a first token may take; milliseconds?", value["ttft_s"] / LARGEST_TTFT_S),
            (
                "unit",
                "power_w: {} twenty times the rating of all accelerators; milliwatts?",
                value["power_w"] / (bound["rated_w"] * n * POWER_FACTOR),
            ),
        ]
    return _told(found, frame.height)


def _told(found: Sequence[tuple[str, str, Floats]], height: int) -> list[Broken | None]:
    told: list[Broken | None] = [None] * height
    for kind, words, factor in found:
        for row in np.flatnonzero(factor > 1.0):
            passed = float(factor[row])
            size = f"{passed:.2f}x" if passed < 10 else f"{passed:.0f}x"
            text = words.format(size) + ("; was a unit converted twice?" if _twice(kind, words, passed) else "")
            old = told[row]
            if old is None:
                told[row] = Broken(kind, text, passed)
            else:
                worse = "unit" if "unit" in (kind, old.kind) else kind
                told[row] = Broken(worse, f"{old.text}; {text}", max(passed, old.factor))
    return told


def _twice(kind: str, words: str, factor: float) -> bool:
    return kind == "broken_physics" and "faster than" in words and factor > 20


def _numbers(frame: pl.DataFrame, name: str) -> Floats:
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    values = frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.where(values > 0, values, np.nan)  # 0 means not measured


def _texts(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [""] * frame.height, dtype=pl.String)
    return frame[name].cast(pl.String).fill_null("").alias(name)


def _closed(frame: pl.DataFrame) -> NDArray[np.bool_]:
    return _texts(frame, "load").is_in(["static_batch", "closed_loop"]).to_numpy()


def _speculative(frame: pl.DataFrame) -> NDArray[np.bool_]:
    return _texts(frame, "notes").str.contains("(?i)speculative").to_numpy()


def _bounds_of(frame: pl.DataFrame) -> dict[str, Floats]:
    """The bounds of every row: looked up once per kind of row, then spread."""
    keys = [_texts(frame, name) for name in ("model", "accelerator", "weights", "activations")]
    table = pl.DataFrame(keys).with_columns(pl.struct(pl.all()).rank("dense").cast(pl.Int64).alias("kind"))
    kinds = table.unique("kind").sort("kind").drop("kind").rows()
    index = table["kind"].to_numpy() - 1
    each = [bounds(*kind) for kind in kinds]
    return {
        name: np.array([getattr(one, name) for one in each], dtype=np.float64)[index]
        for name in Bounds.__dataclass_fields__
    }


@lru_cache(maxsize=4096)
def bounds(model: str, accelerator: str, weights: str = "", activations: str = "") -> Bounds:
    """The bounds of one model on one accelerator at one precision (empty where unknown)."""
    nan = math.nan
    token_flop = prompt_flop = read = nan
    named = names.model(model)
    if named.known:
        try:
            parameters = count(models()[named.slug])
        except NotModelled:
            pass
        else:
            active = parameters.active_without_embedding
            head = parameters.lm_head or parameters.embedding
            token_flop, prompt_flop = 2.0 * active, 2.0 * (active - head)
            lightest = min(one.bytes for one in FORMATS.values())
            read = active * (FORMATS[weights].bytes if weights in FORMATS else lightest)
    printed = names.accelerator(accelerator)
    try:
        part = device(load_accelerator(printed.slug)) if printed.known else None
    except NotModelled:
        part = None
    if part is None:
        return Bounds(nan, nan, nan, nan, token_flop, prompt_flop, read, nan)
    main = part.memory.bytes_per_s or nan
    faster = [t for t in part.tiers if t.bytes_per_s and t.bytes_per_s > main]
    best = max(faster, key=lambda t: t.bytes, default=None)
    return Bounds(
        flop_s=_peak(part.peaks, activations if activations in FORMATS else weights),
        bytes_s=main,
        fast_bytes=best.bytes if best else nan,
        fast_bytes_s=best.bytes_per_s or nan if best else nan,
        token_flop=token_flop,
        prompt_flop=prompt_flop,
        step_bytes=read,
        rated_w=part.power.rated_w or nan,
    )


def _peak(peaks: dict[str, float], operands: str) -> float:
    """The fastest rate at the operands' width, or at the next wider one that the part has; unknown: the fastest."""
    if operands not in FORMATS:
        return max(peaks.values())
    narrowest = FORMATS[operands].bits
    widths = sorted({_PEAK_BITS[name] for name in peaks if _PEAK_BITS[name] >= narrowest})
    # wider operands are not slower by law: some parts multiply fp16 faster than they do fp8
    return max((rate for name, rate in peaks.items() if widths and _PEAK_BITS[name] >= widths[0]), default=math.nan)
