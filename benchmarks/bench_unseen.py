"""Do the intervals hold on a table that nobody has seen? Everything is calibrated without a part, which is then scored.

Unlike the scoreboard, whose widths were set on the left-out errors it shows, nothing of the part that is scored has a
say here: neither in coefficients nor in the widths of intervals. The shared tables are not part of the repository: name
their folder as the first argument, or leave them at ``../shared/measured``; further arguments choose parts. One part
takes one to four minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import polars as pl

from inferatlas.evidence.calibration import calibrate
from inferatlas.evidence.table import read_table
from inferatlas.evidence.validation import validate

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "measured"
LLAMA_70B = ("llama-3.1-70b", "llama-3-70b", "llama-3.3-70b", "mistral-7b", "qwen3-30b-a3b")
CONTEXT = pl.col("input_tokens").fill_null(0) + pl.col("output_tokens").fill_null(0)
PARTS: dict[str, pl.Expr] = {
    "a vendor (AMD)": pl.col("accelerator").str.starts_with("amd-"),
    "an accelerator (H100)": pl.col("accelerator") == "nvidia-h100-sxm",
    "an accelerator (B200)": pl.col("accelerator") == "nvidia-b200-sxm",
    "five models": pl.col("model").is_in(LLAMA_70B),
    "a source (LLM-Inference-Bench)": pl.col("source") == "argonne_lib",
    "a source (ML.ENERGY)": pl.col("source").str.starts_with("mlenergy"),
    "batches above 64": pl.col("concurrency").fill_null(0) > 64,
    "contexts above 8,000": CONTEXT > 8000,
}
OTHER = "classes beside GPUs"


def main(folder: Path = FOLDER, *chosen: str) -> None:
    table, others = folder / "calibration.parquet", folder / "other_classes.csv"
    if not (table.exists() and others.exists()):
        print(f"no tables in {folder}: nothing to measure")
        return
    every, beside = read_table(table), read_table(others)
    print("| left out of everything | metric | n | median error | bias | inside 80 % |\n|---|---|---:|---:|---:|---:|")
    for name in chosen or (*PARTS, OTHER):
        if name == OTHER:
            fitted, unseen = every, beside
        else:
            fitted = pl.concat([every.filter(~PARTS[name]), beside], how="diagonal_relaxed")
            unseen = every.filter(PARTS[name])
        with tempfile.TemporaryDirectory() as coefficients:
            calibrate(fitted, date="2026-01-01").write(Path(coefficients))
            found = validate(unseen, coefficients=Path(coefficients))
        for one in found.slices:
            print(
                f"| {name} | {one['metric']} | {one['n']:,} | {one['median_ape']:.0%} | {one['bias']:+.2f} | "
                f"{one['coverage']:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *sys.argv[2:])
