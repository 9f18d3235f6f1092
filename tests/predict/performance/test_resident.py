"""Section 8: machines that hold the model in on-chip memory (check G)."""

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.predict.handbook.on_chip import chips_needed
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.platform import EngineSettings, make_platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind


def table(accelerator: str, weights: str):
    precision = Precision(weights, weights, "fp16")
    # with priors alone: published rates and equations are checked before anything is learned from measured points
    part, engine = device(load_accelerator(accelerator)), EngineSettings("native")
    return platform_table([make_platform(part, engine, precision, calibration=NOTHING)])


def one_user(ops, platforms, chips):
    return predict(ops, platforms, make_points(0, pp=chips, concurrency=1, input_tokens=512, output_tokens=512))


@pytest.mark.parametrize(("model", "tokens_per_s"), [("llama-2-7b", 750), ("llama-2-70b", 300)])
def test_g_the_predictor_gives_the_published_rates_of_groq(ops_of, model, tokens_per_s):
    # 5 % and not 1 %: the predictor splits τ = 41.67 µs into a latency (39.4 µs) and a roofline part, and the second
    # depends on how many chips hold the model and on the context, which the press figures do not state
    chips = np.arange(1, 800)
    found = one_user(ops_of(model), table("groq-lpu-v1", "int8"), chips)
    least = int(np.flatnonzero(found.fits)[0])
    assert 1 / found.itl_s[least] == pytest.approx(tokens_per_s, rel=0.05)
    # with ever more chips the roofline part vanishes: at most 41.67/39.4 = 1.058 times the published rate
    assert tokens_per_s * 0.95 <= 1 / found.itl_s[-1] <= tokens_per_s * 1.06


def test_34_the_predictor_comes_near_the_published_rate_of_a_wafer(ops_of):
    found = one_user(ops_of("llama-3.1-8b"), table("cerebras-wse-3", "fp16"), 1)
    assert 1 / found.itl_s[0] == pytest.approx(1800, rel=0.10)


def test_33_chips_follow_from_memory(ops_of):
    chips = np.arange(1, 800)
    for model in ("llama-2-7b", "llama-2-70b"):
        found = one_user(ops_of(model), table("groq-lpu-v1", "int8"), chips)
        first = int(np.flatnonzero(found.fits)[0])
        assert found.fits[first:].all()
        assert set(found.reason[:first].tolist()) <= {reasons.WEIGHTS, reasons.KV_CACHE}
        weights = ops_of(model).model.vocab * ops_of(model).model.hidden * 4 + sum(
            row.count * (row.weights + row.kv_weights) for row in ops_of(model).gemms if row.name != "lm_head"
        )
        least = float(chips_needed(weights, 0.0, 230_686_720, 0.8))
        assert least <= chips[first] <= 1.1 * least + 2  # norms, activations and the cache of one sequence


def test_more_chips_never_slow_a_token_and_tau_bounds_it(ops_of):
    chips = np.arange(60, 800, 10)
    found = one_user(ops_of("llama-2-7b"), table("groq-lpu-v1", "int8"), chips)
    assert (np.diff(found.itl_s) <= 1e-15).all()
    assert (found.itl_s >= 32 * 3.94e-5).all()


def test_throughput_grows_with_sequences_until_the_layers_are_full(ops_of):
    users = np.array([1, 2, 8, 32, 64, 128])
    points = make_points(0, pp=200, concurrency=users, input_tokens=32, output_tokens=1024)
    found = predict(ops_of("llama-2-7b"), table("groq-lpu-v1", "int8"), points)
    assert found.fits.all()
    rate = found.output_tokens_per_s
    assert (rate[1:] >= 0.99 * rate[:-1]).all()  # once full, more prompts in between cost a little
    assert rate[3] / rate[0] == pytest.approx(32, rel=0.1)  # one sequence per layer: no one waits
    # beyond one sequence a stage, users wait for each other instead
    assert rate[5] / rate[3] < 1.2
    assert found.itl_s[5] > 2 * found.itl_s[3]


@pytest.mark.parametrize(
    ("accelerator", "chips"), [("groq-lpu-v1", 400), ("graphcore-bow", 400), ("cerebras-wse-3", 2)]
)
@pytest.mark.parametrize(("isl", "osl"), [(1024, 256), (8192, 64), (128, 1)])
def test_more_requests_never_serve_less_however_many_wait_for_a_layer(ops_of, accelerator, chips, isl, osl):
    flying = np.unique(np.geomspace(1, 4096, 80).round())
    points = make_points(0, pp=chips, concurrency=flying, input_tokens=isl, output_tokens=osl)
    found = predict(ops_of("llama-3.1-8b"), table(accelerator, "fp16"), points)
    assert found.fits.all() and found.batch.max() >= (8 if table(accelerator, "fp16").compiled[0] else 33)
    assert (np.diff(found.output_tokens_per_s) >= -1e-4 * found.output_tokens_per_s[1:]).all()
    assert (np.diff(found.latency_s) >= -1e-4 * found.latency_s[1:]).all()


def test_what_was_learned_of_other_machines_leaves_the_published_rates_of_groq_alone(ops_of):
    learned, prior = (bind("groq-lpu-v1", calibration=c).coefficients for c in (None, NOTHING))
    assert (learned.layer_s, learned.request_s, learned.memory_efficiency) == (
        prior.layer_s, prior.request_s, prior.memory_efficiency,
    )  # fmt: skip
    assert learned.closest.points == 0
