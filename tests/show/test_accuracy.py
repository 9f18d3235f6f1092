"""The scoreboard as a page: every predictor side by side, sources behind the figures of others, charts in the page."""

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.evidence.accuracy import Accuracy, accuracy
from inferatlas.evidence.table import conform
from inferatlas.evidence.validation import validate
from inferatlas.show.accuracy import headline
from inferatlas.show.accuracy_page import html, markdown, published_errors, write_accuracy
from inferatlas.show.scores import validation_page


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    at = [
        (m, a, c) for m in ("llama-3.1-8b", "qwen3-8b") for a in ("nvidia-h100-sxm", "amd-mi300x") for c in (1, 8, 64)
    ]
    rows = {
        "row_id": [f"<r{i}>" for i in range(len(at))], "model": [m for m, _, _ in at], "accelerators": 1.0,
        "accelerator": [a for _, a, _ in at], "engine": "vllm", "weights": "bf16", "load": "closed_loop",
        "concurrency": [float(c) for _, _, c in at], "input_tokens": 512.0, "output_tokens": 256.0,
        "ttft_s": 0.2, "itl_s": 0.02, "latency_s": 5.3, "power_w": 500.0, "notes": "<script>alert(1)</script>",
        "weight": 0.3,
    }  # fmt: skip
    return conform(pl.DataFrame(rows, strict=False), "t")


@pytest.fixture(scope="module")
def scores(frame: pl.DataFrame) -> Accuracy:
    """Nobody was fitted to these rows; half of the figures are said to be."""
    return dataclasses.replace(accuracy(frame, validate(frame), name="runs & more.csv"), fitted=24)


def test_the_headline_says_the_median_error_of_each_metric(scores: Accuracy):
    text = headline(scores)
    assert text.startswith("Median error with the group of each row left out of the fit: TTFT ")
    assert all(name in text for name in ("ITL", "latency", "power"))


def test_markdown_holds_every_part(scores: Accuracy):
    text = markdown(scores, "inferatlas validate runs.csv")
    parts = [line for line in text.splitlines() if line.startswith("## ")]
    assert parts == [
        "## All figures", "## By accelerator", "## By engine", "## By model", "## By load",
        "## Interval coverage by level", "## The 12 worst rows", "## Errors of other tools", "## How to read this",
    ]  # fmt: skip
    header = "| metric | n | median | mean | p90 | bias | coverage | in-sample | roofline | one efficiency |"
    assert header in text
    assert all(one["address"] in text for one in published_errors())
    assert text.rstrip().endswith("```console\ninferatlas validate runs.csv\n```")
    for line in text.splitlines():  # tables are whole
        assert not line.startswith("|") or line.endswith("|")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_html_draws_its_charts_and_loads_nothing(scores: Accuracy):
    page = html(scores, "inferatlas validate 'a <b>.csv'")
    reader = Tags()
    reader.feed(page)
    names = [tag for tag, _ in reader.tags]
    assert names.count("svg") == names.count("figure") == 6
    assert not {"script", "link", "img", "iframe"} & set(names)
    loads = [a for tag, a in reader.tags if tag not in ("a",) and ("src" in a or "href" in a)]
    assert not loads
    assert "&lt;r" in page and "<r0>" not in page
    assert "<script>" not in page
    assert "a &lt;b&gt;.csv" in page and "runs &amp; more.csv" in page


def test_links_are_the_addresses_of_other_tools(scores: Accuracy):
    reader = Tags()
    reader.feed(html(scores, "x"))
    links = [a["href"] for tag, a in reader.tags if tag == "a"]
    assert links == [one["address"] for one in published_errors()]


def test_errors_of_other_tools_name_their_source():
    keys = {"tool", "error", "metric", "how", "set", "address"}
    for one in published_errors():
        assert set(one) == keys and all(one.values())
        assert one["how"] in ("claimed", "reported", "run")
        assert one["address"].startswith("https://")
        assert any(letter.isdigit() for letter in one["error"])


@pytest.mark.parametrize("name", ["page.md", "page.html"])
def test_the_extension_decides_the_page(scores: Accuracy, tmp_path: Path, name: str):
    file = write_accuracy(scores, tmp_path / name, command="x")
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>" if name.endswith("html") else "# How accurate")


def test_other_extensions_are_refused(scores: Accuracy, tmp_path: Path):
    with pytest.raises(BadInput, match=r"\.md, \.html"):
        write_accuracy(scores, tmp_path / "page.pdf", command="x")


def test_the_page_of_the_command_counts_rows_and_reasons(frame: pl.DataFrame):
    frame = frame.with_columns(model=pl.when(pl.col("row_id") == "<r0>").then(pl.lit("nonesuch")).otherwise("model"))
    page = validation_page(validate(frame, by=["engine"]), "inferatlas validate x.csv")
    assert page[0].text.startswith("11 of 12 rows scored, left out; median error: TTFT ")  # type: ignore[union-attr]
    titles = [block.title for block in page if hasattr(block, "title")]  # type: ignore[union-attr]
    assert titles == ["All figures", "By engine", "Not scored", "Read as", "Reproduce"]
