"""``variance``: what the answer holds, every format, measured visits, and what is refused."""

import csv
import io
from pathlib import Path

import pytest

from inferatlas.predict.performance.variance import CAUSES

LOAD = ("--isl", "1024", "--osl", "256", "--concurrency", "32")
DENSE = ("variance", "-m", "llama-3.1-8b", "-a", "h100", "--tp", "2", *LOAD)
MIXTURE = ("variance", "-m", "mixtral-8x7b", "-a", "mi300x", "--tp", "1", "--ep", "4", "--dp", "4", "--pp", "1", *LOAD)
ROUTED = "Routing of 8 experts, top 2, 32 layers"


@pytest.mark.parametrize("words", [DENSE, MIXTURE])
def test_json_holds_both_clocks_and_every_cause(cli, words):
    ran = cli(*words, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert found.keys() >= {"inputs", "batch", "means", "cov", "percentiles", "causes", "routing", "deterministic"}
    assert [one["cause"] for one in found["causes"]] == list(CAUSES)
    assert sum(one["latency_share"] for one in found["causes"]) == pytest.approx(1.0)
    assert sum(one["gap_share"] or 0.0 for one in found["causes"]) == pytest.approx(1.0)
    assert found["cov"]["latency"] ** 2 == pytest.approx(sum(one["latency_cov"] ** 2 for one in found["causes"]))
    assert found["causes"][-1]["gap_cov"] is None  # lengths are no cause of a gap
    assert bool(found["routing"]) == (words is MIXTURE)
    assert found["deterministic"] is False


def test_the_page_says_how_much_and_mostly_why(cli):
    out = cli(*MIXTURE).out
    assert out.startswith("Latency of mixtral-8x7b on 4 x amd-mi300x (")
    assert ", mostly " in out and ROUTED in out and "uniform popularity" in out
    assert "Coefficients of variation by cause" in out and "Latency of a request" in out
    assert out.endswith(f"inferatlas {' '.join(MIXTURE)}\n")
    assert "Routing of" not in cli(*DENSE).out


def test_a_machine_in_which_nothing_varies_says_so(cli):
    words = ("variance", "-m", "llama-3.1-8b", "-a", "groq", "--pp", "576", *LOAD)
    assert "Inside the machine nothing varies: it is compiled" in " ".join(cli(*words).out.split())
    assert "nothing varies" not in cli(*DENSE).out
    alone = cli(*words[:-1], "1")
    assert alone.code == 0
    assert "mostly" not in alone.out  # no cause has a part in nothing


def test_a_row_per_cause(cli):
    rows = list(csv.DictReader(io.StringIO(cli(*DENSE, "--format", "csv").out)))
    assert [row["cause"] for row in rows] == list(CAUSES)
    assert rows[-1]["gap_cov"] == ""
    assert all(float(row["latency_cov"]) >= 0 for row in rows)


def test_a_file_s_name_says_what_is_written(cli, tmp_path: Path):
    page = tmp_path / "variance.html"
    ran = cli(*MIXTURE, "--output", str(page))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {page}\n")
    text = page.read_text(encoding="utf-8")
    assert "<html" in text.lower() and ROUTED in text


def test_named_traffic_brings_its_lengths(cli):
    words = ("variance", "-m", "llama-3.1-8b", "-a", "h100", "--workload", "chat", "--request-rate", "2")
    found = cli(*words, "--format", "json").json()
    causes = {one["cause"]: one["latency_cov"] for one in found["causes"]}
    assert causes["batching"] > 0 and causes["lengths"] > 0
    assert "with the lengths of this workload" in cli(*words).out


def test_measured_visits_stand_for_the_skew(cli, tmp_path: Path):
    file = tmp_path / "visits.csv"
    file.write_text("expert,visits\n" + "".join(f"{i},{1000 - 100 * i}\n" for i in range(8)), encoding="utf-8")
    found = cli(*MIXTURE, "--counts", str(file), "--format", "json").json()
    assert found["inputs"]["routing"]["measured"] is True
    assert "measured popularity" in cli(*MIXTURE, "--counts", str(file)).out
    file.write_text("100\n100\nmany\n100\n", encoding="utf-8")
    ran = cli(*MIXTURE, "--counts", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert f"{file}:3: counts: 'many' is not a count" in ran.err
    file.write_text("100\n" * 7, encoding="utf-8")
    assert f"{file}: counts: 7 counts (allowed: 8, one per expert and line)" in cli(*MIXTURE, "--counts", str(file)).err
    ran = cli(*DENSE, "--counts", str(file))
    assert ran.code == 2 and "llama-3.1-8b has no experts" in ran.err


def test_the_page_names_format_and_engine(cli):
    assert "(tp2, fp8 weights, sglang)" in cli(*DENSE, "--weights", "fp8", "--engine", "sglang").out


CASES = [
    (("--skew", "9"), 2, "skew: 9.0 is not an exponent"),
    (("--placement", "x"), 2, "placement"),
    (("--redundant", "-1"), 2, "redundant"),
    (("--counts", "/no/such/file.csv"), 2, "/no/such/file.csv: counts: "),
    (("-a", "h10"), 2, "did you mean h100"),
    (("-m", "lama-3.1-8b"), 2, "did you mean llama-3.1-8b"),
    (("--count", "0"), 2, "count"),
    (("--count", "3"), 2, "multiples of 2"),
    (("--tp", "1.5"), 2, "tp: '1.5' is not a whole number"),
    (("--isl", "131072"), 2, "isl: 131072 input and 256 output tokens exceed the context"),
    (("--concurrency", "0"), 2, "concurrency"),
    (("--request-rate", "1"), 2, "contradict each other"),
    (("-m", "llama-3.3-70b", "--tp", "1", "--pp", "1", "--dp", "1"), 3, "count: "),
    (("--pp", "99"), 3, "pp: more pipeline stages than layers"),
    (("--tp", "3"), 3, "tp: tensor parallelism must divide"),
    (("-m", "mixtral-8x7b", "--ep", "3"), 3, "ep: expert parallelism must divide"),
    (("-a", "groq", "--tp", "1", "--ep", "2"), 3, "ep: models resident in on-chip memory"),
    (("-a", "groq", "--engine", "vllm"), 3, "engine: vllm is not supported on groq"),
    (("--format", "xml"), 2, "parquet"),
]


@pytest.mark.parametrize(("more", "code", "message"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(cli, more, code: int, message: str):
    base = {"-m": "llama-3.1-8b", "-a": "h100", "--tp": "2"} | dict(zip(LOAD[::2], LOAD[1::2], strict=True))
    words = ["variance"]
    for name, value in (base | dict(zip(more[::2], more[1::2], strict=True))).items():
        words += [name, value]
    cli(*words).refused(message, code)


def test_without_traffic_there_is_nothing_to_vary(cli):
    ran = cli("variance", "-m", "llama-3.1-8b", "-a", "h100")
    assert ran.code == 2
    assert ran.err.startswith("error: ")


def test_a_rate_that_is_too_high_is_the_rate_s_fault(cli):
    words = ("variance", "-m", "llama-3.1-8b", "-a", "h100", "--tp", "1", "--pp", "1", "--dp", "1", *LOAD[:4])
    cli(*words, "--request-rate", "10000").refused("request_rate: the request rate exceeds", 3)
