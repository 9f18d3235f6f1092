"""``disaggregate``: the JSON contract, the page, every format, exit codes, and what is refused."""

import csv
import io
from pathlib import Path

import pytest

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes
ASKED = ("disaggregate", "-m", "llama-3.1-8b", "--prefill", "h100", "--isl", "4096", "--osl", "512", "--count", "4",
         "--slo", "ttft:mean<1s", "--slo", "itl:mean<30ms")  # fmt: skip
PAIR = (*ASKED[:5], "--decode", "mi300x", *ASKED[5:])
POOL = {"accelerator", "count", "layout", "engine", "weights", "kv_cache", "power_w", "uses"}
KEYS = {
    "inputs", "prefill", "decode", "ratio", "ratio_closed_form", "request_rate", "latencies", "link", "colocated",
    "gain", "gain_per_usd", "gain_per_watt", "usage", "claims", "curve", "pays", "attention_ffn", "label",
    "assumptions", "interval",
}  # fmt: skip


@pytest.mark.parametrize("words", [ASKED, PAIR], ids=["same part", "two parts"])
def test_json_holds_what_the_contract_says(cli, words):
    ran = cli(*words, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert found.keys() == KEYS
    for side in ("prefill", "decode"):
        assert found[side].keys() >= POOL
    assert {"bytes_per_request", "needed_bytes_per_s", "assumed_bytes_per_s", "exposed_s"} <= found["link"].keys()
    for interval in (found["request_rate"], found["gain"], *(one["request_rate"] for one in found["colocated"])):
        assert 0 <= interval["low"] <= interval["value"] <= interval["high"]
    assert {row["axis"] for row in found["curve"]} == {"isl_over_osl", "itl_target_s"}
    assert found["inputs"]["slo"] == ["ttft:mean<1s", "itl:mean<30ms"]
    assert found["attention_ffn"]["hops"] == 64


def test_the_page_says_what_is_best_and_under_which_conditions(cli):
    out = " ".join(cli(*PAIR).out.split())
    assert out.startswith("llama-3.1-8b: ") and "[extrapolated]" in out
    for words in (
        "By the predicted values a split pays with", "Split and mixed", "all prefill part", "half of each",
        "What is in use", "Published gains beside these", "Gain by input tokens per output token",
        "Gain by a bound on ITL", "Attention apart from feed-forward", "of cache in", "equation (49)",
        "no measurement of a split fleet is in the calibration",
    ):  # fmt: skip
        assert words in out, words
    assert out.endswith("--slo 'itl:mean<30ms'")


def test_it_says_plainly_when_the_mixed_fleet_wins(cli):
    out = cli("disaggregate", "-m", "llama-3.1-8b", "--prefill", "h100", "--count", "4", "--link", "1GB/s").out
    assert "The mixed fleet wins" in out and "show behind prefill" in out


def test_a_row_per_point_of_the_curves(cli):
    rows = list(csv.DictReader(io.StringIO(cli(*ASKED, "--format", "csv").out)))
    assert {row["label"] for row in rows} == {"extrapolated"}
    assert len(rows) > 10 and {"axis", "x", "gain", "gain_low", "gain_high", "prefill_count"} <= rows[0].keys()


def test_the_html_page_has_a_chart_of_both_curves(cli, tmp_path: Path):
    page = tmp_path / "split.html"
    ran = cli(*PAIR, "--output", str(page))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {page}\n")
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2 and "split over mixed" in text


def test_no_split_that_keeps_the_targets_ends_with_3_and_what_came_closest(cli):
    ran = cli(*ASKED[:-1], "itl:mean<1ms", "--format", "json")
    assert ran.code == 3
    found = ran.json()
    assert found["fits"] is False and found["reason"]["code"] == "target"
    assert "closest, nearly idle" in found["message"]


CASES = [
    (("--count", "1"), 2, "count: 1 accelerators are no two pools"),
    (("--count", "1.5"), 2, "count: '1.5' is not a whole number"),
    (("--link", "50"), 2, "link: '50' has no unit"),
    (("--link", "0 GB/s"), 2, "link: 0.0 B/s"),
    (("--link", "5 W"), 2, "link"),
    (("--first-token", "both"), 2, "first_token"),
    (("--decode", "mi30x"), 2, "decode: unknown accelerator 'mi30x'"),
    (("--slo", "total_tokens_per_s>5"), 2, "the rate is what is looked for"),
    (("--slo", "itl<"), 2, "not a service target"),
    (("--weights", "fp5"), 2, "weights"),
    (("--engine", "vlm"), 2, "did you mean vllm"),
    (("--isl", "131072", "--osl", "512"), 2, "exceed the context"),
    (("--isl", "1024"), 2, "osl: the other length is missing"),
    (("-m", NOT_MODELLED), 3, "not modelled yet"),
]


@pytest.mark.parametrize(("more", "code", "message"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(cli, more, code: int, message: str):
    base = {"-m": "llama-3.1-8b", "--prefill": "h100", "--count": "4"}
    words = ["disaggregate"]
    for name, value in (base | dict(zip(more[::2], more[1::2], strict=True))).items():
        words += [name, value]
    cli(*words).refused(message, code)


def test_a_prefill_part_must_be_named(cli):
    ran = cli("disaggregate", "-m", "llama-3.1-8b")
    assert ran.code == 2 and "--prefill is missing" in ran.err
