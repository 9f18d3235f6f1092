"""The regimes of the package say what the paper says; a file that breaks the schema is refused by field and line."""

import dataclasses
import pickle
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload import (
    GRADES,
    METRICS,
    Published,
    Regime,
    in_regime,
    load_regime,
    parse_targets,
    regime_names,
    regimes,
    workload_names,
)
from inferatlas.workload.regime import ADDITIVE, THRESHOLDS
from inferatlas.workload.regimes import DATA

IN_THE_ORDER_OF_THE_PAPER = [
    "single-stream",
    "moderate-batch",
    "high-throughput",
    "long-context",
    "multi-model",
    "mixture-of-experts",
    "embedding",
    "quantized",
]
# Rows of the matrix before Fig. 8 of arXiv:2506.00008: E excellent, V very good, G good, F fair, L limited.
MATRIX = {
    "nvidia-b200-sxm": "VEEEEEEV",
    "google-tpu-v7": "VEEEVEVV",
    "amd-mi300x": "VVVEVVVV",
    "intel-gaudi-3": "GVGVVGVG",
    "aws-inferentia-2": "GVVGEGEV",
    "cerebras-wse-3": "EVEGGVGG",
    "groq-lpu-v1": "EGFLFFVG",
}
# Table IV of the same paper, tokens/s.
TABLE_IV = {
    "nvidia-b200-sxm": 4560,
    "google-tpu-v7": 4380,
    "amd-mi300x": 3240,
    "intel-gaudi-3": 1840,
    "cerebras-wse-3": 5280,
    "groq-lpu-v1": 450,
}
GOOD = """\
title: Chat at night
description: >-
  Few users; the price of electricity counts.
metric: output_tokens_per_s
per: accelerator
input_tokens: 1024
output_tokens: 256
input_cv: 0.5
concurrency: [1, 4, 16]
slo: ["ttft:p99<2s"]
weights: [fp8, int4]
kind: moe
model: qwen3-235b-a22b
hosted: 1
within: 8
thresholds:
  excellent: 0.8
  very good: 0.5
published:
  source: a study
  address: https://example.org/study
  grades:
    amd-mi300x: very good
    groq-lpu-v1: fair
source: ours
"""


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def make(**changes):
    fields = {
        "name": "mine",
        "title": "Mine",
        "description": "For a test.",
        "metric": "requests_per_s",
        "per": "accelerator",
        "input_tokens": 512,
        "output_tokens": 64,
        "concurrency": (1, 8),
    }
    return Regime(**(fields | changes))


def test_there_are_eight_in_the_order_of_the_paper():
    assert [regime.name for regime in regimes()] == IN_THE_ORDER_OF_THE_PAPER
    assert regime_names() == sorted(IN_THE_ORDER_OF_THE_PAPER)


def test_they_are_no_workloads():
    assert "single-stream" not in workload_names()


@pytest.mark.parametrize("regime", regimes(), ids=lambda regime: regime.name)
def test_every_regime_says_where_its_numbers_come_from(regime):
    assert regime.address.startswith("https://")
    assert all([regime.title, len(regime.description) > 100, regime.source, regime.note])
    assert regime.published
    assert regime.published.address == "https://arxiv.org/abs/2506.00008"
    assert all([regime.published.source, regime.published.note])
    assert regime.thresholds == THRESHOLDS
    assert regime.within is None


@pytest.mark.parametrize("accelerator", MATRIX)
def test_grades_are_those_of_the_matrix(accelerator):
    letters = {word[0].upper(): word for word in GRADES}
    got = [regime.published.grades[accelerator] for regime in regimes()]
    assert got == [letters[letter] for letter in MATRIX[accelerator]]


def test_no_other_accelerator_is_graded():
    assert all(list(regime.published.grades) == list(MATRIX) for regime in regimes())


MANY = (16, 64, 256, 1024, 4096, 16384, 65536)
MODERATE = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


@pytest.mark.parametrize(
    ("name", "metric", "per", "lengths", "levels"),
    [
        ("single-stream", "ttft_s", "deployment", (1024, 256), (1,)),
        ("moderate-batch", "requests_per_s", "accelerator", (1024, 256), MODERATE),
        ("high-throughput", "output_tokens_per_s", "accelerator", (1024, 1024), (16, 64, 256, 1024, 4096, 16384)),
        ("long-context", "total_tokens_per_s", "accelerator", (32768, 512), (1, 4, 16, 64, 256, 1024, 4096, 16384)),
        ("multi-model", "ttft_s", "deployment", (1024, 256), (1,)),
        ("mixture-of-experts", "output_tokens_per_s", "accelerator", (1024, 1024), MANY),
        ("embedding", "requests_per_s", "accelerator", (512, 1), (8, 64, 256, 1024, 4096, 16384)),
        ("quantized", "output_tokens_per_s", "accelerator", (1024, 256), (1, 4, *MANY)),
    ],
)
def test_what_each_asks(name, metric, per, lengths, levels):
    regime = load_regime(name)
    assert (regime.metric, regime.per, regime.concurrency) == (metric, per, levels)
    assert (regime.input_tokens, regime.output_tokens, regime.input_cv, regime.output_cv) == (*lengths, 0, 0)


def test_what_only_some_ask():
    by_name = {regime.name: regime for regime in regimes()}
    assert by_name["moderate-batch"].slo == parse_targets(["ttft:p99<2s", "itl:p99<200ms"])
    assert {name: regime.hosted for name, regime in by_name.items() if regime.hosted > 1} == {"multi-model": 8}
    models = {name: (regime.kind, regime.model, regime.always) for name, regime in by_name.items() if regime.model}
    assert models == {
        "mixture-of-experts": ("moe", "qwen3-235b-a22b", False),
        "embedding": ("embedding", "bge-m3", False),
    }
    weights = {name: regime.weights for name, regime in by_name.items() if regime.weights}
    assert weights == {"quantized": ("fp8", "int8", "nvfp4", "mxfp4", "int4")}


def test_the_default_thresholds_reproduce_the_grades_of_table_iv():
    regime = load_regime("high-throughput")
    best = max(TABLE_IV.values())
    got = {accelerator: regime.grade(rate / best) for accelerator, rate in TABLE_IV.items()}
    assert got == {accelerator: regime.published.grades[accelerator] for accelerator in TABLE_IV}


@pytest.mark.parametrize("word", GRADES)
def test_a_boundary_belongs_to_the_better_grade(word):
    regime = load_regime("quantized")
    assert regime.grade(regime.thresholds[word]) == word
    if word != "limited":
        assert regime.grade(regime.thresholds[word] - 1e-9) == GRADES[GRADES.index(word) + 1]


@pytest.mark.parametrize("score", [-0.1, float("nan")])
def test_what_is_no_score_has_no_grade(score):
    with pytest.raises(BadInput) as caught:
        load_regime("quantized").grade(score)
    assert caught.value.field == "score"


falling = st.lists(st.floats(0.001, 1), min_size=4, max_size=4, unique=True).map(lambda x: sorted(x, reverse=True))


@given(falling, st.lists(st.floats(0, 2), min_size=2, max_size=2).map(sorted))
def test_a_better_score_never_has_a_worse_grade(levels, scores):
    regime = make(thresholds=dict(zip(GRADES, [*levels, 0.0], strict=True)))
    worse, better = (GRADES.index(regime.grade(score)) for score in scores)
    assert better <= worse


@given(st.sampled_from(sorted(METRICS)), st.integers(1, 10**6), st.floats(1, 1e9), st.floats(1, 1e9))
def test_the_workload_of_a_level_has_the_lengths_of_the_regime(metric, level, read, written):
    per = "accelerator" if metric in ADDITIVE else "deployment"
    regime = make(metric=metric, per=per, input_tokens=read, output_tokens=written, input_cv=0.5, concurrency=(level,))
    workload = regime.workload(level)
    assert (workload.name, workload.arrival, workload.concurrency) == ("mine", "closed", level)
    assert (workload.input_tokens, workload.output_tokens, workload.input_cv) == (read, written, 0.5)
    assert regime.better == ("higher" if "_per_s" in metric or metric == "tokens_per_joule" else "lower")


def test_a_file_of_the_users_own_is_read(tmp_path):
    regime = load_regime(write(tmp_path, GOOD))
    assert (regime.name, regime.title, regime.source) == ("mine", "Chat at night", "ours")
    assert regime.description == "Few users; the price of electricity counts."
    assert (regime.input_cv, regime.concurrency, regime.within) == (0.5, (1, 4, 16), 8)
    assert regime.published == Published(
        "a study", "https://example.org/study", {"amd-mi300x": "very good", "groq-lpu-v1": "fair"}
    )
    assert load_regime(str(tmp_path / "mine.yaml")) == regime


def test_thresholds_not_given_keep_their_default(tmp_path):
    regime = load_regime(write(tmp_path, GOOD))
    assert regime.thresholds == THRESHOLDS | {"excellent": 0.8, "very good": 0.5}
    assert list(regime.thresholds) == list(GRADES)
    assert load_regime("quantized").thresholds == THRESHOLDS


@pytest.mark.parametrize("name", IN_THE_ORDER_OF_THE_PAPER)
def test_a_copy_is_the_same_regime_under_the_name_of_its_file(tmp_path, name):
    shutil.copy(DATA / f"{name}.yaml", tmp_path / "copied.yaml")
    assert load_regime(tmp_path / "copied.yaml") == dataclasses.replace(load_regime(name), name="copied")


def test_a_copy_that_the_user_changed_is_read_as_changed(tmp_path):
    text = (DATA / "moderate-batch.yaml").read_text(encoding="utf-8")
    changed = text.replace("ttft:p99<2s", "ttft:p99<450ms").replace("input_tokens: 1024", "input_tokens: 4096")
    regime = load_regime(write(tmp_path, changed))
    assert (regime.input_tokens, regime.slo[0].bound) == (4096, 0.45)


def test_one_value_stands_for_a_list_of_one(tmp_path):
    text = GOOD.replace("[1, 4, 16]", "32").replace('["ttft:p99<2s"]', "ttft:p99<2s").replace("[fp8, int4]", "fp8")
    regime = load_regime(write(tmp_path, text))
    assert (regime.concurrency, regime.slo, regime.weights) == ((32,), parse_targets(["ttft:p99<2s"]), ("fp8",))


@pytest.mark.parametrize(
    ("change", "line", "field"),
    [
        (("input_cv", "inputcv"), 8, "inputcv"),
        (("hosted: 1", "title: twice"), 14, "title"),
        (("title: Chat at night", "title:"), 1, "title"),
        (("title: Chat at night", "title: ''"), 1, "title"),
        (("metric: output_tokens_per_s", "metric: output_token_per_s"), 4, "metric"),
        (("metric: output_tokens_per_s", "metric: latency_s"), 5, "per"),
        (("metric: output_tokens_per_s", "metric: tokens_per_joule"), 5, "per"),
        (("per: accelerator", "per: node"), 5, "per"),
        (("per: accelerator", "per: [accelerator]"), 5, "per"),
        (("input_tokens: 1024", "input_tokens: many"), 6, "input_tokens"),
        (("input_tokens: 1024", "input_tokens: '1024'"), 6, "input_tokens"),
        (("input_tokens: 1024", "input_tokens: 1:30"), 6, "input_tokens"),
        (("input_tokens: 1024", "input_tokens: 1e999"), 6, "input_tokens"),
        (("output_tokens: 256", "output_tokens: 0"), 7, "output_tokens"),
        (("input_cv: 0.5", "input_cv: -0.5"), 8, "input_cv"),
        (("[1, 4, 16]", "[]"), 9, "concurrency"),
        (("[1, 4, 16]", "[1, 2.5]"), 9, "concurrency"),
        (("[1, 4, 16]", "[1, 0]"), 9, "concurrency"),
        (("[1, 4, 16]", "[1, 1e26]"), 9, "concurrency"),
        (("[1, 4, 16]", "\n  - 1\n  - many"), 11, "concurrency"),
        (("[1, 4, 16]", "{a: 1}"), 9, "concurrency"),
        (('["ttft:p99<2s"]', '["ttft:p99<2"]'), 10, "slo"),
        (('["ttft:p99<2s"]', '["soon"]'), 10, "slo"),
        (('["ttft:p99<2s"]', '["tttft:p99<2s"]'), 10, "slo"),
        (('["ttft:p99<2s"]', "[~]"), 10, "slo"),
        (('["ttft:p99<2s"]', '\n  - "ttft:p99<2s"\n  - "ttft:p99<3s"'), 12, "slo"),
        (("[fp8, int4]", "[fp8, 4 bits]"), 11, "weights"),
        (("[fp8, int4]", "[[fp8]]"), 11, "weights"),
        (("kind: moe", "kind: sparse"), 12, "kind"),
        (("kind: moe", "kind: any"), 13, "model"),
        (("model: qwen3-235b-a22b\n", ""), 12, "model"),  # where kind asks for one
        (("kind: moe", "kind: embedding"), 7, "output_tokens"),  # a vector counts as one
        (("kind: moe\nmodel: qwen3-235b-a22b", "always: true"), 12, "model"),
        (("kind: moe\nmodel: qwen3-235b-a22b", "kind: moe\nalways: true"), 13, "model"),
        (("kind: moe\nmodel: qwen3-235b-a22b", "kind: moe\nalways: false"), 12, "model"),
        (("kind: moe", "always: yes"), 12, "always"),
        (("kind: moe", "always: [true]"), 12, "always"),
        (("kind: moe", "always: maybe"), 12, "always"),
        (("hosted: 1", "hosted: 0"), 14, "hosted"),
        (("hosted: 1", "hosted: 1.5"), 14, "hosted"),
        (("hosted: 1", "hosted: 1e300"), 14, "hosted"),
        (("within: 8", "within: -8"), 15, "within"),
        (("within: 8", "within: ~"), 15, "within"),
        (("very good: 0.5", "verygood: 0.5"), 18, "thresholds.verygood"),
        (("very good: 0.5", "very good: half"), 18, "thresholds.very good"),
        (("very good: 0.5", "very good: 0.8"), 18, "thresholds.very good"),
        (("very good: 0.5", "very good: .nan"), 18, "thresholds.very good"),
        (("very good: 0.5", "very good: 0.1"), 16, "thresholds.good"),  # the default of good, not in the file
        (("very good: 0.5", "excellent: 0.5"), 18, "thresholds.excellent"),
        (("very good: 0.5", "limited: 0.01"), 18, "thresholds.limited"),
        (("excellent: 0.8", "excellent: 1.8"), 17, "thresholds.excellent"),
        (("thresholds:\n  excellent: 0.8\n  very good: 0.5", "thresholds: 0.8"), 16, "thresholds"),
        (("amd-mi300x: very good", "amd-mi300x: superb"), 23, "published.grades.amd-mi300x"),
        (("amd-mi300x: very good", "amd-mi300x: Very Good"), 23, "published.grades.amd-mi300x"),
        (("amd-mi300x: very good", "AMD MI300X: very good"), 23, "published.grades.AMD MI300X"),
        (("groq-lpu-v1", "amd-mi300x"), 24, "published.grades.amd-mi300x"),
        (("  source: a study\n", ""), 20, "published.source"),
        (("source: a study", "source: ''"), 20, "published.source"),
        (("  source: a study", "  sources: a study"), 20, "published.sources"),
        (("amd-mi300x: very good\n    groq-lpu-v1: fair", "{}"), 22, "published.grades"),
        (("\n    amd-mi300x: very good\n    groq-lpu-v1: fair", " fair"), 22, "published.grades"),
        (("source: ours", "[source]: ours"), 25, "regime"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, change, line, field):
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(change[0], change[1], 1))
    with pytest.raises(BadInput) as caught:
        load_regime(path)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), line, field)


@pytest.mark.parametrize(
    ("change", "near"),
    [
        (("input_cv", "inputcv"), "input_cv"),
        (("output_tokens_per_s", "output_token_per_s"), "output_tokens_per_s"),
        (("per: accelerator", "per: acelerator"), "accelerator"),
        (("kind: moe", "kind: mo"), "moe"),
        (("excellent: 0.8", "excelent: 0.8"), "excellent"),
        (("fair", "far"), "fair"),
        (("ttft:p99", "tttft:p99"), "ttft"),
    ],
)
def test_a_misspelt_word_gets_the_near_one(tmp_path, change, near):
    with pytest.raises(BadInput, match=f"did you mean {near}"):
        load_regime(write(tmp_path, GOOD.replace(change[0], change[1], 1)))


def test_a_wrong_value_says_what_is_allowed(tmp_path):
    with pytest.raises(BadInput) as caught:
        load_regime(write(tmp_path, GOOD.replace("output_tokens_per_s", "speed")))
    assert set(METRICS) == set(caught.value.allowed.split(", "))


@pytest.mark.parametrize("missing", ["title", "metric", "per", "input_tokens", "output_tokens", "concurrency"])
def test_a_file_without_a_required_key_is_refused(tmp_path, missing):
    text = "".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith(f"{missing}:"))
    with pytest.raises(BadInput, match=f"{missing} missing") as caught:
        load_regime(write(tmp_path, text))
    assert caught.value.field == missing


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n", "a: [1\n", "a: \x00\n", "[" * 200_000])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(BadInput) as caught:
        load_regime(write(tmp_path, text))
    assert (caught.value.file, caught.value.field) == (str(tmp_path / "mine.yaml"), "regime")


def test_an_unknown_name_gets_a_near_one():
    with pytest.raises(UnknownName, match="did you mean single-stream"):
        load_regime("single-steam")
    assert load_regime("Long-Context") == load_regime("long-context")
    with pytest.raises(BadInput, match="cannot be read"):
        load_regime("no/such/regime.yaml")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"concurrency": ()}, "concurrency"),
        ({"concurrency": (True,)}, "concurrency"),
        ({"hosted": True}, "hosted"),
        ({"hosted": None}, "hosted"),
        ({"model": "", "always": True}, "model"),
        ({"thresholds": {"excellent": 0.5}}, "thresholds"),
        ({"thresholds": THRESHOLDS | {"good": True}}, "thresholds.good"),
        ({"per": "accelerator", "metric": "usd_per_million_tokens"}, "per"),
    ],
)
def test_a_regime_built_by_hand_is_checked_as_well(changes, field):
    with pytest.raises(BadInput) as caught:
        make(**changes)
    assert caught.value.field == field


def test_grades_built_by_hand_are_checked_as_well():
    with pytest.raises(BadInput) as caught:
        Published("a study", "", {})
    assert caught.value.field == "published.grades"


def test_a_regime_travels_between_processes_and_into_sets():
    regime = load_regime("moderate-batch")
    assert pickle.loads(pickle.dumps(regime)) == regime
    assert len({regime, load_regime("moderate-batch"), load_regime("quantized")}) == 2
    assert dataclasses.asdict(regime)["published"]["grades"]["groq-lpu-v1"] == "good"


def test_messages_say_what_was_read_and_what_is_allowed(tmp_path):
    for changes, message, allowed in (
        (("kind: moe", "always: maybe"), "'maybe' is neither true nor false", "true or false"),
        (("[1, 4, 16]", "1e26"), "100000000000000004764729344 requests in flight", "a whole number, 1 to 1,000,000"),
    ):
        with pytest.raises(BadInput) as caught:
            load_regime(write(tmp_path, GOOD.replace(*changes)))
        assert (caught.value.message, caught.value.hint) == (message, None)
        assert allowed in (caught.value.allowed or "")


def test_formats_ignore_case_and_so_does_the_ending_of_a_file(tmp_path, monkeypatch):
    write(tmp_path, GOOD.replace("[fp8, int4]", "[FP8, Int4]")).rename(tmp_path / "UPPER.YAML")
    monkeypatch.chdir(tmp_path)
    regime = load_regime("UPPER.YAML")
    assert (regime.name, regime.weights) == ("UPPER", ("fp8", "int4"))


def test_what_a_floor_above_finds_wrong_gets_the_place_of_its_field(tmp_path):
    file = write(tmp_path, GOOD)
    wrong = in_regime(BadInput("no", field="published.grades.amd-mi300x"), file)
    assert (wrong.file, wrong.line, wrong.message) == (str(file), 23, "no")
    assert in_regime(BadInput("no", field="metric"), "Quantized").line is not None
