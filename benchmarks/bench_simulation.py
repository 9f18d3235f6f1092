"""CPU seconds and memory of ``simulate``: whole commands, the loop alone, a day of a million requests, and a peer.

Bars: 100,000 requests per CPU second at 100,000 requests, below 300 MB of state; a day of 1,000,000 requests below
60 s on one core; the highest load of the first question below 2 s.

The peer is inference-lab's package for node (``npm install @doublewordai/inference-lab``): name the folder in which
that was said with ``--peer``. Without node or the package it is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench_commands import COMMANDS

HERE = Path(__file__).parent
POOL = ["--model", "llama-3.1-8b", "--accelerator", "nvidia-h100-sxm", "--tp", "1"]
LOAD = ["--request-rate", "6", "--isl", "1024", "--osl", "256", "--seed", "1"]
JSON = ["--format", "json"]
OUTPUT_TOKENS = 256
TARGETS = ["--slo", "ttft:p95<500ms", "--slo", "itl:p99<60ms"]
ADVICE = COMMANDS["recommend, dense, open loop"]
LIKE_PEER = ["--max-num-batched-tokens", "512", "--max-num-seqs", "256"]
SETTINGS = {"step_tokens": 512, "max_sequences": 256}
DAY_S, DAY_REQUESTS = 86_400.0, 1_000_000
# mean and coefficient of variation of the tokens of Azure's conversations of 2023
DAY_INPUT, DAY_OUTPUT = (1155.0, 0.96), (211.0, 0.77)
FLEET = "model: llama-3.1-8b\npools:\n  - {accelerator: nvidia-h100-sxm, tp: 1, replicas: 4}\n"
PACKAGE = Path("node_modules", "@doublewordai", "inference-lab")


@dataclass(frozen=True, slots=True)
class Used:
    """What a process took, with what it started: seconds, and bytes resident at most."""

    cpu_s: float
    wall_s: float
    peak_bytes: float
    printed: bytes


def used(command: list[str]) -> Used:
    """Run a command to its end. It inherits the peak of this process, which therefore has to stay small."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=HERE)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode not in (0, 3, 4):  # no answer, a target missed: answers too
            raise SystemExit(f"{' '.join(command)}: {err.read().decode()}")
        return Used(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024.0, out.read())


def ours(arguments: Iterable[str]) -> Used:
    return used([sys.executable, "-m", "inferatlas", *arguments])


def simulate(requests: int, *more: str) -> list[str]:
    return ["simulate", *POOL, *LOAD, "--requests", str(requests), *more]


def several(runs: int, work: Callable[[], Used]) -> list[Used]:
    """Runs sorted by their CPU seconds; the median is in the middle."""
    return sorted((work() for _ in range(runs)), key=lambda one: one.cpu_s)


def said(found: list[Used]) -> str:
    middle = found[len(found) // 2]
    wall = statistics.median(one.wall_s for one in found)
    peak = max(one.peak_bytes for one in found)
    return (
        f"median {middle.cpu_s:.2f} s of CPU ({found[0].cpu_s:.2f} to {found[-1].cpu_s:.2f}), "
        f"{wall:.2f} s by the clock, peak {peak / 1e6:.0f} MB"
    )


def rate(requests: int, seconds: float) -> str:
    tokens = requests * OUTPUT_TOKENS
    return f"{requests / seconds:,.0f} requests/s of CPU, {tokens / seconds / 1e6:.2f} M output tokens/s"


def loop_alone(requests: int, runs: int, settings: dict[str, int]) -> None:
    """Print the CPU seconds of `running.run` in a warm process, a line a run."""
    from inferatlas.simulate.asking import question
    from inferatlas.simulate.running import run

    asked = question(
        "llama-3.1-8b", "nvidia-h100-sxm", tp=1, request_rate=6.0, isl=1024, osl=OUTPUT_TOKENS, requests=requests,
        seed=1, settings=settings or None,
    )  # fmt: skip
    for i in range(runs + 1):
        start = time.process_time()
        run(asked.fleet, asked.requests, seed=1)
        if i:  # the first loads the machine code
            print(time.process_time() - start)


def loop_seconds(requests: int, runs: int, settings: dict[str, int]) -> list[float]:
    code = f"from bench_simulation import loop_alone; loop_alone({requests}, {runs}, {settings})"
    return sorted(map(float, used([sys.executable, "-c", code]).printed.split()))


def commands(runs: int, folder: Path) -> None:
    least = several(runs, lambda: ours(simulate(1, *JSON)))
    print(f"simulate, 1 request: {said(least)}")
    for n in (10_000, 100_000):
        found = several(runs, lambda n=n: ours(simulate(n, *JSON)))
        loop = loop_seconds(n, runs, {})
        state = max(one.peak_bytes for one in found) - min(one.peak_bytes for one in least)
        print(f"simulate, {n:,} requests: {said(found)}, {state / 1e6:.0f} MB more than of one request")
        print(f"  whole command: {rate(n, found[runs // 2].cpu_s)}")
        print(f"  beyond that of one request: {rate(n, found[runs // 2].cpu_s - least[runs // 2].cpu_s)}")
        print(f"  loop alone: {loop[runs // 2]:.4f} s ({loop[0]:.4f} to {loop[-1]:.4f}), {rate(n, loop[runs // 2])}")
    dp4 = ["--dp", "4", "--compare", "colocated,disaggregated,chunked"]
    for name, arguments in {
        "the highest load, 10,000 requests": simulate(10_000, "--find-capacity", *TARGETS, *JSON),
        "three ways of serving, 4 replicas, 10,000 requests": simulate(10_000, *dp4, *JSON),
        "one run as a page, 10,000 requests": simulate(10_000, "--output", str(folder / "run.html")),
        "with a run record, 10,000 requests": simulate(10_000, "--output", f"{folder / 'record'}/", *JSON),
        "with a run record, 100,000 requests": simulate(100_000, "--output", f"{folder / 'many'}/", *JSON),
        "recommend, 70B, open loop": ADVICE,
        "recommend, 70B, open loop, candidates simulated": [*ADVICE, "--simulate"],
    }.items():
        print(f"{name}: {said(several(runs, lambda a=arguments: ours(a)))}")


def write_day(path: Path, requests: int = DAY_REQUESTS, seed: int = 1) -> None:
    """A trace in Azure's format: lengths of its conversations, arrivals that follow the hours of a day.

    A row at a time, so that this process stays small.
    """
    chance, start, at = random.Random(seed), datetime(2023, 11, 16), 0.0
    mean = requests / DAY_S

    def tokens(average: float, variation: float) -> int:
        sigma = math.sqrt(math.log1p(variation**2))
        return max(1, round(chance.lognormvariate(math.log(average) - sigma**2 / 2, sigma)))

    with path.open("w") as out:
        out.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for _ in range(requests):
            # most at three in the afternoon, 1.6 times the mean; least at three at night, 0.4 times
            now = mean * (1 + 0.6 * math.cos(2 * math.pi * (at / DAY_S - 15 / 24)))
            at += chance.expovariate(now)
            stamp = (start + timedelta(seconds=at)).isoformat(" ", "microseconds")
            out.write(f"{stamp},{tokens(*DAY_INPUT)},{tokens(*DAY_OUTPUT)}\n")


def day(runs: int, folder: Path) -> None:
    trace, fleet = folder / "day.csv", folder / "fleet.yaml"
    write_day(trace)
    fleet.write_text(FLEET)
    found = several(runs, lambda: ours(["simulate", "--config", str(fleet), "--trace", str(trace), *JSON]))
    answer = json.loads(found[0].printed)
    print(f"a day of {DAY_REQUESTS:,} requests, 4 replicas: {said(found)}")
    print(
        f"  completed {answer['completed']:,} in {answer['duration_s'] / 3600:.2f} h, "
        f"batch {answer['batch']['mean']:.1f} (at most {answer['batch']['max']:.0f}), "
        f"saturated: {answer['saturated']}, loop {answer['wall_s']:.2f} s by the clock"
    )


def peer_configuration(requests: int) -> str:
    """The first question in the peer's words: an H100's data sheet, a model of 8 billion parameters in 16 bits."""
    hardware = {
        "name": "H100", "compute_flops": 989.4e12, "memory_bandwidth": 3.35e12, "memory_capacity": 80 * 10**9,
        "gpu_memory_utilization": 0.9, "bytes_per_param": 2,
    }  # fmt: skip
    model = {
        "name": "Llama-3.1-8B", "num_parameters": 8_030_261_248, "num_layers": 32, "hidden_dim": 4096, "num_heads": 32,
        "num_kv_heads": 8, "max_seq_len": 131_072,
    }  # fmt: skip
    scheduler = {
        "max_num_batched_tokens": 512, "max_num_seqs": 256, "policy": "fcfs", "enable_chunked_prefill": True,
        "block_size": 16,
    }  # fmt: skip
    workload = {
        "arrival_pattern": "poisson", "arrival_rate": 6.0, "num_requests": requests, "seed": 1,
        "input_len_dist": {"type": "fixed", "value": 1024},
        "output_len_dist": {"type": "fixed", "value": OUTPUT_TOKENS},
    }  # fmt: skip
    # what it prints on its way, which is nothing here, once in so many steps
    simulation = {"log_interval": 1_000_000}
    parts: dict[str, Any] = {
        "hardware": hardware, "model": model, "scheduler": scheduler, "workload": workload, "simulation": simulation,
    }  # fmt: skip
    return json.dumps(parts)


def peer(runs: int, package: Path | None) -> None:
    node = shutil.which("node")
    if package is None or node is None or not (package / "inference_lab_bg.wasm").exists():
        lacks = "no --peer FOLDER" if package is None else "no node" if node is None else f"no package in {package}"
        print(f"inference-lab left out: {lacks}")
        return
    driver = [node, str(HERE / "peer_inference_lab.mjs"), str(package)]
    version = json.loads((package / "package.json").read_text())["version"]
    for n in (1_000, 10_000):
        here: list[Used] = []
        there: list[Used] = []
        for _ in range(runs):  # in turn, so that the speed of the machine drifts for both
            here.append(ours(simulate(n, *LIKE_PEER, *JSON)))
            there.append(used([*driver, peer_configuration(n)]))
        loop = loop_seconds(n, runs, SETTINGS)
        answers = [json.loads(one.printed) for one in there]
        their_loop = sorted(one["cpu_s"] for one in answers)[runs // 2]
        here.sort(key=lambda one: one.cpu_s)
        there.sort(key=lambda one: one.cpu_s)
        print(f"inferatlas, {n:,} requests: {said(here)}; {rate(n, here[runs // 2].cpu_s)}")
        print(f"  loop alone: {loop[runs // 2]:.4f} s, {rate(n, loop[runs // 2])}")
        print(f"inference-lab {version}, WebAssembly: {said(there)}; {rate(n, there[runs // 2].cpu_s)}")
        print(f"  simulation alone: {their_loop:.3f} s, {rate(n, their_loop)}")
        ratio = there[runs // 2].cpu_s / here[runs // 2].cpu_s
        print(f"  ratio, whole processes: {ratio:.1f}; simulation alone: {their_loop / loop[runs // 2]:,.0f}")
        mine = json.loads(here[0].printed)
        print(
            f"  completed {mine['completed']:,} and {answers[0]['completed']:,}; "
            f"mean latency {mine['whole_run']['latency_s']['mean']:.2f} s and {answers[0]['latency_ms'] / 1e3:.2f} s"
        )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--runs", type=int, default=5, help="runs of each, whose median is said")
    asked.add_argument("--peer", type=Path, help="folder with node_modules/@doublewordai/inference-lab")
    given = asked.parse_args()
    ours(simulate(1))  # compiles the event loop where that was not yet done
    with tempfile.TemporaryDirectory() as folder:
        commands(given.runs, Path(folder))
        day(given.runs, Path(folder))
    peer(given.runs, None if given.peer is None else given.peer / PACKAGE)


if __name__ == "__main__":
    main()
