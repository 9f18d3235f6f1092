"""No verdict is typed: of every check of every claim, some input can be changed so that its outcome changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.studies.claims import checking
from inferatlas.studies.claims.auditing import Finding, audit, find, published
from inferatlas.studies.claims.checking import Outcome
from inferatlas.studies.claims.known import Known
from inferatlas.studies.claims.ledger import Check, Formula, Source, paper_ids
from inferatlas.studies.claims.looking_up import look_up
from inferatlas.studies.claims.units import base_factor


def others(one: Known, finding: Finding) -> Iterator[Known]:
    """An input with other values: words, units, numbers scaled, a column in another order, what was missing known."""
    asserted = finding.asserted
    if one.missing:
        wanted = None if isinstance(asserted, Formula) else asserted.value
        if wanted is None:
            yield replace(one, missing="", text="" if isinstance(asserted, Formula) else asserted.word or asserted.text)
        for unit in dict.fromkeys((asserted.unit, "1")):
            x = (wanted if wanted is not None else 2.0) * base_factor(unit)
            yield Known(one.origin, unit, x, x, x)
    elif one.text is not None:
        yield replace(one, text="something else entirely", sure=True, rivals=())
        if not isinstance(asserted, Formula):
            yield replace(one, text=asserted.word or asserted.text, sure=True, rivals=())
    elif not np.isfinite(np.atleast_1d(one.value)).any():
        for unit in (asserted.unit, "USD", "s", "B"):
            yield replace(one, unit=unit)
    else:
        r = finding.ratio or 2.0
        factors = [1e3, 1e-3, r, 1 / r, abs(r) ** 0.5, abs(r) ** -0.5, 1.3, 0.7]
        changes = [np.full(len(one.rows) or 1, factor) for factor in factors]
        if one.rows:
            changes += [np.geomspace(1, 1e3, len(one.rows)), np.geomspace(1e3, 1, len(one.rows))]
            stated = np.isfinite(one.value)
            for change in (stated & (np.cumsum(stated) == 1), ~stated & (np.cumsum(~stated) == 1)):  # a row less, more
                x = np.where(change, np.nan if change[stated].any() else 1.0, one.value)
                yield replace(one, value=x, low=x, high=x)
        for change in changes:
            x = change if one.rows else float(change[0])
            yield replace(one, value=one.value * x, low=one.low * x, high=one.high * x, sure=True, rivals=())


def sources_of(check: Check) -> list[Source]:
    every = [source for reading in check.readings for source in reading.inputs.values()]
    return list({id(source): source for source in every}.values())


def follows(finding: Finding, check: Check, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether some change of one input of a check gives another outcome."""
    books = published()
    claim = books[finding.paper].claims[finding.id]
    for source in sources_of(check):
        known = look_up(source, claim.paper, books)
        # no scaling brings a correlation to a given value; without its column it cannot be computed
        gone = [Known(known.origin, missing=known.origin)] if check.by == "statistics" else []
        for other in (*others(known, finding), *gone):

            def looked_up(asked, paper, books, source=source, other=other):
                return other if asked is source else look_up(asked, paper, books)

            monkeypatch.setattr(checking, "look_up", looked_up)
            try:
                if checking.check(claim, check, books).verdict != outcome.verdict:
                    return True
            except BadInput:  # the change has a unit that does not fit
                continue
    return False


@pytest.mark.parametrize("paper", paper_ids())
def test_every_verdict_follows_from_its_inputs(paper, monkeypatch):
    stuck = []
    for one in audit(published(), paper=paper):
        checks = published()[paper].claims[one.id].checks
        if not all(follows(one, *pair, monkeypatch) for pair in zip(checks, one.checks, strict=True)):
            stuck.append(one.id)
    assert not stuck


def test_a_corrected_fact_of_the_catalogue_moves_the_verdict(monkeypatch):
    """Park prints 1,979 TFLOPS at FP16 for the H100, with sparsity; were it the dense rate, it would be consistent."""
    claim = published()["park-review"].claims["table-2/nvidia-h100/fp16"]
    before = find(claim, published())
    assert before.verdict == "consistent_under_condition" and "sparsity" in before.condition

    def doubled(asked, paper, books):
        found = look_up(asked, paper, books)
        return replace(found, value=2 * found.value, low=2 * found.low, high=2 * found.high, rivals=())

    monkeypatch.setattr(checking, "look_up", doubled)
    assert find(claim, published()).verdict == "consistent"
