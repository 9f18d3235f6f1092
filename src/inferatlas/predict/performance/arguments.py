"""Arguments of the array functions: None becomes NaN (unknown stays unknown), the impossible is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput

Array = NDArray[np.float64]


def floats(
    value: ArrayLike | None, field: str, low: float = -np.inf, high: float = np.inf, *, above: float | None = None
) -> Array:
    """The value as a float array; NaN passes, a value outside the range raises.

    Parameters
    ----------
    value : number, array or None (also None inside a list).
    field : name used in the error.
    low, high : closed bounds; ``above`` is an open lower bound.

    Examples
    --------
    >>> floats([1, None], "rate", 0)
    array([ 1., nan])
    """
    try:
        array: Any = value if hasattr(value, "tangent") else np.asarray(value, dtype=float)  # a `Dual` passes
    except (TypeError, ValueError):
        raise BadInput(f"{value!r} is not a number", field=field) from None
    wrong = (array < low) | (array > high)
    if above is not None:
        wrong |= array <= above
    if np.any(wrong):
        ends = [f"above {above:g}"] if above is not None else [f"{low:g} or more"] if low > -np.inf else []
        ends += [f"at most {high:g}"] if high < np.inf else []
        raise BadInput(f"{float(array[wrong].flat[0]):g} is out of range", field=field, allowed=", ".join(ends))
    return array
