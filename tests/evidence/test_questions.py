"""Every row of a table is a question or is counted with the reason why it is none."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.evidence.questions import SHORT, Questions, engine_behind, format_behind, questions
from inferatlas.evidence.table import conform
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.points import OFFLINE, Points

PLAIN: dict[str, Any] = {
    "model": "llama-3.1-8b", "accelerator": "nvidia-h100-sxm", "accelerators": 1.0, "engine": "vllm",
    "concurrency": 8.0, "input_tokens": 512.0, "output_tokens": 256.0, "itl_s": 0.02,
}  # fmt: skip


def ask(*rows: dict[str, Any]) -> Questions:
    """Questions of rows that differ from a plain one as each says."""
    return questions(conform(pl.DataFrame([PLAIN | row for row in rows], infer_schema_length=None)), NOTHING)


def only(**columns: Any) -> tuple[Platform, Points]:
    found = ask(columns)
    assert found.skipped == {}
    (asked,) = found.asked
    return asked.platforms[0], asked.points


NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes
REASONS = [
    ({"model": None}, "no model"),
    ({"model": ""}, "no model"),
    ({"accelerator": None}, "no accelerator"),
    ({"itl_s": None}, "no measured figure"),
    ({"notes": "1P1D workers"}, "disaggregated"),
    ({"notes": "disagg, 2 pools"}, "disaggregated"),
    ({"accelerators": None}, "no accelerator count"),
    ({"load": "poisson"}, "an open loop without throughput"),
    ({"load": "bursts"}, "a load that is none of"),
    ({"concurrency": None}, "no concurrency"),
    ({"concurrency": None, "load": "saturated"}, "no concurrency"),
    ({"input_tokens": None}, "no input length"),
    ({"output_tokens": None, "itl_s": None, "latency_s": 3.0}, "no output length"),
    ({"output_tokens": None, "itl_s": None, "output_tokens_per_s": 90.0}, "no output length"),
    ({"output_tokens": 0.0}, "a length below 1 token"),
    ({"input_tokens": 0.5}, "a length below 1 token"),
    ({"concurrency": 0.0}, "a concurrency of 0 or less"),
    ({"concurrency": -3.0}, "a concurrency of 0 or less"),
    ({"accelerators": 1.5}, "accelerators are no whole number"),
    ({"accelerators": 0.0}, "accelerators are no whole number"),
    ({"accelerators": 8.0, "tp": 3.0}, "tp and pp do not divide"),
    ({"accelerators": 8.0, "tp": 8.0, "pp": 2.0}, "tp and pp do not divide"),
    ({"model": "nonesuch-7b"}, "unknown model 'nonesuch-7b'"),
    ({"accelerator": "nonesuch-x1"}, "unknown accelerator 'nonesuch-x1'"),
    ({"model": NOT_MODELLED}, "not predicted: "),
    ({"accelerator": "amd-mi300x", "weights": "nvfp4"}, "not predicted: NVFP4"),
    ({"kv_cache": "nvfp4"}, "unknown format 'nvfp4'"),
]


@pytest.mark.parametrize(("row", "reason"), REASONS)
def test_a_row_that_is_no_question_is_counted_with_its_reason(row: dict[str, Any], reason: str):
    found = ask({}, row, row)
    assert list(found.skipped.values()) == [2]
    assert next(iter(found.skipped)).startswith(reason)
    assert found.frame.height == 1


def test_all_reasons_together_add_up():
    rows = [row for row, _ in REASONS]
    found = ask(*rows, {}, {"concurrency": 64.0})
    assert found.frame.height == 2
    assert len(rows) == sum(found.skipped.values())
    expected = Counter(reason for _, reason in REASONS)
    for reason, count in expected.items():
        told = sum(n for text, n in found.skipped.items() if text.startswith(reason))
        assert told == sum(n for r, n in expected.items() if r.startswith(reason)) >= count


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "model": st.sampled_from(["llama-3.1-8b", "qwen3-30b-a3b", "llama-3.1-70b", "who", "", None]),
                "accelerator": st.sampled_from(["h100", "nvidia-h200-sxm", "groq-lpu-v1", "who", None]),
                "engine": st.sampled_from(["vllm", "SGLang", "deepspeed-mii", "home-made", None]),
                "weights": st.sampled_from(["bf16", "fp8", "nvfp4", "odd", None]),
                "kv_cache": st.sampled_from(["fp8", "fp4", None]),
                "load": st.sampled_from(["closed_loop", "offline", "poisson", "static_batch", "per_user", None]),
                "accelerators": st.one_of(st.none(), st.integers(-1, 9).map(float), st.just(2.5)),
                "tp": st.one_of(st.none(), st.integers(-1, 8).map(float)),
                "pp": st.one_of(st.none(), st.integers(-1, 4).map(float)),
                "ep": st.one_of(st.none(), st.integers(-1, 8).map(float)),
                "concurrency": st.one_of(st.none(), st.floats(-1, 1e5)),
                "input_tokens": st.one_of(st.none(), st.floats(-1, 1e5)),
                "output_tokens": st.one_of(st.none(), st.floats(-1, 1e5)),
                "itl_s": st.one_of(st.none(), st.floats(-1, 10)),
            },
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_row_is_lost_and_every_question_is_asked_once(rows: list[dict[str, Any]]):
    found = ask(*rows)
    assert found.frame.height + sum(found.skipped.values()) == len(rows)
    assert sorted(i for a in found.asked for i in a.rows) == list(range(found.frame.height))
    for part in found.asked:
        assert (part.points.accelerators == found.frame["accelerators"].to_numpy()[part.rows]).all()
        assert (part.first_entry + part.points.platform == found.entry[part.rows]).all()
        printed = found.frame["model"].to_list()
        assert all(load_model(printed[i]).id == part.ops.model.id for i in part.rows)


def test_an_empty_table_asks_nothing():
    found = questions(conform(pl.DataFrame({"model": []}, schema={"model": pl.String})), NOTHING)
    assert (found.frame.height, found.asked, found.skipped) == (0, (), {})


def test_other_names_of_a_model_are_one_model():
    found = ask({"model": "llama-3.1-70b"}, {"model": "llama-3.3-70b"}, {"model": "Meta-Llama/Llama-3.1-70B"})
    (asked,) = found.asked
    assert asked.ops.model.id == "llama-3.3-70b"
    assert [e["model"] for e in found.entries] == ["llama-3.1-70b", "llama-3.3-70b", "Meta-Llama/Llama-3.1-70B"]
    assert len(asked.platforms) == 3


@pytest.mark.parametrize(
    ("printed", "accelerator", "engine"),
    [
        ("deepspeed-mii", "nvidia-a100-40gb-sxm", "deepspeed"),
        ("TRT-LLM", "nvidia-h100-sxm", "tensorrt-llm"),
        ("vLLM", "nvidia-h100-sxm", "vllm"),
        ("vLLM (tt-metal fork)", "tenstorrent-wormhole-n300", "vllm"),
        ("vLLM TPU (2025-06)", "google-tpu-v6e", "vllm"),
        ("provider stack", "groq-lpu-v1", "native"),
        (None, "cerebras-wse-3", "native"),
        ("", "nvidia-h100-sxm", "vllm"),
        ("vLLM (fork)", "cerebras-wse-3", "native"),  # it does not run there
    ],
)
def test_engines_behind_printed_names(printed: str | None, accelerator: str, engine: str):
    platform, _ = only(engine=printed, accelerator=accelerator)
    assert platform.engine.name == engine
    assert engine_behind(printed, accelerator) in (engine, None)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ({"accelerators": 8.0}, (8, 1, 1, 1)),
        ({"accelerators": 8.0, "tp": 2.0}, (2, 1, 1, 4)),
        ({"accelerators": 8.0, "tp": 2.0, "pp": 2.0}, (2, 2, 1, 2)),
        ({"accelerators": 8.0, "pp": 2.0}, (4, 2, 1, 1)),
        ({"accelerators": 8.0, "tp": 8.0, "dp": 8.0}, (8, 1, 1, 1)),  # attention's dp divides no accelerators
        ({"accelerators": 8.0, "tp": 0.0, "pp": 0.0}, (1, 1, 1, 8)),
        ({"accelerators": 8.0, "tp": 8.0, "ep": 8.0}, (8, 1, 1, 1)),  # a dense model has no experts
    ],
)
def test_layouts(layout: dict[str, float], expected: tuple[int, ...]):
    _, points = only(**layout)
    assert tuple(int(getattr(points, name)[0]) for name in ("tp", "pp", "ep", "dp")) == expected


def test_experts_are_spread_as_the_table_says():
    _, points = only(model="qwen3-30b-a3b", accelerators=8.0, tp=8.0, ep=4.0)
    assert points.ep.tolist() == [4]


@pytest.mark.parametrize(
    ("model", "stated", "formats"),
    [
        ("llama-3.1-8b", {}, ("bf16", "bf16", "bf16")),
        ("deepseek-r1", {}, ("fp8", "fp8", "bf16")),
        ("gpt-oss-120b", {}, ("mxfp4", "bf16", "bf16")),
        ("llama-3.1-8b", {"weights": "FP8"}, ("fp8", "fp8", "bf16")),
        ("deepseek-r1", {"weights": "bf16"}, ("bf16", "bf16", "bf16")),
        ("llama-3.1-8b", {"weights": "who-knows"}, ("bf16", "bf16", "bf16")),
        ("llama-3.1-8b", {"weights": "fp8", "kv_cache": "fp8"}, ("fp8", "fp8", "fp8")),
        ("llama-3.1-8b", {"weights": "nvfp4", "activations": "nvfp4"}, ("nvfp4", "bf16", "bf16")),  # no FP4 in Hopper
        ("llama-3.1-8b", {"weights": "fp8", "activations": "bf16"}, ("fp8", "bf16", "bf16")),
    ],
)
def test_formats_are_those_stated_or_those_of_the_checkpoint(model: str, stated: dict[str, str], formats):
    platform, _ = only(model=model, accelerators=8.0, **stated)
    found = platform.precision
    assert (found.weights, found.activations, found.kv_cache) == formats


@pytest.mark.parametrize(
    ("printed", "name"),
    [("BF16", "bf16"), ("bfp8", "blockfp8"), ("bfp4+bfp8 mixed", "blockfp8"), ("Q4_K", ""), ("", "")],
)
def test_formats_behind_printed_ones(printed: str, name: str):
    assert format_behind(printed) == name


@pytest.mark.parametrize(
    ("accelerator", "note", "count"),
    [
        ("tenstorrent-wormhole-n300", "1x n300 card = 2 Wormhole chips", 1.0),
        ("tenstorrent-wormhole-n300", "one card", 2.0),
        ("tenstorrent-wormhole-n300", None, 2.0),
        ("google-tpu-v6e", "v6e-2 (2 chips)", 2.0),  # one chip a card
    ],
)
def test_chips_are_counted_as_cards_where_two_are_on_one(accelerator: str, note: str | None, count: float):
    rows = [
        {"accelerator": accelerator, "accelerators": 2.0, "engine": None, "system_note": note},
        {"system_note": "x"},
    ]
    assert ask(*rows).frame["accelerators"].to_list() == [count, 1.0]


def test_an_odd_count_of_chips_is_left_alone():
    row = {"accelerator": "tenstorrent-wormhole-n300", "accelerators": 1.0, "engine": None, "system_note": "chips"}
    assert ask(row).frame["accelerators"].to_list() == [1.0]


def test_lengths_that_do_not_move_the_rate_of_one_user_are_assumed():
    _, points = only(load="per_user", input_tokens=None, output_tokens=None)
    assert (points.input_tokens[0], points.output_tokens[0]) == (SHORT, SHORT)
    _, points = only(load="per_user", input_tokens=1000.0, output_tokens=None)
    assert (points.input_tokens[0], points.output_tokens[0]) == (1000.0, SHORT)


def test_a_pace_without_a_length_is_asked_for_its_pace_alone():
    found = ask({"output_tokens": None, "ttft_s": 0.1, "output_tokens_per_s": 90.0, "load": "static_batch"})
    assert found.frame.select("output_tokens", "itl_s", "ttft_s").row(0) == (SHORT, 0.02, 0.1)
    assert found.frame["output_tokens_per_s"][0] is None  # with or without the prompt: nothing says


def test_a_prompt_alone_has_its_first_token():
    found = ask({"output_tokens": 0.0, "ttft_s": 0.1, "itl_s": None})
    assert found.frame["output_tokens"].to_list() == [1.0]


def test_one_user_is_one_request_in_flight():
    assert only(load="per_user", concurrency=None)[1].concurrency.tolist() == [1.0]


def test_an_open_loop_is_asked_at_the_rate_that_came_out():
    found = ask({"load": "poisson", "concurrency": None, "output_tokens_per_s": 512.0, "ttft_s": 0.1}, {})
    points = found.asked[0].points
    assert points.request_rate.tolist() == pytest.approx([2.0, np.nan], nan_ok=True)
    assert points.concurrency.tolist() == pytest.approx([np.nan, 8.0], nan_ok=True)
    assert found.frame["output_tokens_per_s"][0] is None  # given, not predicted


def test_the_first_token_of_a_static_batch_is_that_of_all_unless_the_source_is_known_for_one_prompt():
    rows = [{"source": s, "load": load, "ttft_s": 0.1} for s in ("mine", "tt-metal models/README")
            for load in ("static_batch", "closed_loop")]  # fmt: skip
    assert ask(*rows).frame["ttft_s"].to_list() == [0.1, 0.1, None, 0.1]


def test_lengths_of_known_tasks_are_assumed_by_source():
    rows = [
        {"source": "mlenergy_v3", "input_tokens": None, "notes": "task=sourcegraph-fim;x=1"},
        {"source": "mlenergy_v3", "input_tokens": None, "notes": "task=who knows"},
        {"source": "mlenergy_v3", "input_tokens": None},
        {"source": "mlenergy_v3", "input_tokens": 77.0, "notes": "task=gpqa"},
        {"source": "mine", "input_tokens": None, "notes": "task=gpqa"},
    ]
    found = ask(*rows)
    assert found.frame["input_tokens"].to_list() == [1500.0, 250.0, 250.0, 77.0]
    assert found.skipped == {"no input length": 1}


def test_sources_that_draw_lengths_are_asked_with_those_they_draw():
    found = ask({"source": "inferencex_new"}, {"source": "inferencex_new", "load": "offline"}, {"source": "mine"})
    points = found.asked[0].points
    order = np.argsort(found.asked[0].rows)
    assert points.input_tokens[order] == pytest.approx([0.9 * 512, 0.9 * 512, 512])
    assert points.input_cv[order] == pytest.approx([0.064, 0.064, 0.0])
    assert found.drawn.tolist() == [True, False, False]
    assert found.frame["input_tokens"].to_list() == [512.0] * 3  # published lengths stay


def test_loads():
    found = ask({"load": "offline", "concurrency": None}, {"load": "static_batch"}, {"load": None})
    points = found.asked[0].points
    assert points.concurrency.tolist() == [OFFLINE, 8.0, 8.0]
    assert points.together.tolist() == [False, True, False]


def test_an_entry_is_one_model_on_one_platform_under_one_source():
    found = ask({}, {"concurrency": 64.0}, {"weights": "fp8"}, {"source": "b"}, {"engine_version": "0.5.0"}, {})
    assert found.entry.tolist() == [0, 0, 1, 2, 3, 0]
    assert [e["version"] for e in found.entries] == ["", "", "", "0.5.0"]
    assert [p.era for p in found.asked[0].platforms] == ["2025", "2025", "2025", "2024"]


def test_speculative_decoding_is_suspected_only_where_the_source_is_known_for_it():
    rows = [
        {"model": m, "source": s, "accelerators": 8.0}
        for s in ("inferencex", "mine")
        for m in ("deepseek-r1", "qwen3-8b")
    ]
    found = ask(*rows)
    drafted = [p.drafted for a in found.asked for p in a.platforms]
    assert [d for d, e in zip(drafted, found.entries, strict=True) if e["model"] == "deepseek-r1"] == [True, False]
    assert sum(drafted) == 1
