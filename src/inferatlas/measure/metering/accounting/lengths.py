"""Energy of prefill and of decode from outside: a regression over a grid of input and output lengths.

In: a `Grid` of measured runs (`grid_files.py` reads one). Out: joules per prefill token, per decode token and per token
of context read, by equation ``E = N (a ISL + b OSL + c OSL (ISL + OSL/2))`` of reference/energy.md, section 6, with
their uncertainty. It needs nothing of the engine but its API.

The share of wall time would not do: prefill runs near the power limit and decode well below it (137 to 300 W on an
H200, https://arxiv.org/abs/2605.11999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput

Array = NDArray[np.float64]

LEAST_PAIRS = 4  # three coefficients, and one pair of lengths to judge them by
MOST_CONDITION = 100.0  # so many times a relative error of the measurements may show in a coefficient
PASSES = 4  # of weighting by the fit itself; the second changes it by the square of the noise
ADVICE = "measure every pair of inputs such as 128, 1024, 4096 with outputs such as 1, 128, 512"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Runs of known lengths, n of them.

    Parameters
    ----------
    requests, input_tokens, output_tokens : shape (n,), 1 or more: requests in the window, tokens of each of them.
    joules : shape (n,), energy of the window, above 0, all in one scope; net of idle or gross, and so is the answer.
    uncertainty_j : shape (n,), standard uncertainty of each run on its own, above 0; without the gain that all share.
        None: all runs are taken to be equally wrong in proportion.
    name : of the file, for messages.

    Raises
    ------
    BadInput : columns that break these rules.
    """

    requests: Array
    input_tokens: Array
    output_tokens: Array
    joules: Array
    uncertainty_j: Array | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        columns = {"requests": 1, "input_tokens": 1, "output_tokens": 1, "joules": 0, "uncertainty_j": 0}
        for field, low in columns.items():
            column = getattr(self, field)
            if column is None:
                continue
            if column.shape != (len(self.joules),):
                raise BadInput("columns differ in length", field=field, allowed="one value per run", file=self.name)
            if not np.all(np.isfinite(column) & (column >= low) & (column > 0)):
                allowed = "1 or more" if low else "above 0"
                raise BadInput("a value out of range", field=field, allowed=allowed, file=self.name)

    def design(self) -> Array:
        """Shape (n, 3): what the three coefficients are multiplied with."""
        return self.requests[:, None] * work(self.input_tokens, self.output_tokens)


def work(input_tokens: Array, output_tokens: Array) -> Array:
    """Tokens prefilled, decoded and read as context by one request, shape (..., 3).

    Examples
    --------
    >>> work(np.array([1000.0]), np.array([10.0])).tolist()
    [[1000.0, 10.0, 10050.0]]
    """
    return np.stack([input_tokens, output_tokens, output_tokens * (input_tokens + output_tokens / 2)], axis=-1)


class Phases(NamedTuple):
    """Joules of one request by phase, with standard uncertainties (k = 1)."""

    prefill_j: float
    decode_j: float
    prefill_u_j: float
    decode_u_j: float


@dataclass(frozen=True, slots=True, eq=False)
class LengthFit:
    """Joules per token of prefill, of decode, and per token of context that a decoded token reads.

    Parameters
    ----------
    prefill_j, decode_j, context_j : a, b and c; never below 0.
    covariance : shape (3, 3), J^2. Of the fit without the bound at 0, so that a coefficient at 0 keeps its uncertainty.
    errors_from : the larger of both, on which the covariance rests: ``residuals`` or ``uncertainties``.
    r2 : of joules per request. left_out : shape (pairs, 3), input and output tokens and the relative error of the pair
        when the fit has not seen it.
    condition : of the scaled design, at most `MOST_CONDITION`.
    """

    prefill_j: float
    decode_j: float
    context_j: float
    covariance: Array
    errors_from: Literal["residuals", "uncertainties"]
    r2: float
    left_out: Array
    condition: float

    @property
    def coefficients(self) -> Array:
        return np.array([self.prefill_j, self.decode_j, self.context_j])

    @property
    def uncertainties(self) -> tuple[float, float, float]:
        """Standard ones (k = 1) of a, b and c."""
        a, b, c = np.sqrt(np.diag(self.covariance)).tolist()
        return a, b, c

    @property
    def left_out_error(self) -> float:
        """Median size of the relative errors on pairs that the fit has not seen."""
        return float(np.median(np.abs(self.left_out[:, 2])))

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; uncertainties are standard ones (k = 1)."""
        names = ("joules_per_prefill_token", "joules_per_decode_token", "joules_per_context_token_read")
        values = zip(names, self.coefficients.tolist(), self.uncertainties, strict=True)
        figures = {name: {"value": value, "uncertainty": u} for name, value, u in values}
        return figures | {
            "errors_from": self.errors_from, "r2": self.r2, "left_out_error": self.left_out_error,
            "condition": self.condition, "pairs": len(self.left_out),
        }  # fmt: skip

    def split(self, input_tokens: float, output_tokens: float) -> Phases:
        """Joules of one request in prefill and in decode: ``a ISL`` and ``b OSL + c OSL (ISL + OSL/2)``.

        Raises
        ------
        BadInput : a length below one token.
        """
        for field, value in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
            if not 1 <= value < math.inf:
                raise BadInput(f"{value!r} tokens", field=field, allowed="1 or more")
        row = work(np.array(float(input_tokens)), np.array(float(output_tokens)))
        prefill, decode = row * [1, 0, 0], row * [0, 1, 1]
        u = [math.sqrt(max(float(each @ self.covariance @ each), 0.0)) for each in (prefill, decode)]
        return Phases(float(prefill @ self.coefficients), float(decode @ self.coefficients), *u)


def fit_lengths(grid: Grid, *, gain: float = 0.0) -> LengthFit:
    """Fit joules per token of prefill, decode and context to a grid; none may be negative.

    Least squares weighted by the uncertainty of each run, or in proportion to its energy where none is stated. The
    covariance is that of the stated uncertainties, or larger where the residuals are (n - 3 degrees of freedom).

    Parameters
    ----------
    gain : relative standard uncertainty of the meter that all runs share. It does not average out: it is added to the
        covariance, the same error in all three.

    Raises
    ------
    BadInput : a gain out of range; fewer than 4 different pairs of lengths, no run of one output token, or lengths that
        do not tell the coefficients apart, each with what to measure.

    Examples
    --------
    >>> isl, osl = np.array([128.0, 128.0, 2048.0, 2048.0, 2048.0]), np.array([1.0, 256.0, 1.0, 64.0, 256.0])
    >>> fit = fit_lengths(Grid(np.full(5, 10.0), isl, osl, 10 * work(isl, osl) @ [0.05, 0.4, 2e-5]))
    >>> [round(each, 9) for each in fit.coefficients.tolist()], round(fit.r2, 9)
    ([0.05, 0.4, 2e-05], 1.0)
    >>> [round(each, 6) for each in fit.split(1000, 100)[:2]]
    [50.0, 42.1]
    """
    if not 0 <= gain < 1:
        raise BadInput(f"{gain!r} is out of range", field="gain", allowed="0 or more, below 1")
    pairs, which = np.unique(np.stack([grid.input_tokens, grid.output_tokens], axis=-1), axis=0, return_inverse=True)
    if len(pairs) < LEAST_PAIRS:
        message, allowed = f"{len(pairs)} different pairs of input and output tokens", f"{LEAST_PAIRS} or more"
        raise BadInput(message, field="grid", allowed=allowed, hint=ADVICE, file=grid.name)
    if not np.any(grid.output_tokens == 1):
        message = "no run of one output token, which is prefill nearly alone"
        hint = "measure at least two inputs with output_tokens 1"
        raise BadInput(message, field="output_tokens", allowed="1 in some run", hint=hint, file=grid.name)
    which, design = which.reshape(-1), grid.design()  # NumPy 2.0 gives it a second axis
    theta, u = _fit(design, grid.joules, grid.uncertainty_j)
    weighted = design / u[:, None]
    condition = float(np.linalg.cond(weighted / np.linalg.norm(weighted, axis=0)))
    if not condition <= MOST_CONDITION:
        raise BadInput(
            f"these lengths do not tell prefill, decode and context apart (condition {condition:.3g})", field="grid",
            allowed=f"a condition up to {MOST_CONDITION:g}", hint=_advice(grid), file=grid.name,
        )  # fmt: skip
    fitted = design @ theta
    scatter = float(np.sum(((grid.joules - fitted) / u) ** 2)) / (len(fitted) - 3)
    stated = grid.uncertainty_j is not None and scatter <= 1
    covariance = np.linalg.inv(weighted.T @ weighted) * (1.0 if stated else scatter)
    each = grid.joules / grid.requests
    missed = np.sum((each - fitted / grid.requests) ** 2)
    spread = np.sum((each - each.mean()) ** 2)
    errors = [_left_out(grid, design, which == pair) for pair in range(len(pairs))]
    a, b, c = theta.tolist()
    return LengthFit(
        prefill_j=a,
        decode_j=b,
        context_j=c,
        covariance=covariance + gain**2 * np.outer(theta, theta),
        errors_from="uncertainties" if stated else "residuals",
        r2=float(1 - missed / spread) if spread > 0 else math.nan,
        left_out=np.column_stack([pairs, errors]),
        condition=condition,
    )


def _fit(design: Array, joules: Array, uncertainty_j: Array | None) -> tuple[Array, Array]:
    """Coefficients of at least 0, and the uncertainties that weighted the runs, up to a factor where none is stated."""
    from scipy.optimize import nnls

    scale = np.linalg.norm(design, axis=0)

    def solve(u: Array) -> Array:
        return nnls(design / scale / u[:, None], joules / u)[0] / scale

    if uncertainty_j is not None:
        return solve(uncertainty_j), uncertainty_j
    # In proportion to the energy: of the fit, since weights that share the noise of the runs pull it down.
    u = joules
    for _ in range(PASSES):
        u = design @ solve(u)
    return solve(u), u


def _left_out(grid: Grid, design: Array, out: NDArray[np.bool_]) -> float:
    """Relative error of the fit on one pair of lengths that it has not seen; runs of one pair leave together."""
    u = None if grid.uncertainty_j is None else grid.uncertainty_j[~out]
    theta, _ = _fit(design[~out], grid.joules[~out], u)
    return float(np.mean((design[out] @ theta) / grid.joules[out]) - 1)


def _advice(grid: Grid) -> str:
    """Which lengths to add."""
    inputs, outputs = np.unique(grid.input_tokens), np.unique(grid.output_tokens)
    if inputs.max() < 4 * inputs.min():
        return f"measure inputs of {4 * inputs.max():g} tokens as well, with output_tokens 1 and {outputs.max():g}"
    if outputs.max() < 64:
        return f"measure outputs of 128 tokens or more as well, with input_tokens {inputs.min():g} and {inputs.max():g}"
    return ADVICE
