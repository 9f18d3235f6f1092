"""CPU seconds of the commands about what nobody has measured, interpreter start included; bar: each below 2 s."""

from __future__ import annotations

from pathlib import Path

from bench_commands import main

DEVICE = str(Path(__file__).parent.parent / "docs" / "examples" / "my-accelerator.yaml")
LOAD = ["--isl", "1024", "--osl", "256", "--concurrency", "16"]
TIERS = ["--tier", "cxl:1TiB@64GB/s", "--tier", "nvme:8TB@12GB/s"]
PLAIN = ["predict", "--model", "llama-3.3-70b", "--accelerator", "nvidia-h100-sxm", "--count", "4", *LOAD]
KIMI = ["--model", "kimi-k2", "--accelerator", "nvidia-b200-sxm", "--count"]
TARGETS = ["--slo", "ttft:mean<1s", "--slo", "itl:mean<30ms"]
PAIR = ["--prefill", "nvidia-h100-sxm", "--decode", "amd-mi300x", *TARGETS]
OWN = [
    "own", "--model", "llama-3.3-70b", "--accelerator", "nvidia-h100-sxm", "--tp", "4", *LOAD, "--capex", "30000",
]  # fmt: skip
COMMANDS = {
    "predict": PLAIN,
    "predict, tiers, packed cache, drafts": [
        "predict", *KIMI, "4", *LOAD, *TIERS, "--kv-compression", "4", "--speculate", "gamma=4,acceptance=0.7",
    ],
    "predict, power cap": [*PLAIN, "--power-cap", "400W"],
    "predict, state-space model": ["predict", "--model", "mamba2-2.7b", "--accelerator", "nvidia-h100-sxm", *LOAD],
    "tiers": ["tiers", *KIMI, "8"],
    "tiers, as a page": ["tiers", *KIMI, "8", "--format", "html"],
    "disaggregate, one part": ["disaggregate", "--model", "llama-3.3-70b", "--prefill", "nvidia-h100-sxm", *TARGETS],
    "disaggregate, a pair": ["disaggregate", "--model", "llama-3.3-70b", *PAIR],
    "disaggregate, a pair, experts": ["disaggregate", "--model", "qwen3-235b-a22b", *PAIR],
    "disaggregate, a pair, as a page": ["disaggregate", "--model", "llama-3.3-70b", *PAIR, "--format", "html"],
    "pool": ["pool", "--nodes", "64", "--demand-cv", "0.6", "--correlation", "0.2"],
    "regimes, state-space model": ["regimes", "--model", "mamba2-2.7b"],
    "regimes, state-space model, as a page": ["regimes", "--model", "mamba2-2.7b", "--format", "html"],
    "regimes, against another model": ["regimes", "--model", "mamba2-2.7b", "--against", "llama-3.2-3b"],
    "regimes, against another model, as a page": [
        "regimes", "--model", "mamba2-2.7b", "--against", "llama-3.2-3b", "--format", "html",
    ],
    "whatif, a device of one's own": [
        "whatif", DEVICE, "--model", "llama-3.3-70b", *LOAD, "--against", "nvidia-b200-sxm",
    ],
    "whatif, a family of 10,000": [
        "whatif", DEVICE, "--model", "llama-3.3-70b", *LOAD, "--vary", "compute=0.5..2:100", "--vary",
        "memory_bandwidth=0.5..2:100",
    ],
    "whatif, as a page": ["whatif", DEVICE, "--model", "llama-3.3-70b", *LOAD, "--format", "html"],
    "own": OWN,
}  # fmt: skip


if __name__ == "__main__":
    main(COMMANDS)
