"""Conversations in the form of ShareGPT: ``{"id", "conversations": [{"from", "value"}, ...]}``.

Files of this form are used by most serving benchmarks, vLLM's among them (load-generation.md, section 5).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inferatlas.measure.bench.prompts.dialogues import Dialogue, read_messages

FIELD = "conversations"


def read_entry(entry: dict[str, Any], file: Path, line: int | None) -> Dialogue:
    """The conversation of an entry.

    Raises
    ------
    BadInput : no field ``conversations``, or one of another form.

    Examples
    --------
    >>> read_entry({"conversations": [{"from": "human", "value": "Why?"}]}, Path("x.json"), None).messages
    (('user', 'Why?'),)
    """
    return Dialogue(read_messages(entry.get(FIELD), "from", "value", FIELD, file, line))
