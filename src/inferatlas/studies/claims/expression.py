"""Arithmetic over named inputs: parsed into a tree of a few allowed nodes, never evaluated as code.

An expression knows its value for given numbers (or vectors), the interval that the rounding of its inputs leaves, and
its unit. Names are inputs; a vector is a column of a table, and what a table does not state is NaN there.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.quantities import formula_units
from inferatlas.studies.claims.units import spelt

Number = float | np.ndarray
LONGEST, DEEPEST = 300, 25  # characters, levels: a claim is a line of arithmetic
LARGEST_POWER = 100
MOST_NAMES = 10  # an interval takes an evaluation per combination of their ends


def _paired(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The entries that both vectors have; a correlation takes three."""
    both = np.isfinite(x) & np.isfinite(y)
    return x[both], y[both]


def _corr(x: Number, y: Number) -> float:
    a, b = _paired(np.atleast_1d(x), np.atleast_1d(y))
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and np.ptp(a) and np.ptp(b) else math.nan


def _spearman(x: Number, y: Number) -> float:
    from scipy.stats import rankdata

    a, b = _paired(np.atleast_1d(x), np.atleast_1d(y))
    return _corr(rankdata(a), rankdata(b)) if len(a) > 2 else math.nan


def _over(function: Callable[[np.ndarray], Any]) -> Callable[..., float]:
    """A function over one vector or several numbers; entries that are not stated drop out."""

    def of(*values: Number) -> float:
        all_ = np.concatenate([np.atleast_1d(value) for value in values])
        there = all_[np.isfinite(all_)]
        return float(function(there)) if len(there) else math.nan

    return of


# name -> (function, what it does to the unit, fewest arguments, most)
FUNCTIONS: dict[str, tuple[Callable[..., Any], str, int, int]] = {
    "min": (_over(np.min), "same", 1, 20), "max": (_over(np.max), "same", 1, 20),
    "sum": (_over(np.sum), "same", 1, 20), "mean": (_over(np.mean), "same", 1, 20),
    "median": (_over(np.median), "same", 1, 20),
    "spread": (_over(lambda x: x.max() / x.min()), "ratio", 1, 20),
    "count": (_over(len), "ratio", 1, 20),
    "abs": (np.abs, "same", 1, 1), "sqrt": (np.sqrt, "root", 1, 1),
    "ceil": (np.ceil, "pure", 1, 1), "floor": (np.floor, "pure", 1, 1),
    "log": (np.log, "pure", 1, 1), "exp": (np.exp, "pure", 1, 1),
    "corr": (_corr, "pair", 2, 2), "spearman": (_spearman, "pair", 2, 2),
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", lambda a, b: a + b), ast.Sub: ("-", lambda a, b: a - b), ast.Mult: ("*", lambda a, b: a * b),
    ast.Div: ("/", lambda a, b: a / b), ast.Pow: ("**", lambda a, b: a**b),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; `parse` makes it."""

    text: str
    names: tuple[str, ...]
    tree: ast.expr

    def value(self, inputs: Mapping[str, Number]) -> Number:
        """Its value; NaN where it is undefined (a division by zero, a column with nothing in it)."""
        with np.errstate(all="ignore"):
            try:
                return _value(self.tree, inputs)
            except (ZeroDivisionError, OverflowError, ValueError):
                return math.nan

    def interval(
        self, low: Mapping[str, Number], value: Mapping[str, Number], high: Mapping[str, Number]
    ) -> tuple[Number, Number]:
        """The least and the most it can be while every input lies within its own interval: over all their ends.

        Exact for expressions that are monotone in each input while the others stand still, as sums, products and
        quotients of positive inputs are.
        """
        moving = [name for name in self.names if not np.array_equal(low[name], high[name], equal_nan=True)]
        ends = [np.asarray(self.value(value), dtype=float)]
        for corner in product((low, high), repeat=len(moving)):
            at = {**value, **{name: end[name] for name, end in zip(moving, corner, strict=True)}}
            ends.append(np.asarray(self.value(at), dtype=float))
        found = np.stack(np.broadcast_arrays(*ends))
        return np.fmin.reduce(found), np.fmax.reduce(found)

    def unit(self, units: Mapping[str, Any]) -> Any:
        """Its pint unit, of inputs with these units (of `formula_units`).

        Raises
        ------
        BadInput : it adds or compares quantities of different units, or takes a logarithm of one.
        """
        return _unit(self.tree, units, self.text)


def parse(text: str, *, field: str = "expression") -> Expression:
    """An expression from its text.

    Raises
    ------
    BadInput : it is no arithmetic, too long, or uses an unknown function.

    Examples
    --------
    >>> one = parse("rate / (chips * power)")
    >>> one.names, one.value({"rate": 6.0, "chips": 2.0, "power": 1.5})
    (('rate', 'chips', 'power'), 2.0)
    >>> parse("__import__('os').system('ls')")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: expression: '__import__('os').system('ls')' is not arithmetic: a call of something ...
    """
    if not isinstance(text, str) or not text.strip():
        raise BadInput("an expression is missing", field=field, allowed="arithmetic over the inputs, such as 'a / b'")
    if len(text) > LONGEST:
        raise BadInput(f"an expression of {len(text)} characters", field=field, allowed=f"at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _not_arithmetic(text, "it cannot be read", field) from None
    names: list[str] = []
    _check(tree, text, names, field, 0)
    if len(set(names)) > MOST_NAMES:
        raise _not_arithmetic(text, f"it has {len(set(names))} inputs, and at most {MOST_NAMES} are followed", field)
    return Expression(text.strip(), tuple(dict.fromkeys(names)), tree)


def _not_arithmetic(text: str, why: str, field: str) -> BadInput:
    allowed = f"names of inputs, numbers, + - * / ** ( ), and {', '.join(FUNCTIONS)}"
    return BadInput(f"'{text}' is not arithmetic: {why}", field=field, allowed=allowed)


def _check(node: ast.expr, text: str, names: list[str], field: str, depth: int) -> None:
    """Refuse every node that is no arithmetic, and note the names."""
    if depth > DEEPEST:
        raise _not_arithmetic(text, "it is nested too deeply", field)
    parts: Sequence[ast.expr] = ()
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool) and abs(number) < 1e30:
            pass
        case ast.Name(id=name) if name not in FUNCTIONS:
            names.append(name)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            parts = (operand,)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            if isinstance(op, ast.Pow) and not _is_small(right):
                raise _not_arithmetic(text, f"a power is a number of at most {LARGEST_POWER}", field)
            parts = (left, right)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            parts = _arguments(name, arguments, text, field)
        case ast.Call():
            raise _not_arithmetic(text, "a call of something else than a known function", field)
        case _:
            raise _not_arithmetic(text, f"{type(node).__name__} is not allowed", field)
    for part in parts:
        _check(part, text, names, field, depth + 1)


def _arguments(name: str, arguments: Sequence[ast.expr], text: str, field: str) -> Sequence[ast.expr]:
    _, _, fewest, most = FUNCTIONS[name]
    if not fewest <= len(arguments) <= most:
        raise _not_arithmetic(text, f"{name} takes {fewest} to {most} arguments", field)
    return arguments


def _is_small(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return (
        isinstance(inner, ast.Constant) and isinstance(inner.value, int | float) and abs(inner.value) <= LARGEST_POWER
    )


def _value(node: ast.expr, inputs: Mapping[str, Number]) -> Any:
    if isinstance(node, ast.Constant):
        return float(node.value)  # pyright: ignore[reportArgumentType] - `_check` let only numbers pass
    if isinstance(node, ast.Name):
        return inputs[node.id]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, inputs)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)][1](_value(node.left, inputs), _value(node.right, inputs))
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id][0](*(_value(part, inputs) for part in node.args))


def _unit(node: ast.expr, units: Mapping[str, Any], text: str) -> Any:
    none = formula_units().Unit("")
    if isinstance(node, ast.Constant):
        return none
    if isinstance(node, ast.Name):
        return units[node.id]
    if isinstance(node, ast.UnaryOp):
        return _unit(node.operand, units, text)
    if isinstance(node, ast.BinOp):
        left, right = _unit(node.left, units, text), _unit(node.right, units, text)
        if isinstance(node.op, ast.Add | ast.Sub):
            return _alike((left, right), text)
        if isinstance(node.op, ast.Pow):
            return left ** float(ast.literal_eval(node.right))
        return left * right if isinstance(node.op, ast.Mult) else left / right
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    parts = [_unit(part, units, text) for part in node.args]
    does = FUNCTIONS[node.func.id][1]
    if does == "pair":
        return none
    unit = _alike(parts, text)
    if does == "pure" and unit.dimensionality:
        raise BadInput(f"'{text}': {node.func.id} of {spelt(unit)}", field="expression", allowed="a ratio")
    return {"same": unit, "ratio": none, "root": unit**0.5, "pure": none}[does]


def _alike(units: Sequence[Any], text: str) -> Any:
    """The one unit of what is added or compared."""
    first = units[0]
    for other in units[1:]:
        if other.dimensionality != first.dimensionality:
            raise BadInput(
                f"'{text}' adds or compares {spelt(first)} and {spelt(other)}",
                field="expression",
                allowed="quantities of one unit",
            )
    return first
