"""``inferatlas claims``: what papers and slides state, recomputed: a list, the audit, one claim, claims of your own."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App

from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import SUBJECT, Out, flag

app = App(name="claims", help="What papers and slides state, recomputed, each with a verdict and its computation.")
PaperName = Annotated[str | None, flag("Only of this paper: sharma-2025, park-review, brunetta, or your own.", SUBJECT)]
VerdictName = Annotated[
    str | None,
    flag(
        "Only with this verdict: consistent, consistent_under_condition, inconsistent, beyond_physics, not_checkable.",
        SUBJECT,
    ),
]
Folder = Annotated[str | None, flag("Folder of your own claims. Default: $INFERATLAS_CLAIMS.", SUBJECT, "--ledger")]


@app.command(name="list")
def list_(
    *, paper: PaperName = None, verdict: VerdictName = None, ledger: Folder = None, out: Out = Out()  # noqa: B008
) -> int:  # fmt: skip
    """Every claim in a line: where it stands, what it states, its verdict."""
    from inferatlas.show.claims import claim_rows, list_page
    from inferatlas.studies.claims.auditing import audit as run
    from inferatlas.studies.claims.own import books

    sink = Sink(out)
    with sink.working("recomputing"):
        found = run(books(ledger), paper=paper, verdict=verdict)
    sink.put(found, rows=claim_rows, page=list_page, document=lambda: claim_rows(found))
    return 0


@app.command
def audit(
    *, paper: PaperName = None, verdict: VerdictName = None, ledger: Folder = None, out: Out = Out()  # noqa: B008
) -> int:  # fmt: skip
    """Recompute every claim: from tables, the catalogue, physics and the model; each with its verdict.

    Exit code 2 with file and line if a claim cannot be accepted.
    """
    from inferatlas.show.claims import audit_page, audit_rows
    from inferatlas.show.studies.audits import claims_html
    from inferatlas.studies.claims.auditing import audit as run
    from inferatlas.studies.claims.own import books

    sink = Sink(out)
    with sink.working("recomputing"):
        found = run(books(ledger), paper=paper, verdict=verdict)
    document = lambda: [one.as_dict() for one in found]  # noqa: E731 - the JSON, made if asked for
    sink.put(found, rows=audit_rows, page=audit_page, html=claims_html, document=document)
    return 0


@app.command
def show(name: str, /, *, ledger: Folder = None, out: Out = Out()) -> int:  # noqa: B008
    """One claim with everything: what is stated, how it is recomputed, from what, and what follows.

    Parameters
    ----------
    name
        Paper and claim, as the list has them: sharma-2025/energy-efficiency-ratio.
    """
    from inferatlas.show.claims import claim_page
    from inferatlas.studies.claims.auditing import find_named
    from inferatlas.studies.claims.own import books

    sink = Sink(out)
    found = find_named(name, books(ledger))
    sink.put(found, rows=lambda one: one.inputs, page=claim_page)
    return 0


@app.command
def add(file: str, /, *, ledger: Folder = None, out: Out = Out()) -> int:  # noqa: B008
    """Check claims of your own (a vendor's slide, a data sheet) in the same way, and keep them beside the papers'.

    Exit code 2 with file and line if a claim cannot be accepted; nothing is kept then.

    Parameters
    ----------
    file
        A YAML file of claims; docs/claims.md shows the form.
    """
    from inferatlas.show.claims import audit_rows, checked_page
    from inferatlas.show.studies.audits import claims_html
    from inferatlas.studies.claims.own import add as keep

    sink = Sink(out)
    found = keep(file, ledger)
    document = lambda: [one.as_dict() for one in found.findings]  # noqa: E731
    sink.put(found.findings, rows=audit_rows, page=checked_page, html=claims_html, document=document)
    sink.tell(f"{'replaced' if found.replaced else 'kept as'} {found.file}")
    return 0
