"""Park et al., A Review on Proprietary Accelerators for Large Language Models: its tables beside the catalogue.

In: the ledger ``park-review`` and the catalogue. Out: `exhibits`, one per table. No model is asked: the tables state
specifications.
"""

from __future__ import annotations

from inferatlas.studies.claims.ledger import ledger
from inferatlas.studies.exhibits import Exhibit
from inferatlas.studies.reproducing import catalogued

PAPER = "park-review"


def exhibits() -> tuple[Exhibit, ...]:
    """Tables 1 to 4, every stated cell beside the fact that the catalogue chose.

    Examples
    --------
    >>> all(pair.label == "catalogue" for one in exhibits() for pair in one.pairs)
    True
    """
    return tuple(catalogued.exhibit(PAPER, table) for table in ledger(PAPER).tables)
