"""Any page of blocks as HTML: every kind of block is there, nothing is loaded, and no text leaves its place."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from inferatlas.show.charts.fitness import Mark, fitness
from inferatlas.show.html import FOLDED, TEMPLATES, Section, grade, html_page, plain_page
from inferatlas.show.page import Bar, Block, Column, Command, Heading, Items, Paragraph, Part, Table
from inferatlas.workload import GRADES

EVIL = '</style></svg></pre><script>alert("x")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "col"}


class Page(HTMLParser):
    """Tags in order with their attributes, and the words in each; complains about tags left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[int] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.words.append("")
        if tag not in VOID:
            self.open.append(len(self.tags) - 1)

    def handle_endtag(self, tag):
        assert self.open and self.tags[self.open[-1]][0] == tag, f"</{tag}>"
        self.open.pop()

    def handle_data(self, data):
        for i in self.open:
            self.words[i] += data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(a, text) for (name, a), text in zip(self.tags, self.words, strict=True) if name == tag]

    def texts(self, tag: str) -> list[str]:
        return [re.sub(r"\s+", " ", text).strip() for _, text in self.all(tag)]


def page_of(*blocks: Block, **rest) -> Page:
    return Page(html_page("Which one?", "This one.", [Section("part", "A part", blocks, **rest)], "inferatlas x"))


def test_a_page_says_question_answer_and_how_to_get_it_again():
    text = html_page("Which one?", "This one.", [], "inferatlas 'a b'", lead="of 60")
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n<html")
    assert page.texts("title") == page.texts("h1") == ["Which one?"]
    assert page.texts("h2") == ["Answer", "This page again"]
    assert page.texts("pre") == ["inferatlas 'a b'"]
    assert [text for a, text in page.all("p") if a.get("class") in ("answer", "load")] == ["of 60", "This one."]


def test_every_kind_of_block_is_written():
    page = page_of(
        Heading("A heading"), Paragraph("A sentence."), Paragraph("An aside.", quiet=True),
        Items("Some reasons", ["one", "two"]), Command("Run it", "inferatlas run\n  --more"),
        Bar("Memory", [Part("weights", 6.0, "6 GB")], Part("capacity", 8.0, "8 GB")),
        Table("Numbers", [Column("name"), Column("W", right=True)], [["h100", "700"]]),
    )  # fmt: skip
    assert page.texts("h3") == ["A heading", "Some reasons", "Run it", "Memory", "Numbers"]
    kinds = {a.get("class"): text for a, text in page.all("p")}
    assert kinds["quiet"] == "An aside." and ({}, "A sentence.") in page.all("p")
    assert page.texts("li") == ["one", "two"]
    assert page.all("code")[0][1] == "inferatlas run\n  --more"  # lines of a command stay lines
    assert "█ weights 6 GB" in kinds["bar"] and "· capacity 8 GB" in kinds["bar"]
    assert page.texts("th") == ["name", "W", "h100"] and page.all("td") == [({"class": "n"}, "700")]
    assert page.texts("caption") == ["Numbers"]


def test_a_second_line_of_a_cell_is_small_and_an_address_is_a_link():
    rows = [["190 ms\n130–278 ms", "https://example.org/a"], ["x", "javascript:alert(1)"]]
    page = page_of(Table("", [Column("TTFT"), Column("source")], rows))
    assert page.texts("small") == ["130–278 ms"]
    assert page.texts("th")[2] == "190 ms130–278 ms"
    assert [(a["href"], text) for a, text in page.all("a")] == [("https://example.org/a", "example.org/a")]


@pytest.mark.parametrize(("count", "folded"), [(FOLDED, 0), (FOLDED + 1, 1)])
def test_long_tables_are_folded(count: int, folded: int):
    page = page_of(Table("", [Column("n")], [[str(i)] for i in range(count)]))
    assert len(page.all("details")) == folded
    assert page.texts("summary") == [f"The numbers ({count} rows)"] * folded
    assert len(page.all("tr")) == count + 1


def test_cells_of_grades_have_a_class_and_keep_their_word():
    cells = [*GRADES, "good\nscore 0.41", "not so good", "Good"]
    page = page_of(Table("", [Column("name"), *(Column(f"c{i}") for i in range(len(cells)))], [["h100", *cells]]))
    classes = [a.get("class") for a, _ in page.all("td")]
    named = ["grade-excellent", "grade-very-good", "grade-good", "grade-fair", "grade-limited"]
    assert classes == [*named, "grade-good", None, None]
    assert page.texts("td") == [*GRADES, "goodscore 0.41", "not so good", "Good"]
    style = Path(TEMPLATES, "page.css").read_text(encoding="utf-8")
    assert all(f".{grade(word)} {{ background: var(--{word.replace(' ', '-')})" in style for word in GRADES)


def test_a_chart_stands_under_its_caption_and_before_the_blocks():
    def chart():
        return fitness([Mark("h100", "chat", 0.5, "good")])

    text = html_page(
        "t", "a", [Section("map", "A map", [Paragraph("Below.")], chart, "scores of one", "How to read it.")], "x"
    )
    assert text.index("How to read it.") < text.index("<svg") < text.index("Below.")
    assert Page(text).all("svg")[0][0]["aria-label"] == "scores of one"


def test_where_there_is_nothing_to_draw_no_figure_and_no_caption_stands():
    page = page_of(Paragraph("Text."), chart=lambda: None, caption="How to read it.")
    assert page.all("figure") == page.all("svg") == [] and "How to read it." not in "".join(page.texts("main"))


def test_a_section_with_nothing_to_show_is_left_out():
    page = Page(html_page("t", "a", [Section("one", "One", []), Section("two", "Two", [Paragraph("p")])], "x"))
    assert page.texts("h2") == ["Answer", "Two", "This page again"]


def test_a_block_with_the_title_of_its_section_has_no_heading_of_its_own():
    page = page_of(Items("A part", ["one"]), Table("A part", [Column("n")], [["1"]]), Items("Another", ["two"]))
    assert page.texts("h3") == ["Another"] and page.texts("caption") == ["A part"]


def test_only_columns_of_words_may_be_broken_and_none_becomes_a_column_of_single_words():
    page = page_of(Table("", [Column("name"), Column("why", wraps=True)], [["h100", "many words"]]))
    assert [a.get("class") for a, _ in page.all("td")] == ["words"]
    style = Path(TEMPLATES, "report.css").read_text(encoding="utf-8")
    assert re.search(r"\.numbers tbody td \{ white-space: nowrap; \}", style)
    assert re.search(r"\.words \{ white-space: normal; min-width: \d+rem; \}", style)


@pytest.mark.parametrize(
    ("heading", "title", "answered"),
    [("l4: 3 ms.", "l4", ["l4: 3 ms."]), ("Nine designs.", "Nine designs", []), ("", "inferatlas", [])],
)
def test_a_plain_page_is_titled_by_its_heading(heading: str, title: str, answered: list[str]):
    page = Page(plain_page([Heading(heading), Paragraph("p")] if heading else [Paragraph("p")]))
    assert page.texts("title") == page.texts("h1") == [title]
    assert [text for a, text in page.all("p") if a.get("class") == "answer"] == answered


def test_keys_with_blanks_are_one_name():
    text = html_page("t", "a", [Section("by model size", "By model size", [Paragraph("p")])], "x")
    page = Page(text)
    named = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert "by-model-size" in named and named <= set(ids) and len(ids) == len(set(ids))


def test_text_from_outside_cannot_leave_its_place():
    blocks = [
        Heading(EVIL), Paragraph(EVIL), Items(EVIL, [EVIL]), Command(EVIL, EVIL),
        Bar(EVIL, [Part(EVIL, 1.0, EVIL)], Part(EVIL, 2.0, EVIL)), Table(EVIL, [Column(EVIL)], [[f"{EVIL}\n{EVIL}"]]),
    ]  # fmt: skip
    section = Section(EVIL, EVIL, blocks, lambda: fitness([Mark(EVIL, EVIL, 0.5, EVIL)]), EVIL, EVIL)
    text = html_page(EVIL, EVIL, [section], EVIL, lead=EVIL)
    page = Page(text)
    assert page.all("script") == page.all("img") == []
    assert text.count("</style>") == text.count("</svg>") == 1
    assert 'alert("x")' in page.texts("h1")[0]  # shown as text


def test_a_page_loads_nothing_and_runs_nothing():
    blocks = [Table("", [Column("source")], [["https://example.org/a"]])]
    cells = [Mark("h100", "chat", 0.5, "good", True), Mark("l4", "chat", None, "")]
    text = html_page("t", "a", [Section("map", "A map", blocks, lambda: fitness(cells))], "x")
    for tag, attributes in Page(text).tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "image", "base", "form", "use"}
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in {"src", "srcset", "data", "action", "xlink:href"}
            assert tag == "a" or "http" not in (value or ""), (tag, name, value)
    assert not re.search(r"@import|@font-face|url\(|javascript:|clip-path=", text)
