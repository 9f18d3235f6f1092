"""Section 9: power of devices and what can never be (check L)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.errors import NoFeasibleAnswer, NotModelled
from inferatlas.predict.hardware.device import device
from inferatlas.predict.hardware.power import Power
from inferatlas.predict.llm.precision import Precision, sixteen_bit
from inferatlas.predict.performance.platform import EngineSettings, Platform, make_platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.power import active_power
from inferatlas.predict.performance.predictor import predict

shares = st.floats(0, 1)


def platforms() -> list[Platform]:
    found = []
    for name in accelerator_ids():
        try:
            part = device(load_accelerator(name))
            wide = sixteen_bit(part.peaks) or next(iter(part.peaks))
            found.append(make_platform(part, EngineSettings("vllm"), Precision(wide, wide, "fp16")))
        except (NotModelled, NoFeasibleAnswer):
            continue
    return found


@given(st.floats(1, 2e4), shares, shares, shares, shares, shares)
def test_l_active_power_is_a_share_of_the_rating(rated, memory, compute, floor, per_memory, per_compute):
    constants = (floor, per_memory, per_compute)
    watts = float(active_power(rated, memory, compute, *constants))
    assert floor * rated * (1 - 1e-12) <= watts <= rated
    assert watts <= float(active_power(rated, min(memory + 0.1, 1), min(compute + 0.1, 1), *constants))


def test_l_no_catalogue_device_ever_draws_more_than_its_rating(ops_of):
    known = platforms()
    assert len(known) > 30
    table = platform_table(known)
    rng = np.random.default_rng(38)
    n = 20_000
    points = make_points(
        rng.integers(0, len(known), n), tp=rng.choice([1, 2, 4, 8], n), pp=rng.choice([1, 2, 4], n),
        dp=rng.choice([1, 3], n), concurrency=rng.integers(1, 512, n), input_tokens=rng.integers(1, 8192, n),
        output_tokens=rng.integers(1, 2048, n),
    )  # fmt: skip
    found = predict(ops_of("llama-3.1-8b"), table, points)
    rated = table.rated_w[points.platform] * points.accelerators
    ok = found.fits & ~np.isnan(rated)
    assert ok.sum() > 2000
    assert (found.power_w[ok] <= rated[ok] * (1 + 1e-12)).all()
    assert (found.power_w[ok] > 0).all()
    assert np.isnan(found.power_w[found.fits & np.isnan(rated)]).all()  # unknown stays unknown


def test_l_a_700_w_part_stays_within_700_w_and_above_idle(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device(power=Power(700.0, 70.0, "chip or module", "power.tdp")))])
    points = make_points(0, concurrency=[1, 8, 64, 1024], input_tokens=4096, output_tokens=[1, 16, 256, 512])
    found = predict(ops_of("llama-3.1-8b"), table, points)
    assert found.fits.all()
    assert ((found.power_w >= 70) & (found.power_w <= 700)).all()
    tokens = found.output_tokens_per_s
    joules_per_token = found.power_w / tokens
    assert (joules_per_token <= 700 / tokens).all()


def test_power_rises_with_load_and_scales_with_the_deployment(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device(capacity=80e9))])
    light, busy = (
        predict(
            ops_of("llama-3.1-8b"), table, make_points(0, request_rate=r, input_tokens=512, output_tokens=64)
        ).power_w[0]
        for r in (0.01, 20.0)
    )
    assert light < busy
    one, four = predict(
        ops_of("llama-3.1-8b"),
        table,
        make_points(0, dp=[1, 4], concurrency=[8, 32], input_tokens=512, output_tokens=64),
    ).power_w
    assert four == pytest.approx(4 * one)
