"""Compile the event loop to machine code, as a function that C could call; needed once per version of the sources.

Only this file and those of the loop import numba, and only where no machine code is kept yet (`machine`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np import numpy_support
from numba.np.arrayobj import make_array, populate_array

from inferatlas.simulate.kernel.state import FIELDS, World

# The loop makes no arrays, so it needs no counts of references: with them every call that hands the arrays on would
# count forty of them up and down, which makes the loop ten times slower.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}


def jit(function: Callable[..., Any]) -> Any:
    """A function of the loop, called by others of it."""
    options: Any = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(**options)(function)


def build() -> tuple[str, bytes, list[str], Any]:
    """Name and object code of the loop, the symbols that it takes from outside, and the function itself."""
    from inferatlas.simulate.kernel.loop import advance

    kinds = [types.Array(numpy_support.from_dtype(kind), rank, "C") for kind, rank in FIELDS.values()]
    opened = _opener(types.NamedTuple(kinds, World))

    def entry(table: Any, events: int) -> Any:
        return advance(opened(table), events)

    signature: Any = types.int64(types.CPointer(types.int64), types.int64)
    options: Any = OPTIONS
    made: Any = numba.cfunc(signature, **options)(entry)
    library = made._library
    module = library._final_module
    outside = [it.name for it in (*module.functions, *module.global_variables) if it.is_declaration]
    return made.native_name, library._get_compiled_object(), [n for n in outside if not n.startswith("llvm.")], made


def _opener(world: Any) -> Any:
    """A function that makes the arrays of a `World` from a table of addresses and shapes."""

    @intrinsic
    def opened(_: Any, table: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            words, made, at = args[0], [], 0

            def word(n: int) -> Any:
                return builder.load(builder.gep(words, [ir.Constant(ir.IntType(64), n)]))

            for kind in world.types:
                array = make_array(kind)(context, builder)
                size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
                shape = [word(at + 1 + axis) for axis in range(kind.ndim)]
                strides: list[Any] = []
                step = size
                for length in reversed(shape):
                    strides.insert(0, step)
                    step = builder.mul(step, length)
                populate_array(
                    array, data=builder.inttoptr(word(at), array.data.type), shape=shape, strides=strides,
                    itemsize=size, meminfo=None,
                )  # fmt: skip
                made.append(array._getvalue())
                at += 1 + kind.ndim
            return context.make_tuple(builder, world, made)

        return world(table), codegen

    return opened
