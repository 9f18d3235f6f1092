"""How sure an answer is: one rule for all questions, from the intervals that the answer rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Confidence, Label


@dataclass(frozen=True, slots=True)
class Ground:
    """One statement that an answer rests on: a quantity lies beyond a boundary, on the side where its value is.

    Parameters
    ----------
    says : the statement, for the reader: "five times llama-3.3-70b behind 64 GB/s is slower than 1.3 times".
    found : low, value, high of the quantity at 80 %. boundary : what it is compared with, in the same unit.
    label : what the quantity is; ``extrapolated`` where no calibration covers a part that is involved.
    """

    says: str
    found: Interval
    boundary: float
    label: Label

    @property
    def clear(self) -> bool:
        """Whether the whole interval lies on one side of the boundary."""
        return not self.found.low <= self.boundary <= self.found.high


def confidence(grounds: Sequence[Ground], unknown: Sequence[str] = ()) -> tuple[Confidence, str]:
    """The confidence of an answer, and why.

    *high*: every interval is clear of its boundary, and no part is extrapolated. *medium*: every interval is clear,
    though parts are extrapolated. *low*: an interval holds its boundary, so that the statement may be the other way
    round; or the question asks for what nothing here computes (``unknown``); or nothing could be compared.

    Examples
    --------
    >>> near, far = Interval(0.9, 1.2, 1.6), Interval(2.0, 3.0, 4.0)
    >>> confidence([Ground("slower", far, 1.3, "predicted")])[0]
    'high'
    >>> confidence([Ground("slower", far, 1.3, "extrapolated")])[0]
    'medium'
    >>> confidence([Ground("slower", far, 1.3, "predicted"), Ground("slower at 8", near, 1.3, "predicted")])
    ('low', '1 of 2 intervals lies clear of its boundary; open: slower at 8')
    """
    clear = [ground for ground in grounds if ground.clear]
    away = [ground for ground in grounds if ground.label == "extrapolated"]
    many = len(grounds) != 1
    held = "lie clear of their boundaries" if len(clear) != 1 else "lies clear of its boundary"
    words = [
        f"{len(clear)} of {len(grounds)} interval{'s' if many else ''} {held}" if grounds else "nothing to compare"
    ]
    if away:
        words.append(f"{len(away)} of them on parts that no calibration covers" if many else "no calibration covers it")
    unsure = [ground.says for ground in grounds if not ground.clear]
    if unsure:
        words.append(f"open: {', '.join(unsure[:3])}{f' and {len(unsure) - 3} more' if len(unsure) > 3 else ''}")
    words += [f"not computed here: {what}" for what in unknown]
    if unsure or unknown or not grounds:
        return "low", "; ".join(words)
    return ("medium" if away else "high"), "; ".join(words)
