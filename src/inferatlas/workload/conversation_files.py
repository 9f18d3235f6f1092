"""Lengths from files of conversations, ShareGPT-like: text, of which tokens can only be estimated here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.workload.lengths import Lengths

PEOPLE, MODELS = ("human", "user"), ("gpt", "assistant", "chatgpt", "bing", "bard")
SHAPE = 'a JSON list, or one object per line, of {"id": ..., "conversations": [{"from": ..., "value": ...}, ...]}'
# The usual filter of serving benchmarks on ShareGPT (vLLM's among them): too short to mean anything, or too long for
# the models of its day.
LEAST, MOST_INPUT, MOST_TOTAL = 4, 1024, 2048


def read_conversations(path: str | Path, *, characters_per_token: float) -> Lengths:
    """The lengths of the first question and its answer in each conversation of a file.

    Tokens depend on the tokenizer, which this package does not have: they are characters over
    ``characters_per_token``, rounded, and a note says that they are estimates. The usual filter applies: pairs with a
    side below 4 tokens, a question above 1,024 or both above 2,048 together are left out and counted, and so are
    conversations that do not begin with a question and its answer.

    Parameters
    ----------
    characters_per_token : of the tokenizer in question on such text, above 0; about 4 for English and tokenizers of
        100,000 words or more.

    Raises
    ------
    BadInput : an unreadable file or one of another shape, with the line where lines are objects; no pair is left.

    Examples
    --------
    >>> import tempfile
    >>> talk = [{"from": "human", "value": "Why? " * 20}, {"from": "gpt", "value": "Because. " * 40}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "talks.json"
    ...     _ = file.write_text(json.dumps([{"id": "a", "conversations": talk}, {"id": "b", "conversations": []}]))
    ...     lengths = read_conversations(file, characters_per_token=4)
    >>> lengths.input_tokens.tolist(), lengths.output_tokens.tolist(), lengths.notes[1]
    ([25], [90], 'left out: 1 of 2 conversations that do not begin with a question and its answer')
    """
    per_token = characters_per_token
    if isinstance(per_token, bool) or not isinstance(per_token, int | float) or not 0.1 <= per_token <= 100:
        raise BadInput(f"{per_token!r} characters", field="characters_per_token", allowed="0.1 to 100")
    path = Path(path)
    inputs: list[int] = []
    outputs: list[int] = []
    unpaired = filtered = 0
    for entry, line in _entries(path):
        pair = _first_pair(entry, path, line)
        if pair is None:
            unpaired += 1
            continue
        question, answer = (round(len(text) / per_token) for text in pair)
        if min(question, answer) < LEAST or question > MOST_INPUT or question + answer > MOST_TOTAL:
            filtered += 1
            continue
        inputs.append(question)
        outputs.append(answer)
    count = unpaired + filtered + len(inputs)
    reasons = (
        (unpaired, "conversations that do not begin with a question and its answer"),
        (filtered, f"pairs below {LEAST} tokens, or above {MOST_INPUT:,} of input or {MOST_TOTAL:,} in all"),
    )
    notes = [f"left out: {left:,} of {count:,} {why}" for left, why in reasons if left]
    if not inputs:
        raise BadInput("; ".join(["holds no pair of lengths", *notes]), field="conversations", allowed=SHAPE, file=path)
    estimate = f"tokens are estimates: characters over {per_token:g}"
    return Lengths(path.name, np.array(inputs), np.array(outputs), (estimate, *notes))


def _first_pair(entry: Any, path: Path, line: int | None) -> tuple[str, str] | None:
    """Question and answer with which a conversation begins, after what the system says; None: it does not."""
    messages = entry.get("conversations") if isinstance(entry, dict) else None
    if not isinstance(messages, list):
        raise BadInput("is no conversation", field="conversations", allowed=SHAPE, file=path, line=line)
    said: list[tuple[str, str]] = []
    for message in messages:
        who, text = (message.get("from"), message.get("value")) if isinstance(message, dict) else (None, None)
        if not isinstance(who, str) or not isinstance(text, str):
            allowed = "objects with the texts 'from' and 'value'"
            raise BadInput("holds no message", field="conversations", allowed=allowed, file=path, line=line)
        if who.lower() != "system":
            said.append((who.lower(), text))
        if len(said) == 2:
            break
    if len(said) < 2 or said[0][0] not in PEOPLE or said[1][0] not in MODELS:
        return None
    return said[0][1], said[1][1]


def _entries(path: Path) -> Iterator[tuple[Any, int | None]]:
    """Conversations one by one, with the line where each has its own."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="conversations", file=path) from None
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", field="conversations", allowed=SHAPE, file=path) from None
    if not text.strip():
        raise BadInput("is empty", field="conversations", allowed=SHAPE, file=path, line=1)
    if text.lstrip().startswith("["):
        yield from ((entry, None) for entry in _parsed(text, path, None))
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: texts hold other separators of lines
        if line.strip():
            yield _parsed(line, path, number), number


def _parsed(text: str, path: Path, line: int | None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said, place = getattr(error, "msg", "nested too deep"), line or getattr(error, "lineno", None)
        raise BadInput(f"is not JSON: {said}", field="conversations", allowed=SHAPE, file=path, line=place) from None
