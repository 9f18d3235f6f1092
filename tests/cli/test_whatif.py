"""``whatif``: the JSON contract, every format, the page, and what is refused."""

import csv
import io
from pathlib import Path

import pytest

OWN = str(Path(__file__).parents[2] / "docs" / "examples" / "my-accelerator.yaml")
WORDS = ("whatif", OWN, "--model", "llama-3.3-70b", "--workload", "chat", "--concurrency", "64", "--against",
         "nvidia-b200-sxm", "--count", "8", "--tp", "8")  # fmt: skip
SMALL = ("whatif", "h100", "-m", "llama-3.1-8b", "--isl", "1024", "--osl", "256", "--concurrency", "32")
RANGES = ("--vary", "mem.hbm.bandwidth=2TB/s..10TB/s:9", "--vary", "peak_bf16=500TFLOP/s..2000TFLOP/s:7")


def test_json_holds_what_the_contract_says(cli):
    ran = cli(*WORDS, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    for one, name in ((found["device"], "my-accelerator"), (found["against"], "nvidia-b200-sxm")):
        assert (one["id"], one["count"], one["layout"]["tp"]) == (name, 8, 8)
        assert one["label"] in ("predicted", "extrapolated")
        for interval in one["metrics"].values():
            assert interval is None or interval["low"] <= interval["value"] <= interval["high"]
    for row in found["elasticities"]:
        assert row.keys() == {"parameter", "metric", "value"}
    slopes = {(row["parameter"], row["metric"]): row["value"] for row in found["elasticities"]}
    assert slopes["compute", "latency_s"] < 0 < slopes["kernel_overhead", "latency_s"]


def test_a_family_in_json_and_as_rows(cli):
    found = cli(*SMALL, *RANGES, "--by", "latency,energy", "--format", "json").json()
    assert found["against"] is None and len(found["family"]["members"]) == 63
    assert 1 < sum(member["front"] for member in found["family"]["members"]) < 63
    rows = list(csv.DictReader(io.StringIO(cli(*SMALL, *RANGES, "--format", "csv").out)))
    assert {row["label"] for row in rows} == {"extrapolated"}
    assert len(rows) == 63 and {"mem.hbm.bandwidth", "peak_bf16", "front", "latency_s"} <= rows[0].keys()


def test_rows_without_a_family_are_parameters_by_metric(cli):
    rows = list(csv.DictReader(io.StringIO(cli(*SMALL, "--format", "csv").out)))
    assert rows[0].keys() == {"parameter", "metric", "elasticity", "change_with_a_tenth_more", "label"}
    assert rows[0]["parameter"] == "memory_bandwidth"


def test_the_page_says_the_answer_and_shows_every_part(cli):
    ran = cli(*WORDS, "--price", "3", "--cost-share", "compute=0.4,memory=0.35")
    assert ran.code == 0
    assert ran.out.startswith("8 x my-accelerator (tp8, bf16 weights, vllm) for llama-3.3-70b: latency ")
    for title in ("elasticities", "With 10% more", "The next watt", "The next dollar", "Assumed", "extrapolated"):
        assert title in ran.out
    assert "On the front" not in ran.out


def test_html_draws_bars_and_the_front(cli, tmp_path: Path):
    file = tmp_path / "what.html"
    assert cli(*SMALL, *RANGES, "--against", "h200", "--output", str(file)).code == 0
    page = file.read_text()
    assert page.count("<svg") == 2 and "<script" not in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--vary", "mem.hbm.bandwith=1TB/s..2TB/s:2"), "did you mean mem.hbm.bandwidth"),
        (("--vary", "compute=2..1:3"), "vary"),
        (("--vary", "compute=0.5..2:101,memory_bandwidth=0.5..2:100"), "up to 10,000"),
        (("--by", "latency"), "two objectives"),
        (("--by", "latency,speed"), "unknown objective"),
        (("--cost-share", "cpu=0.5"), "no part of a price"),
        (("--against", "h1000"), "against: unknown accelerator"),
        (("--count", "1.5"), "whole number"),
    ],
)
def test_bad_input_is_refused(cli, more, message):
    cli(*SMALL, *more).refused(message)


def test_a_file_that_is_incomplete_is_refused_with_its_line(cli, tmp_path: Path):
    file = tmp_path / "own.yaml"
    file.write_text(Path(OWN).read_text().replace("{value: 6, unit: TB/s", "{value: 0, unit: TB/s"))
    cli("whatif", str(file), *SMALL[2:]).refused(f"{file}:")
    cli("whatif", str(tmp_path / "none.yaml"), *SMALL[2:]).refused("cannot be read")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value: 600, unit: GB/s", "value: 0, unit: GB/s", "facts.interconnect.scale_up.per_direction[1].value: 0 is"),
        ("value: 8, status", "value: 0, status", "facts.chips_per_node[1].value: 0 is out of range"),
        ("value: 8, status", "value: 1e30, status", "facts.chips_per_node[1].value: 1e+30 is out of range"),
        ("value: 900, unit: W", "value: 0, unit: W", "facts.power.tdp[1].value: 0 is out of range"),
        ("software.vllm", "software.none_known", "facts.software.vllm: a prediction needs an engine"),
        ("value: 144, unit", "value: 144, colour: red, unit", "(allowed: value, status, provenance, unit,"),
    ],
)
def test_a_fact_that_no_prediction_can_use_is_refused_with_its_line(cli, tmp_path: Path, old, new, message):
    file = tmp_path / "own.yaml"
    file.write_text(Path(OWN).read_text().replace(old, new))
    ran = cli("whatif", str(file), *SMALL[2:])
    ran.refused(message)
    assert ran.err.split(":")[2].isdigit()  # the line, after "error" and the file


def test_a_question_without_a_load_says_which_one_it_took_and_reads_the_file_first(cli, tmp_path: Path):
    found = cli("whatif", OWN, "--model", "llama-3.1-8b", "--format", "json").json()
    assert "load: 1,024 input and 256 output tokens, 16 requests in flight" in found["notes"]
    file = tmp_path / "own.yaml"
    file.write_text(Path(OWN).read_text() + "colour: red\n")
    cli("whatif", str(file), "--model", "none").refused("colour")


def test_an_unknown_device_is_called_so(cli):
    cli("whatif", "h1000", *SMALL[2:]).refused("device: unknown accelerator 'h1000'")


def test_an_engine_that_does_not_run_there_is_no_answer(cli):
    cli("whatif", "groq", *SMALL[2:], "--engine", "vllm").refused("not supported", code=3)
