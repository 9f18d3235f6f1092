"""Compile the event loop, and keep the machine code on disk until any file of this folder changes.

numba renews a function's cache when the file of that function changes, not when that of a function it calls does: a
stale loop would give wrong answers silently. The folder of the cache is therefore named by the digest of all files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import njit

HERE = Path(__file__).parent
# The loop makes no arrays, so it needs no counts of references: with them every call that hands the arrays on would
# count forty of them up and down, which makes the loop ten times slower.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}


def jit(function: Callable[..., Any]) -> Any:
    """A function that only compiled ones call."""
    options: Any = {**OPTIONS, "no_cpython_wrapper": True}
    return njit(**options)(function)


def digest() -> str:
    """Of the sources of the loop and of the compiler's version."""
    sums = hashlib.sha256(numba.__version__.encode())
    for file in sorted(HERE.glob("*.py")):
        sums.update(file.read_bytes())
    return sums.hexdigest()[:16]


def entry(function: Callable[..., Any]) -> Any:
    """A function to be called from Python, with what it calls; from the cache where that is of these sources."""
    folder = _folder()
    if folder is None:
        return njit(**OPTIONS, nogil=True)(function)
    settings: Any = numba.config  # pyright: ignore[reportPrivateImportUsage] - documented as numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        return njit(**OPTIONS, nogil=True, cache=True)(function)
    finally:
        settings.CACHE_DIR = before


def _folder() -> Path | None:
    """Beside the sources, or in the user's cache; None where neither can be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferatlas"
    for parent in (HERE / "__pycache__", cache):
        folder = parent / f"loop-{digest()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            for old in parent.glob("loop-*"):
                if old != folder:
                    shutil.rmtree(old, ignore_errors=True)
            return folder
    return None
