"""How many tokens each event of a stream carried."""

from __future__ import annotations

from collections.abc import Sequence


def spread(marks: Sequence[int], tokens: int | None, marked: str | None) -> tuple[list[int] | None, str | None]:
    """Tokens of each event, and how that is known.

    Parameters
    ----------
    marks : of each event its tokens where they were told, else less than 0: its characters. tokens : of the whole
        answer, None where unknown. marked : "usage" or "ids", what told of events.

    Returns
    -------
    tuple : tokens of each event (None where nothing is known) and the source: "usage", "ids", "single" (as many events
    as tokens), "text" (shared out by length of text, at least one each while there are enough).

    Examples
    --------
    >>> spread([-4, -4, -4], 3, None), spread([2, 3], 5, "usage"), spread([-4], None, None)
    (([1, 1, 1], 'single'), ([2, 3], 'usage'), (None, None))
    >>> spread([-4, -16, -12], 9, None)
    ([2, 4, 3], 'text')
    >>> spread([-4, -4, -4], 2, None)
    ([1, 1, 0], 'text')
    """
    if not marks:
        return None, None
    if all(mark > 0 for mark in marks) and (tokens is None or sum(marks) == tokens):
        return list(marks), marked
    if tokens is None:
        return None, None
    many = len(marks)
    if tokens == many:
        return [1] * many, "single"
    least = 1 if tokens > many else 0
    sizes = [abs(mark) for mark in marks]
    rest, total = tokens - least * many, sum(sizes)
    shares = [rest * size / total for size in sizes]
    found = [least + int(share) for share in shares]
    short = tokens - sum(found)
    order = sorted(range(many), key=lambda n: (int(shares[n]) - shares[n], n))
    for n in order[:short]:
        found[n] += 1
    return found, "text"
