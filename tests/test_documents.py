"""YAML is read strictly: what cannot be trusted is refused with file and line, and depth never ends the process."""

from pathlib import Path

import pytest

from inferatlas.documents import SHORT, parse_document, read_document, read_text
from inferatlas.errors import BadInput


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("", 1, None, "empty"),
        ("# only a remark\n", 1, None, "empty"),
        ("- a\n- b\n", 1, None, "does not hold a mapping"),
        ("words", 1, None, "does not hold a mapping"),
        ("!!set {a, b}", 1, None, "does not hold a mapping"),
        ("a: 1\nb: ]", 2, None, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, None, "not valid YAML"),
        ("a: *b", 1, None, "not valid YAML"),
        ("a: 1\nb: \x07", 2, None, "not valid YAML"),
        ("a: 1\nb: !!python/object:os.system c", 2, None, "not valid YAML"),
        ("a: 2026-02-30", None, None, "not valid YAML"),
        ("a: 1\nno: 2", 2, None, "a key that is not a text"),
        ("a:\n  3: b", 2, "a", "a key that is not a text"),
        ("a: 1\na: 2", 2, "a", "key given twice"),
        ("a: 1\nb:\n  c: {d: 1,\n    d: 2}", 4, "b.c.d", "key given twice"),
        ("a:\n  - b: 1\n    b: 2", 3, "a[1].b", "key given twice"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_line(text: str, line: int | None, field: str | None, says: str):
    with pytest.raises(BadInput, match=says) as caught:
        parse_document(text, "some.yaml")
    assert (caught.value.file, caught.value.line, caught.value.field) == ("some.yaml", line, field)


@pytest.mark.parametrize("deep", ["[", "{a: ", "[{a: "], ids=["lists", "mappings", "both"])
def test_no_depth_ends_the_process(deep: str):
    with pytest.raises(BadInput, match="nested too deeply") as caught:
        parse_document(f"a: 1\nb: {deep * 200_000}", "some.yaml")
    assert caught.value.line == 2
    shorter = "[" * (SHORT // 2 - 4)  # too short to be looked at beforehand
    assert parse_document(f"a: {shorter}{shorter.replace('[', ']')}", "some.yaml").data


def test_an_anchor_inside_itself_is_read_once():
    assert parse_document("a: &a [*a]", "some.yaml").line(("a",)) == 1


def test_a_file_that_is_absent_or_not_text_is_refused(tmp_path: Path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00a: 1")
    for name, says in (("absent.yaml", "cannot be read"), ("a\0b.yaml", "cannot be read"), ("bytes.yaml", "not UTF-8")):
        with pytest.raises(BadInput, match=says) as caught:
            read_document(tmp_path / name)
        assert caught.value.file == str(tmp_path / name)


def test_the_text_of_a_file_loses_its_byte_order_mark_and_an_error_names_the_input(tmp_path: Path):
    (tmp_path / "counts.csv").write_bytes(b"\xef\xbb\xbf1\n2\n")
    assert read_text(tmp_path / "counts.csv") == "1\n2\n"
    with pytest.raises(BadInput) as caught:
        read_text("/nonexistent", field="counts")
    assert str(caught.value) == "/nonexistent: counts: cannot be read: No such file or directory"


def test_lines_are_those_of_the_deepest_part_that_is_there():
    document = parse_document("a: 1\nb:\n  - c: 2\n  - d: 3\n", "some.yaml")
    paths = [("a",), ("b", 1, "d"), ("b", 1, "e"), ("b", 7), ("z",)]
    assert [document.line(path) for path in paths] == [1, 4, 4, 2, 1]
