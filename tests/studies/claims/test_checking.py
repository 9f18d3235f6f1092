"""Verdicts: what makes a claim hold, hold under a condition, fail, exceed physics, or stay open."""

import json
import textwrap

import pytest

from inferatlas.documents import read_document
from inferatlas.errors import BadInput
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
    book = read_claims(read_document(file))
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


def test_a_fact_that_nobody_confirms_neither_confirms_nor_refutes(tmp_path, monkeypatch):
    from dataclasses import replace

    from inferatlas.studies.claims import checking

    check = "- by: catalogue\n  expression: a\n  inputs: {a: {fact: nvidia-h100-sxm/mem.hbm.bandwidth}}\n"
    assert verdict(tmp_path, check, '"9 TB/s"').verdict == "inconsistent"
    look_up = checking.look_up
    monkeypatch.setattr(checking, "look_up", lambda *of: replace(look_up(*of), sure=False))
    found = verdict(tmp_path, check, '"9 TB/s"')
    assert found.verdict == "not_checkable" and "a document that confirms" in found.needs[0]
    assert verdict(tmp_path, check, '"3.35 TB/s"').verdict == "not_checkable"


@pytest.mark.parametrize(
    ("asserted", "value", "holds"),
    [
        ('"5-10"', "10.4", True), ('"5-10"', "10.6", False), ('"about 5-10"', "10.9", True), ('"> 5-10"', "5.0", True),
        ('"> 5-10"', "4.0", False), ('"0"', "0", True), ('"0"', "1", False), ('"-5"', "-5.2", True),
        ('"-5"', "5", False),
        ('"5 %"', "0.05", True), ('"5 TB/s - 8 TB/s"', "7 TB/s", True), ('"1 kWh"', "3.6 MJ", True),
        ('"64 Gb/s"', "8 GB/s", True), ('"2"', "> 1.5", True), ('"2"', "< 1.4", False), ('"2"', "about 1.9", True),
    ],
)  # fmt: skip
def test_ranges_signs_units_and_open_ends(tmp_path, asserted, value, holds):
    found = verdict(tmp_path, f"- by: arithmetic\n  expression: a\n  {A % value}\n", asserted)
    assert found.verdict == ("consistent" if holds else "inconsistent")
    json.dumps(found.as_dict(), allow_nan=False)


def test_rates_per_hour_and_per_joule(tmp_path):
    check = "- by: arithmetic\n  expression: paid / time\n  inputs: {paid: {value: 10 USD, source: x}, "
    check += "time: {value: 2 h, source: x}}\n"
    assert verdict(tmp_path, check, '"5 USD/h"').verdict == "consistent"
    assert verdict(tmp_path, check, '"5 USD per hour"').computed.words == "5.00 USD/h"
    with pytest.raises(BadInput, match="asserted in a bare number"):
        verdict(tmp_path, check, '"5"')


def test_who_says_less_than_a_limit_breaks_none(tmp_path):
    """A latency below 50 ms may be 20: a limit of 30 from above does not refute it, one of 60 from below does."""
    limit = f"- by: physics\n  bound: at_most\n  expression: a\n  {A % '30 ms'}\n"
    least = limit.replace("at_most", "at_least")
    assert verdict(tmp_path, limit, '"below 50 ms"').verdict == "consistent"
    assert verdict(tmp_path, least.replace("30", "60"), '"below 50 ms"').verdict == "beyond_physics"
    assert verdict(tmp_path, least, '"over 20 ms"').verdict == "consistent"
    assert verdict(tmp_path, limit, '"over 50 ms"').verdict == "beyond_physics"


def test_lists_of_constants_go_by_position(tmp_path):
    same = "a: {values: ['2', '2', '5'], source: x}, b: {values: ['1', '2', '4'], source: x}"
    mean = f"- by: arithmetic\n  expression: mean(a)\n  inputs: {{{same}}}\n"
    assert verdict(tmp_path, mean, '"3.0"').verdict == "consistent"
    pairs = f"- by: arithmetic\n  expression: sum(a * b)\n  inputs: {{{same}}}\n"
    assert verdict(tmp_path, pairs, '"26"').verdict == "consistent"


def test_the_entry_that_fails_is_the_one_that_is_shown(tmp_path):
    values = "P: {values: ['1', '2', '0'], source: x}, Q: {values: ['1', '2', '1'], source: x}"
    check = f"- by: arithmetic\n  expression: P\n  inputs: {{{values}}}\n"
    found = verdict(tmp_path, check, "{formula: Q, unit: '1'}")
    assert found.verdict == "inconsistent" and found.computed.value == 0.0 and found.ratio is None
    assert "Q = 1.00" in found.computation


def test_where_one_side_is_undefined_nothing_is_compared(tmp_path):
    values = "P: {values: ['1', '2', '0'], source: x}"
    check = f"- by: arithmetic\n  expression: P ** 2\n  inputs: {{{values}}}\n"
    assert verdict(tmp_path, check, "{formula: P ** 3 / P, unit: '1'}").verdict == "consistent"
    found = verdict(tmp_path, check.replace("'1', '2', '0'", "'0'"), "{formula: P ** 3 / P, unit: '1'}")
    assert found.verdict == "not_checkable" and "P ** 3 / P" in found.needs[0]


def test_anybody_can_compute_it_again(tmp_path):
    """The JSON has every input with its unit and, where it has one, its interval."""
    check = f"- by: arithmetic\n  expression: a / 2\n  {A % 'about 4 kWh'}\n"
    (given,) = verdict(tmp_path, check, '"2 kWh"').as_dict()["inputs"]
    assert (given["name"], given["value"], given["unit"], given["from"]) == ("a", 4 * 3.6e6, "J", "test")
    assert (given["low"], given["high"]) == (pytest.approx(3.5 * 3.6e6), pytest.approx(4.5 * 3.6e6))


def test_words_of_any_script_are_compared(tmp_path):
    words = "- by: catalogue\n  expression: a\n  inputs: {a: {value: 台積電 4 奈米, source: x}}\n"
    assert verdict(tmp_path, words, "{text: 台積電 4}").verdict == "consistent"
    assert verdict(tmp_path, words, "{text: 三星 4}").verdict == "inconsistent"
