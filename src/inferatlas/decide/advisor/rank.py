"""Order the designs that remain: the best of each accelerator, and the Pareto set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inferatlas.decide.advisor.search import Designs
from inferatlas.predict.llm.precision import FORMATS

# objective -> metric and whether smaller is better
OBJECTIVES = {
    "cost": ("usd_per_million_tokens", True),
    "energy": ("tokens_per_joule", False),
    "latency": ("latency_s", True),
    "throughput": ("output_tokens_per_s", False),
    "carbon": ("gco2e_per_million_tokens", True),
}
# what comes first where the objective leaves it open, the strongest reason first (`order`)
TIES = (
    "fewest accelerators", "widest weights", "calibrated before extrapolated", "most tokens per joule",
    "simplest layout",
)  # fmt: skip
PARETO_METRICS = ("usd_per_million_tokens", "latency_s", "tokens_per_joule")


def scores(designs: Designs, objective: str) -> NDArray[np.float64]:
    """Smaller is better; NaN where the metric is unknown."""
    metric, smaller = OBJECTIVES[objective]
    value = designs.metrics[metric].value
    return value if smaller else -value


def order(designs: Designs, index: NDArray[np.intp], objective: str) -> NDArray[np.intp]:
    """Sort designs: by the objective, unknown ones last; ties by fewer accelerators, wider weights (they
    change no answers), calibrated ones before extrapolated ones, energy, simpler layouts.
    """
    p = designs.points
    energy = -designs.metrics["tokens_per_joule"].value
    bits = np.array([FORMATS[x.precision.weights].bits for x in designs.table.platforms])[p.platform]
    guessed = np.array([x.label == "extrapolated" for x in designs.table.platforms], dtype=bool)[p.platform]
    keys = (
        p.ep[index],
        p.pp[index],
        _last_if_nan(energy[index]),
        guessed[index],
        -bits[index],
        p.accelerators[index],
        _last_if_nan(np.round(scores(designs, objective)[index], 12)),
    )
    return index[np.lexsort(keys)]


def _last_if_nan(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), np.inf, values)


def best_of_each(designs: Designs, keep: NDArray[np.bool_], objective: str) -> list[int]:
    """The best design of every accelerator that has one, best first."""
    ordered = order(designs, np.flatnonzero(keep), objective)
    _, first = np.unique(designs.accelerator_index()[1][ordered], return_index=True)
    return [int(i) for i in ordered[np.sort(first)]]


def pareto(designs: Designs, keep: NDArray[np.bool_], metrics: tuple[str, ...] = PARETO_METRICS) -> list[int]:
    """Designs that no other beats in all of cost, latency and energy; those with an unknown metric are left out."""
    larger_is_better = {"tokens_per_joule", "output_tokens_per_s", "total_tokens_per_s"}
    columns = np.stack([designs.metrics[m].value * (-1.0 if m in larger_is_better else 1.0) for m in metrics], axis=1)
    index = np.flatnonzero(keep & np.isfinite(columns).all(axis=1))
    index = index[np.lexsort(columns[index].T[::-1])]
    rest, front = columns[index], []
    while index.size:  # sorted by the first metric, so the first of the rest is never dominated by the rest
        front.append(int(index[0]))
        beaten = (rest >= rest[0]).all(axis=1)
        equal = (rest == rest[0]).all(axis=1)
        stay = ~beaten | equal
        stay[0] = False
        index, rest = index[stay], rest[stay]
    return front
