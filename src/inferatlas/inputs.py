"""Names as people give them, before anybody looks them up: one or several, none of them empty (floor 0)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from inferatlas.errors import BadInput


def several(names: str | Iterable[str] | None, field: str) -> tuple[str, ...]:
    """The names that were given; a bare text is one name, and None is none.

    Raises
    ------
    BadInput : an empty name, as a variable of a shell that is not set leaves it.

    Examples
    --------
    >>> several("h100", "accelerator"), several(["h100", "l4"], "accelerator"), several(None, "accelerator")
    (('h100',), ('h100', 'l4'), ())
    """
    found = (names,) if isinstance(names, str | Path) else tuple(names or ())
    if not all(str(name).strip() for name in found):
        raise empty_name(field)
    return found  # pyright: ignore[reportReturnType] - a path where names of files are taken


def empty_name(field: str | None) -> BadInput:
    """The refusal of a name without a letter."""
    return BadInput("an empty name", field=field, allowed="a name, or leave it out", hint="is a shell variable unset?")
