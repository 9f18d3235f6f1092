"""Slopes join both ranks of everything, name what is to be named without one name on another, and stay inside."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.show.charts.slopes import ABREAST, LINE, Panel, Slope, slopes
from inferatlas.show.charts.style import AnyChart, to_svg

EVIL = '"><script>alert(1)</script>'


def rows(chart: AnyChart) -> list[list[dict]]:
    return [layer["data"]["values"] for layer in chart.to_dict()["layer"]]


def panel(names: list[str], title: str = "chat", named: int = 3) -> Panel:
    back = len(names) + 1
    return Panel(title, "one", "other", [Slope(n, i, back - i, i <= named) for i, n in enumerate(names, start=1)])


@pytest.mark.parametrize("many", [1, 3, 7])
def test_every_panel_has_its_title_sides_and_all_its_lines(many: int):
    names = list(accelerator_ids())[:20]
    quiet, named, leaders, words, titles, sides, ranks = rows(slopes([panel(names, f"p{i}") for i in range(many)]))
    assert (len(quiet), len(named), len(leaders), len(words)) == (17 * many, 3 * many, 3 * many, 3 * many)
    assert [row["text"] for row in titles] == [f"p{i}" for i in range(many)] and len(sides) == 2 * many
    assert {row["text"] for row in ranks} == {"1", "10", "20"}
    assert len({row["x"] for row in titles}) == min(many, ABREAST)


def test_better_is_above_on_both_sides():
    quiet, *_ = rows(slopes([panel(list("abcdef"), named=0)]))
    by = {row["name"]: row for row in quiet}
    assert [by[n]["y"] for n in "abcdef"] == sorted(by[n]["y"] for n in "abcdef")
    assert [by[n]["y2"] for n in "abcdef"] == sorted((by[n]["y2"] for n in "abcdef"), reverse=True)


@given(st.lists(st.integers(1, 60), min_size=4, max_size=8, unique=True))
@settings(max_examples=20, deadline=None)
def test_no_name_lies_on_another(ends: list[int]):
    chart = slopes([Panel("chat", "one", "other", [Slope(f"n{r}", 61 - r, r, named=True) for r in ends])])
    heights = sorted(row["y"] for row in rows(chart)[3])
    assert all(b - a >= LINE - 1e-6 for a, b in pairwise(heights))


def test_words_are_written_escaped():
    svg = to_svg(slopes([Panel(EVIL, EVIL, EVIL, [Slope(EVIL, 1, 2, named=True)])]), "x")
    assert "<script" not in svg and "alert" in svg
    ElementTree.fromstring(svg)


def test_the_longest_name_of_the_catalogue_keeps_its_mark():
    longest = max(accelerator_ids(), key=len)
    assert f"{longest} ★" in to_svg(slopes([Panel("chat", "one", "other", [Slope(longest, 1, 2, True, "★")])]), "x")
