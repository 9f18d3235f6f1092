"""Interval widths hold the share they promise on what they were learned from, and never narrow with distance."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.evidence.intervals import (
    DRAWN,
    ENOUGH,
    GROUPS,
    STEEPEST,
    STEP,
    TARGET,
    Residuals,
    _filled,
    group_numbers,
    quantile_regression,
    widths,
)
from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.coefficients import ANSWERING
from inferatlas.predict.performance.priors import Z80
from inferatlas.predict.performance.widths import (
    FACTORS,
    OTHER,
    UNCALIBRATED,
    UNSEEN,
    elasticities,
    factors,
    surplus,
    width_table,
)

SPREAD = (0.05, 0.1, 0.15, 0.2, 0.4, 0.5)  # of errors per level, as a log standard deviation
FEW = max(GROUPS - 1, 1)


def residuals(
    seed: int = 0, *, n: int = 6000, groups: int = 60, level: tuple[int, ...] = (0, 1, 2, 3, 4, 5), static: float = 2.0,
    experts: float = 1.5, elasticity: float = 0.5, vendor: str = "A", extra: float = 0.0, first_group: int = 0,
) -> Residuals:  # fmt: skip
    """Errors that are normal with a spread per level, ``static`` and ``experts`` times as wide there."""
    random = np.random.default_rng(seed)
    at = random.choice(level, n)
    own = np.exp(random.normal(np.log(0.3), 0.5, n))
    is_static, has_experts = random.random(n) < 0.4, random.random(n) < 0.3
    sigma = np.array(SPREAD)[at] * static**is_static * experts**has_experts * (own / 0.3) ** elasticity
    size = np.abs(random.normal(0, np.hypot(sigma, extra)))
    unseen = np.isin(np.array(ANSWERING)[at], UNSEEN)  # accelerators are left out: what remains is farther
    named = {name: np.full(n, f"any {name}") for name in ("accelerator", "engine", "model")}
    return Residuals(
        size, own, is_static, has_experts, at, first_group + random.integers(0, groups, n), np.full(n, vendor),
        kind=np.where(unseen, "accelerator", "group"), known=np.full(n, True), doublings=np.zeros(n), **named,
    )  # fmt: skip


def joined(*sets: Residuals) -> Residuals:
    return Residuals.joined(sets)


def relabelled(seen: Residuals, **columns: Any) -> Residuals:
    """The same with some columns of text or numbers replaced by one value."""
    return replace(seen, **{name: np.full(len(seen.size), value) for name, value in columns.items()})


def learned(seen: Residuals) -> dict[str, Any]:
    return widths(dict.fromkeys(METRICS, seen), batch_seen=256.0, context_seen=4096.0)


def sigma(width: dict[str, Any], seen: Residuals, metric: int = 1) -> Floats:
    """The log standard deviation that the predictor then gives to each figure."""
    tables = np.array(
        [[width_table(width, name, is_moe=moe)[:, metric] for name in ANSWERING] for moe in (False, True)]
    )
    load = np.where(seen.static, 2, 0)
    base = tables[seen.experts.astype(int), seen.level, load] * seen.own ** elasticities(width)[metric]
    kinds = [(str(vendor), ANSWERING[i]) for vendor, i in zip(seen.vendor, seen.level, strict=True)]
    more = {kind: surplus(width, *kind)[metric] for kind in set(kinds)}
    named = zip(seen.accelerator, seen.engine, seen.model, strict=True)
    names = [(f"accelerator:{a}", f"engine:{e}", f"model:{m}") for a, e, m in named]
    factor = {own: factors(width, own)[metric] for own in set(names)}
    return np.hypot(base, [more[kind] for kind in kinds]) * np.array([factor[own] for own in names])


@given(st.integers(0, 1000), st.sampled_from([0.5, 0.8, 0.83, 0.95]))
def test_without_features_the_regression_is_the_quantile(seed: int, share: float):
    y = np.random.default_rng(seed).normal(size=401)
    found = quantile_regression(np.ones((401, 1)), y, np.ones(401), share)[0]
    low, high = np.quantile(y, [share - 0.01, share + 0.01])
    assert low <= found <= high


def test_the_regression_finds_the_quantile_of_every_group():
    random = np.random.default_rng(1)
    group = np.arange(3000) % 3
    y = random.normal(group * 2.0, 1.0 + group)
    x = np.stack([np.ones(3000), group == 1, group == 2], axis=1).astype(float)
    b = quantile_regression(x, y, np.ones(3000), 0.8)
    for i, found in enumerate((b[0], b[0] + b[1], b[0] + b[2])):
        assert np.mean(y[group == i] < found) == pytest.approx(0.8, abs=0.01)


def test_figures_of_more_weight_count_more():
    y = np.array([0.0] * 50 + [1.0] * 50)
    for weight, expected in ((np.repeat([9.0, 1.0], 50), 0.0), (np.repeat([1.0, 9.0], 50), 1.0)):
        assert quantile_regression(np.ones((100, 1)), y, weight, 0.8)[0] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_level_holds_the_share_it_promises(seed: int):
    seen = residuals(seed)
    width = learned(seen)
    inside = seen.size <= Z80 * sigma(width, seen)
    for i in range(len(ANSWERING)):
        assert inside[seen.level == i].mean() == pytest.approx(TARGET, abs=0.03)
    for mask in (seen.static, ~seen.static, seen.experts, ~seen.experts, seen.own > 0.4, seen.own < 0.2):
        assert inside[mask].mean() == pytest.approx(TARGET, abs=0.04)


def test_what_widths_depend_on_is_found():
    width = learned(residuals())
    base = width["base"]["itl_s"]
    assert base["static"] / base["closed"] == pytest.approx(2.0, rel=0.1)
    assert base["open"] == base["closed"]
    assert list(width["experts"]["itl_s"].values()) == pytest.approx([1.5] * len(ANSWERING), rel=0.2)
    assert width["elasticity"]["itl_s"] == pytest.approx(0.5, abs=0.1)
    level = width["level"]["itl_s"]
    assert [level[name] for name in ANSWERING] == pytest.approx([s / SPREAD[0] for s in SPREAD], rel=0.12)


def test_power_has_no_account_of_its_own_error():
    width = learned(residuals(elasticity=0.0))
    assert width["elasticity"]["power_w"] == 0.0
    seen = residuals(elasticity=0.0)
    inside = seen.size <= Z80 * sigma(width, seen, METRICS.index("power_w"))
    assert inside.mean() == pytest.approx(TARGET, abs=0.02)


@pytest.mark.parametrize("growth", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("kind", ["batch", "context"])
def test_growth_beyond_the_largest_that_was_measured_is_found(kind: str, growth: float):
    near = residuals(1)
    far = residuals(2, n=4000, level=(0,), first_group=100)
    doublings = np.random.default_rng(3).uniform(0.2, 2.0, 4000)
    far = replace(relabelled(far, kind=kind), size=far.size * np.exp(growth * doublings), doublings=doublings)
    width = learned(joined(near, far))
    assert width["beyond"]["batch"]["seen"] == 256.0 and width["beyond"]["context"]["seen"] == 4096.0
    for name in ("batch", "context"):
        found = width["beyond"][name]["per_doubling"]["itl_s"]
        assert found == pytest.approx(growth if name == kind else 0.0, abs=0.06)
    # what was left out for being large does not widen what is not
    assert width["base"] == learned(near)["base"]


def test_growth_is_bounded():
    far = residuals(2, n=400, level=(0,), first_group=100)
    far = replace(relabelled(far, kind="batch", doublings=1.0), size=100 * far.size)
    assert learned(joined(residuals(1), far))["beyond"]["batch"]["per_doubling"]["itl_s"] == STEEPEST


def test_a_source_that_was_left_out_adds_its_habits_in_squares():
    near = residuals(1)
    other = relabelled(residuals(2, n=4000, level=(1,), extra=0.3, first_group=100), kind="source")
    width = learned(joined(near, other))
    assert width["source"]["itl_s"] == pytest.approx(0.3, rel=0.2)
    assert width["base"] == learned(near)["base"]
    assert learned(near)["source"]["itl_s"] == 0.0


def test_a_model_that_was_left_out_everywhere_adds_in_squares():
    near = residuals(1)
    new = relabelled(residuals(2, n=4000, level=(1,), extra=0.3, first_group=100), kind="model", known=False)
    width = learned(joined(near, new))
    assert width["model"]["itl_s"] == pytest.approx(0.3, rel=0.2)
    assert width["source"]["itl_s"] == learned(near)["model"]["itl_s"] == 0.0
    assert width["base"] == learned(near)["base"]


def test_what_errs_more_than_its_level_gets_a_factor_drawn_to_1_where_groups_are_few():
    common = residuals(1, level=(1,), static=1.0, experts=1.0, elasticity=0.0)
    wild = residuals(2, n=2000, groups=20, level=(1,), static=1.0, experts=1.0, elasticity=0.0, first_group=100)
    few = residuals(3, n=200, groups=1, level=(1,), static=1.0, experts=1.0, elasticity=0.0, first_group=200)
    wild = replace(relabelled(wild, engine="wild"), size=1.6 * wild.size)
    few = replace(relabelled(few, engine="few"), size=1.6 * few.size)
    factor = learned(joined(common, wild, few))["slice"]["itl_s"]
    assert factor["engine:wild"] / factor["engine:any engine"] == pytest.approx(1.6, rel=0.1)
    assert 1.0 < factor["engine:few"] < factor["engine:wild"]
    assert np.log(factor["engine:few"]) < 1.5 * np.log(factor["engine:wild"]) / (1 + DRAWN)
    assert all(FACTORS[0] <= value <= FACTORS[1] for value in factor.values())


@settings(max_examples=25)
@given(st.integers(0, 200), st.lists(st.floats(0.01, 1.0), min_size=6, max_size=6))
def test_no_level_is_narrower_than_a_closer_one(seed: int, spread: list[float]):
    seen = residuals(seed, n=900, groups=12)
    seen = replace(seen, size=seen.size / np.array(SPREAD)[seen.level] * np.array(spread)[seen.level])
    level = learned(seen)["level"]["latency_s"]
    factors = [level[name] for name in ANSWERING]
    assert factors[0] == 1.0
    assert factors == sorted(factors)


@pytest.mark.parametrize("present", [(0, 1, 3), (0,), (1, 4), (2, 3, 4, 5)])
def test_a_level_without_enough_groups_is_a_step_wider_than_the_closer_one(present: tuple[int, ...]):
    few = residuals(9, n=400, groups=ENOUGH - 1, level=tuple(range(6)))
    seen = joined(residuals(1, level=present), replace(few, size=few.size * 100))
    level = learned(seen)["level"]["itl_s"]
    factors = [level[name] for name in ANSWERING]
    # levels seen in too few groups: those of `few` alone (its groups are among the others')
    for i in range(1, 6):
        if i not in present and i > min(present):
            assert factors[i] == pytest.approx(STEP * factors[i - 1])
        elif i <= min(present):
            assert factors[i] >= factors[i - 1]


@given(st.dictionaries(st.integers(0, 5), st.floats(0.01, 10.0), min_size=1))
def test_filling_up_levels(reach: dict[int, float]):
    found = _filled(reach)
    assert len(found) == len(ANSWERING)
    assert found == sorted(found)
    assert all(found[i] >= value for i, value in reach.items())
    assert found[0] == (reach[0] if 0 in reach else min(reach.values()))
    for i in range(1, len(found)):
        assert found[i] == (max(reach[i], found[i - 1]) if i in reach else found[i - 1] * STEP)


def test_every_group_is_heard():
    """Rows alone would let one large group hide that all the others are missed."""
    large = residuals(1, n=5000, groups=1, level=(0,), static=1.0, experts=1.0, elasticity=0.0)
    small = residuals(2, n=600, groups=60, level=(0,), static=1.0, experts=1.0, elasticity=0.0, first_group=1)
    small = replace(small, size=5 * small.size)
    seen = joined(large, small)
    width = learned(seen)
    inside = seen.size <= Z80 * sigma(width, seen)
    assert inside[5000:].mean() > 0.5
    by_rows = np.quantile(seen.size, TARGET)
    assert np.mean(small.size <= by_rows) < inside[5000:].mean()


def test_a_vendor_that_is_missed_by_more_gets_a_surplus_in_squares():
    seen = joined(residuals(1), residuals(2, n=2000, groups=20, vendor="B", extra=0.4, first_group=100))
    width = learned(seen)
    vendor = width["vendor"]["itl_s"]
    assert vendor["A"] == 0.0
    assert vendor["B"] == pytest.approx(0.4, rel=0.3)
    inside = seen.size <= Z80 * sigma(width, seen)
    mine = seen.vendor == "B"
    assert inside[~mine].mean() == pytest.approx(TARGET, abs=0.03)  # the others are not made wider for it
    assert inside[mine].mean() == pytest.approx(TARGET, abs=0.06)
    assert np.mean(seen.size[mine] <= Z80 * sigma(learned(residuals(1)), seen)[mine]) < 0.7


def test_a_vendor_that_is_met_as_well_as_the_reference_gets_next_to_none():
    seen = joined(residuals(1), residuals(2, n=2000, groups=20, vendor="B", first_group=100))
    assert learned(seen)["vendor"]["itl_s"]["B"] < 0.1


def test_vendors_of_few_groups_share_what_others_show_with_the_accelerator_left_out():
    seen = joined(residuals(1), residuals(2, n=2000, groups=FEW, vendor="B", extra=0.4, first_group=100))
    vendor = learned(seen)["vendor"]["itl_s"]
    assert "B" not in vendor
    assert vendor[OTHER] == pytest.approx(0.4, rel=0.4)


@pytest.mark.parametrize("n", [0, 30])
def test_a_table_too_small_to_say_anything_leaves_the_ranges_of_the_constants(n: int):
    seen = residuals(n=n, groups=ENOUGH - 1)
    width = learned(seen)
    assert width["base"]["itl_s"] == dict.fromkeys(("closed", "open", "static"), UNCALIBRATED)
    assert width["elasticity"]["itl_s"] == 1.0
    assert width["elasticity"]["power_w"] == 0.0
    factors = [width["level"]["itl_s"][name] for name in ANSWERING]
    assert factors == pytest.approx([STEP**i for i in range(len(ANSWERING))])
    # close to the evidence that is as wide as without any calibration
    assert width_table(width, ANSWERING[0], is_moe=True) == pytest.approx(width_table({}, ANSWERING[0], is_moe=True))
    assert surplus(width, "A", ANSWERING[0]).tolist() == surplus({}, "A", ANSWERING[0]).tolist()


def test_equal_names_get_equal_consecutive_numbers():
    assert group_numbers([("a", "b"), ("c",), ("a", "b"), ("a",)]).tolist() == [0, 1, 0, 2]
    assert group_numbers([]).tolist() == []
