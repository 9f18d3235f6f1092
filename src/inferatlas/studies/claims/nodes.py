"""A YAML document walked strictly: every refusal names the file, the line and the field."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inferatlas.documents import Document
from inferatlas.errors import BadInput
from inferatlas.studies.claims.ledger import Place

Steps = tuple[str | int, ...]
LONGEST = 2_000  # characters of a text: a claim is a sentence
MOST = 1_000  # entries of a list of texts


def _is_hidden(letter: str) -> bool:
    """Whether a character is for the terminal or for the direction of writing, not for the reader."""
    return unicodedata.category(letter) in ("Cc", "Cf") and letter not in "\n\t"


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document with its place there."""

    document: Document
    steps: Steps
    value: Any

    @property
    def place(self) -> Place:
        return Place(self.document.file, self.document.line(self.steps))

    @property
    def name(self) -> str:
        """Its dotted name, list entries counted from 1."""
        return ".".join(str(step + 1) if isinstance(step, int) else step for step in self.steps)

    def bad(self, message: str, key: str | int | None = None, allowed: str | None = None) -> BadInput:
        """The refusal of this value, or of what it holds under ``key``."""
        node = self if key is None else Node(self.document, (*self.steps, key), None)
        return node.place.bad(message, node.name, allowed)

    def at(self, error: BadInput, key: str | None = None) -> BadInput:
        """An error of somebody who knew no file, with this place."""
        node = self if key is None else Node(self.document, (*self.steps, key), None)
        place = node.place
        error.file, error.line, error.field = place.file, place.line, node.name or error.field
        return error

    def mapping(self, needed: tuple[str, ...] = (), optional: tuple[str, ...] | None = None) -> Node:
        """Itself, being a mapping with these keys; ``optional`` None allows any others.

        Raises
        ------
        BadInput : it is none, a needed key is missing, or a key is unknown (a near one is offered).
        """
        if not isinstance(self.value, dict):
            raise self.bad("a mapping is needed here", allowed="'key: value' lines")
        for key in needed:
            if key not in self.value:
                raise self.bad(f"'{key}' is missing", allowed=", ".join((*needed, *(optional or ()))))
        if optional is not None:
            for key in self.value:
                if key not in needed and key not in optional:
                    near = difflib.get_close_matches(key[:LONGEST], (*needed, *optional), n=1)
                    raise self.bad(
                        f"unknown key {key[:80]!r}" + (f", did you mean {near[0]}?" if near else ""), key,
                        allowed=", ".join((*needed, *optional)),
                    )  # fmt: skip
        return self

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def __getitem__(self, key: str) -> Node:
        return Node(self.document, (*self.steps, key), self.value.get(key))

    def list(self, key: str) -> Iterator[Node]:
        """The entries of the list under ``key``; none where it is absent."""
        found = self.value.get(key)
        if found is None:
            return
        if not isinstance(found, list):
            raise self.bad("a list is needed here", key, allowed="entries that begin with '-', or [a, b]")
        for i, item in enumerate(found):
            yield Node(self.document, (*self.steps, key, i), item)

    def items(self, key: str) -> Iterator[tuple[str, Node]]:
        """The entries of the mapping under ``key``; none where it is absent."""
        if self.value.get(key) is None:
            return
        for name, item in self[key].mapping().value.items():
            yield name, Node(self.document, (*self.steps, key, name), item)

    def text(self, key: str, default: str | None = None, *, among: tuple[str, ...] = ()) -> str:
        """The text under ``key``; a number counts as its text where it was not quoted.

        Raises
        ------
        BadInput : it is missing and there is no default, it is empty or no text, or not ``among`` what is allowed.
        """
        found = self.value.get(key)
        if found is None and default is not None:
            return default
        if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 10**300:
            found = str(found)
        if not isinstance(found, str) or not found.strip():
            raise self.bad("a text is needed here", key)
        if len(found) > LONGEST:
            raise self.bad(f"a text of {len(found):,} characters", key, allowed=f"at most {LONGEST:,}")
        if not found.isprintable() and any(map(_is_hidden, found)):
            raise self.bad("a character that cannot be seen, such as a terminal's escape", key)
        if among and found not in among:
            raise self.bad(f"'{found}' is not allowed here", key, allowed=", ".join(among))
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under ``key``; one text is a list of one."""
        if isinstance(self.value.get(key), str | int | float):
            return (self.text(key),)
        if len(self.value.get(key) or ()) > MOST:
            raise self.bad("too many entries", key, allowed=f"at most {MOST:,}")
        return tuple(Node(self.document, node.steps[:-1], {"": node.value}).text("") for node in self.list(key))
