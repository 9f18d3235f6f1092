"""``crossover``: the JSON contract, the answer in a sentence, every format, and what is refused."""

import csv
import io
import math
import re
from typing import get_args

import pytest

from inferatlas.cli.crossover import Metric, Over
from inferatlas.decide.sweeps.swept import METRICS, OVER
from inferatlas.predict.performance.points import BOUNDS

THREE = ("-a", "nvidia-h100-sxm,cerebras-wse-3,groq-lpu-v1")
ASKED = ("crossover", "--model", "llama-3.1-70b", *THREE, "--over", "batch")
KEYS = {"points", "crossovers", "bounds", "leads", "inputs", "assumptions", "rejected", "interval"}


def test_the_json_has_points_crossovers_and_bounds_with_their_assumptions(cli):
    ran = cli(*ASKED, "--metric", "latency_s", "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err, set(found)) == (0, "", KEYS)
    assert len({point["x"] for point in found["points"]}) == 60
    for point in found["points"]:
        assert set(point) == {"x", "accelerator", "metrics", "layout", "count", "weights", "engine", "bound", "label"}
        assert set(point["metrics"]) == set(METRICS) and point["bound"] in BOUNDS
        assert point["count"] == point["layout"]["tp"] * point["layout"]["pp"] * point["layout"]["dp"]
        for ends in point["metrics"].values():
            assert ends is None or ends["low"] <= ends["value"] <= ends["high"]
    one = next(one for one in found["crossovers"] if one["metric"] == "latency_s")
    assert set(one) == {"x", "from", "to", "metric", "x_low", "x_high", "first", "how"}
    assert (one["x_low"] or 0.0) <= one["x"] <= (one["x_high"] or math.inf)  # none: unsure to that end of the sweep
    assert {one["from"], one["to"]} <= {"nvidia-h100-sxm", "cerebras-wse-3", "groq-lpu-v1"}
    assert all(set(change) == {"accelerator", "x", "from", "to", "last"} for change in found["bounds"])
    assert any(change["accelerator"] == "nvidia-h100-sxm" and change["to"] == "compute" for change in found["bounds"])
    assert found["inputs"]["model"] == "llama-3.3-70b" and found["inputs"]["metric"] == "latency_s"
    assert any("calibrated (predicted): nvidia-h100-sxm" in text for text in found["assumptions"])


def test_the_page_answers_in_a_sentence_with_the_range_in_which_it_is_unsure(cli):
    found = cli(*ASKED, "--metric", "latency_s", "--format", "json").json()
    one = next(one for one in found["crossovers"] if one["metric"] == "latency_s")
    ran = cli(*ASKED, "--metric", "latency_s")
    low, high = one["x_low"] and f"{one['x_low'] // 1:.0f}", f"{-(-one['x_high'] // 1):.0f}"
    assert ran.out.startswith(
        f"{one['from']} has the lowest latency up to {one['first'] - 1:.0f} requests in flight "
        f"({f'{low}–{high}' if low else f'unsure below {high}'}), {one['to']} from there on."
    )
    for title in ("Who is best, by every metric", "What binds the designs with the lowest latency", "What is missing",
                  "Assumed", "Reproduce"):  # fmt: skip
        assert f"\n{title}\n" in ran.out
    assert "inferatlas crossover --model llama-3.1-70b -a" in ran.out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ("--values", "1,4"),
            r"\S+ has the most output tokens/s per accelerator throughout, 1 to 4 requests in flight\.",
        ),
        (
            ("--over", "isl", "--values", "1000,200000", "--count", "8"),
            r"\S+ has .* wherever there is one, 1,000 input",
        ),
        (("--over", "rate", "--from", "1", "--to", "200"), r"\S+ has the lowest latency up to [\d.]+ requests/s"),
        (("--over", "count"), r"\S+ has the most output tokens/s per accelerator up to \d+ accelerators"),
        (("--over", "osl", "--steps", "5"), r"\S+ has .* 16 to 8,192 output tokens\."),
        (("--metric", "usd_per_million_tokens"), r"nvidia-h100-sxm has the lowest USD/Mtok throughout, 1 to 1,024 req"),
    ],
)
def test_every_sweep_has_its_sentence(cli, words: tuple[str, ...], answer: str):
    ran = cli(*ASKED[:-2], *words)
    assert ran.code == 0
    assert re.match(answer, ran.out), ran.out[:200]


def test_the_flags_offer_what_can_be_swept_and_measured():
    assert set(get_args(Over)) == set(OVER)
    assert set(get_args(Metric)) == set(METRICS)


def test_a_single_accelerator_is_answered_by_what_binds_it(cli):
    ran = cli("crossover", "-m", "llama-3.1-70b", "-a", "h100")
    assert ran.out.startswith("nvidia-h100-sxm is bound by memory bandwidth up to ")
    assert ", by compute from there on." in " ".join(ran.out.split())
    assert "Who is best" not in ran.out
    ran = cli("crossover", "-m", "llama-3.1-70b", "-a", "h100", "--values", "1,2")
    assert ran.out.startswith("nvidia-h100-sxm is bound by memory bandwidth throughout, 1 to 2 requests in flight.")


def test_where_no_price_is_known_nobody_is_the_cheapest(cli):
    ran = cli("crossover", "-m", "llama-3.1-70b", "-a", "groq,cerebras-wse-3", "--metric", "usd_per_million_tokens")
    assert ran.code == 0
    assert ran.out.startswith("Which of these accelerators has the lowest USD/Mtok is unknown.")


@pytest.mark.parametrize("style", ["table", "html"])
@pytest.mark.parametrize("names", ["groq", "groq,cerebras-wse-3"])
def test_where_no_price_is_known_the_page_says_why_and_has_no_empty_table(cli, style: str, names: str):
    asked = ("crossover", "-m", "llama-3.1-8b", "-a", names, "--values", "1,2", "--metric", "usd_per_million_tokens")
    ran = cli(*asked, "--format", style)
    assert ran.code == 0 and "No USD/Mtok can be given: no price with a source is known." in ran.out
    assert "What binds the designs" not in ran.out and "Designs with" not in ran.out


def test_a_single_x_is_told_and_not_drawn(cli):
    asked = ("crossover", "-m", "llama-3.1-405b", "-a", "h100", "--over", "count", "--values", "1,2,16")
    page = cli(*asked, "--format", "html").out
    assert page.count("Only at 16 accelerators is there a value") == 2 and "<svg" not in page
    assert "16 x nvidia-h100-sxm" in page  # in the table of values


def test_the_footnote_knows_of_the_column_per_accelerator(cli):
    out = " ".join(cli(*ASKED, "--values", "1,8").out.split())
    assert "tokens/s and power are of the whole deployment, unless a heading says per accelerator; cost is per" in out


def test_rows_are_the_points(cli, tmp_path):
    asked = (*ASKED, "--values", "1,8,64")
    points = cli(*asked, "--format", "json").json()["points"]
    rows = list(csv.DictReader(io.StringIO(cli(*asked, "--format", "csv").out)))
    assert len(rows) == len(points) == 9
    for row, point in zip(rows, points, strict=True):
        assert (float(row["x"]), row["accelerator"], int(row["count"])) == (
            point["x"], point["accelerator"], point["count"],
        )  # fmt: skip
        for name, ends in point["metrics"].items():
            assert (row[name] == "") == (ends is None)
            assert ends is None or float(row[f"{name}_low"]) == pytest.approx(ends["low"])
    assert cli(*asked, "--output", str(tmp_path / "points.parquet")).code == 0
    assert (tmp_path / "points.parquet").stat().st_size > 0


def test_the_page_in_html_draws_both_metrics_with_their_crossings_and_loads_nothing(cli, tmp_path):
    found = cli(*ASKED, "--metric", "latency_s", "--format", "json").json()
    one = next(one for one in found["crossovers"] if one["metric"] == "latency_s")
    file = tmp_path / "page.html"
    assert cli(*ASKED, "--metric", "latency_s", "--output", str(file)).code == 0
    text = file.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "Where does the best accelerator change?" in text
    assert f"{one['to']} from {one['first']:.0f}" in text.partition("<svg")[2].partition("</svg>")[0]
    assert "<script" not in text and "src=" not in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--over", "bach"), "did you mean batch?"), (("--metric", "tokens"), "tokens_per_joule"),
        (("--values", "1"), "values"), (("--values", "2,1"), "do not increase"), (("--values", "0,1"), "out of range"),
        (("--values", "1,x"), "'x' is not a number"), (("--from", "0"), "from"), (("--to", "x"), "'x' is not a number"),
        (("--steps", "1"), "steps"), (("--steps", "1.5"), "whole number"), (("--concurrency", "4"), "--over batch"),
        (("--count", "0"), "1 to 1024"), (("--weights", "fp3"), "bf16"), (("--isl", "200000"), "131072"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_what_is_allowed(cli, words: tuple[str, ...], says: str):
    ran = cli(*ASKED[:-2], *words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_without_an_accelerator_the_message_says_what_is_allowed(cli):
    ran = cli("crossover", "-m", "llama-3.1-70b")
    assert (ran.code, ran.out) == (2, "")
    assert (
        "accelerator: no accelerator is named" in ran.err
        and "all, or some of" in ran.err
        and "catalogue list" in ran.err
    )


def test_nothing_feasible_says_why(cli):
    ran = cli(*ASKED, "--count", "1", "--format", "json")
    assert ran.code == 3
    assert "groq-lpu-v1: does not fit on so many accelerators" in ran.err
    assert ran.json()["reason"]["code"] == "memory"
