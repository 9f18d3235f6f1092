"""The fitness matrix: grades follow from values, values from predictions, and whoever has neither has a reason."""

import json
import math
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from inferatlas import workload
from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.fleet import ROOM
from inferatlas.decide.regimes.cells import SHOWN, Cell
from inferatlas.decide.regimes.disagreement import explained
from inferatlas.decide.regimes.fitness import Fitness, RegimeResult, fitness
from inferatlas.errors import BadInput, NotModelled, UnknownName
from inferatlas.predict.answer import Answer
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.performance.priors import constant
from inferatlas.predict.platforms import supported_engines
from inferatlas.predict.question import ask
from inferatlas.workload import GRADES, METRICS, Regime, load_regime, parse_targets, regimes

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

MODEL = "llama-3.3-70b"
REGIMES = [regime.name for regime in regimes()]
SHIPPED = Path(workload.__file__).parent / "data" / "regimes"
SMALL = ("h100", "mi300x", "l4", "groq")
MINE: dict[str, Any] = {
    "title": "Mine", "description": "Of one's own.", "metric": "output_tokens_per_s", "per": "accelerator",
    "input_tokens": 512, "output_tokens": 64, "concurrency": [1, 8],
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Fitness:
    return fitness(MODEL)


@pytest.fixture(scope="module", params=REGIMES)
def one(request: pytest.FixtureRequest, found: Fitness) -> RegimeResult:
    return next(result for result in found.regimes if result.regime.name == request.param)


@pytest.fixture
def mine(tmp_path: Path):
    """Grades in a regime of one's own: ``mine(metric="itl_s", per="deployment")``."""

    def graded(*, model: str = "llama-3.1-8b", parts: tuple[str, ...] = SMALL, **changes: Any) -> RegimeResult:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(MINE | changes), encoding="utf-8")
        return fitness(model, regimes=[str(file)], accelerators=parts).regimes[0]

    return graded


def graded(result: RegimeResult) -> list[Cell]:
    return [cell for cell in result.cells if cell.score is not None]


def by_name(result: RegimeResult) -> dict[str, Cell]:
    return {cell.accelerator: cell for cell in result.cells}


@lru_cache
def _asked(model: str, accelerator: str, isl: int, osl: int, choices: tuple) -> Answer:
    return ask(model, accelerator, isl=isl, osl=osl, **dict(choices))


def asked(result: RegimeResult, cell: Cell) -> Answer:
    """The same deployment as a single question."""
    assert cell.concurrency is not None
    choices = cell.layout | {"weights": cell.weights, "engine": cell.engine, "concurrency": int(cell.concurrency)}
    regime = result.regime
    lengths = int(regime.input_tokens), int(regime.output_tokens)
    return _asked(result.model, cell.accelerator, *lengths, tuple(choices.items()))


def of_deployment(result: RegimeResult, cell: Cell) -> float:
    """The regime's metric of the whole deployment, from what is shown."""
    regime, shown = result.regime, {name: one.value for name, one in cell.metrics.items() if one is not None}
    tokens = shown["output_tokens_per_s"]
    both = regime.input_tokens + regime.output_tokens
    derived = {
        "requests_per_s": tokens / regime.output_tokens,
        "total_tokens_per_s": tokens / regime.output_tokens * both,
    }
    return (shown | derived)[regime.metric]


# the whole matrix


def test_the_matrix_has_every_regime_and_every_accelerator_once(found: Fitness):
    assert [result.regime.name for result in found.regimes] == REGIMES
    for result in found.regimes:
        assert sorted(cell.accelerator for cell in result.cells) == list(accelerator_ids())
        assert len(graded(result)) > len(result.cells) / 2


def test_scores_are_shares_of_the_best_in_order(one: RegimeResult):
    scores = [cell.score for cell in one.cells]
    have = [score for score in scores if score is not None]
    assert have == sorted(have, reverse=True) and scores[: len(have)] == have
    assert have[0] == 1.0 and all(0 < score <= 1 for score in have)
    values = [cell.value.value for cell in graded(one) if cell.value is not None]
    best = max(values) if one.regime.better == "higher" else min(values)
    shares = [value / best if one.regime.better == "higher" else best / value for value in values]
    assert have == pytest.approx(shares)


def test_a_grade_is_that_of_its_score_and_its_ends_enclose_it(one: RegimeResult):
    for cell in graded(one):
        assert cell.grade == one.regime.grade(cell.score) and cell.grades is not None and cell.value is not None
        worse, better = (GRADES.index(word) for word in cell.grades)
        assert better <= GRADES.index(cell.grade) <= worse
        assert 0 <= cell.value.low <= cell.value.value <= cell.value.high < math.inf


def test_whoever_has_no_value_has_no_grade_but_a_reason(one: RegimeResult):
    for cell in one.cells:
        assert cell.reason
        assert cell.software["level"] in ("official", "experimental", "none")
        if cell.score is None:
            assert cell.code and cell.code != "ok"
            gone = (cell.value, cell.grade, cell.grades, cell.count, cell.bound, cell.weights, cell.engine, cell.label)
            assert gone == (None,) * 8 and not cell.layout and not cell.metrics
        else:
            assert cell.code is None and cell.bound in BOUNDS and cell.label in ("predicted", "extrapolated")
            assert cell.software["answered"] == cell.engine
            assert cell.metrics.keys() == set(SHOWN)


def test_what_counts_is_the_deployment_s_metric_shared_out(one: RegimeResult):
    for cell in graded(one):
        assert cell.count is not None and cell.value is not None
        share = cell.count if one.regime.per == "accelerator" else 1
        shown = of_deployment(one, cell)
        if one.regime.hosted > 1:  # the loading of other models comes on top, see below
            assert cell.value.value >= shown
        else:
            assert cell.value.value * share == pytest.approx(shown, rel=1e-6)
        assert math.prod(cell.layout[name] for name in ("tp", "pp", "dp")) == cell.count


def test_a_cell_is_what_a_single_question_answers(one: RegimeResult):
    cells = graded(one)
    for cell in [*cells[:6], *cells[-3:], *(c for c in cells if c.architectural_class not in ("gpu_simt",))]:
        answer = asked(one, cell)
        assert answer.fits and answer.inputs["count"] == cell.count
        for name in SHOWN:
            ours, theirs = cell.metrics[name], answer.metrics[name]
            assert (ours is None) == (theirs is None), (cell.accelerator, name)
            if ours is not None and theirs is not None:
                assert ours.value == pytest.approx(theirs.value, rel=2e-4), (cell.accelerator, name)
                assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-3)
        assert cell.bound == answer.bound or one.regime.hosted > 1


def test_no_chosen_design_misses_a_target(found: Fitness):
    result = next(result for result in found.regimes if result.regime.slo)
    for cell in graded(result):
        answer = asked(result, cell)
        for target in result.regime.slo:
            reached = answer.percentiles[target.metric][target.statistic]
            assert reached < target.bound * (1 + 1e-4), (cell.accelerator, target.text())
    missed = [cell for cell in result.cells if cell.code == "target"]
    assert missed and all("at best" in cell.reason or "at once" in cell.reason for cell in missed)


def test_a_level_that_misses_a_target_is_why_a_higher_one_was_not_chosen(found: Fitness):
    result = next(result for result in found.regimes if result.regime.slo)
    levels, bound = result.regime.concurrency, 0
    for cell in graded(result)[:12]:
        assert cell.concurrency in levels and cell.value is not None and cell.count is not None
        for level in levels[levels.index(int(cell.concurrency)) + 1 :]:
            choices = cell.layout | {"weights": cell.weights, "engine": cell.engine, "concurrency": level}
            answer = ask(MODEL, cell.accelerator, isl=1024, osl=256, **choices)
            if all(answer.percentiles[t.metric][t.statistic] < t.bound for t in result.regime.slo):
                rate = answer.metrics["output_tokens_per_s"]
                assert rate is not None and rate.value / 256 / cell.count <= cell.value.value * (1 + 1e-3)
            else:
                bound += 1
    assert bound > 0


def test_what_a_machine_has_is_what_its_drivers_are_correlated_with(one: RegimeResult):
    assert one.drivers.keys() == {"memory_bandwidth", "compute", "memory_capacity"}
    cells = graded(one)
    assert all(r is not None and -1 <= r <= 1 for r in one.drivers.values())
    assert all(cell.value is not None and cell.count is not None for cell in cells)
    shared = one.regime.per == "accelerator"
    has = [
        device(load_accelerator(c.accelerator)).memory.bytes_per_s * (1 if shared else c.count) for c in cells
    ]  # fmt: skip
    sign = 1 if one.regime.better == "higher" else -1
    r = np.corrcoef(np.log(has), sign * np.log([c.value.value for c in cells]))[0, 1]
    assert one.drivers["memory_bandwidth"] == pytest.approx(r, abs=1e-9)


def test_who_gives_most_per_joule_and_whether_that_is_the_same_order(one: RegimeResult):
    known = [(c, c.metrics["tokens_per_joule"]) for c in graded(one) if c.metrics["tokens_per_joule"] is not None]
    per_joule = [interval.value for _, interval in known if interval is not None]
    assert one.energy["best"] == known[int(np.argmax(per_joule))][0].accelerator
    order = spearmanr(per_joule, [cell.score for cell, _ in known]).statistic
    assert one.energy["rank_correlation"] == pytest.approx(order, abs=0.01)  # ties are ours to break


def test_sizes_are_whole_nodes_and_of_chips_no_more_than_the_room(one: RegimeResult):
    room = ROOM if one.regime.per == "accelerator" else 1.0
    lengths = {"isl": int(one.regime.input_tokens), "osl": int(one.regime.output_tokens), "concurrency": 1}
    for cell in graded(one):
        part = device(load_accelerator(cell.accelerator))
        assert cell.count is not None and cell.count % part.node == 0
        if part.style in ("static_pipeline", "wafer"):
            assert cell.count == cell.layout["pp"]
            fewer = (math.ceil(cell.count / room) - 1) // part.node * part.node  # would allow for less than there are
            if fewer:
                layout = cell.layout | {"pp": fewer}
                assert not ask(one.model, cell.accelerator, weights=cell.weights, **lengths, **layout).fits


def test_the_same_matrix_again(found: Fitness):
    assert fitness(MODEL).as_dict() == found.as_dict()


def test_the_document_is_json_without_not_a_number(found: Fitness):
    text = json.dumps(found.as_dict(), allow_nan=False, default=list)
    assert len(json.loads(text)["regimes"]) == len(REGIMES)


def test_what_is_assumed_is_said(found: Fitness):
    words = " ".join(found.assumptions)
    calibrated = {cell.accelerator for result in found.regimes for cell in result.cells if cell.label == "predicted"}
    assert calibrated and all(name in words for name in calibrated)
    assert "routed uniformly" in words and "link to its host" in words
    assert "one node" in words and "elsewhere" not in words
    alone = fitness("llama-3.1-8b", regimes=["single-stream"], accelerators=["h100"])
    assert "routed" not in " ".join(alone.assumptions) and "link" not in " ".join(alone.assumptions)


def test_the_size_of_a_deployment_is_said_as_the_regime_gives_it(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(MINE | {"within": 4}), encoding="utf-8")
    (size,) = [line for line in fitness(MODEL, regimes=[str(file)], accelerators=SMALL).assumptions if "deploy" in line]
    assert size == "in mine a deployment has 4 accelerators"
    both = fitness(MODEL, regimes=[str(file), "single-stream"], accelerators=SMALL).assumptions
    assert size in both and any(line.startswith("elsewhere a deployment is one node") for line in both)


@pytest.mark.parametrize("name", [one.name for one in regimes() if one.per == "accelerator"])
def test_levels_reach_beyond_what_the_largest_node_gains_from(found: Fitness, tmp_path: Path, name: str):
    """Levels are of the deployment: where more would still help, a small node would look better than it is."""
    (declared,) = (one for one in found.regimes if one.regime.name == name)
    levels = list(declared.regime.concurrency)
    at_top = [cell for cell in graded(declared) if cell.concurrency == levels[-1]]
    assert len(at_top) <= 5
    if not at_top:
        return
    mine = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")) | {"concurrency": levels[:-1]}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(mine), encoding="utf-8")
    fewer = by_name(
        fitness(declared.model, regimes=[str(file)], accelerators=[c.accelerator for c in at_top]).regimes[0]
    )
    for cell in at_top:
        before = fewer[cell.accelerator].value
        assert cell.value is not None and before is not None
        assert cell.value.value <= 1.1 * before.value


def test_values_that_more_requests_would_raise_are_named(tmp_path: Path):
    def said(levels: list[int]) -> list[str]:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(MINE | {"concurrency": levels}), encoding="utf-8")
        found = fitness("llama-3.1-8b", regimes=[str(file)], accelerators=("h100", "gh200"))
        return [line for line in found.assumptions if "still gaining" in line]

    (line,) = said([1, 8, 64])
    assert "at 64 requests" in line and line.endswith("nvidia-gh200, nvidia-h100-sxm")
    assert said([1, 8, 64, 512, 4096, 8192]) == []
    assert said([64]) == []  # one level is the question


# relative to whom


def test_alone_everybody_is_the_best(found: Fitness):
    for name in ("nvidia-l4", "groq-lpu-v1"):
        alone = fitness(MODEL, accelerators=[name])
        for result, whole in zip(alone.regimes, found.regimes, strict=True):
            (cell,) = result.cells
            there = by_name(whole)[name]
            assert (cell.score, cell.grade) == ((None, None) if there.score is None else (1.0, "excellent"))
            assert (cell.value, cell.metrics, cell.count, cell.layout) == (
                there.value, there.metrics, there.count, there.layout
            )  # fmt: skip


def test_a_worse_rival_changes_no_score_and_a_better_one_lowers_all(one: RegimeResult):
    names = [cell.accelerator for cell in graded(one)]
    few = (names[3], names[7], names[20])
    base, worse, better = (
        by_name(fitness(MODEL, regimes=[one.regime.name], accelerators=chosen).regimes[0])
        for chosen in (few, (names[-1], *few), (*few, names[0]))
    )
    for name in few:
        assert asdict(base[name]) == asdict(worse[name])
        before, after, known = base[name].score, better[name].score, by_name(one)[name].score
        assert before is not None and after is not None and after <= before
        assert after == pytest.approx(known)


# targets


def test_where_no_level_surely_meets_a_target_the_value_may_be_nothing(mine):
    for levels in ([8], [1, 8, 64]):
        free = mine(concurrency=levels, parts=("h100",)).cells[0]
        itl = free.metrics["itl_s"]
        just = mine(concurrency=levels, parts=("h100",), slo=[f"itl<{itl.value * 1.001!r}s"]).cells[0]
        assert just.value.value == pytest.approx(free.value.value) and just.grades[1] == "excellent"
        if levels == [8]:  # no other level could stand in
            assert just.value.low == 0.0 and just.grades[0] == "limited"
        assert just.value.low <= free.value.low
        surely = mine(concurrency=levels, parts=("h100",), slo=[f"itl<{itl.high * 10!r}s"]).cells[0]
        assert surely.value == free.value and surely.grades == free.grades


def test_with_a_target_the_ends_are_those_of_levels_that_surely_and_perhaps_meet_it(mine):
    levels = [1, 4, 16, 64, 256]
    each = [mine(concurrency=[level], parts=("h100",), within=1).cells[0] for level in levels]
    rates = [cell.value for cell in each]
    gaps = [cell.metrics["itl_s"] for cell in each]
    assert all(np.diff([gap.value for gap in gaps]) > 0) and all(np.diff([rate.value for rate in rates]) > 0)
    for bound in (gap.value * 1.01 for gap in gaps):
        found = mine(concurrency=levels, parts=("h100",), within=1, slo=[f"itl<{bound!r}s"]).cells[0]
        chosen = max(i for i, gap in enumerate(gaps) if gap.value < bound)
        assert found.concurrency == levels[chosen] and found.value.value == pytest.approx(rates[chosen].value)
        surely = [rate.low for rate, gap in zip(rates, gaps, strict=True) if gap.high < bound]
        perhaps = [rate.high for rate, gap in zip(rates, gaps, strict=True) if gap.low < bound]
        assert found.value.low == pytest.approx(max(surely, default=0.0), rel=1e-5)
        assert found.value.high == pytest.approx(max(perhaps), rel=1e-5)


def test_a_target_out_of_reach_is_the_reason_with_what_is_reached(mine):
    found = mine(slo=["ttft:p95<1ms", "output_tokens_per_s>1"])
    for cell in found.cells:
        assert cell.code == "target" and "ttft p95 is" in cell.reason and "ttft:p95<1ms" in cell.reason
    fast = mine(slo=["output_tokens_per_s>1e9"], parts=("h100",)).cells[0]
    assert fast.code == "target" and "output_tokens_per_s mean is" in fast.reason


def test_targets_that_no_level_meets_together(mine):
    # many in flight for the rate, few for the gap
    one, many = (mine(concurrency=[n], parts=("h100",), within=1).cells[0].metrics for n in (1, 256))
    gap, rate = one["itl_s"].value * 1.01, many["output_tokens_per_s"].value * 0.99
    both = {"parts": ("h100",), "within": 1, "concurrency": [1, 256]}
    assert mine(slo=[f"itl<{gap!r}s"], **both).cells[0].score == 1.0
    assert mine(slo=[f"output_tokens_per_s>{rate!r}"], **both).cells[0].score == 1.0
    cell = mine(slo=[f"itl<{gap!r}s", f"output_tokens_per_s>{rate!r}"], **both).cells[0]
    assert cell.score is None and cell.code == "target" and "at once" in cell.reason


# several models on one deployment


def test_models_that_all_fit_cost_nothing():
    found = fitness("llama-3.1-8b", regimes=["multi-model"]).regimes[0]
    free = [cell for cell in graded(found) if cell.value.value == pytest.approx(cell.metrics["ttft_s"].value, rel=1e-9)]
    assert {"nvidia-h200-sxm", "amd-mi300x"} <= {cell.accelerator for cell in free}
    for cell in free:
        part = device(load_accelerator(cell.accelerator))
        assert part.memory.bytes * cell.count > 8 * 15e9
    unlinked = [cell for cell in free if device(load_accelerator(cell.accelerator)).offload is None]
    assert unlinked  # whatever the link, nothing goes over it


def test_eight_models_of_70b_take_turns_on_eight_h100(found: Fitness):
    result = next(result for result in found.regimes if result.regime.hosted > 1)
    cell = by_name(result)["nvidia-h100-sxm"]
    assert (cell.count, cell.weights) == (8, "bf16") and cell.value is not None
    held = count(load_model(MODEL))
    # every device holds its share of each model that is there; the layout is of one model alone
    ways = cell.layout["tp"] * cell.layout["pp"]
    share = 2.0 * held.total / ways
    answer = asked(result, cell)
    assert answer.memory["weights_bytes"] == pytest.approx(share, rel=0.03)
    left = answer.memory["usable_bytes"] - sum(
        answer.memory[f"{name}_bytes"] for name in ("activations", "reserve", "kv")
    )
    there = math.floor(left / answer.memory["weights_bytes"])
    assert 1 <= there < 8
    # PCIe 5 x16, 64 GB/s one way, and what copies reach of it
    loading = (1 - there / 8) * share / (64e9 * constant("offload", "efficiency"))
    first = cell.metrics["ttft_s"]
    assert first is not None
    assert cell.value.value - first.value == pytest.approx(loading, rel=0.03)


@pytest.mark.parametrize("metric", ["ttft_s", "latency_s"])
def test_the_more_models_the_longer_the_wait(mine, metric: str):
    waits = [
        mine(model=MODEL, metric=metric, per="deployment", hosted=n, concurrency=[1], parts=("h100",))
        .cells[0]
        .value.value
        for n in (1, 2, 4, 8, 100)
    ]
    assert waits == sorted(waits) and waits[0] == pytest.approx(waits[1])
    cell = mine(model=MODEL, metric=metric, per="deployment", hosted=1, concurrency=[1], parts=("h100",)).cells[0]
    assert waits[0] == cell.metrics[metric].value
    rate = {"hosted": 8, "metric": "output_tokens_per_s", "per": "deployment"}
    assert mine(**rate, parts=("h100",)).cells[0].score == 1.0


def test_without_a_known_link_the_wait_is_unknown(found: Fitness):
    result = next(result for result in found.regimes if result.regime.hosted > 1)
    unlinked = [cell for cell in result.cells if cell.code == "no_slower_memory"]
    assert unlinked
    alone = by_name(found.regimes[0])
    for cell in unlinked:
        assert cell.value is None and cell.grade is None and "link to the host" in cell.reason
        assert device(load_accelerator(cell.accelerator)).offload is None
        assert alone[cell.accelerator].score is not None  # one model runs well


# which model is asked


@pytest.mark.parametrize(
    ("model", "moe", "embedding"),
    [
        ("llama-3.1-8b", "qwen3-235b-a22b", "bge-m3"),
        ("mixtral-8x7b", "mixtral-8x7b", "bge-m3"),
        ("jamba-1.5-mini", "jamba-1.5-mini", "bge-m3"),  # a hybrid with experts is a mixture of experts too
        ("mamba2-2.7b", "qwen3-235b-a22b", "bge-m3"),
    ],
)
def test_a_mixture_is_asked_itself_and_anything_else_by_proxy(model: str, moe: str, embedding: str):
    parts = ["h200", "mi300x"]
    found = fitness(model, regimes=["mixture-of-experts", "embedding", "single-stream"], accelerators=parts)
    assert [result.model for result in found.regimes] == [moe, embedding, model]
    assert found.model == model
    for result in found.regimes:
        for cell in graded(result):
            answer = asked(result, cell)
            shown = cell.metrics["latency_s"]
            theirs = answer.metrics["latency_s"]
            assert shown is not None and theirs is not None and shown.value == pytest.approx(theirs.value, rel=2e-4)


@pytest.mark.parametrize("model", ["bge-large-en-v1.5", "e5-mistral-7b"])
def test_a_model_that_embeds_is_asked_for_vectors_and_not_for_tokens(model: str):
    found = fitness(model, accelerators=["h100", "mi300x", "l4"])
    for result in found.regimes:
        own = {"mixture-of-experts": "qwen3-235b-a22b"}.get(result.regime.name, model)
        assert result.model == own
        if result.regime.name in ("embedding", "mixture-of-experts"):
            assert graded(result)
            continue
        for cell in result.cells:
            assert (cell.code, cell.value, cell.grade) == ("no_tokens", None, None)
            assert "yields a vector" in cell.reason and model in cell.reason
    (vectors,) = (one for one in found.regimes if one.regime.name == "embedding")
    assert len(graded(vectors)) == 3 and vectors.kept_bytes is None


def test_an_encoder_decoder_is_refused_where_prompts_exceed_its_context():
    assert load_model("flan-t5-xxl").context_length == 512
    for result in fitness("flan-t5-xxl", accelerators=["h100"]).regimes:
        if result.model == "flan-t5-xxl":
            assert {cell.code for cell in result.cells} == {"context_length"}


def test_a_model_without_a_limit_of_its_own_answers_everything_and_says_what_it_was_trained_on():
    found = fitness("mamba2-2.7b", accelerators=["h100", "mi300x", "groq"])
    for result in found.regimes:
        assert graded(result)
        if result.model == "mamba2-2.7b":
            assert {cell.label for cell in graded(result)} == {"extrapolated"}
    (line,) = [one for one in found.assumptions if "trained on" in one]
    assert "2,048 tokens" in line and "long-context (33,280)" in line
    assert "single-stream" not in line and "high-throughput" not in line  # 1,280 and 2,048 tokens
    for model in ("llama-3.1-8b", "rwkv-7-world-7.2b"):
        short = fitness(model, accelerators=["h100"], regimes=["single-stream"])
        assert not any("trained on" in one for one in short.assumptions)


def test_a_regime_about_a_kind_refuses_a_model_of_another(tmp_path: Path):
    for kind, model, lengths in (("moe", "llama-3.1-8b", 64), ("embedding", "llama-3.1-8b", 1)):
        file = tmp_path / "mine.yaml"
        mine = MINE | {"kind": kind, "model": model, "output_tokens": lengths}
        file.write_text(yaml.safe_dump(mine), encoding="utf-8")
        with pytest.raises(BadInput, match=f"kind is {kind}") as caught:
            fitness("llama-3.1-8b", regimes=[str(file)], accelerators=["h100"])
        assert (caught.value.field, caught.value.file) == ("model", str(file))


def test_a_model_of_short_context_cannot_read_long_documents():
    assert load_model("llama-2-7b").context_length == 4096
    found = fitness("llama-2-7b", regimes=["long-context", "single-stream"])
    for cell in found.regimes[0].cells:
        assert (cell.code, cell.value, cell.score, cell.grade) == ("context_length", None, None, None)
        assert "4,096" in cell.reason and "33,280" in cell.reason
    assert found.regimes[0].drivers == {} and graded(found.regimes[1])


def test_weights_are_of_the_formats_that_the_regime_names(found: Fitness):
    result = next(result for result in found.regimes if result.regime.weights)
    assert {cell.weights for cell in graded(result)} <= set(result.regime.weights)
    for cell in result.cells:
        if cell.code == "precision":
            assert not set(device(load_accelerator(cell.accelerator)).peaks) & {"fp8", "int8"}


# regimes of one's own


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_grade(mine, metric: str):
    found = mine(metric=metric, per="deployment", parts=("h100", "mi300x", "b200"))
    assert found.regime.better == METRICS[metric] and found.regime.name == "mine"
    cells = graded(found)
    assert len(cells) == 3 and cells[0].score == 1.0
    for cell in cells:
        answer = asked(found, cell)
        if metric in answer.metrics:
            theirs = answer.metrics[metric]
            assert theirs is not None and cell.value is not None
            assert cell.value.value == pytest.approx(theirs.value, rel=2e-4)
            assert (cell.value.low, cell.value.high) == pytest.approx((theirs.low, theirs.high), rel=1e-3)


def test_tokens_per_joule_is_tokens_over_power_at_the_best_level(mine):
    found = mine(metric="tokens_per_joule", per="deployment", concurrency=[1, 8, 64])
    for cell in graded(found):
        tokens, watts = cell.metrics["output_tokens_per_s"], cell.metrics["power_w"]
        assert cell.value.value == pytest.approx(tokens.value / watts.value)
        assert cell.concurrency > 1  # more tokens in flight share the floor


def test_power_per_accelerator_never_exceeds_the_rating_of_one(mine):
    found = mine(model=MODEL, metric="power_w", parts=tuple(accelerator_ids()), concurrency=[4096])
    cells = graded(found)
    assert len(cells) > 40
    reached = 0
    for cell in cells:
        rated = device(load_accelerator(cell.accelerator)).power.rated_w
        assert rated is not None and cell.value is not None
        assert cell.value.high <= rated * (1 + 1e-6), cell.accelerator
        reached += cell.value.high >= rated * (1 - 1e-6)
    assert reached > 0


def test_what_is_not_known_is_named_before_what_is_missed(mine):
    for extra in ({}, {"slo": ["ttft<100s"]}, {"slo": ["ttft<1us"]}, {"hosted": 4}):
        priced, unpriced = (
            by_name(mine(metric="usd_per_million_tokens", per="deployment", **extra))[name]
            for name in ("nvidia-h100-sxm", "nvidia-l4")
        )
        assert unpriced.code == "unknown" and "usd_per_million_tokens is not known" in unpriced.reason
        assert priced.score == 1.0 or (extra.get("slo") == ["ttft<1us"] and priced.code == "target")


@pytest.mark.parametrize("asked_for", [{"metric": "itl_s", "per": "deployment"}, {"slo": ["itl<20ms"]}], ids=str)
def test_one_output_token_has_no_gap(mine, asked_for: dict[str, Any]):
    for cell in mine(output_tokens=1, **asked_for).cells:
        assert cell.value is None and "one output token has no gap" in cell.reason


def test_a_format_that_nobody_multiplies_is_everybody_s_reason(mine):
    found = mine(weights=["mxfp6"], parts=("groq", "cerebras-wse-3"))
    assert {cell.code for cell in found.cells} == {"precision"} and found.drivers == {}
    assert all("none of the formats" in cell.reason for cell in found.cells)


def test_so_many_accelerators_as_the_regime_says(mine, cluster):
    found = mine(within=4, parts=("h100", "mi300x", "groq", "cerebras-wse-3"))
    assert {cell.count for cell in graded(found)} == {4}
    assert by_name(found)["groq-lpu-v1"].code == "memory"
    small = mine(within=16, parts=("mi300x", cluster("h100", nodes=1)))
    assert by_name(small)["nvidia-h100-sxm"].code == "count"
    assert by_name(small)["amd-mi300x"].score == 1.0


def test_thresholds_of_one_s_own_grade(mine):
    strict = {"excellent": 1.0, "very good": 0.999, "good": 0.998, "fair": 0.997, "limited": 0}
    found = mine(thresholds=strict)
    assert [cell.grade for cell in graded(found)] == ["excellent", *["limited"] * (len(graded(found)) - 1)]


# published grades


def test_where_grades_differ_and_only_there_the_reason_stands(one: RegimeResult):
    published = one.regime.published
    assert published is not None
    for cell in one.cells:
        assert cell.paper_grade == published.grades.get(cell.accelerator)
        assert bool(cell.differs) == (cell.paper_grade is not None and cell.paper_grade != cell.grade)
        if not cell.differs:
            continue
        assert cell.reason in cell.differs and published.source in cell.differs
        if cell.grades is None:
            continue
        worse, better = (GRADES.index(word) for word in cell.grades)
        reaches = better <= GRADES.index(cell.paper_grade or "") <= worse
        assert ("our interval reaches their grade" in cell.differs) == reaches
        assert str(cell.count) in cell.differs and str(cell.weights) in cell.differs


def test_a_published_grade_of_what_cannot_run_is_a_difference():
    regime = load_regime("quantized")
    empty = Cell(
        "x", "X", "gpu_simt", None, None, None, None, "no room", {"level": "none"}, "memory", paper_grade="good"
    )
    words = explained(empty, regime).differs
    assert words is not None and "no room" in words and "Sharma" in words
    same = Cell("x", "X", "gpu_simt", 1, None, 1.0, "good", "why", {"level": "none"}, paper_grade="good")
    assert explained(same, regime).differs is None


def test_software_is_what_runs_there(found: Fitness):
    for cell in found.regimes[0].cells:
        engines = supported_engines(load_accelerator(cell.accelerator))
        assert engines.items() <= cell.software.items()
        assert cell.software["level"] == next(iter(engines.values()), "none")


# what cannot be asked


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"model": "llama-4000"}, UnknownName, "llama"),
        ({"model": NOT_MODELLED}, NotModelled, "not modelled"),
        ({"regimes": ["single-steam"]}, UnknownName, "did you mean single-stream"),
        ({"regimes": ["no/such/file.yaml"]}, BadInput, "cannot be read"),
        ({"regimes": ["quantized", "single-stream", "Quantized"]}, BadInput, "quantized is named twice"),
        ({"accelerators": ["h1000"]}, UnknownName, "did you mean"),
        ({"accelerators": ["h100", "nvidia-h100-sxm"]}, BadInput, "named twice"),
        ({"accelerators": ["all", "h100"]}, BadInput, "named twice"),
        ({"accelerators": [""]}, BadInput, "accelerator: an empty name"),
        ({"regimes": ""}, BadInput, "regime: an empty name"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(given: dict[str, Any], error: type[Exception], words: str):
    asked_for = {"model": "llama-3.1-8b", "regimes": ["single-stream"], "accelerators": ["h100"]} | given
    with pytest.raises(error, match=words):
        fitness(asked_for.pop("model"), **asked_for)


@pytest.mark.parametrize(
    ("changes", "field", "line", "message", "allowed"),
    [
        ({"weights": ["bf16", "fp3"]}, "weights", 10, "unknown format 'fp3'", "nvfp4, mxfp4"),
        (
            {"published": {"source": "a", "address": "b", "grades": {"nvidia-h100-sxn": "good"}}},
            "published.grades.nvidia-h100-sxn", 14, "unknown accelerator 'nvidia-h100-sxn'", "names",
        ),
        (
            {"kind": "moe", "model": "llama-3.1-8b"}, "model", 11,
            "llama-3.1-8b is no mixture of experts, and kind is moe", "a mixture of experts",
        ),
        ({"kind": "moe", "model": "mixtrall"}, "model", 11, "unknown model 'mixtrall'", "names"),
    ],
)  # fmt: skip
def test_names_in_a_regime_that_nobody_knows_are_refused_with_their_line(
    tmp_path: Path, changes: dict[str, Any], field: str, line: int, message: str, allowed: str
):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(MINE | changes, sort_keys=False), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        fitness("llama-3.1-8b", regimes=str(file), accelerators="h100")
    wrong = caught.value
    assert (wrong.field, wrong.file, wrong.message, wrong.exit_code) == (field, str(file), message, 2)
    assert allowed in (wrong.allowed or "") and wrong.line == line


def test_a_part_of_ones_own_may_be_graded_and_formats_ignore_case(mine, tmp_path: Path):
    own = Path(load_accelerator("h100").file).read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(own.replace("id: nvidia-h100-sxm", "id: my-h100", 1), encoding="utf-8")
    published = {"source": "a", "address": "b", "grades": {"my-h100": "good"}}
    found = mine(published=published, weights=["FP8"], parts=(str(tmp_path / "own.yaml"),))
    assert [(cell.paper_grade, cell.weights) for cell in found.cells] == [("good", "fp8")]


def test_a_model_without_performance_model_is_refused_before_its_context_is_looked_at():
    with pytest.raises(NotModelled, match="not modelled"):
        fitness(NOT_MODELLED, regimes="single-stream")


def test_a_regime_in_code_is_the_one_in_its_file(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(MINE | {"slo": ["ttft<2s"]}), encoding="utf-8")
    fields = MINE | {"concurrency": (1, 8), "slo": parse_targets(["ttft<2s"])}
    assert load_regime(file) == Regime("mine", **fields)
    assert fitness("llama-3.1-8b", regimes=[str(file)], accelerators=["h100"]).regimes[0].regime == Regime(
        "mine", **fields
    )
