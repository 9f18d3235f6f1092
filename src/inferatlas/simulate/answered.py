"""What `simulate` answers: the outcome with what was asked, the verdict on every target, and what was assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferatlas.simulate.outcome import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A deployment under a load.

    ``name`` tells it from others beside it; ``inputs``: what was asked, by name; ``verdicts``: of `outcome.meets`;
    ``label``: predicted, or extrapolated where no calibration covers it. ``model_intervals``: 80 %, of the means, from
    the error of the step times.
    """

    name: str
    inputs: dict[str, Any]
    outcome: Outcome
    verdicts: Sequence[dict[str, Any]]
    label: str
    notes: Sequence[str] = ()
    model_intervals: Mapping[str, Any] = field(default_factory=dict)

    @property
    def meets(self) -> bool | None:
        """Whether every target is kept; None without targets."""
        return all(one["met"] for one in self.verdicts) if self.verdicts else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "inputs": self.inputs, "label": self.label, **self.outcome.as_dict(),
            "slo": list(self.verdicts), "meets": self.meets, "notes": list(self.notes),
            "model_intervals": dict(self.model_intervals),
        }  # fmt: skip
