"""The live view of a bench: nothing is cut at any width, and what is not known is not made up."""

from io import StringIO
from typing import Any

import pytest

from inferatlas.measure.bench.plan import Point
from inferatlas.measure.bench.watching import View
from inferatlas.show.bench_live import live_lines, live_view


def view(**more: Any) -> View:
    told: dict[str, Any] = {
        "point": Point(name="c8", kind="closed"), "total": 80, "done": 40, "failed": 1, "in_flight": 8,
        "seconds": 12.0, "eta_s": 11.7, "ttft_s": 0.2, "itl_s": 0.02, "output_tokens_per_s": 400.0,
        "requests_per_s": 3.4, "power_w": 300.0,
    }  # fmt: skip
    return View(**(told | more))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_live_view_keeps_every_figure_at_any_width(width: int):
    lines = live_lines(view(), width)
    assert max(map(len, lines)) <= width
    for words in ("41 of 80", "12 s so far, 12 s to go", "1 failed", "8 in flight", "TTFT 200 ms", "300 W"):
        assert any(words in line for line in lines), words
    assert len(lines) == 2 or width < 100


def test_the_bar_is_as_full_as_the_run_and_never_more():
    for done, share in ((0, 0.0), (39, 0.5), (79, 1.0), (500, 1.0)):
        first = live_lines(view(done=done), 100)[0]
        assert first.count("━") == pytest.approx(share * (first.count("━") + first.count("╌")), abs=0.6)


def test_what_is_not_known_yet_is_a_dash_and_no_time_to_go():
    unknown = dict.fromkeys(("eta_s", "ttft_s", "itl_s", "output_tokens_per_s", "requests_per_s", "power_w"))
    text = " ".join(live_lines(view(**unknown), 200))
    assert "TTFT — · ITL — · — output tokens/s · — requests/s" in text
    assert "to go" not in text and "W" not in text


def test_the_live_view_asks_the_console_how_wide_it_is():
    from rich.console import Console

    console = Console(width=60, file=StringIO())
    console.print(live_view(view()))
    lines = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert lines == live_lines(view(), 60)
