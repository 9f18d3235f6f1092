"""How studies are shown: a reproduced paper as blocks, page, Markdown and files; its exhibits as charts.

In: a `Study` (claims with their verdicts, exhibits, guidelines, open questions). Out: `sections` (blocks with charts,
the one source of every form), the page (`study_html`), Markdown (`study_markdown`), the files of a folder
(`write_study`) and what a command prints (`study_page`, `study_rows`); for claims alone `claims_html`. Nothing is
computed here but counts and medians of what the study holds. Implements no equation.

``words`` says what verdicts, labels and kinds of check mean, once for all pages; ``looks`` what charts share, and
``bars``, ``curves``, ``maps`` and ``tradeoffs`` draw the kinds of plots that ``charts`` chooses from.
"""
