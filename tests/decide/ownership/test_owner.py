"""Where each figure comes from: the owner, the cluster, the catalogue, a prior; or from nowhere, and then it is so."""

from dataclasses import fields

import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.decide.ownership.owner import FIELDS, GIVEN, UNITS, Figure, Owner, check, figures, unknown
from inferatlas.errors import BadInput, NotModelled, UnknownName
from inferatlas.predict.cost.owned import Owned
from inferatlas.predict.cost.ownership import PRIORS
from inferatlas.predict.hardware.device import device


def of(accelerator: str, region: str = "USA", **own: float) -> dict[str, Figure]:
    known = load_accelerator(accelerator)
    return {one.parameter: one for one in figures(Owner(**own), known, device(known), region)}


def test_every_input_of_the_totals_has_a_name_and_a_unit():
    held = {field.name for field in fields(Owned)} - {"opex_usd_per_hour"}
    assert set(FIELDS.values()) == held and len(FIELDS) == len(held)
    assert UNITS.keys() == FIELDS.keys()
    assert {field.name for field in fields(Owner)} < FIELDS.keys()


@pytest.mark.parametrize("part", accelerator_ids())
def test_known_figures_say_their_source_and_lie_in_their_range(part):
    try:
        found = of(part)
    except NotModelled:
        return
    assert found.keys() == FIELDS.keys() - {"power", "throughput"}
    for one in found.values():
        assert one.source
        assert one.low is None or one.high is None or one.value is None or one.low <= one.value <= one.high, one
    assert found["capex"].value is None and found["water_site"].value is None  # nobody states them
    assert unknown(list(found.values()))[:1] == ["capex"]


def test_what_is_published_goes_before_what_is_taken_for_it():
    h100, l4 = of("h100"), of("l4")
    assert (h100["provisioned"].value, h100["idle"].value) == (1730.0, 71.0)
    assert "SemiAnalysis" in h100["provisioned"].source
    assert l4["provisioned"].value == 72.0 and "rated power" in l4["provisioned"].source
    assert h100["embodied"].value == pytest.approx(273e3 + 5.7e6 / 8)
    assert of("groq-lpu-v1")["embodied"].value is None
    assert h100["grid"].value == 369.0 and (h100["grid"].low, h100["grid"].high) == (369.0, 384.4)
    assert h100["water_grid"].value == 3.13
    assert of("h100", "Poland")["water_grid"].value is None


@pytest.mark.parametrize("name", [field.name for field in fields(Owner)])
def test_the_owner_s_figure_wins_and_its_range_holds_it(name):
    value = 0.99 if name == "residual" else 1.0 if name in ("availability", "utilisation", "pue") else 0.9
    one = of("h100", **{name: value})[name]
    assert (one.value, one.source, one.given) == (value, GIVEN, True)
    assert one.low is None or one.high is None or one.low <= value <= one.high


def test_a_cluster_states_its_own_site(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(
        "id: lab\nname: the lab\naccelerator: h100\nnodes: 1\naccelerators_per_node: 4\nsource: an invoice\n"
        "pue: 1.4\ngrid: 20 gCO2e/kWh\n",
        encoding="utf-8",
    )
    found = of(str(file))
    assert (found["pue"].value, found["grid"].value) == (1.4, 20.0)
    assert found["pue"].source == found["grid"].source == "cluster lab: an invoice"
    assert of(str(file), pue=1.1)["pue"].value == 1.1
    assert of("h100")["pue"].value == PRIORS["pue"].value


@pytest.mark.parametrize(
    ("name", "value"),
    [("life", 0.0), ("life", -1.0), ("life", 51.0), ("utilisation", 0.0), ("utilisation", 1.01), ("pue", 0.99),
     ("capex", 0.0), ("capex", float("nan")), ("interest", -0.01), ("residual", 1.1), ("electricity", float("inf")),
     ("embodied", -1.0), ("water_site", -1.0), ("availability", 0.0), ("maintenance", 2.0), ("idle", -1.0)],
)  # fmt: skip
def test_what_no_owner_can_mean_is_refused(name, value):
    with pytest.raises(BadInput) as caught:
        check(Owner(**{name: value}))
    assert (caught.value.field, caught.value.exit_code) == (name, 2)
    assert caught.value.allowed


def test_an_unknown_region_is_refused():
    with pytest.raises(UnknownName):
        of("h100", "Mars")
