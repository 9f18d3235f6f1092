"""Two models in the same regimes: what must hold of a comparison, and what state-space models do to the order."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from inferatlas.catalogue.models import load_model
from inferatlas.decide.regimes.asking import counterpart
from inferatlas.decide.regimes.fitness import fitness
from inferatlas.decide.regimes.result import HAS, Comparison, Fitness
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.question import ask
from inferatlas.workload import regimes

STATES, CACHE = "mamba2-2.7b", "llama-3.2-3b"
FEW = ("h100", "mi300x", "l4", "groq", "tpu-v7", "wse-3")


@pytest.fixture(scope="module")
def found() -> Fitness:
    return fitness(STATES, against=[CACHE, STATES])


@pytest.fixture(scope="module")
def apart(found: Fitness) -> list[Comparison]:
    return [c for c in found.against[0].regimes if c.model != c.model_against]


def one_of(comparisons: list[Comparison], name: str) -> Comparison:
    return next(c for c in comparisons if c.name == name)


# laws


@pytest.mark.parametrize("model", [STATES, "llama-3.1-8b", "jamba-1.5-mini", "bge-m3"])
def test_against_itself_the_order_is_the_same_and_nobody_moves(model: str):
    (itself,) = fitness(model, against=model, accelerators=FEW).against
    for c in itself.regimes:
        if c.rank_correlation is None:
            assert "yields a vector" in c.verdict
            continue
        r = c.rank_correlation
        assert (r.low, r.value, r.high) == (1.0, 1.0, 1.0) and c.independent is None
        assert c.moved == () and c.best == c.best_against and c.verdict.startswith("same order")
        assert all((p.rank, p.gained.low, p.gained.value, p.gained.high) == (p.rank_against, 0, 0, 0) for p in c.places)
        assert c.drivers == c.drivers_against and c.kept_bytes == c.kept_bytes_against


def test_the_other_way_round_who_gained_has_lost(apart: list[Comparison]):
    back = fitness(CACHE, against=STATES).against[0].regimes
    for c in apart:
        there = one_of(back, c.name)
        assert there.rank_correlation is not None and c.rank_correlation is not None
        assert there.rank_correlation.value == pytest.approx(c.rank_correlation.value)
        gained = {p.accelerator: (p.rank, p.rank_against, p.gained.value) for p in c.places}
        assert gained == {p.accelerator: (p.rank_against, p.rank, -p.gained.value) for p in there.places}
        assert (c.best, c.best_against) == (there.best_against, there.best)
        assert (c.kept_bytes, c.kept_bytes_against) == (there.kept_bytes_against, there.kept_bytes)


def test_the_matrix_is_that_without_a_comparison(found: Fitness):
    alone = fitness(STATES)
    assert [one.as_dict() for one in alone.regimes] == [one.as_dict() for one in found.regimes]
    assert "against" not in alone.as_dict() and alone.counterpart == CACHE and found.counterpart is None
    other = fitness(CACHE)
    assert [one.as_dict() for one in other.regimes] == [one.as_dict() for one in found.against[0].results]


def test_correlation_is_that_of_the_scores_graded_for_both(found: Fitness):
    for c, one, other in zip(found.against[0].regimes, found.regimes, found.against[0].results, strict=True):
        here = {cell.accelerator: cell.score for cell in one.cells if cell.score is not None}
        there = {cell.accelerator: cell.score for cell in other.cells if cell.score is not None}
        both = sorted(here.keys() & there.keys())
        assert c.compared == len(both) == len(c.places) and c.rank_correlation is not None
        r = spearmanr([here[name] for name in both], [there[name] for name in both]).statistic
        assert c.rank_correlation.value == pytest.approx(r)
        assert c.rank_correlation.low <= r <= c.rank_correlation.high <= 1.0
        assert [p.rank for p in c.places] == sorted(p.rank for p in c.places)
        for p in c.places:
            assert p.rank == 1 + sum(here[name] > here[p.accelerator] for name in both)
            assert p.rank_against == 1 + sum(there[name] > there[p.accelerator] for name in both)
            assert p.gained.value == p.rank_against - p.rank and p.why


def test_drivers_are_over_the_accelerators_graded_for_both(found: Fitness):
    for c, one in zip(found.against[0].regimes, found.regimes, strict=True):
        assert c.drivers.keys() == c.drivers_against.keys() == set(HAS)
        if c.compared == sum(cell.score is not None for cell in one.cells):
            assert c.drivers == pytest.approx(one.drivers)


def test_a_regime_that_asks_its_own_model_is_asked_once_and_compares_nothing(found: Fitness):
    for name, model in (("mixture-of-experts", "qwen3-235b-a22b"), ("embedding", "bge-m3")):
        c = one_of(found.against[0].regimes, name)
        assert c.model == c.model_against == model and c.verdict == f"same order: {model} is asked in both"


def test_the_document_is_json_and_says_how_it_was_compared(found: Fitness):
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False, default=list))
    assert [one["model"] for one in document["against"]] == [CACHE, STATES]
    for c in document["against"][0]["regimes"]:
        assert c.keys() >= {"name", "rank_correlation", "moved", "best", "best_against", "verdict"}
        assert c["rank_correlation"].keys() == {"low", "value", "high"}
        for p in c["places"]:
            assert p.keys() >= {"accelerator", "rank", "rank_against", "why"}
    words = " ".join(found.assumptions)
    assert "drawn with replacement" in words and "independently" in words
    assert f"{STATES} has recurrent layers" in words and f"{CACHE} has" not in words


def test_who_moves_is_beyond_the_intervals_and_the_verdict_names_the_first():
    (other,) = fitness("falcon-mamba-7b", against="mistral-7b", regimes="high-throughput").against
    (c,) = other.regimes
    assert c.moved and c.verdict.startswith("order changes")
    assert c.moved[0].accelerator in c.verdict
    assert {p.accelerator for p in c.moved} == {
        p.accelerator for p in c.places if p.gained.low > 0 or p.gained.high < 0
    }
    steps = [abs(p.gained.value) for p in c.moved]
    assert steps == sorted(steps, reverse=True)


# what a state instead of a cache does


@pytest.mark.parametrize("accelerator", ["h100", "mi300x", "l4"])
def test_state_space_models_lose_no_speed_with_context_while_attention_does(accelerator: str):
    def slower(model: str) -> float:
        """The gap after 65,536 tokens over that after 1,024, of one request alone."""
        gaps = [ask(model, accelerator, count=1, isl=n, osl=64, concurrency=1).metrics["itl_s"] for n in (1024, 65536)]
        assert gaps[0] is not None and gaps[1] is not None
        return gaps[1].value / gaps[0].value

    assert slower(STATES) == pytest.approx(1.0, abs=1e-3)
    assert slower(CACHE) > 1.2


def test_what_a_request_keeps_is_the_state_whatever_its_length(apart: list[Comparison]):
    kept = {c.name: (c.kept_bytes, c.kept_bytes_against) for c in apart}
    assert len({here for here, _ in kept.values()}) == 1
    lengths = {one.name: one.input_tokens + one.output_tokens for one in regimes()}
    per_token = 2 * 28 * 2 * 8 * 128  # bytes of 28 layers of 8 key and value heads of 128
    for name, (_, there) in kept.items():
        assert there == pytest.approx(per_token * lengths[name])


def test_at_long_context_capacity_counts_less_than_with_a_cache(apart: list[Comparison]):
    c = one_of(apart, "long-context")
    here, there = c.drivers["memory_capacity"], c.drivers_against["memory_capacity"]
    assert here is not None and there is not None and here < there


def test_everybody_gains_without_a_cache_and_more_the_longer_the_context(found: Fitness):
    def gains(name: str) -> list[float]:
        results = found.regimes, found.against[0].results
        here, there = (
            {c.accelerator: c.value.value for c in next(r for r in rs if r.regime.name == name).cells if c.value}
            for rs in results
        )
        return [here[accelerator] / there[accelerator] for accelerator in here.keys() & there.keys()]

    assert min(gains("long-context")) > 1.0
    assert np.median(gains("long-context")) > 2 * np.median(gains("high-throughput"))


# what is refused, and what stands instead of a comparison


def test_models_that_cannot_be_asked_leave_a_reason():
    (other,) = fitness("jamba-1.5-mini", against="mixtral-8x7b", regimes="long-context", accelerators=FEW).against
    (c,) = other.regimes
    assert c.rank_correlation is None and c.places == () and c.compared == 0
    assert c.verdict == "cannot be compared: requests of 33,280 tokens exceed the context of mixtral-8x7b (32,768)"
    assert c.best is not None and c.best_against is None


def test_two_accelerators_have_no_order():
    (other,) = fitness(STATES, against=CACHE, regimes="single-stream", accelerators=["h100", "l4"]).against
    assert "an order takes 3 accelerators" in other.regimes[0].verdict and "there are 2" in other.regimes[0].verdict


def test_a_wrong_name_is_wrong_where_it_stands():
    with pytest.raises(UnknownName) as caught:
        fitness(STATES, against="llama-3.2-3", regimes="single-stream", accelerators=FEW)
    assert caught.value.field == "against"
    for names in (["llama-3.2-3b", "meta-llama/Llama-3.2-3B"], [""]):
        with pytest.raises(BadInput) as refused:
            fitness(STATES, against=names, regimes="single-stream", accelerators=FEW)
        assert refused.value.field == "against"


def test_a_regime_of_one_s_own_is_compared_too(tmp_path: Path):
    mine: dict[str, Any] = {
        "title": "Mine", "description": "Of one's own.", "metric": "itl_s", "per": "deployment",
        "input_tokens": 8192, "output_tokens": 64, "concurrency": [1],
    }  # fmt: skip
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(mine), encoding="utf-8")
    (other,) = fitness(STATES, against=CACHE, regimes=str(file), accelerators=FEW).against
    (c,) = other.regimes
    assert c.name == "mine" and c.rank_correlation is not None and c.compared == len(FEW)


def test_a_recurrent_model_is_beside_a_transformer_of_its_size_that_can_be_asked():
    for name in ("mamba2-2.7b", "falcon-mamba-7b", "rwkv-6-world-7b", "jamba-1.5-mini", "jamba-1.5-large"):
        model = load_model(name)
        other = counterpart(model, regimes())
        assert other is not None and not other.recurs and other.has_experts == model.has_experts
        assert other.holds(33_280)
    for name in ("llama-3.1-8b", "mixtral-8x7b", "bge-m3", "flan-t5-xxl"):
        assert counterpart(load_model(name), regimes()) is None


def test_two_of_everything_is_finite(found: Fitness):
    for other in found.against:
        for c in other.regimes:
            assert c.independent is None or all(-1 <= x <= 1 and math.isfinite(x) for x in c.independent)
