"""Which tool wrote a file is told by what stands in it; what is no result of a tool is refused with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.formats import EXPORTS, IMPORTS, export, read_foreign


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("{}", "no result of a tool that is known"),
        ("[]", "no result of a tool that is known"),
        ('{"hello": "world"}', "no result of a tool that is known"),
        ("just words", "no result of a tool that is known"),
        ('{"model_id": "a", "duration": 1.0, "compl', r"result.json:1: not JSON"),
        ('{\n"model_id": "a",\n"duration": 1.0,\n"completed": }', r"result.json:4: not JSON"),
        ("[" * 100_000, "nested too deeply|not JSON"),
        ('{"model_id": "a", "duration": 1.0} trailing', r"not JSON"),
    ],
)
def test_wrong_files_are_refused(write, content, told):
    with pytest.raises(BadInput, match=told):
        read_foreign(write(content))


def test_files_that_are_no_text_are_refused(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(BadInput, match="UTF-8"):
        read_foreign(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="UTF-8"):
        read_foreign(file)
    with pytest.raises(BadInput, match="cannot be opened"):
        read_foreign(tmp_path / "nowhere.json")


def test_a_tool_that_is_named_is_asked(write):
    file = write({"model_id": "a", "duration": 1.0, "completed": 1})
    assert read_foreign(file, "vllm")[0].tool == "vllm"
    with pytest.raises(BadInput, match="not a result of guidellm"):
        read_foreign(file, "guidellm")
    with pytest.raises(UnknownName, match="guidellm"):
        read_foreign(file, "guidelm")


def test_numbers_as_python_writes_them_are_read(write):
    # json.dump writes NaN and Infinity, which are no JSON
    found = read_foreign(write('{"model_id": "a", "duration": 1.0, "completed": 1, "mean_e2el_ms": NaN, '
                               '"request_rate": Infinity}'))[0]  # fmt: skip
    assert found.metrics == {}
    assert found.load["kind"] == "offline"


def test_folders(tmp_path, make_record):
    with pytest.raises(BadInput, match="already"):
        read_foreign(make_record())
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"profile_export\.jsonl"):
        read_foreign(tmp_path / "empty")


def test_values_of_another_kind_are_told_and_not_thrown(write):
    run = {"model_id": "a", "duration": 1.0, "completed": 1, "ttfts": [0.1], "chunk_tokens": [{"no": "list"}],
           "start_times": [0.0], "itls": [[]], "output_lens": [1], "backend": "vllm"}  # fmt: skip
    with pytest.raises(BadInput, match="not of the form that vllm writes"):
        read_foreign(write(run))


@pytest.mark.parametrize("tool", EXPORTS)
def test_what_is_written_is_recognised(make_record, tmp_path, tool):
    file = tmp_path / EXPORTS[tool].file
    file.write_text(export(make_record(), tool))
    assert read_foreign(file)[0].tool == tool.removesuffix("-yaml").removesuffix("-v1")


def test_every_tool_says_what_its_files_are():
    assert all(one.says for one in IMPORTS.values())
    assert {name.removesuffix("-yaml").removesuffix("-v1") for name in EXPORTS} <= set(IMPORTS)


ODD = st.sampled_from([None, -1, 0, 1.5, "x", "", [], {}, [None], ["a"], [[1]], True, float("nan"), 1e308, 10**40])


def places(tree, path=()):
    """Paths to everything in nested tables and lists."""
    yield path
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, one in inner:
        yield from places(one, (*path, step))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_stands_anywhere_is_read_or_refused(make_record, tmp_path, data):
    folder = tmp_path / "record"
    if not folder.exists():
        make_record()
    document = json.loads(export(folder, data.draw(st.sampled_from(["vllm", "guidellm", "inferencex"]))))
    path = data.draw(st.sampled_from([path for path in places(document) if path]))
    table = document
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = data.draw(ODD)
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(document))
    try:
        read_foreign(file)
    except BadInput as refused:
        assert refused.file == str(file)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["vllm", "guidellm-yaml", "llm-d"]), st.floats(0.01, 0.99))
def test_a_file_cut_anywhere_is_read_or_refused(make_record, tmp_path, tool, share):
    folder = tmp_path / "record"
    if not folder.exists():
        make_record()
    file = tmp_path / EXPORTS[tool].file
    text = export(folder, tool)
    file.write_text(text[: int(share * len(text))])
    try:
        read_foreign(file)  # YAML that is cut may be whole YAML
    except BadInput as refused:
        assert refused.file == str(file)
    else:
        assert tool != "vllm"
