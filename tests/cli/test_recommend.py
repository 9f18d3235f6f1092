"""``recommend``: the JSON contract, the page, limits, and what happens when nothing qualifies."""

import json

import pytest

from inferatlas.decide.advisor.rank import OBJECTIVES

SMALL = (
    "recommend",
    "-m",
    "llama-3.1-8b",
    "--isl",
    "512",
    "--osl",
    "128",
    "--concurrency",
    "8",
    "--max-count",
    "2",
    "-a",
    "h100,l4",
)
IMPOSSIBLE = (*SMALL, "--slo", "ttft:p95<1us")


def test_json_holds_what_the_contract_says(cli):
    ran = cli(*SMALL, "--slo", "ttft:p95<500ms", "--format", "json")
    found = ran.json()
    assert ran.code == 0
    assert found.keys() >= {"candidates", "rejected", "searched", "wall_s"}
    for rank, one in enumerate(found["candidates"], 1):
        assert one.keys() >= {
            "rank",
            "accelerator",
            "count",
            "layout",
            "weights",
            "engine",
            "metrics",
            "p_meets_target",
        }
        assert one["layout"].keys() == {"tp", "pp", "ep", "dp"}
        assert one["rank"] == rank
        assert 0 <= one["p_meets_target"] <= 1
    assert found["searched"] > 0


def test_rejected_accelerators_have_a_reason(cli):
    found = cli(*IMPOSSIBLE, "--format", "json")
    assert found.code == 3
    assert found.json()["candidates"] == []
    rejected = found.json()["rejected"]
    assert {one["accelerator"] for one in rejected} == {"nvidia-h100-sxm", "nvidia-l4"}
    assert all(one["reason"]["code"] == "target" and one["reason"]["detail"] for one in rejected)


def test_without_a_candidate_the_page_gives_the_reasons(cli):
    ran = cli(*IMPOSSIBLE)
    assert ran.code == 3
    assert ran.out.startswith("No deployment")
    assert "Why not the others" in ran.out
    assert "nvidia-l4" in ran.out


def test_the_page_names_the_winner_its_command_its_memory_and_its_rivals(cli):
    words = (*SMALL, "--slo", "itl:mean<50ms")
    out = cli(*words).out
    found = cli(*words, "--format", "json").json()
    best = found["candidates"][0]
    assert out.startswith(f"Use {best['count']} x {best['name']}")
    assert f"  {best['command']}\n" in out
    for part in (
        "80 % interval",
        f"[{best['label']}]",
        "Memory of each device",
        f"{found['searched']:,} designs searched",
    ):
        assert part in out
    assert out.endswith("--slo 'itl:mean<50ms'\n")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_of_the_advisor_can_be_asked_for(cli, objective: str):
    found = cli(*SMALL, "--objective", objective, "--format", "json").json()
    assert found["inputs"]["objective"] == objective


@pytest.mark.parametrize(
    ("short", "slo"),
    [
        (["--ttft", "500"], "ttft:mean<500ms"),
        (["--tpot", "50ms"], "itl:mean<50ms"),
        (["--itl", "0.05 s"], "itl:mean<50ms"),
        (["--request-latency", "10s"], "latency:mean<10s"),
    ],
)
def test_short_targets_are_means_in_milliseconds_unless_a_unit_is_given(cli, short: list[str], slo: str):
    assert cli(*SMALL, *short, "--format", "json").json()["inputs"]["slo"] == [slo]


def test_accelerators_and_vendors_may_be_repeated_or_separated_by_commas(cli):
    asked = "recommend -m llama-3.1-8b --isl 128 --osl 128 --concurrency 1 --max-count 1 --format json"
    base = asked.split()
    commas = cli(*base, "-a", "h100, l4").json()["inputs"]["limits"]["accelerators"]
    repeated = cli(*base, "--gpu", "h100", "--system", "l4").json()["inputs"]["limits"]["accelerators"]
    assert commas == repeated == ["h100", "l4"]
    vendors = cli(*base, "-a", "h100,mi300x", "--vendor", "AMD").json()
    assert {one["vendor"] for one in vendors["candidates"]} == {"AMD"}
    assert [one["reason"]["code"] for one in vendors["rejected"]] == ["vendor"]


def test_power_is_given_with_its_unit(cli):
    assert cli(*SMALL, "--max-power", "10 kW", "--format", "json").json()["inputs"]["limits"]["power_w"] == 10_000


def test_top_limits_the_rows_of_flat_formats(cli):
    rows = [json.loads(line) for line in cli(*SMALL, "--top", "1", "--format", "jsonl").out.splitlines()]
    assert [row["rank"] for row in rows] == [1]
    assert len(cli(*SMALL, "--top", "0", "--format", "jsonl").out.splitlines()) > 1


@pytest.mark.parametrize("style", ["table", "html"])
def test_without_a_price_cost_decides_nothing_and_the_page_says_what_does(cli, style: str):
    asked = ("recommend", "-m", "llama-3.1-8b", "-a", "groq-lpu-v1", "--isl", "100", "--osl", "100",
             "--concurrency", "4", "--max-count", "512")  # fmt: skip
    page = " ".join(cli(*asked, "--format", style).out.split())
    assert "no price is known, so cost decides nothing; it has the fewest accelerators of all that qualify." in page
    assert "cheapest per output token of all" not in page and "(unknown)" not in page
    ties = (
        "fewest accelerators, widest weights, calibrated before extrapolated, most tokens per joule and simplest layout"
    )
    order = {"table": f"Ranked by cost, which is unknown, then by {ties}.", "html": f"ranked by {ties}, since no price"}
    assert order[style] in page


def test_the_report_is_written_beside_the_answer(cli, tmp_path):
    pytest.importorskip("inferatlas.show.report")
    page = tmp_path / "report.html"
    ran = cli(*SMALL, "--top", "2", "--report", str(page), "--format", "json")
    assert ran.code == 0
    assert ran.err == f"wrote {page}\n"
    assert "<html" in page.read_text(encoding="utf-8").lower()
    assert ran.json()["candidates"]
