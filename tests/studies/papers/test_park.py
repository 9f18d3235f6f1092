"""The ledger of Park et al.: what its four tables state, and the verdicts that a careful reviewer expects."""

from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from inferatlas.studies.claims.auditing import Finding, audit, published
from inferatlas.studies.claims.ledger import ledger

TEXT = Path(__file__).parents[4] / "shared" / "papers" / "park-review.txt"
SPLIT = {"table-1": 3}  # cells of the SN40L that hold two values: kind, capacity and bandwidth of two memories

VERDICTS = {
    # Sec. 2.2: 4 and 2 bytes x 405 billion are 1,620 and 810 GB; the figures are a fifth higher
    "memory-32-bit": "consistent_under_condition",
    "memory-16-bit": "consistent_under_condition",
    "gpus-32-bit": "consistent",  # 24.3, "about 24"
    "gpus-hold-32-bit": "consistent_under_condition",  # 24 x 80 GB are 1,920 GB, less than 1,944 GB
    # Sec. 3.1.1
    "wse-2-area": "inconsistent",  # 46,225 mm2, a square of 215 mm
    "wse-2-over-a100": "consistent",
    "asics-are-reviewed": "consistent_under_condition",  # two of the nine are GPUs
    "chip-to-chip-is-within-a-package": "consistent_under_condition",  # NVLink joins GPUs
    "wse-2-power": "consistent",
    "h100-sms": "consistent",
    "mi300x-xcds": "consistent",
    "tpu-v4-tensorcores": "consistent",
    "tpu-v4-pod": "consistent",
    "ipu-cores": "consistent",
    "groq-network": "consistent",
    "groq-chips-for-70b": "consistent",  # 599 chips hold the weights in 16 bits
    "gaudi-3-engines": "consistent",
    "gaudi-3-bandwidth": "consistent",
    "sn40l-units": "consistent",
    "sn40l-fusion": "not_checkable",
    # Sec. 4 against Table 1
    "lowest-tdp": "consistent",
    "highest-tdp": "consistent",
    "mi300x-over-h100": "consistent",
    "gaudi-3-over-h100": "consistent",
    # Table 1
    "table-1/nvidia-h100/tdp": "consistent",
    "table-1/google-tpu-v4/tdp": "consistent_under_condition",  # the highest measured power
    "table-1/cerebras-wse-2/tdp": "consistent_under_condition",  # 23 kW, rounded
    "table-1/groq-lpu/tdp": "consistent_under_condition",  # the card of 2020
    "table-1/amd-mi300x/bandwidth": "consistent_under_condition",  # 5.3 TB/s as sold
    "table-1/graphcore-ipu/bandwidth": "consistent_under_condition",  # the Bow IPU's
    "table-1/google-tpu-v4/release-date": "consistent_under_condition",
    "table-1/groq-lpu/release-date": "consistent_under_condition",
    "table-1/cerebras-wse-2/technology": "consistent",  # "7nm" is N7
    "table-1/intel-gaudi-3/operations": "not_checkable",
    # Table 2
    "table-2/nvidia-h100/fp16": "consistent_under_condition",  # with sparsity
    "table-2/nvidia-h100/fp32": "consistent",  # dense
    "table-2/nvidia-h100/fp64": "consistent",
    "table-2/amd-mi300x/fp16": "consistent_under_condition",  # eight of them
    "table-2/cerebras-wse-2/fp16": "consistent_under_condition",
    "table-2/groq-lpu/int8": "consistent_under_condition",  # at 1 GHz
    "table-2/google-tpu-v4/bf16": "consistent",
    "table-2/tenstorrent-grayskull/fp16": "consistent_under_condition",
    "h100-fp64-is-a-matrix-rate": "inconsistent",  # 34 is the vector rate, tensor cores give 67
    "h100-one-convention": "consistent_under_condition",  # FP32 has no sparse rate
    "mi300x-tables-count-the-same-device": "inconsistent",
    "ipu-tables-count-the-same-device": "inconsistent",
    # Table 3
    "table-3/nvidia-h100/card-bandwidth": "consistent_under_condition",  # both directions
    "table-3/amd-mi300x/card-bandwidth": "consistent_under_condition",  # one link of seven
    "table-3/groq-lpu/chip-bandwidth": "consistent_under_condition",  # one lane of 64
    "table-3/cerebras-wse-2/chip-bandwidth": "consistent_under_condition",  # not SwarmX
    "table-3/intel-gaudi-3/node-type": "not_checkable",  # PAM 8
    "ici-by-name": "not_checkable",  # Inter-Chip between chips, Inter-Core within a package?
    # Table 4
    "table-4/nvidia-h100/pytorch": "consistent",
    "table-4/amd-mi300x/pytorch": "inconsistent",
    "table-4/amd-mi300x/jax": "inconsistent",
    "table-4/intel-gaudi-3/vllm": "consistent_under_condition",  # when it was written
    "table-4/graphcore-ipu/vllm": "not_checkable",  # no document says that there is none
    "table-4/google-tpu-v4/vllm": "consistent_under_condition",
    "table-4/amd-mi300x/deepspeed-product": "consistent",
}


@lru_cache(maxsize=1)
def findings() -> dict[str, Finding]:
    return {one.id: one for one in audit(published(), paper="park-review")}


@pytest.mark.parametrize(("claim", "verdict"), VERDICTS.items())
def test_the_verdict_is_the_one_that_a_careful_reviewer_expects(claim: str, verdict: str):
    found = findings()[claim]
    assert found.verdict == verdict, found.computation
    assert bool(found.condition) == (verdict == "consistent_under_condition")
    assert bool(found.needs) == (verdict == "not_checkable")


@pytest.mark.parametrize(("table", "stated"), [("table-1", 69), ("table-2", 26), ("table-3", 39), ("table-4", 62)])
def test_every_table_has_its_nine_rows_and_all_that_they_state(table: str, stated: int):
    one = ledger("park-review").tables[table]
    assert len(one.rows) == 9
    assert all(row.accelerator for row in one.rows.values())
    assert sum(cell.stated for row in one.rows.values() for cell in row.cells.values()) == stated
    assert sum(name.startswith(f"{table}/") for name in findings()) == stated


@pytest.mark.skipif(not TEXT.exists(), reason="the paper's text (../shared/papers) is not on this machine")
def test_the_tables_have_as_many_cells_as_the_text_prints():
    tables = ledger("park-review").tables
    titles = {row.title for row in tables["table-1"].rows.values()}
    printed: Counter[str] = Counter()
    table = ""
    for line in TEXT.read_text(encoding="utf-8").splitlines():
        if line.startswith("Table ") and ":" in line:
            table = line.split(":")[0].lower().replace(" ", "-")
        name, *cells = line.split("\t")
        if name in titles:
            printed[table] += sum(cell not in ("", "-") for cell in cells)
    stated = {
        name: sum(cell.stated for row in one.rows.values() for cell in row.cells.values()) - SPLIT.get(name, 0)
        for name, one in tables.items()
    }
    assert printed == stated


def test_no_cell_is_called_wrong_for_how_vendors_count_memory():
    """80 GB of an H100 are 80 GiB: right under that condition, for every accelerator with such memory."""
    cells = [one for name, one in findings().items() if name.endswith("/capacity")]
    assert len(cells) == 9
    assert {one.verdict for one in cells} <= {"consistent", "consistent_under_condition"}


def test_rates_that_the_row_counts_eightfold_are_told_apart_from_sparse_ones():
    rows = {key: one for key, one in findings().items() if key.startswith(("table-2/nvidia", "table-2/amd"))}
    sparse = {key for key, one in rows.items() if "sparsity" in one.condition}
    eight = {key for key, one in rows.items() if "eight" in one.condition}
    assert sparse == {f"table-2/nvidia-h100/{column}" for column in ("fp8", "fp16", "bf16", "int8")}
    assert eight == {f"table-2/amd-mi300x/{column}" for column in ("fp8", "fp16", "bf16", "int8", "fp32", "fp64")}


def test_the_paper_is_not_measured_by_itself():
    """Where the catalogue has a value from this paper only, the check is open, and another one has to speak."""
    own = [
        check
        for one in findings().values()
        for check in one.checks
        if any("from another source than the paper itself" in need for need in check.needs)
    ]
    assert own
    assert all(check.holds is None for check in own)
    assert findings()["table-2/intel-gaudi-3/fp16"].verdict == "consistent"  # a quarter of BF16


def test_a_mark_is_compared_by_what_it_stands_for_and_shown_as_printed():
    cell = findings()["table-4/amd-mi300x/jax"]
    assert cell.asserted_words == "×"
    assert "none" in cell.computation and "official" in cell.computation


def test_nothing_violates_physics_and_few_statements_are_wrong():
    count = Counter(one.verdict for one in findings().values())
    assert count["beyond_physics"] == 0
    assert count["inconsistent"] == 6
    assert count["not_checkable"] < len(findings()) / 3
