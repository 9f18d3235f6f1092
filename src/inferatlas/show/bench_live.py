"""A bench while it runs: how far it is, and figures of the last seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferatlas.measure.bench.watching import RECENT_S, View
from inferatlas.show.numbers import figure

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

WIDEST, NARROWEST = 40, 8  # of the bar
FULL, FREE = "━", "╌"
BETWEEN = " · "
HINT = "Ctrl-C stops"  # where there is room for it


@dataclass(frozen=True, slots=True)
class LiveView:
    """What to draw, for a terminal of any width."""

    view: View

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text

        for line in live_lines(self.view, options.max_width):
            yield Text(line, no_wrap=True, overflow="ellipsis")


def live_view(view: View) -> LiveView:
    """What a terminal shows of a moment."""
    return LiveView(view)


def live_lines(view: View, width: int = 100) -> list[str]:
    """Progress with the time it will take, and what the last seconds gave, in lines of so many characters.

    Figures are never cut: what has no room on a line begins the next one, and the bar takes what is left over.

    Examples
    --------
    >>> from inferatlas.measure.bench.plan import Point
    >>> some = View(Point(name="c8", kind="closed"), 80, 40, 1, 8, 12.0, 11.7, 0.2, 0.02, 400.0, 3.4, None)
    >>> for line in live_lines(some, 76):
    ...     print(line)
    c8 ━━━━━━━╌╌╌╌╌╌ 41 of 80 · 12 s so far, 12 s to go · 1 failed · 8 in flight
    last 10 s: TTFT 200 ms · ITL 20.0 ms · 400 output tokens/s · 3.40 requests/s
    """
    ended = view.done + view.failed
    name = view.point.name if view.place[1] == 1 else f"{view.point.name} ({view.place[0]} of {view.place[1]})"
    eta = "" if view.eta_s is None else f", {_duration(view.eta_s)} to go"
    counts = [
        f"{ended:,} of {view.total:,}", f"{_duration(view.seconds)} so far{eta}",
        *([f"{view.failed:,} failed"] if view.failed else []), f"{view.in_flight:,} in flight",
    ]  # fmt: skip
    least = len(name) + NARROWEST + 2
    lines = flowing(counts, width, least)
    with_hint = flowing([*counts, HINT], width, least)
    lines = with_hint if len(with_hint) == len(lines) else lines
    room = min(max(width - len(name) - len(lines[0]) - 2, NARROWEST), WIDEST)
    full = min(round(room * ended / max(view.total, 1)), room)
    lines[0] = f"{name} {FULL * full}{FREE * (room - full)} {lines[0]}"
    rates = [
        f"last {RECENT_S:g} s: TTFT {figure(view.ttft_s, 's')}", f"ITL {figure(view.itl_s, 's')}",
        f"{figure(view.output_tokens_per_s, '1')} output tokens/s", f"{figure(view.requests_per_s, '1')} requests/s",
        *([] if view.power_w is None else [figure(view.power_w, "W")]),
    ]  # fmt: skip
    return [*lines, *flowing(rates, width)]


def flowing(parts: Sequence[str], width: int, indent: int = 0) -> list[str]:
    """Parts one after the other in as few lines as they need; the first line has ``indent`` characters less.

    >>> flowing(["one", "two", "three"], 12)
    ['one · two', 'three']
    """
    lines: list[str] = []
    for part in parts:
        room = width - (indent if len(lines) == 1 else 0)
        if lines and len(lines[-1]) + len(BETWEEN) + len(part) <= room:
            lines[-1] += BETWEEN + part
        else:
            lines.append(part)
    return lines


def _duration(seconds: float) -> str:
    """Whole seconds, from a minute on with minutes, from an hour on with hours.

    >>> _duration(12.4), _duration(754), _duration(7380)
    ('12 s', '12 min 34 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


__all__ = ["LiveView", "flowing", "live_lines", "live_view"]
