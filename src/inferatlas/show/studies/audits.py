"""Claims of one or several papers as a page of their own: the HTML of `inferatlas claims audit`."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import counted, listed
from inferatlas.show.page import Paragraph
from inferatlas.show.studies import tables
from inferatlas.show.studies.method import METHOD, READING
from inferatlas.show.studies.pages import claim_sections, every_claim
from inferatlas.show.studies.summary import claims_sentence
from inferatlas.studies.claims.auditing import Finding


def claims_html(findings: Sequence[Finding], typed: str) -> str:
    """The page of an audit: verdicts counted, claims that fail, those under a condition, then all of them.

    ``typed`` : the command that makes the page.
    """
    papers = list(dict.fromkeys(one.paper for one in findings))
    sections = [
        Section("numbers", "In numbers", [Paragraph(READING[0]), tables.verdicts_table(findings)]),
        *claim_sections(findings),
        *every_claim(findings),
        Section("method", "How this was done", METHOD),
    ]
    lead = f"{counted(len(findings), 'claim')} of {listed(papers)}." if papers else ""
    return html_page("Published claims, recomputed", claims_sentence(findings), sections, typed, lead=lead)
