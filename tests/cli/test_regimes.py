"""``regimes``: the JSON contract, the matrix in every format, regimes of one's own, and what is refused."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
import yaml

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.cli.regimes import DEFAULT_MODEL
from inferatlas.workload import GRADES, METRICS, regimes

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes

FEW = ("-a", "h100,mi300x,groq,l4,nvidia-b200-sxm")
ASKED = ("regimes", "-m", "llama-3.1-8b", *FEW)
NAMES = [regime.name for regime in regimes()]
MINE = {
    "title": "Mine", "description": "Of one's own.", "metric": "tokens_per_joule", "per": "deployment",
    "input_tokens": 512, "output_tokens": 64, "concurrency": [1, 8],
}  # fmt: skip
OPEN = {"meta", "link", "br", "hr", "img", "input", "wbr", "col"}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """A regime's file, its keys in the order of ``MINE``."""

    def write(**changes) -> str:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(MINE | changes, sort_keys=False), encoding="utf-8")
        return str(file)

    return write


def test_json_holds_what_the_contract_says(cli):
    ran = cli(*ASKED, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert [one["name"] for one in found["regimes"]] == NAMES
    for one, regime in zip(found["regimes"], regimes(), strict=True):
        assert one["metric"] == regime.metric and one["better"] == METRICS[regime.metric]
        assert len(one["cells"]) == 5
        for cell in one["cells"]:
            assert cell.keys() >= {
                "accelerator", "count", "value", "score", "grade", "reason", "software", "paper_grade",
            }  # fmt: skip
            assert cell["reason"] and cell["software"]["level"]
            if cell["value"] is None:
                assert cell["score"] is cell["grade"] is cell["count"] is None
                continue
            assert cell["value"].keys() == {"low", "value", "high"}
            assert cell["value"]["low"] <= cell["value"]["value"] <= cell["value"]["high"]
            assert cell["grade"] in GRADES and 0 < cell["score"] <= 1 and cell["count"] >= 1
        published = {c["accelerator"]: c["paper_grade"] for c in one["cells"]}
        assert published["nvidia-h100-sxm"] is None and published["amd-mi300x"] in GRADES


def test_all_accelerators_are_the_default(cli):
    base = ("regimes", "-r", "single-stream", "--format", "json")
    default, every = cli(*base).json(), cli(*base, "--accelerators", "all").json()
    assert default == every
    assert default["model"] == DEFAULT_MODEL
    assert {cell["accelerator"] for cell in default["regimes"][0]["cells"]} == set(accelerator_ids())


def test_accelerators_and_regimes_may_be_repeated_or_separated_by_commas(cli):
    base = ("regimes", "-m", "llama-3.1-8b", "--format", "json")
    commas = cli(*base, "-r", "quantized,single-stream", "--accelerators", "h100, l4").json()
    repeated = cli(*base, "-r", "quantized", "--regime", "single-stream", "-a", "h100", "--gpu", "l4").json()
    assert commas == repeated
    assert [one["name"] for one in commas["regimes"]] == ["quantized", "single-stream"]


def test_a_row_per_cell_in_flat_formats(cli, tmp_path):
    document = cli(*ASKED, "--format", "json").json()
    cells = {(one["name"], cell["accelerator"]): cell for one in document["regimes"] for cell in one["cells"]}
    rows = list(csv.DictReader(io.StringIO(cli(*ASKED, "--format", "csv").out)))
    assert {(row["regime"], row["accelerator"]) for row in rows} == set(cells) and len(rows) == len(cells)
    for row in rows:
        cell = cells[row["regime"], row["accelerator"]]
        value = cell["value"] or {"low": None, "value": None, "high": None}
        for name, key in (("value_low", "low"), ("value", "value"), ("value_high", "high")):
            assert (float(row[name]) if row[name] else None) == value[key]
        assert (row["grade"] or None) == cell["grade"] and (row["paper_grade"] or None) == cell["paper_grade"]
        assert row["reason"] == cell["reason"]
    lines = [json.loads(line) for line in cli(*ASKED, "--format", "jsonl").out.splitlines()]
    assert len(lines) == len(rows) and lines[0].keys() == rows[0].keys()
    file = tmp_path / "cells.parquet"
    assert cli(*ASKED, "--output", str(file)).code == 0
    table = pl.read_parquet(file)
    assert table.height == len(rows) and table["score"].dtype == pl.Float64
    assert table["score"].null_count() == sum(cell["score"] is None for cell in cells.values())


def test_several_regimes_are_a_matrix_and_one_its_numbers(cli):
    ran = cli(*ASKED)
    found = cli(*ASKED, "--format", "json").json()
    assert (ran.code, ran.err) == (0, "")
    first = ran.out.splitlines()[0]
    assert "llama-3.1-8b" in first and found["regimes"][0]["cells"][0]["accelerator"] in first
    for part in (
        "Grade and value",
        "What is measured",
        "Where they differ",
        "Assumed",
        "Correlation",
        "80 % intervals",
    ):
        assert part in ran.out
    for one in found["regimes"]:
        assert one["name"] in ran.out
    assert ran.out.rstrip().endswith(f"inferatlas {' '.join(ASKED)}")
    said = re.search(
        r"Of (\d+) grades published for these accelerators .*, (\d+) are ours too", ran.out.replace("\n", " ")
    )
    theirs = [cell for one in found["regimes"] for cell in one["cells"] if cell["paper_grade"]]
    assert said and int(said[1]) == len(theirs)
    assert int(said[2]) == sum(cell["paper_grade"] == cell["grade"] for cell in theirs)
    assert "After the slash: the study's grade" in ran.out
    text = cli(*ASKED, "--format", "md").out
    matrix = text[text.index("Grade and value") : text.index("What is measured")]
    shown = Counter(re.findall(rf"({'|'.join(GRADES)}|—) / ({'|'.join(GRADES)})", matrix))
    assert shown == Counter((cell["grade"] or "—", cell["paper_grade"]) for cell in theirs)
    alone = cli(*ASKED, "-r", "quantized").out
    assert "Grade and value" not in alone and "Highly quantised models" in alone
    for cell in next(one for one in found["regimes"] if one["name"] == "quantized")["cells"]:
        assert cell["accelerator"] in alone
        if cell["value"]:
            assert f"{cell['count']} x {cell['accelerator']}" in alone
    marked = cli(*ASKED, "-r", "quantized", "--format", "md").out
    assert "| deployment" in marked.replace("**", "").lower()


class Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_has_the_heat_map_and_a_section_for_every_regime_and_loads_nothing(cli, tmp_path):
    file = tmp_path / "fitness.html"
    ran = cli(*ASKED, "--output", str(file))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {file}\n")
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids)) and {"matrix", *NAMES} <= set(ids)
    (figure,) = [a for tag, a in page.tags if tag == "svg"]
    assert "Heat map" in (figure["aria-label"] or "")
    drawing = text[text.index("<svg") : text.index("</svg>")]
    for name in ("nvidia-h100-sxm", "amd-mi300x", "groq-lpu-v1", "nvidia-l4", "nvidia-b200-sxm"):
        assert name in drawing
    assert any(grade in drawing for grade in GRADES)
    for regime in regimes():
        assert regime.title in text and regime.description.split(".")[0][:40] in re.sub(r"\s+", " ", text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "image", "base", "form", "use"}
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in {"src", "srcset", "data", "action", "xlink:href"}
            assert tag == "a" or "http" not in (value or "")
    assert not re.search(r"@import|@font-face|url\(|javascript:", text)


def test_a_regime_of_one_s_own_is_graded_by_its_metric(cli, written):
    ran = cli(*ASKED, "-r", written(), "--format", "json")
    (one,) = ran.json()["regimes"]
    assert ran.code == 0
    assert (one["name"], one["metric"], one["better"]) == ("mine", "tokens_per_joule", "higher")
    assert one["declared"]["concurrency"] == [1, 8] and all(cell["paper_grade"] is None for cell in one["cells"])
    page = cli(*ASKED, "-r", written(), "--format", "html")
    assert page.code == 0 and "Of one&#39;s own." in page.out


def test_beside_the_regimes_of_the_package(cli, written):
    ran = cli(*ASKED, "-r", f"{written()},single-stream", "--format", "json")
    assert [one["name"] for one in ran.json()["regimes"]] == ["mine", "single-stream"]


@pytest.mark.parametrize("style", ["table", "json", "csv", "html", "md"])
def test_where_nothing_can_be_graded_the_reasons_stand_and_the_code_says_so(cli, style: str):
    ran = cli("regimes", "-m", "llama-2-7b", "-r", "long-context", "-a", "h100,l4", "--format", style)
    assert ran.code == 3 and ran.err == ""
    assert "nvidia-l4" in ran.out and ("context_length" in ran.out or "context length" in ran.out)
    if style == "json":
        assert all(cell["grade"] is None for cell in ran.json()["regimes"][0]["cells"])
    if style == "table":
        assert ran.out.startswith("None of 2 accelerators can be graded for llama-2-7b.")
        assert "requests of 33,280 tokens exceed the context of llama-2-7b (4,096)" in ran.out


def test_why_nothing_can_be_graded_stands_once_for_many_accelerators(cli):
    out = cli("regimes", "-m", "llama-2-7b", "-r", "long-context,single-stream").out
    block = out.partition("What cannot be graded\n")[2].partition("\n\n")[0]
    assert block.count("exceed the context") == 1 and re.search(r"and \d+ more", block)


@pytest.mark.parametrize(
    ("model", "names", "said"),
    [
        ("flan-t5-xxl", "embedding,mixture-of-experts",
         "Best of 1: nvidia-h100-sxm: embedding generation (on bge-m3), "
         "mixture-of-experts models (on qwen3-235b-a22b)."),
        ("llama-3.1-8b", "single-stream,embedding",
         "Best of 1 for llama-3.1-8b: nvidia-h100-sxm: low-latency single stream, "
         "embedding generation (on bge-m3)."),
        ("flan-t5-xxl", "embedding",
         "Best of 1 for bge-m3 (the model of the regime, not flan-t5-xxl): nvidia-h100-sxm: embedding generation."),
    ],
)  # fmt: skip
def test_the_answer_names_the_model_that_was_measured(cli, model: str, names: str, said: str):
    assert " ".join(cli("regimes", "-m", model, "-r", names, "-a", "h100").out.splitlines()[:2]).startswith(said)


COMPARED = ("regimes", "-m", "mamba2-2.7b", "--against", "llama-3.2-3b", *FEW)


def test_the_order_of_another_model_stands_beside_in_every_format(cli, tmp_path):
    document = cli(*COMPARED, "--format", "json").json()
    (against,) = document["against"]
    assert against["model"] == "llama-3.2-3b" and [one["name"] for one in against["regimes"]] == NAMES
    for style in ("table", "md"):
        out = cli(*COMPARED, "--format", style).out
        for words in ("the order of accelerators", "what goodness follows", "Against llama-3.2-3b"):
            assert words in out
        assert "drawn with replacement" in " ".join(out.split())
    rows = list(csv.DictReader(io.StringIO(cli(*COMPARED, "--format", "csv").out)))
    places = {(one["name"], p["accelerator"]): p for one in against["regimes"] for p in one["places"]}
    assert len(rows) == len(NAMES) * 5
    for row in rows:
        place = places.get((row["regime"], row["accelerator"]))
        assert row["against"] == "llama-3.2-3b" and bool(row["rank"]) == (place is not None)
        if place:
            assert (int(row["rank"]), int(row["rank_against"])) == (place["rank"], place["rank_against"])
    file = tmp_path / "against.html"
    assert cli(*COMPARED, "--output", str(file)).code == 0
    page = Page(text := file.read_text(encoding="utf-8"))
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 2
    assert "against-llama-3.2-3b" in {a.get("id") for _, a in page.tags}
    assert "★ marks" in text or "a star marks" in text


def test_who_changes_rank_is_named_with_both_ranks_and_the_reason(cli):
    base = ("regimes", "-m", "falcon-mamba-7b", "--against", "mistral-7b", "-r", "high-throughput")
    (one,) = cli(*base, "--format", "json").json()["against"][0]["regimes"]
    out = cli(*base, "--format", "md").out
    assert one["moved"] and "who changes rank" in out and one["verdict"][:60] in out
    for place in one["moved"]:
        assert place["accelerator"] in out.partition("who changes rank")[2]


def test_several_models_are_compared_one_after_the_other(cli):
    base = ("regimes", "-m", "mamba2-2.7b", "-r", "single-stream", *FEW)
    ran = cli(*base, "--against", "llama-3.2-3b,qwen3-4b")
    assert ran.code == 0 and "Against llama-3.2-3b:" in ran.out and "Against qwen3-4b:" in ran.out
    rows = list(csv.DictReader(io.StringIO(cli(*base, "--against", "llama-3.2-3b,qwen3-4b", "--format", "csv").out)))
    assert [row["against"] for row in rows] == ["llama-3.2-3b"] * 5 + ["qwen3-4b"] * 5


def test_a_recurrent_model_is_told_what_to_be_compared_with(cli):
    alone = " ".join(cli("regimes", "-m", "mamba2-2.7b", *FEW).out.split())
    assert "--against llama-3.2-3b, the transformer of the catalogue nearest in size" in alone
    assert "--against" not in cli("regimes", "-m", "llama-3.1-8b", *FEW).out
    compared = " ".join(cli(*COMPARED).out.split())
    assert "nearest in size" not in compared
    assert "against" not in cli("regimes", "-m", "mamba2-2.7b", *FEW, "--format", "json").json()


def test_a_model_that_embeds_says_why_it_writes_nothing(cli):
    out = cli("regimes", "-m", "bge-m3", *FEW).out
    assert "embedding generation" in out and "no tokens" in out
    assert "bge-m3 yields a vector, and the regime asks for 256 output tokens" in " ".join(out.split())
    ran = cli("regimes", "-m", "bge-m3", "-r", "single-stream", *FEW)
    assert ran.code == 3 and ran.out.startswith("None of 5 accelerators can be graded for bge-m3.")


def test_a_title_keeps_its_acronyms_and_one_regime_is_one(cli, written):
    file = written(title="RAG at night")
    out = cli(*ASKED, "-r", file).out
    assert "RAG at night" in out.partition("\n\n")[0] and "What is measured" in out
    page = cli(*ASKED, "-r", file, "--format", "html").out
    assert "1 regime, 5 cells." in page and page.count(">Assumed<") == 1


def test_of_one_published_grade_is_said_one(cli):
    out = " ".join(cli("regimes", "-m", "llama-3.1-8b", "-r", "single-stream", "-a", "groq").out.split())
    assert "Of 1 grade published for these accelerators" in out


def test_the_footnote_says_what_graded_values_are_of(cli):
    out = " ".join(cli(*ASKED, "-r", "quantized").out.split())
    assert "tokens/s and power are of the whole deployment, unless 'What is measured' says per accelerator." in out
    assert "cost" not in out.partition("Second lines under figures are")[2]


def test_one_cell_graded_is_an_answer(cli):
    ran = cli("regimes", "-m", "llama-2-7b", "-r", "long-context,single-stream", "-a", "h100", "--format", "json")
    assert ran.code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-a", "h1000"), "did you mean"),
        (("--accelerators", "all,h100"), "accelerator"),
        (("-a", "h100,nvidia-h100-sxm"), "named twice"),
        (("-r", "single-steam"), "did you mean single-stream"),
        (("-r", "quantized,quantized"), "named twice"),
        (("-m", "llama-3.1-9b"), "did you mean"),
        (("--against", "llama-3.1-9b"), "did you mean"),
        (("--against", "llama-3.1-8b,llama-3.1-8b"), "named twice"),
        (("-r", "no/such/file.yaml"), "no/such/file.yaml"),
        (("--format", "xml"), "html"),
        (("--regimes", "single-stream"), "--regime"),
        (("stray",), "stray"),
    ],
    ids=str,
)
def test_bad_words_are_refused(cli, words: tuple[str, ...], message: str):
    cli("regimes", *words).refused(message)


@pytest.mark.parametrize(
    ("changes", "line", "message"),
    [
        ({"metric": "tokens_per_jule"}, 3, "did you mean tokens_per_joule"),
        ({"per": "accelerator"}, 4, "does not add up"),
        ({"concurrency": [0]}, 7, "concurrency"),
        ({"slo": ["ttft<5 kg"]}, 11, "slo"),
        ({"colour": "red"}, 10, "colour"),
    ],
    ids=str,
)
def test_a_regime_that_cannot_be_is_refused_with_file_and_line(cli, written, changes, line: int, message: str):
    file = written(**changes)
    ran = cli(*ASKED, "-r", file)
    assert ran.code == 2, ran
    found = re.search(rf"{re.escape(file)}:(\d+)", ran.err)
    assert found and int(found[1]) == line, ran.err
    assert message in ran.err and ran.out == ""


def test_a_model_without_a_performance_model_is_no_answer(cli):
    ran = cli("regimes", "-m", NOT_MODELLED, "-r", "single-stream")
    assert ran.code == 3 and "not modelled" in ran.err
