"""Partial pooling is a ridge regression: the same solution as the plain dense one, also with cases left out."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.evidence.hierarchy import Block, LeavingOut, Tree, blocks, solve
from inferatlas.predict.arrays import Floats

K = 3
SEEDS = st.integers(0, 10_000)


@dataclass(frozen=True)
class Problem:
    """Figures ``y = slope @ (effects of the entry's levels + its case)`` with weights, and priors' scales."""

    tree: Tree
    entry: np.ndarray
    slope: Floats
    y: Floats
    weight: Floats
    scale: Floats
    case_scale: Floats

    def parts(self) -> list[Block]:
        n = len(self.tree.members)
        gram, moment = np.zeros((n, K, K)), np.zeros((n, K))
        for e in range(n):
            j = self.slope[self.entry == e]
            w = self.weight[self.entry == e]
            gram[e], moment[e] = j.T @ (w[:, None] * j), j.T @ (w * self.y[self.entry == e])
        return blocks(self.tree, gram, moment, self.case_scale)

    def dense(self, without: tuple[int, ...] = ()) -> tuple[Floats, Floats]:
        """All unknowns at once by least squares, priors as further figures of 0."""
        levels, cases = len(self.tree.levels), len(self.tree.cases)
        rows = []
        for e, j in zip(self.entry, self.slope, strict=True):
            row = np.zeros((levels + cases, K))
            row[[*self.tree.members[e], levels + self.tree.case[e]]] = j
            rows.append(row.ravel())
        keep = ~np.isin(self.tree.case[self.entry], without)
        root = np.sqrt(self.weight[keep])
        prior = np.concatenate([self.scale.ravel(), np.tile(self.case_scale, cases)])
        design = np.concatenate([np.array(rows)[keep] * root[:, None], np.diag(1 / prior)])
        aim = np.concatenate([self.y[keep] * root, np.zeros(prior.size)])
        found = np.linalg.lstsq(design, aim, rcond=None)[0].reshape(-1, K)
        return found[:levels], found[levels:]


def problem(seed: int, *, figures: int = 60, scale: float = 1.0) -> Problem:
    random = np.random.default_rng(seed)
    names = []
    for e in range(9):
        part, engine, model = random.integers(0, [3, 2, 3])
        names.append(
            ("class:all", f"accelerator:a{part}", f"engine:e{engine}", f"model:m{model}", f"source:s{e % 2}",
             f"case:m{model}/a{part}/e{engine}")
        )  # fmt: skip
    tree = Tree.of(names)
    return Problem(
        tree, random.integers(0, 8, figures), random.normal(size=(figures, K)), random.normal(size=figures),
        random.uniform(0.1, 2.0, figures), scale * random.uniform(0.05, 1.0, (len(tree.levels), K)),
        scale * random.uniform(0.05, 1.0, K),
    )  # fmt: skip


def test_a_tree_knows_who_belongs_to_what():
    tree = Tree.of([("class:g", "model:m", "case:m/a"), ("class:g", "case:b"), ("class:h", "model:m", "case:m/a")])
    assert tree.levels == ("class:g", "class:h", "model:m")
    assert tree.cases == ("case:b", "case:m/a")
    assert [m.tolist() for m in tree.members] == [[0, 2], [0], [1, 2]]
    assert tree.case.tolist() == [1, 0, 1]
    assert tree.kinds().tolist() == ["class", "class", "model"]
    shift = tree.shift(np.array([[1.0], [10.0], [100.0]]), np.array([[0.5], [0.25]]))
    assert shift.ravel().tolist() == [101.25, 1.5, 110.25]


@given(SEEDS)
def test_eliminating_cases_solves_the_plain_dense_problem(seed: int):
    p = problem(seed)
    effects, case_effects = solve(p.parts(), p.scale)
    plain, plain_cases = p.dense()
    assert effects == pytest.approx(plain, abs=1e-9)
    assert case_effects == pytest.approx(plain_cases, abs=1e-9)


@given(SEEDS, st.integers(1, 3))
def test_leaving_cases_out_is_solving_without_them(seed: int, count: int):
    p = problem(seed)
    parts = p.parts()
    cases = tuple(np.random.default_rng(seed).choice(len(p.tree.cases), count, replace=False).tolist())
    without = LeavingOut.of(parts, p.scale).without(cases)
    again, _ = solve([part for i, part in enumerate(parts) if i not in cases], p.scale)
    assert without == pytest.approx(again, abs=1e-8)
    assert without == pytest.approx(p.dense(cases)[0], abs=1e-8)


def test_leaving_everything_out_leaves_the_priors():
    p = problem(1)
    without = LeavingOut.of(p.parts(), p.scale).without(range(len(p.tree.cases)))
    assert without == pytest.approx(np.zeros_like(p.scale), abs=1e-8)


def test_figures_of_a_case_that_is_left_out_change_nothing():
    p = problem(2)
    own = p.tree.case[p.entry] == 0
    assert own.any()
    other = Problem(p.tree, p.entry, p.slope, np.where(own, 100 * p.y, p.y), p.weight, p.scale, p.case_scale)
    one, two = (LeavingOut.of(x.parts(), x.scale).without([0]) for x in (p, other))
    assert one == pytest.approx(two, abs=1e-8)
    assert not np.allclose(solve(p.parts(), p.scale)[0], solve(other.parts(), p.scale)[0], atol=1e-2)


@given(SEEDS)
def test_variances_are_those_of_the_inverse_and_never_above_the_prior(seed: int):
    p = problem(seed)
    variances = LeavingOut.of(p.parts(), p.scale).variances()
    assert variances.shape == p.scale.shape
    assert (variances > 0).all() and (variances <= p.scale**2 * (1 + 1e-9)).all()


@given(SEEDS)
def test_effects_shrink_towards_0_with_their_scale(seed: int):
    sizes = []
    for scale in (1.0, 1e-2, 1e-4):
        p = problem(seed, scale=scale)
        effects, case_effects = solve(p.parts(), p.scale)
        sizes.append(np.abs(np.concatenate([effects, case_effects])).max())
    assert sizes[1] < 0.2 * sizes[0]
    assert sizes[2] < 1e-5


def test_a_level_without_figures_has_no_effect():
    p = problem(3)
    names = [
        (*(p.tree.levels[i] for i in m), p.tree.cases[c]) for m, c in zip(p.tree.members, p.tree.case, strict=True)
    ]
    tree = Tree.of([*names, ("class:all", "accelerator:unseen", "case:unseen")])
    at = tree.levels.index("accelerator:unseen")
    scale = np.insert(p.scale, at, 1.0, axis=0)
    wider = Problem(tree, p.entry, p.slope, p.y, p.weight, scale, p.case_scale)
    effects, case_effects = solve(wider.parts(), scale)
    assert effects[at].tolist() == pytest.approx([0.0] * K, abs=1e-12)
    assert case_effects[tree.cases.index("case:unseen")].tolist() == pytest.approx([0.0] * K, abs=1e-12)
    assert np.delete(effects, at, axis=0) == pytest.approx(solve(p.parts(), p.scale)[0], abs=1e-9)
    # what nothing was learned about is as uncertain as it was before
    assert LeavingOut.of(wider.parts(), scale).variances()[at] == pytest.approx(np.ones(K))


def test_more_figures_speak_louder_than_the_prior():
    """One level, one coefficient of interest: the textbook shrinkage n / (n + (noise/scale)^2)."""
    tree = Tree.of([("class:g", "case:c")])
    for n in (1, 10, 1000):
        gram, moment = np.full((1, 1, 1), float(n)), np.full((1, 1), float(n))  # n figures of 1 with noise 1
        effects, case_effects = solve(blocks(tree, gram, moment, np.array([1e-6])), np.array([[0.5]]))
        assert effects[0, 0] == pytest.approx(n / (n + 4.0), rel=1e-6)
        assert abs(case_effects[0, 0]) < 1e-6
