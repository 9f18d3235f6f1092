"""The plain form: one object per line with messages, a prompt or token ids, and if wanted the length of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.dialogues import Dialogue, read_messages
from inferatlas.workload.workload import MOST_TOKENS

PROMPTS = ("messages", "prompt", "prompt_token_ids")
LENGTHS = ("output_tokens", "max_tokens")


def read_entry(entry: dict[str, Any], file: Path, line: int | None) -> Dialogue:
    """The conversation of an entry: ``messages`` [{role, content}], or ``prompt``, a text, or ``prompt_token_ids``.

    ``output_tokens`` (or ``max_tokens``) says how long the answer is to be. Other fields are not read.

    Raises
    ------
    BadInput : none of the three or several, a value of another form, a length that is not 1 or more.

    Examples
    --------
    >>> read_entry({"prompt": "Why?", "output_tokens": 16}, Path("x.jsonl"), 1)
    Dialogue(messages=(('user', 'Why?'),), output_tokens=16, token_ids=None)
    """
    given = [name for name in PROMPTS if entry.get(name) is not None]
    if len(given) != 1:
        message = f"holds {' and '.join(given)}" if given else "holds no prompt"
        raise BadInput(message, field="dataset", allowed=f"one of {', '.join(PROMPTS)}", file=file, line=line)
    length = _length(entry, file, line)
    value = entry[given[0]]
    if given[0] == "messages":
        return Dialogue(read_messages(value, "role", "content", "messages", file, line), length)
    if given[0] == "prompt":
        if not isinstance(value, str):
            raise BadInput("is no text", field="prompt", allowed="a text", file=file, line=line)
        return Dialogue((("user", value),), length)
    good = isinstance(value, list) and all(type(one) is int and 0 <= one < 2**31 for one in value)
    if not good or not value:
        allowed = "a list of whole numbers, 0 or more"
        raise BadInput("are no token ids", field="prompt_token_ids", allowed=allowed, file=file, line=line)
    return Dialogue((), length, tuple(value))


def _length(entry: dict[str, Any], file: Path, line: int | None) -> int | None:
    """The wanted length of the answer; None: not said."""
    for name in LENGTHS:
        value = entry.get(name)
        if value is not None:
            if type(value) is not int or not 1 <= value <= MOST_TOKENS:
                allowed = f"a whole number, 1 to {MOST_TOKENS:,}"
                raise BadInput(f"{value!r} tokens", field=name, allowed=allowed, file=file, line=line)
            return value
    return None
