"""What the papers leave open, answered by the laboratory, each with a confidence that follows from its intervals.

In: the laboratory (tiers, regimes, fleets, sweeps, disaggregation, what-if), the papers' ledgers. Out: `OpenQuestion`.
``confidence`` has the one rule; ``runs``, ``common_errors`` and ``words`` are shared; every other file answers one
question. Equations (10), (28), (29), (32), (40), (49) and (54).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from inferatlas.errors import UnknownName
from inferatlas.studies.exhibits import OpenQuestion

# paper -> file and function of each of its questions, in the paper's order
QUESTIONS = {
    "sharma-2025": (
        "tiered:tiered_memory", "contexts:kv_engine", "state_space:state_space_ranking", "mixes:mixed_traffic",
        "stacks:common_stack",
    ),
    "brunetta": ("four_bit:four_bits", "apart:prefill_apart", "hybrids:hybrid_models", "pictures:multimodal"),
    "park-review": (
        "memories:without_hbm", "watts:low_power", "links:scalability", "software:software_compatibility",
    ),
}  # fmt: skip


def open_questions(paper: str) -> tuple[OpenQuestion, ...]:
    """The open questions of a paper with their answers, computed now.

    Raises
    ------
    UnknownName : no such paper.
    """
    if paper not in QUESTIONS:
        raise UnknownName("paper", paper, QUESTIONS)
    return tuple(_function(name)() for name in QUESTIONS[paper])


def _function(name: str) -> Callable[[], OpenQuestion]:
    file, function = name.split(":")
    return getattr(import_module(f"{__name__}.{file}"), function)
