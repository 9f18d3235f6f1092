"""Measured visits of experts: the file is read as it stands, and what is no list of visits is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.visits import measured_popularity
from inferatlas.errors import BadInput
from inferatlas.predict.llm.experts import inclusion
from inferatlas.predict.llm.operators import operators

OPS = operators(load_model("qwen3-30b-a3b"))  # 128 experts, top 8


def written(folder: Path, lines: list[Any]) -> Path:
    file = folder / "visits.txt"
    file.write_text("\n".join(str(line) for line in lines) + "\n", encoding="utf-8")
    return file


def test_a_token_visits_each_expert_as_often_as_was_counted(tmp_path):
    counts = np.random.default_rng(5).integers(100, 5000, 128)
    popularity = measured_popularity(written(tmp_path, counts.tolist()), OPS)
    assert inclusion(popularity, 8) == pytest.approx(8 * counts / counts.sum(), rel=1e-6)


def test_a_table_has_its_counts_in_the_last_column_under_a_heading(tmp_path):
    rows = ["expert,visits", *(f"{i},{1000 + i}" for i in range(128)), "", "  "]
    plain = [1000 + i for i in range(128)]
    assert measured_popularity(written(tmp_path, rows), OPS) == measured_popularity(written(tmp_path, plain), OPS)


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([1000] * 127, None, "127 counts"), ([1000] * 256, None, "256 counts"), ([], None, "0 counts"),
        ([1000] * 60 + ["many"] + [1000] * 67, 61, "'many' is not a count"),
        (["visits"] + [1000] * 127 + ["1e"], 129, "'1e' is not a count"),
        ([1000] * 127 + [-1], None, "counts"), ([0] * 128, None, "counts"), ([1000] * 127 + ["nan"], None, "counts"),
        ([1] * 127 + [10**9], None, "visits"),  # an expert is visited once a token at most
    ],
)  # fmt: skip
def test_what_is_no_list_of_visits_is_refused_with_the_file(tmp_path, lines, line, words):
    file = written(tmp_path, lines)
    with pytest.raises(BadInput, match=words) as caught:
        measured_popularity(file, OPS)
    assert (caught.value.field, caught.value.file, caught.value.line) == ("counts", str(file), line)


def test_files_that_cannot_be_read_and_models_without_experts_are_refused(tmp_path):
    binary = tmp_path / "visits.bin"
    binary.write_bytes(b"\xff\xfe\x00")
    for file, words in ((tmp_path / "none.txt", "cannot be read: No such file"), (binary, "is not UTF-8 text")):
        with pytest.raises(BadInput, match=words) as caught:
            measured_popularity(file, OPS)
        assert (caught.value.field, caught.value.file) == ("counts", str(file))
    with pytest.raises(BadInput, match="has no experts") as caught:
        measured_popularity(written(tmp_path, [1] * 128), operators(load_model("llama-3.1-8b")))
    assert caught.value.file == str(tmp_path / "visits.txt")
