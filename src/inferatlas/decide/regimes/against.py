"""Does the order of accelerators change with the kind of model? Two results of one regime, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inferatlas.decide.regimes import ranks
from inferatlas.decide.regimes.cells import Cell
from inferatlas.decide.regimes.result import Against, Comparison, Place, RegimeResult, drivers
from inferatlas.predict.answer import Interval
from inferatlas.quantities import show

LEAST = 3  # accelerators below which an order says nothing
SHIFT = 0.05  # change of a driver's correlation that is worth a word
TELLING = 1.15  # ratio to the median accelerator's from which an accelerator's own ratio is worth a word


def against(model: str, ours: Sequence[RegimeResult], theirs: Sequence[RegimeResult]) -> Against:
    """The results for one model beside those for ``model`` in the same regimes."""
    return Against(model, list(theirs), [compared(one, other) for one, other in zip(ours, theirs, strict=True)])


def compared(one: RegimeResult, other: RegimeResult) -> Comparison:
    """Ranks, their correlation, who moves and what drives the order, over the accelerators graded for both."""
    regime, higher = one.regime, one.regime.better == "higher"
    mine, yours = _graded(one), _graded(other)
    both = [name for name in mine if name in yours]
    mine, yours = ({name: cells[name] for name in both} for cells in (mine, yours))
    what = (regime.name, regime.title, one.model, other.model, len(both), _best(one), _best(other))
    x, y = (_values(cells, higher=higher) for cells in (mine, yours))
    if len(both) < LEAST or not np.ptp(x) or not np.ptp(y):
        return Comparison(*what, _incomparable(one, other, len(both)))
    correlation = ranks.spread(x, y)
    drawn = [
        ranks.draws([c.value for c in cells.values() if c.value is not None], higher=higher, seed=seed)
        for seed, cells in ((0, mine), (0 if one is other else 1, yours))  # a model errs as itself
    ]
    found = _places(one, other, both, x, y, drawn)
    follows, followed = (drivers(cells, result.has, higher=higher) for cells, result in ((mine, one), (yours, other)))
    verdict = _verdict(one, other, found, correlation.value, (follows, followed))
    return Comparison(
        *what, verdict, correlation, None if one is other else ranks.under_errors(*drawn), found,
        follows, followed, one.kept_bytes, other.kept_bytes,
    )  # fmt: skip


def _graded(one: RegimeResult) -> dict[str, Cell]:
    return {cell.accelerator: cell for cell in one.cells if cell.value is not None and cell.score is not None}


def _best(one: RegimeResult) -> str | None:
    return next(iter(_graded(one)), None)


def _values(cells: Mapping[str, Cell], *, higher: bool) -> np.ndarray:
    values = np.array([cell.value.value for cell in cells.values() if cell.value is not None])
    return values if higher else 1.0 / values


def _places(
    one: RegimeResult, other: RegimeResult, both: Sequence[str], x: np.ndarray, y: np.ndarray,
    drawn: Sequence[np.ndarray],
) -> tuple[Place, ...]:  # fmt: skip
    """Every accelerator graded for both, best for the model asked about first."""
    mine, yours = _graded(one), _graded(other)
    now, before = ranks.places(x), ranks.places(y)
    least, most = ranks.moves(*drawn)
    ratio = x / y
    usual = float(np.median(ratio))
    rows = []
    for i, name in enumerate(both):
        gained = Interval(float(least[i]), float(before[i] - now[i]), float(most[i]))
        why = "; ".join(_reasons((mine[name], yours[name]), (one, other), float(ratio[i]), usual))
        rows.append(Place(name, int(now[i]), int(before[i]), gained, why))
    return tuple(sorted(rows, key=lambda row: (row.rank, row.accelerator)))


def _reasons(
    cells: tuple[Cell, Cell], results: tuple[RegimeResult, RegimeResult], ratio: float, usual: float
) -> list[str]:  # fmt: skip
    """What is other about two deployments of one accelerator, beginning with how much it gains beside the median."""
    (here, there), (one, other) = cells, results
    words = [f"{_times(ratio)} as good as on {other.model}, the median accelerator {_times(usual)}"]
    if here.bound != there.bound:
        words.append(f"bound by {_spaced(here.bound)}, there by {_spaced(there.bound)}")
    elif max(ratio / usual, usual / ratio) < TELLING:
        words.append(f"bound by {_spaced(here.bound)} in both: neighbours change places")
    else:
        words.append(f"bound by {_spaced(here.bound)} in both")
    if "overhead" in (here.bound, there.bound) and one.layers != other.layers:
        words.append(f"a token passes {one.layers} layers, there {other.layers}")
    for what, x, y in (
        ("accelerators", here.count, there.count), ("requests in flight", here.concurrency, there.concurrency)
    ):  # fmt: skip
        if x != y:
            words.append(f"{x:,.0f} {what}, there {y:,.0f}")
    if here.weights != there.weights:
        words.append(f"{here.weights} weights, there {there.weights}")
    return words


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 10 else f"{ratio:.0f} times"


def _spaced(bound: str | None) -> str:
    return (bound or "unknown").replace("_", " ")


def _incomparable(one: RegimeResult, other: RegimeResult, count: int) -> str:
    """Why two results have no two orders: a model that cannot be asked, or too few accelerators."""
    for result in (one, other):
        codes = {cell.code for cell in result.cells}
        if not _graded(result) and codes & {"context_length", "no_tokens"}:
            return f"cannot be compared: {result.cells[0].reason}"
    if count < LEAST:
        return f"cannot be compared: an order takes {LEAST} accelerators graded for both models, and there are {count}"
    return "cannot be compared: all accelerators have one value"


def _verdict(
    one: RegimeResult, other: RegimeResult, found: Sequence[Place], correlation: float,
    follows: tuple[dict[str, float | None], dict[str, float | None]],
) -> str:  # fmt: skip
    """One sentence: whether the order changes, who moves most and why, what the order follows instead."""
    if one is other:
        return f"same order: {one.model} is asked in both"
    r = f"rank correlation {correlation:.3f}"
    moved = sorted((place for place in found if place.moved), key=lambda place: -abs(place.gained.value))
    largest = max(found, key=lambda place: abs(place.gained.value))
    if moved:
        head = f"order changes ({r}): {_moves(moved[0])} ({moved[0].why})"
        head += f", and {len(moved) - 1} more move beyond what the intervals allow" if len(moved) > 1 else ""
    elif largest.gained.value:
        head = f"no change beyond the intervals ({r}); the largest: {_moves(largest)} ({largest.why})"
    else:
        head = f"same order ({r}): nobody moves"
    return "; ".join([head, *_because(one, other), *_drivers(*follows)])


def _moves(place: Place) -> str:
    count = abs(int(place.gained.value))
    verb = "gains" if place.gained.value > 0 else "loses"
    return f"{place.accelerator} {verb} {count} place{'' if count == 1 else 's'}"


def _because(one: RegimeResult, other: RegimeResult) -> list[str]:
    """What a request keeps, where that is another size for the two models."""
    here, there = one.kept_bytes, other.kept_bytes
    if not here or not there or max(here / there, there / here) < TELLING:
        return []
    return [f"a request keeps {show(float(f'{here:.3g}'), 'B')}, not {show(float(f'{there:.3g}'), 'B')}"]


def _drivers(here: dict[str, float | None], there: dict[str, float | None]) -> list[str]:
    """The drivers whose correlation changes enough for a word."""
    out = []
    for name, r in here.items():
        s = there.get(name)
        if r is not None and s is not None and abs(r - s) >= SHIFT:
            out.append(f"{_spaced(name)} counts {'more' if r > s else 'less'} ({r:.2f}, there {s:.2f})")
    return out
