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
import polars as pl

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


def logs_of(log: Log, folder: Path) -> dict[str, Path]:
    """The same day as files: our own, plain ones, and one of nvidia-smi, whose stamps differ from device to device."""
    ours = folder / "day.parquet"
    write_table(log, ours)
    unix_ns, readings = log.unix_ns or 0, len(log.series[0].value)
    late_ms = pl.lit(pl.Series(np.tile(np.arange(DEVICES) * 2, readings)))
    frame = pl.DataFrame(
        {
            "t": np.repeat(log.series[0].t_ns, DEVICES),
            "device": [series.channel.device for series in log.series] * readings,
            "power_w": np.stack([series.value for series in log.series], axis=1).ravel(),
        }
    )
    stamp = (pl.col("t") + unix_ns).cast(pl.Datetime("ns"))
    columns = {
        "plain CSV": {"time_s": pl.col("t") / 1e9},
        "CSV with ISO stamps": {"timestamp": stamp.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")},
    }
    found = {"our log (Parquet)": ours}
    for name, first in columns.items():
        found[name] = folder / f"{name}.csv"
        frame.select(**first, device="device", power_w="power_w").write_csv(found[name])
    found["nvidia-smi CSV"] = folder / "smi.csv"
    moment = (stamp + pl.duration(milliseconds=late_ms)).dt.strftime("%Y/%m/%d %H:%M:%S%.3f")
    lines = pl.format("{}, {}, NVIDIA H100 80GB HBM3, {} W", moment, "device", "power_w")
    text = frame.select(lines).to_series().str.join("\n").item()
    found["nvidia-smi CSV"].write_text(f"timestamp, uuid, name, power.draw [W]\n{text}\n")
    return found


def integrating(folder: Path) -> None:
    """Wall and CPU seconds of the whole command on a log of a day, interpreter start included."""
    for name, path in logs_of(day(), folder).items():
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
