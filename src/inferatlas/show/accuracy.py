"""The scoreboard in words: the answer, and what was scored. `accuracy_page` prints them with the tables."""

from __future__ import annotations

from inferatlas.evidence.accuracy import Accuracy
from inferatlas.evidence.table import METRICS
from inferatlas.show.numbers import quantity
from inferatlas.show.scores import share


def headline(scores: Accuracy) -> str:
    """The answer in one sentence."""
    parts = [f"{quantity(one['metric'])[0]} {share(one['median_ape'])}" for one in scores.overall]
    fit = scores.found.fit
    how = "with the group of each row left out of the fit" if scores.fitted else "by coefficients that never saw them"
    if fit["figures_in_sample"]:
        how += f" where that is known ({fit['figures_left_out']:,} of {fit['figures']:,} figures)"
    return f"Median error {how}: {', '.join(parts)}."


def counts(scores: Accuracy) -> str:
    """How much was scored."""
    found = scores.found
    metrics = sum(1 for name in METRICS if name in set(found.figures["metric"]))
    named = f" of {scores.name}" if scores.name else ""
    return (
        f"{found.scored:,} of {found.rows:,} rows{named}, {found.fit['figures']:,} figures of {metrics} metrics; "
        f"coefficients {found.fit['coefficients']}"
    )
