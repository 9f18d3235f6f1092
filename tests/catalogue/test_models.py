"""The models of the catalogue load by every name; a file of one's own is refused with file, line and field."""

import shutil
from pathlib import Path

import pytest

from inferatlas.catalogue.models import load_file, load_model, model_ids, model_names, models
from inferatlas.catalogue.names import DATA, slug
from inferatlas.errors import BadInput, UnknownName

FILES = sorted((DATA / "models").glob("*.yaml"))
LLAMA = (DATA / "models" / "llama-3.1-8b.yaml").read_text(encoding="utf-8")


def test_there_are_37_models_and_each_file_is_named_after_its_slug() -> None:
    assert len(model_ids()) == len(models()) == 37
    assert all(models()[file.stem].id == file.stem for file in FILES)


def test_no_two_models_share_a_name() -> None:
    owners: dict[str, str] = {}
    for model in models().values():
        for name in {slug(n) for n in (model.id, model.name, model.hf_id or model.id, *model.aliases)}:
            assert owners.setdefault(name, model.id) == model.id, name
            assert model_names()[name] == model.id


@pytest.mark.parametrize(
    "name",
    ["llama-3.1-8b", "LLAMA-3.1-8B", " llama3.1-8b ", "meta-llama/Llama-3.1-8B-Instruct", "META-LLAMA/llama-3.1-8b"],
)
def test_slug_alias_and_hugging_face_name_mean_the_same_in_any_case(name: str) -> None:
    assert load_model(name) is models()["llama-3.1-8b"]


def test_an_unknown_name_gets_near_names() -> None:
    with pytest.raises(UnknownName, match="did you mean") as caught:
        load_model("lama-3.1-8b")
    assert "llama-3.1-8b" in caught.value.near
    assert caught.value.exit_code == 2
    for nonsense in ("x" * 5000, "nul\0", "~nobody-of-that-name/x", "no/such/model"):
        with pytest.raises(UnknownName):
            load_model(nonsense)


def test_a_name_that_is_empty_or_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model given"):
        load_model("  ")
    for missing in ("gone.yaml", "gone.json"):
        with pytest.raises(BadInput, match="no such file"):
            load_model(tmp_path / missing)
    with pytest.raises(BadInput, match=r"no config\.json"):
        load_model(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"0")
    with pytest.raises(BadInput, match="not a model file"):
        load_model(tmp_path / "weights.bin")


def test_a_file_of_ones_own_is_a_model_like_any_other(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    shutil.copy(DATA / "models" / "gpt-oss-20b.yaml", own)
    mine, shipped = load_model(own), load_model("gpt-oss-20b")
    assert mine.layers == shipped.layers
    assert mine.file == str(own)


# what to replace in a good file, by what; then the field, a word of the message and the line (None: not checked)
BAD = [
    ("kind: dense", "kind: dense\ncolour: red", "colour", "unknown key", 6),
    ("hidden: 4096", "hiden: 4096", "config.hiden", "unknown key", None),
    ("  hidden: 4096\n", "", "config", "missing", None),
    ("hidden: 4096", "hidden: -4096", "config.hidden", "whole number", None),
    ("hidden: 4096", "hidden: 0", "config.hidden", "whole number", None),
    ("hidden: 4096", "hidden: .nan", "config.hidden", "whole number", None),
    ("hidden: 4096", "hidden: '4096'", "config.hidden", "whole number", None),
    ("hidden: 4096", "hidden: true", "config.hidden", "whole number", None),
    ("hidden: 4096", f"hidden: {10**30}", "config.hidden", "whole number", None),
    ("hidden: 4096", "hidden: 4096\n  hidden: 4096", "hidden", "given twice", None),
    ("tied_embeddings: false", "tied_embeddings: 0", "config.tied_embeddings", "truth value", None),
    ("kind: dense", "kind: sparse", "kind", "not allowed", None),
    ("id: llama-3.1-8b", "id: Llama 3.1", "id", "not a slug", 1),
    ("id: llama-3.1-8b", "id: 31", "id", "text", 1),
    ("kv_heads: 8", "kv_heads: 7", "config.layers[1].attention", "does not divide", None),
    ("kv_heads: 8", "kv_heads: 8, windows: 5", "config.layers[1].attention.windows", "unknown key", None),
    ("kv_heads: 8", "kv_heads: 8, window: 0", "config.layers[1].attention.window", "whole number", None),
    ("kv_heads: 8", "kv_heads: 8, kv_lora: 512", "config.layers[1].attention", "needs rope_dim", None),
    ("kv_heads: 8", "kv_heads: 8, rope_dim: 64", "config.layers[1].attention", "needs kv_lora", None),
    ("width: 14336", "width: 14336, experts: 8", "config.layers[1].ffn", "top_k", None),
    ("width: 14336", "width: 14336, experts: 8, top_k: 9", "config.layers[1].ffn", "top_k", None),
    ("width: 14336", "width: 14336, top_k: 2", "config.layers[1].ffn", "need experts", None),
    ("width: 14336", "width: 14336, experts: 8, top_k: 2, shared_experts: 1", "config.layers[1].ffn", "together", None),
    ("{width: 14336}", "14336", "config.layers[1].ffn", "mapping", None),
    ("count: 32", "count: many", "config.layers[1].count", "whole number", None),
    ("  layers:\n", "  layers: []\n  ignored:\n", "config.ignored", "unknown key", None),
    ("provenance: retrieved\n", "provenance: rumour\n", "config.provenance", "not allowed", None),
    ("value: 8030261248", "value: -5", None, "finite number", None),
    ("value: 8030261248", "value: .inf", None, "finite number", None),
    ("unit: tokens", "unit: watts", None, "unit", None),
    ("status: unverified", "status: chosen", None, "recalled value cannot be chosen", None),
    ("  - llama3.1-8b", "  - 5", "aliases", "list of texts", None),
    ("name: ", "5: ", None, "not a text", 2),
]


@pytest.mark.parametrize(("old", "new", "field", "message", "line"), BAD)
def test_a_bad_file_is_refused_with_file_line_and_field(
    tmp_path: Path, old: str, new: str, field: str | None, message: str, line: int | None
) -> None:
    assert old in LLAMA
    path = tmp_path / "mine.yaml"
    text = LLAMA.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=message) as caught:
        load_file(path)
    error = caught.value
    assert error.file == str(path)
    assert field is None or error.field == field
    assert error.line is not None
    changed = LLAMA[: LLAMA.index(old)].count("\n") + 1
    assert line is None or error.line == line
    assert line is not None or "missing" in message or abs(error.line - changed) <= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("- a\n- b\n", "mapping"),
        ("just words", "mapping"),
        ("id: [1, 2\nname: x", "not valid YAML"),
        ("id: a\n\tname: x", "not valid YAML"),
        ("id: \x00", "not valid YAML"),
        ("id: !!python/object:os.system x", "not valid YAML"),
        ("id: 2024-13-45", "not valid YAML"),
        ("a: &a [*a]", "unknown key"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        load_file(path)


def test_layers_may_be_missing_only_where_it_is_said_why(tmp_path: Path) -> None:
    text = (DATA / "models" / "mamba2-2.7b.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text("".join(line for line in text.splitlines(True) if "not_modelled" not in line), encoding="utf-8")
    with pytest.raises(BadInput, match="no layers"):
        load_file(path)


@pytest.mark.parametrize("name", model_ids())
def test_every_value_has_a_source_and_what_was_recalled_is_unverified(name: str) -> None:
    facts = models()[name].facts
    assert facts is not None
    assert {"config", "attention", "parameters.computed", "parameters.nominal", "licence"} <= set(facts.fields())
    for fact in facts:
        assert fact.source
        assert fact.source != "config"
        assert fact.status == "unverified" or fact.provenance != "recalled"
        assert fact.status != "rejected" or fact.note


def test_published_errors_stand_beside_the_right_value_with_the_reason() -> None:
    facts = load_model("mixtral-8x22b").facts
    assert facts is not None
    chosen, rejected = facts.all("context.config")
    assert (chosen.value, chosen.status, rejected.value, rejected.status) == (65536, "chosen", 32768, "rejected")
    assert "Brunetta" in rejected.source
    assert "attention" in facts.conflicts()


def test_windows_are_in_the_layers() -> None:
    def windows(name: str) -> dict[int | None, int]:
        return {g.attention.window: g.count for g in load_model(name).layers if g.attention is not None}

    assert windows("gpt-oss-120b") == {128: 18, None: 18}
    assert windows("gemma-2-27b") == {4096: 23, None: 23}
    assert windows("gemma-3-27b") == {1024: 52, None: 10}
    assert windows("llama-4-scout") == {8192: 36, None: 12}
    assert windows("ministral-8b") == {32768: 36}
    assert windows("llama-3.1-8b") == {None: 32}


def test_leading_dense_layers_and_shared_experts_are_in_the_layers() -> None:
    dense, sparse = load_model("deepseek-r1").layers
    assert dense.ffn is not None
    assert sparse.ffn is not None
    assert (dense.count, dense.ffn.experts, sparse.count) == (3, 0, 58)
    assert (sparse.ffn.experts, sparse.ffn.top_k, sparse.ffn.shared_experts) == (256, 8, 1)
    assert sparse.attention is not None
    assert sparse.attention.is_mla
