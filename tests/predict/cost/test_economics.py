"""Which row of the catalogue answers: own price first, then the cluster's, then the table's; unknown stays unknown."""

import json
from dataclasses import fields

import pytest

from inferatlas.catalogue.accelerator import Cluster
from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.carbon import embodied, grid_intensities, pues
from inferatlas.catalogue.prices import prices
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.hardware.device import device

H100 = ("nvidia-h100-sxm", "gpu_simt", 8)
SOURCED = {
    "usd_per_hour": "price_source", "usd_per_hour_owned": "owned_source", "gco2e_per_kwh": "grid_source",
    "pue": "pue_source", "embodied_g_per_hour": "embodied_source",
}  # fmt: skip


def cluster(**figures: float) -> Cluster:
    unknown = dict.fromkeys(("usd_per_hour", "pue", "gco2e_per_kwh"))
    return Cluster("lab", "the lab", 1, 8, **(unknown | figures), source="an invoice")


def of(part: str, **asked) -> Economics:
    known = device(load_accelerator(part))
    return economics(known.id, known.architectural_class, known.node, **asked)


@pytest.mark.parametrize("part", accelerator_ids())
def test_every_known_figure_has_its_source_and_every_unknown_one_has_none(part: str):
    money = of(part)
    for figure, source in SOURCED.items():
        known = getattr(money, figure)
        assert (known is None) == (getattr(money, source) is None), figure
        assert known is None or known > 0
    assert json.dumps(money.as_dict(), allow_nan=False)
    assert money.as_dict().keys() == {f.name for f in fields(Economics)}


def test_the_figures_are_rows_of_the_tables():
    money = economics(*H100)
    rental = [p for p in prices() if p.accelerator == H100[0] and p.kind == "rental" and p.term == "3-year rental"]
    owned = [p for p in prices() if p.accelerator == H100[0] and p.kind == "ownership" and p.term == "neocloud"]
    assert (money.usd_per_hour, money.usd_per_hour_owned) == (rental[0].value, owned[0].value)
    assert money.gco2e_per_kwh == next(row.value for row in grid_intensities() if row.code == "USA")
    assert money.pue == next(row.value for row in pues() if row.site == "AWS")
    assert rental[0].source in (money.price_source or "")


def test_an_own_price_wins_over_cluster_and_table():
    assert economics(*H100, price=9.0).usd_per_hour == 9.0
    both = economics(*H100, price=9.0, cluster=cluster(usd_per_hour=5.0))
    assert (both.usd_per_hour, both.price_source) == (9.0, "given by the user")
    assert both.usd_per_hour_owned == economics(*H100).usd_per_hour_owned  # owning costs what it did


def test_a_cluster_goes_before_the_table_in_what_it_states_and_nowhere_else():
    plain = economics(*H100)
    mine = economics(*H100, cluster=cluster(usd_per_hour=5.0, pue=1.5, gco2e_per_kwh=0.0))
    assert (mine.usd_per_hour, mine.pue, mine.gco2e_per_kwh) == (5.0, 1.5, 0.0)  # a grid may emit nothing
    for source in (mine.price_source, mine.pue_source, mine.grid_source):
        assert source == "cluster lab: an invoice"
    assert economics(*H100, cluster=cluster()) == plain
    partly = economics(*H100, cluster=cluster(pue=1.5))
    assert (partly.usd_per_hour, partly.gco2e_per_kwh) == (plain.usd_per_hour, plain.gco2e_per_kwh)


@pytest.mark.parametrize("part", ["nvidia-l4", "google-tpu-v5e", "groq-lpu-v1"])
def test_an_unknown_price_stays_unknown_until_it_is_given(part: str):
    assert of(part).usd_per_hour is None and of(part).usd_per_hour_owned is None
    assert of(part, price=0.7).usd_per_hour == 0.7
    assert of(part, cluster=cluster(usd_per_hour=0.6)).usd_per_hour == 0.6


def test_embodied_carbon_is_one_device_and_its_share_of_the_server():
    items = {row.item: row.value for row in embodied()}
    gpu, server = items["generic GPU"], items["server without GPUs"]
    assert gpu is not None and server is not None
    hours = 3 * 8760
    for node in (1, 4, 8):
        money = economics("nvidia-h100-sxm", "gpu_simt", node)
        assert money.embodied_g_per_hour == pytest.approx((gpu + server / node) / hours)
        assert f"1/{node} of a server" in (money.embodied_source or "")
    # nothing is published for anything that is not a GPU
    for part in ("google-tpu-v6e", "groq-lpu-v1", "cerebras-wse-3", "sambanova-sn40l"):
        assert of(part).embodied_g_per_hour is None


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 1.0])
def test_idle_hours_are_charged_to_those_in_use(share: float):
    full, part = economics(*H100), economics(*H100, utilisation=share)
    assert full.embodied_g_per_hour is not None and part.embodied_g_per_hour is not None
    assert part.embodied_g_per_hour == pytest.approx(full.embodied_g_per_hour / share)
    assert part.utilisation == share
    assert part.usd_per_hour == full.usd_per_hour  # the hour costs the same; tokens carry the idle ones


@pytest.mark.parametrize("name", ["France", "france", "FRA", "fra"])
def test_regions_go_by_name_or_code(name: str):
    assert economics(*H100, region=name).gco2e_per_kwh == 56.0
    assert "France 20" in economics(*H100, region=name).grid_source


@pytest.mark.parametrize("site", [row.site for row in pues()])
def test_every_site_answers(site: str):
    assert economics(*H100, site=site.upper()).pue == next(row.value for row in pues() if row.site == site) >= 1


@pytest.mark.parametrize(
    ("asked", "field", "near"),
    [
        ({"region": "Frnce"}, "region", "France"), ({"region": "Mars"}, "region", None),
        ({"region": ""}, "region", None), ({"site": "AWSS"}, "site", "AWS"), ({"site": "Moon"}, "site", None),
    ],
    ids=str,
)  # fmt: skip
def test_unknown_names_are_refused_with_those_there_are(asked, field: str, near: str | None):
    with pytest.raises(UnknownName) as caught:
        economics(*H100, **asked)
    assert (caught.value.field, caught.value.exit_code) == (field, 2)
    assert caught.value.allowed
    if near:
        assert near in (caught.value.hint or caught.value.allowed)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"price": 0.0}, "price"), ({"price": -1.0}, "price"), ({"price": float("nan")}, "price"),
        ({"price": float("inf")}, "price"), ({"utilisation": 0.0}, "utilisation"),
        ({"utilisation": -0.5}, "utilisation"), ({"utilisation": 1.01}, "utilisation"),
        ({"utilisation": float("nan")}, "utilisation"),
        ({"price": 1e308}, "price"), ({"price": 1.01e6}, "price"), ({"utilisation": 1e-300}, "utilisation"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(asked, field: str):
    with pytest.raises(BadInput) as caught:
        economics(*H100, **asked)
    assert (caught.value.field, caught.value.exit_code) == (field, 2)
    assert ("1,000,000" if field == "price" else "0.0001 to 1") in (caught.value.allowed or "")
