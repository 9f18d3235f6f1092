"""CPU seconds of whole commands, interpreter start included.

Bars: ``recommend`` over every accelerator, 1..64 devices, all layouts and precisions: below 2 s;
``--help``: below 0.3 s.
"""

from __future__ import annotations

import resource
import subprocess
import sys

COMMANDS = {
    "--help": ["--help"],
    "recommend, dense, open loop": [
        "recommend", "--model", "llama-3.3-70b", "--workload", "chat", "--slo", "ttft:p95<500ms",
        "--slo", "itl:mean<50ms", "--request-rate", "4", "--max-count", "64",
    ],
    "recommend, dense, closed loop": [
        "recommend", "--model", "qwen3-32b", "--isl", "4096", "--osl", "512", "--concurrency", "64",
        "--max-count", "64",
    ],
    "recommend, mixture of experts": [
        "recommend", "--model", "deepseek-r1", "--workload", "chat", "--request-rate", "4", "--max-count", "64",
    ],
    "predict": [
        "predict", "--model", "llama-3.1-8b", "--accelerator", "nvidia-h100-sxm", "--count", "1", "--tp", "1",
        "--engine", "vllm", "--weights", "bf16", "--concurrency", "32", "--isl", "1024", "--osl", "256",
    ],
}  # fmt: skip


def cpu_seconds(arguments: list[str]) -> float:
    """CPU of one run of the command and of everything it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "inferatlas", *arguments], capture_output=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(commands: dict[str, list[str]] = COMMANDS, runs: int = 5) -> None:
    for name, arguments in commands.items():
        cpu_seconds(arguments)  # warm the file cache
        seconds = sorted(cpu_seconds(arguments) for _ in range(runs))
        print(f"{name:30s} median {seconds[runs // 2]:.2f} s of CPU (best {seconds[0]:.2f}, worst {seconds[-1]:.2f})")


if __name__ == "__main__":
    main()
