"""Design points per second on one core, with the full operator model, and bytes of memory per point.

Two jobs: *prefill + decode* is the memory check and both step times; *whole answers* adds mixed steps,
TTFT, ITL, latency, throughput, power and their intervals. Points are drawn at random from the legal
layouts of ten accelerators, loads and lengths, so no two neighbours share anything. Bars for prefill +
decode: 1,000,000 points/s, below 200 bytes a point.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core: no threads in any library

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from functools import partial

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping.layouts import enumerate_layouts
from inferatlas.predict.performance.budget import memory_budget
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, make_points
from inferatlas.predict.performance.predictor import CHUNK_BYTES, collectives_in_use, predict
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.step import run
from inferatlas.predict.platforms import bind

ACCELERATORS = ("nvidia-h100-sxm", "nvidia-h200-sxm", "nvidia-a100-80gb-sxm", "nvidia-b200-sxm", "amd-mi300x",
                "amd-mi355x", "google-tpu-v6e", "intel-gaudi-3", "aws-trainium-2", "nvidia-l40s")  # fmt: skip


def draw(ops: Operators, platforms: list[Platform], n: int, seed: int = 0) -> Points:
    """n points in random order: legal layouts of up to 16 accelerators, random loads and lengths."""
    rng = np.random.default_rng(seed)
    found = [enumerate_layouts(ops, p.device, 16) for p in platforms]
    owner = np.repeat(np.arange(len(found)), [len(f) for f in found])
    pick = rng.integers(0, owner.size, n)
    layout = {name: np.concatenate([getattr(f, name) for f in found])[pick] for name in ("tp", "pp", "ep", "dp")}
    return make_points(
        owner[pick],
        **layout,
        concurrency=rng.integers(1, 512, n),
        input_tokens=rng.integers(64, 16384, n),
        output_tokens=rng.integers(16, 4096, n),
    )


def prefill_and_decode(ops: Operators, table: PlatformTable, points: Points, dtype: type[np.floating]) -> np.ndarray:
    """Memory check, prefill time and decode step time of every point, with the full operator model."""
    table = table.astype(dtype)
    collectives = collectives_in_use(ops, table, points, False).astype(dtype)
    chunk = CHUNK_BYTES // np.dtype(dtype).itemsize
    out = np.empty((3, len(points)), dtype=dtype)
    for start in range(0, len(points), chunk):
        part = points[start : start + chunk]
        row = table.rows(part.platform)
        shard = shard_of(row, part)
        prepared = prepare(ops, row, shard, collectives)
        tokens = part.input_tokens.astype(dtype)
        batch = np.maximum(part.concurrency.astype(dtype) / (part.dp.astype(dtype) * shard.stages_f), 1.0)
        zero = np.zeros_like(tokens)
        out[0, start : start + chunk] = memory_budget(ops, row, shard, part, False).sequences
        out[1, start : start + chunk] = run(prepared, prefill=tokens, cached=zero, decode=zero, context=zero).total
        out[2, start : start + chunk] = run(prepared, prefill=None, cached=None, decode=batch, context=tokens).total
    return out


def rates(n: int, runs: int, work: Callable[[], object]) -> list[float]:
    """Points per CPU second of several runs, sorted."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        work()
        found.append(n / (time.process_time() - start))
    return sorted(found)


def main(n: int = 1_000_000, runs: int = 5) -> None:
    for name in ("llama-3.1-8b", "qwen3-30b-a3b"):
        ops = operators(load_model(name))
        platforms = [bind(a) for a in ACCELERATORS]
        table = platform_table(platforms, is_moe=bool(ops.experts))
        points = draw(ops, platforms, n)
        inputs = sum(getattr(points, f.name).nbytes for f in fields(points))
        for dtype in (np.float64, np.float32):
            jobs = {
                "prefill + decode": partial(prefill_and_decode, ops, table, points, dtype),
                "whole answers": partial(predict, ops, table, points, checked=True, dtype=dtype),
            }
            for what, work in jobs.items():
                tracemalloc.start()
                held = work()  # warms up, too
                peak = tracemalloc.get_traced_memory()[1] + inputs
                tracemalloc.stop()
                del held
                speed = rates(n, runs, work)
                print(
                    f"{name:14s} {dtype.__name__} {what:16s}: median {speed[runs // 2] / 1e6:.2f} M points/s of CPU "
                    f"(worst {speed[0] / 1e6:.2f}, best {speed[-1] / 1e6:.2f}); peak {peak / n:.0f} bytes a point"
                )


if __name__ == "__main__":
    main()
