"""``predict``: the JSON contract, the page, the other formats, and what does not fit."""

import csv
import io
import json
import re
import shlex

import pytest

import inferatlas

QUESTION = (
    "predict", "--model", "llama-3.1-8b", "--accelerator", "nvidia-h100-sxm", "--count", "1", "--tp", "1",
    "--engine", "vllm", "--weights", "bf16", "--concurrency", "32", "--isl", "1024", "--osl", "256",
)  # fmt: skip
TOO_SMALL = shlex.split("predict -m llama-3.1-405b -a l4 --count 1 --tp 1 --isl 128 --osl 128 --concurrency 1")
METRICS = {
    "ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s", "power_w", "tokens_per_joule",
    "usd_per_million_tokens", "gco2e_per_million_tokens",
}  # fmt: skip


def test_json_holds_what_the_contract_says(cli):
    ran = cli(*QUESTION, "--format", "json")
    answer = ran.json()
    assert ran.code == 0
    assert {
        "inputs",
        "fits",
        "reason",
        "metrics",
        "bound",
        "batch",
        "memory",
        "breakdown",
        "label",
        "fallbacks",
    } <= answer.keys()
    assert answer["fits"] is True
    assert answer["reason"] is None
    assert answer["metrics"].keys() >= METRICS
    for name in METRICS:
        assert answer["metrics"][name].keys() == {"low", "value", "high"}, name
        assert 0 < answer["metrics"][name]["low"] <= answer["metrics"][name]["value"] <= answer["metrics"][name]["high"]
    assert answer["memory"].keys() >= {"weights_bytes", "capacity_bytes"}
    assert answer["label"] in ("predicted", "extrapolated")


def test_command_and_python_give_the_same_numbers(cli):
    printed = cli(*QUESTION, "--format", "json").json()
    called = inferatlas.predict(
        "llama-3.1-8b",
        "nvidia-h100-sxm",
        count=1,
        tp=1,
        engine="vllm",
        weights="bf16",
        concurrency=32,
        isl=1024,
        osl=256,
    )
    assert printed == json.loads(json.dumps(called.as_dict()))


def test_names_from_other_tools_mean_the_same(cli):
    short = "predict -m llama-3.1-8b -a h100 --count 2 --isl 64 --osl 64 --concurrency 4 --format json"
    ours = cli(*shlex.split(short))
    theirs = cli(
        "predict", "--model", "llama-3.1-8b", "--system", "h100", "--total-gpus", "2", "--random-input-len", "64",
        "--random-output-len", "64", "--max-concurrency", "4", "--format", "json",
    )  # fmt: skip
    assert ours == theirs


def test_the_page_shows_each_metric_with_interval_and_label_and_how_to_repeat_it(cli):
    out = cli(*QUESTION).out
    lines = out.splitlines()
    ttft = next(line.split() for line in lines if line.startswith("TTFT"))
    low, value, high = (float(number) for number in ttft[1:7:2])
    assert low < value < high
    assert ttft[2::2][:3] == ["ms", "ms", "ms"]
    assert ttft[7] in ("predicted", "extrapolated")
    assert "80 % interval" in out
    for part in ("weights 16.1 GB", "KV cache", "reserve", "capacity 85.5 GB", "ffn_up", "p95"):
        assert part in out
    assert lines[-2:] == ["Reproduce", f"  inferatlas {' '.join(QUESTION)}"]


def test_the_page_says_which_rows_are_counted_and_is_titled_by_its_question(cli):
    shown = " ".join(cli(*QUESTION).out.split())
    assert re.search(r"Evidence: [\d,]+ measured rows of this model, accelerator and engine, the engine in its", shown)
    page = cli(*QUESTION, "--format", "html").out
    assert "<title>llama-3.1-8b on 1 x nvidia-h100-sxm (tp1, bf16 weights, vllm)</title>" in page


def test_what_does_not_fit_is_an_answer_with_its_reason(cli):
    ran = cli(*TOO_SMALL, "--format", "json")
    answer = ran.json()
    assert ran.code == 3
    assert answer["fits"] is False
    assert answer["reason"]["code"] == "memory"
    assert answer["reason"]["least_count"] > 1
    assert answer["metrics"] == {}


def test_the_page_of_what_does_not_fit_says_how_many_would(cli):
    ran = cli(*TOO_SMALL)
    assert ran.code == 3
    assert "does not fit" in ran.out
    assert "Ask for --count" in ran.out
    assert "more than the capacity" in ran.out


@pytest.mark.parametrize("style", ["csv", "jsonl"])
def test_flat_formats_hold_one_row_with_intervals(cli, style: str):
    out = cli(*QUESTION, "--format", style).out
    (row,) = csv.DictReader(io.StringIO(out)) if style == "csv" else map(json.loads, out.splitlines())
    assert row["accelerator"] == "nvidia-h100-sxm"
    assert float(row["ttft_s_low"]) < float(row["ttft_s"]) < float(row["ttft_s_high"])


def test_markdown_holds_the_same_figures_as_the_table(cli):
    table, markdown = cli(*QUESTION).out, cli(*QUESTION, "--format", "md").out
    assert markdown.startswith("# llama-3.1-8b on 1 x nvidia-h100-sxm")
    ttft = next(line for line in markdown.splitlines() if line.startswith("| TTFT"))
    assert [cell.strip() for cell in ttft.split("|")][2:5] == " ".join(
        next(line for line in table.splitlines() if line.startswith("TTFT")).split()[1:7]
    ).replace(" ms", " ms|").rstrip("|").replace("| ", "|").split("|")


def test_a_cap_slows_the_cores_until_it_is_kept(cli):
    busy = ("predict", "-m", "llama-3.1-8b", "-a", "h100", "--tp", "1", "--isl", "4096", "--osl", "16",
            "--concurrency", "64", "--format", "json")  # fmt: skip
    free, capped, slow = (cli(*busy, *more).json() for more in ((), ("--power-cap", "400W"), ("--clock", "0.5")))
    assert (free["inputs"]["clock"], free["inputs"]["power_cap_w"], free["label"]) == (1.0, None, "predicted")
    assert 0.2 < capped["inputs"]["clock"] < 1 and capped["inputs"]["power_cap_w"] == 400.0
    assert slow["inputs"]["clock"] == 0.5
    assert capped["label"] == slow["label"] == "extrapolated"
    assert capped["metrics"]["power_w"]["value"] == pytest.approx(400.0, rel=1e-6)
    assert capped["metrics"]["power_w"]["high"] <= 400.0
    assert any("no measurement at another clock" in line for line in capped["fallbacks"])
    for name in ("ttft_s", "latency_s"):
        assert capped["metrics"][name]["value"] > free["metrics"][name]["value"]
    out = cli(*busy[:-2], "--power-cap", "400W").out
    assert "400 W per accelerator" in out and "of the measured one" in out
    above = cli(*busy, "--power-cap", "0.7 kW").json()
    assert above["metrics"] == free["metrics"] and above["label"] == "predicted"


def test_a_cap_under_which_a_rate_is_not_served_is_the_reason(cli):
    asked = ("predict", "-m", "llama-3.1-8b", "-a", "h100", "--tp", "1", "--count", "1", "--isl", "4096", "--osl", "16",
             "--request-rate", "9", "--format", "json")  # fmt: skip
    assert cli(*asked).code == 0
    ran = cli(*asked, "--power-cap", "250W")
    answer = ran.json()
    assert (ran.code, answer["fits"], answer["inputs"]["clock"]) == (3, False, None)
    assert "under a cap of 250 W" in answer["reason"]["detail"]


def test_a_power_that_nobody_publishes_has_no_scope(cli):
    out = cli("predict", "-m", "llama-3.1-8b", "-a", "google-tpu-v5e", "--isl", "128", "--osl", "128",
              "--concurrency", "1").out  # fmt: skip
    assert "of the None" not in out and "publishes no rated power" in out
