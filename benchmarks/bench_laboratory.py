"""CPU seconds of the laboratory's commands, interpreter start included.

Bars: ``regimes`` over every accelerator below 3 s, ``scale`` on 1,024 devices with all hybrids below 5 s,
``crossover`` over 1,000 batches of three accelerators below 1 s.
"""

from __future__ import annotations

from bench_commands import main

MODEL = ["--model", "llama-3.1-70b"]
THREE = ["--accelerators", "nvidia-h100-sxm,cerebras-wse-3,groq-lpu-v1"]
BATCHES = ",".join(str(batch) for batch in range(1, 1001))
COMMANDS = {
    "regimes, every accelerator": ["regimes"],
    "regimes, three": ["regimes", *MODEL, *THREE],
    "scale, 64 devices": ["scale", "--model", "kimi-k2", "--accelerator", "nvidia-b200-sxm", "--count", "64"],
    "scale, 1,024 devices": ["scale", "--model", "kimi-k2", "--accelerator", "nvidia-gb200", "--count", "1024"],
    "scale, 960 devices, experts": [
        "scale",
        "--model",
        "deepseek-r1",
        "--accelerator",
        "nvidia-gb300",
        "--count",
        "960",
    ],
    "variance": [
        "variance",
        "--model",
        "kimi-k2",
        "--accelerator",
        "nvidia-b200-sxm",
        "--count",
        "64",
        "--isl",
        "1024",
        "--osl",
        "256",
        "--request-rate",
        "20",
    ],
    "crossover, default grid": ["crossover", *MODEL, *THREE],
    "crossover, 1,000 batches": ["crossover", *MODEL, *THREE, "--over", "batch", "--values", BATCHES],
    "crossover, 1,000 as JSON": ["crossover", *MODEL, *THREE, "--values", BATCHES, "--format", "json"],
    "crossover, input lengths": ["crossover", *MODEL, *THREE, "--over", "isl"],
    "crossover, request rates": ["crossover", *MODEL, *THREE, "--over", "rate"],
}


if __name__ == "__main__":
    main(COMMANDS)
