"""Which measurements tell which coefficients apart: equation (56), for the closed form of decode (10).

A table of design points (devices, batch, context) and the elasticities of the step to five coefficients at each say,
before anything is measured, what a sweep would leave of the uncertainty that the priors state. Columns that rise and
fall together cannot be told apart; a column of zeros says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.handbook.closed_form import DenseDecode
from inferatlas.predict.performance.arguments import floats
from inferatlas.predict.performance.priors import Z80, table

# In the order of the columns: η_m of weights, η_c, h_layer, h_seq, and the efficiency of reading the KV cache.
COEFFICIENTS = ("memory_efficiency", "compute_efficiency", "layer_s", "sequence_s", "cache_efficiency")
# s, h_layer at 80 %: from 7 kernels a layer (14 B) of 2 µs each (7) to an engine without full graph capture (14 A)
LAYER_RANGE = (14e-6, 60e-6)
NOISE = 0.02  # ln: measured steps scatter by 1-3 % from run to run (section 14 A, appendix)
HALF = 0.5  # of the prior's standard deviation may be left of what counts as identified


@dataclass(frozen=True, slots=True)
class Products:
    """The arithmetic that (10) leaves out: ``flop`` per token, ``flop_per_s`` of one device, the efficiency η_c."""

    flop: float
    flop_per_s: float
    efficiency: float = 0.7


class Design(NamedTuple):
    """Points to measure; arrays that broadcast. The latency of an all-reduce is known from its own benchmark."""

    devices: ArrayLike
    all_reduce_s: ArrayLike
    batch: ArrayLike
    context: ArrayLike


class Learned(NamedTuple):
    """What a design would leave, per coefficient of `COEFFICIENTS`.

    ``left`` is the standard deviation (ln) after the measurement, ``inflation`` by how much its variance is larger than
    if the others were known (1: not confounded), ``directions`` how many combinations the design tells better than the
    priors do.
    """

    left: dict[str, float]
    inflation: dict[str, float]
    identified: frozenset[str]
    directions: int


def parts(form: DenseDecode, products: Products, design: Design) -> dict[str, Floats]:
    """Seconds of a step by cause [point]: (10), with products beside the weights as in the operator law (7), q = 2.

    >>> parts(DenseDecode(139e9, 327680, 80, 3.35e12), Products(140e9, 989e12), Design(8, 17.5e-6, 1, 400)).keys()
    dict_keys(['weights', 'products', 'layers', 'sequences', 'cache', 'all-reduce'])
    """
    n, link, b, context = np.broadcast_arrays(
        floats(design.devices, "devices", 1), floats(design.all_reduce_s, "all_reduce_s", 0),
        floats(design.batch, "batch", 0), floats(design.context, "context", 0),
    )  # fmt: skip
    bandwidth = n * form.bytes_per_s * form.memory_efficiency
    return {
        "weights": form.weight_bytes / bandwidth,
        "products": b * products.flop / (n * products.flop_per_s * products.efficiency),
        "layers": np.full(n.shape, form.layers * form.layer_s),
        "sequences": b * form.sequence_s,
        "cache": b * context * form.kv_bytes / bandwidth,
        "all-reduce": 2.0 * form.layers * link,
    }


def step_time(form: DenseDecode, products: Products, design: Design) -> Floats:
    """Seconds of a step [point]: the root of squares of weights and products, and the sum of the rest.

    At few sequences it is `closed_form.decode_step`.
    """
    part = parts(form, products, design)
    whole = np.hypot(part["weights"], part["products"])
    return whole + part["layers"] + part["sequences"] + part["cache"] + part["all-reduce"]


def sensitivities(form: DenseDecode, products: Products, design: Design) -> Floats:
    """``d ln T/d ln θ`` [point, coefficient] with θ in the order of `COEFFICIENTS`: the shares of the step.

    >>> form, products = DenseDecode(139e9, 327680, 80, 3.35e12), Products(140e9, 989e12)
    >>> sensitivities(form, products, Design(8, 17.5e-6, 1, 400)).round(2).tolist()
    [-0.45, -0.0, 0.33, 0.03, -0.0]
    """
    part = parts(form, products, design)
    whole = np.hypot(part["weights"], part["products"])
    columns = (
        -(part["weights"] ** 2) / whole, -(part["products"] ** 2) / whole, part["layers"], part["sequences"],
        -part["cache"],
    )  # fmt: skip
    return np.stack(columns, axis=-1) / step_time(form, products, design)[..., None]


def prior_sd(style: str = "kernel") -> dict[str, float]:
    """Standard deviations (ln) before any measurement, from the 80 % ranges of ``performance/priors.json``.

    There h_layer is charged per kernel instead; here it stands for an engine's constant.

    >>> {name: round(sd, 2) for name, sd in prior_sd().items()}
    {'memory_efficiency': 0.15, 'compute_efficiency': 0.25, 'layer_s': 0.57, 'sequence_s': 1.6, 'cache_efficiency': 0.2}
    """
    priors = table()["styles"][style]

    ranges = {name: (priors[name]["low"], priors[name]["high"]) for name in COEFFICIENTS} | {"layer_s": LAYER_RANGE}
    return {name: float(np.log(high / low) / (2.0 * Z80)) for name, (low, high) in ranges.items()}


def learned(matrix: ArrayLike, prior: dict[str, float] | None = None, noise: float = NOISE) -> Learned:
    """What measuring the points of ``matrix`` [point, coefficient] would leave, each with ``noise`` (ln).

    With J the matrix and Λ the precision of the priors, ``(JᵀJ/noise² + Λ)⁻¹`` is the covariance that remains. The
    priors keep it finite where columns coincide, and say that a coefficient is known that can hardly move the step.
    """
    sd = np.array([(prior or prior_sd())[name] for name in COEFFICIENTS])
    scaled = floats(matrix, "matrix").reshape(-1, len(sd)) * sd / floats(noise, "noise", above=0)
    precision = scaled.T @ scaled + np.eye(len(sd))  # in units of the priors
    left = np.diag(np.linalg.inv(precision))
    inflation = left * np.diag(precision)
    return Learned(
        dict(zip(COEFFICIENTS, (np.sqrt(left) * sd).tolist(), strict=True)),
        dict(zip(COEFFICIENTS, inflation.tolist(), strict=True)),
        frozenset(name for name, one in zip(COEFFICIENTS, left, strict=True) if np.sqrt(one) <= HALF),
        int((np.linalg.svd(scaled, compute_uv=False) > 1.0).sum()),
    )
