"""Design points in, predictions out: structs of arrays, one entry a point."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats

OFFLINE = 1e6  # requests in flight that no engine admits at once: the batch is what memory holds
BOUNDS = ("compute", "memory_bandwidth", "interconnect", "overhead", "memory_capacity")


@dataclass(frozen=True, slots=True)
class Points:
    """Questions as arrays of equal length (scalars are broadcast by `make_points`).

    ``platform`` indexes the platform table. Exactly one of ``concurrency`` (requests in flight over the
    deployment, closed loop) and ``request_rate`` (1/s over the deployment, Poisson) is a number, the
    other NaN. ``cp`` shards of the context per replica; ``offload``: share of the layers' weights that wait in
    slower memory and stream in at every step; ``kv_offload`` the same of the KV cache. ``prefix`` tokens at the
    start of every prompt are the same and computed before. ``together``: the requests of a closed loop start and end
    as one static batch. Lengths in tokens; ``input_cv`` and ``output_cv`` their coefficients of variation. ``clock``:
    of the cores, relative to that of the rates, equation (40).
    """

    platform: NDArray[np.int32]
    tp: NDArray[np.int32]
    pp: NDArray[np.int32]
    ep: NDArray[np.int32]
    dp: NDArray[np.int32]
    cp: NDArray[np.int32]
    offload: NDArray[np.float32]
    kv_offload: NDArray[np.float32]
    prefix: NDArray[np.float32]
    concurrency: Floats
    request_rate: Floats
    input_tokens: NDArray[np.float32]
    output_tokens: NDArray[np.float32]
    input_cv: NDArray[np.float32]
    output_cv: NDArray[np.float32]
    together: NDArray[np.bool_]
    clock: Floats

    def __len__(self) -> int:
        return len(self.platform)

    def __getitem__(self, index) -> Points:
        return Points(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def accelerators(self) -> NDArray[np.int32]:
        return self.tp * self.pp * self.dp * self.cp


def make_points(
    platform: ArrayLike, *, tp: ArrayLike = 1, pp: ArrayLike = 1, ep: ArrayLike = 1, dp: ArrayLike = 1,
    cp: ArrayLike = 1, offload: ArrayLike = 0.0, kv_offload: ArrayLike = 0.0, prefix: ArrayLike = 0.0,
    concurrency: ArrayLike = np.nan, request_rate: ArrayLike = np.nan,
    input_tokens: ArrayLike, output_tokens: ArrayLike, input_cv: ArrayLike = 0.0, output_cv: ArrayLike = 0.0,
    together: ArrayLike = False, clock: ArrayLike = 1.0,
) -> Points:  # fmt: skip
    """Broadcast to points and refuse what cannot be a question.

    Raises
    ------
    BadInput : a count below 1, a length below 1 or not finite, both or neither of concurrency and rate, a clock
    outside (0, 1].
    """
    given = {
        "platform": platform, "tp": tp, "pp": pp, "ep": ep, "dp": dp, "cp": cp, "offload": offload,
        "kv_offload": kv_offload, "prefix": prefix,
        "concurrency": concurrency, "request_rate": request_rate, "input_tokens": input_tokens,
        "output_tokens": output_tokens, "input_cv": input_cv, "output_cv": output_cv, "together": together,
        "clock": clock,
    }  # fmt: skip
    types = {"concurrency": np.float64, "request_rate": np.float64, "together": np.bool_, "clock": np.float64}
    types |= dict.fromkeys(("platform", "tp", "pp", "ep", "dp", "cp"), np.int32)
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value)) for value in given.values()))
    columns: dict[str, Any] = {
        n: np.ascontiguousarray(a, dtype=types.get(n, np.float32)) for n, a in zip(given, arrays, strict=True)
    }
    for name in ("tp", "pp", "ep", "dp", "cp", "input_tokens", "output_tokens"):
        if not (columns[name] >= 1).all() or not np.isfinite(columns[name]).all():
            raise BadInput("must be a finite number of at least 1", field=name, allowed=">= 1")
    for name, of in (("offload", "weights"), ("kv_offload", "KV cache")):
        if not ((columns[name] >= 0) & (columns[name] <= 1)).all():
            raise BadInput(f"is a share of the {of}", field=name, allowed="0 to 1")
    if not ((columns["prefix"] >= 0) & (columns["prefix"] < columns["input_tokens"])).all():
        raise BadInput("is no beginning of the prompt", field="prefix", allowed="0 to the input tokens less one")
    if not ((columns["clock"] > 0) & (columns["clock"] <= 1)).all():
        raise BadInput("is a share of the clock at which the rates hold", field="clock", allowed="above 0, up to 1")
    load = columns["concurrency"], columns["request_rate"]
    if (np.isnan(load[0]) == np.isnan(load[1])).any() or (columns["together"] & np.isnan(load[0])).any():
        raise BadInput("give exactly one of concurrency and request_rate", field="concurrency")
    for name, column in zip(("concurrency", "request_rate"), load, strict=True):
        if not (np.isnan(column) | ((column > 0) & np.isfinite(column))).all():
            raise BadInput("must be a finite number above 0", field=name, allowed="> 0")
    return Points(**columns)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers as arrays; NaN where a point is infeasible or a figure unknown, never 0.

    Values are means over requests. ``*_sigma``: standard deviation of the logarithm of the error;
    ``*_cv``: coefficient of variation over requests (the workload's own spread, not our error).
    ``itl_median_s`` is the median over all gaps. Throughput and power are of the whole deployment, ``power_w`` on
    average, ``active_w`` while kernels run. ``batch``: sequences in one step per replica.
    """

    ttft_s: Floats
    itl_s: Floats
    itl_median_s: Floats
    latency_s: Floats
    output_tokens_per_s: Floats
    power_w: Floats
    active_w: Floats
    ttft_sigma: NDArray[np.float32]
    itl_sigma: NDArray[np.float32]
    latency_sigma: NDArray[np.float32]
    rate_sigma: NDArray[np.float32]
    power_sigma: NDArray[np.float32]
    ttft_cv: NDArray[np.float32]
    itl_cv: NDArray[np.float32]
    latency_cv: NDArray[np.float32]
    batch: NDArray[np.float32]
    bound: NDArray[np.int8]
    reason: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.ttft_s)

    def __getitem__(self, index) -> Predictions:
        return Predictions(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def fits(self) -> NDArray[np.bool_]:
        return self.reason == 0


def empty_predictions(n: int, like: Any = None) -> Predictions:
    """Room for n answers; only ``reason`` is set (to 0), everything else is written by the predictor.

    ``like``: an array of the kind that numbers are to be held in, plain or with derivatives (`dual.Dual`).
    """
    doubles = {"ttft_s", "itl_s", "itl_median_s", "latency_s", "output_tokens_per_s", "power_w", "active_w"}
    columns: dict[str, Any] = {
        f.name: np.empty(n, dtype="f8" if f.name in doubles else "f4", like=like) for f in fields(Predictions)
    }
    columns |= {"bound": np.empty(n, dtype=np.int8), "reason": np.zeros(n, dtype=np.int8)}
    return Predictions(**columns)
