"""What `simulate` answers: the outcome with what was asked, the verdict on every target, and what was assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inferatlas.simulate.outcome import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A deployment under a load.

    ``name`` tells it from others beside it; ``inputs``: what was asked, by name; ``verdicts``: of `outcome.meets`;
    ``label``: predicted, or extrapolated where no calibration covers it.
    """

    name: str
    inputs: dict[str, Any]
    outcome: Outcome
    verdicts: Sequence[dict[str, Any]]
    label: str
    notes: Sequence[str] = ()

    @property
    def meets(self) -> bool | None:
        """Whether every target is kept; None without targets."""
        return all(one["met"] for one in self.verdicts) if self.verdicts else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "inputs": self.inputs, "label": self.label, **self.outcome.as_dict(),
            "slo": list(self.verdicts), "meets": self.meets, "notes": list(self.notes),
        }  # fmt: skip
