"""Robust fit of all coefficients to all figures at once: Gauss-Newton on log residuals with Student-t weights.

The unknowns are effects of levels (`hierarchy`). Scales of the effects are learned as well (expectation-maximisation
around their priors), noise per kind of figure and per entry. Figures of one entry are not independent, since what the
model gets wrong there it gets wrong throughout: their weight grows less than their number (`SHARED`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inferatlas.evidence.answers import answers
from inferatlas.evidence.hierarchy import CASE, Block, LeavingOut, Tree, blocks, solve
from inferatlas.evidence.observations import Observations
from inferatlas.evidence.questions import Questions
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.coefficients import from_link, to_link

# Prior scales of effects, on the links: per kind of level, times per coefficient. Chosen, with the three numbers below
# `DRAFTED`, among about forty settings by the error of groups, accelerators and families of models left out: wide
# levels that follow every habit of the models measured on them mislead about the next one. That error is therefore a
# little optimistic; it was 10 to 12 % (ITL, groups left out) for all of them.
LEVELS = {
    "class": 0.12, "vendor": 0.08, "port": 0.20, "stack": 0.12, "era": 0.08, "engine": 0.08, "release": 0.08,
    "version": 0.06, "bits": 0.06, "format": 0.08, "accelerator": 0.08, "pair": 0.09, "model": 0.08, "served": 0.08,
    CASE: 0.05, "source": 0.10, "harness": 0.08,
}  # fmt: skip
COEFFICIENTS = {
    "compute_efficiency": 1.0, "memory_efficiency": 1.0, "attention_efficiency": 0.7, "cache_efficiency": 1.0,
    "expert_efficiency": 1.5, "grouped_efficiency": 1.5, "imbalance": 2.0, "kernel_s": 1.0, "prefill_kernel_s": 1.5,
    "routing_s": 2.0, "layer_s": 1.0, "sequence_s": 3.0, "step_s": 2.0, "request_s": 3.0, "prompt_token_s": 2.0,
    "interference": 0.5, "grouping": 1.5, "straggling": 3.0, "accepted": 0.01, "room": 0.3, "network_scale": 1.0,
    "network_byte_scale": 1.0,
}  # fmt: skip
OTHER_CLASS = 0.5  # classes other than GPUs start from priors that are off by up to a factor of three
POWER = {"power_floor": 1.0, "power_memory": 1.0, "power_compute": 1.0}
DRAFTED = {"accepted": 0.5}  # hidden speculative decoding speeds a release up by this much or more
FREEDOM = 1.5  # degrees of freedom of the residuals' Student distribution: published tables hold gross errors
SHARED = 0.01  # correlation of residuals within an entry
NOISE = 0.04  # no source repeats itself better than this
ENTRY_PRIOR = 8.0  # figures of an entry that its own noise estimate must outweigh
SCALE_PRIOR = 4.0  # levels that the learned scale of effects must outweigh
SCALE_RANGE = 0.3, 2.0  # of the prior scale
NUDGE = 0.05  # finite difference on the links
ROUNDS = 15


@dataclass(frozen=True)
class Linear:
    """The problem around a solution, a row a figure: ``slope`` [figure, K] on the links of its ``entry``.

    ``row`` of the questions' frame, ``weight`` with noise and robustness in it, ``aim`` what slope times shift of
    the entry should be.
    """

    row: NDArray[np.intp]
    entry: NDArray[np.intp]
    slope: Floats
    weight: Floats
    aim: Floats

    def blocks(self, tree: Tree, case_scale: Floats, keep: NDArray[np.bool_] | None = None) -> list[Block]:
        """Normal equations per case, of all figures or those to ``keep``."""
        weight = self.weight if keep is None else np.where(keep, self.weight, 0.0)
        entries, count = len(tree.members), self.slope.shape[1]
        order = np.argsort(self.entry, kind="stable")
        bounds = np.searchsorted(self.entry[order], np.arange(entries + 1))
        gram, moment = np.zeros((entries, count, count)), np.zeros((entries, count))
        for e in range(entries):
            rows = order[bounds[e] : bounds[e + 1]]
            if rows.size:
                weighted = (self.slope[rows] * weight[rows, None]).T
                gram[e] = weighted @ self.slope[rows]
                moment[e] = weighted @ self.aim[rows]
        return blocks(tree, gram, moment, case_scale)


@dataclass(frozen=True)
class Fit:
    """The solution: effects per level, the links [entry, K] of every entry, and what it takes to leave rows out."""

    names: tuple[str, ...]
    tree: Tree
    effects: Floats
    case_effects: Floats
    links: Floats
    leaving: LeavingOut
    prior: Floats
    linear: Linear
    scale: Floats
    case_scale: Floats

    def keeping(self, rows: NDArray[np.bool_]) -> Floats:
        """Links of every entry with only these rows of the questions' frame in the (linearised) fit."""
        parts = self.linear.blocks(self.tree, self.case_scale, rows[self.linear.row])
        return self.prior + self.tree.shift(*solve(parts, self.scale))

    def without(self, groups: Sequence[Sequence[int]]) -> Floats:
        """Links of every entry, those of each group of cases with that group left out."""
        out = self.links.copy()
        for cases in groups:
            effects = self.leaving.without(cases)
            for e in np.flatnonzero(np.isin(self.tree.case, list(cases))):
                out[e] = self.prior[e] + effects[self.tree.members[e]].sum(axis=0)
        return out


def entry_values(asked: Questions, name: str) -> Floats:
    """A coefficient of every entry, as its platform has it."""
    return np.array([getattr(p.coefficients, name) for a in asked.asked for p in a.platforms])


def tuned(names: Sequence[str], links: Floats, values: dict[str, Floats]) -> dict[str, Floats]:
    """Coefficients per entry from links; those that are 0 stay 0."""
    out = {}
    for k, name in enumerate(names):
        free = np.isfinite(links[:, k])
        out[name] = np.where(free, from_link(name, np.where(free, links[:, k], 0.0)), values[name])
    return out


def scales(tree: Tree, coefficients: dict[str, float]) -> tuple[Floats, Floats]:
    """Prior scales of effects [level, K] and of case effects [K]."""
    per = np.array(list(coefficients.values()))
    special = np.array([DRAFTED.get(name, 1e-4) for name in coefficients])
    rows = [
        special if kind == "drafted" else (OTHER_CLASS if _other_class(name) else LEVELS[kind]) * per
        for kind, name in zip(tree.kinds(), tree.levels, strict=True)
    ]
    return np.array(rows), LEVELS[CASE] * per


def _other_class(name: str) -> bool:
    return name.startswith("class:") and name != "class:gpu_simt"


def fit(
    asked: Questions, seen: Observations, level_names: Sequence[Sequence[str]], coefficients: dict[str, float], *,
    fixed: dict[str, Floats] | None = None, progress: Callable[[int], None] | None = None,
) -> Fit:  # fmt: skip
    """Fit ``coefficients`` (name -> relative scale) to observations; ``fixed`` ones per entry stay as they are.

    Entries start from the priors of their style, whatever calibration their platforms carry is not used: pass
    questions asked with `calibrated.NOTHING`.
    """
    names = tuple(coefficients)
    values = {name: entry_values(asked, name) for name in names}
    prior = np.stack([to_link(name, values[name]) for name in names], axis=1)
    tree = Tree.of(level_names)
    start, case_start = scales(tree, coefficients)
    scale, case_scale = start.copy(), case_start.copy()
    kinds = tree.kinds()
    weight = seen.weight / (1.0 + (np.bincount(seen.entry, minlength=len(prior))[seen.entry] - 1.0) * SHARED)

    def run(links: Floats) -> Floats:
        return seen.predicted(answers(asked, {**(fixed or {}), **tuned(names, links, values)}))

    effects, case_effects = np.zeros(start.shape), np.zeros((len(tree.cases), len(names)))
    links, predicted = prior, run(prior)
    for round_ in range(ROUNDS):
        linear = _linearise(seen, weight, run, links, predicted, tree.shift(effects, case_effects))
        parts = linear.blocks(tree, case_scale)
        aim, case_aim = solve(parts, scale)
        noise = _noise(seen, _residual(predicted, seen))
        before = _loss(_residual(predicted, seen), noise, weight, effects / scale, case_effects / case_scale)
        step, after = 1.0, before
        while step > 0.05:
            new, new_case = effects + step * (aim - effects), case_effects + step * (case_aim - case_effects)
            new_links = prior + tree.shift(new, new_case)
            new_predicted = run(new_links)
            after = _loss(_residual(new_predicted, seen), noise, weight, new / scale, new_case / case_scale)
            if after < before:
                effects, case_effects, links, predicted = new, new_case, new_links, new_predicted
                break
            step /= 2.0
        if progress:
            progress(round_)
        if round_ > 4 and before - after < 2e-3 * before:
            break
        if round_ >= 2:
            variances = LeavingOut.of(parts, scale).variances()
            for kind in set(kinds) - {"drafted"}:
                rows = kinds == kind
                scale[rows] = _learned(start[rows][0], (effects[rows] ** 2 + variances[rows]).sum(axis=0), rows.sum())
            own = np.array([np.diag(part.inverse) for part in parts])
            case_scale = _learned(case_start, (case_effects**2 + own).sum(axis=0), len(parts))
    linear = _linearise(seen, weight, run, links, predicted, tree.shift(effects, case_effects))
    leaving = LeavingOut.of(linear.blocks(tree, case_scale), scale)
    return Fit(names, tree, effects, case_effects, links, leaving, prior, linear, scale, case_scale)


def _learned(start: Floats, squares: Floats, count: int) -> Floats:
    low, high = SCALE_RANGE
    found = np.sqrt((SCALE_PRIOR * start**2 + squares) / (SCALE_PRIOR + count))
    return np.clip(found, low * start, high * start)


def _residual(predicted: Floats, seen: Observations) -> Floats:
    return np.nan_to_num(predicted - seen.log, nan=0.0, posinf=0.0, neginf=0.0)


def _linearise(
    seen: Observations, weight: Floats, run: Callable[[Floats], Floats], links: Floats, predicted: Floats,
    shift: Floats,
) -> Linear:  # fmt: skip
    """The problem around the present links; coefficients that are 0 have no derivative."""
    residual = _residual(predicted, seen)
    noise = _noise(seen, residual)
    robust = weight * (FREEDOM + 1.0) / (FREEDOM + (residual / noise) ** 2) / noise**2
    robust[~np.isfinite(predicted)] = 0.0
    count = links.shape[1]
    slope = np.empty((len(residual), count))
    for k in range(count):
        nudged = links.copy()
        nudged[:, k] += NUDGE
        slope[:, k] = np.nan_to_num((run(nudged) - predicted) / NUDGE, nan=0.0, posinf=0.0, neginf=0.0)
    aim = (slope * shift[seen.entry]).sum(axis=1) - residual
    return Linear(seen.row, seen.entry, slope, robust, aim)


def _noise(seen: Observations, residual: Floats) -> Floats:
    """Robust spread of residuals per kind of figure, and per entry where there are enough."""
    spread = np.array([_mad(residual[seen.kind == k]) for k in range(seen.kind.max() + 1)])
    out = spread[seen.kind]
    key = seen.entry * len(spread) + seen.kind
    order = np.argsort(key, kind="stable")
    bounds = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
    for a, b in pairwise(bounds):
        rows: NDArray[np.intp] = order[a:b]
        common, n = spread[seen.kind[rows[0]]], b - a
        own = _mad(residual[rows]) if n > 3 else common
        out[rows] = np.sqrt((n * own**2 + ENTRY_PRIOR * common**2) / (n + ENTRY_PRIOR))
    return np.maximum(out, NOISE)


def _mad(residual: Floats) -> float:
    """Median absolute residual as a standard deviation (about 0: a bias is an error too)."""
    return 1.4826 * float(np.median(np.abs(residual))) if residual.size else NOISE


def _loss(residual: Floats, noise: Floats, weight: Floats, effects: Floats, case_effects: Floats) -> float:
    fit_ = weight * (FREEDOM + 1.0) / 2.0 * np.log1p((residual / noise) ** 2 / FREEDOM)
    return float(fit_.sum() + 0.5 * (effects**2).sum() + 0.5 * (case_effects**2).sum())
