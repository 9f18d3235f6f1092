"""Prices and carbon as dated rows: what is there, what is refused, what is left empty."""

from pathlib import Path

import pytest

from inferatlas.catalogue import embodied, grid_intensities, prices, pues, water_intensities
from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.catalogue.prices import read_prices
from inferatlas.errors import BadInput

GOOD = """\
rows:
  - {accelerator: nvidia-h100-sxm, kind: rental, term: on demand, value: [2, 3], unit: USD/h, per: accelerator,
     region: Europe, date: 2026-05,
     status: documented, confidence: low, source: "a page"}
"""


def test_every_price_has_source_date_region_and_term():
    assert len(prices()) >= 25
    for row in prices():
        assert row.source
        assert row.date[:2] == "20"
        assert row.region
        assert row.term
        assert row.accelerator is None or row.accelerator in accelerator_ids()


def test_known_prices():
    h100 = [row for row in prices() if row.accelerator == "nvidia-h100-sxm" and row.unit == "USD/h"]
    assert {row.value for row in h100 if row.kind == "ownership"} == {1.30, 1.69}
    spread = next(row for row in h100 if row.low is not None)
    assert (spread.low, spread.high, spread.confidence) == (0.52, 14.90, "low")


def test_the_price_of_a_cs3_is_not_made_up():
    assert not [row for row in prices() if row.accelerator in ("cerebras-wse-3", "sambanova-sn40l")]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (', source: "a page"', "", 2, "'source' is missing"),
        ('source: "a page"', 'source: ""', 4, "without source"),
        (" date: 2026-05,", "", 2, "'date' is missing"),
        ("date: 2026-05", "date: last May", 3, "is not a date"),
        ("region: Europe, ", "", 2, "'region' is missing"),
        ("region: Europe", 'region: ""', 3, "without region"),
        (" term: on demand,", "", 2, "'term' is missing"),
        ("unit: USD/h", "unit: W", 2, "not a unit that fits"),
        ("kind: rental", "kind: gift", 2, "is not a kind"),
        ("value: [2, 3]", "value: -2", 2, "finite number >= 0"),
        ("value: [2, 3]", "value: .nan", 2, "finite number >= 0"),
        ("value: [2, 3]", "value: null", 2, "belong together"),
        ("kind: rental", "kinds: rental", 2, "unknown key 'kinds'"),
        ("status: documented", "status: sure", 4, "is not a status"),
    ],
)
def test_a_bad_price_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str):
    file = tmp_path / "prices.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert read_prices(file)[0].value == 2.5
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match=says) as caught:
        read_prices(file)
    assert caught.value.line == line


def test_grids_say_year_method_basis_and_which_table():
    assert len(grid_intensities()) == 12
    for row in (*grid_intensities(), *water_intensities()):
        assert all((row.year, row.method, row.basis, row.table, row.licence)), row
    france = {row.table: row.value for row in grid_intensities() if row.code == "FRA"}
    assert france == {"Ember": 56, "EcoLogits": 41.4}
    assert {row.code: row.value for row in water_intensities()} == {"FRA": 3.67, "SWE": 6.03, "USA": 3.13}


def test_pue_is_never_below_one():
    assert all(row.value is not None and row.value >= 1 for row in pues())
    assert next(row.value for row in pues() if row.site == "AWS") == 1.135


def test_embodied_carbon_is_left_empty_where_nothing_is_published():
    unknown = {row.accelerator for row in embodied() if row.value is None}
    assert unknown == {"cerebras-wse-3", "sambanova-sn40l", "amd-mi300x"}
    ratios = [row for row in embodied() if row.unit == "gCO2e/FLOP"]
    assert [row.value for row in ratios] == pytest.approx([0.66e-18, 0.50e-18])
