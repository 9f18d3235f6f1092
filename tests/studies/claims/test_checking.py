"""Verdicts: what makes a claim hold, hold under a condition, fail, exceed physics, or stay open."""

import textwrap

import pytest

from inferatlas.studies.claims.auditing import find
from inferatlas.studies.claims.reading import read_claims


def verdict(tmp_path, check, asserted='"2.0"', basis="derived", more=""):
    """The finding of one claim with one check."""
    file = tmp_path / "claims.yaml"
    text = f"""\
        paper: slide
        claims:
          - id: one
            place: here
            states: something
            basis: {basis}
            asserted: {asserted}
            {more}
            checks:
        """
    file.write_text(textwrap.dedent(text) + textwrap.indent(textwrap.dedent(check), "      "))
    book = read_claims(file)
    return find(book.claims["one"], {"slide": book})


A = "inputs: {a: {value: '%s', source: test}}"


@pytest.mark.parametrize(
    ("asserted", "value", "holds"),
    [
        ('"2.0"', "2.04", True), ('"2.0"', "2.06", False), ('"2"', "2.4", True), ('"2"', "2.6", False),
        ('"about 2.0"', "2.15", True), ('"about 2.0"', "2.3", False), ('"1.5-2.5"', "2.5", True),
        ('"1.5-2.5"', "2.6", False), ('"> 2"', "2.1", True), ('"> 2"', "1.4", False), ('"< 2"', "1.9", True),
        ('"< 2"', "2.6", False), ('"2+"', "9", True),
    ],
)  # fmt: skip
def test_a_number_meets_what_is_computed_within_its_print(tmp_path, asserted, value, holds):
    found = verdict(tmp_path, f"- by: arithmetic\n  expression: a\n  {A % value}\n", asserted)
    assert found.verdict == ("consistent" if holds else "inconsistent")
    assert found.computed.value == pytest.approx(float(value)) and f"{float(value):.3g}" in found.computation


def test_an_open_ended_specification_names_its_order(tmp_path):
    check = f"- by: catalogue\n  expression: a\n  {A % '21 PB/s'}\n"
    assert verdict(tmp_path, check, '"220+ TB/s"', "specification").verdict == "inconsistent"
    assert verdict(tmp_path, check, '"15+ PB/s"', "specification").verdict == "consistent"


def test_the_ratio_is_stated_over_computed(tmp_path):
    assert verdict(tmp_path, f"- by: arithmetic\n  expression: a\n  {A % '8'}\n").ratio == pytest.approx(0.25)


def test_a_reading_makes_it_hold_and_is_named(tmp_path):
    check = f"- by: arithmetic\n  expression: a\n  {A % '1'}\n  readings:\n"
    check += "    - {under: with sparsity, expression: 2 * a}\n"
    found = verdict(tmp_path, check)
    assert found.verdict == "consistent_under_condition" and found.condition == "with sparsity"
    assert verdict(tmp_path, check.replace("2 * a", "3 * a")).verdict == "inconsistent"
    assert verdict(tmp_path, check.replace("'1'", "'2'")).verdict == "consistent", "as stated wins"


def test_a_bound_of_physics(tmp_path):
    check = f"- by: physics\n  bound: at_most\n  expression: a\n  {A % '1'}\n"
    assert verdict(tmp_path, check).verdict == "beyond_physics"
    assert verdict(tmp_path, check.replace("'1'", "'3'")).verdict == "consistent"
    assert verdict(tmp_path, check.replace("at_most", "at_least").replace("'1'", "'3'")).verdict == "beyond_physics"


def test_what_is_missing_is_named_and_decides_nothing(tmp_path):
    missing = "- by: arithmetic\n  expression: a * n\n  inputs:\n    a: {value: '1', source: x}\n"
    missing += "    n: {unpublished: the number of chips}\n"
    found = verdict(tmp_path, missing)
    assert found.verdict == "not_checkable" and found.needs == ("the number of chips",)
    both = missing + f"- by: consistency\n  expression: a\n  {A % '2'}\n"
    assert verdict(tmp_path, both).verdict == "consistent" and verdict(tmp_path, both).needs == ()
    known = missing.replace("{unpublished: the number of chips}", "{value: '2', source: now known}")
    assert verdict(tmp_path, known).verdict == "consistent"


def test_the_worst_conclusive_check_is_the_verdict(tmp_path):
    good, bad = (f"- by: arithmetic\n  expression: a\n  {A % value}\n" for value in ("2", "5"))
    beyond = f"- by: physics\n  bound: at_most\n  expression: a\n  {A % '1'}\n"
    assert verdict(tmp_path, good + bad).verdict == "inconsistent"
    assert verdict(tmp_path, good + bad + beyond).verdict == "beyond_physics"
    assert len(verdict(tmp_path, good + bad + beyond).checks) == 3


def test_the_catalogue_has_two_percent_and_words_are_compared_as_words(tmp_path):
    check = "- by: catalogue\n  expression: a\n  inputs: {a: {fact: nvidia-h100-sxm/mem.hbm.bandwidth}}\n"
    assert verdict(tmp_path, check, '"3.35 TB/s"').verdict == "consistent"
    assert verdict(tmp_path, check, '"3.30 TB/s"').verdict == "consistent"
    assert verdict(tmp_path, check, '"3.9 TB/s"').verdict == "inconsistent"
    assert verdict(tmp_path, check, '"3.30 TB/s"', more="tolerance: 0 %").verdict == "inconsistent"
    words = "- by: catalogue\n  expression: a\n  inputs: {a: {fact: nvidia-h100-sxm/process_node}}\n"
    assert verdict(tmp_path, words, "{text: TSMC 4nm}").verdict == "consistent"
    assert verdict(tmp_path, words, "{text: Samsung 4nm}").verdict == "inconsistent"


def test_a_formula_is_compared_elementwise_and_by_its_unit(tmp_path):
    values = "P: {values: ['1', '2', '4'], source: bytes}, B: {value: '8', source: batch}"
    check = f"- by: arithmetic\n  expression: 2 * B / P\n  inputs: {{{values}}}\n  readings:\n"
    check += "    - {under: at 16 bit, inputs: {P: {values: ['2'], source: x}}}\n"
    found = verdict(tmp_path, check, '{formula: "B * P / 2", unit: FLOP/B}')
    assert found.verdict == "consistent_under_condition" and found.condition == "at 16 bit"
    assert verdict(tmp_path, check, '{formula: "B * 2 / P", unit: FLOP/B}').verdict == "consistent"
    units = "- by: dimension\n  expression: f * B / P\n  inputs: {f: {unit: FLOP}, B: {unit: '1'}, P: {unit: B}}\n"
    assert verdict(tmp_path, units, '{formula: "B * P", unit: FLOP/B}').verdict == "inconsistent"
    assert verdict(tmp_path, units, '{formula: "f * B / (2 * P)", unit: FLOP/B}').verdict == "consistent"


def test_a_model_does_not_refute_a_measurement_but_a_projection(tmp_path):
    asked = (
        "- by: model\n  expression: x\n  inputs: {x: {ask: prediction, with: {of: itl_s, model: llama-3.1-8b, "
        "accelerator: h100, concurrency: 1, isl: 512, osl: 128}}}\n"
    )
    assert verdict(tmp_path, asked, '"6 ms"', "measured").verdict == "consistent"
    far = verdict(tmp_path, asked, '"600 ms"', "measured")
    assert far.verdict == "not_checkable" and "second measurement" in far.needs[0]
    assert verdict(tmp_path, asked, '"600 ms"', "modelled").verdict == "inconsistent"


def test_a_fact_that_nobody_confirms_refutes_nothing(tmp_path, monkeypatch):
    from dataclasses import replace

    from inferatlas.studies.claims import checking

    check = "- by: catalogue\n  expression: a\n  inputs: {a: {fact: nvidia-h100-sxm/mem.hbm.bandwidth}}\n"
    assert verdict(tmp_path, check, '"9 TB/s"').verdict == "inconsistent"
    look_up = checking.look_up
    monkeypatch.setattr(checking, "look_up", lambda *of: replace(look_up(*of), sure=False))
    found = verdict(tmp_path, check, '"9 TB/s"')
    assert found.verdict == "not_checkable" and "a document that confirms" in found.needs[0]
    assert verdict(tmp_path, check, '"3.35 TB/s"').verdict == "consistent"
