"""Verdicts, labels and numbers of a study in words: every word is explained here, once for all pages."""

from __future__ import annotations

import math
import re

from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent, show
from inferatlas.show.numbers import NONE, figure, quantity, span
from inferatlas.show.report.words import LABELS as _LABELS
from inferatlas.studies.claims.checking import Computed
from inferatlas.studies.claims.ledger import Formula
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Pair

VERDICTS = {
    "consistent": ("consistent", "What was recomputed agrees with the number as printed, its rounding allowed for."),
    "consistent_under_condition": (
        "consistent if",
        "It agrees only under a condition that the paper does not state; the condition is named.",
    ),
    "inconsistent": (
        "inconsistent",
        "It contradicts the paper's own numbers, another paper, or what the makers document; no reading was found "
        "that would make it right.",
    ),
    "beyond_physics": (
        "beyond physics",
        "It exceeds what the hardware can do at its documented peak rates, bandwidths, capacities or power.",
    ),
    "not_checkable": (
        "not checkable",
        "A number that nobody has published would be needed; it is named. This says nothing against the claim.",
    ),
}
FAILED = ("inconsistent", "beyond_physics")
GUIDELINES = {
    "agrees": ("holds", "Every case that was tried agrees with the rule."),
    "agrees_under_condition": ("holds under a condition", "It agrees inside a boundary, which is stated."),
    "disagrees": ("does not hold", "The cases that were tried speak against the rule."),
    "undecided": ("undecided", "Our intervals are too wide, or a number is missing, to say so or otherwise."),
}
CHECKS = {
    "arithmetic": "the number is recomputed from the numbers that it is said to come from",
    "consistency": "the text is compared with the paper's own tables and figures",
    "between": "the number is compared with what another of the papers says of the same thing",
    "catalogue": "the number is compared with what the makers document, value by value with its source",
    "physics": "the number is compared with a bound that no machine of these data can pass",
    "dimension": "the unit of a formula is compared with the unit of what it is said to give",
    "statistics": "a correlation or spread is recomputed from the numbers in the tables",
    "model": "the number is compared with our prediction and its interval; this never refutes a measurement",
}
BASES = {
    "measured": "the authors measured it",
    "specification": "copied from a data sheet",
    "derived": "computed by the authors from other numbers",
    "modelled": "from a model or a simulation of the authors",
    "cited": "taken from another publication",
    "opinion": "a judgement",
}
LABELS = {
    "published": "printed in the paper; conditions as the paper gives them",
    "catalogue": "a fact with its source: a document of the maker, or the place named beside it",
    "derived": "computed from such facts by arithmetic; no model in between",
    **{name: _LABELS[name].removesuffix(".") for name in ("measured", "predicted", "extrapolated")},
}
CONFIDENCE = {
    "high": "every interval that the answer rests on lies on one side of its boundary, on calibrated machines",
    "medium": "every such interval lies on one side, but some machines were never measured",
    "low": "an interval holds its boundary, so that it may be the other way round; or something is not computed here",
}
_NUMBER = re.compile(r"\d[\d,  \u2009]*(?:\.\d+)?")
_UNIT = re.compile(r"\d[^\d(]*?(?:[×%/µ]|[^\W\d_](?<![kKMBTe])|[kKMBT][^\W\d_])")  # "k" alone is thousands
RELATIONS = {"about": "≈ ", "at_least": "≥ ", "at_most": "≤ ", "equal": ""}


BOUNDS = {"at_most": "at most ", "at_least": "at least "}


def heading_of(name: str) -> str:
    """The heading of a quantity.

    >>> heading_of("output_tokens_per_s"), heading_of("tdp_w")
    ('output tokens/s', 'tdp')
    """
    return quantity(name)[0]


def unit_of(pair: Pair) -> str:
    """The unit to be shown beside numbers of a pair: none where the heading says it ("tokens/s")."""
    named, unit = quantity(pair.quantity)
    rates = {"1/s": " per s", "1/J": " per joule"}
    told = "/" in named or pair.unit == "count" or rates.get(pair.unit, "-") in named
    return "1" if unit == "1" and told else pair.unit


def amount(value: float | None, unit: str) -> str:
    """A value with its unit, three digits; a dash where it is unknown.

    >>> amount(0.01234, "s"), amount(120.0, "1/s"), amount(None, "W"), amount(0.0, "W")
    ('12.3 ms', '120 /s', '—', '0 W')
    """
    return figure(value, unit).replace(" 1/", " /")


def printed_words(one: Printed | None) -> str:
    """A printed value as it is printed where that has a unit of its own, else with its unit.

    >>> from inferatlas.studies.claims.printed import read_printed
    >>> [printed_words(read_printed(*one)) for one in [("≈ 75 W",), ("1,234", "ms"), ("700", "W"), ("18.5×",), ("ND",)]]
    ['≈ 75 W', '1.234 s', '700 W', '18.5×', '—']
    >>> printed_words(read_printed("5-10", "ms")), printed_words(read_printed("HBM3e", words=True)), printed_words(None)
    ('5.00–10.0 ms', 'HBM3e', '—')
    """
    if one is None or not one.stated:
        return NONE
    if one.value is None or one.low is None or one.high is None:
        return one.text
    if _UNIT.search(one.text) or one.text.endswith(one.unit):
        return one.text
    numbers = _NUMBER.findall(one.text)
    if len(numbers) != 1:
        low, high = one.ends or (one.low, one.high)
        return span(low, high, one.unit).replace(" 1/", " /")
    if float(re.sub(r"[^\d.]", "", numbers[0])) == abs(one.value):
        return f"{one.text} {one.unit if one.unit != '1' else ''}".strip().replace(" 1/", " /")
    digits = re.sub(r"\D", "", numbers[0]).lstrip("0")
    return RELATIONS[one.relation] + show(one.value, one.unit, max(len(digits), 1)).replace(" 1/", " /")


def interval_words(interval: Interval | None, unit: str) -> str:
    """Our value and, on a second line, its 80 % interval; a fact has no second line.

    >>> interval_words(Interval(0.13, 0.19, 0.278), "s"), interval_words(Interval(4, 4, 4), "W")
    ('190 ms\\n130–278 ms', '4.00 W')
    """
    if interval is None:
        return NONE
    value = amount(interval.value, unit)
    if interval.low == interval.high:
        return value
    return f"{value}\n{span(interval.low, interval.high, unit).replace(' 1/', ' /')}"


def ratio_words(ratio: float | None) -> str:
    """A ratio with three digits, and with more of them where it is nearly 1.

    >>> ratio_words(1.234567), ratio_words(None), ratio_words(95.4), ratio_words(1.00065), ratio_words(1.0)
    ('1.23×', '—', '95.4×', '1.0006×', '1.00×')
    """
    if ratio is None:
        return NONE
    near = 5e-5 < abs(ratio - 1) < 5e-3
    return f"{ratio:.4f}×" if near else f"{figure(ratio, '1')}×"


def error_words(error: float | None) -> str:
    """A relative difference in percent, and a large one as a factor.

    >>> error_words(0.123), error_words(293.45), error_words(None)
    ('12 %', '294×', '—')
    """
    return percent(error) if error is None or error < 9 else ratio_words(1 + error)


def inside_words(inside: bool | None) -> str:
    """Whether the printed number lies in our interval."""
    return NONE if inside is None else "yes" if inside else "no"


def precise(value: float | None, unit: str) -> str:
    """A value with five digits and no zeros at its end, where the difference to another number is the point.

    >>> precise(0.046225, "m2"), precise(215.0, "W"), precise(1.9789e15, "FLOP/s"), precise(0.0, "1")
    ('46,225 mm2', '215 W', '1.9789 PFLOP/s', '0')
    """
    if unit == "%" and value is not None:
        return f"{precise(100 * value, '1')} %"
    number, _, name = show(value, unit, 5).partition(" ")
    if "." in number and "e" not in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {name}".strip().replace(" 1/", " /")


def asserted_words(one: Printed | Formula) -> str:
    """What a claim asserts: a number as printed, a word, or a formula with its unit."""
    if isinstance(one, Formula):
        return f"{one.expression.text}{'' if one.unit == '1' else f' ({one.unit})'}"
    return printed_words(one)


def computed_words(one: Computed | None) -> str:
    """What the audit computed, and on a second line the interval that its inputs leave.

    >>> computed_words(Computed(215.0, 214.5, 215.5, "W")), computed_words(None)
    ('215 W\\n214.5 W to 215.5 W', '—')
    >>> computed_words(Computed(2.0, 2.0, 2.0, "s", bound="at_least"))
    'at least 2 s'
    >>> computed_words(Computed(5.0, 4.5, float("inf"), "W"))
    '5 W\\nat least 4.5 W'
    >>> computed_words(Computed(None, None, None, "1", "TSMC N7")), computed_words(Computed(2.0, 2.0, 2.0, "1"))
    ('TSMC N7', '2')
    """
    if one is None:
        return NONE
    if one.value is None:
        return one_line(one.text or NONE)
    value = BOUNDS.get(one.bound or "", "") + precise(one.value, one.shown or one.unit)
    ends = [
        precise(end, one.shown or one.unit) if end is not None and math.isfinite(end) else ""
        for end in (one.low, one.high)
    ]
    if not all(ends):  # "more than 5" has no end
        told = f"at least {ends[0]}" if ends[0] else f"at most {ends[1]}" if ends[1] else "no bounds"
        return f"{value}\n{told}"
    return value if len(set(ends)) < 2 else f"{value}\n{' to '.join(ends)}"


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def quoted(text: str) -> str:
    """The words of a paper without the marks of its typesetting.

    >>> quoted(r"by  $4.7 \\times$  more")
    'by 4.7× more'
    """
    return one_line(re.sub(r"\s*\\times", "×", text).replace("$", " "))


def sentence(text: str) -> str:
    """A text as a sentence: a capital where it begins with a small word, and a full stop.

    >>> sentence("up to a batch of 32"), sentence("It holds."), sentence(""), sentence("llama-2-7b fits")
    ('Up to a batch of 32.', 'It holds.', '', 'llama-2-7b fits.')
    """
    text = one_line(text)
    if not text:
        return ""
    word = text.split()[0]
    name = bool(re.search(r"[\d_-]|[a-z][A-Z]", word))  # llama-2-70b stays as it is
    return f"{text[:1] if name else text[:1].upper()}{text[1:]}{'' if text[-1] in '.!?:' else '.'}"
