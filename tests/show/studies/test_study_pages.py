"""Every number of a study is on its pages, unknown ones are no zeros, and no text leaves its place."""

import re
from dataclasses import replace

from madeup_studies import EVIL, PAPER, finding, grouped, growing, made_up, mapped, pair

from inferatlas.show.html import FOLDED
from inferatlas.show.page import Items, Paragraph, Table
from inferatlas.show.studies import tables
from inferatlas.show.studies.audits import claims_html
from inferatlas.show.studies.markdown import study_markdown
from inferatlas.show.studies.pages import sections, study_html, study_page, study_rows
from inferatlas.show.studies.summary import agreement, answer, claims_sentence
from inferatlas.show.studies.words import (
    BASES,
    CHECKS,
    CONFIDENCE,
    GUIDELINES,
    LABELS,
    VERDICTS,
    interval_words,
    printed_words,
    ratio_words,
    unit_of,
)
from inferatlas.show.tables import to_text
from inferatlas.studies.claims import auditing
from inferatlas.studies.claims.printed import read_printed
from inferatlas.studies.reproducing.study import Study

TYPED = "inferatlas reproduce made-up --output study/"


def lines(cells) -> list[str]:
    return [line for cell in cells for line in cell.split("\n")]


def every_table(study: Study) -> list[Table]:
    return [block for one in sections(study) for block in one.blocks if isinstance(block, Table)]


def test_every_number_of_every_pair_is_on_the_page():
    study = made_up()
    shown = set(lines(cell for table in every_table(study) for row in table.rows for cell in row))
    for one in (*study.exhibits, *study.guidelines):
        for each in one.pairs:
            assert {printed_words(each.published), ratio_words(each.ratio)} <= shown
            assert set(interval_words(each.ours, unit_of(each)).split("\n")) <= shown
            assert set(each.what.values()) <= shown


def test_what_is_unknown_is_a_dash_and_never_zero():
    table = tables.pair_table([pair({"chip": "a"}, None), pair({"chip": "b"}, 5.0), pair({"chip": "c"}, None, "7")])
    assert table.rows[0] == ["a", "—", "—", "—", "—", "—"]
    assert table.rows[1][1:] == ["—", "5.00\n4.00–6.25", "—", "—", "predicted"]
    assert table.rows[2] == ["c", "7", "—", "—", "—", "—"]
    open_claim = finding("open", "not_checkable", computed=None, ratio=None, needs=("how many chips",))
    row = tables.claims_table("x", [open_claim]).rows[0]
    assert "0" not in row and row.count("—") == 2 and "needs how many chips" in row


def test_what_is_zero_is_zero():
    table = tables.pair_table([pair({"chip": "a"}, 0.0, "0")])
    assert table.rows[0][1:4] == ["0", "0", "—"]


def test_every_label_is_shown_and_explained():
    study = made_up()
    used = {each.label for one in study.exhibits for each in one.pairs}
    explained = {row[0] for table in every_table(study) if table.title == "Labels" for row in table.rows}
    assert used <= explained and "published" in explained
    assert "extrapolated" in {row[-2] for row in tables.pair_table(grouped().pairs).rows}


def test_every_word_that_a_study_may_use_has_its_explanation():
    assert set(VERDICTS) == set(auditing.VERDICTS)
    for words in (CHECKS, BASES, CONFIDENCE, LABELS):
        assert all(words.values())
    assert set(GUIDELINES) == {"agrees", "agrees_under_condition", "disagrees", "undecided"}


def test_claims_that_fail_stand_first_and_all_of_them_last():
    study = made_up()
    keys = [one.key for one in sections(study)]
    assert (
        keys.index("not-holding") < keys.index("conditional") < keys.index("exhibit-table-1") < keys.index("all-claims")
    )
    held = {one.key: one for one in sections(study)}
    failed, bound, every = (held[key].blocks[-1] for key in ("not-holding", "conditional", "all-claims"))
    assert [len(one.rows) for one in (failed, bound, every)] == [2, 1, 5]
    assert "with 2:4 structured sparsity" in bound.rows[0]
    assert {row[-1] for row in every.rows} == {one.computation for one in study.findings}


def test_a_paper_without_faults_says_so():
    held = {one.key: one for one in sections(replace(made_up(), findings=(finding("fine", "consistent"),)))}
    assert isinstance(held["not-holding"].blocks[0], Paragraph)
    assert "conditional" not in held


def test_a_study_without_anything_is_a_page():
    empty = Study(PAPER, (), (), (), ())
    assert "No claim was audited." in study_html(empty, TYPED)
    assert study_markdown(empty, TYPED).startswith("# “A Study")
    assert study_page(empty, TYPED)


def test_the_answer_counts():
    text = answer(made_up())
    assert text.startswith("Of 5 claims, 1 agrees with what can be recomputed, 1 agrees only under")
    assert "1 contradicts" in text and "1 exceeds" in text and "1 cannot be checked" in text
    assert "Of 2 guidelines, 1 holds under a condition and 1 stays undecided." in text
    assert claims_sentence([finding("a", "inconsistent")] * 2).startswith("Of 2 claims, 2 contradict ")


def test_agreement_counts_what_has_both_numbers():
    found = agreement(grouped().pairs)
    both = [one for one in grouped().pairs if one.published and one.ours]
    assert found.compared == len(both) and found.inside == sum(bool(one.inside) for one in both)
    assert found.compared + found.printed + found.ours + 1 == len(grouped().pairs)  # one has neither


def test_words_are_not_counted_as_numbers():
    words = replace(pair({}, 5.0), published=read_printed("HBM2e", words=True))
    assert agreement([words]).compared == 0 and agreement([words]).error is None


def test_text_of_a_paper_is_text():
    page = study_html(made_up(), TYPED)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "<script" not in claims_html(made_up().findings, TYPED)


def test_markdown_has_no_html_no_date_and_whole_tables():
    text = study_markdown(made_up(), TYPED)
    assert text == study_markdown(made_up(), TYPED)
    assert not re.search(r"(?<!\\)<", text) and not re.search(r"(?<!\\)\$", text)
    assert not re.search(r"20\d\d-\d\d-\d\d", text)
    width = None
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert cells is None or width in (None, cells), line
        width = cells


def test_markdown_shows_of_long_exhibits_what_is_printed_and_counts_the_rest():
    text = study_markdown(made_up(), TYPED)
    assert "90 more rows are in figure-4.csv." in text
    part = text.partition("## Fig. 4")[2].partition("## ")[0]
    table = [line for line in part.splitlines() if line.startswith("| NVIDIA") or line.startswith("| AMD")]
    assert table and all("| — | —" not in line for line in table)


def test_the_page_folds_long_tables_and_lists_its_sections():
    page = study_html(made_up(), TYPED)
    assert len(growing(6, 4).pairs) > FOLDED and f"The numbers ({len(growing(6, 4).pairs)} rows)" in page
    assert 'href="#exhibit-table-1"' in page and 'id="exhibit-table-1"' in page
    assert page.count("<figure") == 6


def test_a_terminal_gets_everything_but_the_claims_that_hold():
    text = to_text(study_page(made_up(), TYPED), width=200)
    assert "Table 1: Throughput by accelerator and model" in text and "inferatlas claims audit --paper made-up" in text
    assert "All claims\n" not in text and "It is short." in text


def test_rows_say_what_they_belong_to():
    rows = study_rows(made_up())
    assert len(rows) == sum(len(one.pairs) for one in (*made_up().exhibits, *made_up().guidelines))
    assert {"table-1", "guideline-small-batches"} <= {row["of"] for row in rows}


def test_conditions_notes_and_reasons_are_shown():
    held = {one.key: one for one in sections(made_up())}
    items = [block for block in held["question-moe"].blocks if isinstance(block, Items)]
    assert items[0].texts == ["8-bit weights.", "No offloading."]
    assert held["question-moe"].lead == "Yes, from a batch of 8 on."
    texts = [block.text for block in held["question-moe"].blocks if isinstance(block, Paragraph)]
    assert texts == ["Confidence: medium. Experts were measured on two machines only."]
    assert [b.texts for b in held[f"exhibit-{mapped().id}"].blocks if isinstance(b, Items)] == [["A note."]]


def test_a_guideline_says_verdict_boundary_and_cases():
    held = {one.key: one for one in sections(made_up())}
    rows = held["guidelines"].blocks[0].rows
    assert rows[0] == ["Box 1", "“Use small batches”", "holds under a condition", "up to a batch of 32", "7 of 9"]
    assert EVIL in held["guideline-sram"].lead and "It stays undecided." in held["guideline-sram"].lead


def test_numbers_of_ours_alone_need_no_columns_of_theirs():
    table = tables.pair_table([pair({"chip": "a"}, 5.0)])
    assert [column.name for column in table.columns] == ["chip", "ours\n(80 % interval)", "label"]
    assert table.title == "Ours: output tokens/s"


def test_claims_that_fail_are_never_folded():
    study = replace(made_up(), findings=tuple(finding(f"c{i}", "inconsistent") for i in range(FOLDED + 5)))
    page = study_html(study, TYPED)
    assert page.count(f"The numbers ({FOLDED + 5} rows)") == 1  # all claims, at the end


def test_an_audit_of_several_papers_names_them():
    page = claims_html([finding("a", "inconsistent"), finding("b", "consistent", paper="other")], TYPED)
    assert ">made-up<" in page and ">other<" in page and "2 claims of made-up and other." in page
