"""`catalogue check`: silent on the catalogue itself, and it finds what is wrong with a user's files."""

from pathlib import Path

import pytest

from inferatlas.catalogue import conflicts, load_accelerator
from inferatlas.catalogue.accelerators import read_accelerator
from inferatlas.catalogue.check import Finding, Kind, check, check_accelerator, exit_code
from inferatlas.errors import BadInput


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    text = Path(load_accelerator("h100").file).read_text(encoding="utf-8")
    file.write_text(text.replace("id: nvidia-h100-sxm", "id: my-chip", 1), encoding="utf-8")
    return file


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_catalogue_itself_is_sound():
    assert [one for one in check() if one.kind != "note"] == []


def test_a_sound_file_of_ones_own(own: Path):
    assert check(own) == []
    assert check(own.parent) == []


def test_a_refused_file_is_reported_with_file_and_line(own: Path):
    _edit(own, "vendor: NVIDIA", "vendor: NVIDIA\nmaker: NVIDIA")
    assert [(one.kind, one.text.startswith(f"{own}:4: ")) for one in check(own)] == [("error", True)]


def test_a_sparse_peak_in_use_is_an_error(own: Path):
    _edit(
        own,
        '{value: 989.4, unit: TFLOPS, condition: "dense, per chip"',
        '{value: 1979, unit: TFLOPS, condition: "with sparsity"',
    )
    found = check_accelerator(read_accelerator(own))
    assert found
    assert all(one.kind == "error" and "sparse peak" in one.text for one in found)


def test_directions_that_do_not_add_up_contradict_each_other(own: Path):
    _edit(own, "value: 900, unit: GB/s", "value: 950, unit: GB/s")
    assert [(one.kind, "twice" in one.text) for one in check(own)] == [("conflict", True)]


def test_a_class_that_is_not_that_of_the_fact_contradicts_it(own: Path):
    _edit(own, "architectural_class: gpu_simt", "architectural_class: systolic_array")
    assert [(one.kind, "the fact says gpu_simt" in one.text) for one in check(own)] == [("conflict", True)]


def test_an_alias_means_one_accelerator(own: Path):
    second = own.parent / "second.yaml"
    second.write_text(own.read_text(encoding="utf-8").replace("id: my-chip", "id: other-chip"), encoding="utf-8")
    found = check(own.parent)
    assert {one.kind for one in found} == {"conflict"}
    assert any("'h100' already means my-chip" in one.text for one in found)


def test_a_price_for_something_unknown_is_a_note(tmp_path: Path):
    table = tmp_path / "prices.yaml"
    table.write_text(
        "rows:\n  - {accelerator: my-chip, kind: rental, term: spot, value: 1, unit: USD/h, per: accelerator,\n"
        "     region: not stated, date: 2026, status: documented, confidence: low, source: a page}\n",
        encoding="utf-8",
    )
    assert [(one.kind, "'my-chip' is not in the catalogue" in one.text) for one in check(table)] == [("note", True)]


@pytest.mark.parametrize(
    ("kinds", "code"),
    [((), 0), (("note",), 0), (("note", "conflict"), 5), (("conflict", "error"), 2), (("error", "note"), 2)],
)
def test_the_worst_kind_decides_the_exit_code(kinds: tuple[Kind, ...], code: int):
    assert exit_code(Finding(kind, "a.yaml: x") for kind in kinds) == code


def test_a_path_that_is_not_there(tmp_path: Path):
    with pytest.raises(BadInput):
        check(tmp_path / "absent.yaml")
    with pytest.raises(BadInput):
        check(tmp_path)


def test_conflicts_put_the_value_in_use_first_and_give_the_reason():
    rows = conflicts()
    assert len(rows) >= 100
    for row in rows:
        assert len(row.facts) > 1
        assert not any(fact.used for fact in row.facts[1:]), row
        assert row.reason
    mesh = next(row for row in rows if (row.accelerator, row.field) == ("nvidia-h100-sxm", "peak_bf16"))
    assert mesh.facts[0].value == 989.4e12
    assert {fact.status for fact in mesh.facts[1:]} <= {"alternative", "rejected"}
    assert not [row for row in rows if row.field.startswith(("measured.", "published."))]
