"""Placement of experts against the acceptance table of section 4, simulated top-k routing and what must always hold."""

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.handbook.experts import expected_max_load
from inferatlas.predict.llm import placement as pl
from inferatlas.predict.llm.experts import distinct, inclusion, zipf_popularity
from inferatlas.predict.llm.popularity import popularity_from_counts, zipf_exponent

# experts, top k, Zipf exponent, tokens; EP8 max/mean of formula (16), CoV simulated: section 4
TABLE = [
    (8, 2, 0.0, 8, 1.87, 0.199),
    (8, 2, 0.0, 64, 1.31, 0.091),
    (8, 2, 1.0, 64, 2.42, 0.096),
    (64, 6, 0.0, 8, 1.55, 0.144),
    (64, 6, 0.6, 64, 2.57, 0.063),
    (64, 6, 1.0, 64, 3.93, 0.045),
    (256, 8, 0.0, 8, 1.50, 0.129),
    (256, 8, 0.0, 64, 1.18, 0.058),
    (256, 8, 0.6, 64, 2.97, 0.056),
    (256, 8, 1.0, 64, 4.86, 0.034),
    (256, 8, 0.0, 256, 1.09, 0.026),
]
# the same on other counts of devices: experts, top k, Zipf exponent, tokens, devices
CASES = [(*row[:4], 8) for row in TABLE] + [
    (256, 8, zipf, tokens, groups) for zipf in (0.0, 0.6) for tokens, groups in ((8, 2), (64, 2), (8, 32), (64, 64))
]


def biased(experts: int, top_k: int, exponent: float, groups, placement: str = "contiguous", redundant: int = 0):
    return pl.bias_of(experts, top_k, pl.Routing(exponent, placement, redundant), tuple(groups))


@lru_cache
def routed(experts: int, top_k: int, zipf: float, tokens: int, groups: int, balanced: int = -1) -> tuple[float, float]:
    """Simulated max/mean load and CoV of the largest load; ``balanced``: packed, with that many extra copies.

    Each token takes the k smallest of exponential times over popularity, which is Gumbel top-k. Among the copies of
    an expert it takes any.
    """
    rng = np.random.default_rng(experts + 7 * tokens + groups)
    popularity = zipf_popularity(experts, zipf)
    devices, copies = pl.contiguous(experts, groups)[:, None], np.ones(experts, dtype=int)
    if balanced >= 0:
        loads, expert = pl.replicate(inclusion(popularity, top_k), balanced)
        placed, copies = pl.balanced(loads, groups), np.bincount(expert)
        devices = np.array([np.resize(placed[expert == e], copies.max()) for e in range(experts)])
    busiest = []
    trials = max(400, min(2000, 12_000_000 // (tokens * experts)))
    for batch in np.array_split(np.arange(trials), max(1, trials * tokens * experts // 1_000_000)):
        race = rng.standard_exponential((batch.size, tokens, experts), dtype=np.float32)
        race /= popularity.astype(np.float32)
        chosen = np.argpartition(race, top_k, axis=2)[:, :, :top_k]
        device = devices[chosen, (rng.random(chosen.shape) * copies[chosen]).astype(int)]
        flat = device.reshape(batch.size, -1) + groups * np.arange(batch.size)[:, None]
        busiest.append(np.bincount(flat.ravel(), minlength=batch.size * groups).reshape(batch.size, groups).max(axis=1))
    largest = np.concatenate(busiest)
    return float(largest.mean() * groups / (tokens * top_k)), float(largest.std() / largest.mean())


def contiguous_load(experts: int, top_k: int, zipf: float, tokens: float, groups: int = 8) -> pl.Load:
    pi = inclusion(zipf_popularity(experts, zipf), top_k)
    return pl.device_load(pi, pl.contiguous(experts, groups), tokens, groups)


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens", "imbalance", "cov"), TABLE)
def test_16_17_contiguous_placement_gives_the_acceptance_table(experts, top_k, zipf, tokens, imbalance, cov):
    load = contiguous_load(experts, top_k, zipf, tokens)
    assert load.imbalance == pytest.approx(imbalance, rel=0.01)
    assert load.cov == pytest.approx(cov, rel=0.12)  # the column is one simulation, good to about 10 %
    largest, mean = expected_max_load(zipf_popularity(experts, zipf), top_k, tokens, 8)
    assert (load.maximum, load.mean) == pytest.approx((largest, mean), rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_16_17_agree_with_simulated_routing(case):
    load, (imbalance, cov) = contiguous_load(*case), routed(*case)
    if case[3] >= 64:
        assert load.imbalance == pytest.approx(imbalance, rel=0.05)
    assert load.cov == pytest.approx(cov, rel=0.09)  # 5 % and the simulation's own error


@pytest.mark.parametrize(("zipf", "groups", "redundant"), [(0.6, 8, 0), (1.0, 32, 32)])
def test_16_17_hold_for_packed_copies_too(zipf, groups, redundant):
    loads, _ = pl.replicate(inclusion(zipf_popularity(256, zipf), 8), redundant)
    load = pl.device_load(loads, pl.balanced(loads, groups), 64, groups)
    imbalance, cov = routed(256, 8, zipf, 64, groups, redundant)
    assert load.imbalance == pytest.approx(imbalance, rel=0.05)
    assert load.cov == pytest.approx(cov, rel=0.09)


@pytest.mark.parametrize("n", [2, 4, 8, 16, 32, 64])
def test_17_deviation_of_the_maximum_is_exact_where_the_asymptote_is_not(n):
    normals = np.random.default_rng(n).standard_normal((40_000, n))
    assert pl.maximum_deviation(n, fixed_total=False) == pytest.approx(normals.max(axis=1).std(), rel=0.015)
    fixed = (normals - normals.mean(axis=1, keepdims=True)).max(axis=1).std()
    assert pl.maximum_deviation(n) == pytest.approx(fixed, rel=0.015)
    asymptote = math.pi / math.sqrt(12 * math.log(n))
    assert asymptote / fixed > (1.5 if n <= 4 else 1.0)


def test_17_two_loads_of_fixed_total_are_a_folded_normal():
    assert pl.maximum_deviation(2) == pytest.approx(math.sqrt(0.5 - 1 / math.pi), rel=1e-4)
    assert pl.maximum_deviation(2, fixed_total=False) == pytest.approx(math.sqrt(1 - 1 / math.pi), rel=1e-4)
    assert contiguous_load(64, 6, 0.6, 64, groups=1).cov == 0.0


def test_14_distinct_counts_the_device_that_touches_most():
    pi = inclusion(zipf_popularity(64, 0.6), 6)
    devices = np.arange(64) % 8
    per_device = [(1 - (1 - pi[devices == g]) ** 5).sum() for g in range(8)]
    assert pl.device_load(pi, devices, 5, 8).distinct == pytest.approx(max(per_device))
    assert pl.device_load(pi, np.zeros(64, int), 5, 1).distinct == pytest.approx(
        float(distinct(zipf_popularity(64, 0.6), 6, 5))
    )


routing = st.integers(2, 96).flatmap(
    lambda e: st.tuples(st.just(e), st.integers(1, min(e - 1, 8)), st.sampled_from([0.0, 0.3, 0.6, 1.0, 1.6]))
)


@given(routing, st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_packing_is_never_more_skewed_than_ranks_in_a_row(case, groups):
    packed, row = biased(*case, groups, "balanced"), biased(*case, groups)
    assert (packed <= row * (1 + 1e-12)).all()
    assert (packed >= 1).all()
    assert (row <= np.array(groups) * (1 + 1e-12)).all()


@given(routing, st.integers(1, 64), st.integers(0, 64), st.sampled_from(pl.PLACEMENTS))
def test_extra_copies_never_raise_the_skew(case, groups, redundant, placement):
    with_copies = biased(*case, [groups], placement, redundant)
    assert with_copies <= biased(*case, [groups], placement) * (1 + 1e-12)


@pytest.mark.parametrize("placement", pl.PLACEMENTS)
@pytest.mark.parametrize("redundant", [0, 32])
def test_uniform_routing_has_no_bias_but_what_does_not_divide(placement, redundant):
    assert biased(256, 8, 0.0, [1, 2, 8, 256], placement, redundant) == pytest.approx(1.0)
    assert biased(256, 8, 0.0, [72], placement) == pytest.approx(4 * 72 / 256)


def test_packing_with_copies_removes_what_contiguous_ranks_cost():
    row, packed, copied = (biased(256, 8, 0.6, [32], *how) for how in ((), ("balanced",), ("balanced", 32)))
    assert row > 5
    assert packed < 1.75  # the most popular expert alone is more than a device's share
    assert copied < 1.01


weights = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=80)


@given(weights, st.integers(1, 90))
def test_every_device_holds_its_share_at_most(popularity, groups):
    share = -(-len(popularity) // groups)
    for devices in (pl.contiguous(len(popularity), groups), pl.balanced(popularity, groups)):
        assert devices.shape == (len(popularity),)
        assert np.bincount(devices, minlength=groups).shape == (groups,)
        assert np.bincount(devices).max() <= share


@given(weights, st.integers(0, 40))
def test_copies_split_the_load_of_their_expert(popularity, redundant):
    loads, expert = pl.replicate(popularity, redundant)
    assert loads.size == len(popularity) + redundant
    assert np.bincount(expert, weights=loads) == pytest.approx(np.array(popularity))
    assert loads.max() <= max(popularity)
    assert expert[: len(popularity)].tolist() == list(range(len(popularity)))


@given(routing, st.integers(1, 64), st.floats(1, 1e6), st.integers(0, 8))
def test_16_the_busiest_lies_between_even_and_everything(case, groups, tokens, redundant):
    experts, top_k, zipf = case
    loads, _ = pl.replicate(inclusion(zipf_popularity(experts, zipf), top_k), redundant)
    assert loads.sum() == pytest.approx(top_k, rel=1e-6)
    load = pl.device_load(loads, pl.balanced(loads, groups), tokens, groups)
    assert load.mean == pytest.approx(tokens * top_k / groups, rel=1e-6)
    assert 1.0 <= load.skew <= load.imbalance * (1 + 1e-12)
    assert load.imbalance <= groups * (1 + 1e-12)
    assert 0.0 <= load.distinct <= min(-(-loads.size // groups), top_k * tokens) * (1 + 1e-9)
    assert math.isfinite(load.cov)
    assert load.cov >= 0.0


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=60), st.data())
def test_popularity_sums_to_1_and_gives_measured_frequencies_back(counts, data):
    assert popularity_from_counts(counts).sum() == pytest.approx(1.0)
    most = min(sum(counts) // max(counts), len(counts) - 1)
    top_k = data.draw(st.integers(1, most))
    popularity = popularity_from_counts(counts, top_k)
    assert popularity.sum() == pytest.approx(1.0)
    pi = inclusion(popularity, top_k)
    assert pi.sum() == pytest.approx(top_k)
    assert pi == pytest.approx(top_k * np.array(counts) / sum(counts), abs=1e-6)


@pytest.mark.parametrize("counts", [[], [[1, 2]], [1, -1], [0, 0], [1, math.nan], [1, math.inf], [1, 1e308]])
def test_what_is_not_a_count_is_refused(counts):
    with pytest.raises(BadInput, match="counts"):
        popularity_from_counts(counts)


@pytest.mark.parametrize("zipf", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("experts", [64, 256])
def test_exponent_is_recovered_from_sampled_counts(zipf, experts):
    rng = np.random.default_rng(experts)
    counts = rng.permutation(rng.multinomial(4000 * experts, zipf_popularity(experts, zipf)))
    assert zipf_exponent(counts) == pytest.approx(zipf, abs=0.02)


@pytest.mark.parametrize("zipf", [0.6, 1.0])
def test_exponent_of_top_k_visits_needs_to_know_k(zipf):
    visits = 1e6 * inclusion(zipf_popularity(64, zipf), 6)
    assert zipf_exponent(visits, 6) == pytest.approx(zipf, abs=1e-6)
    assert zipf_exponent(visits) < zipf - 0.05


def test_wrong_questions_are_refused():
    pi = [0.5, 0.5]
    for wrong in (
        lambda: zipf_exponent([5, 0, 0]),
        lambda: popularity_from_counts([9, 1], 2),
        lambda: biased(8, 2, 0.0, [2], "random"),
        lambda: biased(8, 2, 0.0, [0]),
        lambda: pl.contiguous(0, 1),
        lambda: pl.balanced([], 1),
        lambda: pl.replicate(pi, -1),
        lambda: pl.device_load(pi, [0, 1], 0, 2),
        lambda: pl.device_load(pi, [0, 2], 1, 2),
        lambda: pl.device_load(pi, [0], 1, 2),
        lambda: pl.device_load([0.5, 1.5], [0, 1], 1, 2),
        lambda: pl.device_load([0.5, math.nan], [0, 1], 1, 2),
    ):
        with pytest.raises(BadInput):
            wrong()
