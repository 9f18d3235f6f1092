"""Arrays that carry derivatives: forward-mode differentiation of predictions, exact to rounding.

A `Dual` is an array of values with one tangent for each direction. The formulas of the predictor are run with it as
they are: numpy hands every operation to `Dual`, which applies the chain rule. Comparisons, and what rounds to whole
numbers, act on values and have no derivative. An operation without a rule, or one that would drop tangents, raises
``TypeError``; nothing is differentiated wrongly in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike

from inferatlas.predict.arrays import Floats

LN2 = float(np.log(2.0))
Partials = Callable[..., tuple[Any, ...]]  # (*inputs, result) -> derivative of the result by each input

PARTIALS: dict[np.ufunc, Partials] = {
    np.add: lambda x, y, out: (1.0, 1.0),
    np.subtract: lambda x, y, out: (1.0, -1.0),
    np.multiply: lambda x, y, out: (y, x),
    np.divide: lambda x, y, out: (1.0 / y, -out / y),
    np.power: lambda x, y, out: (y * x ** (y - 1.0), np.log(x) * out),
    np.maximum: lambda x, y, out: (1.0 * (x >= y), 1.0 * (x < y)),
    np.minimum: lambda x, y, out: (1.0 * (x <= y), 1.0 * (x > y)),
    np.hypot: lambda x, y, out: (x / out, y / out),
    np.negative: lambda x, out: (-1.0,),
    np.sqrt: lambda x, out: (0.5 / out,),
    np.exp: lambda x, out: (out,),
    np.exp2: lambda x, out: (out * LN2,),
    np.log: lambda x, out: (1.0 / x,),
    np.log2: lambda x, out: (1.0 / (x * LN2),),
    np.log1p: lambda x, out: (1.0 / (1.0 + x),),
}
# derivative 0 wherever there is one
FLAT = {
    np.floor, np.ceil, np.sign, np.isnan, np.isfinite, np.less, np.less_equal, np.greater, np.greater_equal,
    np.equal, np.not_equal,
}  # fmt: skip


class Dual(NDArrayOperatorsMixin):
    """Values, and how they change along each direction.

    Parameters
    ----------
    value : array of any shape, in double precision. tangent : [direction, *shape of value].

    Examples
    --------
    The derivative of x² at 3 is 6:

    >>> x = Dual(np.array([3.0]), np.array([[1.0]]))
    >>> y = x * x
    >>> y.value.tolist(), y.tangent.tolist()
    ([9.0], [[6.0]])
    """

    __slots__ = ("tangent", "value")

    def __init__(self, value: Any, tangent: Floats) -> None:
        self.value = np.asarray(value, dtype=np.float64)
        self.tangent = tangent

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    def __repr__(self) -> str:
        return f"Dual({self.value}, {len(self.tangent)} directions)"

    def __bool__(self) -> bool:
        return bool(self.value)

    def __getitem__(self, index: Any) -> Dual:
        return Dual(self.value[index], self.tangent[_beyond(index)])

    def __setitem__(self, index: Any, new: Any) -> None:
        self.value[index] = plain(new)
        self.tangent[_beyond(index)] = new.tangent if isinstance(new, Dual) else 0.0

    def __array__(self, *_: Any, **__: Any) -> Floats:
        raise TypeError("an array with derivatives stands where a plain one is needed: they would be lost")

    def copy(self) -> Dual:
        return Dual(self.value.copy(), self.tangent.copy())

    def astype(self, dtype: DTypeLike, copy: bool = True) -> Dual:
        """The same in double precision; anything else would cost the derivatives their digits."""
        if np.dtype(dtype) != np.float64:
            raise TypeError(f"derivatives are carried in double precision, not in {np.dtype(dtype)}")
        return self.copy() if copy else self

    def take(self, index: Any, axis: int | None = None, mode: Literal["raise", "wrap", "clip"] = "raise") -> Dual:
        """Entries along an axis, as `numpy.take`; of the first axis, or the only one."""
        if axis not in (None, 0) or (axis is None and self.value.ndim > 1):
            raise TypeError("entries of an array with derivatives are taken along its first axis")
        return Dual(self.value.take(index, axis=0, mode=mode), self.tangent.take(index, axis=1, mode=mode))

    def sum(self, axis: int) -> Dual:
        """Sum along an axis, counted from 0."""
        return Dual(self.value.sum(axis=axis), self.tangent.sum(axis=axis + 1))

    def max(self, axis: int) -> Dual:
        """The largest along an axis, counted from 0, with its own derivatives; of equals the first."""
        at = np.expand_dims(self.value.argmax(axis=axis), axis)
        tangent = np.take_along_axis(self.tangent, at[None], axis=axis + 1)
        return Dual(self.value.max(axis=axis), tangent.squeeze(axis=axis + 1))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method != "__call__" or options or not (ufunc in FLAT or ufunc in PARTIALS):
            raise TypeError(f"no rule to differentiate {ufunc.__name__} ({method})")
        values = [plain(x) for x in inputs]
        if ufunc in FLAT:
            return ufunc(*values, **({} if out is None else {"out": out}))
        with np.errstate(all="ignore"):  # 0 times infinity: what does not move, moves nothing
            value = np.asarray(ufunc(*values))
            slopes = PARTIALS[ufunc](*values, value)
            parts = [
                _moved(slope, _aligned(x.tangent, value.ndim))
                for x, slope in zip(inputs, slopes, strict=True)
                if isinstance(x, Dual)
            ]
        tangent = sum(parts[1:], start=parts[0])
        found = Dual(value, _whole(tangent, value))
        return found if out is None else _into(out[0], found)

    def __array_function__(self, func: Any, types: Sequence[type], args: Any, kwargs: Any) -> Any:
        if func not in FUNCTIONS:
            raise TypeError(f"no rule to differentiate {func.__name__}")
        return FUNCTIONS[func](self, *args, **kwargs)


def plain(x: Any) -> Any:
    """The values of an array with derivatives; anything else as it is."""
    return x.value if isinstance(x, Dual) else x


def _beyond(index: Any) -> tuple[Any, ...]:
    """An index of values as one of tangents: directions come first."""
    return (slice(None), *(index if isinstance(index, tuple) else (index,)))


def _aligned(tangent: Floats, ndim: int) -> Floats:
    """Directions first, then as many axes as the result has."""
    return tangent.reshape(len(tangent), *(1,) * (ndim + 1 - tangent.ndim), *tangent.shape[1:])


def _moved(slope: Any, tangent: Floats) -> Floats:
    return np.where(tangent == 0.0, 0.0, slope * tangent)


def _whole(tangent: Floats, value: Floats) -> Floats:
    """Tangents of the shape of the values, to be written to."""
    shape = (len(tangent), *value.shape)
    return tangent if tangent.shape == shape else np.broadcast_to(tangent, shape).copy()


def _into(out: Any, found: Dual) -> Dual:
    """Write a result where it was asked for. A plain array cannot hold it: whoever reads on from that one gets NaN."""
    if isinstance(out, Dual):
        out.value, out.tangent = found.value, found.tangent
        return out
    out.fill(np.nan)
    return found


def _where(like: Dual, condition: Any, a: Any, b: Any) -> Dual:
    value = np.where(condition, plain(a), plain(b))
    tangents = (_aligned(x.tangent, value.ndim) if isinstance(x, Dual) else 0.0 for x in (a, b))
    return Dual(value, _whole(np.where(condition, *tangents), value))


def _clip(like: Dual, x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def _filled(like: Dual, shape: Any, value: float) -> Dual:
    at = np.full(shape, value)
    return Dual(at, np.zeros((len(like.tangent), *at.shape)))


def _interp(like: Dual, x: Dual, xp: Floats, fp: Floats) -> Dual:
    piece = np.clip(np.searchsorted(xp, x.value, side="right") - 1, 0, len(xp) - 2)
    slope = (fp[piece + 1] - fp[piece]) / (xp[piece + 1] - xp[piece])
    slope = np.where((x.value < xp[0]) | (x.value > xp[-1]), 0.0, slope)
    return Dual(np.interp(x.value, xp, fp), _moved(slope, x.tangent))


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.interp: _interp,
    np.argsort: lambda like, x, axis=-1: np.argsort(x.value, axis=axis),
    np.zeros_like: lambda like, x: _filled(like, plain(x).shape, 0.0),
    np.ones_like: lambda like, x: _filled(like, plain(x).shape, 1.0),
    np.full_like: lambda like, x, value: _filled(like, plain(x).shape, value),
    np.empty: lambda like, shape, dtype=None: _filled(like, shape, np.nan),
}


def variable(value: Floats, directions: int, direction: int) -> Dual:
    """Values that move at speed 1 along one direction and stand still along all others."""
    tangent = np.zeros((directions, *np.shape(value)))
    tangent[direction] = 1.0
    return Dual(value, tangent)


def settled(f: Callable[[Any], Any], found: Floats, ends: Any, inside: Any) -> Any:
    """The derivatives of a root by the implicit function theorem: where ``f(x, p) = 0``, ``dx/dp = -f_p/f_x``.

    Parameters
    ----------
    f : whose root was found, with derivatives. Its last direction must be free: it is used for ``f_x``.
    found : the root, in plain values. ends : of the interval searched, where ``f`` does not change its sign.
    inside : it does.

    Examples
    --------
    The root of ``x² - p`` is the square root of p; at p = 4 it grows by 1/4 of what p does:

    >>> p = Dual(np.array([4.0]), np.array([[1.0], [0.0]]))
    >>> x = settled(lambda x: x * x - p, np.array([2.0]), np.array([0.0]), np.array([True]))
    >>> x.tangent.tolist()
    [[0.25], [0.0]]
    """
    first = f(found)
    moving = f(variable(found, len(first.tangent), -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        tangent = -first.tangent / moving.tangent[-1]
    ends = ends if isinstance(ends, Dual) else Dual(ends, np.zeros_like(tangent))
    return Dual(np.where(inside, found, ends.value), np.where(inside, tangent, ends.tangent))
