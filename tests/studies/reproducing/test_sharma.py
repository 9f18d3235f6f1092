"""Sharma 2025 reproduced: every printed cell is beside something, and what physics and arithmetic fix is so."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.facts import FactSheet
from inferatlas.catalogue.models import load_model
from inferatlas.predict.cost.pooling import pooling_gain, service_quantile
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.question import ask
from inferatlas.studies.claims.ledger import ledger
from inferatlas.studies.claims.wording import normalise
from inferatlas.studies.exhibits import Exhibit, Guideline, Pair
from inferatlas.studies.reproducing import catalogued, sharma
from inferatlas.studies.reproducing.sharma import growing, pooled, published, regimes, sizes, systems
from inferatlas.workload import load_regime

PAPER = Path(__file__).parents[4] / "shared" / "papers" / "sharma-2025.txt"
TABLES = {
    "table-i": "table-i",
    "table-ii": "table-ii",
    "table-iii": "table-iii",
    "table-iv": "table-iv",
    "fig-8": "fig-8",
}
LABELS = {"catalogue", "derived", "measured", "predicted", "extrapolated"}


@pytest.fixture(scope="module")
def exhibits() -> dict[str, Exhibit]:
    return {one.id: one for one in sharma.exhibits()}


@pytest.fixture(scope="module")
def guidelines() -> dict[str, Guideline]:
    return {one.id: one for one in sharma.guidelines()}


def found(one: Exhibit | Guideline, quantity: str, **what: str) -> list[Pair]:
    """The pairs of a quantity at points that have all of ``what`` in the named columns."""
    names = {name.replace("_", " "): words for name, words in what.items()}
    return [
        pair for pair in one.pairs
        if pair.quantity == quantity and all(words in pair.what.get(name, "") for name, words in names.items())
    ]  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_every_stated_cell_is_in_a_pair(table: str, exhibits: dict[str, Exhibit]) -> None:
    beside = {(pair.published.text, *pair.what.values()) for pair in exhibits[table].pairs if pair.published}
    for row in ledger("sharma-2025").tables[table].rows.values():
        for column, cell in row.cells.items():
            if cell.stated:
                assert any(text == cell.text and row.title in what for text, *what in beside), (row.id, column)


def test_pairs_are_labelled_finite_and_in_order(
    exhibits: dict[str, Exhibit], guidelines: dict[str, Guideline]
) -> None:  # fmt: skip
    for one in (*exhibits.values(), *guidelines.values()):
        assert one.finding.endswith(".")
        assert one.pairs
        for pair in one.pairs:
            assert pair.label in LABELS
            if pair.ours is None:
                assert pair.note, (one.id, pair)
            else:
                assert all(map(math.isfinite, (pair.ours.low, pair.ours.value, pair.ours.high)))
                assert pair.ours.low <= pair.ours.value <= pair.ours.high


def test_plots_name_columns_and_quantities_that_exist(
    exhibits: dict[str, Exhibit], guidelines: dict[str, Guideline]
) -> None:  # fmt: skip
    for one in (*exhibits.values(), *guidelines.values()):
        if one.plot is None:
            continue
        columns = {name for pair in one.pairs for name in pair.what} | {"quantity"}
        columns |= {pair.quantity for pair in one.pairs}
        for name in (one.plot.x, one.plot.y, one.plot.colour, one.plot.facet, one.plot.mark):
            assert not name or name in columns, (one.id, name)


@pytest.mark.skipif(not PAPER.exists(), reason="the papers (../shared/papers) are not on this machine")
def test_guidelines_quote_the_paper(guidelines: dict[str, Guideline]) -> None:
    text = normalise(" ".join(PAPER.read_text(encoding="utf-8").split()))
    for one in guidelines.values():
        assert normalise(one.quote) in text
        assert 0 <= one.held <= one.tried > 0


def test_a_sixteen_bit_model_takes_two_bytes_a_parameter(exhibits: dict[str, Exhibit]) -> None:
    for model in sizes.MODELS:
        config = load_model(model)
        (pair,) = found(exhibits["fig-1"], "weight_bytes", model=config.name, precision="FP16")
        assert pair.ours is not None and pair.ours.value == 2.0 * count(config).total
    stated = [pair for pair in exhibits["fig-1"].pairs if pair.published]
    assert len(stated) == 2 and all(pair.inside for pair in stated)


def test_one_stream_stays_below_the_bandwidth_that_reads_its_weights(exhibits: dict[str, Exhibit]) -> None:
    bounds = found(exhibits["table-iii"], "output_tokens_per_s", load="bandwidth bound")
    assert len(bounds) == len(ledger("sharma-2025").tables["table-iii"].rows)
    for bound in bounds:
        (one,) = [
            pair for pair in found(exhibits["table-iii"], "output_tokens_per_s", accelerator=bound.what["accelerator"])
            if pair.what["load"] == "one stream"
        ]  # fmt: skip
        assert one.ours is not None and bound.ours is not None
        assert one.ours.value < bound.ours.value


def test_rates_beyond_the_bound_are_not_called_one_stream(exhibits: dict[str, Exhibit]) -> None:
    """7,783 and 2,908 tokens/s of Table III are above 8 TB/s and 5.3 TB/s over 138 GB; 185 and 2,100 are not."""
    beyond = {
        pair.what["accelerator"] for pair in found(exhibits["table-iii"], "output_tokens_per_s", load="bandwidth bound")
        if pair.published and pair.ours and pair.published.low and pair.published.low > pair.ours.high
    }  # fmt: skip
    assert {name.split()[0] for name in beyond} == {"NVIDIA", "AMD"}
    for name in beyond:
        (one,) = [
            pair for pair in found(exhibits["table-iii"], "output_tokens_per_s", accelerator=name)
            if pair.what["load"] == "one stream"
        ]  # fmt: skip
        assert one.inside is False and "what reading the weights allows" in one.note


def test_one_stream_is_what_the_model_answers_when_asked(exhibits: dict[str, Exhibit]) -> None:
    """The same number as a question to the model, on one B200."""
    answer = ask("llama-2-70b", "nvidia-b200-sxm", isl=1024, osl=256, concurrency=1)
    for metric in ("ttft_s", "output_tokens_per_s", "power_w", "tokens_per_joule"):
        (pair,) = [
            p for p in found(exhibits["table-iii"], metric, accelerator="Blackwell") if p.what["load"] == "one stream"
        ]  # fmt: skip
        asked = answer.metrics[metric]
        assert pair.ours is not None and asked is not None
        assert pair.ours.value == pytest.approx(asked.value, rel=1e-6)
        assert pair.label == answer.label


def test_systems_that_do_not_hold_the_model_have_no_throughput(exhibits: dict[str, Exhibit]) -> None:
    """A wafer of 44 GB, 64 IPUs of 0.9 GB and four LPUs of 0.23 GB are less than 138 GB."""
    for pair in found(exhibits["table-iv"], "output_tokens_per_s", system="as named"):
        holds = not any(name in pair.what["accelerator"] for name in ("Cerebras", "Graphcore", "Groq"))
        assert (pair.ours is not None) == holds


def test_scaling_at_the_same_batch_never_beats_scaling_with_it(exhibits: dict[str, Exhibit]) -> None:
    same = found(exhibits["table-iv"], "scaling_efficiency", system="at the same batch")
    more = found(exhibits["table-iv"], "scaling_efficiency", system="in proportion")
    assert len(same) == len(more) == 5
    for a, b in zip(same, more, strict=True):
        assert a.ours is not None and b.ours is not None and a.ours.value <= b.ours.value * (1 + 1e-9)


def test_a_system_of_one_replica_is_no_faster_than_its_best_layout() -> None:
    one = systems.system(load_accelerator("nvidia-b200-sxm"), 8, [64])
    best = one.best(64.0)
    assert best is not None
    rates = one.designs.metrics["output_tokens_per_s"].value[one.designs.predictions.fits]
    assert one.designs.metrics["output_tokens_per_s"].value[best] == rates.max()


def test_the_matrix_prints_what_the_regimes_keep(exhibits: dict[str, Exhibit]) -> None:
    """The published grades are in the ledger and beside the regimes: both were read from the same page."""
    held = ledger("sharma-2025").tables["fig-8"]
    for row in held.rows.values():
        assert row.accelerator is not None
        for column, name in regimes.REGIMES.items():
            kept = load_regime(name).published
            assert kept is not None
            assert row.cells[column].text.lower() == kept.grades[row.accelerator]
    assert len(exhibits["fig-8"].pairs) == len(held.rows) * len(regimes.REGIMES)


def test_each_regime_has_a_best_accelerator_with_full_score(exhibits: dict[str, Exhibit]) -> None:
    for title in {pair.what["regime"] for pair in exhibits["fig-8"].pairs}:
        scores = [pair.ours.value for pair in found(exhibits["fig-8"], "score", regime=title) if pair.ours]
        assert max(scores) == pytest.approx(1.0) and min(scores) > 0


def test_parameters_per_computation_are_total_over_active(exhibits: dict[str, Exhibit]) -> None:
    """Without experts spread over devices it is a ratio of two counts, up to the looked-up embedding."""
    kimi = load_model("kimi-k2")
    (pair,) = found(exhibits["sec-v"], "parameters_per_computation", model=kimi.name, strategy="tensor")
    parameters = count(kimi)
    assert pair.ours is not None
    assert pair.ours.value == pytest.approx(parameters.total / parameters.active_without_embedding, rel=1e-3)


def test_larger_models_in_slower_memory_are_never_faster(exhibits: dict[str, Exhibit]) -> None:
    pairs = [pair for pair in exhibits["fig-9"].pairs if pair.quantity == "added_latency"]
    for curve in {pair.what["curve"] for pair in pairs}:
        values = [pair.ours.value for pair in pairs if pair.what["curve"] == curve and pair.ours]
        assert values[0] == 0.0
        assert all(b >= a - 1e-9 for a, b in pairwise(values))


def test_pools_gain_what_the_equation_says(exhibits: dict[str, Exhibit]) -> None:
    spread = pooled.mixed(pooled.demands(regimes.graded()))
    for name, cv in spread.items():
        for nodes in pooled.NODES:
            (pair,) = [
                p for p in found(exhibits["fig-11"], "gain_in_use", pooled=name, workload="mixed")
                if p.what["nodes"] == str(nodes)
            ]  # fmt: skip
            gain = float(pooling_gain(nodes, cv, service_quantile(0.99))) - 1.0
            assert pair.ours is not None and pair.ours.value == pytest.approx(gain)


def test_a_mixture_computes_as_much_and_holds_more() -> None:
    dense = load_model("llama-2-70b")
    for scale in (1, 5, 10):
        model = growing.mixture(dense, scale)
        blocks = count(dense).ffn
        assert count(model).ffn == scale * blocks
        router = count(model).router
        assert count(model).active - router == count(dense).active


def test_the_rate_that_five_times_the_model_needs_does_not_depend_on_the_load_drawn(
    exhibits: dict[str, Exhibit],
) -> None:
    """Two curves of one model ask for the same rates at the same requests in flight."""
    pairs = [pair for pair in found(exhibits["fig-9"], "bytes_per_s", curve="Llama 2 70B") if pair.ours]
    by: dict[str, set[float]] = {}
    for pair in pairs:
        assert pair.ours is not None
        by.setdefault(pair.what["in flight"], set()).add(pair.ours.value)
    assert by and all(len(rates) == 1 for rates in by.values())


def test_more_experts_never_shorten_the_step() -> None:
    found = {(one.accelerator, one.scale): one.ratio for one in growing.grown()}
    for name in growing.ON:
        assert np.all(found[name, 10] >= found[name, 5] * (1 - 0.05))
        assert np.all(found[name, 5] > 1.0)


def test_bandwidth_correlates_at_batch_one_more_than_later(guidelines: dict[str, Guideline]) -> None:
    one = guidelines["bandwidth-at-batch-1"]
    for model in {pair.what["model"] for pair in one.pairs}:
        r = [
            p.ours.value
            for p in found(one, "correlation", model=model)
            if p.what["with"] == "memory bandwidth" and p.ours
        ]
        assert min(r) >= -1.0 and max(r) <= 1.0
        assert r[0] > r[-1]
    published_r = [pair.published for pair in one.pairs if pair.published]
    assert published_r and all(x.value == 0.88 for x in published_r)


def test_most_throughput_is_at_no_less_latency(guidelines: dict[str, Guideline]) -> None:
    one = guidelines["latency-throughput"]
    for name in {pair.what["accelerator"] for pair in one.pairs}:
        gaps = [p.ours.value for p in found(one, "itl_s", accelerator=name) if p.ours]
        assert min(gaps) == pytest.approx(gaps[0], rel=1e-6)


def test_verdicts_follow_from_what_held(guidelines: dict[str, Guideline]) -> None:
    for one in guidelines.values():
        if one.verdict == "agrees":
            assert one.held == one.tried or one.id == "no-single-architecture"
        assert one.where and one.verdict in ("agrees", "agrees_under_condition", "disagrees", "undecided")


def test_a_changed_fact_changes_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    held = published.table("table-ii")
    row, column = held.rows["nvidia-b200"], held.columns["bandwidth"]
    before = catalogued.beside(row, column, row.cells["bandwidth"])
    known = load_accelerator("nvidia-b200-sxm")
    facts = [
        replace(fact, value=9e12) if fact.field == "mem.hbm.bandwidth" and fact.used else fact for fact in known.facts
    ]
    monkeypatch.setattr(catalogued, "load_accelerator", lambda _: replace(known, facts=FactSheet(facts)))
    after = catalogued.beside(row, column, row.cells["bandwidth"])
    assert before.ours is not None and after.ours is not None
    assert (before.ours.value, after.ours.value) == (7.7e12, 9e12)
    assert after.published is before.published


def test_findings_follow_the_numbers(exhibits: dict[str, Exhibit]) -> None:
    """Half the parameters, and the sentence of Fig. 1 says so."""
    found = sizes.sizes()
    smaller = [replace(one, parameters=one.parameters // 2, bytes=one.bytes / 2) for one in found]
    accelerators = [accelerator for _, accelerator in published.machines("table-ii").values()]
    assert sizes.finding(found, accelerators) == exhibits["fig-1"].finding
    changed = sizes.finding(smaller, accelerators)
    assert "69.0 GB in FP16" in changed and "does not agree" in changed
