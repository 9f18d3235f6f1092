"""The ledger of Sharma 2025: the verdicts that a careful reviewer expects, and that everything was transcribed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from inferatlas.studies.claims.auditing import Finding, find, published
from inferatlas.studies.claims.completeness import check, parts_of
from inferatlas.studies.claims.ledger import ledger

SHARMA = "sharma-2025"
TEXT = Path(__file__).parents[3] / ".." / "shared" / "papers" / "sharma-2025.txt"


@lru_cache
def finding(name: str) -> Finding:
    books = published()
    return find(books[SHARMA].claim(name), books)


@pytest.mark.parametrize(
    ("name", "asserted", "computed"),
    [  # what the text says against what the paper's own tables give
        ("energy-efficiency-ratio", 18.5, 9.56),
        ("groq-efficiency-advantage", 4.7, 0.110),
        ("groq-most-efficient", 1.0, 0.110),
        ("cerebras-rate", 86.5, 2100),
        ("performance-variation", 3.7, 11.7),
        ("bandwidth-correlation", 0.88, -0.238),
        ("wse-3-bandwidth", 220e12, 21e15),
        ("groq-tdp", 75, 215),
        ("blackwell-l2", 90e6, 126e6),
        ("gaudi-3-bf16", 400e12, 1835e12),
        ("fig-8-regimes", 6, 8),
        ("ttft-of-table-iii", 3, 2),
        ("efficiency-inverts", 1.0, 2.28),
        # one device does more by itself than eight at their best
        ("table-iv/nvidia-b200/throughput", 4560, 54170),
    ],
)
def test_the_text_contradicts_the_tables(name, asserted, computed):
    one = finding(name)
    assert one.verdict == "inconsistent", one.computation
    assert one.asserted.value == pytest.approx(asserted)
    assert one.computed.value == pytest.approx(computed, rel=0.01)


@pytest.mark.parametrize(
    ("name", "computed"),
    [  # what vendors' documents say
        ("blackwell-sms-per-die", 74),
        ("nvlink-between-dies", 10e12),
        ("blackwell-pod", 72),
        ("tpu-v7-pod", 9216),
        ("mi300x-l2", 4 * 2**20),
        ("gc200-memory-per-tile", 624 * 1024),
        ("mlperf-round", 5.0),
        ("cerebras-source-date", 36),
        ("blackwell-nvswitch", 4),
        ("prompt-length", 550),  # of the run whose medians the Groq row has
    ],
)
def test_documents_contradict_the_paper(name, computed):
    one = finding(name)
    assert one.verdict == "inconsistent", one.computation
    assert one.computed.value == pytest.approx(computed, rel=0.01)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("groq-process", "GlobalFoundries"),
        ("table-ii/groq-lpu/process", "GlobalFoundries"),
        ("table-ii/intel-gaudi-3/memory", "HBM2e"),
        ("gaudi-3-memory-kind", "HBM3e"),
        ("tpu-v7-tdp", "not disclosed"),
        ("bars-to-scale", "not to scale"),
    ],
)
def test_words_contradict_words(name, says):
    one = finding(name)
    assert one.verdict == "inconsistent", one.computation
    assert says in one.computation


def test_a_single_stream_cannot_have_the_rate_of_table_iii():
    """A stream gets a token per reading of the weights: even at 4 bits it takes more than 33 streams."""
    one = finding("single-stream")
    assert one.verdict == "beyond_physics"
    assert one.computed.value == pytest.approx(7783 * 34.5e9 / 8e12)


@pytest.mark.parametrize(
    ("name", "condition"),
    [  # right, but only under a condition that the paper does not state there
        ("table-iii/nvidia-b200/generation-rate", "many streams"),
        ("table-iii/amd-mi300x/generation-rate", "many streams"),
        ("tpu-v7-anecdote", "many streams"),
        ("table-iii/groq-lpu/generation-rate", "hundreds of chips"),
        ("table-iii/groq-lpu/ttft", "hundreds of chips"),
        ("table-iii/cerebras-wse-3/generation-rate", "several wafers"),
        ("table-iii/cerebras-wse-3/energy-efficiency", "4 bits"),
        ("table-iv/cerebras-wse-3/throughput", "4 bits"),
        ("table-iv/graphcore-gc200/throughput", "4 bits"),
        ("table-iv/groq-lpu/throughput", "no four chips"),
        ("table-iii/nvidia-b200/ttft", "limit"),
        ("table-iii/graphcore-gc200/power", "card"),
        ("blackwell-fp16-bare", "sparsity"),
        ("gb200-tdp", "B200"),
        ("gaudi-3-tdp", "PCIe card"),
        ("gaudi-3-fp16", "quarter"),
        ("table-ii/intel-gaudi-3/fp8", "launch"),
        ("gc200-bandwidth", "GC2"),
        ("mi300x-memory", "GiB"),
        ("groq-latency", "layer"),
        # the rate of some 300 chips over the power of one
        ("table-iii/groq-lpu/energy-efficiency", "one chip alone"),
        ("table-iv/amd-mi300x/throughput", "one device of the eight"),
        ("scaling-of-single-cs-3", "SwarmX"),
        ("tpu-v7-hbm3-rate", "HBM3E"),  # HBM3 has 819 GB/s per stack
        ("scaling-of-lpu-quad", "hundreds"),
        ("batch-reverses-strengths", "time to the first token"),
        ("blackwell-memory-of-a-die", "package"),
        ("long-context", "another model"),
        ("heterogeneous-loss", "slower tier"),
        ("tensor-parallel-hundreds", "576"),
    ],
)
def test_right_under_a_condition(name, condition):
    one = finding(name)
    assert one.verdict == "consistent_under_condition", one.computation
    assert condition in one.condition


@pytest.mark.parametrize(
    "name",
    [
        "bert-large-parameters", "memory-of-70b", "memory-of-1t", "dense-to-experts", "inference-batch-sizes",
        "blackwell-fp16-sparse", "blackwell-transistors", "nvlink-per-gpu", "table-ii/nvidia-b200/fp16",
        "table-ii/amd-mi300x/bandwidth", "table-ii/google-tpu-v7/bandwidth", "table-ii/cerebras-wse-3/bandwidth",
        "table-ii/groq-lpu/power", "table-iii/nvidia-b200/energy-efficiency", "gaudi-3-network", "mi300x-fabric",
        "wse-3-compute", "groq-int8", "batch-leaders", "groq-determinism", "cerebras-least-efficient",
        "disaggregation-mixed", "cache-dominates", "tpu-v7-bandwidth", "gc200-power-of-blade",
        "cerebras-highest-rate", "six-regimes", "scaling-of-pod64",
    ],
)  # fmt: skip
def test_no_false_accusation(name):
    assert finding(name).verdict == "consistent", finding(name).computation


@pytest.mark.parametrize(
    "name",
    [
        "expert-parameter-to-compute", "expert-latency-variance", "large-models-2025", "software-variation",
        "heterogeneous-size", "expert-blocks", "cache-engines", "energy-improvement", "disaggregation-compute",
        "disaggregation-memory", "disaggregation-cost", "specialised-ttft", "groq-latency-against-gpus",
        "tpu-v7-tdp-figure", "tpu-v7-process", "gaudi-3-transistors", "table-ii/aws-inferentia-2/process",
        "fig-8/groq-lpu/long-context", "table-iv/groq-lpu/cov", "fig-8-values", "table-iv/nvidia-b200/source",
    ],
)  # fmt: skip
def test_what_nobody_published_stays_open_and_says_what_is_missing(name):
    one = finding(name)
    assert one.verdict == "not_checkable", one.computation
    assert one.needs


@pytest.mark.parametrize(
    ("table", "rows", "stated"),
    [("table-i", 6, 12), ("table-ii", 9, 60), ("fig-8", 7, 56), ("table-iii", 7, 16), ("table-iv", 7, 35)],
)
def test_every_table_is_transcribed(table, rows, stated):
    found = ledger(SHARMA).tables[table]
    assert len(found.rows) == rows
    assert sum(cell.stated for row in found.rows.values() for cell in row.cells.values()) == stated


@pytest.mark.skipif(not TEXT.exists(), reason="the papers (../shared/papers) are not on this machine")
def test_every_number_of_the_text_is_in_the_ledger():
    result = check(TEXT.read_text(encoding="utf-8"), parts_of(ledger(SHARMA)))
    assert result.complete, (result.uncovered, result.misquoted, result.idle)
