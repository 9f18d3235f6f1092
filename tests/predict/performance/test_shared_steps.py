"""Prompts that share a step: no more work than the units can do, and nothing is faster for being slower."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind

DENSE, MIXTURE = "llama-3.1-8b", "qwen3-30b-a3b"
PARTS = ("nvidia-h100-sxm", "amd-mi300x", "nvidia-l4", "google-tpu-v5e", "aws-trainium-2", "nvidia-gb200")
models = st.sampled_from([DENSE, MIXTURE])
parts = st.sampled_from(PARTS)
prompts, answers = st.integers(16, 4096), st.integers(1, 512)
RANKS = {"nvidia-l4": 4, "google-tpu-v5e": 8}  # that hold either model
crowds = st.integers(1, 1024)


@lru_cache
def machine(model: str, part: str) -> tuple[Operators, PlatformTable]:
    ops = operators(load_model(model))
    return ops, platform_table([bind(part, model=model)], is_moe=bool(ops.experts))


def answer(model: str, part: str, **asked) -> tuple[Predictions, Points]:
    ops, table = machine(model, part)
    points = make_points(0, **asked)
    return predict(ops, table, points), points


def flops_of_peak(model: str, part: str, found: Predictions, points: Points) -> np.ndarray:
    """Products of the weights alone, per second, over the peak of all accelerators."""
    ops, table = machine(model, part)
    tokens = found.output_tokens_per_s * (points.input_tokens + points.output_tokens - 1.0) / points.output_tokens
    # the head is passed once per output token, not per prompt token
    active = count(ops.model).active_without_embedding - ops.model.vocab * ops.model.hidden
    return tokens * 2.0 * active / (points.accelerators * table.platforms[0].peak_flop_per_s)


@settings(max_examples=200)
@given(models, parts, prompts, answers, crowds, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.booleans())
def test_no_deployment_multiplies_faster_than_its_units(model, part, isl, osl, flying, offload, at_once):
    _, table = machine(model, part)
    offload = offload if table.platforms[0].device.offload is not None else 0.0
    tp = RANKS.get(part, 1)
    found, points = answer(
        model, part, tp=tp, input_tokens=isl, output_tokens=osl, concurrency=flying, offload=offload, together=at_once
    )
    used = flops_of_peak(model, part, found, points)[found.fits]
    assert (used <= 1.0).all()


@settings(max_examples=100)
@given(models, st.sampled_from([p for p in PARTS if p != "nvidia-gb200"]), prompts, answers, crowds)
def test_offloading_weights_never_pays_at_the_same_batch(model, part, isl, osl, flying):
    # a prompt beside a step that waits for weights adds less to it, and others wait less for that prompt
    tp = RANKS.get(part, 1)
    share = [0.0, 0.1, 0.3, 1.0]
    found, _ = answer(model, part, tp=tp, input_tokens=isl, output_tokens=osl, concurrency=flying, offload=share)
    if not found.fits.all() or np.ptp(found.batch) > 0:  # freed memory may hold more sequences
        return
    assert (np.diff(found.output_tokens_per_s) <= 0.03 * found.output_tokens_per_s[1:]).all()
    assert (np.diff(found.itl_s[1:]) >= -1e-9).all() or osl == 1


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("model", [DENSE, MIXTURE])
def test_prompts_alone_share_steps_as_those_of_a_static_batch(model, part):
    """Both fill steps up to their budget; a static batch waits for its last request before the next begins."""
    asked = {"tp": RANKS.get(part, 1), "input_tokens": [16, 64, 256, 512], "output_tokens": 1}
    closed, _ = answer(model, part, concurrency=256, **asked)
    static, _ = answer(model, part, concurrency=256, together=True, **asked)
    assert closed.fits.all()
    assert closed.output_tokens_per_s == pytest.approx(static.output_tokens_per_s, rel=0.5)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("model", [DENSE, MIXTURE])
def test_a_second_token_does_not_make_a_service_faster(model, part):
    tp = RANKS.get(part, 1)
    found, _ = answer(model, part, tp=tp, input_tokens=256, output_tokens=[1, 2, 4, 6, 16, 64], concurrency=256)
    requests = found.output_tokens_per_s / [1, 2, 4, 6, 16, 64]
    assert (np.diff(requests) <= 0.05 * requests[1:]).all()


@pytest.mark.parametrize("slower", ["byte_s", "flop_s"])
@settings(max_examples=60)
@given(models, parts, prompts, st.integers(1, 512), crowds)
def test_slower_units_never_serve_more(slower, model, part, isl, osl, flying):
    ops, table = machine(model, part)
    tp = RANKS.get(part, 1)
    points = make_points(0, tp=tp, input_tokens=isl, output_tokens=osl, concurrency=flying)
    columns = ("byte_s", "cache_byte_s", "expert_byte_s") if slower == "byte_s" else ("flop_s", "flop_s_wide")
    worse = replace(table, **{name: getattr(table, name) * 1.5 for name in columns})
    before, after = predict(ops, table, points), predict(ops, worse, points)
    assert (after.output_tokens_per_s <= before.output_tokens_per_s * (1 + 3e-3))[before.fits].all()
