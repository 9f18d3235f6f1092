"""What the client of `bench run` costs, and how far its times are from the truth, against the mock server.

The mock (`../shared/tools/mock_openai_server`) runs on one core and the whole command on another. Costs are the
difference of two runs of the command over the difference of their tokens, so that its start cancels; memory is the most
that the whole command had. Errors are each request's TTFT and each gap against the schedule; the mock's own lateness,
which is part of them, stands beside.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import polars as pl

MOCK = Path(__file__).parents[2] / "shared/tools/mock_openai_server/mock_core.c"
COMMAND = str(Path(sys.executable).with_name("inferatlas"))
SERVER_CORE, CLIENT_CORE = 0, 1
RUNS = 3


@contextmanager
def mock(program: Path, *flags: str) -> Iterator[str]:
    """The mock on its core; its address."""
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), program, "--port", "0", *flags], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        yield line.split()[2]
    finally:
        process.terminate()
        process.wait()


def run(url: str, folder: Path, *flags: str) -> dict[str, Any]:
    """A command of its own: what it said, its CPU, the most memory that it had."""
    words = [
        "taskset", "-c", str(CLIENT_CORE), COMMAND, "bench", "run", "--base-url", url, "--output", str(folder),
        "--format", "json", "--quiet", "--no-power", "--warmup", "0", *flags,
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    document = json.loads(said)["runs"][0]
    return document | {"cpu_s": cpu, "memory_bytes": usage.ru_maxrss * 1024, "wall_s": wall, "begun": begun}


def stats(url: str) -> dict[str, float]:
    with urlopen(f"{url}/stats?reset") as reply:
        return json.load(reply)


def cost(
    program: Path,
    folder: Path,
    title: str,
    flags: tuple[str, ...],
    load: tuple[str, ...],
    sizes: tuple[int, int],
    tokens: int,
) -> None:
    """CPU per million tokens of the whole command, rates, memory."""
    found = []
    with mock(program, *flags) as url:
        for _ in range(RUNS):
            small, large = (run(url, folder, *load, "--osl", str(tokens), "--requests", str(n)) for n in sizes)
            each = 1e6 / (tokens * (sizes[1] - sizes[0]))
            loop = (large["client"]["cpu_s"] - small["client"]["cpu_s"]) * each
            found.append(((large["cpu_s"] - small["cpu_s"]) * each, loop, large))
    found.sort(key=lambda one: one[0])
    whole, loop, large = found[RUNS // 2]
    rates = large["metrics"]
    print(
        f"{title}: {whole:.2f} CPU s per million tokens ({found[0][0]:.2f} to {found[-1][0]:.2f}), of which {loop:.2f} "
        f"in the loop; {rates['output_tokens_per_s']:,.0f} tokens/s, {rates['requests_per_s']:,.0f} requests/s; memory "
        f"{large['client']['memory_bytes'] / 1e6:.0f} MB while loading, {large['memory_bytes'] / 1e6:.0f} MB at most; "
        f"{large['verdict']} {' '.join(large['reasons'])}"
    )


def error(program: Path, folder: Path, streams: int, stagger: str, *, ttft_ms: float = 200, itl_ms: float = 50) -> None:
    """Error against the schedule."""
    lines = []
    with mock(program, "--ttft-ms", str(ttft_ms), "--itl-ms", str(itl_ms)) as url:
        for _ in range(RUNS):
            stats(url)
            load = ("--concurrency", str(streams), "--requests", str(streams), "--stagger", stagger)
            found = run(url, folder, *load, "--osl", "32", "--isl", "16")
            late = stats(url)
            table = pl.read_parquet(Path(found["directory"]) / "requests.parquet")
            ttft = (table["ttft_service_s"].to_numpy() * 1e3) - ttft_ms
            gaps = np.concatenate([np.diff(one.to_numpy()) for one in table["token_s"]]) * 1e3 - itl_ms
            lines.append((np.percentile(ttft, [50, 99]), np.percentile(np.abs(gaps), [50, 99]), late, found))
    lines.sort(key=lambda one: one[0][1])
    ttft, gap, late, found = lines[RUNS // 2]
    print(
        f"{streams} streams, begun within {stagger}: TTFT error p50 {ttft[0]:+.2f} ms, p99 {ttft[1]:+.2f} ms; gap "
        f"error p50 {gap[0]:.2f} ms, p99 {gap[1]:.2f} ms; most in flight {found['client']['most_in_flight']}; the "
        f"mock's own lateness p99 {late['late_p99_us'] / 1e3:.2f} ms; {found['verdict']} {' '.join(found['reasons'])}"
    )


def first_request(program: Path, folder: Path) -> None:
    """From the start of the command to the first request at the server, imports included."""
    times = []
    with mock(program, "--ttft-ms", "0", "--itl-ms", "0", "--log", str(folder / "log.csv")) as url:
        for _ in range(RUNS):
            times.append(run(url, folder, "--concurrency", "1", "--requests", "1", "--osl", "1")["begun"])
    log = pl.read_csv(folder / "log.csv")["recv_ns"].to_numpy() / 1e9
    waits = [float(log[log > begun].min() - begun) for begun in times]
    print(f"first request after {sorted(waits)[RUNS // 2]:.2f} s ({min(waits):.2f} to {max(waits):.2f})")


def many(program: Path, folder: Path) -> None:
    """Ten thousand streams at once, and what one more takes in memory."""
    with mock(program, "--ttft-ms", "3000", "--itl-ms", "200") as url:
        few, lots = (
            run(url, folder, "--concurrency", str(n), "--requests", str(n), "--osl", "32", "--isl", "16")
            for n in (100, 10_000)
        )
        peak = stats(url)["peak_active"]
    each = (lots["client"]["memory_bytes"] - few["client"]["memory_bytes"]) / 9_900
    print(
        f"10,000 streams: {lots['requests']['completed']:,} completed, failed {lots['requests']['failed']}, "
        f"{peak:,.0f} at once at the server, {each / 1e3:.1f} kB each; {lots['verdict']} {' '.join(lots['reasons'])}"
    )


def main() -> None:
    compiler = shutil.which("cc")
    if compiler is None or not MOCK.exists() or (os.cpu_count() or 1) < 2:
        print("needs a C compiler, two cores and ../shared/tools/mock_openai_server")
        return
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "mock_core"
        subprocess.run([compiler, "-O2", "-o", program, MOCK], check=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        first_request(program, folder)
        burst = ("--ttft-ms", "0", "--itl-ms", "0")
        cost(program, folder, "burst, 64 streams", burst, ("--concurrency", "64", "--isl", "16"), (2_000, 20_000), 128)
        paced = ("--ttft-ms", "200", "--itl-ms", "50")
        cost(program, folder, "paced, 512 streams", paced, ("--concurrency", "512", "--isl", "16"), (512, 2_560), 128)
        error(program, folder, 512, "0s")
        error(program, folder, 512, "1s")
        error(program, folder, 16, "0s")
        many(program, folder)


if __name__ == "__main__":
    main()
