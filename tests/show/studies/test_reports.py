"""The reports under ``docs/studies`` are of today's verdicts, and every picture that they show is there."""

import re
from pathlib import Path

import pytest

from inferatlas.show.studies.markdown import study_markdown
from inferatlas.studies.claims.auditing import audit, published
from inferatlas.studies.claims.ledger import ledger, paper_ids
from inferatlas.studies.reproducing.study import Study

REPORTS = Path(__file__).parents[3] / "docs" / "studies"
CLAIMS = ("Claims that do not hold", "All claims")  # the sections that follow from claims alone


def sections(text: str) -> dict[str, str]:
    """The sections of a report by heading."""
    heads = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(heads[::2], heads[1::2], strict=True))


@pytest.mark.parametrize("paper", paper_ids())
def test_a_report_holds_todays_verdicts(paper):
    written = sections((REPORTS / f"{paper}.md").read_text(encoding="utf-8"))
    study = Study(ledger(paper).paper, audit(published(), paper=paper), (), (), ())
    made = sections(study_markdown(study, ""))
    for name in CLAIMS:
        assert written[name].strip() == made[name].strip(), f"'{name}' of {paper}: run `make studies`"


@pytest.mark.parametrize("paper", paper_ids())
def test_a_report_shows_every_picture_that_lies_beside_it(paper):
    shown = set(re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (REPORTS / f"{paper}.md").read_text(encoding="utf-8")))
    there = {f"{paper}/{one.name}" for one in (REPORTS / paper).glob("*.svg")}
    assert shown == there and shown
