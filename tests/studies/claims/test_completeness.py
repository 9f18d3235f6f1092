"""Whether a ledger has every number of a paper, and nothing that the paper does not print."""

from pathlib import Path

import pytest

from inferatlas.studies.claims.completeness import Parts, Quotation, Row, check, parts_of
from inferatlas.studies.claims.ledger import ledger

PAPERS = Path(__file__).parents[4] / "shared" / "papers"
PAPER = """# A Made-up Paper

1 Introduction

As shown in [1, 2], the X1 draws  $2.5 \\times$  less than 1,400 W–
see Table 1 – and reaches 8-  10 tokens/s in FP16 for a gen-

eral batch of 64.

Table 1: Chips
Chip	Node	Power (W)	Memory
X1	5nm	560 †	64GB, 1.5TB
Y2 (4 dies)	<b>7nm</b>	1 000	-
Z3	4nm	700	80GB

References

[1] Nobody. Nothing. 1999.
"""
TABLE = (
    Row("table-1/x1", "X1", {"node": "5nm", "power": "560", "first": "64GB", "second": "1.5TB"}),
    Row("table-1/y2", "Y2 (4 dies)", {"node": "7nm", "power": "1 000", "first": "-"}),
    Row("table-1/z3", "Z3", {"node": "4nm", "power": "700", "first": "80GB"}),
)
CLAIMS = (
    Quotation("claim power", "2.5× less than 1,400 W"),
    Quotation("claim speed", "8-10 tokens/s"),
    Quotation("claim batch", "for a general batch of 64"),
)
LEFT_OUT = (Quotation("left-out", "[1, 2]"), Quotation("left-out", "1 Introduction"))
WHOLE = Parts(CLAIMS, TABLE, LEFT_OUT, (r"Table \d+",))


def uncovered(parts: Parts, paper: str = PAPER) -> list[tuple[int, str]]:
    return [(one.line, one.number) for one in check(paper, parts).uncovered]


def changed(row: Row, **cells: str) -> Row:
    return Row(row.id, row.title, {**row.cells, **cells})


def test_a_whole_ledger_leaves_nothing():
    result = check(PAPER, WHOLE)
    assert result.complete, result


def test_a_number_removed_from_the_ledger_is_listed_with_its_line_and_context():
    result = check(PAPER, Parts((CLAIMS[0], CLAIMS[2]), TABLE, LEFT_OUT, WHOLE.patterns))
    assert [(one.line, one.number) for one in result.uncovered] == [(6, "8"), (6, "10")]
    assert "reaches 8-10 tokens/s" in result.uncovered[0].context


def test_every_number_is_found_without_a_ledger():
    assert uncovered(Parts()) == [
        (3, "1"), (5, "1"), (5, "2"), (5, "2.5"), (5, "1,400"), (6, "1"), (6, "8"), (6, "10"), (8, "64"), (10, "1"),
        (12, "5"), (12, "560"), (12, "64"), (12, "1.5"),
        (13, "4"), (13, "7"), (13, "1 000"),
        (14, "4"), (14, "700"), (14, "80"),
    ]  # fmt: skip


def test_a_quotation_that_the_paper_does_not_have_is_misquoted():
    wrong = Quotation("claim power", "3.5× less than 1,400 W")
    result = check(PAPER, Parts((wrong, *CLAIMS[1:]), TABLE, LEFT_OUT, WHOLE.patterns))
    assert result.misquoted == (wrong,)
    assert [one.number for one in result.uncovered] == ["2.5", "1,400"]


@pytest.mark.parametrize("quote", ["4,00 W", "400 W", "5× less", "1,40", "batch of 6"])
def test_a_quotation_never_begins_or_ends_inside_a_number(quote: str):
    assert check(PAPER, Parts((Quotation("claim part", quote),))).misquoted


def test_a_row_with_a_changed_cell_is_found_both_ways():
    result = check(PAPER, Parts(CLAIMS, (TABLE[0], TABLE[1], changed(TABLE[2], power="750")), LEFT_OUT, WHOLE.patterns))
    assert [(one.line, one.number) for one in result.uncovered] == [(14, "700")]
    assert result.misquoted == (Quotation("cell table-1/z3/power", "750"),)


def test_cells_in_another_order_are_found():
    swapped = Row("table-1/x1", "X1", {"node": "560", "power": "5nm", "first": "64GB", "second": "1.5TB"})
    result = check(PAPER, Parts(CLAIMS, (swapped, *TABLE[1:]), LEFT_OUT, WHOLE.patterns))
    assert [one.of for one in result.misquoted] == ["cell table-1/x1/power"]
    assert [one.number for one in result.uncovered] == ["5"]


def test_a_row_that_the_paper_does_not_have_is_found_and_one_that_the_ledger_lacks():
    extra = Row("table-1/w4", "W4", {"node": "3nm"})
    result = check(PAPER, Parts(CLAIMS, (*TABLE[:2], extra), LEFT_OUT, WHOLE.patterns))
    assert result.misquoted == (Quotation("row table-1/w4", "W4"),)
    assert {one.line for one in result.uncovered} == {14}


def test_of_two_tables_with_the_same_row_titles_the_one_that_fits_is_taken():
    paper = "X1\t5nm\t560\nX1\t8\t16\n"
    rows = (Row("a/x1", "X1", {"batch": "8", "length": "16"}), Row("b/x1", "X1", {"node": "5nm", "power": "560"}))
    assert check(paper, Parts((), rows)).complete


def test_a_row_that_states_nothing_is_found_by_its_title():
    paper = "X1\t5nm\t560\nX1\tND\tND\n"
    rows = (Row("a/x1", "X1", {"node": "5nm", "power": "560"}), Row("b/x1", "X1", {"rate": "", "delay": ""}))
    assert check(paper, Parts((), rows)).complete


def test_a_value_that_stands_for_two_columns_is_printed_once():
    row = Row("a/x1", "X1", {"fp8": "1.8 PFLOPS", "bf16": "1.8 PFLOPS", "experts": "16", "power": "560"})
    assert check("X1\t1.8 PFLOPS FP8 / BF16\tMoE (16E)\t560\n", Parts((), (row,))).complete
    other = Row("a/x1", "X1", {"fp8": "1.8 PFLOPS", "bf16": "1.9 PFLOPS", "experts": "16", "power": "560"})
    assert check("X1\t1.8 PFLOPS FP8 / BF16\tMoE (16E)\t560\n", Parts((), (other,))).misquoted


def test_what_is_left_out_must_be_there_and_have_a_number():
    result = check(PAPER, Parts(CLAIMS, TABLE, (*LEFT_OUT, Quotation("left-out", "Chips")), (*WHOLE.patterns, "Fig")))
    assert result.idle == ("Chips", "Fig")
    absent = Quotation("left-out", "in 2019")
    assert check(PAPER, Parts(CLAIMS, TABLE, (*LEFT_OUT, absent), WHOLE.patterns)).misquoted == (absent,)


def test_the_references_do_not_count():
    assert (18, "1999") not in uncovered(Parts())
    assert uncovered(Parts(), "## **REFERENCES**\n1999") == []


@pytest.mark.skipif(not PAPERS.exists(), reason="the papers (../shared/papers) are not on this machine")
@pytest.mark.parametrize(
    ("paper", "text"),
    [
        ("park-review", "park-review.txt"),
        ("sharma-2025", "sharma-2025.txt"),
        ("brunetta", "brunetta-beyond-throughput.txt"),
    ],
)
def test_the_ledgers_of_the_three_papers_are_complete(paper: str, text: str):
    result = check((PAPERS / text).read_text(encoding="utf-8"), parts_of(ledger(paper)))
    assert not result.uncovered
    assert not result.misquoted
    assert not result.idle
