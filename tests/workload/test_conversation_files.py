"""Lengths of conversations are estimates that say so; what is left out is counted, what is wrong is named."""

import json

import pytest

from inferatlas.errors import BadInput
from inferatlas.workload.conversation_files import read_conversations


def talk(*lengths, speakers=("human", "gpt")):
    return {
        "id": "x",
        "conversations": [
            {"from": speakers[k % len(speakers)], "value": "é" * length} for k, length in enumerate(lengths)
        ],
    }


TALKS = [
    talk(400, 800, 4000),
    talk(15, 800),  # 4 tokens: just enough, by rounding
    talk(13, 800),  # 3 tokens
    talk(800, 8),  # an answer of 2
    talk(4096, 4096),  # 1,024 and 1,024: both limits met
    talk(4100, 80),  # 1,025
    talk(4000, 4200),  # 2,050 in all
    talk(400),
    talk(),
    talk(400, 400, speakers=("gpt", "human")),
    talk(9, 40, 80, speakers=("system", "user", "assistant")),
]


def read(folder, text, per_token=4.0):
    path = folder / "talks"
    path.write_text(text, encoding="utf-8")
    return read_conversations(path, characters_per_token=per_token)


@pytest.mark.parametrize("form", ["list", "lines"])
def test_pairs_are_filtered_as_usual_and_counted(tmp_path, form):
    text = json.dumps(TALKS) if form == "list" else "\n".join(map(json.dumps, TALKS)) + "\n\n"
    lengths = read(tmp_path, text)
    assert lengths.input_tokens.tolist() == [100, 4, 1024, 10]
    assert lengths.output_tokens.tolist() == [200, 200, 1024, 20]
    assert (lengths.name, len(lengths)) == ("talks", 4)
    assert lengths.notes == (
        "tokens are estimates: characters over 4",
        "left out: 3 of 11 conversations that do not begin with a question and its answer",
        "left out: 4 of 11 pairs below 4 tokens, or above 1,024 of input or 2,048 in all",
    )


def test_the_estimate_is_never_made_unasked(tmp_path):
    with pytest.raises(TypeError):
        read_conversations(tmp_path / "any")  # pyright: ignore[reportCallIssue]
    assert read(tmp_path, json.dumps([talk(400, 800)]), 8).input_tokens.tolist() == [50]
    for wrong in (0, -1, float("nan"), True, "4"):
        with pytest.raises(BadInput) as caught:
            read(tmp_path, json.dumps(TALKS), wrong)
        assert caught.value.field == "characters_per_token"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "is empty"),
        (" \n", 1, "is empty"),
        ("[]", None, "holds no pair"),
        (json.dumps([talk(4, 4)]), None, "holds no pair of lengths; left out: 1 of 1 pairs"),
        (json.dumps(talk(99, 99)) + "\n{}\n", 2, "is no conversation"),
        (json.dumps(talk(99, 99)) + "\n[1]\n", 2, "is no conversation"),
        (json.dumps(talk(99, 99)) + "\n" + json.dumps(talk(99, 99))[:-9], 2, "not JSON"),
        ('[{"conversations": [{"from": "human"}]}]', None, "holds no message"),
        ('[{"conversations": [7]}]', None, "holds no message"),
        ('{"conversations": "text"}', 1, "is no conversation"),
        ("[\n" + json.dumps(talk(99, 99)) + ",\n", 3, "not JSON"),
        ("prose", 1, "not JSON"),
        ("[" * 100_000, None, "not JSON"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_line(tmp_path, text, line, says):
    with pytest.raises(BadInput, match=says) as caught:
        read(tmp_path, text)
    assert (caught.value.file, caught.value.field) == (str(tmp_path / "talks"), "conversations")
    assert line is None or caught.value.line == line


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "latin").write_bytes("[é]".encode("latin-1"))
    for name in ("absent", "latin"):
        with pytest.raises(BadInput):
            read_conversations(tmp_path / name, characters_per_token=4)
