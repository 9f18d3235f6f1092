"""The ledger of Brunetta et al.: complete against its text, and the verdicts that a careful reviewer expects."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from inferatlas.documents import read_text
from inferatlas.studies.claims.auditing import Finding, audit
from inferatlas.studies.claims.completeness import check, parts_of
from inferatlas.studies.claims.ledger import ledger

TEXT = Path(__file__).parents[4] / "shared" / "papers" / "brunetta-beyond-throughput.txt"

VERDICTS = {
    # Table I against the catalogue and against the text
    "table-i/nvidia-a100/power": "consistent",
    "table-i/nvidia-a100/l1": "consistent_under_condition",  # 164 KiB are its shared memory, of 192 KiB
    "table-i/nvidia-gh200/power": "consistent_under_condition",  # the lowest setting of the whole module
    "table-i/amd-mi250/cores": "consistent_under_condition",  # 208; 220 is the MI250X
    "table-i/amd-mi250/memory": "consistent_under_condition",  # one of two dies
    "table-i/amd-mi250/power": "consistent_under_condition",  # its peak
    "table-i/amd-mi300x/l2": "consistent_under_condition",  # per chiplet
    "table-i/intel-max-1550/l1": "inconsistent",  # 512 KiB per core, 64 MiB in all
    "table-i/sambanova-sn40l/ddr": "inconsistent",  # 786 for 768
    "table-i/cerebras-cs3/core-memory": "inconsistent",  # 512 KB x 900,000 are 461 GB, not 44
    "table-i/cerebras-cs3/power": "consistent_under_condition",
    "table-i/nvidia-gh200/count": "not_checkable",  # the catalogue has it from this paper
    "table-i/nvidia-h100/vllm": "not_checkable",
    "mi300x-tdp-text": "inconsistent",  # 750 W in its own table
    "sn40l-ddr-text": "consistent_under_condition",  # as installed
    "gh200-dram": "consistent_under_condition",  # as announced
    "rocm-version": "inconsistent",
    # Table II against the configurations
    "table-ii/llama-3.1-8b/layers": "consistent",
    "table-ii/llama-3.1-8b/context": "consistent",  # 131,072
    "table-ii/nemotron-super-49b/layers": "consistent_under_condition",  # 49 of 80 have attention
    "table-ii/llama-4-scout/experts": "consistent_under_condition",  # the shared one is not counted here
    "table-ii/qwen3-32b/context": "consistent_under_condition",  # with YaRN
    "table-ii/ministral-8b/context": "consistent_under_condition",
    "table-ii/mixtral-8x22b/heads": "inconsistent",  # 48
    "table-ii/mixtral-8x22b/context": "inconsistent",  # 64K
    "table-ii/deepseek-r1/context": "inconsistent",  # 128K or more
    # counts
    "model-count": "consistent",
    "largest-model": "consistent",  # 671B, rounded to 670B
    "dataflow-count": "consistent",
    "dataflow-count-section-ii": "inconsistent",  # three for two
    "dataflow-count-related-work": "inconsistent",
    # the equations
    "memory-traffic-dimension": "consistent",
    "memory-traffic-cache": "consistent_under_condition",  # one number per token and layer for K and V
    "flops-of-attention": "consistent_under_condition",
    "operational-intensity": "consistent_under_condition",  # at two bytes
    "operational-intensity-dimension": "inconsistent",  # bytes stand above the bar
    "operational-intensity-is-batch": "consistent_under_condition",
    "compute-over-bandwidth": "consistent_under_condition",  # two to three orders of magnitude
    "moe-ideal-gain": "consistent_under_condition",  # 1 / (1 - s)
    # what fits where
    "figure-1-nemotron": "consistent_under_condition",  # 100 GB on GPUs of 80 GB
    "mixtures-on-four-gpus": "consistent_under_condition",  # 671 GB on four H100
    "all-models-in-both-precisions": "consistent_under_condition",
    "cs3-fits-on-chip": "consistent",
    "mi300x-holds-70b": "consistent",
    # GPUs
    "fp8-hopper-throughput": "consistent",
    "fp8-hopper-throughput-box": "inconsistent",  # 38 % in the text
    "fp8-hopper-efficiency-box": "inconsistent",  # 46 % in the text
    "mi250-energy": "consistent_under_condition",  # inferred: "no data is available"
    "nvidia-least-memory": "consistent_under_condition",
    "tp2-efficiency": "consistent",
    "tp4-efficiency": "consistent",
    "tp-over-100": "consistent_under_condition",  # where memory limits one GPU
    "mi300x-70b-four-gpus": "consistent",
    "scout-active-parameters": "inconsistent",  # 17B in its own table
    "scout-throughput": "consistent",
    "ep-scout-mi300x": "consistent_under_condition",  # 6 % is not more than 16 %, but over both devices
    "qwen-of-figure-4": "consistent_under_condition",  # the family
    "ep-gap-narrows": "consistent_under_condition",  # on the H100
    # dataflow accelerators
    "a100-batch-1-throughput": "consistent",  # input and output counted: 127 tokens/s is the limit of output alone
    "cs3-throughput-ratio": "consistent",
    "sn40l-throughput-ratio": "consistent",
    "sn40l-70b-throughput-ratio": "consistent",
    "sn40l-70b-itl-ratio": "consistent",
    "order-of-magnitude": "consistent_under_condition",  # 4.01 times on the 70B
    "itl-gain-discussion": "inconsistent",  # 16.8 is the ratio of throughputs, 18.8 that of the ITL
    "dataflow-batches": "consistent_under_condition",  # 32 on the 70B
    "cs3-efficiency": "consistent",
    "sn40l-efficiency": "consistent_under_condition",  # 0.387
    "a100-efficiency-unit": "inconsistent",  # tokens/s for tokens/J
    "a100-efficiency": "consistent",
    "sn40l-70b-efficiency": "consistent",
    "sn40l-70b-narrows-the-gap": "consistent",
    "sn40l-power": "consistent_under_condition",  # 10 kW elsewhere
    "sn40l-power-boundary": "inconsistent",  # rack or RDUs
    "cs3-idle-power": "not_checkable",
    "cs3-cores-for-the-model": "consistent_under_condition",
    # others' figures
    "iea-growth": "consistent",
    "inference-share-of-energy": "consistent_under_condition",  # of the work, not of energy
    "mlperf-largest": "consistent",
}


@lru_cache(maxsize=1)
def findings() -> dict[str, Finding]:
    return {one.id: one for one in audit({"brunetta": ledger("brunetta")}, paper="brunetta")}


@pytest.mark.parametrize(("claim", "verdict"), VERDICTS.items())
def test_the_verdict_is_the_one_that_a_careful_reviewer_expects(claim: str, verdict: str):
    found = findings()[claim]
    assert found.verdict == verdict, found.computation
    assert bool(found.condition) == (verdict == "consistent_under_condition")
    assert bool(found.needs) == (verdict == "not_checkable")


@pytest.mark.parametrize(("table", "rows", "stated"), [("table-i", 8, 75), ("table-ii", 14, 78)])
def test_every_row_and_cell_of_the_tables_is_there(table: str, rows: int, stated: int):
    one = ledger("brunetta").tables[table]
    assert len(one.rows) == rows
    assert sum(cell.stated for row in one.rows.values() for cell in row.cells.values()) == stated
    assert sum(name.startswith(f"{table}/") for name in findings()) == stated


def test_models_of_which_all_parameters_are_active_state_no_active_ones():
    """Table II prints "=" for dense models: no number, and no claim."""
    rows = ledger("brunetta").tables["table-ii"].rows
    stated = {name for name, row in rows.items() if row.cells["active"].stated}
    assert stated == {"llama-4-scout", "qwen3-235b-a22b", "mixtral-8x7b", "mixtral-8x22b", "deepseek-r1"}


@pytest.mark.skipif(not TEXT.exists(), reason="the paper's text (../shared/papers) is not on this machine")
def test_no_number_of_the_paper_is_left_without_a_claim_or_a_reason():
    found = check(read_text(TEXT), parts_of(ledger("brunetta")))
    assert not found.uncovered
    assert not found.misquoted
    assert not found.idle


def test_the_paper_is_not_measured_by_itself():
    """Where the catalogue has a value from this paper only, the check is open, and another one has to speak."""
    own = [
        one
        for found in findings().values()
        for one in found.checks
        if any("from another source than the paper itself" in need for need in one.needs)
    ]
    assert own
    assert all(one.holds is None for one in own)


def test_no_measurement_is_refuted_by_a_prediction():
    predicted = [one for found in findings().values() for one in found.checks if one.by == "model"]
    assert predicted
    assert all(one.verdict in ("consistent", "not_checkable") for one in predicted)


def test_every_contradiction_is_one_of_the_paper_with_itself_or_with_a_document():
    count = Counter(one.verdict for one in findings().values())
    assert count["beyond_physics"] == 0
    assert count["inconsistent"] == 19
    assert count["not_checkable"] < len(findings()) / 6
