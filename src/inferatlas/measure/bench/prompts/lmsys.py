"""Conversations of LMSYS-Chat-1M, from files that the user has: parquet as published, or JSON.

Fields as https://huggingface.co/datasets/lmsys/lmsys-chat-1m describes them (gated: the data are not here):
conversation_id, model, conversation = [{role, content}, ...], turn, language, openai_moderation, redacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.dialogues import Dialogue, read_messages

FIELD = "conversation"
ROWS = 1024  # of a parquet file at a time
ALLOWED = "a parquet file with the column conversation: a list of {content, role}"


def read_entry(entry: dict[str, Any], file: Path, line: int | None) -> Dialogue:
    """The conversation of an entry.

    Raises
    ------
    BadInput : no field ``conversation``, or one of another form.

    Examples
    --------
    >>> read_entry({"conversation": [{"role": "user", "content": "Why?"}]}, Path("x.jsonl"), 1).messages
    (('user', 'Why?'),)
    """
    return Dialogue(read_messages(entry.get(FIELD), "role", "content", FIELD, file, line))


def read_parquet(path: Path) -> Iterator[Dialogue]:
    """The conversations of a parquet file, some rows at a time; an error's line is the row.

    Raises
    ------
    BadInput : not a parquet file, no such column, or one of another form.
    """
    import polars as pl

    try:
        table = pl.scan_parquet(path)
        names = table.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from None
    if FIELD not in names:
        message = f"has no column '{FIELD}', but {', '.join(names[:8])}"
        raise BadInput(message, field="dataset", allowed=ALLOWED, file=path)
    row = 0
    while True:
        try:
            found = table.select(FIELD).slice(row, ROWS).collect()[FIELD].to_list()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(path, error) from None
        for conversation in found:
            row += 1
            yield read_entry({FIELD: conversation}, path, row)
        if len(found) < ROWS:
            return


def _unreadable(path: Path, error: Exception) -> BadInput:
    said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return BadInput(f"cannot be read: {said}", field="dataset", allowed=ALLOWED, file=path)
