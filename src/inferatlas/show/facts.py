"""The facts of the catalogue as pages and rows: one thing with all it has, and where sources disagree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.carbon import Embodied, embodied
from inferatlas.catalogue.conflicts import Conflict
from inferatlas.catalogue.facts import Fact
from inferatlas.catalogue.find import Thing
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.prices import Price, prices
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE
from inferatlas.show.page import Block, Column, Command, Heading, Page, Paragraph, Table


def kind_of(thing: Thing) -> str:
    """The kind in a word: accelerator, model or engine."""
    return "accelerator" if isinstance(thing, Accelerator) else "model" if isinstance(thing, ModelConfig) else "engine"


def facts_of(thing: Thing) -> list[Fact]:
    """Every fact; within a field the one in use first, the others beside it in the order of the file."""
    if thing.facts is None:
        return []
    return [fact for field in thing.facts.fields() for fact in sorted(thing.facts.all(field), key=lambda f: not f.used)]


def thing_dict(thing: Thing) -> dict[str, Any]:
    """The JSON of ``inferatlas catalogue show``: identity, every fact, and the dated rows that name it."""
    words: dict[str, Any] = {"id": thing.id, "name": thing.name, "kind": kind_of(thing)}
    if isinstance(thing, ModelConfig):
        words |= {"family": thing.family, "hf_id": thing.hf_id, "architecture": thing.kind, "aliases": thing.aliases}
        words |= {"context_length": thing.context_length, "not_modelled": thing.not_modelled}
        words |= {"shapes": [asdict(group) for group in thing.layers], "hidden": thing.hidden, "vocab": thing.vocab}
        words |= {"encoder": [asdict(group) for group in thing.encoder]}
        words |= {"vision": asdict(thing.vision) if thing.vision is not None else None}
    elif isinstance(thing, Accelerator):
        words |= {"vendor": thing.vendor, "aliases": thing.aliases, "architectural_class": thing.architectural_class}
        words |= {"execution": thing.execution, "topology": thing.topology, "devices_per_card": thing.devices_per_card}
    else:
        words |= {"aliases": thing.aliases, "support_field": thing.support_field}
    words["facts"] = [fact.as_dict() for fact in facts_of(thing)]
    if isinstance(thing, Accelerator):
        words["prices"] = [asdict(row) for row in _prices(thing)]
        words["embodied"] = [asdict(row) for row in _embodied(thing)]
    return words


def fact_rows(thing: Thing) -> list[dict[str, Any]]:
    """One row per fact, for CSV and Parquet."""
    return [{"id": thing.id, **fact.as_dict()} for fact in facts_of(thing)]


def thing_page(thing: Thing, typed: str) -> Page:
    """One thing with its facts, the dated rows that name it, and the command that shows it."""
    facts = facts_of(thing)
    doubtful = sum(fact.status == "unverified" for fact in facts)
    note = f"{len(facts)} facts, {doubtful} of them unverified: no document has been opened that says so."
    blocks: list[Block] = [
        Heading(f"{thing.name} ({thing.id})"),
        Paragraph(_identity(thing)),
        Paragraph(note, quiet=True),
    ]
    columns = [
        Column("field"),
        Column("value", wraps=True),
        Column("condition", wraps=True),
        Column("status"),
        Column("source", wraps=True),
    ]
    rows = []
    for i, fact in enumerate(facts):
        again = i > 0 and facts[i - 1].field == fact.field
        rows.append(["" if again else fact.field, _value(fact), fact.condition, badge(fact.status), _source(fact)])
    blocks.append(Table("Facts: the value in use first, its alternatives below it", columns, rows))
    if isinstance(thing, Accelerator):
        blocks += _dated(thing)
    return [*blocks, Command("Reproduce", typed)]


def badge(status: str) -> str:
    """A status as it is shown: what nobody has verified is in capitals."""
    return "UNVERIFIED" if status == "unverified" else status


def context(tokens: int) -> str:
    """A context in words; 0 where the configuration names none.

    Examples
    --------
    >>> context(131072), context(0)
    ('131,072', 'none named')
    """
    return f"{tokens:,}" if tokens else "none named"


def _depth(model: ModelConfig) -> str:
    """Layers, by what they are where they are not all attention and feed-forward blocks."""
    if model.encoder:
        return f"{sum(group.count for group in model.encoder)} encoder and {model.layer_count} decoder layers"
    recurrent = [group for group in model.layers if group.recurrence is not None]
    forms = ", ".join(sorted({group.recurrence.form for group in recurrent if group.recurrence is not None}))
    words = f"{model.layer_count} layers"
    return f"{words}, {sum(group.count for group in recurrent)} of them {forms}" if recurrent else words


def _identity(thing: Thing) -> str:
    if isinstance(thing, Accelerator):
        parts = [thing.vendor, thing.architectural_class, f"{thing.execution} execution", f"{thing.topology} topology"]
        parts += [f"{thing.devices_per_card} devices a card"] if thing.devices_per_card > 1 else []
    elif isinstance(thing, ModelConfig):
        parts = [thing.family, thing.kind, _depth(thing), f"context {context(thing.context_length)}"]
        if thing.vision is not None:
            parts.append(f"vision tower of {sum(group.count for group in thing.vision.layers)} layers")
        parts += [f"not modelled: {thing.not_modelled}"] if thing.not_modelled else []
    else:
        parts = [f"serving engine, {thing.support_field} of an accelerator says whether it runs there"]
    parts += [f"also {', '.join(thing.aliases)}"] if thing.aliases else []
    return "; ".join(parts) + "."


def _value(fact: Fact) -> str:
    words = f"{fact.printed} {fact.printed_unit}".strip()
    return words if fact.low is None or fact.high is None else f"{words} (a range)"


def _source(fact: Fact) -> str:
    return "; ".join(part for part in (fact.source, fact.note) if part) or NONE


def _prices(thing: Accelerator) -> list[Price]:
    return [row for row in prices() if row.accelerator == thing.id]


def _embodied(thing: Accelerator) -> list[Embodied]:
    return [row for row in embodied() if row.accelerator == thing.id]


def _dated(thing: Accelerator) -> list[Block]:
    rows = [
        [
            row.kind,
            _number(row.value),
            f"{row.unit} per {row.per}",
            row.term,
            row.region,
            row.date,
            badge(row.status),
            row.source,
        ]
        for row in _prices(thing)
    ]
    names = ("kind", "value", "unit", "term", "region", "date", "status")
    columns = [Column(name, right=name == "value") for name in names]
    found: list[Block] = [Table("Prices", [*columns, Column("source", wraps=True)], rows)] if rows else []
    carbon = [
        [row.item, show(row.value, "gCO2e"), row.per, row.year, badge(row.status), row.source]
        for row in _embodied(thing)
    ]
    if carbon:
        columns = [Column(name, right=name == "value") for name in ("item", "value", "per", "year", "status")]
        found.append(Table("Embodied carbon", [*columns, Column("source", wraps=True)], carbon))
    return found


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:g}"


def conflict_rows(found: Iterable[Conflict]) -> list[dict[str, Any]]:
    """One row per rival fact, the one in use first within its field."""
    return [{"accelerator": one.accelerator, **fact.as_dict()} for one in found for fact in one.facts]


def conflicts_page(found: Sequence[Conflict], typed: str) -> Page:
    """Every field with more than one value: what is in use, what is not, and why."""
    columns = [Column("accelerator"), Column("field"), Column("value", wraps=True), Column("condition", wraps=True),
               Column("status"), Column("why", wraps=True)]  # fmt: skip
    rows = []
    for one in found:
        for i, fact in enumerate(one.facts):
            head = [one.accelerator, one.field] if i == 0 else ["", ""]
            rows.append([*head, _value(fact), fact.condition, badge(fact.status), fact.note or fact.source])
    title = f"{len(found)} fields where sources disagree; the value in use stands first"
    return [Heading(title), Table("", columns, rows, keys=2), Command("Reproduce", typed)]
