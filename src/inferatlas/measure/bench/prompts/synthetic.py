"""Prompts made of words, as long as a point's `Requests` say, that share what their chains say and nothing else.

In: `Requests` (lengths, turns, shared prefixes), a `Form`, a counter of tokens. Out: `Asks`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.prompts.bodies import Bodies, Form, Message, messages_json, text_json
from inferatlas.measure.bench.prompts.counting import Counter, Overhead
from inferatlas.measure.bench.prompts.stock import Stock, id_stock, word_stock
from inferatlas.workload.chains import Chains
from inferatlas.workload.requests import Requests


class Synthetic:
    """The requests of a point, asked with made-up text.

    Prompts are told by (seed, number) alone, so any can be made first. Give each point of a bench its own seed, or
    its prompts are those of the point before, which the server may still hold in its cache.

    Parameters
    ----------
    requests : their lengths count everything, what the server adds included (``overhead``). With ``chains``, an equal
        unit is an equal text; with ``previous``, a turn is the conversation so far and new text. With models or
        adapters, each is asked for by its name.
    form : of the bodies. seed : a whole number, 0 or more.
    counter : of the served model's tokens; exact: prompts have exactly the wanted number. None: a word is taken for
        a token, which holds for common tokenizers (`words`).
    overhead : what the server adds, counted or calibrated.
    token_ids : (low, high): prompts are ids from low up to, not including, high instead of text; completions only.
    live : history holds the replies as they came, instead of made-up ones of the wanted length.

    Raises
    ------
    BadInput : token ids for chat, or with live replies; a range that is none; live without turns.

    Examples
    --------
    >>> from inferatlas.workload import Workload, make_requests
    >>> some = make_requests(Workload("mine", 6, 16, concurrency=2), 3, 1)
    >>> asks = Synthetic(some, Form("tiny", api="completions"), seed=7)
    >>> asks.ask(0).body[-41:].decode(), asks.ask(0).input_tokens, asks.ask(0).output_tokens
    ('"prompt":"did doctor shine again am any"}', 6, 16)
    """

    def __init__(
        self,
        requests: Requests,
        form: Form,
        *,
        seed: int,
        counter: Counter | None = None,
        overhead: Overhead | None = None,
        token_ids: tuple[int, int] | None = None,
        live: bool = False,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise BadInput(f"{seed!r} is not a seed", field="seed", allowed="a whole number, 0 or more")
        _check(requests, form, token_ids, live)
        self.live, self._requests, self._seed = live, requests, seed
        self._bodies, self._chat, self._as_ids = Bodies(form), form.api == "chat", token_ids is not None
        self._overhead = overhead or Overhead()
        self._stock: Stock = word_stock(counter) if token_ids is None else id_stock(*token_ids)
        new = self._new_tokens()
        self._new = np.maximum(new, 1).tolist()
        self._inputs, self._outputs = requests.input_tokens.tolist(), requests.output_tokens.tolist()
        self._previous = None if requests.previous is None else requests.previous.tolist()
        how = "token ids" if token_ids is not None else "words" if counter is None else f"words by {counter.name}"
        self.name = f"synthetic ({how})"
        self.notes = tuple(self._remarks(new, counter))

    def ask(self, number: int, replies: Sequence[str] = ()) -> Ask:
        """The request of this number; ``replies``: with ``live``, those to all turns before it, first to last.

        Raises
        ------
        BadInput : replies are missing.
        """
        turns = self._turns(number)
        if self.live and len(replies) != len(turns) - 1:
            message = f"{len(replies)} replies for a turn after {len(turns) - 1}"
            raise BadInput(message, field="replies", allowed="one for each turn before")
        said: list[Message] = []
        for place, turn in enumerate(turns):
            said.append(("user", self._said(turn, place)))
            if turn != number:
                said.append(("assistant", replies[place] if self.live else self._answer(turn)))
        if self._chat:
            prompt = messages_json(said)
        else:
            text = "".join(text for _, text in said)
            prompt = f"[{text}]".encode() if self._as_ids else text_json(text)
        return self._bodies.ask(prompt, self._inputs[number], self._outputs[number], number, self._model(number))

    def _turns(self, number: int) -> list[int]:
        """The requests of the conversation up to this one."""
        turns = [number]
        if self._previous is not None:
            while (before := self._previous[turns[-1]]) >= 0:
                turns.append(before)
            turns.reverse()
        return turns

    def _said(self, number: int, place: int) -> str:
        """What is new in a request; ``place``: how many turns are before it."""
        chains = self._requests.chains
        if place:
            return self._stock.text(self._seed, "own", number, self._new[number], begin=self._chat)
        if chains is None:
            return self._stock.text(self._seed, "own", number, self._new[number])
        return self._first(number, chains)

    def _first(self, number: int, chains: Chains) -> str:
        """A first turn that may share its beginning: the texts of its units, and what is its own."""
        units = chains.of(number)
        ends = chains.end[units].tolist()
        around = self._inputs[number] - self._new[number]  # the server puts it before the text: part of the first unit
        parts: list[str] = []
        done = 0
        for unit, end in zip(units.tolist(), ends, strict=True):
            if end > self._inputs[number]:
                break  # from here on it is the answer
            tokens = max(end - around, 0) - done
            parts.append(self._stock.text(self._seed, "unit", unit, tokens, begin=not done))
            done += tokens
        parts.append(self._stock.text(self._seed, "own", number, self._new[number] - done, begin=not done))
        return "".join(parts)

    def _answer(self, number: int) -> str:
        """An answer as long as the wanted one."""
        return self._stock.text(self._seed, "answer", number, self._outputs[number], begin=self._chat)

    def _new_tokens(self) -> np.ndarray:
        """Shape (n,), tokens of the text that each request adds to what was said before."""
        requests, overhead = self._requests, self._overhead
        inputs, outputs = requests.input_tokens, requests.output_tokens
        new = inputs - overhead.of(1 if self._chat else 0)
        if requests.previous is not None:
            later = np.flatnonzero(requests.previous >= 0)
            before = requests.previous[later]
            new[later] = inputs[later] - inputs[before] - outputs[before] - (2 * overhead.message if self._chat else 0)
        return new

    def _model(self, number: int) -> str | None:
        """The model or adapter that a request asks for by name; None: the form's."""
        requests = self._requests
        if requests.adapter is not None and requests.adapter[number] >= 0:
            return requests.adapters[requests.adapter[number]]
        return None if requests.model is None else requests.models[requests.model[number]]

    def _remarks(self, new: np.ndarray, counter: Counter | None) -> list[str]:
        notes: list[str] = []
        if self._as_ids:
            notes.append("prompts are token ids drawn at random: exact by construction, no text")
        elif counter is None:
            notes.append(
                "prompt lengths are approximate: a common word is taken for one token, as in common tokenizers"
            )
        elif not counter.exact:
            notes.append(f"prompt lengths are approximate: {counter.name}")
        elif self._stock.counter is not None:
            notes.append("tokens of words do not add up with this tokenizer: each prompt is counted when it is made")
        if not self._overhead.known:
            notes.append(
                "what the server adds to a prompt (chat template, token of the beginning) is not known: on top"
            )
        short = int(np.count_nonzero(new < 1))
        if short:
            notes.append(f"{short:,} requests leave no room for new text: they have 1 token of it and are longer")
        alike = int(np.count_nonzero(self._requests.first_turns & (new < self._stock.digits)))
        if alike:
            notes.append(f"{alike:,} prompts are so short (below {self._stock.digits} tokens) that some may be equal")
        return notes


def _check(requests: Requests, form: Form, token_ids: tuple[int, int] | None, live: bool) -> None:
    if token_ids is not None and form.api != "completions":
        raise BadInput("chat takes no token ids", field="token_ids", allowed="with the completions API")
    if token_ids is not None and live:
        raise BadInput("live replies are text, not token ids", field="token_ids", allowed="either of them")
    if live and requests.previous is None:
        raise BadInput("no request waits for another", field="live", allowed="with turns")
