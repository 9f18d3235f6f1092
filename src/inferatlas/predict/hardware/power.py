"""What a device may draw, idle and at most, and what that figure covers."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.accelerator import Accelerator

# fact, scope of the figure; the first that is known answers
_RATED = (
    ("power.tdp", "chip or module"),
    ("power.board", "board"),
    ("power.system_peak", "system"),
    ("power.max_measured", "chip, largest measured"),
)


@dataclass(frozen=True, slots=True)
class Power:
    """Rated (largest) and idle power per accelerator in W, None where unknown, with the scope of the figure."""

    rated_w: float | None
    idle_w: float | None
    scope: str | None
    field: str | None


def power_of(accelerator: Accelerator, per_rack: int) -> Power:
    """Rated and idle power; a rack figure is divided by the accelerators of a rack and says so.

    A wafer-scale system or a rack includes hosts, pumps and supplies that a chip's rating does not:
    figures of different scope are never compared without their scope beside them.
    """
    facts = accelerator.facts
    idle = facts.number("power.idle")
    if accelerator.execution == "wafer":
        rated = facts.number("power.system_peak")
        return Power(rated, idle, "system" if rated else None, "power.system_peak" if rated else None)
    for field, scope in _RATED:
        rated = facts.number(field)
        if rated:
            return Power(rated, idle, scope, field)
    rack = facts.number("power.rack")
    if rack and per_rack > 1:
        return Power(rack / per_rack, idle, f"rack, a {per_rack}th", "power.rack")
    return Power(None, idle, None, None)
