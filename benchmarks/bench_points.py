"""Design points per second on one core, with the full operator model, and bytes of memory per point.

A point is a whole answer: memory check, prefill, decode, mixed steps, TTFT, ITL, latency, throughput,
power and their intervals. Points are drawn at random from the legal layouts of ten accelerators, loads
and lengths, so no two neighbours share anything. Bars: 1,000,000 points/s, below 200 bytes a point.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core: no threads in any library

import time
import tracemalloc
from dataclasses import fields

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping.layouts import enumerate_layouts
from inferatlas.predict.performance.platform import Platform, platform_table
from inferatlas.predict.performance.points import Points, make_points
from inferatlas.predict.performance.predictor import predict
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


def main(n: int = 1_000_000, runs: int = 5) -> None:
    for name in ("llama-3.1-8b", "qwen3-30b-a3b"):
        ops = operators(load_model(name))
        platforms = [bind(a) for a in ACCELERATORS]
        table = platform_table(platforms, is_moe=bool(ops.experts))
        for dtype in (np.float64, np.float32):
            points = draw(ops, platforms, n)
            predict(ops, table, points[: n // 50], checked=True, dtype=dtype)  # warm up
            seconds = []
            for _ in range(runs):
                start = time.process_time()
                predictions = predict(ops, table, points, checked=True, dtype=dtype)
                seconds.append(time.process_time() - start)
            rates = sorted(n / s for s in seconds)
            tracemalloc.start()
            held = predict(ops, table, points, checked=True, dtype=dtype)
            inputs = sum(getattr(points, f.name).nbytes for f in fields(points))
            peak = tracemalloc.get_traced_memory()[1] + inputs
            tracemalloc.stop()
            print(
                f"{name:14s} {dtype.__name__}: median {rates[runs // 2] / 1e6:.2f} M points/s of CPU "
                f"(worst {rates[0] / 1e6:.2f}, best {rates[-1] / 1e6:.2f}); peak {peak / n:.0f} bytes a point; "
                f"{predictions.fits.mean():.0%} feasible, {len(held):,} points"
            )


if __name__ == "__main__":
    main()
