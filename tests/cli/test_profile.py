"""``profile``: the JSON contract, every format with what the path consists of, and what is refused."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.decide.profiles.mix import KINDS, LOADS

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes

SECTIONS = {"regimes", "limits", "classes", "deployment", "signatures", "experiments", "assumed"}
CONSTRAINTS = {"compute", "memory_bandwidth", "interconnect", "overhead", "memory_capacity", "latency_variance"}
KEYS = {
    "inputs", "trace", "regimes", "constraint", "constraints", "architecture_classes", "deployment", "software",
    "signatures", "experiments", "assumptions", "interval",
}  # fmt: skip


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(3)
    times = np.cumsum(random.exponential(0.5, 60)).round(3)
    lengths = zip(random.integers(100, 2000, 60), random.integers(1, 300, 60), strict=True)
    file = tmp_path_factory.mktemp("trace") / "requests.csv"
    rows = [f"{t},{isl},{osl}" for t, (isl, osl) in zip(times, lengths, strict=True)]
    file.write_text("\n".join(["arrival_s,isl,osl", *rows]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def asked(trace: Path) -> tuple[str, ...]:
    return ("profile", "--model", "llama-3.1-8b", "--trace", str(trace), "-a", "h100", "--slo", "ttft:p95<2s")


def test_the_json_is_the_contract(cli, asked, trace):
    ran = cli(*asked, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err, set(found)) == (0, "", KEYS)
    assert set(found["regimes"]) == {*LOADS, *KINDS}
    assert sum(found["regimes"][name] for name in LOADS) == pytest.approx(1.0)
    assert found["constraint"] in CONSTRAINTS
    assert [one["name"] for one in found["constraints"] if one["name"] == found["constraint"]] == [found["constraint"]]
    assert isinstance(found["architecture_classes"], list) and found["architecture_classes"]
    for one in found["architecture_classes"]:
        assert one["accelerator"] in accelerator_ids() and 0 <= one["score"] <= 1 and one["why"] and one["name"]
    assert len(found["signatures"]) == 3
    for one in found["signatures"]:
        assert set(one) == {"name", "detected", "why", "remedy"}
        assert isinstance(one["detected"], bool) and all(one[key] for key in ("name", "why", "remedy"))
    assert found["deployment"]["accelerator"] == "nvidia-h100-sxm"
    assert found["deployment"]["label"] in ("predicted", "extrapolated")
    for ends in found["deployment"]["metrics"].values():
        assert ends is None or ends["low"] <= ends["value"] <= ends["high"]
    assert found["inputs"]["trace"] == trace.name and found["inputs"]["slo"] == ["ttft:p95<2s"]
    assert found["interval"] == 0.8


def test_names_of_flags_and_shorthands_ask_the_same(cli, asked, trace):
    short = cli("profile", "-m", "llama-3.1-8b", "--trace", str(trace), "--gpu", "nvidia-h100-sxm",
                "--slo", "ttft:p95<2000ms", "--max-count", "64", "--format", "json")  # fmt: skip
    assert short.json() == cli(*asked, "--format", "json").json()
    by_name = cli("profile", "-m", "llama-3.1-8b", "--trace", str(trace), "-a", "h100", "--ttft", "300", "--itl",
                  "30ms", "--format", "json").json()  # fmt: skip
    assert by_name["inputs"]["slo"] == ["ttft:mean<300ms", "itl:mean<30ms"]
    assert any("300 ms" in text and "30 ms" in text for text in by_name["assumptions"])


def test_the_page_goes_the_whole_way(cli, asked):
    found = cli(*asked, "--format", "json").json()
    ran = cli(*asked)
    assert (ran.code, ran.err) == (0, "")
    main = max(LOADS, key=lambda name: found["regimes"][name])
    text = " ".join(ran.out.split())
    assert f"of the requests are {main.replace('-', ' ')}; {found['constraint'].replace('_', ' ')} binds." in text
    best = found["architecture_classes"][0]["name"].replace("_", " ")
    assert f"{best} suits the mix best; {found['deployment']['count']} x nvidia-h100-sxm" in text
    for title in ("Regimes of the requests", "What limits it", "Architecture classes over this mix",
                  "Failure signatures", "Start it", "Assumed", "Reproduce"):  # fmt: skip
        assert f"\n{title}\n" in ran.out
    for name in found["regimes"]:
        assert f"\n{name} " in ran.out
    for one in found["constraints"]:
        assert f"\n{one['name'].replace('_', ' ')} " in ran.out
    (primary,) = re.findall(r"^(\w[\w ]*?)  .*\bprimary$", ran.out, re.MULTILINE)
    assert primary == found["constraint"].replace("_", " ")
    for i, one in enumerate(found["experiments"], 1):
        assert f"Experiment {i}: {one['question']}" in text and one["command"] in text
    assert "Software: " in text and "vllm official" in text
    assert "Brackets are 80 % intervals" in text and "Second lines" not in text and "carbon" not in text
    assert not re.search(r"\(\d+%\)", text)  # shares look the same everywhere
    assert ran.out.rstrip().endswith(" ".join(asked).replace("ttft:p95<2s", "'ttft:p95<2s'"))


def test_a_row_for_every_finding(cli, asked, tmp_path):
    found = cli(*asked, "--format", "json").json()
    rows = list(csv.DictReader(io.StringIO(cli(*asked, "--format", "csv").out)))
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(r["kind"] for r in rows)}
    assert {row["name"]: float(row["value"]) for row in kinds["regime"]} == found["regimes"]
    assert [(row["name"], float(row["value"])) for row in kinds["constraint"]] == [
        (one["name"], one["value"]) for one in found["constraints"]
    ]
    assert [(row["name"], row["words"]) for row in kinds["class"]] == [
        (one["name"], one["accelerator"]) for one in found["architecture_classes"]
    ]
    assert [(row["name"], bool(float(row["value"])), row["words"]) for row in kinds["signature"]] == [
        (one["name"], one["detected"], one["why"]) for one in found["signatures"]
    ]
    lines = [json.loads(line) for line in cli(*asked, "--format", "jsonl").out.splitlines()]
    assert len(lines) == len(rows) and lines[0].keys() == rows[0].keys()
    file = tmp_path / "profile.parquet"
    assert cli(*asked, "--output", str(file)).code == 0
    assert pl.read_parquet(file).height == len(rows)
    assert "| regime" in cli(*asked, "--format", "md").out.replace("**", "").lower()


class Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_html_has_every_section_and_a_chart_and_loads_nothing(cli, asked, tmp_path):
    found = cli(*asked, "--format", "json").json()
    file = tmp_path / "profile.html"
    ran = cli(*asked, "--output", str(file))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {file}\n")
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids)) and set(ids) >= SECTIONS
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 1
    drawing = text[text.index("<svg") : text.index("</svg>")]
    for name in LOADS:
        assert (name in drawing) or found["regimes"][name] == 0
    for one in found["signatures"]:
        assert one["name"] in text
    for one in found["architecture_classes"]:
        assert one["accelerator"] in text
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "image", "base", "form", "use"}
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in {"src", "srcset", "data", "action", "xlink:href"}
            assert tag == "a" or "http" not in (value or "")
    assert not re.search(r"@import|@font-face|url\(|javascript:", text)


@pytest.mark.parametrize("style", ["table", "html", "md", "json"])
def test_a_workload_that_no_accelerator_is_graded_for_has_a_page_too(cli, tmp_path, style):
    file = tmp_path / "long.csv"
    file.write_text("arrival_s,isl,osl\n" + "".join(f"{60 * i},32000,768\n" for i in range(5)))
    ran = cli("profile", "-m", "mistral-7b", "--trace", str(file), "-a", "h100", "--format", style)
    assert (ran.code, ran.err) == (0, "")
    assert "no accelerator is graded for long-context" in " ".join(ran.out.split())
    if style == "json":
        assert ran.json()["architecture_classes"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-a", "h1000"), "did you mean"),
        (("-m", "llama-3.1-9b"), "did you mean"),
        (("--slo", "ttft<fast"), "slo ttft"),
        (("--slo", "speed<1s"), "slo"),
        (("--max-count", "0"), "max_count"),
        (("--max-count", "many"), "whole number"),
        (("--engine", "vllmm"), "engine"),
        (("--format", "xml"), "html"),
        (("--traces", "x"), "--trace"),
        (("stray",), "stray"),
    ],
    ids=str,
)
def test_bad_words_are_refused(cli, trace, words, message):
    given = {"-m": "llama-3.1-8b", "--trace": str(trace), "-a": "h100"}
    kept = [word for flag, value in given.items() if flag not in words for word in (flag, value)]
    cli("profile", *kept, *words).refused(message)


@pytest.mark.parametrize("left_out", ["--model", "--trace"])
def test_what_is_missing_is_named(cli, asked, left_out):
    i = asked.index(left_out)
    ran = cli(*asked[:i], *asked[i + 2 :])
    assert ran.code == 2 and f"{left_out} is missing" in ran.err


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("arrival_s,isl,osl\n0,10,5\n", 2, "a trace of one request has no rate"),
        ("arrival_s,isl,osl\n0,10,5\n1,0,5\n", 3, "isl"),
        ("arrival_s,isl,osl\n0,10,5\nsoon,10,5\n", 3, "arrival_s"),
        ('{"timestamp": 0, "input_length": 10, "output_length": 5}\n{"timestamp": 1, "input_length": 10}\n', 2,
         "output_length"),
    ],
)  # fmt: skip
def test_a_bad_trace_is_refused_with_file_line_and_field(cli, tmp_path, text, line, words):
    file = tmp_path / "bad.csv"
    file.write_text(text)
    ran = cli("profile", "-m", "llama-3.1-8b", "--trace", str(file), "-a", "h100")
    assert ran.code == 2 and ran.out == "" and "Traceback" not in ran.err
    assert ran.err.startswith(f"error: {file}:{line}: ") and words in ran.err


def test_no_trace_at_all(cli, tmp_path):
    ran = cli("profile", "-m", "llama-3.1-8b", "--trace", str(tmp_path / "none.csv"))
    assert ran.code == 2 and str(tmp_path / "none.csv") in ran.err


def test_requests_beyond_the_context_are_refused_with_what_is_allowed(cli, tmp_path):
    file = tmp_path / "long.csv"
    file.write_text("arrival_s,isl,osl\n0,5000,100\n1,5000,100\n")
    ran = cli("profile", "-m", "llama-2-7b", "--trace", str(file), "-a", "h100")
    assert ran.code == 2 and ran.err.startswith(f"error: {file}: trace: ") and "4,096" in ran.err


@pytest.mark.parametrize(
    ("words", "field", "code"),
    [
        (("-m", "llama-3.3-70b", "--max-count", "1"), "max_count", "memory"),
        (("-m", "llama-3.1-8b", "--slo", "ttft:p99<1ms"), "slo", "target"),
        (("-m", "llama-3.1-8b", "--weights", "nvfp4", "-a", "mi300x"), "weights", "precision"),
        (("-m", NOT_MODELLED), "model", "not_modelled"),
    ],
)  # fmt: skip
def test_where_there_is_no_answer_the_code_is_3_and_the_reason_stands(cli, trace, words, field, code):
    where = () if "-a" in words else ("-a", "h100")
    ran = cli("profile", "--trace", str(trace), *where, *words, "--format", "json")
    found = ran.json()
    assert ran.code == 3 and found["exit_code"] == 3 and found["fits"] is False
    assert found["code"] == found["reason"]["code"] == code
    assert found["field"] == field and ran.err.startswith(f"error: {field}: ") and "Traceback" not in ran.err
