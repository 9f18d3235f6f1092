"""``own``: the JSON contract, every format, and what is refused."""

import csv
import io
from itertools import pairwise
from pathlib import Path

import pytest

ASKED = ("own", "-m", "llama-3.1-8b", "-a", "h100", "--tp", "1", "--isl", "1024", "--osl", "256", "--concurrency", "32")
FULL = (*ASKED, "--capex", "30000", "--water-site", "0.2")
TOTALS = ("usd_per_million_tokens", "gco2e_per_million_tokens", "water_l_per_million_tokens")


def test_json_holds_what_the_contract_says(cli):
    ran = cli(*FULL, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    for total in TOTALS:
        assert found[total].keys() == {"low", "value", "high"}
        assert 0 < found[total]["low"] <= found[total]["value"] <= found[total]["high"]
    assert found["parts"]["usd_per_million_tokens"].keys() == {"capital", "energy", "space", "maintenance", "network"}
    assert found["parts"]["gco2e_per_million_tokens"].keys() == {"operational", "embodied"}
    assert found["parts"]["water_l_per_million_tokens"].keys() == {"site", "grid"}
    assert {row["metric"] for row in found["elasticities"]} == set(TOTALS)
    assert all(row.keys() == {"parameter", "metric", "value"} for row in found["elasticities"])
    named = {row["parameter"] for row in found["elasticities"]}
    assert named >= {"life", "utilisation", "electricity", "pue", "interest", "capex", "power", "throughput", "grid"}
    assert all(row.keys() >= {"parameter", "low", "high", "at_low", "at_high"} for row in found["tornado"])
    assert found["assumptions"] and found["unknown"] == []


def test_flags_reach_the_answer(cli):
    figures = ("--life", "4", "--interest", "0.05", "--electricity", "0.12", "--pue", "1.1", "--utilisation", "0.7",
               "--maintenance", "0.03", "--residual", "0.1", "--network", "0.2", "--availability", "0.95", "--colo",
               "150", "--provisioned", "1.5kW", "--idle", "80 W", "--embodied", "150kg",
               "--water-grid", "2.5")  # fmt: skip
    found = cli(*FULL, *figures, "--region", "France", "--format", "json").json()
    held = {one["parameter"]: one for one in found["figures"]}
    values = {"life": 4, "interest": 0.05, "electricity": 0.12, "pue": 1.1, "utilisation": 0.7, "maintenance": 0.03,
              "residual": 0.1, "network": 0.2, "availability": 0.95, "colo": 150, "provisioned": 1500, "idle": 80,
              "embodied": 150e3, "water_grid": 2.5, "water_site": 0.2, "capex": 30000}  # fmt: skip
    assert {name: held[name]["value"] for name in values} == pytest.approx(values)
    assert all(held[name]["given"] for name in values)
    assert held["grid"]["value"] == 56.0


def test_the_page_says_the_totals_and_what_is_unknown(cli):
    out = cli(*FULL).out
    assert out.startswith("Owning llama-3.1-8b on 1 x nvidia-h100-sxm (tp1, bf16 weights, vllm): per million output")
    for title in (
        "Made of",
        "Elasticities",
        "What moves cost most",
        "What moves water most",
        "Inputs, per accelerator",
    ):
        assert title in out
    without = " ".join(cli(*ASKED).out.split())
    assert "cost and water unknown (capex and water_site not stated)" in without
    assert "What moves cost" not in without and "What moves carbon" in without


def test_every_format(cli, tmp_path: Path):
    rows = list(csv.DictReader(io.StringIO(cli(*FULL, "--format", "csv").out)))
    assert {row["kind"] for row in rows} == {"total", "part", "elasticity", "tornado"}
    assert {row["label"] for row in rows} == {"predicted"}
    page = tmp_path / "own.html"
    assert cli(*FULL, "--output", str(page)).code == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 3 and "input at its low end" in text
    assert cli(*ASKED, "--format", "html").out.count("<svg") == 1
    assert cli(*FULL, "--format", "md").out.startswith("#")


CASES = [
    (("--life", "0"), 2, "life: 0.0 is out of range (allowed: above 0, up to 50 years)"),
    (("--utilisation", "0"), 2, "utilisation: 0.0"),
    (("--utilisation", "1.2"), 2, "utilisation: 1.2"),
    (("--pue", "0.9"), 2, "pue: 0.9 is out of range (allowed: 1 to 10)"),
    (("--capex", "0"), 2, "capex: 0.0"),
    (("--capex", "nan"), 2, "capex: nan"),
    (("--interest", "8"), 2, "interest: 8.0"),
    (("--electricity=-1",), 2, "electricity: -1.0"),
    (("--embodied", "150"), 2, "embodied: '150' has no unit"),
    (("--embodied", "150 m"), 2, "embodied"),
    (("--idle", "70"), 2, "idle: '70' has no unit"),
    (("--provisioned", "1 kg"), 2, "provisioned"),
    (("--water-site=-1",), 2, "water_site: -1.0"),
    (("--power-cap", "0W"), 2, "power_cap: 0.0 W"),
    (("--clock", "0"), 2, "clock: 0.0"),
    (("--clock", "1.5"), 2, "clock: 1.5"),
    (("--region", "Mars"), 2, "region"),
    (("--power-cap", "80W"), 3, "power_cap: 80 W is below what"),
    (("--weights", "fp5"), 2, "weights"),
    (("--isl", "131072"), 2, "isl"),
]


@pytest.mark.parametrize(("more", "code", "message"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(cli, more, code: int, message: str):
    words = [word for flag, value in pairwise(FULL[1:]) if flag.startswith("-") and flag != more[0].partition("=")[0]
             for word in (flag, value)]  # fmt: skip
    cli("own", *words, *more).refused(message, code)


def test_what_does_not_fit_ends_with_3_and_the_count_that_would(cli):
    ran = cli("own", "-m", "llama-3.3-70b", "-a", "l4", "--count", "1", "--isl", "128", "--osl", "128",
              "--concurrency", "1", "--format", "json")  # fmt: skip
    found = ran.json()
    assert (ran.code, found["fits"], found["reason"]["code"]) == (3, False, "memory")
    assert found["reason"]["least_count"] > 1


def test_an_embedding_model_needs_no_output_length(cli):
    words = ("own", "-m", "bge-m3", "-a", "h100", "--isl", "400", "--concurrency", "16", "--capex", "30000")
    assert cli(*words, "--format", "json").json()["usd_per_million_tokens"]["value"] > 0
