"""Conversations of a data set, asked as they were recorded.

In: a `Selection`, a counter of the served model's tokens. Out: `Conversations` (what is asked and how long it is),
the `Requests` of a point made of them, and their `Asks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.prompts.bodies import Api, Bodies, Form, Message, messages_json, text_json
from inferatlas.measure.bench.prompts.counting import Counter, Overhead
from inferatlas.measure.bench.prompts.dialogues import Dialogue
from inferatlas.measure.bench.prompts.selecting import Selection
from inferatlas.workload.arrivals import ArrivalKind, arrival_times
from inferatlas.workload.requests import Requests
from inferatlas.workload.seeds import random_stream

Turns = Literal["last", "all"]
BETWEEN = "\n\n"  # between messages that are asked as one text


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: the first ``messages`` of a conversation; ``before``: the place of the turn before it, or -1."""

    dialogue: Dialogue
    messages: int
    before: int = -1

    @property
    def said(self) -> tuple[Message, ...]:
        """What is asked."""
        return self.dialogue.messages[: self.messages]

    @property
    def reply(self) -> str | None:
        """The recorded answer; None: there is none."""
        rest = self.dialogue.messages[self.messages :]
        return rest[0][1] if rest and rest[0][0] == "assistant" else None


@dataclass(frozen=True, slots=True, eq=False)
class Conversations:
    """What is asked of a data set, and how long it is.

    Parameters
    ----------
    name : of the data set. asked : one per request, shape (n,). api : for which they were counted.
    input_tokens, output_tokens : shape (n,), at least 1. exact : whether a tokenizer counted the inputs.
    sha256 : of the conversations. notes : what was chosen, assumed, estimated.
    """

    name: str
    asked: tuple[Asked, ...]
    api: Api
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    exact: bool
    sha256: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.asked)

    def requests(
        self,
        count: int | None = None,
        seed: int = 0,
        *,
        concurrency: int | None = None,
        request_rate: float | None = None,
        arrival: ArrivalKind = "poisson",
        **shape: float,
    ) -> Requests:
        """So many requests of these, in their order, begun anew where there are no more: a closed loop, or an open one.

        With turns of one conversation, an open loop begins conversations at the rate over the mean number of turns,
        and a turn is sent when the one before it has ended. Clients of a closed loop take one request after the
        other, whatever conversation it belongs to: what was said before is recorded and waits for nothing.

        Parameters
        ----------
        count : None: each once. concurrency, request_rate : exactly one. seed, arrival, shape : of arrivals.

        Raises
        ------
        BadInput : both loads or none, a count below 1, what `arrival_times` refuses.
        """
        if (concurrency is None) == (request_rate is None):
            raise BadInput(
                "both loads or none", field="concurrency", allowed="exactly one of concurrency, request rate"
            )
        count = len(self) if count is None else count
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise BadInput(f"{count!r} requests", field="requests", allowed="a whole number, 1 or more")
        place = np.arange(count) % len(self)
        notes = list(self.notes)
        if count > len(self):
            notes.append(f"{count:,} requests of {len(self):,}: asked again, and a prefix cache may hold them")
        times, previous = np.zeros(count), None
        if request_rate is not None:
            before = np.array([one.before for one in self.asked])[place]
            previous = np.where(before < 0, -1, np.arange(count) - place + before).astype(np.int32)
            first = np.flatnonzero(before < 0)
            rate = request_rate * len(first) / count
            times[first] = arrival_times(arrival, len(first), rate, random_stream(seed, "arrivals"), **shape)
            previous = None if len(first) == count else previous
        return Requests(
            name=self.name,
            arrival_s=times,
            input_tokens=self.input_tokens[place],
            output_tokens=self.output_tokens[place],
            previous=previous,
            clients=concurrency,
            notes=tuple(notes),
        )


def conversations_of(
    selection: Selection,
    counter: Counter,
    *,
    api: Api = "chat",
    overhead: Overhead | None = None,
    turns: Turns = "last",
    output_tokens: int | None = None,
) -> Conversations:
    """The requests that a selection gives, with their lengths.

    An answer is as long as the data set asks for it, else as the recorded reply, else ``output_tokens``.

    Parameters
    ----------
    counter, overhead : of the served model: `counting`. api : completions: the messages are one text, without a chat
        template.
    turns : ``last``: each conversation once, as it stands (without its last answer, where the selection drops it);
        ``all``: every turn that was answered, with the recorded history.
    output_tokens : for conversations that have neither; None: they are refused.

    Raises
    ------
    BadInput : no length for an answer; token ids for chat; no turn is left.
    UnknownName : other turns.
    """
    if turns not in get_args(Turns):
        raise UnknownName("turns", str(turns), get_args(Turns))
    overhead = overhead or Overhead()
    asked = _all_turns(selection) if turns == "all" else _last_turns(selection)
    if not asked:
        raise BadInput("no turn of these conversations was answered", field="dataset", allowed="answers")
    if api == "chat" and any(one.dialogue.token_ids is not None for one in asked):
        raise BadInput("chat takes no token ids", field="dataset", allowed="with the completions API")
    wanted = [one.dialogue.output_tokens if one.messages == _last(one.dialogue, selection) else None for one in asked]
    replies = counter.count([one.reply or "" for one in asked])
    outputs = [want or found or output_tokens for want, found in zip(wanted, replies, strict=True)]
    if not all(outputs):
        message = f"{sum(not one for one in outputs):,} conversations do not say how long their answers are to be"
        raise BadInput(message, field="osl", allowed="output_tokens in the data set, a recorded reply, or osl")
    notes = [*selection.notes, *_remarks(asked, counter, overhead, api, turns)]
    return Conversations(
        name=selection.name,
        asked=tuple(asked),
        api=api,
        input_tokens=np.array(_inputs(asked, counter, overhead, api), np.int64),
        output_tokens=np.array(outputs, np.int64),
        exact=counter.exact,
        sha256=selection.sha256,
        notes=tuple(notes),
    )


class Recorded:
    """The requests of a point, asked with conversations of a data set (`Conversations.requests`).

    Parameters
    ----------
    conversations : what is asked; for the API of the form. form : of the bodies.

    Raises
    ------
    BadInput : they were counted for the other API.
    """

    live = False

    def __init__(self, conversations: Conversations, form: Form) -> None:
        if conversations.api != form.api:
            message = f"lengths were counted for the {conversations.api} API"
            raise BadInput(message, field="api", allowed=conversations.api)
        self.name, self.notes = conversations.name, conversations.notes
        self._conversations, self._bodies = conversations, Bodies(form)

    def ask(self, number: int, replies: Sequence[str] = ()) -> Ask:
        """The request of this number; ``replies`` are not used: history is as it was recorded."""
        talks = self._conversations
        place = number % len(talks)
        prompt = _prompt(talks.asked[place], talks.api)
        inputs = int(talks.input_tokens[place]) if talks.exact else None
        return self._bodies.ask(prompt, inputs, int(talks.output_tokens[place]), number)


def _prompt(asked: Asked, api: Api) -> bytes:
    """The JSON of a prompt."""
    ids = asked.dialogue.token_ids
    if ids is not None:
        return f"[{','.join(map(str, ids))}]".encode()
    return messages_json(asked.said) if api == "chat" else text_json(BETWEEN.join(text for _, text in asked.said))


def _last(dialogue: Dialogue, selection: Selection) -> int:
    """Messages of a conversation that are asked when it is asked once."""
    return len(dialogue.messages) - (1 if selection.last_dropped and dialogue.reply is not None else 0)


def _last_turns(selection: Selection) -> list[Asked]:
    return [Asked(dialogue, _last(dialogue, selection)) for dialogue in selection.dialogues]


def _all_turns(selection: Selection) -> list[Asked]:
    """Every answered turn, those of one conversation after each other."""
    asked: list[Asked] = []
    for dialogue in selection.dialogues:
        before = -1
        for place, (role, text) in enumerate(dialogue.messages):
            if role == "assistant" and place and text:
                asked.append(Asked(dialogue, place, before))
                before = len(asked) - 1
    return asked


def _inputs(asked: Sequence[Asked], counter: Counter, overhead: Overhead, api: Api) -> list[int]:
    """Tokens of each prompt, at least 1; each message of a conversation is counted once."""
    if api == "completions":
        texts = [
            "" if one.dialogue.token_ids is not None else BETWEEN.join(text for _, text in one.said) for one in asked
        ]
        found = counter.count(texts)
        both = zip(asked, found, strict=True)
        return [len(one.dialogue.token_ids or ()) or max(count + overhead.prompt, 1) for one, count in both]
    inputs: list[int] = []
    counts: list[int] = []
    counted: Dialogue | None = None
    for one in asked:
        if one.dialogue is not counted:
            counted, counts = one.dialogue, counter.count([text for _, text in one.dialogue.messages])
        inputs.append(max(sum(counts[: one.messages]) + overhead.of(one.messages), 1))
    return inputs


def _remarks(asked: Sequence[Asked], counter: Counter, overhead: Overhead, api: Api, turns: Turns) -> list[str]:
    notes = []
    if turns == "all":
        notes.append(f"{len(asked):,} turns, each asked with the recorded history")
    if not counter.exact:
        notes.append(f"lengths are estimates: {counter.name}")
    if not overhead.known:
        notes.append("what the server adds to a prompt (chat template, token of the beginning) is not counted")
    if api == "completions" and any(one.messages > 1 for one in asked):
        notes.append("messages are joined by empty lines, without a chat template")
    return notes
