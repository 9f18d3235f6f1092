"""The page: whole, alone, honest. It loads nothing, hides nobody, and says so when there is no answer."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from inferatlas.decide.advisor.recommend import Recommendation, recommend
from inferatlas.errors import BadInput
from inferatlas.predict.answer import DEFINITIONS
from inferatlas.show.report import render, words, write_report
from inferatlas.show.report.metrics import METRICS, middle, number, spread
from inferatlas.show.report.pictures import pictures
from inferatlas.show.report.sources import price_rows, site_rows

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "col"}
COMMAND = 'inferatlas recommend --model llama-3.1-8b --slo "ttft:p95<500ms" --report report.html'
PARTS = ("nvidia-h100-sxm", "nvidia-l4", "amd-mi300x", "groq-lpu-v1", "nvidia-gh200", "tenstorrent-grayskull-e150")


class Page(HTMLParser):
    """Tags in order with their attributes and the text inside; complains about tags left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def found() -> Recommendation:
    return recommend(
        "llama-3.1-8b", workload="chat", request_rate=4, slo=("ttft:p95<2s", "itl:mean<50ms"),
        accelerators=PARTS, max_count=8, top=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def closed() -> Recommendation:
    return recommend(
        "qwen3-8b", isl=1024, osl=256, concurrency=16, accelerators=PARTS[:3], max_count=4, objective="energy"
    )


@pytest.fixture(scope="module")
def nothing() -> Recommendation:
    return recommend(
        "llama-3.3-70b", workload="chat", request_rate=4, slo=("ttft:p95<1ms",), accelerators=PARTS, max_count=8
    )


@pytest.fixture(scope="module", params=["found", "closed", "nothing"])
def page(request: pytest.FixtureRequest) -> str:
    return render(request.getfixturevalue(request.param), command=COMMAND)


def test_the_page_is_well_formed_and_has_a_language(page: str):
    parsed = Page(page)
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("title")) == len(parsed.all("h1")) == len(parsed.all("main")) == 1


def test_the_page_stands_alone(page: str):
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "image", "base", "form", "use"}, tag
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "srcset", "data", "action", "poster", "background", "xlink:href"} or (
                name == "href" and tag != "a"
            ):
                pytest.fail(f"{tag} {name}={value}")
            if name == "href":
                assert re.match(r"https?://", value or ""), value
            if tag != "a":
                assert "http:" not in (value or "") and "https:" not in (value or ""), (tag, name, value)
    assert not re.search(r"@import|@font-face|url\(|javascript:", page)
    assert not re.search(r"\bcdn\b|unpkg|esm\.sh|googleapis|jsdelivr|cloudflare|gstatic", page, re.IGNORECASE)


def test_names_inside_the_page_are_unique_and_all_are_found(page: str):
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a["aria-labelledby"] for _, a in parsed.tags if "aria-labelledby" in a]
    assert set(named) <= set(ids)
    assert not re.search(r'="url\(#|clip-path="', page)  # two pictures may not share a clip


def test_headings_descend_one_by_one(page: str):
    levels = [int(tag[1]) for tag, _ in Page(page).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_picture_is_named_and_has_its_table(page: str):
    order = [tag for tag, _ in Page(page).tags if tag in ("figure", "table")]
    for here, after in zip(order, [*order[1:], ""], strict=True):
        assert here != "figure" or after == "table"
    for picture in Page(page).all("svg"):
        assert picture["role"] == "img" and picture["aria-label"]
    for header in Page(page).all("th"):
        assert header.get("scope") in ("col", "row")
    assert page.count("<caption>") == page.count("<table")


def test_the_page_is_small_and_says_how_to_get_it_again(page: str):
    assert len(page.encode()) < 2_000_000
    assert COMMAND in Page(page).words
    assert all(label in Page(page).words for label in words.LABELS)


@pytest.fixture(scope="module")
def found_page(found: Recommendation) -> str:
    return render(found, command=COMMAND)


def test_all_candidates_and_all_rejected_are_there(found: Recommendation, found_page: str):
    parsed = Page(found_page)
    assert found.candidates and found.rejected
    for candidate in found.candidates:
        assert candidate.accelerator in parsed.words and words.row_name(candidate) in "".join(parsed.text)
        for metric in ("usd_per_million_tokens", "ttft_s", "itl_s", "power_w"):
            held = candidate.metrics[metric]
            if held:
                assert number(metric, held.value) in parsed.words and spread(metric, held) in parsed.words
        assert candidate.command is None or candidate.command in parsed.words
    for out in found.rejected:
        assert out.accelerator in parsed.words and out.detail in parsed.words
    for flip in found.flips:
        assert flip.change in parsed.words
    for note in found.notes:
        assert note[1:] in parsed.words


def test_no_accelerator_vanishes(found: Recommendation, found_page: str):
    """Searched = shown + rejected + ranked lower: the list of candidates is cut, the page says so."""
    lower = found.ranked_lower
    assert lower, "the question is chosen so that some rank below the first three"
    shown = {c.accelerator for c in found.candidates} | {r.accelerator for r in found.rejected}
    assert shown | set(lower) == set(PARTS) and not shown & set(lower)
    assert all(name in Page(found_page).words for name in lower)


def test_every_candidate_carries_its_kind_of_evidence(found: Recommendation, found_page: str):
    best = replace(found.candidates[0], label="predicted")
    other = render(replace(found, candidates=[best, *found.candidates[1:]]), command=COMMAND)
    count = found_page.count('class="badge predicted"')
    assert other.count('class="badge predicted"') == count + (0 if found.candidates[0].label == "predicted" else 2)


def test_without_candidates_the_page_says_why(nothing: Recommendation):
    assert not nothing.candidates
    parsed = Page(render(nothing, command=COMMAND))
    assert "No answer" in parsed.words and "target missed" in parsed.words
    for out in nothing.rejected:
        assert out.accelerator in parsed.words and out.detail in parsed.words
    assert not parsed.all("svg") and pictures(nothing) == []


def test_a_question_without_targets_has_no_probabilities(closed: Recommendation):
    keys = [picture.key for picture in pictures(closed)]
    assert keys == ["ranking", "latency", "memory", "tradeoff"]
    assert "meets targets" not in Page(render(closed, command=COMMAND)).words
    assert "probability" not in words.answer(closed)


def test_every_chart_of_a_question_with_targets_is_drawn(found: Recommendation, found_page: str):
    drawn = pictures(found)
    assert [picture.key for picture in drawn] == ["ranking", "probability", "latency", "memory", "tradeoff"]
    assert len(Page(found_page).all("svg")) == 5
    for picture in drawn:
        assert picture.sentence.endswith(".") and picture.table.rows
        assert all(len(row) == len(picture.table.columns) for row in picture.table.rows)


def test_the_page_says_where_widths_come_from(page: str):
    assert "left out of the fit" in Page(page).words and "width of the priors" not in page


def test_a_line_of_targets_is_only_spoken_of_where_there_are_targets(found: Recommendation, closed: Recommendation):
    assert "dashed line" in words.latency_sentence(found) and "dashed line" not in words.latency_sentence(closed)


def test_a_percentile_target_is_not_passed_off_as_a_mean(found: Recommendation):
    latency = next(picture for picture in pictures(found) if picture.key == "latency")
    assert "the p95 of TTFT" in latency.sentence
    assert latency.table.columns[1].name == "p95 of TTFT"
    mean, p95 = found.candidates[0].metrics["ttft_s"], found.candidates[0].targets[0]["value"]
    assert p95.value > mean.value
    assert latency.table.rows[0][1] == middle("ttft_s", p95)


def test_the_answer_is_one_sentence_with_interval_and_probability(found: Recommendation, closed: Recommendation):
    best = found.candidates[0]
    answer = words.answer(found)
    assert answer.startswith(f"{best.count} × {best.name}") and answer.endswith(".") and ". " not in answer
    assert f"80 % interval {spread('itl_s', best.metrics['itl_s'])}" in answer
    assert "probability of" in answer
    assert "80 % interval" in words.answer(closed)


def test_names_from_outside_cannot_leave_their_place(found: Recommendation):
    evil = '</style></svg><script>alert("x")</script><img src=x onerror=alert(1)>'
    first = replace(found.candidates[0], name=evil, command=evil, fallbacks=[evil], weights=evil, accelerator=evil)
    inputs = found.inputs | {
        "model": evil,
        "workload": found.inputs["workload"]
        | {"name": evil, "source": evil, "note": evil, "address": "javascript:alert(1)"},
    }
    hostile = replace(
        found,
        inputs=inputs,
        candidates=[found.candidates[1], first],  # the first one must be in the catalogue to cite its site
        rejected=[replace(found.rejected[0], accelerator=evil, detail=evil)],
        notes=[evil],
    )
    page = render(hostile, command=evil)
    test_the_page_stands_alone(page)
    parsed = Page(page)
    assert parsed.all("script") == parsed.all("img") == []
    assert 'alert("x")' in parsed.words  # shown as text


def test_prices_and_site_carry_their_source_and_date(found: Recommendation):
    prices = price_rows(found)
    for candidate in found.candidates:
        mine = [row for row in prices if row.what.startswith(candidate.accelerator)]
        assert mine
        if candidate.usd_per_hour is not None:
            hourly = f"{number('usd_per_million_tokens', candidate.usd_per_hour / candidate.count)} USD/h"
            assert any(row.value == hourly and re.match(r"\d{4}", row.date) for row in mine if "rental" in row.what)
        else:
            assert any(row.status == "unknown" for row in mine)
    site = {row.what: row for row in site_rows(found)}
    assert "gCO2e/kWh" in site["grid carbon intensity"].value and site["grid carbon intensity"].address
    assert float(site["PUE of the site"].value) >= 1


def test_a_price_of_ones_own_is_called_given():
    own = recommend(
        "llama-3.1-8b", isl=512, osl=128, concurrency=4, accelerators=("nvidia-h100-sxm",), max_count=1, price=9.5
    )
    rows = price_rows(own)
    assert rows[0].status == "given" and rows[0].value == "9.50 USD/h"
    assert not any("rental" in row.what for row in rows)


def test_every_metric_of_an_answer_has_a_name():
    assert set(DEFINITIONS) == set(METRICS)


def test_the_file_is_written_and_a_bad_place_is_refused(nothing: Recommendation, tmp_path: Path):
    written = write_report(nothing, tmp_path / "report.html", command=COMMAND)
    assert written.read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")
    with pytest.raises(BadInput, match="cannot be written"):
        write_report(nothing, tmp_path / "absent" / "report.html", command=COMMAND)


@pytest.mark.parametrize(
    ("slo", "said"),
    [("ttft:p95<500ms", "p95 TTFT below 500 ms"), ("latency<9s", "mean latency below 9.00 s"),
     ("total_tokens_per_s>1000", "total throughput above 1,000 tokens/s")],
)  # fmt: skip
def test_targets_in_words(found: Recommendation, slo: str, said: str):
    asked = replace(found, inputs=found.inputs | {"slo": [slo]})
    assert said in words.question(asked)
