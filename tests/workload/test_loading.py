"""Named workloads carry their source and agree with the traces; a file that breaks the schema is refused by line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload import load_workload, workload_names

TRACES = Path(__file__).parents[3] / "shared" / "traces"
GOOD = """\
name: mine
input_tokens: 512.5
output_tokens: 64
input_cv: 0.5
concurrency: 8
source: "our gateway, May 2026"
"""


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", workload_names())
def test_every_named_workload_says_where_it_comes_from(name):
    named = load_workload(name)
    assert named.name == name
    assert named.address.startswith("https://")
    assert all([named.source, named.licence, named.citation, named.note])


def test_the_regimes_that_the_command_line_promises_are_there():
    assert {"chat", "code", "summarization", "long-context", "reasoning"} <= set(workload_names())


def lengths(file):
    path = TRACES / file
    if not path.exists():
        pytest.skip(f"the trace {file} is not beside this repository")
    if file.endswith(".csv"):
        with path.open(newline="") as rows:
            pairs = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(rows)]
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line]
        pairs = [(row["input_length"], row["output_length"]) for row in rows]
    return np.array(pairs, float)


@pytest.mark.parametrize(
    ("name", "file"), [("chat", "az23_conv.csv"), ("code", "az23_code.csv"), ("long-context", "mc_conv.jsonl")]
)
def test_lengths_are_those_of_the_trace(name, file):
    table = lengths(file)
    mean, cv = table.mean(axis=0), table.std(axis=0) / table.mean(axis=0)
    named = load_workload(name)
    assert [named.input_tokens, named.output_tokens] == pytest.approx(mean, rel=2e-4)
    assert [named.input_cv, named.output_cv] == pytest.approx(cv, abs=6e-5)


def test_a_file_of_the_users_own_is_read(tmp_path):
    named = load_workload(write(tmp_path, GOOD))
    assert (named.name, named.input_tokens, named.output_tokens) == ("mine", 512.5, 64)
    assert (named.input_cv, named.output_cv, named.concurrency) == (0.5, 0.0, 8)
    assert load_workload(str(tmp_path / "mine.yaml")) == named


def test_numbers_are_decimal_whatever_yaml_makes_of_them(tmp_path):
    text = GOOD.replace("512.5", "1e3").replace("64", "010")
    named = load_workload(write(tmp_path, text))
    assert (named.input_tokens, named.output_tokens) == (1000.0, 10.0)


@pytest.mark.parametrize(
    ("change", "line", "field"),
    [
        (("input_cv", "inputcv"), 4, "inputcv"),
        (("concurrency: 8", "name: twice"), 5, "name"),
        (("512.5", "many"), 2, "input_tokens"),
        (("512.5", ".nan"), 2, "input_tokens"),
        (("512.5", "1:30"), 2, "input_tokens"),
        (("512.5", "'512'"), 2, "input_tokens"),
        (("512.5", "-3"), 2, "input_tokens"),
        (("64", "0"), 3, "output_tokens"),
        (("64", "[1, 2]"), 3, "output_tokens"),
        (("0.5", "-0.5"), 4, "input_cv"),
        (("concurrency: 8", "concurrency: 2.5"), 5, "concurrency"),
        (("concurrency: 8", "concurrency: 8\nrequest_rate: 2"), 6, "request_rate"),
        (("name: mine", "name:"), 1, "name"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, change, line, field):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(BadInput) as caught:
        load_workload(path)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), line, field)


def test_a_misspelt_key_gets_the_near_one(tmp_path):
    with pytest.raises(BadInput, match="did you mean input_cv"):
        load_workload(write(tmp_path, GOOD.replace("input_cv", "inputcv")))


@pytest.mark.parametrize(
    "text", ["", "- a list\n", "just text\n", "a: [1\n", "a: 1\n---\nb: 2\n", "a: \x00\n", "[" * 200_000]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(BadInput) as caught:
        load_workload(write(tmp_path, text))
    assert (caught.value.file, caught.value.field) == (str(tmp_path / "mine.yaml"), "workload")


def test_a_file_that_is_absent_not_text_or_incomplete_is_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        load_workload("no/such/file.yaml")
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(BadInput):
        load_workload(path)
    with pytest.raises(BadInput, match="output_tokens, source missing"):
        load_workload(write(tmp_path, "name: x\ninput_tokens: 3\n"))


def test_an_unknown_name_gets_a_near_one():
    with pytest.raises(UnknownName, match="did you mean chat"):
        load_workload("chatt")
    assert load_workload("Chat") == load_workload("chat")
