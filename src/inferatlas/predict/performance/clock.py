"""Lower clocks and power caps: equation (40) on whole predictions.

Compute rates follow the clock; memory, network, kernel launches and the host do not. A cap acts while kernels run, on
the average step: power management does not see steps, and prompts then run below that clock, decode steps above it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.speculation import Speculation

LEAST = 0.2  # of the clock: below it no part is run
HALVINGS = 30  # of the range of clocks: to 1e-9


def check_limits(clock: float, power_cap_w: float | None) -> None:
    """Refuse what is no clock or no cap (BadInput)."""
    if not 0 < clock <= 1:
        raise BadInput(f"{clock!r} is not a relative clock", field="clock", allowed="above 0, up to 1")
    if power_cap_w is not None and not (power_cap_w > 0 and np.isfinite(power_cap_w)):
        raise BadInput(f"{power_cap_w!r} W is not a cap", field="power_cap", allowed="a power above 0: 400W")


def clock_within(
    ops: Operators, table: PlatformTable, points: Points, cap_w: ArrayLike, *, routing: Routing = UNIFORM,
    speculation: Speculation | None = None,
) -> Floats:  # fmt: skip
    """The largest clock, up to that of each point, at which no accelerator draws more than a cap while it works.

    Parameters
    ----------
    cap_w : W per accelerator, one for all points or one each.

    Returns
    -------
    Relative clocks; NaN where even `LEAST` of the clock draws more. A point that cannot be, or whose power is unknown,
    keeps its clock. Where a slower machine no longer serves a rate, that is its clock: its prediction says so.
    """
    most = np.asarray(cap_w, dtype=np.float64) * points.accelerators

    def exceeds(clock: Floats) -> NDArray[np.bool_]:
        slower = replace(points, clock=clock)
        return predict(ops, table, slower, routing=routing, speculation=speculation).active_w > most

    high, low = points.clock.copy(), np.minimum(points.clock, LEAST)
    over = exceeds(high)
    if not over.any():
        return high
    never = exceeds(low)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        out = exceeds(middle)
        low, high = np.where(out, low, middle), np.where(out, middle, high)
    return np.where(over, np.where(never, np.nan, low), points.clock)


def limited(
    ops: Operators, table: PlatformTable, points: Points, clock: float = 1.0, power_cap_w: float | None = None, *,
    speculation: Speculation | None = None,
) -> tuple[Points, list[str]]:  # fmt: skip
    """One question at a clock and under a cap per accelerator, and what that assumes.

    Raises
    ------
    BadInput : a clock outside (0, 1], a cap that is no power. NoFeasibleAnswer : (code ``power``) the cap is below what
    idle logic and memory draw, or the rated power is unknown. NotModelled : machines whose memory is on the chip.
    """
    check_limits(clock, power_cap_w)
    part = table.platforms[0].device
    points = replace(points, clock=np.full(len(points), clock))
    if power_cap_w is not None:
        if part.power.rated_w is None:
            text = f"{part.id} publishes no rated power: what a cap does to it is unknown"
            raise NoFeasibleAnswer(text, code="power", field="power_cap")
        if power_cap_w < part.power.rated_w:
            found = clock_within(ops, table, points, power_cap_w, speculation=speculation)
            if np.isnan(found).any():
                raise _too_low(ops, table, points, power_cap_w, speculation)
            points = replace(points, clock=found)
    return points, _notes(table, points, clock, power_cap_w)


def _too_low(
    ops: Operators, table: PlatformTable, points: Points, cap_w: float, speculation: Speculation | None
) -> NoFeasibleAnswer:
    slowest = predict(ops, table, replace(points, clock=np.minimum(points.clock, LEAST)), speculation=speculation)
    least = float((slowest.active_w / points.accelerators).max())
    return NoFeasibleAnswer(
        f"{cap_w:g} W is below what {table.platforms[0].device.id} draws at {LEAST:g} of its clock: idle logic, memory "
        "and what is left of compute",
        code="power",
        field="power_cap",
        allowed=f"from {np.ceil(least):.0f} W on for this load",
    )


def _notes(table: PlatformTable, points: Points, asked: float, cap_w: float | None) -> list[str]:
    """What the answer assumes; refuses what it cannot assume."""
    clock, part, notes = float(points.clock[0]), table.platforms[0].device, []
    binds = clock < asked
    if clock < 1.0:
        if table.resident[0]:
            raise NotModelled(
                f"{part.id} keeps the model in on-chip memory, which runs on the same clock: lower clocks are not "
                "modelled yet",
                field="power_cap" if binds else "clock",
            )
        notes.append(
            f"at {clock:.3g} of the clock that was measured, compute slows in proportion and its power falls with the "
            "cube; memory, network, kernel launches and host are as they were; no measurement at another clock is in "
            "the calibration"
        )
    if binds:
        notes.append(
            f"the cap of {cap_w:g} W per accelerator is kept by the average step while it runs: prompts would run at a "
            "lower clock, decode steps at a higher one"
        )
    elif cap_w is not None and part.power.rated_w is not None and cap_w < part.power.rated_w:
        notes.append(f"the cap of {cap_w:g} W per accelerator does not bind: the average step draws less")
    return notes
