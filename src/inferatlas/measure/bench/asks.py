"""One request as it is asked: the body that goes to the server, and what it was meant to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ask:
    """A body, and what is known of it beforehand.

    ``body``: the whole JSON, with ``stream``. ``prompt``: 16 hexadecimal digits of the prompt's SHA-256, so that equal
    prompts can be paired between runs and no text is kept. ``input_tokens``, ``output_tokens``: meant, None where that
    is not known.
    """

    body: bytes
    prompt: str
    input_tokens: int | None = None
    output_tokens: int | None = None


class Asks(Protocol):
    """The bodies of a point of load, made when they are needed: nothing is held for requests that were not sent yet.

    ``live``: a later turn needs the replies of the earlier ones, as they came.
    """

    @property
    def name(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def live(self) -> bool: ...

    def ask(self, number: int, replies: Sequence[str] = ()) -> Ask:
        """The request of this number in the point's `Requests`; ``replies``: texts of the turns before it."""
        ...
