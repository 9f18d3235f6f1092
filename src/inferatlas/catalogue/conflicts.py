"""Where sources disagree: every field with more than one value, the one in use first."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.accelerators import accelerators
from inferatlas.catalogue.facts import Fact
from inferatlas.catalogue.fields import OBSERVATIONS


@dataclass(frozen=True, slots=True)
class Conflict:
    """Rival facts on one field of one accelerator; ``facts[0]`` is the one in use, where there is one."""

    accelerator: str
    field: str
    facts: tuple[Fact, ...]

    @property
    def reason(self) -> str:
        """Why the first fact is in use, and what is held against or said for each of the others."""
        first, *rivals = self.facts
        head = f"{first.status}: {_value(first)}" + _because(first)
        return "; ".join([head, *(f"{rival.status}: {_value(rival)}" + _because(rival) for rival in rivals)])


def conflicts() -> tuple[Conflict, ...]:
    """Every conflict of the catalogue, by accelerator and field.

    Observations (``measured.*``, ``published.*``) are no conflicts: many may stand side by side.

    Examples
    --------
    >>> row = next(row for row in conflicts() if (row.accelerator, row.field) == ("groq-lpu-v1", "peak_fp16"))
    >>> [(fact.status, fact.value) for fact in row.facts][:2]
    [('chosen', 188000000000000.0), ('alternative', 205000000000000.0)]
    """
    return tuple(
        Conflict(one.id, field, tuple(sorted(facts, key=lambda fact: not fact.used)))
        for one in accelerators()
        for field, facts in one.facts.conflicts().items()
        if not field.startswith(OBSERVATIONS)
    )


def _value(fact: Fact) -> str:
    return f"{fact.printed} {fact.printed_unit}".strip()


def _because(fact: Fact) -> str:
    condition = f" ({fact.condition})" if fact.condition else ""
    return f"{condition}, {fact.note or fact.source}"
