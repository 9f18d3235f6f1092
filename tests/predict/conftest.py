"""What the tests of the performance model share: machines without losses, and one step by hand."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.predict.hardware.device import Device, MemoryTier
from inferatlas.predict.hardware.power import Power
from inferatlas.predict.llm.experts import zipf_popularity
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.parts import Parts
from inferatlas.predict.performance.platform import EngineSettings, Platform, make_platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import collectives_in_use, shard_of
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.step import run

Step = Callable[..., Parts]


@lru_cache
def _operators(model: str) -> Operators:
    return operators(load_model(model))


def _device(
    peak: float = 1e15, bandwidth: float = 3e12, capacity: float = 1e13, link: float = 450e9, **other: Any
) -> Device:
    tier = MemoryTier("hbm", capacity, bandwidth)
    fields: dict[str, Any] = {
        "id": "synthetic", "name": "synthetic", "vendor": "none", "style": "kernel", "topology": "switch",
        "architectural_class": "gpu", "engine_devices": 1, "peaks": {"bf16": peak}, "memory": tier, "tiers": (tier,),
        "link_bytes_per_s": link, "scale_out_bytes_per_s": None, "behind": (), "domain": 64, "node": 8,
        "power": Power(700.0, 70.0, "chip or module", "power.tdp"), "max_batch": None, "compiled_batches": False,
        "support": {"vllm": "official"}, "sdk": None,
    }  # fmt: skip
    return Device(**(fields | other))


def _lossless(device: Device, precision: Precision | None = None, **settings: Any) -> Platform:
    """Efficiencies 1 and no overhead of any kind: what remains is physics."""
    precision = precision or Precision("bf16", "bf16", "bf16")
    engine = EngineSettings("vllm", 1.0, **({"block_tokens": 1, "max_sequences": 10**6} | settings))
    platform = make_platform(device, engine, precision, calibration=NOTHING)
    zero = dict.fromkeys(
        (
            "kernel_s", "prefill_kernel_s", "layer_s", "routing_s", "sequence_s", "step_s", "request_s",
            "prompt_token_s", "grouping", "straggling", "reserve_bytes",
        ), 0.0
    )  # fmt: skip
    one = dict.fromkeys(
        (
            "compute_efficiency", "memory_efficiency", "cache_efficiency", "expert_efficiency", "grouped_efficiency",
            "attention_efficiency", "imbalance", "interference", "accepted", "room", "network_scale",
            "network_byte_scale", "memory_fraction",
        ), 1.0
    )  # fmt: skip
    coefficients = replace(platform.coefficients, **zero, **one)
    network = replace(platform.network, base_s=0.0, step_s=0.0, efficiency=1.0, scale_out_s=0.0)
    return replace(platform, coefficients=coefficients, network=network)


def _run(
    ops: Operators, table: PlatformTable, *, tp: int = 1, pp: int = 1, ep: int = 1, dp: int = 1, cp: int = 1,
    prefill: float = 0.0, cached: float = 0.0, decode: float = 0.0, context: float = 0.0, sink: Any = None,
) -> Parts:  # fmt: skip
    points = make_points(0, tp=tp, pp=pp, ep=ep, dp=dp, cp=cp, concurrency=1, input_tokens=1, output_tokens=1)
    row = table.rows(points.platform)
    load = {"prefill": prefill, "cached": cached, "decode": decode, "context": context}
    prepared = prepare(ops, row, shard_of(row, points), collectives_in_use(ops, table, points, False))
    return run(prepared, sink=sink, **{name: np.array([float(value)]) for name, value in load.items()})


@lru_cache
def _routed(experts: int, top_k: int, zipf: float, tokens: int) -> tuple[float, float, float]:
    """Mean distinct experts, mean of max/mean load over 8 devices, and CoV of the largest load, simulated.

    Each token takes the top k of log-popularity plus Gumbel noise: k draws without replacement.
    """
    rng = np.random.default_rng(experts + tokens)
    trials = max(60, min(4000, 3_000_000 // (tokens * experts)))
    scores = rng.gumbel(size=(trials, tokens, experts)).astype(np.float32)
    scores += np.log(zipf_popularity(experts, zipf)).astype(np.float32)
    chosen = np.argpartition(scores, experts - top_k, axis=2)[:, :, experts - top_k :]
    flat = chosen.reshape(trials, -1) + experts * np.arange(trials)[:, None]
    visits = np.bincount(flat.ravel(), minlength=trials * experts).reshape(trials, experts)
    loads = visits.reshape(trials, 8, -1).sum(axis=2)
    largest = loads.max(axis=1)
    return (
        float((visits > 0).sum(axis=1).mean()),
        float(largest.mean() / loads.mean()),
        float(largest.std() / largest.mean()),
    )


@pytest.fixture(scope="session")
def ops_of() -> Callable[[str], Operators]:
    """Operators of a catalogue model."""
    return _operators


@pytest.fixture(scope="session")
def make_device() -> Callable[..., Device]:
    """A synthetic device: peak FLOP/s, memory bandwidth, capacity, link, any other field by name."""
    return _device


@pytest.fixture(scope="session")
def lossless() -> Callable[..., Platform]:
    return _lossless


@pytest.fixture(scope="session")
def run_step() -> Step:
    """`step.run` for one point: ``run_step(ops, table, tp=…, prefill=…, cached=…, decode=…, context=…)``."""
    return _run


@pytest.fixture(scope="session")
def counting() -> PlatformTable:
    """A platform that takes one second per FLOP and one per byte: a step's ``flop_s`` and ``byte_s`` are counts."""
    table = platform_table([_lossless(_device())])
    one = np.ones(1)
    return replace(table, flop_s=one, flop_s_wide=one, byte_s=one, cache_byte_s=one, expert_byte_s=one)


@pytest.fixture(scope="session")
def weights_only(counting: PlatformTable) -> PlatformTable:
    """The same, with activations that weigh nothing: ``byte_s`` is weights and KV cache."""
    return replace(counting, bytes_a=np.zeros(1))


@pytest.fixture(scope="session")
def routed() -> Callable[[int, int, float, int], tuple[float, float, float]]:
    """Simulated routing of (experts, top k, Zipf exponent, tokens), remembered: see `_routed`."""
    return _routed
