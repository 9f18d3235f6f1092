"""``claims``: the JSON contract, filters, formats, one claim, claims of one's own, and what is refused."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest

VERDICTS = {"consistent", "consistent_under_condition", "inconsistent", "beyond_physics", "not_checkable"}
KEYS = {"id", "paper", "place", "statement", "asserted", "computed", "ratio", "verdict", "condition", "computation",
        "inputs"}  # fmt: skip
SLIDE = """\
paper: vendor-slide
claims:
  - id: peak
    place: slide 3
    states: 1,979 TFLOPS at FP16
    basis: specification
    asserted: "1,979 TFLOPS"
    checks:
      - by: catalogue
        expression: peak
        inputs: {peak: {fact: nvidia-h100-sxm/peak_fp16}}
        readings: [{under: with 2:4 sparsity, expression: 2 * peak}]
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERATLAS_CLAIMS", str(tmp_path / "own"))
    return tmp_path / "own"


def test_json_holds_what_the_contract_says(cli):
    ran = cli("claims", "audit", "--format", "json")
    rows = ran.json()
    assert (ran.code, ran.err) == (0, "") and len(rows) > 300
    assert {row["paper"] for row in rows} == {"sharma-2025", "park-review", "brunetta"}
    for row in rows:
        assert row.keys() >= KEYS and row["verdict"] in VERDICTS and row["id"].startswith(row["paper"] + "/")
        assert row["asserted"].keys() >= {"value", "unit"} and row["computation"] and row["inputs"]
        assert (row["condition"] is not None) == (row["verdict"] == "consistent_under_condition")
        assert bool(row["needs"]) == (row["verdict"] == "not_checkable")
        if row["verdict"] in ("inconsistent", "beyond_physics", "consistent"):
            assert row["computed"] is None or row["computed"].keys() >= {"value", "unit"}
    assert len({row["id"] for row in rows}) == len(rows)


def test_filters_choose(cli):
    every = Counter(row["verdict"] for row in cli("claims", "list", "--format", "json").json())
    wrong = cli("claims", "list", "--paper", "sharma-2025", "--verdict", "inconsistent", "--format", "json").json()
    assert wrong and {row["verdict"] for row in wrong} == {"inconsistent"} and len(wrong) <= every["inconsistent"]
    assert all(row["id"].startswith("sharma-2025/") for row in wrong)


def test_a_table_counts_and_names_what_does_not_hold(cli):
    ran = cli("claims", "audit")
    assert ran.code == 0 and "What does not hold" in ran.out and "sharma-2025/energy-efficiency-ratio" in ran.out
    rows = list(csv.DictReader(io.StringIO(cli("claims", "audit", "--format", "csv").out)))
    assert {"id", "asserted", "computed_value", "ratio", "verdict", "computation"} <= rows[0].keys()


def test_html_has_every_claim_and_runs_nothing(cli, tmp_path):
    file = tmp_path / "audit.html"
    assert cli("claims", "audit", "--output", str(file)).code == 0
    page = file.read_text()
    ids = [row["id"] for row in cli("claims", "list", "--format", "json").json()]
    assert all(name.partition("/")[2] in page for name in ids) and "<script" not in page


def test_one_claim_shows_its_computation(cli):
    ran = cli("claims", "show", "sharma-2025/energy-efficiency-ratio")
    assert ran.code == 0 and "18.5" in ran.out and "inconsistent" in ran.out
    found = cli("claims", "show", "sharma-2025/energy-efficiency-ratio", "--format", "json").json()
    assert found["verdict"] == "inconsistent" and found["computed"]["value"] == pytest.approx(0.86 / 0.09)
    assert found["ratio"] == pytest.approx(18.5 / (0.86 / 0.09))


def test_a_slide_is_checked_in_the_same_way_and_kept(cli, tmp_path, own):
    file = tmp_path / "my-claim.yaml"
    file.write_text(SLIDE)
    ran = cli("claims", "add", str(file))
    assert ran.code == 0 and "with 2:4 sparsity" in ran.out and str(own / "vendor-slide.yaml") in ran.err
    (row,) = cli("claims", "list", "--paper", "vendor-slide", "--format", "json").json()
    assert row["id"] == "vendor-slide/peak" and row["verdict"] == "consistent_under_condition"
    assert "replaced" in cli("claims", "add", str(file)).err


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("peak_fp16", "peak_fp17", 11, "unknown field of facts 'peak_fp17'"),
        ("1,979 TFLOPS\"", "1,979 TB\"", 9, "in FLOP / s, and what is asserted in B"),
        ("expression: peak\n", "expression: open('x')\n", 10, "is not arithmetic"),
    ],
)  # fmt: skip
def test_a_bad_claim_file_is_refused_with_file_and_line(cli, tmp_path, own, old, new, line, says):
    file = tmp_path / "my-claim.yaml"
    assert old in SLIDE
    file.write_text(SLIDE.replace(old, new))
    ran = cli("claims", "add", str(file))
    ran.refused(says)
    assert f"{file}:{line}: " in ran.err and not own.exists()


def test_unknown_names_are_refused_with_near_ones(cli, tmp_path):
    cli("claims", "show", "sharma-2025/energy-efficiency").refused("did you mean sharma-2025/energy-efficiency-ratio")
    cli("claims", "list", "--paper", "sharma").refused("unknown paper 'sharma'")
    cli("claims", "audit", "--verdict", "wrong").refused("unknown verdict 'wrong'")
    cli("claims", "add", str(tmp_path / "none.yaml")).refused("cannot be read")


def test_a_slide_from_outside_sends_nothing_to_the_terminal_or_the_page(cli, tmp_path):
    file = tmp_path / "my-claim.yaml"
    file.write_text(SLIDE.replace("states: 1,979 TFLOPS at FP16", 'states: "\\e[31mred"'))
    cli("claims", "add", str(file)).refused("cannot be seen")
    file.write_text(SLIDE.replace("states: 1,979", "states: <script>alert(1)</script> [bold]|[/bold] 1,979"))
    page = cli("claims", "add", str(file), "--format", "html").out
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "[bold]" in cli("claims", "show", "vendor-slide/peak").out


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "md", "html"])
def test_every_kind_of_claim_is_shown_in_every_format(cli, tmp_path, form):
    more = """\
  - {id: word, place: p, states: s, asserted: {text: HBM2}, checks: [
      {by: catalogue, expression: t, inputs: {t: {fact: h100/process_node}}}]}
  - {id: formula, place: p, states: s, asserted: {formula: 3 * x, unit: B}, checks: [
      {by: arithmetic, expression: 2 * x, inputs: {x: {values: [1 B, 2 B, 2 B], source: t}}}]}
  - {id: open, place: p, states: s, asserted: 2 B, checks: [
      {by: arithmetic, expression: x, inputs: {x: {value: more than 1 B, source: t}}}]}
  - {id: unit, place: p, states: s, asserted: 2 B, checks: [{by: dimension, expression: x, inputs: {x: {unit: J}}}]}
"""
    file = tmp_path / "my-claim.yaml"
    file.write_text(SLIDE + more)
    assert cli("claims", "add", str(file), "--format", form).code == 0
    for name in ("peak", "word", "formula", "open", "unit"):
        ran = cli("claims", "show", f"vendor-slide/{name}", "--format", form)
        assert ran.code == 0 and "nan" not in ran.out.lower() and "Infinity" not in ran.out
