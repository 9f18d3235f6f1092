"""Which conversations of a data set are asked: the choice of Brunetta et al., and what it left out.

Documented (reference/load-generation.md, section 8.1): the first 1,000 conversations, of 64 to 20,000 characters in
all; the last answer is taken away and asked for again. The paper does not say whether lengths are filtered before or
after the first 1,000 are taken: here before, unless asked otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.dialogues import Dialogue

FIRST = 1000  # Brunetta et al., section III-B
CHARACTERS = (64, 20_000)  # least and most of a conversation, both included; the same place
UNANSWERED = "do not end with an answer"


@dataclass(frozen=True, slots=True)
class Selection:
    """Conversations that are asked.

    Parameters
    ----------
    name : of the data set. dialogues : whole, with the last answer. last_dropped : whether that answer is taken away
        before they are asked. seen : conversations that were looked at. left_out : reasons, and how many for each.
    sha256 : of the kept conversations, for records, which hold no text.
    """

    name: str
    dialogues: tuple[Dialogue, ...]
    last_dropped: bool
    seen: int
    left_out: dict[str, int]
    sha256: str
    notes: tuple[str, ...]


def select(
    dialogues: Iterable[Dialogue],
    name: str,
    *,
    first: int | None = FIRST,
    characters: tuple[int, int] | None = CHARACTERS,
    drop_last: bool = True,
    filter_first: bool = True,
) -> Selection:
    """The conversations that are asked; no more of the data set is read than is needed.

    Parameters
    ----------
    first : so many; None: all. characters : least and most of a whole conversation, both included; None: any.
    drop_last : take the last answer away, to be asked for again. What does not end with one is asked as it stands
        where the file says how long the answer is to be, else left out, as is what ends with an empty one.
        False: conversations are asked as they stand.
    filter_first : the first so many of those that pass; False: those of the first so many that pass.

    Raises
    ------
    BadInput : limits out of range; no conversation is kept.

    Examples
    --------
    >>> talk = Dialogue((("user", "Why? " * 20), ("assistant", "Because. " * 20)))
    >>> kept = select([talk, Dialogue((("user", "Hi"),)), talk], "talks", first=2)
    >>> len(kept.dialogues), kept.seen, kept.left_out
    (2, 3, {'do not end with an answer': 1})
    """
    _check(first, characters)
    kept: list[Dialogue] = []
    left_out: dict[str, int] = {}
    digest, seen = sha256(), 0
    for dialogue in dialogues:
        seen += 1
        reason = _reason(dialogue, characters, drop_last)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            kept.append(dialogue)
            said = [dialogue.messages, dialogue.token_ids, dialogue.output_tokens]
            digest.update(json.dumps(said, separators=(",", ":")).encode() + b"\n")
        if first is not None and (len(kept) if filter_first else seen) >= first:
            break
    order = "filtered, then the first taken" if filter_first else "the first taken, then filtered"
    notes = [f"{len(kept):,} of {seen:,} conversations kept ({order})"]
    notes += [f"left out: {count:,} that {reason}" for reason, count in left_out.items()]
    if not kept:
        hint = "--osl asks them as they stand, for answers of that length" if UNANSWERED in left_out else None
        message = "; ".join(["holds no conversation to ask", *notes])
        raise BadInput(message, field="dataset", allowed="one or more", hint=hint)
    if filter_first and first is not None and len(kept) < first:
        notes.append(f"fewer than the {first:,} that were wanted: the data set holds no more")
    return Selection(name, tuple(kept), drop_last, seen, left_out, digest.hexdigest(), tuple(notes))


def _reason(dialogue: Dialogue, characters: tuple[int, int] | None, drop_last: bool) -> str | None:
    """Why a conversation cannot be asked, to follow "that"; None: it can."""
    if drop_last and (dialogue.reply is not None or dialogue.output_tokens is None):
        if dialogue.reply is None:
            return UNANSWERED
        if not dialogue.reply:
            return "end with an empty answer"
        if len(dialogue.messages) < 2:
            return "are an answer without a question"
    elif not dialogue.messages and dialogue.token_ids is None:
        return "are empty"
    if characters is not None and dialogue.token_ids is None:
        least, most = characters
        if not least <= dialogue.characters <= most:
            return f"have fewer than {least:,} or more than {most:,} characters"
    if not all(_is_text(text) for _, text in dialogue.messages):
        return "hold half a character (a lone surrogate), which no tokenizer takes"
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(first: int | None, characters: tuple[int, int] | None) -> None:
    if first is not None and (isinstance(first, bool) or not isinstance(first, int) or first < 1):
        raise BadInput(f"the first {first!r}", field="first", allowed="1 or more")
    if characters is not None and not 0 <= characters[0] <= characters[1]:
        least, most = characters
        raise BadInput(f"{least} to {most}", field="characters", allowed="least:most, 0 or more each, in this order")
