"""``catalogue``: what is known, with unit, source, status and condition of every fact."""

import csv
import io
from pathlib import Path

import pytest

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.catalogue.models import model_ids
from inferatlas.catalogue.names import DATA


def test_list_names_everything(cli):
    found = cli("catalogue", "list", "--format", "json").json()
    assert [one["id"] for one in found["accelerators"]] == list(accelerator_ids())
    assert [one["id"] for one in found["models"]] == list(model_ids())
    assert "vllm" in [one["id"] for one in found["engines"]]
    assert "chat" in [one["id"] for one in found["workloads"]]
    assert found["regimes"][0]["id"] == "single-stream"


def test_a_listed_regime_can_be_copied_and_asked(cli, tmp_path):
    rows = cli("catalogue", "list", "regimes", "--format", "json").json()["regimes"]
    mine = tmp_path / "mine.yaml"
    mine.write_text(Path(rows[0]["file"]).read_text(encoding="utf-8"), encoding="utf-8")
    found = cli("regimes", "--regime", str(mine), "--accelerators", "h100", "--format", "json").json()
    assert found["regimes"][0]["name"] == "mine"
    assert found["regimes"][0]["metric"] == rows[0]["metric"]
    assert "single-stream" in cli("catalogue", "list", "regimes").out


def test_list_may_be_of_one_kind(cli):
    rows = list(csv.DictReader(io.StringIO(cli("catalogue", "list", "models", "--format", "csv").out)))
    assert {row["kind"] for row in rows} == {"model"}
    page = cli("catalogue", "list", "models").out
    assert "llama-3.1-8b" in page
    lines = {line.split()[0]: line.split() for line in page.splitlines() if line[:1].isalpha()}
    assert lines["falcon-mamba-7b"][-4:-1] == ["none", "named", "bf16"]  # a state of fixed size needs no context
    assert (lines["gemma-3-27b"][-1], lines["llama-3.1-8b"][-1] == "yes") == ("yes", False)
    assert {row["id"] for row in rows if row["images"] == "True"} >= {"gemma-3-27b", "llama-4-scout"}


@pytest.mark.parametrize(("name", "said"), [
    ("falcon-mamba-7b", "ssm; 64 layers, 64 of them mamba1; context none named"),
    ("flan-t5-xxl", "encoder-decoder; 24 encoder and 24 decoder layers; context 512"),
    ("nemotron-h-8b", "hybrid; 52 layers, 24 of them mamba2; context 8,192"),
    ("gemma-3-27b", "dense; 62 layers; context 131,072; vision tower of 27 layers"),
])  # fmt: skip
def test_show_says_what_a_model_is_made_of(cli, name: str, said: str):
    assert said in " ".join(cli("catalogue", "show", name).out.split())
    found = cli("catalogue", "show", name, "--format", "json").json()
    assert bool(found["encoder"]) == (name == "flan-t5-xxl")
    assert bool(found["vision"]) == (name == "gemma-3-27b")
    assert all("recurrence" in group for group in found["shapes"])


@pytest.mark.parametrize("name", ["nvidia-h100-sxm", "llama-3.1-8b", "vllm"])
def test_show_gives_every_fact_with_unit_source_status_and_condition(cli, name: str):
    found = cli("catalogue", "show", name, "--format", "json").json()
    assert found["id"] == name
    assert found["facts"]
    for fact in found["facts"]:
        assert fact.keys() >= {
            "field", "value", "unit", "source", "address", "status", "condition", "low", "high", "provenance",
            "confidence", "note", "printed", "printed_unit",
        }  # fmt: skip


def test_show_puts_the_value_in_use_first_and_its_rivals_beside_it(cli):
    facts = cli("catalogue", "show", "h100", "--format", "json").json()["facts"]
    fields = [fact["field"] for fact in facts]
    peak = [fact["status"] for fact in facts if fact["field"] == "peak_bf16"]
    assert fields == sorted(fields, key=fields.index)  # facts of one field stand together
    assert peak[0] == "chosen"
    assert "rejected" in peak


def test_the_page_marks_what_is_unverified(cli):
    page = cli("catalogue", "show", "h100").out.partition("\nPrices")[0]
    facts = cli("catalogue", "show", "h100", "--format", "json").json()["facts"]
    doubtful = sum(fact["status"] == "unverified" for fact in facts)
    assert doubtful > 0
    assert sum("UNVERIFIED" in line for line in page.splitlines()) == doubtful
    assert f"{doubtful} of them unverified" in page


def test_a_file_of_ones_own_can_be_shown(cli, tmp_path):
    for folder, name in (("accelerators", "groq-lpu-v1"), ("models", "qwen3-8b"), ("engines", "vllm")):
        text = (DATA / folder / f"{name}.yaml").read_text(encoding="utf-8")
        file = tmp_path / f"{folder}.yaml"
        file.write_text(text.replace(f"id: {name}", "id: my-own"), encoding="utf-8")
        assert cli("catalogue", "show", str(file), "--format", "json").json()["id"] == "my-own"


def test_an_unknown_name_of_any_kind_offers_near_ones(cli):
    ran = cli("catalogue", "show", "lama-3.1-8b")
    assert ran.code == 2
    assert "did you mean llama-3.1-8b" in ran.err


def test_conflicts_say_what_is_in_use_and_why(cli):
    found = cli("catalogue", "conflicts", "h100", "--format", "json").json()
    assert found["count"] == len(found["conflicts"]) > 0
    for one in found["conflicts"]:
        assert one["accelerator"] == "nvidia-h100-sxm"
        assert len(one["facts"]) > 1
        assert one["reason"]
    assert found["count"] < cli("catalogue", "conflicts", "--format", "json").json()["count"]


def test_the_catalogue_that_is_shipped_is_sound(cli):
    ran = cli("catalogue", "check", "--format", "json")
    assert (ran.code, ran.json()["sound"]) == (0, True), ran.out


def test_a_file_with_a_stray_key_is_refused_with_its_line(cli, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("id: mine\nname: Mine\nvendr: me\n", encoding="utf-8")
    ran = cli("catalogue", "check", str(file))
    assert ran.code == 2
    assert f"{file}:3" in ran.out
    assert "did you mean vendor" in ran.out


def test_facts_that_contradict_each_other_end_with_5_and_stand_below_what_must_be_mended(cli, tmp_path):
    text = (DATA / "accelerators" / "groq-lpu-v1.yaml").read_text(encoding="utf-8")
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(text.replace("id: groq-lpu-v1", f"id: {name}"), encoding="utf-8")
    ran = cli("catalogue", "check", str(tmp_path), "--format", "json")
    assert (ran.code, ran.json()["sound"]) == (5, False)
    assert {row["kind"] for row in ran.json()["findings"]} == {"conflict"}
    assert f"{tmp_path / 'two.yaml'}: aliases: " in ran.json()["findings"][0]["text"]
    (tmp_path / "three.yaml").write_text("", encoding="utf-8")
    ran = cli("catalogue", "check", str(tmp_path))
    assert ran.code == 2
    assert 0 < ran.out.index("Must be mended") < ran.out.index("Contradict each other")
