"""A cluster's file stands where an accelerator is named, and its figures go before the catalogue's."""

import pytest

import inferatlas
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.check import check
from inferatlas.errors import BadInput

GOOD = """\
id: lab
name: the lab
accelerator: h100
nodes: 2
accelerators_per_node: 4
scale_out: 25 GB/s
price: 2.10 USD/h
pue: 1.2
grid: 41 gCO2e/kWh
source: purchase order of 2026-10
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> str:
        file = tmp_path / "lab.yaml"
        file.write_text(text)
        return str(file)

    return written


def test_the_cluster_stands_before_the_catalogue_and_keeps_it_beside(write):
    lab = load_accelerator(write(GOOD))
    assert (lab.id, lab.cluster.count) == ("nvidia-h100-sxm", 8)
    assert lab.facts.number("chips_per_node") == 4
    assert lab.facts.number("interconnect.scale_out.per_direction") == 25e9
    assert lab.facts.chosen("chips_per_node").source == "purchase order of 2026-10"
    assert {fact.value for fact in lab.facts.all("chips_per_node")} >= {4.0, 8.0}
    assert sum(fact.used for fact in lab.facts.all("chips_per_node")) == 1
    assert not [one for one in check(write(GOOD)) if one.kind == "error"]


def test_price_site_and_size_count_in_answers(write):
    file = write(GOOD)
    answer = inferatlas.predict("llama-3.1-8b", file, count=2, tp=1, concurrency=8, isl=512, osl=128)
    money = answer.inputs["economics"]
    assert (money["usd_per_hour"], money["pue"], money["gco2e_per_kwh"]) == (2.10, 1.2, 41)
    assert "lab" in money["price_source"] and "lab" in money["grid_source"]
    with pytest.raises(BadInput, match="more than cluster lab has"):
        inferatlas.predict("llama-3.1-8b", file, count=9, tp=1, concurrency=8, isl=512, osl=128)
    found = inferatlas.recommend("llama-3.1-8b", isl=512, osl=128, concurrency=8, accelerators=(file,), max_count=64)
    assert found.candidates and found.candidates[0].count <= 8


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("nodes: 2", "nodes: 0", 4, "not a count"),
        ("nodes: 2", "nodes: two", 4, "not a count"),
        ("scale_out: 25 GB/s", "scale_out: 25 W", 6, "not a unit of B/s"),
        ("price: 2.10 USD/h", "price: -2 USD/h", 7, "out of range"),
        ("price: 2.10 USD/h", "price: 1e300 USD/h", 7, "above 0 and up to 1,000,000 USD/h"),
        ("scale_out: 25 GB/s", "scale_out: 1e20 GB/s", 6, "out of range"),
        ("pue: 1.2", "pue: 0.5", 8, "not a PUE"),
        ("accelerator: h100", "accelerator: h1000", 3, "unknown accelerator"),
        ("price: 2.10", "prize: 2.10", 7, "unknown key 'prize'"),
        ("name: the lab", "name: ''", 2, "a text is needed"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(write, old, new, line, words):
    with pytest.raises(BadInput) as caught:
        load_accelerator(write(GOOD.replace(old, new)))
    assert caught.value.line == line and words in str(caught.value)
