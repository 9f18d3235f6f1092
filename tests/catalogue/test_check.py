"""`catalogue check`: silent on the catalogue itself, and it finds what is wrong with a user's files."""

from pathlib import Path

import pytest

from inferatlas.catalogue import conflicts, load_accelerator
from inferatlas.catalogue.accelerators import read_accelerator
from inferatlas.catalogue.check import check, check_accelerator
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
    assert [line for line in check() if line.startswith("error: ")] == []


def test_a_sound_file_of_ones_own(own: Path):
    assert check(own) == []
    assert check(own.parent) == []


def test_a_refused_file_is_reported_with_file_and_line(own: Path):
    _edit(own, "vendor: NVIDIA", "vendor: NVIDIA\nmaker: NVIDIA")
    assert [line.partition(": ")[2].startswith(f"{own}:4: ") for line in check(own)] == [True]


def test_a_sparse_peak_in_use_is_an_error(own: Path):
    _edit(
        own,
        '{value: 989.4, unit: TFLOPS, condition: "dense, per chip"',
        '{value: 1979, unit: TFLOPS, condition: "with sparsity"',
    )
    lines = check_accelerator(read_accelerator(own))
    assert lines
    assert all(line.startswith("error: ") and "sparse peak" in line for line in lines)


def test_directions_that_do_not_add_up_are_a_note(own: Path):
    _edit(own, "value: 900, unit: GB/s", "value: 950, unit: GB/s")
    assert ["note: " in line and "twice" in line for line in check(own)] == [True]


def test_an_alias_means_one_accelerator(own: Path):
    second = own.parent / "second.yaml"
    second.write_text(own.read_text(encoding="utf-8").replace("id: my-chip", "id: other-chip"), encoding="utf-8")
    lines = check(own.parent)
    assert any("'h100' already means my-chip" in line for line in lines)


def test_a_price_for_something_unknown_is_a_note(tmp_path: Path):
    table = tmp_path / "prices.yaml"
    table.write_text(
        "rows:\n  - {accelerator: my-chip, kind: rental, term: spot, value: 1, unit: USD/h, per: accelerator,\n"
        "     region: not stated, date: 2026, status: documented, confidence: low, source: a page}\n",
        encoding="utf-8",
    )
    assert ["'my-chip' is not in the catalogue" in line for line in check(table)] == [True]


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
