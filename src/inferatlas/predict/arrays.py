"""Floating-point arrays: double by default, single where a sweep asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]  # of float64, or of float32 in a sweep
Ints = NDArray[np.int32]


def as_floats(value: ArrayLike) -> Floats:
    """The value as an array of floats: float32 stays float32, everything else becomes float64.

    Formulas written with this serve single questions in double precision and sweeps of a million points
    in single (half the memory traffic; they agree to five digits, the intervals have one).

    >>> as_floats(3).dtype, as_floats(np.float32([1, 2])).dtype
    (dtype('float64'), dtype('float32'))
    """
    array: Any = value if hasattr(value, "tangent") else np.asarray(value)  # a `Dual` passes with its derivatives
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)
