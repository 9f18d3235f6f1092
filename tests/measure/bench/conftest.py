"""Small run records of both kinds, as the harness and the simulator write them; servers to measure."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bench_fixtures import behind, bench, llama, mock, mock_program, served, tls  # noqa: F401

Measured = Callable[..., Path]


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """``measured("c4", requests=200, shift=1.05, seed=1)`` writes a closed loop of four users, and gives its folder."""

    def write(
        name: str, *, requests: int = 200, users: int | None = 4, seed: int = 0, shift: float = 1.0, cv: float = 0.3,
        prompts: bool = False, power: bool = False, steady: bool = True, **more: Any,
    ) -> Path:  # fmt: skip
        """``shift`` multiplies all times; ``prompts``: same prompts in every run; ``more``: keys of run.json."""
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        frame, end = _requests(requests, users, seed, shift, cv, prompts)
        frame.write_parquet(folder / "requests.parquet")
        events = {"time_s": [0.0], "kind": ["started"], "detail": [""]}
        pl.DataFrame(events).write_parquet(folder / "events.parquet")
        if power:
            times = np.arange(0.0, end + 0.2, 0.1)
            watts = 300 + np.random.default_rng(seed).normal(0, 5, times.size)
            pl.DataFrame({"time_s": times, "device": "nvml:0", "power_w": watts}).write_parquet(
                folder / "power.parquet"
            )
        (folder / "run.json").write_text(json.dumps(_document(frame, end, users, seed, power, steady) | more))
        return folder

    return write


def _requests(
    n: int, users: int | None, seed: int, shift: float, cv: float, prompts: bool
) -> tuple[pl.DataFrame, float]:
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(99).gamma(4, 0.25, n) if prompts else np.ones(n)  # what a prompt costs, in every run
    sigma = np.log1p(cv * cv) ** 0.5
    ttft = 0.2 * shift * hard * rng.lognormal(0, sigma, n)
    itl = 0.02 * shift * rng.lognormal(0, sigma, n)
    output = rng.integers(10, 31, n)
    latency = ttft + itl * (output - 1)
    if users is None:
        sent = np.cumsum(rng.exponential(0.1, n))
    else:
        sent = np.zeros(n)
        free = np.zeros(users)
        for i in range(n):
            user = int(np.argmin(free))
            sent[i] = free[user]
            free[user] += latency[i]
        order = np.argsort(sent, kind="stable")
        sent, ttft, itl, output, latency = (one[order] for one in (sent, ttft, itl, output, latency))
    first, finish = sent + ttft, sent + latency
    names = [f"{i if prompts else seed * 1_000_000 + i:016x}" for i in range(n)]
    frame = pl.DataFrame(
        {
            "id": np.arange(n), "due_s": sent if users is None else [None] * n, "sent_s": sent, "first_token_s": first,
            "finish_s": finish, "end_s": finish, "failed_s": [None] * n, "ttft_s": ttft, "latency_s": latency,
            "itl_s": itl, "input_tokens": np.full(n, 100), "output_tokens": output, "model": "tiny",
            "adapter": [None] * n, "status": "done", "reason": [None] * n, "prompt": names,
            "chunk_tokens": [[1] * o for o in output], "chunks": output,
            "token_s": [(f + i * np.arange(o)).tolist() for f, i, o in zip(first, itl, output, strict=True)],
        },
        schema_overrides={"due_s": pl.Float64, "failed_s": pl.Float64, "adapter": pl.String, "reason": pl.String},
    )  # fmt: skip
    return frame, float(finish.max())


def _document(
    frame: pl.DataFrame, end: float, users: int | None, seed: int, power: bool, steady: bool
) -> dict[str, Any]:
    def spread(name: str) -> dict[str, float]:
        values = frame[name]
        return {"mean": values.mean(), **{f"p{q}": values.quantile(q / 100, "linear") for q in (50, 90, 95, 99)}}

    tokens = frame["output_tokens"].sum() / end
    span = [0.1 * end, 0.9 * end] if steady else [0.0, end]
    return {
        "schema_version": 1, "kind": "measured", "label": "measured", "command": "inferatlas bench run",
        "written": "2026-11-29T12:14:00+00:00", "started": "2026-11-29T12:13:16+00:00",
        "environment": {"python": "3.11.7"},
        "hardware": {"accelerator": "nvidia-h100-sxm", "accelerators": 1},
        "software": {"engine": "vllm", "version": "0.21.0"}, "models": ["tiny"],
        "endpoints": ["http://127.0.0.1:8000"], "seed": seed,
        "load": {
            "kind": "open" if users is None else "closed", "concurrency": users,
            "request_rate": 10.0 if users is None else None, "requests": len(frame), "input_tokens": 100.0,
            "output_tokens": 20.0, "dataset": None, "api": "chat", "name": "100/20", "offered_per_s": None,
        },
        "tokens": {"counter": "tokenizer tiny", "exact": True, "usage": True},
        "protocol": None, "slo": ["ttft:p95<250ms"], "definitions": {"ttft_s": "first token - sent"}, "clocks": {},
        "validity": {"valid": True, "verdict": "valid", "reasons": [], "remarks": []},
        "requests": {"sent": len(frame), "completed": len(frame), "failed": {}},
        "metrics": {
            **{name: spread(name) for name in ("ttft_s", "itl_s", "latency_s")}, "output_tokens_per_s": tokens,
            "total_tokens_per_s": tokens + 100 * len(frame) / end, "goodput_per_s": None, "latency_cov": 0.3,
            "power_w": 300.0 if power else None, "tokens_per_joule": tokens / 300.0 if power else None,
            "window": {"kind": "steady" if steady else "whole_run", "spans_s": [span]},
        },
        "client": {"cpu_s": 0.5, "event_loop_lag_p99_s": 0.0004}, "energy": [], "notes": [],
    }  # fmt: skip


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of the simulator: four users, 100 tokens in and 20 out."""
    from inferatlas.cli.main import run

    folder = tmp_path_factory.mktemp("simulated") / "c4"
    words = (
        "simulate --model llama-3.1-8b --accelerator nvidia-h100-sxm --isl 100 --osl 20 --concurrency 4 --requests 600 "
        f"--quiet --format json --output {folder}/"
    )
    assert run(words.split()) == 0
    return folder
