"""One conversation as it stands in a data set, whatever the form of the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.bodies import Message

# Who speaks, as data sets call them, and as the chat API does. ShareGPT-like files name people and models in many ways.
ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "tool": "tool",
}


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation.

    Parameters
    ----------
    messages : who says it (``user``, ``assistant``, ``system``, ...) and what, in order; none where ``token_ids`` are
        given. output_tokens : asked for in the file; None: not said. token_ids : a prompt of token ids instead.
    """

    messages: tuple[Message, ...]
    output_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None

    @property
    def reply(self) -> str | None:
        """The last message, if the assistant says it: what a model is to be compared with."""
        return self.messages[-1][1] if self.messages and self.messages[-1][0] == "assistant" else None

    @property
    def characters(self) -> int:
        """Of all messages, the last reply included."""
        return sum(len(text) for _, text in self.messages)


Reader = Callable[[dict[str, Any], Path, int | None], Dialogue]  # an entry, its file, its line: a conversation


def read_messages(entries: Any, who: str, what: str, field: str, file: Path, line: int | None) -> tuple[Message, ...]:
    """Messages from a list of objects.

    Parameters
    ----------
    who, what : the keys of the speaker and of the text. field : the key of the list, for errors.

    Raises
    ------
    BadInput : no list, an entry that is no object with these two texts, a speaker that is not one of `ROLES`.
    """
    allowed = f'a list of {{"{who}": …, "{what}": …}}'
    if not isinstance(entries, list):
        raise BadInput("is no conversation", field=field, allowed=allowed, file=file, line=line)
    messages: list[Message] = []
    for place, entry in enumerate(entries, 1):
        speaker, text = (entry.get(who), entry.get(what)) if isinstance(entry, dict) else (None, None)
        if not isinstance(speaker, str) or not isinstance(text, str):
            message = f"message {place} is none of text"
            raise BadInput(message, field=field, allowed=allowed, file=file, line=line)
        role = ROLES.get(speaker.lower())
        if role is None:
            message = f"message {place} is said by {speaker[:40]!r}"
            raise BadInput(message, field=field, allowed=", ".join(ROLES), file=file, line=line)
        messages.append((role, text))
    return tuple(messages)
