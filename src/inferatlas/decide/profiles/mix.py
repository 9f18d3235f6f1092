"""Which operating regimes a trace is made of, at a pace that users would have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.model import ModelConfig
from inferatlas.errors import BadInput
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.workload import ServiceTarget
from inferatlas.workload.traces import Trace, in_flight

# The pace at which requests are taken to run when no target says otherwise: MLPerf Inference v5.0, Llama-2-70B
# interactive, 450 ms to the first token and 40 ms per token after it (loadgen/mlperf.conf, at the 99th percentile).
TTFT_S, ITL_S = 0.450, 0.040
LONG = 32_768  # tokens from which the study (Sharma 2025, IV-A) speaks of long context
# Table IV of the study: the throughput machines reach their most at batches of 64 to 128, the others at 8 to 32
MANY = 64
LOADS = ("embedding", "long-context", "single-stream", "moderate-batch", "high-throughput")
KINDS = ("multi-model", "mixture-of-experts", "quantized")


def servable(trace: Trace, model: ModelConfig, file: str | Path) -> tuple[Trace, int]:
    """The requests that fit into a model's context, and how many do not: engines refuse those.

    Raises
    ------
    BadInput : fewer than two fit, or all of those came at one instant.
    """
    fits = trace.input_tokens + trace.output_tokens <= (model.context_length or np.inf)
    longer = int(np.count_nonzero(~fits))
    if not longer:
        return trace, 0
    times = trace.arrival_s[fits]
    if times.size < 2 or times[-1] == times[0]:
        raise BadInput(
            f"{longer:,} of {len(trace):,} requests exceed the context of {model.id}",
            field="trace", allowed=f"input and output up to {model.context_length:,} tokens", file=file,
        )  # fmt: skip
    return trace[fits], longer


def pace(targets: tuple[ServiceTarget, ...]) -> tuple[float, float]:
    """Seconds to the first token and per token after it: the tightest targets, else MLPerf's interactive ones."""
    bounds = {target.metric: target.bound for target in sorted(targets, key=lambda target: -target.bound)}
    return bounds.get("ttft", TTFT_S), bounds.get("itl", ITL_S)


def classify(trace: Trace, ttft_s: float, itl_s: float) -> NDArray[np.int64]:
    """The regime of each request, as an index into `LOADS`.

    One output token is an embedding; 32,768 tokens in all are long context; else it counts how many requests are under
    way when it arrives, itself included, at the pace given: fewer than two, up to 64, more.
    """
    flying = in_flight(trace, ttft_s, itl_s)
    longest = trace.input_tokens + trace.output_tokens
    by_load = np.where(flying < 2, 2, np.where(flying <= MANY, 3, 4))
    return np.where(trace.output_tokens <= 1, 0, np.where(longest >= LONG, 1, by_load))


def regime_shares(trace: Trace, model: ModelConfig, ttft_s: float, itl_s: float) -> dict[str, float]:
    """Share of requests in each regime.

    The first five exclude one another and add up to 1. The last three say to which share of the requests the regime
    applies as well: those that ask another model than the one before, and all of them for a mixture of experts and
    for a checkpoint of fewer than 16 bits.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> trace = Trace("x", np.array([0.0, 60.0, 120.0]), np.array([500, 40000, 600]), np.array([9, 10, 1]))
    >>> shares = regime_shares(trace, load_model("llama-3.1-8b"), TTFT_S, ITL_S)
    >>> {name: round(share, 2) for name, share in shares.items() if share}
    {'embedding': 0.33, 'long-context': 0.33, 'single-stream': 0.33}
    """
    kinds = np.bincount(classify(trace, ttft_s, itl_s), minlength=len(LOADS)) / len(trace)
    switches = 0.0 if trace.model_index is None else float(np.mean(np.diff(trace.model_index) != 0))
    return dict(zip(LOADS, kinds.tolist(), strict=True)) | {
        "multi-model": switches,
        "mixture-of-experts": float(model.has_experts),
        "quantized": float(FORMATS[model.checkpoint_weights].bits < 16),
    }
