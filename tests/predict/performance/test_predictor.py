"""The predictor as a whole: nothing infeasible has a value (check M), and equal questions have equal answers."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.errors import BadInput
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.platform import EngineSettings, make_platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.predictor import CHUNK_BYTES, predict
from inferatlas.predict.question import ask
from inferatlas.predict.replicas import least_count
from inferatlas.workload import make_workload

PARTS = (
    "nvidia-h100-sxm",
    "nvidia-l4",
    "amd-mi250",
    "google-tpu-v6e",
    "sambanova-sn40l",
    "groq-lpu-v1",
    "cerebras-wse-3",
)
BF16 = Precision("bf16", "bf16", "bf16")
VALUES = [f.name for f in fields(Predictions) if f.name not in ("bound", "reason")]


@pytest.fixture(scope="module")
def catalogue():
    return platform_table(
        [make_platform(device(load_accelerator(name)), EngineSettings("vllm"), BF16) for name in PARTS]
    )


def random_points(n: int, seed: int = 7, **fixed):
    rng = np.random.default_rng(seed)
    drawn = {
        "platform": rng.integers(0, len(PARTS), n), "tp": rng.choice([1, 2, 3, 4, 8, 16], n),
        "pp": rng.choice([1, 2, 4, 100, 600], n), "ep": rng.choice([1, 2, 8], n), "dp": rng.choice([1, 2, 5], n),
        "concurrency": rng.integers(1, 600, n).astype(float), "request_rate": np.full(n, np.nan),
        "input_tokens": rng.integers(1, 140_000, n), "output_tokens": rng.integers(1, 2000, n),
    }  # fmt: skip
    open_loop = rng.random(n) < 0.5
    drawn["request_rate"][open_loop] = rng.lognormal(0, 2, open_loop.sum())
    drawn["concurrency"][open_loop] = np.nan
    return make_points(**(drawn | fixed))


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.3-70b", "mixtral-8x7b", "deepseek-r1", "gemma-3-27b"])
def test_m_infeasible_points_have_a_reason_and_no_value_and_feasible_ones_have_both(ops_of, catalogue, model):
    found = predict(ops_of(model), catalogue, random_points(4000))
    assert found.fits.any()
    assert (~found.fits).any()
    assert set(np.unique(found.reason).tolist()) <= set(reasons.CODES)
    for name in VALUES:
        assert np.isnan(getattr(found, name)[~found.fits]).all(), name
    for name in ("ttft_s", "latency_s", "output_tokens_per_s", "batch", "ttft_sigma", "itl_sigma", "latency_sigma"):
        values = getattr(found, name)[found.fits]
        assert (np.isfinite(values) & (values > 0)).all(), name
    for name in ("ttft_cv", "latency_cv"):
        values = getattr(found, name)[found.fits]
        assert (np.isfinite(values) & (values >= 0)).all(), name


def test_m_the_least_count_fits_and_one_less_does_not(ops_of, catalogue):
    load = make_workload(None, isl=1024, osl=256, concurrency=1)
    ops = ops_of("llama-3.3-70b")
    h100 = platform_table([catalogue.platforms[0]])
    assert least_count(ops, h100, load) == 2
    groq = platform_table([make_platform(device(load_accelerator("groq-lpu-v1")), EngineSettings("native"), BF16)])
    least = least_count(ops, groq, load)
    assert least is not None
    chips = predict(
        ops, groq, make_points(0, pp=[least - 1, least], concurrency=1, input_tokens=1024, output_tokens=256)
    )
    assert chips.fits.tolist() == [False, True]


@pytest.mark.parametrize(
    ("model", "accelerator", "layout", "code"),
    [
        ("llama-3.3-70b", "nvidia-h100-sxm", {"count": 1, "tp": 1, "pp": 1}, "memory"),
        ("llama-3.1-8b", "nvidia-h100-sxm", {"tp": 3, "pp": 1}, "tp_does_not_divide"),
        ("llama-3.1-8b", "nvidia-h100-sxm", {"tp": 1, "pp": 33}, "too_many_stages"),
        ("mixtral-8x7b", "nvidia-h100-sxm", {"tp": 8, "pp": 1, "ep": 3}, "ep_does_not_divide"),
        ("llama-3.1-8b", "groq-lpu-v1", {"tp": 8, "pp": 8}, "resident_layout"),
    ],
)
def test_m_an_answer_names_reason_and_least_count(model, accelerator, layout, code):
    answer = ask(model, accelerator, concurrency=1, isl=1024, osl=256, **layout)
    assert not answer.fits
    assert answer.metrics == {}
    assert answer.reason is not None
    assert answer.reason["code"] == code
    assert answer.reason["detail"]
    if code == "memory":
        assert answer.reason["least_count"] == 2


def test_m_a_rate_beyond_capacity_is_no_answer(ops_of, catalogue):
    points = make_points(0, request_rate=[0.1, 1e4], input_tokens=512, output_tokens=128)
    found = predict(ops_of("llama-3.1-8b"), catalogue, points)
    assert found.reason.tolist() == [reasons.OK, reasons.RATE]
    assert np.isnan(found.output_tokens_per_s[1])


@pytest.mark.parametrize("capacity", [40e9, 80e9, 1e12])
def test_a_rate_that_the_closed_loop_reaches_is_served_in_the_open_loop_whatever_the_memory(
    ops_of, make_device, lossless, capacity
):
    ops, table = ops_of("llama-3.1-8b"), platform_table([lossless(make_device(capacity=capacity))])
    lengths = {"input_tokens": 512, "output_tokens": 64}
    most = predict(ops, table, make_points(0, concurrency=4096, **lengths)).output_tokens_per_s[0] / 64
    found = predict(ops, table, make_points(0, request_rate=most * np.array([0.2, 0.5, 0.8, 1.1]), **lengths))
    assert found.fits.tolist() == [True, True, True, False]
    assert found.output_tokens_per_s[:3] == pytest.approx(64 * most * np.array([0.2, 0.5, 0.8]))
    assert (np.diff(found.ttft_s[:3]) > 0).all()


def test_open_and_closed_loop_agree_at_light_load(ops_of, catalogue):
    lengths = {"input_tokens": 1024, "output_tokens": 256}
    ops = ops_of("llama-3.1-8b")
    closed = predict(ops, catalogue, make_points(0, concurrency=1, **lengths))
    poisson = predict(ops, catalogue, make_points(0, request_rate=1e-3, **lengths))
    assert poisson.itl_s == pytest.approx(closed.itl_s, rel=0.01)
    assert poisson.latency_s == pytest.approx(closed.latency_s, rel=0.01)


@settings(max_examples=25)
@given(st.floats(0.05, 8), st.floats(1.0, 1.5))
def test_a_higher_rate_never_shortens_latency(ops_of, catalogue, rate, factor):
    points = make_points(0, request_rate=[rate, rate * factor], input_tokens=1024, output_tokens=128)
    found = predict(ops_of("llama-3.1-8b"), catalogue, points)
    if found.fits.all():
        assert found.latency_s[1] >= found.latency_s[0] * (1 - 1e-3)
        assert found.batch[1] >= found.batch[0] * (1 - 1e-3)


def test_order_chunks_and_company_do_not_change_an_answer(ops_of, catalogue):
    ops, n = ops_of("mixtral-8x7b"), CHUNK_BYTES // 4 + 1000
    points = random_points(n)
    whole = predict(ops, catalogue, points)
    order = np.random.default_rng(0).permutation(n)
    shuffled = predict(ops, catalogue, points[order])
    one = [predict(ops, catalogue, points[i : i + 1]) for i in range(0, n, n // 20)]
    for f in fields(Predictions):
        expected = getattr(whole, f.name)
        np.testing.assert_allclose(getattr(shuffled, f.name), expected[order], rtol=1e-9, equal_nan=True)
        alone = np.concatenate([getattr(answer, f.name) for answer in one])
        np.testing.assert_allclose(alone, expected[:: n // 20], rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"tp": 0}, "tp"),
        ({"input_tokens": 0}, "input_tokens"),
        ({"output_tokens": np.nan}, "output_tokens"),
        ({"concurrency": -1}, "concurrency"),
        ({"concurrency": np.nan}, "concurrency"),
        ({"request_rate": 1.0}, "concurrency"),
        ({"concurrency": np.inf}, "concurrency"),
    ],
)
def test_what_cannot_be_a_question_is_refused(bad, field):
    good = {"concurrency": 1, "input_tokens": 10, "output_tokens": 10}
    with pytest.raises(BadInput) as error:
        make_points(0, **(good | bad))
    assert error.value.field == field


def test_a_single_output_token_has_no_gap_between_tokens(ops_of, catalogue):
    found = predict(ops_of("llama-3.1-8b"), catalogue, make_points(0, concurrency=4, input_tokens=512, output_tokens=1))
    assert found.fits.all()
    assert np.isnan(found.itl_s[0])
    assert found.latency_s[0] == pytest.approx(found.ttft_s[0])


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "deepseek-r1"])
def test_single_precision_sweeps_give_the_same_answers(ops_of, catalogue, model):
    points = random_points(5000)
    double, single = (predict(ops_of(model), catalogue, points, dtype=kind) for kind in (np.float64, np.float32))
    # a point at the very edge of memory or of capacity may fall on the other side
    assert (double.reason != single.reason).mean() < 2e-3
    both = double.fits & single.fits
    for name in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w"):
        np.testing.assert_allclose(getattr(single, name)[both], getattr(double, name)[both], rtol=1e-3, err_msg=name)
        wrong = np.abs(getattr(single, name)[both] / getattr(double, name)[both] - 1) > 1e-5
        assert np.nanmean(wrong) < 0.02, name
