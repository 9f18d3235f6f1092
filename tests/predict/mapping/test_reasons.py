"""Every reason has words and an input at fault."""

from inferatlas.predict.mapping import reasons


def test_every_reason_has_words_and_an_input_at_fault():
    codes = set(reasons.CODES) - {reasons.OK}
    assert codes == set(reasons.DETAILS)
    assert {reasons.CODES[code] for code in codes} <= set(reasons.FIELDS)
    assert reasons.field_of("ok") is None


def test_of_a_group_that_is_too_wide_the_widest_kind_of_parallelism_is_at_fault():
    assert reasons.field_of("interconnect_unknown", {"tp": 16, "ep": 1, "cp": None}) == "tp"
    assert reasons.field_of("interconnect_unknown", {"tp": 2, "ep": 1, "cp": 32}) == "cp"
    assert reasons.field_of("resident_layout", {"tp": None, "ep": 2, "cp": None}) == "ep"


def test_what_was_left_open_is_not_at_fault_but_the_count_it_came_from():
    assert reasons.field_of("too_many_stages", {"pp": None}) == "count"
    assert reasons.field_of("memory", {"tp": 8}) == "count"
