"""Where the value of an input comes from: cells, the catalogue, models, other claims, constants, the laboratory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.facts import Fact
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.llm.operators import AttentionCore, operators
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.studies.claims import known, named
from inferatlas.studies.claims.asking import answer
from inferatlas.studies.claims.known import Known
from inferatlas.studies.claims.ledger import Claim, Formula, Ledger, Source
from inferatlas.studies.claims.printed import read_printed
from inferatlas.studies.claims.units import base_factor

Books = Mapping[str, Ledger]  # by paper
_FACT = re.compile(r"([^/\s]+)/(\[[^\]]+\]|[^\s\[\]]+)")


def look_up(source: Source, paper: str, books: Books) -> Known:
    """The value of an input of a claim of ``paper``.

    Raises
    ------
    BadInput : an unknown reference, with file and line.
    """
    try:
        return _KINDS[source.kind](source, paper, books)
    except BadInput as error:
        if error.file is None:
            error.file, error.line = source.at.file, source.at.line
        raise


def _paper_of(reference: str, paper: str, books: Books) -> tuple[Ledger, str]:
    """The ledger and what is meant in it: ``park-review:table-1/...`` is another paper's."""
    head, colon, rest = reference.partition(":")
    name = head if colon else paper
    if name not in books:
        raise UnknownName("paper", name, books)
    return books[name], rest if colon else reference


def _cell(source: Source, paper: str, books: Books) -> Known:
    book, address = _paper_of(source.of, paper, books)
    table, row, column = book.at(address)
    if row == "*":
        raise BadInput(f"'{source.of}' names many cells", field="cell", allowed="'cells' for a column")
    origin = f"{book.paper.id}, {table.place}, {table.rows[row].title}, {table.columns[column].title}"
    return known.of_printed(table.rows[row].cells.get(column), origin)


def _cells(source: Source, paper: str, books: Books) -> Known:
    book, address = _paper_of(source.of, paper, books)
    table, row, column = book.at(address)
    if row != "*":
        raise BadInput(f"'{source.of}' names one cell", field="cells", allowed="table/*/column")
    origin = f"{book.paper.id}, {table.place}, column {table.columns[column].title}"
    entries = [(one.id, known.of_printed(one.cells.get(column), one.title)) for one in table.rows.values()]
    return known.vector(entries, origin)


def _fact(source: Source, paper: str, books: Books) -> Known:
    match = _FACT.fullmatch(source.of)
    if not match:
        raise BadInput(f"'{source.of}' names no fact", field="fact", allowed="accelerator/field, or /[field, field]")
    return _fact_of(match[1], match[2], _author(books[paper]) if paper in books else "")


def _facts(source: Source, paper: str, books: Books) -> Known:
    book, address = _paper_of(source.of, paper, books)
    name, _, fields = address.partition("/")
    if name not in book.tables:
        raise UnknownName("table", name, book.tables)
    table = book.tables[name]
    entries = [
        (row.id, _fact_of(row.accelerator, fields, _author(book))) for row in table.rows.values() if row.accelerator
    ]
    return known.vector(entries, f"the catalogue's {fields} of the rows of {table.place}")


def _author(book: Ledger) -> str:
    """How sources of the catalogue begin that are this paper itself."""
    return book.paper.authors.split(",")[0].split()[-1]


@lru_cache(maxsize=4096)
def _fact_of(accelerator: str, fields: str, author: str) -> Known:
    """The chosen fact of the first field that the accelerator has; no word of ``author`` counts, for or against."""
    one = load_accelerator(named.accelerator(accelerator))
    names = [name.strip() for name in fields.strip("[]").split(",")]
    absent = [name for name in names if name not in _fields()]
    if absent:
        raise UnknownName("field of facts", absent[0], _fields())
    field = next((name for name in names if _value(one.facts.chosen(name)) is not None), names[0])
    origin = f"catalogue, {one.id} {field}"
    said = [fact for fact in one.facts.all(field) if _value(fact) is not None and fact.status != "rejected"]
    if not any(fact.used for fact in said):
        return Known(origin, missing=f"{origin}, which nobody is known to have published")
    others = sorted((fact for fact in said if not _is_of(author, fact)), key=lambda fact: not fact.used)
    if not others:
        return Known(origin, missing=f"{origin} from another source than the paper itself")
    rivals = tuple(
        (_of_fact(rival, origin), rival.condition or rival.note or f"as {rival.source} has it") for rival in others[1:]
    )
    first = _of_fact(others[0], origin, rivals)
    return first if others[0].used else replace(first, sure=False)  # an alternative can agree, and refutes nothing


def _is_of(author: str, fact: Fact) -> bool:
    return bool(author) and fact.source.startswith(author)


@lru_cache(maxsize=1)
def _fields() -> frozenset[str]:
    from inferatlas.catalogue.accelerators import accelerators

    return frozenset(field for one in accelerators() for field in one.facts.fields())


def _value(fact: Fact | None) -> float | str | None:
    """The value of a fact; that something is not published is none, whatever is reported beside it."""
    value = fact.value if fact is not None else None
    return None if isinstance(value, str) and value.startswith("not published") else value


def _of_fact(fact: Fact, origin: str, rivals: tuple[tuple[Known, str], ...] = ()) -> Known:
    sure = fact.status != "unverified" and fact.provenance != "recalled"
    said = f"{origin} ({fact.condition or 'no condition'}; {fact.source}{'' if sure else '; unverified'})"
    if isinstance(fact.value, str):
        return Known(said, text=fact.value, sure=sure, rivals=rivals)
    assert fact.value is not None
    found = known.exact(fact.value, fact.unit, said, sure=sure, rivals=rivals)
    if fact.low is None or fact.high is None:
        return found
    scale = base_factor(fact.unit)
    return Known(said, fact.unit, found.value, fact.low * scale, fact.high * scale, sure=sure, rivals=rivals)


_MODEL = {
    "parameters": "1", "active_parameters": "1", "layers": "1", "hidden": "1", "heads": "1", "kv_heads": "1",
    "experts": "1", "top_k": "1", "context": "1", "vocabulary": "1", "kv_bytes_per_token": "B", "weight_bytes": "B",
}  # fmt: skip


def _model(source: Source, paper: str, books: Books) -> Known:
    name, _, what = source.of.rpartition("/")
    if what not in _MODEL:
        raise UnknownName("quantity of a model", what, _MODEL)
    value = _of_model(name, what)
    origin = f"catalogue, {what.replace('_', ' ')} of {name}"
    if value is None:
        return Known(origin, missing=f"{origin}, which it has not")
    return known.exact(value, _MODEL[what], origin)


@lru_cache(maxsize=1024)
def _of_model(name: str, what: str) -> float | None:
    config = load_model(named.model(name))
    attention = next((group.attention for group in config.layers if group.attention), None)
    experts = next((group.ffn for group in config.layers if group.ffn and group.ffn.is_moe), None)
    plain = {
        "layers": config.layer_count, "hidden": config.hidden, "vocabulary": config.vocab,
        "context": config.context_length or None,
        "heads": attention and attention.heads, "kv_heads": attention and attention.kv_heads,
        "experts": experts and experts.experts, "top_k": experts and experts.top_k,
    }  # fmt: skip
    if what in plain:
        return plain[what]
    if what == "kv_bytes_per_token":
        from inferatlas.predict.llm.attention import kv_values

        cores = [row for row in operators(config).rows if isinstance(row, AttentionCore) and row.kept]
        return 2.0 * sum(row.count * kv_values(row.attention) for row in cores) or None
    counted = parameters(config)
    return {
        "parameters": counted.total, "active_parameters": counted.active, "weight_bytes": 2.0 * counted.total,
    }[what]  # fmt: skip


def _claim(source: Source, paper: str, books: Books) -> Known:
    book, name = _paper_of(source.of, paper, books)
    claim: Claim = book.claim(name)
    if isinstance(claim.asserted, Formula):
        raise BadInput(f"'{source.of}' asserts a formula and no value", field="claim", allowed="a claim with a value")
    return known.of_printed(claim.asserted, f"{book.paper.id}, {claim.place}: {claim.statement}")


def _constant(source: Source, paper: str, books: Books) -> Known:
    return known.of_constant(read_printed(source.of, field="value"), source.about)


def _word(source: Source, paper: str, books: Books) -> Known:
    return Known(source.about, text=source.of)


def _constants(source: Source, paper: str, books: Books) -> Known:
    entries = [
        (f"#{i}", known.of_constant(read_printed(text, field="values"), source.about))
        for i, text in enumerate(source.of, start=1)
    ]
    return known.vector(entries, source.about)


def _asked(source: Source, paper: str, books: Books) -> Known:
    return answer(source.of, source.given)


def _unpublished(source: Source, paper: str, books: Books) -> Known:
    return Known(source.of, missing=source.of)


def _unit(source: Source, paper: str, books: Books) -> Known:
    return Known(f"a quantity in {source.of}", source.of, np.nan, np.nan, np.nan)


_KINDS = {
    "cell": _cell, "cells": _cells, "fact": _fact, "facts": _facts, "model": _model, "claim": _claim,
    "value": _constant, "word": _word, "values": _constants, "ask": _asked, "unpublished": _unpublished, "unit": _unit,
}  # fmt: skip
