"""Where results go: stdout or a file, in the format asked for; words about the work go to stderr."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from inferatlas.cli.flags import Out
    from inferatlas.show.output import Columns, Rows
    from inferatlas.show.page import Page

TYPED: ContextVar[str] = ContextVar("typed", default="inferatlas")
NO_TERMINAL_WIDTH = 160
T = TypeVar("T")


def as_typed(words: Sequence[str]) -> str:
    """The command line that was given, quoted so that a shell reads it back the same."""
    return shlex.join(["inferatlas", *words])


def coloured(stream: TextIO) -> bool:
    """Colour only on a terminal, and not where ``NO_COLOR`` is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Characters a line may have: ``COLUMNS``, else the terminal's, else 160."""
    fallback = NO_TERMINAL_WIDTH if not sys.stdout.isatty() else 100
    try:
        asked = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        asked = 0
    if asked > 0 or not sys.stdout.isatty():
        return asked if asked > 0 else fallback
    return shutil.get_terminal_size((fallback, 24)).columns


def say(text: str, *, badge: str | None = None) -> None:
    """One message on stderr."""
    head = f"{badge}: " if badge else ""
    if badge and coloured(sys.stderr):
        head = f"\033[1;31m{badge}:\033[0m "
    print(f"{head}{text}", file=sys.stderr)


class Sink:
    """Where one result goes, checked before the work is done.

    Raises
    ------
    BadInput : an extension that names no format, a path that cannot be written, Parquet to a terminal.
    """

    def __init__(self, out: Out) -> None:
        from inferatlas.errors import BadInput
        from inferatlas.show.output import check_writable, format_for

        self.style = format_for(out.format, out.output)
        self.path = None if out.output in (None, "-") else check_writable(out.output)
        self.quiet = out.quiet
        if self.style == "parquet" and self.path is None and sys.stdout.isatty():
            raise BadInput("Parquet is not for terminals", field="format", allowed="--output FILE, or a pipe")

    def put(
        self,
        found: Any,
        *,
        page: Callable[[Any, str], Page],
        rows: Callable[[Any], Rows | Columns] | None = None,
        html: Callable[[Any, str], str] | None = None,
        document: Callable[[], Any] | None = None,
    ) -> None:
        """Write what was found in the format asked for, and say where it went if that is a file.

        Parameters
        ----------
        found : the result. page, html : make of it and the command typed what people read; html as in `Result`.
        rows : makes of it the table of data; None where it is that table.
        document : the JSON; None where that is ``found.as_dict()``.
        """
        from inferatlas.show.output import Result, emit, write_file, write_stdout

        typed = TYPED.get()
        result = Result(
            document or found.as_dict,
            lambda: rows(found) if rows else found,
            lambda: page(found, typed),
            (lambda: html(found, typed)) if html else None,
        )
        if self.path is None:
            write_stdout(emit(result, self.style, width=width(), colour=coloured(sys.stdout)))
            return
        write_file(emit(result, self.style), self.path)
        self.tell(f"wrote {self.path}")

    def tell(self, text: str) -> None:
        if not self.quiet:
            say(text)

    @contextmanager
    def working(self, label: str) -> Iterator[None]:
        """A line with the time spent, on a terminal, while something runs whose length is not known."""
        if self.quiet or not sys.stderr.isatty():
            yield
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with Progress(
            SpinnerColumn(), TextColumn(label), TimeElapsedColumn(), console=_stderr(), transient=True
        ) as bar:
            bar.add_task(label, total=None)
            yield

    @contextmanager
    def counting(self, label: str, total: int) -> Iterator[Callable[[int, int], None] | None]:
        """A function that is told how many are done, and shows it on a terminal; None where nobody looks."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn(label), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeRemainingColumn()
        with Progress(*columns, console=_stderr(), transient=True) as bar:
            task, before = bar.add_task(label, total=total), [0, 0]

            def told(done: int, of: int) -> None:
                if done < before[1]:  # the next of several
                    before[0] += of
                before[1] = done
                bar.update(task, completed=before[0] + done)

            yield told

    @contextmanager
    def drawing(self) -> Iterator[Callable[[Any], None] | None]:
        """A function that draws something of rich's in place of what it drew before; None where nobody looks."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.live import Live

        with Live(console=_stderr(), transient=True, auto_refresh=False) as live:
            yield lambda drawn: live.update(drawn, refresh=True)

    def tracked(self, items: Sequence[T], label: str) -> Iterator[T]:
        """The items, with a progress bar and the time left on a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.progress import track

        yield from track(items, label, console=_stderr(), transient=True)


def _stderr():
    from rich.console import Console

    return Console(stderr=True, no_color=not coloured(sys.stderr))
