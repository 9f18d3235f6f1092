"""Claim files that cannot be accepted: refused with file, line and what is allowed."""

import pytest

from inferatlas.documents import read_document
from inferatlas.errors import BadInput
from inferatlas.studies.claims.auditing import audit, published
from inferatlas.studies.claims.reading import read_claims

GOOD = """\
paper: slide
claims:
  - id: ratio
    place: slide 1
    states: twice as fast
    basis: opinion
    asserted: "2"
    checks:
      - by: arithmetic
        expression: a / b
        inputs:
          a: {value: "4 TB/s", source: slide 2}
          b: {value: "2 TB/s", source: slide 3}
"""


def refusal(tmp_path, text):
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as refused:
        book = read_claims(read_document(file))
        audit(published() | {book.paper.id: book}, paper=book.paper.id)
    assert refused.value.exit_code == 2 and refused.value.file == str(file)
    return refused.value


def test_a_sound_file_is_audited(tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text(GOOD)
    (found,) = audit({"slide": read_claims(read_document(file))})
    assert found.verdict == "consistent" and found.computed.value == 2.0


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("a / b", "a / c", 10, "unknown reference 'c'"),
        ("a / b", "a / b if a else 0", 10, "not arithmetic"),
        ("a / b", "__import__('os')", 10, "not arithmetic"),
        ("a / b", "a + 1", 9, "adds or compares"),
        ("a / b", "a", 9, "in B / s, and what is asserted in a bare number"),
        ('{value: "4 TB/s", source: slide 2}', "{cell: park-review:table-1/nothing/tdp}", 12, "unknown row"),
        ('{value: "4 TB/s", source: slide 2}', "{cell: nowhere:table-1/a/b}", 12, "unknown paper"),
        ('{value: "4 TB/s", source: slide 2}', "{fact: h10/peak_fp16}", 12, "unknown accelerator"),
        ('{value: "4 TB/s", source: slide 2}', "{fact: h100/peak_fp17}", 12, "unknown field"),
        ('{value: "4 TB/s", source: slide 2}', "{model: llama/parameters}", 12, "unknown model"),
        ('{value: "4 TB/s", source: slide 2}', "{model: llama-2-70b/size}", 12, "unknown quantity of a model"),
        ('{value: "4 TB/s", source: slide 2}', "{claim: other}", 12, "unknown claim"),
        ('{value: "4 TB/s", source: slide 2}', "{ask: oracle}", 12, "unknown question"),
        (
            '{value: "4 TB/s", source: slide 2}',
            "{ask: prediction, with: {of: itl_s, model: llama-3.1-8b, accelerator: h100, speed: 1}}",
            12,
            "'speed'",
        ),
        ('{value: "4 TB/s", source: slide 2}', '{value: "4 TB/s"}', 12, "without its source"),
        ('{value: "4 TB/s", source: slide 2}', '{value: "4 parsecs", source: x}', 12, "unknown unit"),
        ('{value: "4 TB/s", source: slide 2}', "{value: 4, claim: ratio, source: x}", 12, "one origin"),
        ('{value: "4 TB/s", source: slide 2}', "{valu: 4}", 12, "unknown key 'valu', did you mean value?"),
        ("by: arithmetic", "by: magic", 9, "'magic' is not allowed here"),
        ("basis: opinion", "basis: rumour", 6, "'rumour' is not allowed here"),
        ('asserted: "2"', "asserted: fast", 7, "is no number"),
        ('asserted: "2"', 'asserted: "2 parsecs"', 7, "unknown unit"),
        ('asserted: "2"', 'asserted: "2"\n    tolerance: "5 %"', 8, "without its reason"),
        ("id: ratio", "id: Ratio 1", 3, "is not a slug"),
        ("    states: twice as fast\n", "", 3, "'states' is missing"),
        ("place: slide 1", "place: slide 1\n    verdict: consistent", 5, "unknown key 'verdict'"),
        ("paper: slide", "paper: Slide One", 1, "is not a slug"),
    ],
)
def test_what_is_wrong_is_refused_where_it_stands(tmp_path, old, new, line, says):
    assert old in GOOD
    error = refusal(tmp_path, GOOD.replace(old, new))
    assert says in str(error) and error.line == line, str(error)


def test_two_claims_of_one_name_and_no_claims_are_refused(tmp_path):
    twice = GOOD + GOOD.partition("claims:\n")[2]
    assert "is there twice" in str(refusal(tmp_path, twice))
    assert "no claim in this file" in str(refusal(tmp_path, "paper: slide\nclaims: []\n"))


@pytest.mark.parametrize("text", ["", "- 1", "paper: [", "paper: x\nclaims: {a: 1}\n", "claims: []\n", "a: &a [*a]\n"])
def test_what_is_no_claim_file_is_refused(tmp_path, text):
    refusal(tmp_path, text)
