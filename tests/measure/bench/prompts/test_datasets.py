"""Files of conversations are read strictly and piece by piece; what is wrong is named with its line."""

import json
import tracemalloc

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.prompts import json_entries
from inferatlas.measure.bench.prompts.datasets import DataSet, parse_dataset

WHY = [("user", "Why?"), ("assistant", "Because."), ("user", "So?"), ("assistant", "So.")]


def lmsys(said=WHY):
    return {
        "conversation_id": "x",
        "model": "m",
        "conversation": [{"content": text, "role": role} for role, text in said],
        "turn": 2,
        "language": "English",
    }


def sharegpt(said=WHY, people=("human", "gpt")):
    names = {"user": people[0], "assistant": people[1], "system": "system"}
    return {"id": "x", "conversations": [{"from": names[role], "value": text} for role, text in said]}


def plain(said=WHY):
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def texts(path, kind=None):
    found = parse_dataset(f"{kind}:{path}" if kind else str(path))
    return found.kind, [list(one.messages) for one in found.read()]


@pytest.mark.parametrize(
    ("kind", "entry"), [("lmsys", lmsys()), ("sharegpt", sharegpt()), ("jsonl", plain())], ids=lambda one: str(one)[:8]
)
@pytest.mark.parametrize("form", ["lines", "list", "indented", "bom"])
def test_forms_are_told_by_what_is_in_them(write, kind, entry, form):
    entries = [entry] * 3
    text = {
        "lines": "\n".join(map(json.dumps, entries)) + "\n\n",
        "list": json.dumps(entries),
        "indented": "\n" + json.dumps(entries, indent=2, ensure_ascii=False) + "\n",
        "bom": "\ufeff" + "\r\n".join(map(json.dumps, entries)),
    }[form]
    path = write(text)
    assert texts(path) == texts(path, kind) == (kind, [WHY] * 3)


def test_parquet_as_published(tmp_path):
    rows = 2500  # more than are read at a time
    said = [[*WHY[:-1], ("assistant", f"So {row}.")] for row in range(rows)]
    path = tmp_path / "train-00000-of-00006.parquet"
    pl.DataFrame([lmsys(one) for one in said]).write_parquet(path, row_group_size=1000)
    assert texts(path) == ("lmsys", said)
    assert parse_dataset(str(path)).name == "lmsys:train-00000-of-00006.parquet"


@pytest.mark.parametrize(
    ("frame", "says", "line"),
    [
        ({"text": ["x"]}, "no column 'conversation'", None),
        ({"conversation": ["x"]}, "no conversation", 1),
        ({"conversation": [[{"role": "user", "content": "x"}], None]}, "no conversation", 2),
        ({"conversation": [[{"role": "user", "content": None}]]}, "message 1", 1),
        ({"conversation": [[{"role": "narrator", "content": "x"}]]}, "narrator", 1),
    ],
)
def test_parquet_of_another_form_is_refused(tmp_path, frame, says, line):
    path = tmp_path / "x.parquet"
    pl.DataFrame(frame).write_parquet(path)
    with pytest.raises(BadInput, match=says) as caught:
        texts(path)
    assert (caught.value.file, caught.value.line) == (str(path), line)
    with pytest.raises(BadInput, match="parquet"):
        list(DataSet("sharegpt", path).read())


def test_a_parquet_file_that_is_cut_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pl.DataFrame([lmsys()] * 100).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="cannot be read"):
        texts(path)


def test_plain_entries_say_how_long_answers_are(write):
    path = write(
        [
            {"prompt": "Why?", "output_tokens": 5, "other": 1},
            {"messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": "Why?"}], "max_tokens": 6},
            {"prompt_token_ids": [1, 2, 3]},
        ]
    )
    first, second, third = parse_dataset(str(path)).read()
    assert (first.messages, first.output_tokens) == ((("user", "Why?"),), 5)
    assert (second.messages, second.output_tokens) == ((("system", "Be."), ("user", "Why?")), 6)
    assert (third.token_ids, third.messages, third.output_tokens) == ((1, 2, 3), (), None)


GOOD = json.dumps(plain())


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", 1, "is empty"),
        (b" \n\t\n", 1, "is empty"),
        (b"prose", 1, "not JSON"),
        (b"\0" * 100, 1, "not JSON"),
        (b"\xff\xfe{}", 1, "not UTF-8"),
        (GOOD.encode() + b"\n" + GOOD.encode()[:-9], 2, "not JSON"),
        (GOOD.encode() + b"\n\n" + b'{"prompt": "\xff"}', 3, "not UTF-8"),
        (GOOD.encode() + b'\n{"prompt": "a\0b"}', 2, "not JSON"),
        (GOOD.encode() + b"\n[1]\n", 2, "no object"),
        (GOOD.encode() + b"\n{}\n", 2, "no prompt"),
        (b'{"prompt": "x", "prompt_token_ids": [1]}', 1, "holds prompt and prompt_token_ids"),
        (b'{"prompt": 7}', 1, "no text"),
        (b'{"prompt": "x", "max_tokens": 0}', 1, "0 tokens"),
        (b'{"prompt": "x", "max_tokens": true}', 1, "True tokens"),
        (b'{"prompt_token_ids": []}', 1, "no token ids"),
        (b'{"prompt_token_ids": [1.5]}', 1, "no token ids"),
        (b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}', 1, "message 1"),
        (b'{"messages": [{"role": "narrator", "content": "x"}]}', 1, "narrator"),
        (b'{"messages": "x"}', 1, "no conversation"),
        (b'{"conversations": [{"from": "human"}]}', 1, "message 1"),
        (b'{"something": 1}', 1, "'something'"),
        (b"[]", None, "holds no conversation"),
        (b"[\n" + GOOD.encode() + b",\n", 3, "not JSON"),
        (b"[\n" + GOOD.encode() + b"\n" + GOOD.encode(), 3, "where ']' is expected"),
        (b"[\n" + GOOD.encode() + b',\n{"messages":\n [}]', 4, "not JSON"),
        (b"[" + GOOD.encode() + b"\n]\n]", 3, "goes on"),
        (b"[" + GOOD.encode() + b", 7]", 1, "no object"),
        (b"[" + GOOD.encode() + b', {"prompt": "\xff"}]', 1, "not UTF-8"),
        (b"[" * 100_000, 1, "not JSON"),
        (b'{"prompt": ' * 100_000, 1, "not JSON"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write, content, line, says):
    path = write(content)
    with pytest.raises(BadInput) as caught:
        texts(path)
    assert says in str(caught.value)
    assert (caught.value.file, caught.value.line) == (str(path), line)


@pytest.mark.parametrize("text", ["", "no/such/file.jsonl", "lmsys:", "lmsys:no/such", "/"])
def test_files_that_are_none_are_refused(text):
    with pytest.raises(BadInput) as caught:
        parse_dataset(text)
    assert caught.value.field == "dataset"


def test_folders_and_unknown_kinds_are_named(tmp_path):
    with pytest.raises(BadInput, match="folder"):
        parse_dataset(str(tmp_path))
    with pytest.raises(UnknownName) as caught:
        parse_dataset("lmsis:x.jsonl")
    assert caught.value.near[0] == "lmsys"


def test_a_path_with_a_colon_is_a_path(write):
    path = write([plain()], "a:b.jsonl")
    assert texts(path)[0] == "jsonl"


ENTRIES = st.lists(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.text(), st.integers(), st.lists(st.text(), max_size=3)), max_size=4
    ),
    min_size=1,
    max_size=8,
)


@given(ENTRIES, st.sampled_from([None, 0, 3]), st.booleans(), st.integers(1, 40))
def test_lists_are_read_as_they_were_written_however_they_are_cut(tmp_path_factory, entries, indent, ascii_only, step):
    path = tmp_path_factory.mktemp("cut") / "list.json"
    text = json.dumps(entries, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text, encoding="utf-8", errors="surrogatepass" if ascii_only else "replace")
    wanted = json.loads(path.read_text(encoding="utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_entries, "READ", step)
        found = list(json_entries.json_entries(path))
    assert [entry for entry, _ in found] == wanted
    assert all(text.split("\n")[line - 1].lstrip("[, ").startswith("{") for _, line in found)


@pytest.mark.parametrize("form", ["list", "lines"])
def test_a_large_file_is_not_held_whole(write, form):
    entry = json.dumps(plain([("user", "x" * 50_000)]))
    path = write("[" + ",".join([entry] * 400) + "]" if form == "list" else "\n".join([entry] * 400))  # 20 MB
    tracemalloc.start()
    found = parse_dataset(str(path)).read()
    count = sum(1 for _ in found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400 and peak < 8e6
