"""Partial pooling: one linear problem in the effects of all levels, and the same with groups left out.

An entry (one model on one platform under one source) has coefficients ``prior + Σ effects of its levels``, on the
links of `predict.performance.coefficients`. Effects are normal around 0 with a scale per kind of level and
coefficient, so a level seen rarely stays near 0 and leans on the wider ones. The closest level, the *case* (model +
accelerator + engine), belongs to few entries and is eliminated exactly; what remains is one dense system.

Leaving groups out removes their cases' contributions from that system (Woodbury's identity): the left-out solution of
the linearised problem without solving it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, get_lapack_funcs

from inferatlas.predict.arrays import Floats

CASE = "case"


@dataclass(frozen=True)
class Tree:
    """Who belongs to what: ``members`` [entry] index ``levels`` (cases apart), ``case`` [entry] indexes ``cases``."""

    levels: tuple[str, ...]
    cases: tuple[str, ...]
    members: tuple[NDArray[np.intp], ...]
    case: NDArray[np.intp]

    @staticmethod
    def of(names: Sequence[Sequence[str]]) -> Tree:
        """From the level names of every entry; each has exactly one case."""
        cases = [next(n for n in entry if _kind(n) == CASE) for entry in names]
        unique_cases = tuple(sorted(set(cases)))
        levels = tuple(sorted({n for entry in names for n in entry if _kind(n) != CASE}))
        at, case_at = {n: i for i, n in enumerate(levels)}, {n: i for i, n in enumerate(unique_cases)}
        members = tuple(np.array([at[n] for n in entry if n in at], dtype=np.intp) for entry in names)
        return Tree(levels, unique_cases, members, np.array([case_at[c] for c in cases], dtype=np.intp))

    def shift(self, effects: Floats, case_effects: Floats) -> Floats:
        """Sum of effects per entry, [entry, coefficient]."""
        return np.array([effects[m].sum(axis=0) for m in self.members]) + case_effects[self.case]

    def kinds(self) -> NDArray[np.str_]:
        return np.array([_kind(name) for name in self.levels])


def _kind(name: str) -> str:
    return name.partition(":")[0]


@dataclass(frozen=True)
class Block:
    """What one case adds to the system once its own effect is eliminated.

    ``levels`` it touches, ``matrix`` and ``vector`` on them; ``cross``, ``inverse`` and ``own`` recover its effect.
    """

    levels: NDArray[np.intp]
    matrix: Floats
    vector: Floats
    cross: Floats
    inverse: Floats
    own: Floats


def blocks(tree: Tree, gram: Floats, moment: Floats, case_scale: Floats) -> list[Block]:
    """Per case, from ``gram`` [entry, K, K] (JᵀWJ) and ``moment`` [entry, K] (JᵀW(J shift - residual))."""
    count = gram.shape[1]
    precision = np.diag(1.0 / case_scale**2)
    out = []
    for case in range(len(tree.cases)):
        entries = np.flatnonzero(tree.case == case)
        touched = np.unique(np.concatenate([tree.members[e] for e in entries]))
        n = len(touched)
        belongs = np.array([np.isin(touched, tree.members[e]) for e in entries], dtype=np.float64)
        inverse = np.linalg.inv(precision + gram[entries].sum(axis=0))
        own = moment[entries].sum(axis=0)
        cross = np.tensordot(belongs, gram[entries], (0, 0)).reshape(n * count, count)
        pairs = (belongs[:, :, None] * belongs[:, None, :]).reshape(len(entries), n * n)
        matrix = (pairs.T @ gram[entries].reshape(len(entries), -1)).reshape(n, n, count, count)
        matrix = matrix.transpose(0, 2, 1, 3).reshape(n * count, n * count) - cross @ inverse @ cross.T
        vector = (belongs.T @ moment[entries]).ravel() - cross @ (inverse @ own)
        out.append(Block(touched, matrix, vector, cross, inverse, own))
    return out


def system(parts: Sequence[Block], scale: Floats) -> tuple[Floats, Floats]:
    """The dense system of all blocks; ``scale`` [level, K] are the priors' standard deviations."""
    count = scale.shape[1]
    matrix, vector = np.zeros((scale.size, scale.size)), np.zeros(scale.size)
    for part in parts:
        at = _places(part.levels, count)
        matrix[np.ix_(at, at)] += part.matrix
        vector[at] += part.vector
    matrix[np.diag_indices_from(matrix)] += 1.0 / scale.ravel() ** 2
    return matrix, vector


def solve(parts: Sequence[Block], scale: Floats) -> tuple[Floats, Floats]:
    """Effects [level, K] and case effects [case, K]."""
    matrix, vector = system(parts, scale)
    effects = cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), vector).reshape(scale.shape)
    return effects, np.array([_case_effect(part, effects) for part in parts])


def _case_effect(part: Block, effects: Floats) -> Floats:
    return part.inverse @ (part.own - part.cross.T @ effects[part.levels].ravel())


def _places(levels: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    return (levels[:, None] * count + np.arange(count)).ravel()


def _inverse(matrix: Floats) -> Floats:
    """The inverse of a positive definite matrix, in half the time of a general one; overwrites it."""
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, failed = potrf(matrix.T, lower=1, overwrite_a=1)  # symmetric, and columns first spares a copy
    inverse, broken = potri(factor, lower=1, overwrite_c=1)
    if failed or broken:
        raise np.linalg.LinAlgError("not positive definite")
    lower = np.tril(inverse, -1)
    lower += lower.T
    np.fill_diagonal(lower, np.diag(inverse))
    return lower


@dataclass(frozen=True)
class LeavingOut:
    """The inverse of the whole system, kept to answer what the effects were without some cases."""

    parts: Sequence[Block]
    inverse: Floats
    vector: Floats
    shape: tuple[int, int]

    @staticmethod
    def of(parts: Sequence[Block], scale: Floats) -> LeavingOut:
        matrix, vector = system(parts, scale)
        return LeavingOut(parts, _inverse(matrix), vector, (scale.shape[0], scale.shape[1]))

    def variances(self) -> Floats:
        """Posterior variances of the effects [level, K]."""
        return np.diag(self.inverse).reshape(self.shape)

    def without(self, cases: Iterable[int]) -> Floats:
        """Effects [level, K] with the rows of these cases left out."""
        count = self.shape[1]
        left = [self.parts[c] for c in cases]
        levels = np.unique(np.concatenate([part.levels for part in left]))
        at = _places(levels, count)
        removed, vector = np.zeros((len(at), len(at))), self.vector.copy()
        for part in left:
            inside = _places(np.searchsorted(levels, part.levels), count)
            removed[np.ix_(inside, inside)] += part.matrix
            vector[_places(part.levels, count)] -= part.vector
        first = self.inverse @ vector
        correction = np.linalg.solve(np.eye(len(at)) - removed @ self.inverse[np.ix_(at, at)], removed @ first[at])
        return (first + self.inverse[:, at] @ correction).reshape(self.shape)
