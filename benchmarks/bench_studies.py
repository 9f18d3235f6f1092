"""CPU seconds of the audit of published claims and of the reproduction of all three papers, interpreter start included.

Bars: ``claims audit`` below 3 s; ``reproduce`` of all three, with every table, picture and page written, below 60 s.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench_commands import cpu_seconds

RUNS = 5
PAPERS = ("sharma-2025", "park-review", "brunetta")


def told(name: str, seconds: list[float]) -> None:
    seconds.sort()
    print(f"{name:36s} median {seconds[len(seconds) // 2]:.2f} s of CPU ({seconds[0]:.2f} to {seconds[-1]:.2f})")


def main() -> None:
    for name, arguments in {
        "claims audit, table": ["claims", "audit"],
        "claims audit, JSON": ["claims", "audit", "--format", "json"],
        "claims audit, HTML": ["claims", "audit", "--format", "html"],
        "claims show": ["claims", "show", "sharma-2025/energy-efficiency-ratio"],
    }.items():
        cpu_seconds(arguments)  # warm the file cache
        told(name, [cpu_seconds(arguments) for _ in range(RUNS)])
    printed: list[float] = [0.0] * RUNS
    written: list[float] = [0.0] * RUNS
    with tempfile.TemporaryDirectory() as folder:
        for paper in PAPERS:
            one = [cpu_seconds(["reproduce", paper, "--format", "json"]) for _ in range(RUNS)]
            all_ = [cpu_seconds(["reproduce", paper, "--output", str(Path(folder)), "--quiet"]) for _ in range(RUNS)]
            printed = [sum(pair) for pair in zip(printed, one, strict=True)]
            written = [sum(pair) for pair in zip(written, all_, strict=True)]
            told(f"reproduce {paper}", one)
            told(f"reproduce {paper}, files", all_)
    told("reproduce, all three", printed)
    told("reproduce, all three, files", written)


if __name__ == "__main__":
    main()
