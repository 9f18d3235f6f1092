"""Tables as printed, and the claim that every stated cell is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from inferatlas.errors import BadInput
from inferatlas.studies.claims.expression import parse
from inferatlas.studies.claims.ledger import BASES, Check, Claim, Column, Place, Reading, Row, Source, Table
from inferatlas.studies.claims.nodes import Node
from inferatlas.studies.claims.printed import Printed, read_printed
from inferatlas.studies.claims.reading import in_words, read_check, read_reading, read_tolerance

_TABLE_MAY = ("basis", "checks", "readings")
_COLUMN_MAY = ("unit", "words", "fact", "of_model", "needs", "as", "tolerance")
_FACT = parse("fact")


def read_table(node: Node) -> Table:
    """One table of a file."""
    node.mapping(("id", "place", "title", "columns", "rows"), _TABLE_MAY)
    columns = {name: _column(name, one) for name, one in node.items("columns")}
    rows = {name: _row(name, one, columns) for name, one in node.items("rows")}
    return Table(node.text("id"), node.text("place"), node.text("title"), columns, rows)


def _column(name: str, node: Node) -> Column:
    node.mapping(("title",), _COLUMN_MAY)
    return Column(
        id=name, title=node.text("title"), unit=node.text("unit", "1"), words=node.value.get("words") is True,
        facts=node.texts("fact"), of_model=node.text("of_model") if "of_model" in node else None,
        needs=node.text("needs", " ").strip(),
        renamed={printed: str(one.value) for printed, one in node.items("as")}, tolerance=read_tolerance(node),
    )  # fmt: skip


def _row(name: str, node: Node, columns: Mapping[str, Column]) -> Row:
    node.mapping(("title", "cells"), ("accelerator", "model"))
    cells: dict[str, Printed] = {}
    for key, one in node.items("cells"):
        if key not in columns:
            raise one.bad(f"unknown column '{key}'", allowed=", ".join(columns))
        column = columns[key]
        text = node["cells"].text(key) if one.value not in (None, "") else ""
        try:
            meant = column.renamed.get(text, "")
            if meant.isdecimal():  # "MoE (16E)": 16
                cells[key] = replace(read_printed(meant, column.unit), text=text)
                continue
            words = column.words or bool(column.renamed)
            cells[key] = replace(read_printed(text, column.unit, words=words), word=meant)
        except BadInput as error:
            raise one.at(error) from None
    names = {key: node.text(key) if key in node else None for key in ("accelerator", "model")}
    return Row(name, node.text("title"), names["accelerator"], names["model"], cells, node.place)


def cell_claims(paper: str, node: Node, table: Table) -> dict[str, Claim]:
    """A claim per stated cell: against the catalogue where a field is named, by the table's further checks."""
    basis = node.text("basis", "specification", among=BASES)
    readings = [(one, _rule(one, table)) for one in node.list("readings")]
    checks = [(one, _rule(one, table), read_check(one, ("cells",))) for one in node.list("checks")]
    found: dict[str, Claim] = {}
    for row in table.rows.values():
        for key, printed in row.cells.items():
            if not printed.stated:
                continue
            column, address = table.columns[key], f"{row.id}/{key}"
            own = [_in_row(check, table.id, row.id) for _, rule, check in checks if _matches(address, rule)]
            under = [one for one, rule in readings if _matches(address, rule)]
            automatic = _against_catalogue(row, column, under)
            checks_of = [*([automatic] if automatic else []), *own] or [_open(column, row)]
            if printed.value is None:
                checks_of = map(in_words, checks_of)
            name = f"{table.id}/{address}"
            found[name] = Claim(
                id=name, paper=paper, place=table.place,
                statement=f"{column.title} of {row.title}: {printed.text}",
                quotes=(), basis=basis, asserted=printed,
                checks=tuple(checks_of),
                tolerance=column.tolerance, tolerance_because="", at=row.at,
            )  # fmt: skip
    return found


def _rule(node: Node, table: Table) -> tuple[str, ...]:
    """The cells that a rule is for, each ``row/column`` with ``*`` allowed; a rule that finds none is refused."""
    rules = node.texts("cells")
    addresses = [f"{row.id}/{key}" for row in table.rows.values() for key in table.columns]
    for rule in rules:
        if not any(fnmatchcase(address, rule) for address in addresses):
            raise node.bad(f"'{rule}' finds no cell of {table.id}", "cells", allowed="row/column, * for any")
    if not rules:
        raise node.bad("'cells' is missing", allowed="a list of row/column")
    return rules


def _matches(address: str, rules: tuple[str, ...]) -> bool:
    return any(fnmatchcase(address, rule) for rule in rules)


def _against_catalogue(row: Row, column: Column, under: list[Node]) -> Check | None:
    if column.facts and row.accelerator:
        source = Source("fact", f"{row.accelerator}/[{', '.join(column.facts)}]", at=row.at)
    elif column.of_model and row.model:
        source = Source("model", f"{row.model}/{column.of_model}", at=row.at)
    else:
        if under:
            raise under[0].bad("a reading of a cell without a fact of the catalogue", "cells")
        return None
    first = Reading(_FACT, {"fact": source})
    others = []
    for one in under:
        one.mapping(("cells", "under", "expression"), ("inputs",))
        others.append(read_reading(one, first.inputs))
    return Check("catalogue", (first, *others), None, row.at)


def _open(column: Column, row: Row) -> Check:
    """Nothing recomputes this cell: what would have to be known."""
    what = column.needs or f"a document that states the {column.title} of {row.title}"
    return Check("catalogue", (Reading(_FACT, {"fact": Source("unpublished", what, at=row.at)}),), None, row.at)


def _in_row(check: Check, table: str, row: str) -> Check:
    """A table's check for one row: ``./column`` is that row's cell, ``other-table/./column`` that row's there."""

    def bound(source: Source) -> Source:
        if source.kind != "cell":
            return source
        of = f"{table}/{source.of}" if source.of.startswith("./") else source.of
        return replace(source, of=of.replace("/./", f"/{row}/"))

    readings = tuple(
        Reading(one.expression, {name: bound(source) for name, source in one.inputs.items()}, one.under)
        for one in check.readings
    )
    return Check(check.by, readings, check.bound, Place(check.at.file, check.at.line))
