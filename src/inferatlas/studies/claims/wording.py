"""The text of a paper in one wording: how it was set (LaTeX, tags, dashes, broken words) no longer matters.

A quotation and the paper it is taken from are brought into the same wording before they are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LATEX = (
    (r"\\(?:text|mathrm|textbf|mathit|operatorname)\s*\{([^{}]*)\}", r"\1"),
    (r"\\times", "×"), (r"\\approx", "≈"), (r"\\sim(?![a-z])", "~"), (r"\\cdot", "·"),
    (r"\\(?:leq?)(?![a-z])", "≤"), (r"\\(?:geq?)(?![a-z])", "≥"), (r"\\%", "%"), (r"\\[,;: ]", " "), (r"[${}]", ""),
)  # fmt: skip
_MARKS = (
    (r"<[^<>]*>", ""),  # tags
    (r"[*†‡§¶]+", ""),  # emphasis and footnotes
    (r"^\s*(?:#+|[-•])\s+", ""),  # headings and list items
    ("[–−]", "-"),
    ("—", " — "),  # between words, never inside one
    ("[“”]", '"'),
    ("[‘’]", "'"),
)
_BLANKS = (
    (r"[\s\u00a0\u2009]+", " "),
    (r"(?<=\d) ?- ?(?=\d)", "-"),  # ranges
    (r" ?×(?: (?=\d))?", "×"),
    (r"(?<=\() | (?=\))", ""),
    (r" (?=%)", ""),
    (r"(?<=[A-Za-z])- ?(?=[a-z])", ""),  # words broken at the end of a line look like compounds: both lose the hyphen
)
_LOOKALIKES = str.maketrans("АВЕЗКМНОРСТХае", "ABE3KMHOPCTXae")  # Cyrillic letters that a scan puts for Latin ones
_REFERENCES = re.compile(r"[#*\s]*references[*\s]*", re.IGNORECASE)
# A number inside a name (FP16, H100, WSE-2, v4) is none.
_NUMBER = re.compile(
    r"(?<!\w)(?<![A-Z]-)(?<!\d\.)(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:\.\d+)*(?:×10\^-?\d+|[eE][-+]?\d+(?!\w))?"
)


def normalise(text: str) -> str:
    """A quotation or a line in the common wording.

    Examples
    --------
    >>> normalise(r"a  $4.7 \\times$  advantage of general- purpose GPUs, <b>21 000</b> TB/s†")
    'a 4.7× advantage of generalpurpose GPUs, 21 000 TB/s'
    >>> normalise("50–200W"), normalise(r"8-  $10 \\times$"), normalise(r"$5 \\times 10^{6}$"), normalise("20 %")
    ('50-200W', '8-10×', '5×10^6', '20%')
    """
    text = text.translate(_LOOKALIKES)
    for pattern, by in (*_LATEX, *_MARKS, *_BLANKS):
        text = re.sub(pattern, by, text)
    return text.strip()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the paper that is not empty: its number (from 1), where it starts in the whole, its cells by tabs."""

    number: int
    start: int
    text: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """A paper without its references, normalised: as one string, and by lines."""

    text: str
    lines: tuple[Line, ...]


def word(paper: str) -> Wording:
    """The paper up to its references in the common wording.

    Examples
    --------
    >>> one = word("Links sup-\\n\\nport  $2 \\\\times$ 128 GB/s.\\nReferences\\n[1] Nobody 1999")
    >>> one.text, [(line.number, line.start) for line in one.lines]
    ('Links support 2×128 GB/s.', [(1, 0), (3, 9)])
    """
    text, lines = "", []
    for number, raw in enumerate(paper.splitlines(), start=1):
        if _REFERENCES.fullmatch(raw):
            break
        cells = tuple(map(normalise, raw.split("\t")))
        line = " ".join(cell for cell in cells if cell)
        if not line:
            continue
        if re.search(r"[a-z]-$", text) and line[0].islower():
            text = text[:-1]
        elif text:
            text += " "
        lines.append(Line(number, len(text), line, cells))
        text += line
    return Wording(text, tuple(lines))


def occurrences(quote: str, text: str, *, of_number: bool = False) -> Iterator[tuple[int, int]]:
    """Where a quotation stands in a text, both normalised; never in the middle of a word or a number.

    ``of_number``: a number may have letters right behind it, as a table's ``16E`` has the number 16.

    Examples
    --------
    >>> list(occurrences("40 GB", "140 GB, 40 GB, 40 GB/s, 1.40 GB"))
    [(8, 13), (15, 20)]
    >>> list(occurrences("16", "MoE (16E)")), list(occurrences("16", "MoE (16E)", of_number=True))
    ([], [(5, 7)])
    """
    first = r"(?<!\w)(?<!\d[.,])" if quote[:1].isalnum() else ""
    last = (r"(?!\d)" if of_number else r"(?!\w)") + r"(?![.,]\d)" if quote[-1:].isalnum() else ""
    return (found.span() for found in re.finditer(first + re.escape(quote) + last, text))


def numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where a normalised text has numbers: digits with separators, decimals, powers of ten; not those inside names.

    Examples
    --------
    >>> text = "WSE-2 at FP16: 1,979 TFLOPS, 8-10×, 5×10^6, 21 000, T=1,2,4, 2025.2.0, 4nm, sub-50 ms, v2.7"
    >>> [text[start:end] for start, end in numbers(text)]
    ['1,979', '8', '10', '5×10^6', '21 000', '1', '2', '4', '2025.2.0', '4', '50']
    """
    return (found.span() for found in _NUMBER.finditer(text))
