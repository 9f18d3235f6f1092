"""A bench while it runs: how far it is, and figures of the last seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferatlas.measure.bench.watching import RECENT_S, View
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE

if TYPE_CHECKING:
    from rich.console import Group

WIDTH = 32  # of the bar


def live_view(view: View) -> Group:
    """What to draw for a terminal of any width."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in live_lines(view)))


def live_lines(view: View) -> list[str]:
    """Progress with the time it will take, and what the last seconds gave.

    Examples
    --------
    >>> from inferatlas.measure.bench.plan import Point
    >>> some = View(Point(name="c8", kind="closed"), 80, 40, 1, 8, 12.0, 11.7, 0.2, 0.02, 400.0, 3.4, None)
    >>> for line in live_lines(some):
    ...     print(line)
    c8 ━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 41 of 80, 1 failed · 8 in flight · 12 s, 12 s to go · Ctrl-C stops
    last 10 s: TTFT 200 ms · ITL 20 ms · 400 output tokens/s · 3.4 requests/s
    """
    ended = view.done + view.failed
    full = min(round(WIDTH * ended / max(view.total, 1)), WIDTH)
    failed = f", {view.failed:,} failed" if view.failed else ""
    eta = "" if view.eta_s is None else f", {_rounded(view.eta_s)} to go"
    head = (
        f"{view.point.name} {'━' * full}{'╌' * (WIDTH - full)} {ended:,} of {view.total:,}{failed} · "
        f"{view.in_flight:,} in flight · {_rounded(view.seconds)}{eta} · Ctrl-C stops"
    )
    power = "" if view.power_w is None else f" · {show(view.power_w, 'W')}"
    recent = (
        f"last {RECENT_S:g} s: TTFT {show(view.ttft_s, 's')} · ITL {show(view.itl_s, 's')} · "
        f"{_rate(view.output_tokens_per_s)} output tokens/s · {_rate(view.requests_per_s)} requests/s{power}"
    )
    return [head, recent]


def _rounded(seconds: float) -> str:
    return show(float(round(seconds)), "s")


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
