"""``scale``: the JSON contract, the order, every format, and what is refused."""

import csv
import io
from pathlib import Path

import pytest

from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.decide.scaling.strategies import STRATEGIES

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes

DENSE = ("scale", "-m", "llama-3.1-8b", "-a", "h100", "--count", "4", "--isl", "512", "--osl", "128")
MIXTURE = ("scale", "-m", "qwen3-30b-a3b", "-a", "h100", "--count", "4")
KEYS = {"name", "layout", "fits", "reason", "metrics", "latency_cov", "params_per_flop", "bound_collective"}
NOWHERE = ("scale", "-m", "kimi-k2", "-a", "l4", "--count", "1", "--weights", "bf16")


@pytest.mark.parametrize("words", [DENSE, MIXTURE, (*DENSE[:5], "--count", "7")])
def test_json_holds_what_the_contract_says_best_first(cli, words):
    ran = cli(*words, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    count = int(words[words.index("--count") + 1])
    assert found["inputs"]["count"] == count
    for one in found["strategies"]:
        assert one.keys() >= KEYS
        assert one["fits"] == (one["reason"] is None)
        if one["layout"]:
            layout = one["layout"]
            assert layout["tp"] * layout["pp"] * layout["dp"] * layout["cp"] == count
        if one["fits"]:
            assert one["latency_cov"] > 0 and one["params_per_flop"] >= 0.5
            for interval in one["metrics"].values():
                assert interval is None or interval["low"] <= interval["value"] <= interval["high"]
        else:
            assert one["reason"].keys() == {"code", "detail", "least_count"} and one["metrics"] == {}
            assert one["latency_cov"] is one["params_per_flop"] is one["bound_collective"] is None
    fits = [one["fits"] for one in found["strategies"]]
    assert fits == sorted(fits, reverse=True)
    rates = [one["metrics"]["output_tokens_per_s"]["value"] for one in found["strategies"] if one["fits"]]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_can_be_asked_for(cli, objective: str):
    found = cli(*DENSE, "--objective", objective, "--format", "json").json()
    metric, smaller = OBJECTIVES[objective]
    values = [one["metrics"][metric]["value"] for one in found["strategies"] if one["fits"]]
    assert found["inputs"]["objective"] == objective
    assert values == sorted(values, reverse=not smaller)


def test_the_page_names_the_best_and_shows_every_strategy(cli):
    ran = cli(*MIXTURE)
    assert ran.code == 0
    assert ran.out.startswith("Best by throughput for qwen3-30b-a3b on 4 x nvidia-h100-sxm: ")
    for strategy in STRATEGIES:
        assert strategy.name in ran.out
    for title in ("What it takes", "Causes of the variation of latency", "Tokens in a step from which expert"):
        assert title in ran.out
    assert ran.out.endswith("inferatlas scale -m qwen3-30b-a3b -a h100 --count 4\n")
    assert "expert parallelism is cheaper" not in cli(*DENSE).out


def test_a_row_per_strategy_with_its_interval(cli):
    rows = list(csv.DictReader(io.StringIO(cli(*DENSE, "--format", "csv").out)))
    assert {row["strategy"] for row in rows} == {s.name for s in STRATEGIES if "expert" not in s.name}
    for row in rows:
        if row["fits"].lower() == "true":
            assert float(row["itl_s_low"]) <= float(row["itl_s"]) <= float(row["itl_s_high"])
            assert row["reason"] == "" and float(row["memory_weights_bytes"]) > 0
        else:
            assert row["reason"] and row.get("itl_s", "") == ""  # unknown is nothing


def test_a_file_s_name_says_what_is_written(cli, tmp_path: Path):
    page = tmp_path / "strategies.html"
    ran = cli(*MIXTURE, "--output", str(page))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {page}\n")
    text = page.read_text(encoding="utf-8")
    assert "<html" in text.lower() and "hybrid best" in text
    assert cli(*DENSE, "--format", "md").out.startswith("#")


def test_without_a_price_cost_decides_nothing(cli):
    asked = ("scale", "-m", "llama-3.1-8b", "-a", "groq-lpu-v1", "--count", "128", "--objective", "cost")
    out = " ".join(cli(*asked).out.split())
    assert out.startswith("Which strategy is best for llama-3.1-8b on 128 x groq-lpu-v1 is open: no price is known, ")
    assert "Best" not in out and "What fits (no price is known, so cost decides nothing)" in out


def test_what_offload_assumes_is_said_once(cli):
    out = " ".join(cli("scale", "-m", "llama-3.3-70b", "-a", "h100", "--count", "2").out.split())
    assert out.count("a layer ahead") == out.count("large enough") == 1


def test_skew_placement_and_spare_copies_reach_the_answer(cli):
    words = (*MIXTURE, "--skew", "1", "--placement", "contiguous", "--redundant", "8", "--format", "json")
    found = cli(*words).json()
    assert found["inputs"]["routing"] == {"exponent": 1.0, "placement": "contiguous", "redundant": 8, "measured": False}
    assert any("Zipf law of exponent 1, contiguous placement, 8 spare copies" in line for line in found["assumptions"])


def test_what_fits_nowhere_ends_with_3_and_the_reasons(cli):
    ran = cli(*NOWHERE, "--format", "json")
    assert (ran.code, ran.err) == (3, "")
    assert not any(one["fits"] for one in ran.json()["strategies"])
    page = cli(*NOWHERE)
    assert page.code == 3
    assert page.out.startswith("No strategy places kimi-k2 on 1 x nvidia-l4.")
    assert "What does not fit" in page.out and "memory" in page.out
    assert "Best first" not in page.out and "What it takes" not in page.out and "intervals" not in page.out
    assert cli(*NOWHERE, "--format", "csv").code == 3


CASES = [
    (("--count", "0"), 2, "count: 0 accelerators (allowed: 1 to 1024)"),
    (("--count", "2000"), 2, "count: 2000 accelerators (allowed: 1 to 1024)"),
    (("--count", "1.5"), 2, "count: '1.5' is not a whole number"),
    (("--count", "-4"), 2, "count"),
    (("--objective", "speed"), 2, "speed"),
    (("-a", "h10"), 2, "did you mean h100"),
    (("-m", "lama-3.1-8b"), 2, "did you mean llama-3.1-8b"),
    (("--skew", "9"), 2, "skew: 9.0 is not an exponent (allowed: 0 (uniform) to 3)"),
    (("--skew", "nan"), 2, "skew"),
    (("--placement", "x"), 2, "placement"),
    (("--redundant", "-1"), 2, "redundant"),
    (("--redundant", "1.5"), 2, "redundant: '1.5' is not a whole number"),
    (("--isl", "131072"), 2, "isl: 131072 input and 128 output tokens exceed the context"),
    (("--isl", "0"), 2, "isl: 0 is not a length"),
    (("--concurrency", "0"), 2, "concurrency"),
    (("--concurrency", "1", "--request-rate", "1"), 2, "contradict each other"),
    (("--price", "-1"), 2, "price: -1.0"),
    (("--weights", "fp5"), 2, "weights"),
    (("--engine", "vlm"), 2, "did you mean vllm"),
    (("-a", "groq", "--engine", "vllm"), 3, "engine: vllm is not supported on groq"),
    (("-m", NOT_MODELLED), 3, "not modelled yet"),
    (("--format", "xml"), 2, "parquet"),
]


@pytest.mark.parametrize(("more", "code", "message"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(cli, more, code: int, message: str):
    base = {"-m": "llama-3.1-8b", "-a": "h100", "--count": "4", "--isl": "512", "--osl": "128"}
    words = ["scale"]
    for name, value in (base | dict(zip(more[::2], more[1::2], strict=True))).items():
        words += [name, value]
    cli(*words).refused(message, code)


def test_a_count_must_be_given(cli):
    ran = cli("scale", "-m", "llama-3.1-8b", "-a", "h100")
    assert ran.code == 2
    assert "--count is missing" in ran.err


def test_a_cluster_has_no_more_than_it_has(cli, tmp_path: Path):
    file = tmp_path / "lab.yaml"
    file.write_text(
        "id: lab\nname: the lab\naccelerator: h100\nnodes: 1\naccelerators_per_node: 4\nsource: purchase order\n",
        encoding="utf-8",
    )
    ran = cli("scale", "-m", "llama-3.1-8b", "-a", str(file), "--count", "8")
    assert (ran.code, ran.out) == (2, "")
    assert "count: 8 accelerators are more than cluster lab has (allowed: up to 4)" in ran.err
    assert cli("scale", "-m", "llama-3.1-8b", "-a", str(file), "--count", "4").code == 0
