"""Footnotes say what is in their tables, and levels of evidence what is counted there."""

import pytest

from inferatlas.predict.performance.coefficients import ANSWERING, levels
from inferatlas.show.deployment import figures_words
from inferatlas.show.page import Column, Table
from inferatlas.show.prediction import MEASURED
from inferatlas.show.report.words import LABELS

COLUMNS = [Column("ITL", right=True)]


@pytest.mark.parametrize(
    ("metrics", "cells", "said"),
    [
        (["itl_s"], ["1 ms\n1–2 ms"], "Second lines are 80 % intervals. Latencies are means over requests."),
        (
            ["itl_s"], ["—\nunknown"],
            "Second lines are 80 % intervals; 'unknown': no source is known, or a single output token has no ITL. "
            "Latencies are means over requests.",
        ),
        (
            ["usd_per_million_tokens", "gco2e_per_million_tokens"], ["4.00\ngiven"],
            "Second lines are 80 % intervals; 'given' has none because the question fixes it. Cost and carbon are per "
            "million output tokens.",
        ),
        (
            ["output_tokens_per_s", "power_w"], ["4.00\n3–5"],
            "Second lines are 80 % intervals. Tokens/s and power are of the whole deployment.",
        ),
    ],
)  # fmt: skip
def test_a_footnote_says_what_its_table_shows_and_no_more(metrics: list[str], cells: list[str], said: str):
    assert figures_words(metrics, [Table("", COLUMNS, [[cell] for cell in cells])]) == said


def test_every_level_of_evidence_is_in_words_and_those_of_one_generation_say_so():
    assert set(MEASURED) == {*ANSWERING} - {"prior"}
    names = levels(
        architectural_class="gpu_simt", vendor="NVIDIA", accelerator="h100", engine="vllm", era="2025", weights="fp8",
        compute="fp8", model="m",
    )  # fmt: skip
    counted = {"model+accelerator+engine": "case", "accelerator+engine": "pair", "accelerator": "accelerator",
               "class+engine": "class", "class": "class"}  # fmt: skip
    for level, kind in counted.items():
        (name,) = [name for name in names if name.startswith(f"{kind}:")]
        assert name.endswith("@2025") == ("present generation" in MEASURED[level])


def test_labels_say_what_the_model_page_says():
    assert "not necessarily together" in LABELS["predicted"] and "never measured" in LABELS["extrapolated"]
