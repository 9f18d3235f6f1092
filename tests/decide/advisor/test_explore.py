"""The table behind explorers: every feasible design at every load, the same numbers as single questions."""

from pathlib import Path

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.decide.advisor.explore import CONCURRENCIES, best_designs, explore
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.answer import DEFINITIONS
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.question import ask

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

LEVELS = (1, 16, 256)
MODEL = "mixtral-8x7b"
# what nobody has published stays unknown
MAY_BE_UNKNOWN = {
    "power_w", "tokens_per_joule", "usd_per_million_tokens", "usd_per_million_tokens_owned",
    "gco2e_per_million_tokens", "gco2e_embodied_per_million_tokens",
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    return explore(MODEL, isl=1024, osl=256, concurrency=LEVELS, max_count=8)


def question(table: dict[str, np.ndarray], i: int) -> dict:
    layout = {name: int(table[name][i]) for name in ("tp", "pp", "ep", "dp", "count")}
    formats = {name: str(table[name][i]) for name in ("weights", "activations", "kv_cache", "engine")}
    load = {"isl": 1024, "osl": 256, "concurrency": int(table["concurrency"][i])}
    return {"accelerator": str(table["accelerator"][i]), **layout, **formats, **load}


def test_columns_are_of_one_length_and_every_metric_has_its_interval(table):
    assert len({len(column) for column in table.values()}) == 1
    assert len(table["model"]) > 1000
    for name in DEFINITIONS:
        assert {name, f"{name}_low", f"{name}_high"} <= table.keys()
    assert set(table["model"].tolist()) == {MODEL}
    assert set(table["concurrency"].tolist()) == set(LEVELS)
    assert set(table["bound"].tolist()) <= set(BOUNDS)
    assert set(table["label"].tolist()) <= {"predicted", "extrapolated"}


def test_designs_keep_the_count_and_hold_their_model(table):
    count = table["tp"] * table["pp"] * table["dp"]
    assert np.array_equal(count, table["count"])
    assert (count >= 1).all() and (count <= 8).all()
    assert (table["batch"] > 0).all()
    assert set(table["accelerator"].tolist()) < set(accelerator_ids())
    assert "groq-lpu-v1" not in table["accelerator"]  # 8 of them hold nothing


def test_intervals_are_ordered_and_only_what_is_unpublished_is_unknown(table):
    for name in DEFINITIONS:
        value, low, high = (table[f"{name}{end}"] for end in ("", "_low", "_high"))
        known = np.isfinite(value)
        assert np.array_equal(known, np.isfinite(low)) and np.array_equal(known, np.isfinite(high))
        assert (low[known] > 0).all(), name  # unknown is never 0
        assert (low[known] <= value[known]).all() and (value[known] <= high[known]).all(), name
        assert known.all() or name in MAY_BE_UNKNOWN, name


def test_unknown_is_not_zero_and_depends_on_the_accelerator_only(table):
    for name in MAY_BE_UNKNOWN:
        unknown = np.isnan(table[name])
        assert not set(table["accelerator"][unknown].tolist()) & set(table["accelerator"][~unknown].tolist()), name
    l4 = table["accelerator"] == "nvidia-l4"
    assert np.isnan(table["usd_per_million_tokens"][l4]).all()
    assert np.isfinite(table["power_w"][l4]).all()
    assert np.isnan(table["power_w"][table["accelerator"] == "google-tpu-v5e"]).all()


def test_rows_are_what_a_single_question_answers(table):
    rows = np.random.default_rng(3).choice(len(table["model"]), 60, replace=False)
    for i in rows:
        asked = question(table, int(i))
        answer = ask(MODEL, **asked)
        assert answer.fits, asked
        assert answer.batch == pytest.approx(table["batch"][i], rel=1e-4)
        assert (answer.bound, answer.label) == (table["bound"][i], table["label"][i])
        for name, interval in answer.metrics.items():
            if interval is None:
                assert np.isnan(table[name][i]), name
                continue
            row = [table[f"{name}{end}"][i] for end in ("_low", "", "_high")]
            assert row == pytest.approx([interval.low, interval.value, interval.high], rel=1e-4), (asked, name)


def test_prices_regions_and_sites_are_as_asked():
    asked = {"isl": 128, "osl": 128, "concurrency": (8,), "accelerators": ("l4",), "max_count": 2}
    table = explore("llama-3.1-8b", **asked, price=2.0)
    hours = table["usd_per_million_tokens"] * table["output_tokens_per_s"] * 3600 / 1e6
    assert hours == pytest.approx(2.0 * table["count"])
    dirty, clean = (explore("llama-3.1-8b", **asked, region=r)["gco2e_per_million_tokens"] for r in ("India", "Norway"))
    assert dirty / clean == pytest.approx(713 / 30)


def test_every_load_is_a_row_of_its_own_and_the_default_goes_by_powers_of_two():
    table = explore("llama-3.1-8b", isl=128, osl=128, accelerators=("h100",), weights=("bf16",), max_count=1)
    assert table["concurrency"].tolist() == list(CONCURRENCIES)
    assert (np.diff(table["output_tokens_per_s"]) >= 0).all()


def test_a_load_given_twice_counts_once_and_a_bare_name_is_one():
    asked = {"isl": 128, "osl": 128, "max_count": 1}
    twice = explore("llama-3.1-8b", **asked, concurrency=(8, 1, 8), accelerators="h100", weights="BF16")
    assert twice["concurrency"].tolist() == [8, 1]
    seen: list[int] = []

    def watched(levels):
        for level in levels:
            seen.append(level)
            yield level

    explore("llama-3.1-8b", **asked, concurrency=(1, 1, 8), accelerators=("h100",), watched=watched)
    assert seen == [1, 8]
    assert set(explore("llama-3.1-8b", **asked, concurrency=8, accelerators="h100")["concurrency"]) == {8}


def test_one_output_token_has_no_gap_between_tokens():
    table = explore("llama-3.1-8b", isl=128, osl=1, concurrency=(1, 8), accelerators=("h100",), max_count=1)
    assert np.isnan(table["itl_s"]).all()
    assert table["latency_s"] == pytest.approx(table["ttft_s"])


def test_the_best_of_each_accelerator_stand_in_the_order_of_their_scores(table):
    cost = table["usd_per_million_tokens"]
    best = best_designs(table, -cost)
    assert cost[best].tolist() == sorted(cost[best].tolist())
    priced = np.isfinite(cost)
    assert sorted(table["accelerator"][best].tolist()) == sorted(set(table["accelerator"][priced].tolist()))
    for row in best:
        assert cost[row] == cost[priced & (table["accelerator"] == table["accelerator"][row])].min()
    assert best_designs(table, np.full(len(cost), np.nan)) == []


def test_nothing_feasible_is_an_empty_table_and_nothing_to_ask_is_said():
    asked = {"isl": 128, "osl": 128, "concurrency": (1,), "accelerators": ("l4",), "max_count": 1}
    table = explore("llama-3.1-405b", **asked)
    assert {len(column) for column in table.values()} == {0}
    with pytest.raises(NoFeasibleAnswer, match="AMD") as caught:
        explore("llama-3.1-8b", **(asked | {"vendors": ("NVIDIA",), "accelerators": ("mi300x",)}))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"concurrency": ()}, BadInput), ({"concurrency": (0,)}, BadInput), ({"concurrency": (1.5,)}, BadInput),
        ({"max_count": 0}, BadInput), ({"max_count": 5000}, BadInput), ({"isl": 0}, BadInput),
        ({"isl": 200_000}, BadInput), ({"vendors": ("nvidea",)}, UnknownName), ({"region": "Mars"}, UnknownName),
        ({"model": NOT_MODELLED}, NotModelled),
        ({"model": NOT_MODELLED, "isl": 4096}, NotModelled), ({"model": "lama"}, UnknownName),
    ],
)  # fmt: skip
def test_what_cannot_be_explored_is_refused(asked, error):
    good = {"model": "llama-3.1-8b", "isl": 128, "osl": 128, "concurrency": (1,), "accelerators": ("h100",)}
    with pytest.raises(error):
        explore(**(good | {"max_count": 1} | asked))
