"""``pool``: the JSON contract, the page, every format, and what is refused."""

import csv
import io
from pathlib import Path

import pytest

ASKED = ("pool", "--nodes", "16", "--demand-cv", "0.6", "--service", "0.99", "--correlation", "0.2")
PRICED = (*ASKED, "--latency-penalty", "80ns", "--capex", "8000", "--power", "100W", "--fabric-capex", "900")


def test_json_holds_the_gain_and_its_curve(cli):
    ran = cli(*PRICED, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert found["gain"] == pytest.approx(1.411, abs=1e-3)  # 16 nodes that correlate by 0.2 are 4 independent ones
    assert found["net_gain"] < found["gain"]
    assert len(found["curve"]) == 16
    last = found["curve"][-1]
    for name in ("gain", "saved", "slowdown", "net_gain", "break_even_fabric_usd", "cost_change"):
        assert found[name] == last[name]
    assert found["inputs"]["latency_penalty_s"] == pytest.approx(80e-9)


def test_what_was_not_given_is_unknown_and_said(cli):
    found = cli(*ASKED, "--format", "json").json()
    assert found["slowdown"] is found["usd_per_hour_saved"] is found["break_even_fabric_usd"] is None
    words = " ".join(found["assumptions"])
    assert "remote accesses are not charged" in words and "what a fabric may cost is unknown" in words


def test_the_page_says_the_gain_its_price_and_the_claims(cli):
    out = " ".join(cli(*PRICED).out.split())
    assert out.startswith("16 nodes that share a pool need 29.1 % less")
    for words in ("Remote accesses make work", "A fabric breaks even at", "Gain by nodes", "+15 % from", "interest"):
        assert words in out, words
    assert "slowdown" not in cli(*ASKED).out


def test_a_pool_that_costs_more_than_it_saves_is_called_so(cli):
    words = ("--latency-penalty", "5us", "--remote-share", "0.5", "--capex", "100")
    out = cli(*ASKED, *words).out
    assert "The pool costs more than it saves." in out.replace("\n", " ") and "No fabric pays" in out.replace("\n", " ")


def test_a_row_per_number_of_nodes_and_a_page_with_a_chart(cli, tmp_path: Path):
    rows = list(csv.DictReader(io.StringIO(cli(*PRICED, "--format", "csv").out)))
    assert [int(row["nodes"]) for row in rows] == list(range(1, 17))
    page = tmp_path / "pool.html"
    assert cli(*PRICED, "--output", str(page)).err == f"wrote {page}\n"
    assert page.read_text(encoding="utf-8").count("<svg") == 1
    assert cli("pool", "--nodes", "1", "--demand-cv", "0.6", "--format", "html").out.count("<svg") == 0


CASES = [
    (("--nodes", "0"), "nodes: 0 nodes (allowed: a whole number, 1 to 100,000)"),
    (("--nodes", "2.5"), "nodes: '2.5' is not a whole number"),
    (("--demand-cv", "-1"), "demand_cv"),
    (("--demand-cv", "x"), "demand_cv"),
    (("--service", "1"), "service: 1.0 is not a service level"),
    (("--correlation", "2"), "correlation"),
    (("--latency-penalty", "80"), "latency_penalty: '80' has no unit"),
    (("--latency-penalty", "3 W"), "latency_penalty"),
    (("--remote-share", "2"), "remote_share"),
    (("--fabric-capex", "5"), "needs the price of what is pooled"),
    (("--power", "5"), "power: '5' has no unit"),
]


@pytest.mark.parametrize(("more", "message"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(cli, more, message: str):
    base = {"--nodes": "8", "--demand-cv": "0.5"}
    words = ["pool"]
    for name, value in (base | dict(zip(more[::2], more[1::2], strict=True))).items():
        words += [name, value]
    cli(*words).refused(message)


def test_one_node_shares_with_nobody(cli):
    assert cli("pool", "--nodes", "1", "--demand-cv", "0.6").out.startswith("1 node that shares a pool needs 0 % less")


def test_nodes_and_their_variation_must_be_given(cli):
    assert "--nodes is missing" in cli("pool", "--demand-cv", "0.5").err
    assert "--demand-cv is missing" in cli("pool", "--nodes", "5").err
