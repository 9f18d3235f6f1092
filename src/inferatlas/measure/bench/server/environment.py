"""The machine that asks, as a record keeps it: what may explain a number later, and nothing that names people.

Everything is JSON; what cannot be known is None. No hostname, user or folder is in it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inferatlas.measure.bench.server.masking import command_line

PACKAGES = ("inferatlas", "httptools", "msgspec", "numpy", "polars", "duckdb", "prometheus-client", "tokenizers")
ACCELERATORS = ("nvml", "amdsmi", "level_zero", "habana", "tenstorrent", "graphcore")  # of metering's sources
DRIVERS = ("nvidia", "amdgpu", "i915", "xe", "habanalabs", "tenstorrent")  # kernel modules that tell their version
LOOK_S = 3.0  # for accelerators: a driver that hangs holds nobody
GIT_S = 2.0


def environment(argv: Sequence[str], *, root: Path = Path("/"), look_s: float = LOOK_S) -> dict[str, Any]:
    """What is known of this machine, its software and the command, now.

    Parameters
    ----------
    argv : the command line, program first; what looks like a secret in it is masked (`masking.py`).
    root : where /proc and /sys are. look_s : how long to look for accelerators; 0 does not.

    Examples
    --------
    >>> found = environment(["inferatlas", "bench", "run", "--api-key", "sk-1"], look_s=0)
    >>> found["command"], found["accelerators"]
    ('inferatlas bench run --api-key ***', None)
    """
    clock = time.get_clock_info("monotonic")
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command_line(argv),
        "cpu": _field(root / "proc/cpuinfo", "model name") or platform.processor() or None,
        "cores": os.cpu_count(), "cores_allowed": _allowed(), "cores_limit": _cgroup_cores(root),
        "memory_bytes": _kilobytes(root / "proc/meminfo", "MemTotal"), "memory_limit_bytes": _cgroup_memory(root),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "kernel": platform.release(), "platform": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "clock": {
            "source": _text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource"),
            "implementation": clock.implementation, "resolution_s": clock.resolution,
        },
        "python": platform.python_version(), "packages": {name: _version(name) for name in PACKAGES},
        "load_average": {"start": load_average(), "end": None},
        "accelerators": _in_time(_accelerators, look_s),
        "drivers": {name: found for name in DRIVERS if (found := _text(root / "sys/module" / name / "version"))},
        "git": _git(),
    }  # fmt: skip


def finished(found: dict[str, Any]) -> dict[str, Any]:
    """An environment with what is known at the end of a run."""
    return found | {"load_average": found["load_average"] | {"end": load_average()}}


def load_average() -> list[float] | None:
    """Processes that run or wait to, means over 1, 5 and 15 minutes."""
    try:
        return [round(one, 2) for one in os.getloadavg()]
    except OSError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _field(path: Path, name: str) -> str | None:
    for line in (_text(path) or "").splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip() or None
    return None


def _kilobytes(path: Path, name: str) -> int | None:
    """A field of /proc/meminfo, which writes kB for KiB, in bytes."""
    value = (_field(path, name) or "").split()
    return int(value[0]) * 1024 if value and value[0].isdigit() else None


def _allowed() -> int | None:
    """Cores that this process may run on, as far as it is pinned."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _groups(root: Path, controller: str) -> list[Path]:
    """The folders of the control groups that this process is in, from within outward, of either version.

    https://docs.kernel.org/admin-guide/cgroup-v2.html; in a container the path is often beyond what is mounted, and
    the mount itself is the group.
    """
    found = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            base = root / "sys/fs/cgroup"
        elif controller in names.split(","):
            base = root / "sys/fs/cgroup" / controller
        else:
            continue
        inner = base / path.strip("/")
        found += [one for one in (inner, *inner.parents) if one.is_relative_to(base)]
    return found


def _cgroup_cores(root: Path) -> float | None:
    """Cores' worth of time that control groups allow; None without a limit."""
    limits = []
    for group in _groups(root, "cpu"):
        quota, _, period = (_text(group / "cpu.max") or "").partition(" ")  # version 2
        if not quota:
            quota, period = _text(group / "cpu.cfs_quota_us") or "", _text(group / "cpu.cfs_period_us") or ""
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def _cgroup_memory(root: Path) -> int | None:
    """Memory that control groups allow, in bytes; None without a limit."""
    said = [
        _text(group / name) or ""
        for group in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    limits = [int(one) for one in said if one.isdigit() and int(one) < 2**60]  # version 1 writes nearly 2^63 for none
    return min(limits, default=None)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _in_time(look: Callable[[], Any], limit_s: float) -> Any:
    """What a function finds, None where it fails or takes longer than allowed."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(look())
        except Exception:  # of any kind: it comes from a vendor's package, and a run must not fail for it
            found.append(None)

    if limit_s <= 0:
        return None
    thread = threading.Thread(target=run, daemon=True, name="looking for accelerators")
    thread.start()
    thread.join(limit_s)
    return found[0] if found else None


def _accelerators() -> list[str]:
    """What metering's sources call the accelerators of this machine, each once."""
    from inferatlas.errors import InferAtlasError
    from inferatlas.measure.metering.finding import find

    names: dict[tuple[str, str], str] = {}
    for source in ACCELERATORS:
        try:
            found = find([source])
        except InferAtlasError:  # not on this machine
            continue
        try:
            names |= {(one.source, one.device): one.name or one.source for one in found.channels}
        finally:
            for one in found.sources:
                one.close()
    return list(names.values())


def _git() -> dict[str, Any] | None:
    """The commit of the current folder, and whether files that it tracks were changed; None outside a repository."""
    try:
        done = subprocess.run(
            ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
            capture_output=True, text=True, timeout=GIT_S, check=True, env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if commit is None or commit == "(initial)":  # a repository without a commit
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
