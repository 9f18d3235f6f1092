"""Claims from YAML, strictly: what cannot be accepted is refused with its file and line."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path

from inferatlas.documents import Document, read_document
from inferatlas.errors import BadInput
from inferatlas.quantities import parse as parse_quantity
from inferatlas.studies.claims.expression import Expression
from inferatlas.studies.claims.expression import parse as parse_expression
from inferatlas.studies.claims.ledger import (
    BASES,
    KINDS,
    Check,
    Claim,
    Formula,
    Ledger,
    LeftOut,
    Paper,
    Reading,
    Source,
)
from inferatlas.studies.claims.nodes import Node
from inferatlas.studies.claims.printed import Printed, read_printed

SOURCES = ("cell", "cells", "fact", "facts", "model", "claim", "value", "values", "ask", "unpublished", "unit")
CATALOGUE_TOLERANCE = 0.02  # vendors round for data sheets (the catalogue's own cross-check uses the same)
SLUG = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
LONGEST_SLUG = 100
MOST_CLAIMS = 2_000  # of one file
_CLAIM = ("id", "place", "states", "asserted", "checks")
_CLAIM_MAY = ("quotes", "basis", "tolerance", "tolerance_because")
_CHECK_MAY = ("inputs", "readings", "bound")


def open_file(path: str | Path) -> Node:
    """A file's document as a node; `BadInput` where it cannot be read."""
    document = read_document(path)
    return Node(document, (), document.data)


def read_ledger(folder: Path) -> Ledger:
    """The ledger in a folder: ``paper.yaml``, ``tables*.yaml``, ``claims*.yaml``, ``left-out.yaml``.

    Raises
    ------
    BadInput : a file is refused; with file and line.
    """
    from inferatlas.studies.claims.tables import cell_claims, read_table

    head = open_file(folder / "paper.yaml").mapping(("id", "title", "authors", "year"), ("address", "text"))
    paper = _paper(head)
    tables, claims = {}, {}
    for file in sorted(folder.glob("tables*.yaml")):
        node = _of_paper(open_file(file).mapping(("paper", "tables"), ()), paper.id)
        for one in node.list("tables"):
            table = read_table(one)
            if table.id in tables:
                raise one.bad(f"table '{table.id}' is there twice", "id")
            tables[table.id] = table
            claims |= cell_claims(paper.id, one, table)
    for file in sorted(folder.glob("claims*.yaml")):
        node = _of_paper(open_file(file).mapping(("paper", "claims"), ()), paper.id)
        _add(claims, node, paper.id)
    left = folder / "left-out.yaml"
    return Ledger(paper, tables, claims, _left_out(open_file(left), paper.id) if left.is_file() else ())


def read_claims(document: Document, *, taken: Container[str] = ()) -> Ledger:
    """A claim file of one's own: its ``paper`` is the name of what claims (a slide, a data sheet), none that is taken.

    Raises
    ------
    BadInput : it is refused; with file and line.
    """
    node = Node(document, (), document.data).mapping(("paper", "claims"), ("title", "authors", "year", "address"))
    name = _slug(node, "paper")
    if name in taken:
        raise node.bad(f"'{name}' is there already", "paper", allowed="a name of your own")
    year = node.value.get("year")
    if year is not None and (isinstance(year, bool) or not isinstance(year, int) or not 1 <= year <= 9999):
        raise node.bad("this is no year", "year", allowed="such as 2025")
    address = node.text("address") if "address" in node else None
    paper = Paper(name, node.text("title", name), node.text("authors", "not named"), year, address)
    claims: dict[str, Claim] = {}
    _add(claims, node, name)
    if not claims:
        raise node.bad("no claim in this file", "claims", allowed="a list of claims")
    return Ledger(paper, {}, claims, ())


def _paper(node: Node) -> Paper:
    year, address, text = (node.value.get(key) for key in ("year", "address", "text"))
    return Paper(node.text("id"), node.text("title"), node.text("authors"), year, address, text)


def _of_paper(node: Node, paper: str) -> Node:
    if node.text("paper") != paper:
        raise node.bad(f"'{node.text('paper')}' is another paper", "paper", allowed=paper)
    return node


def _left_out(node: Node, paper: str) -> tuple[LeftOut, ...]:
    _of_paper(node.mapping(("paper", "left_out"), ()), paper)
    found = []
    for one in node.list("left_out"):
        one.mapping(("because",), ("quotes", "pattern"))
        for pattern in one.texts("pattern"):
            try:
                re.compile(pattern)
            except re.error as error:
                raise one.bad(f"'{pattern}' is no regular expression: {error}", "pattern") from None
        found.append(LeftOut(one.texts("quotes"), one.texts("pattern"), one.text("because")))
    return tuple(found)


def _slug(node: Node, key: str) -> str:
    name = node.text(key)
    if not SLUG.fullmatch(name) or len(name) > LONGEST_SLUG:
        allowed = f"lower-case words joined by hyphens, at most {LONGEST_SLUG} characters"
        raise node.bad(f"{name[:LONGEST_SLUG]!r} is not a slug", key, allowed=allowed)
    return name


def _add(claims: dict[str, Claim], node: Node, paper: str) -> None:
    given = list(node.list("claims"))
    if len(given) > MOST_CLAIMS:
        raise node.bad(f"{len(given):,} claims", "claims", allowed=f"at most {MOST_CLAIMS:,} in a file")
    for one in given:
        claim = read_claim(one, paper)
        if claim.id in claims:
            raise one.bad(f"claim '{claim.id}' is there twice", "id")
        claims[claim.id] = claim


def read_claim(node: Node, paper: str) -> Claim:
    """One claim of a file."""
    node.mapping(_CLAIM, _CLAIM_MAY)
    checks = tuple(read_check(one) for one in node.list("checks"))
    if not checks:
        raise node.bad("a claim without a check", "checks", allowed="what recomputes it, if only from what is missing")
    asserted = _asserted(node)
    _not_itself(node, paper, checks)
    if isinstance(asserted, Formula):
        for check in checks:
            _known(node["asserted"], "formula", asserted.expression, check.readings[0].inputs)
    elif asserted.value is None:
        checks = tuple(map(in_words, checks))
    tolerance = read_tolerance(node)
    if tolerance and "tolerance_because" not in node:
        raise node.bad("a tolerance without its reason", "tolerance", allowed="tolerance_because: why it is needed")
    return Claim(
        id=_slug(node, "id"), paper=paper, place=node.text("place"), statement=node.text("states"),
        quotes=node.texts("quotes"), basis=node.text("basis", "opinion", among=BASES), asserted=asserted,
        checks=checks, tolerance=tolerance, tolerance_because=node.text("tolerance_because", " ").strip(),
        at=node.place,
    )  # fmt: skip


def _not_itself(node: Node, paper: str, checks: tuple[Check, ...]) -> None:
    own = (node.value["id"], f"{paper}:{node.value['id']}")
    every = (source for check in checks for one in check.readings for source in one.inputs.values())
    if any(source.kind == "claim" and source.of in own for source in every):
        raise node.bad("a claim cannot be checked against itself", "checks", allowed="what others state")


def _asserted(node: Node) -> Printed | Formula:
    given = node["asserted"]
    try:
        if not isinstance(given.value, dict):
            found = read_printed(node.text("asserted"))
            if found.value is None:
                raise node.bad(
                    "nothing is asserted", "asserted", allowed="a number, {text: …}, or {formula: …, unit: …}"
                )
            return found
        given.mapping((), ("text", "formula", "unit"))
        if ("formula" in given) == ("text" in given) or ("text" in given and "unit" in given):
            raise node.bad("either words or a formula", "asserted", allowed="{text: …}, or {formula: …, unit: …}")
        if "formula" in given:
            expression = parse_expression(given.text("formula"), field="formula")
            return Formula(expression, _unit_text(given, "unit"))
        return read_printed(given.text("text"), words=True)
    except BadInput as error:
        raise error if error.file else node.at(error, "asserted") from None


def _unit_text(node: Node, key: str) -> str:
    """A unit of formulas, as pint of `formula_units` reads it."""
    from inferatlas.studies.claims.units import formula_unit

    text = node.text(key, "1")
    try:
        formula_unit(text)
    except BadInput as error:
        raise node.at(error, key) from None
    return text


def read_tolerance(node: Node) -> float | None:
    """The tolerance that a claim or a column gives itself, in place of that of the kind of check."""
    if "tolerance" not in node:
        return None
    try:
        found = parse_quantity(node.text("tolerance"), "1")
    except BadInput as error:
        raise node.at(error, "tolerance") from None
    if not 0 <= found <= 1:
        raise node.bad(f"'{node.text('tolerance')}' is no tolerance", "tolerance", allowed="0 % to 100 %")
    return found


def read_check(node: Node, extra: tuple[str, ...] = ()) -> Check:
    """One check: as stated, then the readings under conditions."""
    node.mapping(("by", "expression", *extra), _CHECK_MAY)
    by = node.text("by", among=KINDS)
    bound = node.text("bound", among=("at_most", "at_least")) if "bound" in node else None
    first = read_reading(node, {})
    others = []
    for one in node.list("readings"):
        one.mapping(("under",), ("expression", "inputs"))
        others.append(read_reading(one, first.inputs, default=first.expression))
    return Check(by, (first, *others), bound, node.place)


def in_words(check: Check) -> Check:
    """A check of what is asserted in words: its constants are words too ("HBM3"), and no numbers."""

    def word(source: Source) -> Source:
        return replace(source, kind="word") if source.kind == "value" else source

    readings = (
        replace(one, inputs={name: word(source) for name, source in one.inputs.items()}) for one in check.readings
    )
    return replace(check, readings=tuple(readings))


def read_reading(node: Node, known: Mapping[str, Source], *, default: Expression | None = None) -> Reading:
    """One reading; ``known`` are the inputs of the check that it belongs to, ``default`` its expression."""
    inputs = dict(known)
    for name, one in node.items("inputs"):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise one.bad(f"'{name}' cannot be a name in an expression", allowed="letters, digits and _")
        inputs[name] = read_source(one)
    if "expression" in node or default is None:
        try:
            expression = parse_expression(node.text("expression"))
        except BadInput as error:
            raise error if error.file else node.at(error, "expression") from None
    else:
        expression = default
    _known(node, "expression", expression, inputs)
    return Reading(expression, inputs, node.text("under", " ").strip())


def _known(node: Node, key: str, expression: Expression, inputs: Mapping[str, Source]) -> None:
    for name in expression.names:
        if name not in inputs:
            raise node.bad(f"unknown reference '{name}'", key, allowed=", ".join(inputs) or "give it under inputs")


def read_source(node: Node) -> Source:
    """Where one input comes from."""
    node.mapping((), (*SOURCES, "source", "with"))
    kinds = [kind for kind in SOURCES if kind in node]
    if len(kinds) != 1:
        raise node.bad("an input has one origin", allowed=", ".join(SOURCES))
    kind = kinds[0]
    if kind in ("value", "values") and "source" not in node:
        raise node.bad("a constant without its source", allowed="source: where it comes from, or its derivation")
    given = dict(node["with"].mapping().value) if "with" in node else {}
    if given and kind != "ask":
        raise node.bad("only a question takes these", "with")
    about = node.text("source", " ").strip()
    if kind == "values":
        return Source(kind, node.texts(kind), about, given, node.place)
    if kind == "unit":
        return Source(kind, _unit_text(node, kind), about, given, node.place)
    return Source(kind, node.text(kind), about, given, node.place)
