"""The machine code of the event loop: made once, kept on disk, loaded without the compiler.

The compiler would cost 0.5 s of CPU at every start, most of it for what it needs to know before it looks into its own
cache, which moreover is renewed only when the file of the function itself changes and not one that it calls. Here the
object code is kept under the digest of all sources of the loop, and LLVM loads it in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.simulate.kernel.state import FIELDS, World

HERE = Path(__file__).parent
Loop = Callable[[World, int], int]
SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
# what code generation itself may call
ALWAYS = ("memset", "memcpy", "memmove", "exp", "log", "fmod", "floor", "ceil")


def built() -> bool:
    """Whether the machine code is there; if not, the first run takes about half a minute to make it."""
    return any((folder / f"{_digest()}.json").exists() for folder in _folders())


_ALIVE: list[Any] = []  # what owns the code


@lru_cache(maxsize=1)
def loop() -> Loop:
    """``loop.advance`` as machine code: of a world and a number of events, why it came back."""
    call = _kept()
    if call is None:
        call = _made()

    def advance(world: World, events: int) -> int:
        return call(_table(world).ctypes.data, events)

    return advance


def _table(world: World) -> Any:
    """Addresses and shapes of the arrays, as the machine code reads them."""
    words: list[int] = []
    for array, (name, (kind, rank)) in zip(world, FIELDS.items(), strict=True):
        if array.dtype != kind or array.ndim != rank or not array.flags.c_contiguous:
            raise TypeError(f"{name}: {array.dtype}, {array.ndim} dimensions")
        words += [array.ctypes.data, *array.shape]
    return np.array(words, dtype=np.int64)


@lru_cache(maxsize=1)
def _digest() -> str:
    """Of the sources of the loop, the compiler and the processor."""
    from llvmlite import binding as llvm

    sums = hashlib.sha256()
    processor = llvm.get_host_cpu_name() + llvm.get_host_cpu_features().flatten()
    for part in (version("numba"), version("llvmlite"), processor):
        sums.update(part.encode())
    for file in sorted(HERE.glob("*.py")):
        sums.update(file.read_bytes())
    return sums.hexdigest()[:20]


def _folders() -> tuple[Path, ...]:
    """Where machine code may lie: beside the sources, or in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return HERE / "__pycache__" / "loop", cache / "inferatlas" / "loop"


def _kept() -> Any:
    for folder in _folders():
        with suppress(OSError, ValueError, KeyError):
            about = json.loads((folder / f"{_digest()}.json").read_bytes())
            code = (folder / f"{_digest()}.o").read_bytes()
            if hashlib.sha256(code).hexdigest() == about["sha256"]:
                return _loaded(about["entry"], code, about["outside"])
    return None


def _made() -> Any:
    """Compile, and keep the code for the next time where a folder can be written."""
    from inferatlas.simulate.kernel.compiling import build

    entry, code, outside, function = build()
    about = {"entry": entry, "outside": outside, "sha256": hashlib.sha256(code).hexdigest()}
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{_digest()}.o", code)
            _write(folder / f"{_digest()}.json", json.dumps(about).encode())
        except OSError:
            continue
        for old in folder.iterdir():
            if not old.name.startswith(_digest()):
                with suppress(OSError):
                    old.unlink()
        break
    _ALIVE.append(function)
    return SIGNATURE(function.address)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: two processes may do so at the same time."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_digest(), delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _loaded(entry: str, code: bytes, outside: list[str]) -> Any:
    """Load object code. One symbol that is not found would leave all at 0, so each is named."""
    from llvmlite import binding as llvm

    process: Any = ctypes.CDLL(None)
    nothing = ctypes.cast(process.abort, ctypes.c_void_p).value
    for name in {*ALWAYS, *outside}:
        try:
            address = ctypes.cast(getattr(process, name), ctypes.c_void_p).value
        except AttributeError:  # what the compiler calls to raise an exception: the loop raises none
            address = nothing
        llvm.add_symbol(name, address)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ALIVE.append(engine)
    return SIGNATURE(engine.get_function_address(entry))
