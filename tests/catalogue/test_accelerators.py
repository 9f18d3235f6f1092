"""The catalogue's accelerators: complete, against known numbers, found under the names people type."""

import csv
import re
from pathlib import Path

import pytest

from inferatlas.catalogue import accelerator_ids, accelerators, load_accelerator
from inferatlas.catalogue.factfile import CONFIDENCES
from inferatlas.catalogue.facts import PROVENANCES, STATUSES
from inferatlas.catalogue.fields import OBSERVATIONS
from inferatlas.errors import BadInput, UnknownName

TABLE = Path(__file__).parents[2] / ".." / "shared" / "facts" / "accelerators.csv"


def test_every_accelerator_and_fact_is_there():
    assert len(accelerator_ids()) == len(accelerators()) == 60
    assert sum(1 for one in accelerators() for _ in one.facts) >= 2100


@pytest.mark.skipif(not TABLE.exists(), reason="the fact table the catalogue was made from is not at hand")
def test_no_row_of_the_fact_table_is_lost():
    table: dict[tuple[str, str], int] = {}
    with TABLE.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            table[row["id"], row["field"]] = table.get((row["id"], row["field"]), 0) + 1
    short = {key: count for key, count in table.items() if len(load_accelerator(key[0]).facts.all(key[1])) < count}
    assert sum(table.values()) == 1548
    assert not short


@pytest.mark.parametrize(
    ("name", "field", "value", "unit"),
    [
        ("nvidia-h100-sxm", "peak_bf16", 989.4e12, "FLOP/s"),  # 132 SM x 4,096 FLOP x 1.83 GHz
        ("nvidia-h100-sxm", "mem.hbm.capacity", 85_520_809_984, "B"),
        ("nvidia-h100-sxm", "mem.hbm.bandwidth", 3.35e12, "B/s"),
        ("nvidia-h100-sxm", "power.tdp", 700, "W"),
        ("nvidia-h100-sxm", "interconnect.scale_up.per_direction", 450e9, "B/s"),
        ("nvidia-h100-sxm", "interconnect.scale_out.per_direction", 50e9, "B/s"),
        ("nvidia-h100-sxm", "transistors", 80e9, "1"),
        ("nvidia-h100-sxm", "die_area", 814e-6, "m2"),
        ("amd-mi300x", "peak_fp16", 1307.4e12, "FLOP/s"),  # 304 CU x 2,048 FLOP x 2.1 GHz
        ("amd-mi300x", "mem.l2.capacity", 32 * 2**20, "B"),
        ("groq-lpu-v1", "peak_fp16", 188e12, "FLOP/s"),
        ("groq-lpu-v1", "mem.sram.bandwidth", 80e12, "B/s"),
        ("cerebras-wse-3", "mem.sram.bandwidth", 21e15, "B/s"),
        ("intel-gaudi-3", "peak_bf16", 1678e12, "FLOP/s"),
        ("nvidia-a100-40gb-sxm", "clock_boost", 1.41e9, "Hz"),
        ("cerebras-wse-3", "execution.max_batch", 8, "1"),
        ("sambanova-sn40l", "execution.max_batch", 32, "1"),
        ("microsoft-maia-100", "interconnect.scale_up.per_direction", 450e9, "B/s"),  # 9 of 12 ports
        ("microsoft-maia-100", "interconnect.scale_out.per_direction", 150e9, "B/s"),  # the other 3
        ("aws-trainium-2", "interconnect.scale_up.per_direction", 512e9, "B/s"),  # half of 1,024 GB/s in an instance
        ("cerebras-wse-2", "interconnect.scale_up.per_direction", 150e9, "B/s"),  # 1.2 Tb/s of system I/O
        ("cerebras-wse-3", "interconnect.scale_up.per_direction", 150e9, "B/s"),
        ("google-tpu-v6e", "interconnect.scale_out", 12.5e9, "B/s"),
        ("nvidia-h100-pcie", "peak_fp8", 1513e12, "FLOP/s"),
        ("nvidia-h100-nvl", "peak_bf16", 835.5e12, "FLOP/s"),  # half of the sparse 1,671
        ("nvidia-h20", "peak_bf16", 148e12, "FLOP/s"),
        ("nvidia-h20", "power.tdp", 400, "W"),
        ("nvidia-h800", "interconnect.scale_up.per_direction", 200e9, "B/s"),  # the one thing cut
        ("nvidia-a100-80gb-pcie", "mem.hbm.bandwidth", 1.935e12, "B/s"),
        ("nvidia-gb300", "interconnect.scale_up.max_domain", 72, "1"),
        ("nvidia-v100-sxm", "peak_fp16", 125e12, "FLOP/s"),
        ("nvidia-a10g", "peak_fp16", 70e12, "FLOP/s"),  # not the 125 of an A10
        ("amd-mi350x", "power.tdp", 1000, "W"),
        ("amd-mi210", "peak_fp16", 181e12, "FLOP/s"),  # 104 CU x 1,024 FLOP x 1.7 GHz
        ("tenstorrent-blackhole-p100", "mem.gddr6.bandwidth", 448e9, "B/s"),
        ("aws-trainium-3", "peak_fp8", 2517e12, "FLOP/s"),
    ],
)
def test_known_numbers_in_si(name: str, field: str, value: float, unit: str):
    fact = load_accelerator(name).facts.chosen(field)
    assert fact is not None
    assert fact.value == pytest.approx(value, rel=1e-12)
    assert fact.unit == unit


def test_the_sheet_says_what_is_not_known_and_how():
    facts = load_accelerator("google-tpu-v5e").facts
    gap, silent = facts.chosen("power.idle"), facts.chosen("power.tdp")
    assert gap is not None
    assert silent is not None
    assert (gap.value, gap.provenance, gap.printed) == (None, "gap", "unknown")
    assert (silent.value, silent.printed) == (None, "not published")
    assert facts.number("power.idle") is None


def test_a_range_keeps_its_ends_and_an_approximation_says_so():
    idle = load_accelerator("h100").facts.chosen("power.idle")
    area = load_accelerator("b200").facts.chosen("die_area")
    assert idle is not None
    assert area is not None
    assert (idle.low, idle.value, idle.high, idle.printed) == (68, 71, 74, "68-74")
    assert "approximate" in area.note


def test_every_fact_says_where_it_comes_from_and_how_far_to_trust_it():
    for one in accelerators():
        for fact in one.facts:
            assert fact.status in STATUSES, (one.id, fact)
            assert fact.provenance in PROVENANCES, (one.id, fact)
            assert fact.confidence in CONFIDENCES, (one.id, fact)
            assert fact.source or fact.provenance == "gap", (one.id, fact)


def test_recalled_values_are_unverified():
    recalled = [fact for one in accelerators() for fact in one.facts if fact.provenance == "recalled"]
    assert recalled  # they become fewer as documents are read
    assert not [fact for fact in recalled if fact.status == "chosen"]


@pytest.mark.parametrize(
    ("name", "field", "value", "condition"),
    [
        ("microsoft-maia-100", "interconnect.scale_up.per_direction", 600e9, "all 12 ports"),
        ("aws-trainium-2", "interconnect.scale_up.bidirectional", 1.28e12, "UltraServer"),
        ("intel-gaudi-3", "software.sglang", "none", "upstream"),
        ("tenstorrent-wormhole-n150", "power.idle", 17.5, "not the board"),
        ("sambanova-sn40l", "execution.max_batch", 1, "context 128K"),
        ("aws-inferentia-2", "execution.max_batch", 32, "8 NeuronCores"),
    ],
)
def test_a_value_that_holds_only_under_a_condition_is_kept_but_not_used(
    name: str, field: str, value: float | str, condition: str
):
    facts = load_accelerator(name).facts
    (fact,) = [fact for fact in facts.all(field) if fact.value == value and condition in fact.condition]
    assert fact.status == "alternative"
    chosen = facts.chosen(field)
    assert chosen is None or chosen.value != value


def test_a_training_only_backend_is_no_support_for_inference():
    for name in ("google-tpu-v4", "google-tpu-v5e", "google-tpu-v5p", "google-tpu-v6e", "google-tpu-v7"):
        fact = load_accelerator(name).facts.chosen("software.deepspeed")
        assert fact is not None
        assert (fact.value, fact.provenance) == ("none", "corroborated")
        assert "training only" in fact.note


def test_derived_values_show_their_arithmetic():
    derived = [
        (one.id, fact)
        for one in accelerators()
        for fact in one.facts
        if fact.provenance == "derived" and fact.field.startswith("interconnect.")
    ]
    assert len(derived) >= 15
    for name, fact in derived:
        assert re.search(r"\d.* [/x] .*= [\d.]+", fact.note) or "a chip and three others" in fact.note, (name, fact)


def test_at_most_one_value_of_a_field_is_in_use():
    for one in accelerators():
        for field, facts in one.facts.conflicts().items():
            if not field.startswith(OBSERVATIONS):
                assert sum(fact.used for fact in facts) <= 1, (one.id, field)


def test_our_classification_of_each_execution_style():
    style = {one.id: one.execution for one in accelerators()}
    assert {name for name in style if style[name] == "wafer"} == {"cerebras-wse-2", "cerebras-wse-3"}
    pipelines = {"groq-lpu-v1", "graphcore-gc200", "graphcore-bow"}
    assert {name for name in style if style[name] == "static_pipeline"} == pipelines
    assert {name for name in style if style[name] == "dataflow"} == {"sambanova-sn30", "sambanova-sn40l"}
    two = {"amd-mi250", "intel-max-1550", "tenstorrent-blackhole-p300", "tenstorrent-wormhole-n300"}
    assert {one.id for one in accelerators() if one.devices_per_card == 2} == two


@pytest.mark.parametrize("name", ["h100", "H100-SXM", "NVIDIA H100 SXM", "nvidia_h100_sxm", " Nvidia-H100-SXM "])
def test_names_people_type(name: str):
    assert load_accelerator(name).id == "nvidia-h100-sxm"


def test_every_alias_finds_its_accelerator():
    for one in accelerators():
        assert {load_accelerator(alias) for alias in (*one.aliases, one.name)} == {one}


@pytest.mark.parametrize("name", ["nvidia-h1000-sxm", "mi30x", "", "../models/llama-3.1-8b"])
def test_an_unknown_name_gets_near_names(name: str):
    with pytest.raises(UnknownName) as caught:
        load_accelerator(name)
    assert caught.value.exit_code == 2
    if "h1000" in name:
        assert "nvidia-h100-sxm" in caught.value.near


def test_a_users_own_file(tmp_path: Path):
    own = tmp_path / "mine.yaml"
    text = Path(load_accelerator("h100").file).read_text(encoding="utf-8")
    own.write_text(text.replace("id: nvidia-h100-sxm", "id: my-chip", 1), encoding="utf-8")
    assert load_accelerator(own).id == "my-chip"
    assert load_accelerator(str(own)).facts.number("power.tdp") == 700
    with pytest.raises(BadInput, match=r"no such file|cannot be read"):
        load_accelerator(tmp_path / "absent.yaml")


def test_a_card_of_two_chips_counts_as_one_and_a_chip_on_its_own_is_half_of_it():
    n300, chip = load_accelerator("n300"), load_accelerator("tenstorrent-wormhole")
    assert (n300.devices_per_card, chip.devices_per_card) == (2, 1)
    for field in ("peak_fp8", "peak_fp16", "peak_blockfp8", "mem.gddr6.capacity", "mem.gddr6.bandwidth", "power.board"):
        whole, half = n300.facts.number(field), chip.facts.number(field)
        assert whole == 2 * (half or 0), field
    p150, p300 = load_accelerator("p150"), load_accelerator("p300")
    for field in ("peak_blockfp8", "peak_fp16", "mem.gddr6.capacity", "mem.gddr6.bandwidth"):
        assert p300.facts.number(field) == 2 * (p150.facts.number(field) or 0), field
    mi250 = load_accelerator("mi250").facts.chosen("mem.hbm.bandwidth")
    assert mi250 is not None
    assert "per OAM" in mi250.condition


def test_a_link_between_two_bridged_cards_is_not_the_link_of_a_node():
    for name in ("nvidia-a100-80gb-pcie", "nvidia-h100-pcie", "nvidia-h100-nvl", "nvidia-a40", "nvidia-a6000"):
        slot, bridge = load_accelerator(name).facts.all("interconnect.scale_up.per_direction")
        assert (slot.used, bridge.used) == (True, False), name
        assert "two" in bridge.condition
