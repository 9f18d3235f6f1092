"""Where a split pays along a curve, and whether published claims of what it gains hold under what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CLAIMED = {  # Sharma 2025, as changes; the model's paper states no conditions
    "compute": (0.15, 0.41),
    "capacity": (0.28, 0.49),
    "bandwidth": (0.28, 0.49),
    "cost_per_request": (-0.22, -0.22),
}
CLAIM = "Sharma 2025, AI Accelerators for Large Language Model Inference: disaggregation of compute and memory"
NEAR = 0.05  # a claim of one number is met within so much of it, in points


def pays(curve: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ranges of each axis in which a split gains, by the predicted value; ends between two points are interpolated.

    ``from_end`` and ``to_end``: the range goes on to the end of what was looked at.

    Examples
    --------
    >>> rows = [{"axis": "a", "x": x, "gain": g} for x, g in ((1.0, 0.5), (2.0, 2.0), (4.0, None))]
    >>> [(one["x_from"], one["x_to"], one["from_end"], one["to_end"]) for one in pays(rows)]
    [(1.414..., 2.0, False, False)]
    """
    out = []
    for axis in dict.fromkeys(row["axis"] for row in curve):
        rows = [row for row in curve if row["axis"] == axis]
        x = np.array([row["x"] for row in rows])
        gain = np.log(np.array([np.nan if row["gain"] is None else row["gain"] for row in rows], dtype=np.float64))
        above = gain > 0
        starts = np.flatnonzero(above & ~np.append(False, above[:-1]))
        ends = np.flatnonzero(above & ~np.append(above[1:], False))
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
            out.append(
                {
                    "axis": axis, "x_from": _crossing(x, gain, first, first - 1),
                    "x_to": _crossing(x, gain, last, last + 1), "from_end": first == 0, "to_end": last == len(x) - 1,
                }
            )  # fmt: skip
    return out


def _crossing(x: np.ndarray, gain: np.ndarray, inside: int, outside: int) -> float:
    """Where the gain is 1 between two points, both logarithmic; the point inside where there is nothing beyond."""
    if not 0 <= outside < len(x) or not np.isfinite(gain[outside]):
        return float(x[inside])
    share = gain[inside] / (gain[inside] - gain[outside])
    return float(x[inside] * (x[outside] / x[inside]) ** share)


def claims(usage: dict[str, dict[str, float | None]], gain_per_usd: float | None) -> list[dict[str, Any]]:
    """Each claimed change beside the one found: ``within``, ``below`` or ``above`` the claim; None where unknown."""
    found = {name: usage[name]["change"] for name in ("compute", "capacity", "bandwidth")}
    found["cost_per_request"] = None if gain_per_usd is None else 1.0 / gain_per_usd - 1.0
    out = []
    for name, (low, high) in CLAIMED.items():
        value = found[name]
        edge = NEAR if low == high else 0.0
        verdict = (
            None if value is None
            else "below" if value < low - edge
            else "above" if value > high + edge
            else "within"
        )  # fmt: skip
        out.append({"claim": name, "low": low, "high": high, "found": value, "verdict": verdict})
    return out
