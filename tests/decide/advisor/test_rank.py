"""Order and the Pareto set: by the objective, unknown last, and never a dominated design."""

from itertools import pairwise

import numpy as np
import pytest

from inferatlas.decide.advisor.rank import OBJECTIVES, PARETO_METRICS, best_of_each, order, pareto, scores
from inferatlas.decide.advisor.search import Designs
from inferatlas.predict.llm.precision import FORMATS

LARGER_IS_BETTER = {"tokens_per_joule", "output_tokens_per_s"}


def brute_force(columns: np.ndarray, keep: np.ndarray) -> set[int]:
    """All rows that no other row beats: as good in every column and better in one (smaller is better)."""
    rows = np.flatnonzero(keep & np.isfinite(columns).all(axis=1))
    return {
        int(i)
        for i in rows
        if not any((columns[j] <= columns[i]).all() and (columns[j] < columns[i]).any() for j in rows)
    }


def smaller_is_better(found: Designs, metrics=PARETO_METRICS) -> np.ndarray:
    return np.stack([found.metrics[m].value * (-1 if m in LARGER_IS_BETTER else 1) for m in metrics], axis=1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_designs_are_ordered_by_the_objective_and_unknown_ones_come_last(designs: Designs, objective: str):
    fits = np.flatnonzero(designs.predictions.fits)
    ordered = order(designs, fits, objective)
    assert sorted(ordered) == sorted(fits)
    metric, smaller = OBJECTIVES[objective]
    values = designs.metrics[metric].value[ordered] * (1 if smaller else -1)
    assert (np.diff(values[np.isfinite(values)]) >= -1e-12).all()
    assert not np.isfinite(values[np.isfinite(values).sum() :]).any()
    assert np.array_equal(scores(designs, objective)[ordered], values, equal_nan=True)


def test_among_equals_fewer_accelerators_win_then_weights_that_change_no_answers_then_calibrated_ones(with_metrics):
    found = with_metrics(usd_per_million_tokens=(1.0, 0.1))
    ordered = order(found, np.arange(len(found)), "cost")
    count = found.points.accelerators[ordered]
    bits = np.array([FORMATS[found.platform(int(i)).precision.weights].bits for i in ordered])
    assert (np.diff(count) >= 0).all()
    guessed = np.array([found.platform(int(i)).label == "extrapolated" for i in ordered])
    assert 0 < guessed.sum() < len(guessed)
    for n in np.unique(count):
        assert (np.diff(bits[count == n]) <= 0).all()
        for wide in np.unique(bits):
            assert (np.diff(guessed[(count == n) & (bits == wide)].astype(int)) >= 0).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_best_of_each_accelerator_is_its_best_and_they_are_in_order(designs: Designs, objective: str):
    keep = designs.predictions.fits
    best = best_of_each(designs, keep, objective)
    names, owner = designs.accelerator_index()
    assert {names[owner[i]] for i in best} == {names[k] for k in np.unique(owner[keep])}
    assert len(best) == len({owner[i] for i in best})
    value = np.nan_to_num(scores(designs, objective), nan=np.inf)
    for i in best:
        assert value[i] == pytest.approx(value[keep & (owner == owner[i])].min())
    ranked = value[best]
    assert all(a <= b or a == pytest.approx(b) for a, b in pairwise(ranked))


def test_only_what_is_kept_is_ranked(designs: Designs):
    names, owner = designs.accelerator_index()
    keep = designs.predictions.fits & (owner == names.index("nvidia-l4")) & (designs.points.accelerators == 3)
    (best,) = best_of_each(designs, keep, "latency")
    assert keep[best]
    assert set(pareto(designs, keep, ("latency_s", "tokens_per_joule"))) <= set(np.flatnonzero(keep))
    nothing = np.zeros(len(designs), dtype=bool)
    assert best_of_each(designs, nothing, "cost") == pareto(designs, nothing) == []


@pytest.mark.parametrize("seed", range(8))
def test_the_pareto_set_is_what_brute_force_finds(with_metrics, designs: Designs, seed: int):
    rng = np.random.default_rng(seed)
    n = len(designs)
    columns = rng.lognormal(size=(n, 3))
    if seed % 2:  # few distinct values: ties in one, two and all columns
        columns = np.ceil(columns * 3)
    if seed % 3 == 0:
        columns[rng.random((n, 3)) < 0.2] = np.nan
    found = with_metrics(**{name: (columns[:, k], 0.1) for k, name in enumerate(PARETO_METRICS)})
    keep = rng.random(n) < 0.5
    front = pareto(found, keep)
    assert len(front) == len(set(front))
    assert set(front) == brute_force(smaller_is_better(found), keep)


def test_the_pareto_set_of_a_search_holds_the_cheapest_the_fastest_and_the_most_efficient(designs: Designs):
    keep = designs.predictions.fits
    front = pareto(designs, keep)
    columns = smaller_is_better(designs)
    assert set(front) == brute_force(columns, keep)
    known = keep & np.isfinite(columns).all(axis=1)
    for k, name in enumerate(PARETO_METRICS):
        assert columns[front, k].min() == columns[known, k].min(), name
    # and it is sorted by cost, with latency falling where cost rises unless efficiency makes up for it
    assert (np.diff(columns[front, 0]) >= 0).all()


@pytest.mark.parametrize("metrics", [("latency_s", "output_tokens_per_s"), ("power_w", "ttft_s", "tokens_per_joule")])
def test_the_pareto_set_of_other_metrics(designs: Designs, metrics: tuple[str, ...]):
    keep = designs.predictions.fits & (designs.points.accelerators <= 2)
    assert set(pareto(designs, keep, metrics)) == brute_force(smaller_is_better(designs, metrics), keep)
