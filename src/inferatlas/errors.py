"""The one tree of errors: what is wrong, where, what is allowed, what to do (floor 0).

Every error that a user can cause carries the exit code of the command line:
2 usage or bad input, 3 no feasible answer, 4 target missed, 5 conflicting data, 1 a defect of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

LISTED = ("accelerator", "model", "name", "regime", "workload")  # kinds of names that `catalogue list` shows


class InferAtlasError(Exception):
    """Base of all errors; on its own it means a defect of ours (exit code 1).

    Parameters
    ----------
    message : what is wrong, one sentence.
    field : the name of the input or the dotted key that is wrong.
    allowed : what would be accepted.
    hint : what to do next.
    file, line : where the value was read (line counts from 1).
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
        file: str | Path | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.field, self.allowed, self.hint = message, field, allowed, hint
        self.file, self.line = (str(file) if file is not None else None), line

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        field = f"{self.field}: " if self.field else ""
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{where}{field}{self.message}{allowed}{hint}"

    def __reduce__(self):
        # the constructors take keywords, which the default pickling (used between processes) would drop
        return _restore, (type(self), self.args, self.__dict__)

    def as_dict(self) -> dict[str, str | int | None]:
        """The error as the commands print it with ``--format json``."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "field": self.field,
            "allowed": self.allowed,
            "hint": self.hint,
            "file": self.file,
            "line": self.line,
            "exit_code": self.exit_code,
        }


def _restore(kind: type[InferAtlasError], args: tuple[str, ...], state: dict[str, object]) -> InferAtlasError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class BadInput(InferAtlasError):
    """A value, name, file or combination that cannot be accepted."""

    exit_code = 2


class UnknownName(BadInput):
    """A name that is not among the known ones; near names are offered.

    Parameters
    ----------
    kind : what the name was to be, in a word. name : as it was given. known : every name that is accepted.
    field : the input that is wrong, where it is not called as its kind.
    allowed : what would be accepted, where the known names sorted (or counted, beyond a dozen) do not say it best.
    file, line : where the name was read.

    Examples
    --------
    >>> print(UnknownName("metric", "itk", ["ttft", "itl"], field="slo"))
    slo: unknown metric 'itk' (allowed: itl, ttft)
      did you mean itl?
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        *,
        field: str | None = None,
        allowed: str | None = None,
        file: str | Path | None = None,
        line: int | None = None,
    ) -> None:
        known = sorted(set(known))
        self.near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(self.near)}?" if self.near else None
        if allowed is None:
            many = len(known) > 12
            allowed = f"one of {len(known)} names" if many else ", ".join(known)
            hint = hint or ("`inferatlas catalogue list` shows every name" if many and kind in LISTED else None)
        super().__init__(
            f"unknown {kind} '{name}'", field=field or kind, allowed=allowed, hint=hint, file=file, line=line
        )


class NoFeasibleAnswer(InferAtlasError):
    """The question is well formed and nothing satisfies it.

    ``code`` is the machine-readable reason (for example ``memory``), ``least_count`` the number of
    accelerators with which it would fit, where that is known.
    """

    exit_code = 3

    def __init__(self, message: str, *, code: str, least_count: int | None = None, **kw: str | None) -> None:
        super().__init__(message, **kw)  # type: ignore[arg-type]
        self.code, self.least_count = code, least_count

    def as_dict(self) -> dict[str, str | int | None]:
        return super().as_dict() | {"code": self.code, "least_count": self.least_count}


class NotModelled(NoFeasibleAnswer):
    """The catalogue holds the thing, but there is no model of its performance yet."""

    def __init__(self, message: str, **kw: str | None) -> None:
        super().__init__(message, code="not_modelled", **kw)  # type: ignore[arg-type]


class TargetMissed(InferAtlasError):
    """Feasible, but a service target is not met."""

    exit_code = 4


class ConflictingData(InferAtlasError):
    """Sources contradict each other where one answer is needed."""

    exit_code = 5


@contextmanager
def called(field: str, kind: str) -> Iterator[None]:
    """Errors about a ``kind`` of input (``accelerator``, ``model``) name the input ``field`` that it was given as.

    Examples
    --------
    >>> with called("decode", "accelerator"):
    ...     raise UnknownName("accelerator", "h10", ["h100"])
    Traceback (most recent call last):
    inferatlas.errors.UnknownName: decode: unknown accelerator 'h10' (allowed: h100)
      did you mean h100?
    """
    try:
        yield
    except InferAtlasError as error:
        error.field = field if error.field == kind else error.field
        raise
