"""`inferatlas bench run`, within this process and as one of its own, and the record that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import inferatlas

LONGEST_S = 60.0  # a run of a test; longer: it hangs
SOURCES = str(Path(inferatlas.__file__).parents[1])
STEERING = ("API_KEY", "_proxy", "_PROXY")  # ends of names of variables that a bench heeds


@dataclass(frozen=True)
class Record:
    """The record of one point of load."""

    folder: Path

    @property
    def run(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    def table(self, name: str = "requests") -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")

    def column(self, name: str) -> list[Any]:
        """Of the requests, by number."""
        return self.table().sort("id")[name].to_list()


@dataclass(frozen=True)
class Ran:
    """How a command ended, and the bench's folder under ``output``."""

    code: int
    out: str
    err: str
    output: Path

    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def folder(self) -> Path:
        assert self.code != 1, self.err  # a defect
        (folder,) = (one for one in self.output.iterdir() if one.is_dir())
        return folder

    @property
    def records(self) -> list[Record]:
        """Of every point, by name."""
        return [Record(path.parent) for path in sorted(self.folder.glob("*/run.json"))]

    @property
    def record(self) -> Record:
        (record,) = self.records
        return record


def words(base_url: str, output: Path, *given: Any) -> list[str]:
    """A small bench; what is given takes the place of what is usual."""
    texts = [str(one) for one in given]
    usual = [] if "--dataset" in texts else ["--isl", "16", "--osl", "6"]
    usual += ["--warmup", "0", "--format", "json"]
    pairs = zip(usual[::2], usual[1::2], strict=True)
    small = [text for name, value in pairs if name not in texts for text in (name, value)]
    return ["bench", "run", "--base-url", base_url, "--output", str(output), "--no-power", *small, *texts]


def within(given: list[str]) -> int:
    """The exit code of a command that runs in this process: quicker, since everything is loaded."""
    from inferatlas.cli.main import run

    codes: list[int] = []
    runner = threading.Thread(target=lambda: codes.append(run(given)), daemon=True)
    runner.start()
    runner.join(LONGEST_S)
    if runner.is_alive():
        frame = sys._current_frames()[runner.ident or 0]
        raise AssertionError("it hangs:\n" + "".join(traceback.format_stack(frame)))
    return codes[0]


def alone(given: list[str], output: Path, **more: str) -> Ran:
    """A command that runs in a process of its own, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "inferatlas", *given], capture_output=True, text=True, timeout=LONGEST_S,
        env=environment(**more), check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr, output)


def killed(given: list[str], after_s: float) -> bool:
    """Run a command and end it by SIGKILL after so long; whether it was still running."""
    process = subprocess.Popen(
        [sys.executable, "-m", "inferatlas", *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(),
    )  # fmt: skip
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        return True
    finally:
        process.kill()
        process.wait()
    return False


def environment(**more: str) -> dict[str, str]:
    """That of this process without what steers a bench, and more."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(STEERING)}
    return kept | {"PYTHONPATH": SOURCES, "NO_COLOR": "1"} | more
