"""CPU seconds of ``validate`` on 10,000 rows and of ``calibrate`` on the shared table.

Bars: ``validate`` below 5 s of CPU; ``calibrate`` below 5 minutes on 2 cores. The shared table is not part of the
repository: name it as the first argument, or leave it at ``../shared/measured/calibration.parquet``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from bench_commands import cpu_seconds

TABLE = Path(__file__).resolve().parents[2] / "shared" / "measured" / "calibration.parquet"
ROWS = 10_000


def main(table: Path = TABLE) -> None:
    if not table.exists():
        print(f"no table at {table}: nothing to measure")
        return
    frame = pl.read_parquet(table)
    copies = pl.concat([frame.with_columns(pl.col("row_id") + f"-{i}") for i in range(-(-ROWS // frame.height))])
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder, "many.parquet")
        copies.head(ROWS).write_parquet(many)
        seconds = sorted(cpu_seconds(["validate", str(many), "--format", "json"]) for _ in range(5))
        print(f"validate, {ROWS:,} rows: median {seconds[2]:.2f} s of CPU")
        start = time.perf_counter()
        used = cpu_seconds(["calibrate", str(table), "--output", folder, "--quiet", "--format", "json"])
        print(f"calibrate, {frame.height:,} rows: {used:.0f} s of CPU, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
