"""Texts of a wanted number of tokens, put together from pieces whose tokens are known.

A text is told by (seed, kind, number): it begins with a few pieces that spell the number in a mixed order, so that no
two of one seed and kind begin alike, and goes on with chunks of pieces drawn by a hash. So any text can be made at
any time, in time proportional to its length, and a cache of prefixes finds nothing that is not meant to be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, shake_128

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.counting import Counter
from inferatlas.measure.bench.prompts.words import WORDS

CHUNKS = 4096  # different chunks, about 0.4 MB of text; a power of two
PIECES = 8  # of a chunk
LEAST_PIECES = 64  # of one token each, so that they alone are used
CODES = 2**27  # numbers that can be told apart, of all kinds together: 134 million
KINDS = ("own", "unit", "answer")
MULTIPLIER = 2_654_435_761  # a prime near 2^32 over the golden ratio (Knuth, TAOCP 3, 6.4): neighbours come far apart
ANCHOR = "the"  # a word before another one, so that a tokenizer sees that one inside a text
SAMPLES = (1, 2, 3, 7, 16, 40, 100, 257, 513, 1000)  # tokens of the texts with which a stock is checked
TRIES = 24  # of a text whose tokens do not add up; each hits with about even chance
VARIANTS = 8  # of the last words of a text, for such tries


class Stock:
    """Pieces, and the texts made of them (`word_stock`, `id_stock`).

    Parameters
    ----------
    pieces : texts of one or more tokens each; ``starts``, ``costs``: tokens of each at the start of a text, and after
        another piece. separator : between pieces.
    pieces_per_token : 1 where costs are known; else pieces that make a token on average, with costs of 1.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        starts: Sequence[int],
        costs: Sequence[int],
        separator: str = " ",
        pieces_per_token: float = 1.0,
    ) -> None:
        self.pieces, self.separator = tuple(pieces), separator
        self._starts, self._costs, self._per_token = tuple(starts), tuple(costs), pieces_per_token
        self.digits = 1
        while len(self.pieces) ** self.digits < CODES:
            self.digits += 1
        self._codes = len(self.pieces) ** self.digits
        wanted = PIECES * sorted(self._costs)[len(self._costs) // 2]
        most = 2 * wanted + max(self._costs)
        self._variants = [self._filled(_fills(self._costs, most, turn)) for turn in range(VARIANTS)]
        self._tails = self._variants[0]
        self.block = next(tokens for tokens in range(wanted, most + 1) if self._tails[tokens] is not None)
        self._chunks = self._made_chunks()
        self.counter: Counter | None = None  # set where the tokens of pieces do not add up, so that texts are counted

    def _filled(self, fills: list[tuple[int, ...] | None]) -> list[list[str] | None]:
        """Pieces at places."""
        return [None if fill is None else [self.pieces[place] for place in fill] for fill in fills]

    def _made_chunks(self) -> list[str]:
        """Chunks of pieces with `block` tokens each, drawn by a fixed hash."""
        drawn = memoryview(shake_128(b"chunks").digest(4 * CHUNKS * 4 * PIECES)).cast("I")
        chunks, place, count = [], 0, len(self.pieces)
        for _ in range(CHUNKS):
            left, chunk = self.block, []
            for _ in range(4 * PIECES):
                piece = drawn[place % len(drawn)] % count
                place += 1
                after = left - self._costs[piece]
                if after >= 0 and self._tails[after] is not None:
                    chunk.append(self.pieces[piece])
                    left = after
                if not left:
                    break
            chunks.append(self.separator.join(chunk + (self._tails[left] or [])))
        return chunks

    def text(self, seed: int, kind: str, number: int, tokens: int, *, begin: bool = True) -> str:
        """The text of a number, with so many tokens.

        Parameters
        ----------
        kind : one of `KINDS`: texts of different kinds differ too. tokens : 0 or more.
        begin : False: it goes on after another text, and so begins with the separator.

        Raises
        ------
        BadInput : no text has so many tokens, with this tokenizer.
        """
        if not tokens:
            return ""
        if self.counter is None:
            return self._put(seed, kind, number, max(round(tokens * self._per_token), 1), begin)
        asked, best, away = tokens, "", None
        for salt in range(TRIES):
            text = self._put(seed, kind, number, asked, begin, salt)
            off = tokens - self.counter.count([text])[0]
            if away is None or abs(off) < away:
                best, away = text, abs(off)
            if not off:
                break
            asked = max(asked + off, 1)
        return best

    def _put(self, seed: int, kind: str, number: int, tokens: int, begin: bool, salt: int = 0) -> str:
        """The text of a number; ``salt`` changes its last pieces only, so that few tokens more or less stay few."""
        code = ((len(KINDS) * number + KINDS.index(kind)) * MULTIPLIER + _offset(seed)) % self._codes
        parts, left = [], tokens
        costs = self._starts if begin else self._costs
        for _ in range(self.digits):
            code, digit = divmod(code, len(self.pieces))
            if costs[digit] > left or not self._reachable(left - costs[digit]):
                break
            parts.append(self.pieces[digit])
            left -= costs[digit]
            costs = self._costs
        if not parts:
            parts, left = self._found(code, tokens, begin)
        chunks, rest = divmod(left, self.block)
        if self._tails[rest] is None:
            chunks, rest = chunks - 1, rest + self.block
        if chunks:
            key = b"%d,%b,%d" % (seed, kind.encode(), number)
            drawn = memoryview(shake_128(key).digest(2 * chunks)).cast("H")
            table, most = self._chunks, CHUNKS - 1
            parts += [table[one & most] for one in drawn]
        text = self.separator.join(parts + (self._variants[salt % VARIANTS][rest] or []))
        return text if begin else self.separator + text

    def _reachable(self, tokens: int) -> bool:
        """Whether chunks and a tail can have so many."""
        chunks, rest = divmod(tokens, self.block)
        return self._tails[rest] is not None or (chunks > 0 and self._tails[rest + self.block] is not None)

    def _found(self, code: int, tokens: int, begin: bool) -> tuple[list[str], int]:
        """A first piece after which the rest can be filled, and the rest."""
        costs = self._starts if begin else self._costs
        fit = [place for place, cost in enumerate(costs) if cost <= tokens and self._reachable(tokens - cost)]
        if not fit:
            raise BadInput(f"no text of {tokens:,} tokens can be made of words", field="isl", hint="ask for more")
        place = fit[code % len(fit)]
        return [self.pieces[place]], tokens - costs[place]


def word_stock(counter: Counter | None = None) -> Stock:
    """Words (`words.WORDS`) with the tokens that a counter finds in them.

    With an exact counter the words of one token are used, or all with their tokens where those are few. Whether
    tokens of words add up to those of texts is checked with `SAMPLES`; if not, each text is counted and corrected.
    Without a counter a word is taken for one token, as is so in common tokenizers; with an estimate, for its characters
    over the ratio, which is better only where that was calibrated with such words.

    Examples
    --------
    >>> stock = word_stock()
    >>> stock.text(7, "own", 0, 6)
    'did doctor shine again am any'
    >>> len(stock.text(7, "own", 1, 1000).split())
    1000
    """
    ones = (1,) * len(WORDS)
    if counter is None:
        return Stock(WORDS, ones, ones)
    if not counter.exact:
        found = counter.count([" ".join(WORDS)])[0]
        return Stock(WORDS, ones, ones, pieces_per_token=len(WORDS) / max(found, 1))
    words = list(WORDS)
    starts = counter.count(words)
    anchor, *together = counter.count([ANCHOR, *(f"{ANCHOR} {word}" for word in words)])
    costs = [max(both - anchor, 1) for both in together]
    kept = [place for place, cost in enumerate(costs) if cost == starts[place] == 1]
    if len(kept) < LEAST_PIECES:
        kept = list(range(len(words)))
    stock = Stock([words[place] for place in kept], [starts[place] for place in kept], [costs[place] for place in kept])
    _check(stock, counter)
    return stock


def id_stock(low: int, high: int) -> Stock:
    """Token ids as pieces, for the completions API: so many tokens by construction.

    Parameters
    ----------
    low, high : ids from low up to, not including, high. The first thousand or so are often special tokens, bytes
        and the like.

    Raises
    ------
    BadInput : a range of fewer than 64 ids.

    Examples
    --------
    >>> id_stock(1000, 32000).text(7, "own", 0, 4).count(",")
    3
    """
    good = all(isinstance(one, int) and not isinstance(one, bool) for one in (low, high))
    if not good or low < 0 or high > 2**31 or high - low < LEAST_PIECES:
        allowed = f"two whole numbers, the second at least {LEAST_PIECES} above the first"
        raise BadInput(f"{low!r} to {high!r} is no range of ids", field="token_ids", allowed=allowed)
    step = -(-(high - low) // (PIECES * CHUNKS))
    pieces = [str(one) for one in range(low, high, step)]
    ones = (1,) * len(pieces)
    return Stock(pieces, ones, ones, separator=",")


def _check(stock: Stock, counter: Counter) -> None:
    """Let a stock count its texts where tokens of pieces do not add up."""
    made: list[tuple[int, str]] = []
    for number, tokens in enumerate(SAMPLES):
        try:
            made.append((tokens, stock.text(0, "own", number, tokens)))
        except BadInput:
            continue  # so few tokens have no text
    joined = stock.text(0, "unit", 0, 100) + stock.text(0, "own", 0, 100, begin=False)
    found = counter.count([text for _, text in made] + [joined])
    if found != [tokens for tokens, _ in made] + [200]:
        stock.counter = counter


def _fills(costs: Sequence[int], most: int, turn: int) -> list[tuple[int, ...] | None]:
    """For 0 to ``most`` tokens, places of pieces that have just as many together, or None; ``turn``: other pieces."""
    by_cost: dict[int, list[int]] = {}
    for place, cost in enumerate(costs):
        by_cost.setdefault(cost, []).append(place)
    fills: list[tuple[int, ...] | None] = [None] * (most + 1)
    fills[0] = ()
    for tokens in range(1, most + 1):
        for cost, places in by_cost.items():
            before = fills[tokens - cost] if cost <= tokens else None
            if before is not None:
                fills[tokens] = (*before, places[(7 * tokens + 31 * turn) % len(places)])
                break
    return fills


@lru_cache(maxsize=64)
def _offset(seed: int) -> int:
    """Where the codes of a seed begin."""
    return int.from_bytes(blake2b(b"%d" % seed, digest_size=8).digest(), "big")
