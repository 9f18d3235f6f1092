"""Arithmetic over named inputs: parsed into a tree of a few allowed nodes, never evaluated as code.

An expression knows its value for given numbers (or vectors), the interval that the rounding of its inputs leaves, and
its unit. Names are inputs; a vector is a column of a table, and what a table does not state is NaN there.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.quantities import formula_units
from inferatlas.studies.claims.functions import FUNCTIONS, Number, Span, of_abs
from inferatlas.studies.claims.units import spelt

LONGEST, DEEPEST = 300, 25  # characters, levels: a claim is a line of arithmetic
LARGEST_POWER = 100
MOST_NAMES = 10
MOST_PIECES = 64  # into which the spans of inputs that occur more than once are cut


def _power(base: Number, power: float) -> Number:
    """A power; NaN where Python would answer with a complex number."""
    found = base**power
    return math.nan if isinstance(found, complex) else found


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: _power,
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
        """From where to where it can be while every input lies within its own interval (entry by entry of a vector).

        Never narrower than that: interval arithmetic, operation by operation. It is exact where every input occurs
        once. A number that occurs more than once is followed in pieces, as both places have the same value; the
        result is then slightly too wide, as it is for a vector that occurs more than once. The span of a correlation
        is to first order.

        Examples
        --------
        >>> low, high = parse("(a - b) ** 2").interval({"a": 1, "b": 1.5}, {"a": 2, "b": 2.5}, {"a": 3, "b": 3.5})
        >>> float(low), float(high)
        (0.0, 6.25)
        """
        twice = Counter(node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name))
        cut = [
            name for name in self.names
            if twice[name] > 1 and np.ndim(value[name]) == 0 and np.isfinite(np.array([low[name], high[name]])).all()
            and low[name] != high[name]
        ]  # fmt: skip
        pieces = max(1, int(MOST_PIECES ** (1 / len(cut)) + 1e-9)) if cut else 1
        marks = {name: np.linspace(low[name], high[name], pieces + 1) for name in cut}
        middle = np.asarray(self.value(value), dtype=float)
        least, most = [middle], [middle]
        for steps in product(range(pieces), repeat=len(cut)):
            at: dict[str, Span] = {name: (low[name], high[name]) for name in self.names}
            at |= {name: (marks[name][i], marks[name][i + 1]) for name, i in zip(cut, steps, strict=True)}
            with np.errstate(all="ignore"):
                ends = _span(self.tree, at)
            # where only an end is undefined, nothing bounds it on that side
            for known, end, beyond in ((least, ends[0], -math.inf), (most, ends[1], math.inf)):
                known.append(np.where(np.isnan(end) & np.isfinite(middle), beyond, end))
        return (
            np.fmin.reduce(np.stack(np.broadcast_arrays(*least))),
            np.fmax.reduce(np.stack(np.broadcast_arrays(*most))),
        )

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
        with warnings.catch_warnings(action="ignore"):  # "2if" and its like warn before they are refused
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
    function = FUNCTIONS[name]
    if not function.fewest <= len(arguments) <= function.most:
        raise _not_arithmetic(text, f"{name} takes {function.fewest} to {function.most} arguments", field)
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
        return _OPERATORS[type(node.op)](_value(node.left, inputs), _value(node.right, inputs))
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id].value(*(_value(part, inputs) for part in node.args))


def _span(node: ast.expr, at: Mapping[str, Span]) -> Span:
    """From where to where an expression can be, its inputs lying anywhere in their spans."""
    if isinstance(node, ast.Constant):
        return _value(node, {}), _value(node, {})
    if isinstance(node, ast.Name):
        low, high = at[node.id]
        return np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if isinstance(node, ast.UnaryOp):
        low, high = _span(node.operand, at)
        return (np.negative(high), np.negative(low)) if isinstance(node.op, ast.USub) else (low, high)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return FUNCTIONS[node.func.id].span(*(_span(part, at) for part in node.args))
    assert isinstance(node, ast.BinOp)
    left = _span(node.left, at)
    if isinstance(node.op, ast.Pow):
        return _span_of_power(left, float(ast.literal_eval(node.right)))
    right = _span(node.right, at)
    match node.op:
        case ast.Add():
            return np.add(left[0], right[0]), np.add(left[1], right[1])
        case ast.Sub():
            return np.subtract(left[0], right[1]), np.subtract(left[1], right[0])
        case ast.Mult():
            return _span_of_product(left, right)
    return _span_of_product(left, _span_of_inverse(right))


def _span_of_product(left: Span, right: Span) -> Span:
    every = np.stack(np.broadcast_arrays(*(np.multiply(a, b) for a in left for b in right)))
    return np.min(every, axis=0), np.max(every, axis=0)


def _span_of_inverse(span: Span) -> Span:
    """1/x; anything where x may be zero."""
    low, high = np.asarray(span[0]), np.asarray(span[1])
    holds_zero = (low <= 0) & (high >= 0)
    return np.where(holds_zero, -math.inf, 1 / high), np.where(holds_zero, math.inf, 1 / low)


def _span_of_power(span: Span, power: float) -> Span:
    if power < 0:
        return _span_of_inverse(_span_of_power(span, -power))
    if power % 2 == 0:
        span = of_abs(span)
    return np.power(span[0], power), np.power(span[1], power)


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
    does = FUNCTIONS[node.func.id].unit
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
