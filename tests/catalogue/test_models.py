"""The models of the catalogue load by every name; a file of one's own is refused with file, line and field."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inferatlas.catalogue.models import load_file, load_model, model_ids, model_names, models, stands_for
from inferatlas.catalogue.names import DATA, slug
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.llm.parameters import count

FILES = sorted((DATA / "models").glob("*.yaml"))
LLAMA = (DATA / "models" / "llama-3.1-8b.yaml").read_text(encoding="utf-8")


def test_there_are_87_models_and_each_file_is_named_after_its_slug() -> None:
    assert len(model_ids()) == len(models()) == 87
    assert all(models()[file.stem].id == file.stem for file in FILES)


def test_no_two_models_share_a_name() -> None:
    owners: dict[str, str] = {}
    for model in models().values():
        for name in {slug(n) for n in (model.id, model.name, model.hf_id or model.id, *model.aliases)}:
            assert owners.setdefault(name, model.id) == model.id, name
            assert model_names()[name] == model.id


@pytest.mark.parametrize(
    "name",
    ["llama-3.1-8b", "LLAMA-3.1-8B", " llama3.1-8b ", "meta-llama/Llama-3.1-8B-Instruct"],
)
def test_slug_alias_and_hugging_face_name_mean_the_same_in_any_case(name: str) -> None:
    assert load_model(name) is models()["llama-3.1-8b"]


@pytest.mark.parametrize(("name", "repository"), [
    ("META-LLAMA/llama-3.1-8b", "meta-llama/Llama-3.1-8B"), ("deepseek-v3", "deepseek-ai/DeepSeek-V3"),
    ("llama-3.1-70b", "meta-llama/Llama-3.1-70B-Instruct"),
])  # fmt: skip
def test_another_checkpoint_of_a_configuration_is_served_under_its_own_name(name: str, repository: str) -> None:
    model = load_model(name)
    assert model == replace(models()[model.id], hf_id=repository)
    assert stands_for(model) == [f"{model.id} stands for {repository}, which has the same configuration"]


@pytest.mark.parametrize("slug", models())
def test_a_model_stands_for_itself_without_a_word(slug: str) -> None:
    assert stands_for(load_model(slug)) == []


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
    ("hidden: 4096", "hidden: 4096\n  hidden: 4096", "config.hidden", "given twice", None),
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
    path, start, end = tmp_path / "mine.yaml", LLAMA.index("  layers:\n"), LLAMA.index("  source:")
    text = LLAMA[:start] + "  layers: []\n" + LLAMA[end:]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="no layers") as caught:
        load_file(path)
    assert "not_modelled" in (caught.value.allowed or "")
    path.write_text(text.replace("config:", "not_modelled: layers of clay are not modelled yet\nconfig:", 1), "utf-8")
    assert (load_file(path).not_modelled, load_file(path).layers) == ("layers of clay are not modelled yet", ())


# file of the catalogue, what to replace in it by what, then the field and a word of the message
BEYOND = [
    ("mamba2-2.7b", "form: mamba2", "form: mamba3", "config.layers[1].recurrence.form", "not allowed"),
    ("mamba2-2.7b", "form: mamba2", "form: rwkv6", "config.layers[1].recurrence", "conv does not belong to rwkv6"),
    ("mamba2-2.7b", "conv: 4", "conv: 0", "config.layers[1].recurrence", "mamba2 needs conv"),
    ("mamba2-2.7b", "conv: 4", "conv: 4, groups: 3", "config.layers[1].recurrence", "does not divide heads"),
    ("mamba2-2.7b", "conv: 4", "conv: 4, groups: 0", "config.layers[1].recurrence", "groups"),
    ("mamba2-2.7b", "conv: 4", "conv: 4, width: 2", "config.layers[1].recurrence.width", "unknown key"),
    ("mamba2-2.7b", ", key: 128", "", "config.layers[1].recurrence", "'key' is missing"),
    ("mamba2-2.7b", "heads: 80", "heads: -80", "config.layers[1].recurrence.heads", "whole number"),
    (
        "mamba2-2.7b",
        "attention: null",
        "attention: {heads: 8, kv_heads: 8, head_dim: 64}",
        "config.layers[1]",
        "attention and recurrence in one layer",
    ),
    ("mamba2-2.7b", "context_length: 0", "context_length: -1", "config.context_length", "whole number"),
    ("mamba2-2.7b", "kind: ssm", "kind: hybrids", "kind", "not allowed"),
    ("llama-3.1-8b", "kind: dense", "kind: ssm", "config.layers", "needs layers with a recurrence"),
    ("nemotron-h-8b", "kind: hybrid", "kind: ssm", "config.layers", "has no attention"),
    ("falcon-mamba-7b", "value: 1", "value: 2", "config.layers[1].recurrence", "value is 1"),
    ("falcon-mamba-7b", ", rank: 256", "", "config.layers[1].recurrence", "mamba1 needs rank"),
    ("falcon-mamba-7b", "rank: 256", "rank: 256, groups: 2", "config.layers[1].recurrence", "1 elsewhere"),
    ("rwkv-6-world-7b", "value: 64", "value: 32", "config.layers[1].recurrence", "equal"),
    ("rwkv-6-world-7b", "heads: 64", "heads: 32", "config.layers[1].recurrence", "is not the hidden size"),
    ("rwkv-6-world-7b", ", decay_rank: 128", "", "config.layers[1].recurrence", "needs decay_rank"),
    ("rwkv-6-world-7b", "receptance: true", "receptance: true, experts: 2, top_k: 1", "config.layers[1].ffn", "dense"),
    ("deepseek-v3.2", ", index_dim: 128", "", "config.layers[1].attention", "go together"),
    ("deepseek-v3.2", "selected: 2048, ", "", "config.layers[1].attention", "go together"),
    ("flan-t5-xxl", "kind: encoder-decoder", "kind: dense", "kind", "belong to a model of kind encoder-decoder"),
    (
        "flan-t5-xxl",
        "      cross: {heads: 64, kv_heads: 64, head_dim: 64, causal: false}\n",
        "",
        "config",
        "needs an encoder, and layers with cross",
    ),
    (
        "flan-t5-xxl",
        "cross: {heads: 64, kv_heads: 64, head_dim: 64, causal: false}",
        "cross: {heads: 64, kv_heads: 64, head_dim: 64}",
        "config.layers[1].cross",
        "every token of an encoder is seen",
    ),
    (
        "flan-t5-xxl",
        "head_dim: 64, causal: false}\n      ffn",
        "head_dim: 64}\n      ffn",
        "config.encoder[1]",
        "causal: false",
    ),
    ("flan-t5-xxl", "  encoder:\n", "  encoder: 24\n  rest:\n", "config.rest", "unknown key"),
    ("llama-3.1-8b", "head_dim: 128", "head_dim: 128, causal: false", "config.layers[1].attention", "only encoders"),
    ("llama-3.1-8b", "head_dim: 128", "head_dim: 128, causal: no-one", "config.layers[1].attention.causal", "truth"),
    ("bge-m3", "pooler: true", "pooler: 1", "config.pooler", "truth value"),
    ("bge-m3", "token_types: 1", "token_types: -1", "config.token_types", "whole number"),
    ("gemma-3-27b", "resize: fixed", "resize: stretched", "config.vision.resize", "not allowed"),
    ("gemma-3-27b", "image: 896", "image: 900", "config.vision", "not a multiple"),
    ("gemma-3-27b", "    image: 896\n", "", "config.vision", "'image' is missing"),
    ("gemma-3-27b", "merge: 4", "merge: 0", "config.vision.merge", "whole number"),
    ("gemma-3-27b", "resize: fixed", "resize: fixed\n    most_tiles: 4", "config.vision", "needs resize: tiles"),
    ("gemma-3-27b", "projector: 6194304", "projector: 999999999999", "config.vision", "more than parameters"),
    ("gemma-3-27b", "other_parameters: 423060336", "other_parameters: 5", "config.vision", "does not hold those"),
    ("gemma-3-27b", "out_bias: true, causal: false", "out_bias: true", "config.vision", "causal: false"),
    ("gemma-3-27b", "width: 4304", "width: 0", "config.vision.layers[1].ffn.width", "whole number"),
]


@pytest.mark.parametrize(("slug", "old", "new", "field", "message"), BEYOND)
def test_shapes_that_cannot_be_true_together_are_refused(
    tmp_path: Path, slug: str, old: str, new: str, field: str, message: str
) -> None:
    good = (DATA / "models" / f"{slug}.yaml").read_text(encoding="utf-8")
    assert old in good
    path = tmp_path / "mine.yaml"
    path.write_text(good.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match=message) as caught:
        load_file(path)
    assert (caught.value.file, caught.value.field) == (str(path), field)
    assert caught.value.line is not None


def test_a_model_that_names_no_context_has_no_limit() -> None:
    for name in ("falcon-mamba-7b", "mamba2-2.7b", "mamba-2.8b", "rwkv-6-world-7b", "rwkv-7-world-7.2b"):
        assert load_model(name).context_length == 0
        assert load_model(name).holds(1e9)
    assert not load_model("llama-3.1-8b").holds(131_073)
    m3 = load_model("bge-m3")
    assert (m3.context_length, m3.position_embeddings) == (8192, 8194)


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
    assert windows("gemma-2-9b") == {4096: 21, None: 21}
    assert windows("gemma-3-4b") == {1024: 29, None: 5}
    assert windows("gemma-3-12b") == {1024: 40, None: 8}
    assert windows("llama-4-scout") == {8192: 36, None: 12}
    assert windows("mistral-7b-v0.1") == {4096: 32}
    assert windows("mistral-7b") == {None: 32}
    assert windows("phi-3-mini") == {2047: 32}
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


def test_in_maverick_every_second_layer_has_experts_and_every_global_layer_is_one_of_them() -> None:
    maverick = load_model("llama-4-maverick").layers
    groups = [(g.count, g.attention and g.attention.window, g.ffn and g.ffn.experts) for g in maverick]
    assert groups == [(24, 8192, 0), (12, 8192, 128), (12, None, 128)]


@pytest.mark.parametrize(
    ("name", "exact"),  # what the checkpoint holds, vision parts included: published counts, not our own
    [
        ("llama-3-8b", 8_030_261_248),
        ("llama-3-70b", 70_553_706_496),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
        ("llama-4-maverick", 401_583_781_376),
        ("mistral-7b", 7_248_023_552),
        ("mistral-7b-v0.1", 7_241_732_096),
        ("mistral-nemo", 12_247_782_400),
        ("mistral-large", 122_610_069_504),
        ("qwen2-1.5b", 1_543_714_304),
        ("qwen2-7b", 7_615_616_512),
        ("qwen2-72b", 72_706_203_648),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen2.5-14b", 14_770_033_664),
        ("qwen2.5-32b", 32_763_876_352),
        ("qwen3-0.6b", 596_049_920),
        ("qwen3-1.7b", 1_720_574_976),
        ("qwen3-4b", 4_022_468_096),
        ("qwen3-coder-30b-a3b", 30_532_122_624),
        ("qwen3-coder-480b-a35b", 480_154_875_392),
        ("gemma-2b", 2_506_172_416),
        ("gemma-7b", 8_537_680_896),
        ("gemma-2-9b", 9_241_705_984),
        ("gemma-3-4b", 4_300_079_472),
        ("gemma-3-12b", 12_187_325_040),
        ("phi-3-mini", 3_821_079_552),
        ("phi-3-medium", 13_960_238_080),
        ("phi-4", 14_659_507_200),
        ("deepseek-v2", 235_741_434_880),
        ("deepseek-v2-lite", 15_706_484_224),
        ("falcon-180b", 179_522_565_120),
        ("gpt-j-6b", 6_050_882_784),
        ("yi-34b", 34_388_917_248),
        ("codellama-34b", 33_743_970_304),
        ("llama-65b", 65_285_660_672),
        ("qwen1.5-7b", 7_721_324_544),
        ("bloom-7b1", 7_069_016_064),
    ],
)
def test_shapes_count_to_the_published_number_of_parameters(name: str, exact: int) -> None:
    model = load_model(name)
    assert model.facts is not None
    assert count(model).total == model.facts.number("parameters.exact") == exact


def test_names_of_one_shape_are_one_model_and_of_another_shape_another() -> None:
    same = {
        "llama-3.1-70b": "llama-3.3-70b",
        "llama-3.1-nemotron-70b": "llama-3.3-70b",
        "deepseek-v3": "deepseek-r1",
        "qwen3-vl-30b-a3b": "qwen3-coder-30b-a3b",
        "mistral-7b-v0.2": "mistral-7b",
        "kimi-k2-thinking": "kimi-k2.5",
        "vicuna-13b": "llama-2-13b",
        "qwq-32b": "qwen2.5-32b",
    }
    assert {name: load_model(name).id for name in same} == same
    assert load_model("llama-3-8b").context_length == 8192
    assert load_model("llama-3-8b").layers == load_model("llama-3.1-8b").layers
    assert load_model("mistral-7b-instruct-v0.1").layers != load_model("mistral-7b").layers
    assert load_model("kimi-k2.5").layers == load_model("kimi-k2").layers


def test_glm_4_5_norms_queries_and_keys_and_its_air_release_does_not() -> None:
    assert [g.attention and g.attention.qk_norm for g in load_model("glm-4.5").layers] == [True, True]
    assert [g.attention and g.attention.qk_norm for g in load_model("glm-4.5-air").layers] == [False, False]
