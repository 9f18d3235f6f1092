"""What a paper prints, read with its rounding: ``"≈ 75 W"``, ``"5-10×"``, ``"220+ TB/s"``, ``"7 783 ‡"``, ``"ND"``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from inferatlas.errors import BadInput
from inferatlas.quantities import parse, si_unit

Relation = Literal["equal", "about", "at_least", "at_most"]
ABOUT = 0.10  # of a number that its author calls approximate; our reading of "about", "around", "≈"

_MARKS = re.compile(r"</?[A-Za-z][^<>]*>|[†‡§¶*]+|\$|\\times")
_NOTHING = re.compile(r"(?:|[-–—=×✗]|N/?[DA]\b.*)", re.IGNORECASE)
_WORDS: tuple[tuple[str, Relation], ...] = (
    ("≈|~|about|around|approximately|approx\\.?|roughly|some|nearly", "about"),
    (">|≥|>=|at least|over|more than|exceeding|from", "at_least"),
    ("<|≤|<=|at most|below|less than|under|no more than", "at_most"),
    ("up to|=", "equal"),
)
_NUMBER = r"[-+]?(?:\d{1,3}(?:[ ,\u00a0\u2009]\d{3})+(?![\d])|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+"
_SPACES = re.compile(r"[ ,\u00a0\u2009]")
_RANGE = re.compile(rf"({_NUMBER})(?![eE][-+]?\d)(\s*[^\s\d–—-][^\d–—]*?)??\s*(?:-|–|—|to\b|\.\.)\s*({_NUMBER})(\s*.*)")
_ONE = re.compile(rf"({_NUMBER})\s*(\+?)(\s*.*)")
_TIMES = {"×", "x", "X", "times", "-fold"}
_LETTERS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}  # thousands and more, where bytes are not meant
_RATES = {
    "second": "s", "s": "s", "hour": "h", "h": "h", "joule": "J", "J": "J", "watt": "W", "W": "W", "kWh": "kWh",
}  # fmt: skip
LARGEST_EXPONENT = 300
_COUNTS = {"count", "tokens", "thousand", "million", "billion", "trillion"}


@dataclass(frozen=True, slots=True)
class Printed:
    """One printed value: SI ``low`` .. ``high`` is what the print allows (its rounding), ``value`` its middle.

    Of a range both ends are rounded: ``"5-10"`` is 4.5 to 10.5.

    ``text`` is how it is printed; a word ("HBM3e", "✓") has no number, and something not stated has neither.
    ``relation``: what the paper says of it: equal, about (10 % either way), at_least, at_most.
    """

    text: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    relation: Relation = "equal"
    ends: tuple[float, float] | None = None  # as printed, of a range
    word: str = ""  # what a mark stands for ("▲": experimental), where its table says so

    @property
    def stated(self) -> bool:
        """Whether anything is stated at all."""
        return self.value is not None or bool(self.text)

    @property
    def shown(self) -> tuple[float | None, float | None]:
        """Its two ends as a reader sees them: those printed, of a range, else what the rounding allows."""
        return self.ends or (self.low, self.high)

    def as_dict(self) -> dict[str, Any]:
        return {
            "value": self.value if self.value is not None else self.text or None, "unit": self.unit,
            "low": self.low, "high": self.high, "relation": self.relation, "printed": self.text,
        }  # fmt: skip


def read_printed(text: str, unit: str = "1", *, words: bool = False, field: str | None = None) -> Printed:
    """Read what stands in a cell or a sentence.

    Parameters
    ----------
    text : as printed; footnote marks are dropped, and what stands in parentheses after a number is a remark.
    unit : of a bare number, as printed ("W", "TB/s", "%", "billion"); a unit in the text wins.
    words : whether it is a word and no number ("HBM3e").

    Raises
    ------
    BadInput : neither a number nor something not stated, and ``words`` is False.

    Examples
    --------
    >>> read_printed("1,979 TFLOPS").value, read_printed("20k", "W").value, read_printed("8.2B", "billion").value
    (1979000000000000.0, 20000.0, 8200000000.0)
    >>> one = read_printed("≈ 75 W"); one.relation, one.low, one.high
    ('about', 67.5, 82.5)
    >>> read_printed("5-10×").low, read_printed("5-10×").high, read_printed("3.7").low
    (4.5, 10.5, 3.65)
    >>> read_printed("ND").stated, read_printed("4nm", words=True).text, read_printed("2 TB").unit
    (False, '4nm', 'B')
    """
    bare = " ".join(_MARKS.sub(" ", text).split())
    if _NOTHING.fullmatch(bare):
        if words and bare:
            return Printed(bare, None, None, None, "1")
        return Printed("", None, None, None, si_unit(unit))
    if words:
        return Printed(bare, None, None, None, "1")
    rest, relation = bare, "equal"
    for pattern, meant in _WORDS:
        if head := re.match(rf"(?:{pattern})\s*(?=[\d.+-])", rest, re.IGNORECASE):
            rest, relation = rest[head.end() :], meant
            break
    if found := _RANGE.fullmatch(rest):
        return _range(bare, relation, found, unit, field)
    found = _ONE.fullmatch(rest)
    if not found:
        raise BadInput(f"'{text}' is no number", field=field, allowed="a number with a unit, or a range '5-10'")
    value, half, si = _rounded(found[1], found[3], unit, field)
    if found[2] and relation == "equal":
        relation = "at_least"
    half = max(half, ABOUT * abs(value)) if relation == "about" else half
    return Printed(bare, value, value - half, value + half, si, relation)


def _range(bare: str, relation: Relation, found: re.Match[str], unit: str, field: str | None) -> Printed:
    """A range, its unit behind the last number or behind both; "from 5 to 10" is one."""
    first, last = (
        _rounded(found[i], tail, unit, field) for i, tail in ((1, (found[2] or "").strip() or found[4]), (3, found[4]))
    )
    if first[2] != last[2]:
        raise BadInput(f"'{bare}' goes from {first[2]} to {last[2]}", field=field, allowed="one unit")
    first, last = sorted((first, last))
    margins = [max(half, ABOUT * abs(x)) if relation == "about" else half for x, half, _ in (first, last)]
    if re.match("from", bare, re.IGNORECASE):
        relation = "equal"
    low, high = first[0] - margins[0], last[0] + margins[1]
    return Printed(bare, (first[0] + last[0]) / 2, low, high, first[2], relation, (first[0], last[0]))


def _rounded(number: str, tail: str, unit: str, field: str | None) -> tuple[float, float, str]:
    """A number in SI, half a unit of its last printed place, and the SI unit."""
    exponent = re.search(r"[eE]([-+]?\d+)", number)
    if exponent and (len(exponent[1]) > 5 or abs(int(exponent[1])) > LARGEST_EXPONENT):
        raise BadInput(f"'{number}' is beyond what can be computed with", field=field)
    value, si = _in_si(number, tail, unit, field)
    return value, _in_si(str(_half_a_place(number)), tail, unit, field)[0], si


def _half_a_place(number: str) -> Decimal:
    """Half a unit of the last printed place."""
    return Decimal(1).scaleb(int(Decimal(_SPACES.sub("", number)).as_tuple().exponent)) / 2


def _as_rate(tail: str) -> str:
    """ "tokens per second" are tokens/s; what is per chip or per user is a remark, as in parentheses."""
    what, _, of = tail.partition(" per ")
    rate = _RATES.get(of.strip())
    return f"{what}/{rate}" if rate else what


def _in_si(number: str, tail: str, unit: str, field: str | None) -> tuple[float, str]:
    """A number with what stands behind it, in SI; without a unit of its own it has ``unit``."""
    joined = not tail[:1].isspace()  # "70B" are billions, "2 B" bytes, where no unit says it
    number, tail = _SPACES.sub("", number), _as_rate(re.sub(r"\(.*", "", tail)).strip()
    factor = 1.0
    if tail in _TIMES:
        tail = ""
    elif tail in _LETTERS and (unit in _COUNTS or tail == "k" or (unit == "1" and joined)):
        factor, tail = _LETTERS[tail], "" if tail == "k" and unit not in _COUNTS else "1"
    elif tail.split(" ")[0] in ("thousand", "million", "billion", "trillion"):
        tail = tail.split(" ")[0]  # of what: the sentence says it
    spelt = tail or unit
    si = si_unit(spelt, field=field)
    return factor * parse(f"{number} {spelt}", si, field=field), si
