"""A page loses nothing at any width, and looks the same in Markdown."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.show.page import Bar, Column, Command, Heading, Part, Table
from inferatlas.show.tables import share_bar, to_markdown, to_text

WORDS = st.text("abcdefgh0123456789", min_size=1, max_size=12)
TABLES = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.lists(WORDS, min_size=n, max_size=n), min_size=1, max_size=4),
    )
)


@settings(max_examples=30)
@given(TABLES, st.integers(30, 120))
def test_every_cell_is_whole_at_any_width(table: tuple[list[bool], list[list[str]]], width: int):
    wraps, rows = table
    columns = [Column(f"c{i}", wraps=one) for i, one in enumerate(wraps)]
    text = to_text([Table("", columns, rows)], width=width)
    narrow = any(wraps) and width < 60  # a column of words may be narrower than its longest word
    if not narrow:
        for row in rows:
            for cell in row:
                assert cell in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_table_too_wide_is_printed_in_groups_that_repeat_its_key():
    columns = [Column("name"), *(Column(f"column {i}") for i in range(6))]
    text = to_text([Table("", columns, [["h100", *"abcdef"]])], width=40)
    assert text.count("h100") == text.count("name") == 2
    assert [text.count(f"column {i}") for i in range(6)] == [1] * 6


def test_a_command_is_never_broken():
    line = "vllm serve " + "--flag " * 40
    assert f"  {line}".rstrip() in to_text([Command("Start", line)], width=40)


def test_second_lines_become_brackets_in_markdown():
    page = [Heading("Title"), Table("T", [Column("a\nb"), Column("x", right=True)], [["k|l\nm", "190 ms\n130–278 ms"]])]
    assert to_markdown(page) == "# Title\n\n**T**\n\n| a b | x |\n| --- | ---: |\n| k\\|l m | 190 ms (130–278 ms) |\n"


def test_a_bar_keeps_small_parts_visible_and_says_when_it_is_exceeded():
    parts = [Part("weights", 70.0, "70 GB"), Part("cache", 0.01, "10 MB")]
    fits = to_text([Bar("Memory", parts, Part("capacity", 80.0, "80 GB"))], width=80).splitlines()
    assert fits[1].count("█") > 50
    assert fits[1].count("▓") == 1
    over = to_text([Bar("Memory", parts, Part("capacity", 40.0, "40 GB"))], width=80)
    assert "more than the capacity: 40 GB" in over
    assert "·" not in over


@given(st.floats(0, 1))
def test_a_share_is_as_long_as_it_is_large(share: float):
    assert 20 * share - 1 <= len(share_bar(share)) <= 20 * share + 1


def test_colour_is_only_written_when_asked_for(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    page = [Table("", [Column("label")], [["extrapolated"]])]
    assert "\033[" not in to_text(page, width=40)
    assert "\033[" in to_text(page, width=40, colour=True)
