"""Park et al. reproduced: every stated cell of the four tables beside the catalogue, with its rivals named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.facts import FactSheet
from inferatlas.studies.claims.ledger import ledger
from inferatlas.studies.exhibits import Exhibit, Pair
from inferatlas.studies.reproducing import catalogued, park


@pytest.fixture(scope="module")
def exhibits() -> dict[str, Exhibit]:
    return {one.id: one for one in park.exhibits()}


def pair_of(one: Exhibit, accelerator: str, parameter: str) -> Pair:
    (pair,) = [p for p in one.pairs if p.what == {"accelerator": accelerator, "parameter": parameter}]
    return pair


def test_all_four_tables_are_there(exhibits: dict[str, Exhibit]) -> None:
    assert list(exhibits) == ["table-1", "table-2", "table-3", "table-4"]


@pytest.mark.parametrize("table", ["table-1", "table-2", "table-3", "table-4"])
def test_every_stated_cell_is_in_one_pair(table: str, exhibits: dict[str, Exhibit]) -> None:
    held = ledger("park-review").tables[table]
    for row in held.rows.values():
        for key, cell in row.cells.items():
            if cell.stated:
                assert pair_of(exhibits[table], row.title, held.columns[key].title).published == cell
    assert len(exhibits[table].pairs) == sum(c.stated for row in held.rows.values() for c in row.cells.values())


def test_ours_is_the_chosen_fact(exhibits: dict[str, Exhibit]) -> None:
    for one in exhibits.values():
        held = ledger("park-review").tables[one.id]
        for row in held.rows.values():
            for key, cell in row.cells.items():
                column = held.columns[key]
                if not cell.stated or not column.facts or row.accelerator is None:
                    continue
                pair = pair_of(one, row.title, column.title)
                known = load_accelerator(row.accelerator)
                chosen = known.facts.chosen(catalogued.field_of(known, column.facts))
                if chosen is not None and isinstance(chosen.value, float) and chosen.unit == cell.unit:
                    assert pair.ours is not None and pair.ours.value == chosen.value
                else:
                    assert pair.ours is None and pair.note


def test_peaks_that_are_twice_dense_are_told_sparse(exhibits: dict[str, Exhibit]) -> None:
    pair = pair_of(exhibits["table-2"], "NVIDIA H100", "FP16")
    assert pair.ratio == pytest.approx(0.5, rel=1e-3)
    assert any("sparsity" in note and "FP16 of NVIDIA H100" in note for note in exhibits["table-2"].notes)


def test_a_platform_of_eight_is_not_one_device(exhibits: dict[str, Exhibit]) -> None:
    pair = pair_of(exhibits["table-2"], "AMD MI300X", "FP8")
    assert pair.ratio == pytest.approx(1 / 8, rel=2e-3)


def test_rivals_stand_in_the_note(exhibits: dict[str, Exhibit]) -> None:
    note = pair_of(exhibits["table-1"], "Groq LPU", "TDP").note
    assert note.startswith("chosen: 215 W") and "alternative: 300 W" in note and "rejected: 75 W" in note


def test_the_finding_counts_every_cell(exhibits: dict[str, Exhibit]) -> None:
    for one in exhibits.values():
        assert one.finding.startswith(f"Of {len(one.pairs)} stated cells ")
        assert all(pair.label == "catalogue" for pair in one.pairs)


def test_a_changed_fact_changes_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    held = ledger("park-review").tables["table-1"]
    row, column = held.rows["nvidia-h100"], held.columns["tdp"]
    known = load_accelerator("nvidia-h100-sxm")
    facts = [replace(fact, value=650.0) if fact.field == "power.tdp" and fact.used else fact for fact in known.facts]
    before = catalogued.beside(row, column, row.cells["tdp"])
    monkeypatch.setattr(catalogued, "load_accelerator", lambda _: replace(known, facts=FactSheet(facts)))
    after = catalogued.beside(row, column, row.cells["tdp"])
    assert before.inside is True and after.inside is False
