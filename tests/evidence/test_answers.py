"""Answers to rows are the predictor's own, in the terms of the source."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.evidence.answers import answers
from inferatlas.evidence.questions import Questions, questions
from inferatlas.evidence.table import METRICS, conform
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.performance.calibrated import NOTHING, current
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask


def test_a_closed_loop_row_is_answered_like_the_predictor_is_asked_by_hand(measured):
    frame = measured(source=None, accelerators=4.0, tp=2.0)
    found = answers(questions(frame, current()))
    for i, row in enumerate(frame.iter_rows(named=True)):
        ops = operators(load_model(row["model"]))
        platform = bind(
            row["accelerator"], row["engine"], "bf16", "bf16", "bf16", model=row["model"], version="0.11.0", era="2025"
        )
        points = make_points(0, tp=2, dp=2, concurrency=row["concurrency"], input_tokens=512, output_tokens=256)
        alone = predict(ops, platform_table([platform]), points)
        for name in (*METRICS, "itl_sigma", "power_sigma", "batch"):
            assert found[name][i] == pytest.approx(getattr(alone, name)[0], rel=1e-12)


def test_a_row_is_answered_like_the_command_answers(measured, monkeypatch: pytest.MonkeyPatch, tmp_path):
    # without effects of a model or a version, which the command is not told
    nothing = tmp_path / "coefficients.json"
    nothing.write_text(
        '{"format": 2, "version": "x", "date": "", "effects": {"layer_s": {"accelerator:nvidia-h100-sxm": 0.3}}, '
        '"points": {"class:gpu_simt": 1}, "width": {}, "sources": {}}'
    )
    monkeypatch.setenv("INFERATLAS_COEFFICIENTS", str(tmp_path))
    frame = measured(source=None)  # a question has no harness
    found = answers(questions(frame))
    for i, row in enumerate(frame.iter_rows(named=True)):
        answer = ask(
            row["model"], row["accelerator"], engine="vllm", weights="bf16", count=1, tp=1,
            concurrency=int(row["concurrency"]), isl=512, osl=256,
        )  # fmt: skip
        for name in METRICS:
            told = answer.metrics[name]
            assert told is not None
            assert found[name][i] == pytest.approx(told.value, rel=1e-9)


def test_sources_that_draw_lengths_derive_latency_and_rate_from_the_nominal_ones(measured):
    drawn = answers(questions(measured(source="inferencex"), NOTHING))
    latency = drawn["ttft_s"] + drawn["itl_s"] * 255
    assert drawn["latency_s"] == pytest.approx(latency, rel=1e-12)
    assert drawn["output_tokens_per_s"] == pytest.approx(np.tile([1, 8, 64], 4) * 256 / latency, rel=1e-12)
    by_hand = answers(questions(measured(source="x", input_tokens=0.9 * 512, output_tokens=0.9 * 256), NOTHING))
    # TTFT and ITL are those of the lengths that are drawn (spread apart), not of the nominal ones
    assert drawn["itl_s"] == pytest.approx(by_hand["itl_s"], rel=5e-3)
    assert (drawn["latency_s"] > by_hand["latency_s"]).all()


def test_a_source_that_prints_medians_is_answered_with_the_median(measured):
    """Most gaps hold no prompt, and then the median is a decode step; the mean pays for the others' prompts."""
    mean, median, many = (
        answers(questions(measured(**told), NOTHING))["itl_s"]
        for told in (
            {"itl_statistic": "mean TPOT (median 8.86)"}, {"itl_statistic": "median (p90 in notes)"},
            {"itl_statistic": "median", "output_tokens": 16.0},
        )
    )  # fmt: skip
    alone = np.array([1, 0, 0] * 4, dtype=bool)  # one request in flight: nobody else's prompts
    assert median[alone] == pytest.approx(mean[alone])
    assert (median[~alone] < mean[~alone]).all() and (median > 0.5 * mean).all()
    assert (many[2::3] > 3 * median[2::3]).all()  # 64 requests with short answers: every step carries prompts


def test_an_open_loop_is_answered_at_its_rate(measured):
    frame = measured(load="poisson", concurrency=None, output_tokens_per_s=256.0)
    found = answers(questions(frame, NOTHING))
    assert found["output_tokens_per_s"] == pytest.approx(np.full(12, 256.0))
    quiet = answers(questions(measured(concurrency=1.0), NOTHING))
    assert (found["itl_s"] >= quiet["itl_s"]).all() and (found["latency_s"] > quiet["latency_s"]).all()


def test_one_output_token_has_no_gaps(measured):
    found = answers(questions(measured(source="inferencex", output_tokens=1.0), NOTHING))
    assert found["latency_s"] == pytest.approx(found["ttft_s"], rel=1e-12)
    assert np.isnan(answers(questions(measured(output_tokens=1.0), NOTHING))["itl_s"]).all()


def several(**columns: Any) -> Questions:
    rows = {
        "model": ["llama-3.1-8b", "qwen3-30b-a3b", "llama-3.1-8b", "qwen3-30b-a3b"],
        "accelerator": ["nvidia-h100-sxm", "nvidia-h100-sxm", "nvidia-h200-sxm", "nvidia-h200-sxm"],
        "accelerators": 1.0, "engine": "vllm", "concurrency": 8.0, "input_tokens": 512.0, "output_tokens": 256.0,
        "itl_s": 0.02, "load": "closed_loop",
    }  # fmt: skip
    return questions(conform(pl.DataFrame(rows | columns, strict=False)), NOTHING)


def test_answers_lie_at_their_rows_however_models_alternate():
    together = several()
    found = answers(together)
    for i in range(4):
        alone = answers(questions(together.frame[i : i + 1], NOTHING))
        for name, value in found.items():
            assert value[i] == pytest.approx(alone[name][0], nan_ok=True)


def test_tuned_coefficients_replace_those_of_their_entry_only():
    asked = several()
    plain = answers(asked)
    own = np.array([p.coefficients.memory_efficiency for a in asked.asked for p in a.platforms])
    same = answers(asked, {"memory_efficiency": own})
    assert all(np.array_equal(plain[name], same[name], equal_nan=True) for name in plain)
    changed = own.copy()
    changed[0] /= 2
    slower = answers(asked, {"memory_efficiency": changed})["itl_s"] / plain["itl_s"]
    assert (slower[asked.entry != 0] == 1.0).all()
    assert 1.5 < slower[asked.entry == 0][0] <= 2.0


def test_static_batches_and_offline_runs_are_answered_in_their_own_way():
    asked = several(load=["static_batch", "offline", "offline", "static_batch"], concurrency=[8.0, None, None, 64.0])
    found = answers(asked)
    assert np.isfinite(found["output_tokens_per_s"]).all()
    together = np.array([True, False, False, True])
    tokens = asked.frame["concurrency"].to_numpy() * 256 / found["latency_s"]
    assert found["output_tokens_per_s"][together] == pytest.approx(tokens[together])
    assert (found["batch"][~together] > 64).all()


def test_what_was_measured_is_answered_even_where_memory_says_no():
    asked = several(model="llama-3.1-405b")
    assert np.isfinite(answers(asked)["itl_s"]).all()


def test_no_questions_have_no_answers():
    assert answers(several(model="nonesuch")) == {}
