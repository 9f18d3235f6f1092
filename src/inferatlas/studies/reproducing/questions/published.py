"""What the papers print about a question, from the ledger of their claims."""

from __future__ import annotations

from inferatlas.studies.claims.ledger import ledger
from inferatlas.studies.claims.printed import Printed


def said(paper: str, claim: str) -> Printed | None:
    """What a claim of a paper asserts; None where its ledger has no such claim, or one that is a formula."""
    found = ledger(paper).claims.get(claim)
    return found.asserted if found is not None and isinstance(found.asserted, Printed) else None
