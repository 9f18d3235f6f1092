"""A fact: one value with its unit, source, condition and status, and its rivals beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

STATUSES = ("chosen", "alternative", "rejected", "unverified")
PROVENANCES = ("retrieved", "paper", "derived", "corroborated", "recalled", "gap")


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about one field of one thing.

    ``value`` is a float in the SI unit ``unit``, a text, or None when nobody has published it; a range
    has its midpoint as value and its ends in ``low`` and ``high``. ``status`` is *chosen* (use it),
    *alternative* (right under the condition named), *rejected* (wrong; ``note`` says why) or
    *unverified* (used for want of better, but no document has been opened that says so).
    ``printed`` is the value as its source writes it, in ``printed_unit``.
    """

    field: str
    value: float | str | None
    unit: str
    printed: str
    printed_unit: str
    condition: str
    status: str
    provenance: str
    source: str
    address: str | None
    confidence: str
    note: str
    low: float | None = None
    high: float | None = None

    @property
    def used(self) -> bool:
        """Whether this is the value that answers (chosen, or unverified for want of better)."""
        return self.status in ("chosen", "unverified")

    def as_dict(self) -> dict[str, float | str | None]:
        return asdict(self)


class FactSheet:
    """The facts of one thing by dotted field name; order within a field is the order of the file."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._by_field: dict[str, list[Fact]] = {}
        for fact in facts:
            self._by_field.setdefault(fact.field, []).append(fact)

    def __iter__(self):
        return (fact for facts in self._by_field.values() for fact in facts)

    def fields(self) -> list[str]:
        return list(self._by_field)

    def all(self, field: str) -> list[Fact]:
        return self._by_field.get(field, [])

    def chosen(self, field: str) -> Fact | None:
        """The fact that answers for ``field``; None if the field is absent (a known gap is a Fact with value None)."""
        return next((fact for fact in self._by_field.get(field, []) if fact.used), None)

    def number(self, field: str) -> float | None:
        """The chosen value in SI, None if unknown, absent or a text."""
        fact = self.chosen(field)
        return fact.value if fact is not None and isinstance(fact.value, float) else None

    def text(self, field: str) -> str | None:
        fact = self.chosen(field)
        return fact.value if fact is not None and isinstance(fact.value, str) else None

    def conflicts(self) -> dict[str, list[Fact]]:
        """Fields where sources disagree: more than one fact."""
        return {field: facts for field, facts in self._by_field.items() if len(facts) > 1}
