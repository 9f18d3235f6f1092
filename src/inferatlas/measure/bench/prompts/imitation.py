"""Made-up conversations as long as those of LMSYS-Chat-1M, for those who do not have the data. They are not the data.

Published, for all one million conversations (Zheng et al. 2023, arXiv:2309.11998, table 1): 2.0 turns on average,
69.5 tokens per prompt, 214.5 per response, by the tokenizer of Llama 2. Assumed here, since the shape is not published
there: turns are geometric, prompts and responses lognormal and independent of each other and of the turn.
Coefficients of variation: prompts 2.05, from 69.83 ± 143.49 tokens that Zhao et al. 2024 (WildChat, arXiv:2405.01470,
table 1) give for the same data; responses 1.0, assumed, since the ± 1,858 of that table lies in few very long ones
that the usual limit of 20,000 characters leaves out. The figures of both tables are unverified: they were not at hand
when this was written and are to be compared with the papers.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.dialogues import Dialogue
from inferatlas.measure.bench.prompts.stock import word_stock
from inferatlas.workload.lengths import draw_tokens
from inferatlas.workload.seeds import random_stream

NAME = "imitation of LMSYS-Chat-1M (made-up text, not the data)"
TURNS = 2.0  # mean per conversation; published, see above
PROMPT_TOKENS, PROMPT_CV = 69.5, 2.05  # mean: published; variation: published elsewhere, see above
REPLY_TOKENS, REPLY_CV = 214.5, 1.0  # mean: published; variation: assumed
MOST_TURNS = 200  # assumed: 0.5^200 of all conversations would have more
NOTES = (
    f"{NAME}: only means are published ({TURNS:g} turns, {PROMPT_TOKENS:g} and {REPLY_TOKENS:g} tokens per prompt and "
    f"response, arXiv:2309.11998, unverified)",
    "assumed: geometric turns, lognormal and independent lengths with coefficients of variation of "
    f"{PROMPT_CV:g} and {REPLY_CV:g}, a common English word for a token",
)


def imitate_lmsys(count: int, seed: int) -> Iterator[Dialogue]:
    """Conversations of words whose numbers are distributed as the tokens of LMSYS-Chat-1M are (see above).

    To be passed to `selecting.select` under `NAME`, with `NOTES` beside the result, so that nobody takes them for the
    data.

    Parameters
    ----------
    count : conversations, 1 or more; the first are the same for every count. seed : a whole number, 0 or more.

    Raises
    ------
    BadInput : a count below 1, a seed that is none.

    Examples
    --------
    >>> talks = list(imitate_lmsys(1000, 7))
    >>> len(talks), talks[0].messages[0][0], talks[0].reply is not None
    (1000, 'user', True)
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadInput(f"{count!r} conversations", field="count", allowed="a whole number, 1 or more")
    lasting = random_stream(seed, "turns").geometric(1 / TURNS, count).clip(max=MOST_TURNS).tolist()
    prompts, replies = (
        draw_tokens(
            sum(lasting), mean, cv, random_stream(seed, f"{name}_tokens"), random_stream(seed, f"{name}_rounding")
        ).tolist()
        for name, mean, cv in (("input", PROMPT_TOKENS, PROMPT_CV), ("output", REPLY_TOKENS, REPLY_CV))
    )
    return _conversations(lasting, prompts, replies, seed)


def _conversations(lasting: list[int], prompts: list[int], replies: list[int], seed: int) -> Iterator[Dialogue]:
    stock, turn = word_stock(), 0
    for turns in lasting:
        messages: list[tuple[str, str]] = []
        for _ in range(turns):
            messages.append(("user", stock.text(seed, "own", turn, prompts[turn])))
            messages.append(("assistant", stock.text(seed, "answer", turn, replies[turn])))
            turn += 1
        yield Dialogue(tuple(messages))
