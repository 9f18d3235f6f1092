"""What metering takes: sampling 8 GPUs at 10 Hz, windows in a program, and a log of a day.

Bars: sampling below 0.5 % of one core; a log of 24 hours, 10 Hz and 8 devices, integrated in less than 2 s. The GPUs
are a compiled stand-in for NVML (`tests/measure/metering/sources/fixtures/fake_nvml.c`), so that what the real driver
takes for an answer comes on top.
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
from pathlib import Path

import numpy as np

from inferatlas.measure.metering.channel import Channel, Series
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.tables import write_table
from inferatlas.measure.metering.scope import Scope

DEVICES, RATE, DAY_S, RUNS = 8, 10, 86400, 3
FAKE = Path(__file__).parents[1] / "tests/measure/metering/sources/fixtures/fake_nvml.c"
SAMPLING = """
import json, sys, time
from inferatlas.measure.metering.finding import find
from inferatlas.measure.metering.meter import Meter
meter = Meter(["nvml"], interval_s=0.1, record=sys.argv[1])
with meter:
    time.sleep(1.0)  # imports and threads are not sampling
    before, begun = time.process_time(), time.monotonic()
    time.sleep(20.0)
    cpu, wall = time.process_time() - before, time.monotonic() - begun
    before = time.process_time()
    for _ in range(1000):
        with meter.window("empty"):
            pass
    window = (time.process_time() - before) / 1000
channels = sum(len(one.channels) for one in meter.sources)
print(json.dumps({"channels": channels, "share": cpu / wall, "window_s": window}))
"""


def sampling(folder: Path) -> None:
    """CPU of a whole process that does nothing but sample and write down, as a share of one core."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("sampling: no C compiler for the stand-in of NVML")
        return
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", folder / "libnvidia-ml.so.1", FAKE, "-lm"], check=True)
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(folder), "FAKE_NVML_GPUS": str(DEVICES), "FAKE_NVML_SCOPES": "gpu",
        "FAKE_NVML_TRACE": "75:1,690:1",
    }  # fmt: skip
    found = []
    for _ in range(RUNS):
        words = [sys.executable, "-c", SAMPLING, str(folder / "power.parquet")]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    shares = sorted(one["share"] for one in found)
    print(
        f"sampling {DEVICES} GPUs, {found[0]['channels']} channels, {RATE} Hz, journal on disk: median "
        f"{100 * shares[RUNS // 2]:.3f} % of one core ({100 * shares[0]:.3f} to {100 * shares[-1]:.3f})"
    )
    print(f"a window, begun and ended: {1e6 * sorted(one['window_s'] for one in found)[RUNS // 2]:.0f} µs of CPU")


def day() -> Log:
    """A day of average power of eight GPUs."""
    rng, n = np.random.default_rng(0), RATE * DAY_S
    t_ns = np.arange(n) * (10**9 // RATE)
    series = []
    for device in range(DEVICES):
        watts = np.round(rng.uniform(80.0, 690.0, n), 2)
        channel = Channel(
            "nvml", f"GPU-{device}", "power_w", "average", Scope.GPU, window_s=1.0, update_s=0.1, limit_w=700.0
        )
        series.append(Series(channel, t_ns + device * 1000, watts, np.zeros(n, dtype=np.int8)))
    return Log(tuple(series), 1_790_000_000 * 10**9)


def integrating(folder: Path) -> None:
    """Wall and CPU seconds of the whole command on a log of a day, interpreter start included."""
    log = day()
    ours, plain = folder / "day.parquet", folder / "day.csv"
    write_table(log, ours)
    with plain.open("w") as file:
        file.write("time_s,device,power_w\n")
        for series in log.series:
            lines = (
                f"{t:.1f},{series.channel.device},{w}" for t, w in zip(series.t_ns / 1e9, series.value, strict=True)
            )
            file.write("\n".join(lines) + "\n")
    for name, path in (("our log (Parquet)", ours), ("plain CSV", plain)):
        seconds = []
        for _ in range(RUNS + 1):
            before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            words = [sys.executable, "-m", "inferatlas", "power", "integrate", str(path), "--format", "json"]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            seconds.append((time.monotonic() - begun, cpu))
        wall, cpu = sorted(seconds[1:])[RUNS // 2]  # the first warms the file cache
        (window,) = json.loads(done.stdout)["windows"]
        rows, size = DEVICES * RATE * DAY_S, path.stat().st_size / 1e6
        print(
            f"24 h, {RATE} Hz, {DEVICES} devices: {rows:,} rows, {name}, {size:.0f} MB: {wall:.2f} s, "
            f"{cpu:.2f} s of CPU; {window['joules'] / 3.6e6:.3f} kWh"
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sampling(Path(folder))
        integrating(Path(folder))


if __name__ == "__main__":
    main()
