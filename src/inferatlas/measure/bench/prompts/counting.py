"""How many tokens a text has: by the model's own tokenizer where it can be had, else by an estimate that says so.

A `Counter` counts texts as they are; what a server puts around them (a token of the beginning, the chat template) is
an `Overhead`. Servers that count are asked in `server_counting.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from inferatlas.errors import BadInput

# Common tokenizers hold about 4 characters of English per token: the same rule of thumb as elsewhere in this package
# (`workload.conversation_files`); only an estimate, and so never exact.
CHARACTERS_PER_TOKEN = 4.0


class Counter(Protocol):
    """Counts tokens. ``exact``: by the tokenizer itself; otherwise it estimates."""

    @property
    def name(self) -> str: ...
    @property
    def exact(self) -> bool: ...
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without any that are added around it."""
        ...

    def ids(self, text: str) -> list[int] | None:
        """The tokens themselves; None: not known."""
        ...


@dataclass(frozen=True, slots=True)
class Overhead:
    """Tokens that a server adds to the texts of a prompt.

    Parameters
    ----------
    prompt : once per prompt: a token of the beginning, a default system message, the opening of the answer.
    message : with each message: who says it, and where it ends.
    known : whether these were counted; otherwise they are 0 because nobody knows.

    Raises
    ------
    BadInput : a number that is not whole or below 0.

    Examples
    --------
    >>> Overhead(3, 5, True).of(messages=3)
    18
    """

    prompt: int = 0
    message: int = 0
    known: bool = False

    def __post_init__(self) -> None:
        for name in ("prompt", "message"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise BadInput(f"{value!r} tokens", field=f"overhead.{name}", allowed="a whole number, 0 or more")

    def of(self, messages: int) -> int:
        """Tokens around so many messages."""
        return self.prompt + self.message * messages


class TokenizerFile:
    """Counts with a ``tokenizer.json`` of Hugging Face, on this machine.

    Parameters
    ----------
    path : the file, or the folder of a model that holds it.

    Raises
    ------
    BadInput : no such file, not a tokenizer, or the package ``tokenizers`` is missing.
    """

    exact = True

    def __init__(self, path: str | Path) -> None:
        file = Path(path)
        file = file / "tokenizer.json" if file.is_dir() else file
        if not file.is_file():
            raise BadInput("no such file", field="tokenizer", allowed="a tokenizer.json or its folder", file=file)
        try:
            from tokenizers import Tokenizer
        except ImportError:
            hint = "pip install 'inferatlas[tokenizers]', or let the server count"
            raise BadInput("needs the package tokenizers", field="tokenizer", hint=hint, file=file) from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(file))
        except Exception as error:  # the package raises nothing narrower
            raise BadInput(
                f"is no tokenizer: {error}", field="tokenizer", allowed="a tokenizer.json", file=file
            ) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.name = f"tokenizer {file.parent.name}/{file.name}"

    @property
    def vocabulary(self) -> int:
        """Tokens it has, added ones included: ids lie below this."""
        return int(self._tokenizer.get_vocab_size())

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) for one in found]

    def ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts characters, and takes so many for a token.

    Raises
    ------
    BadInput : characters per token out of range.

    Examples
    --------
    >>> Estimate(4.0).count(["Once upon a time", ""])
    [4, 0]
    """

    characters_per_token: float = CHARACTERS_PER_TOKEN
    exact: bool = False

    def __post_init__(self) -> None:
        ratio = self.characters_per_token
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0.1 <= ratio <= 100:
            raise BadInput(f"{ratio!r} characters", field="characters_per_token", allowed="0.1 to 100")

    @property
    def name(self) -> str:
        """What is estimated, and how."""
        return f"estimate, {self.characters_per_token:.3g} characters per token"

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; at least 1 where there is any."""
        return [max(round(len(text) / self.characters_per_token), 1) if text else 0 for text in texts]

    def ids(self, text: str) -> None:
        """Not known."""
        return


def calibrated(characters: Sequence[int], prompt_tokens: Sequence[int]) -> tuple[Estimate, Overhead]:
    """An estimate from prompts that a server has counted (``usage.prompt_tokens``): least squares with an intercept.

    The slope is tokens per character of such text, the intercept what the server adds to every prompt. An intercept
    below 0, which nothing can add, is taken for 0 and the slope found without it.

    Parameters
    ----------
    characters, prompt_tokens : one of each per prompt of one message; two or more prompts of different length.

    Raises
    ------
    BadInput : fewer, or numbers from which no ratio between 0.1 and 100 characters per token follows.

    Examples
    --------
    >>> estimate, overhead = calibrated([400, 4000], [111, 1011])
    >>> estimate.characters_per_token, overhead.prompt
    (4.0, 11)
    """
    import numpy as np

    x, y = np.asarray(characters, np.float64), np.asarray(prompt_tokens, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < 2:
        allowed = "one of each per prompt, of two or more lengths"
        raise BadInput(f"{x.size} lengths and {y.size} counts", field="prompt_tokens", allowed=allowed)
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    intercept = float(y.mean() - slope * x.mean())
    if intercept < 0:
        slope, intercept = float(x @ y / (x @ x)), 0.0
    if not 0.01 <= slope <= 10:
        allowed = "counts that grow with the texts, 0.1 to 100 characters per token"
        raise BadInput(f"{slope:.3g} tokens per character", field="prompt_tokens", allowed=allowed)
    return Estimate(1 / slope), Overhead(prompt=round(intercept), known=True)
