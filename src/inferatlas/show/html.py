"""HTML that loads nothing and runs nothing; charts stand in it as SVG.

`html_page` shows the same blocks (``page``) that a terminal prints, in sections, each with a chart if it has one.
Pages with a template of their own (``report``) are filled by `fill`, and their charts drawn by `inline`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferatlas import __version__
from inferatlas.show.page import Block, Command, Heading, Page
from inferatlas.show.tables import bar_lines
from inferatlas.workload import GRADES

if TYPE_CHECKING:
    from markupsafe import Markup

    from inferatlas.show.charts.style import AnyChart

TEMPLATES = Path(__file__).parent / "templates"
FOLDED = 30  # tables of more rows are closed until they are asked for
BAR = 72  # characters of a bar


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page: a chart if ``chart`` makes one, then blocks.

    Parameters
    ----------
    key : its name in addresses of the page, unique there. title : its heading.
    blocks : what stands under the chart.
    chart : makes the chart when the page is written (or gives what `inline` made of it), or None where there is
        nothing to draw.
    description : the chart in words, for those who do not see it.
    caption : a sentence between heading and chart, how to read it; only shown with a chart.
    lead : what is said first, over chart and blocks, with or without a chart.
    open : whether long tables stay open.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    chart: Callable[[], AnyChart | Markup | None] | None = None
    description: str = ""
    caption: str = ""
    lead: str = ""
    open: bool = False


def html_page(
    title: str, answer: str, sections: Sequence[Section], command: str, *, lead: str = "", contents: bool = False
) -> str:
    """A page as text: title, the answer in a sentence, the sections, and the command that gives it again.

    Parameters
    ----------
    title : the question that the page answers. answer : the answer in one sentence; empty where the title says it.
    sections : its parts, in reading order; those with nothing to show are left out.
    command : the command line that makes this page.
    lead : what was asked or counted, a line under the title.
    contents : whether a long page lists its sections, each with a link, before the first one.

    Examples
    --------
    >>> from inferatlas.show.page import Paragraph
    >>> page = html_page("Which?", "The H100.", [Section("why", "Why", [Paragraph("a < b")])], "inferatlas x")
    >>> page[:15], "<p>a &lt; b</p>" in page
    ('<!DOCTYPE html>', True)
    """
    drawn = [(section, chart) for section in sections if (chart := _drawn(section)) is not None or section.blocks]
    return fill(
        "page.html.j2", title=title, answer=answer, lead=lead, sections=drawn, command=command, folded=FOLDED,
        contents=contents,
    )  # fmt: skip


def plain_page(page: Page) -> str:
    """Any page of a command as HTML: its first heading is the answer, its command the one that gives it again.

    What stands before a colon in the answer is the title.

    Examples
    --------
    >>> from inferatlas.show.page import Command, Heading
    >>> page = plain_page([Heading("l4: 3 ms. [predicted]"), Command("Reproduce", "inferatlas x")])
    >>> "<title>l4</title>" in page, "<h1>l4</h1>" in page, "l4: 3 ms" in page
    (True, True, True)
    """
    heading = next((block.text for block in page if isinstance(block, Heading)), "")
    command = next((block.text for block in page if isinstance(block, Command) and block.title == "Reproduce"), "")
    rest = [
        block
        for block in page
        if not (isinstance(block, Heading) and block.text == heading)
        and not (isinstance(block, Command) and block.text == command)
    ]
    title, colon, _ = heading.partition(": ")
    answer = heading if colon else ""
    return html_page(title.rstrip(".") or "inferatlas", answer, [Section("result", "Result", rest)], command)


def fill(template: str, **values: Any) -> str:
    """A page from one of the ``templates``, which all know ``version`` and ``date``; text in values is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "address": address,
        "anchor": _anchor,
        "bar": lambda block: bar_lines(block, BAR),
        "grade": grade,
        "kind": lambda block: type(block).__name__,
    }
    date = datetime.now(UTC).date().isoformat()
    return environment.get_template(template).render(version=__version__, date=date, **values)


def inline(chart: AnyChart, description: str) -> Markup:
    """A chart as it stands in a page; ``description`` says it in words."""
    from markupsafe import Markup

    from inferatlas.show.charts.style import to_svg

    # Vega writes the texts of a chart escaped, so its SVG may enter the page as it is (tests/show/test_html.py)
    return Markup(to_svg(chart, description))


def address(text: str | None) -> str | None:
    """An address that may stand behind a link: http or https, nothing else.

    >>> address("https://example.org/a"), address("javascript:alert(1)")
    ('https://example.org/a', None)
    """
    return text if text and re.match(r"https?://[^\s]+\Z", text) else None


def grade(cell: str) -> str:
    """The CSS class of a cell whose first line is a grade, else nothing.

    >>> grade("very good"), grade("good\\nscore 0.31"), grade("not so good")
    ('grade-very-good', 'grade-good', '')
    """
    first = cell.partition("\n")[0]
    return f"grade-{first.replace(' ', '-')}" if first in GRADES else ""


def _anchor(key: str) -> str:
    """A key as the name of a place in the page, where blanks would end it."""
    return re.sub(r"\s+", "-", key.strip())


def _drawn(section: Section) -> Markup | None:
    chart = section.chart() if section.chart else None
    if chart is None or hasattr(chart, "__html__"):
        return chart  # pyright: ignore[reportReturnType] - markup, which jinja2 knows by this method as well
    return inline(chart, section.description or section.title)  # pyright: ignore[reportArgumentType]
