"""Elasticities of predictions: against finite differences, against each other, and complete."""

from dataclasses import fields

import numpy as np
import pytest

from inferatlas.predict.performance.dual import plain
from inferatlas.predict.performance.parameters import (
    PARAMETERS,
    PREDICTED,
    TIMES,
    energy_kept,
    idle_fixed,
    log_derivatives,
    parameters_with_watts,
    scaled,
    seeded,
)
from inferatlas.predict.performance.platform_table import WHOLE, PlatformTable
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.question import Asked, asked
from inferatlas.workload import make_workload

CLOSED = {"isl": 1024, "osl": 256, "concurrency": 32}
CASES = {
    "a GPU": ("llama-3.1-8b", "h100", CLOSED, {}),
    "ranks": ("llama-3.3-70b", "nvidia-b200-sxm", {"isl": 2048, "osl": 256, "concurrency": 64}, {"count": 8, "tp": 8}),
    "stages": ("llama-3.3-70b", "h100", {"isl": 1024, "osl": 256, "concurrency": 64}, {"tp": 2, "pp": 4, "dp": 1}),
    "arrivals": ("llama-3.3-70b", "h100", {"isl": 1024, "osl": 256, "request_rate": 2.0}, {"tp": 4, "pp": 1, "dp": 1}),
    "another vendor": ("llama-3.1-8b", "amd-mi300x", {"workload": "chat", "request_rate": 5.0}, {}),
    "experts": ("deepseek-r1", "nvidia-h200-sxm", CLOSED, {"tp": 8, "ep": 8, "pp": 1, "dp": 2}),
    "wide experts": (
        "deepseek-r1", "nvidia-b200-sxm", {"isl": 1024, "osl": 256, "request_rate": 3.0},
        {"tp": 1, "ep": 16, "pp": 1, "dp": 16},
    ),
    "long prompts in shards": (
        "llama-3.1-8b", "h100", {"isl": 8192, "osl": 256, "concurrency": 4}, {"cp": 2, "tp": 1, "pp": 1, "dp": 1},
    ),
    "offload": (
        "llama-3.3-70b", "h100", {"isl": 8000, "osl": 256, "concurrency": 16},
        {"tp": 4, "pp": 1, "dp": 1, "offload": 0.02},
    ),
    "experts and cache in slower memory": (
        "qwen3-30b-a3b", "h100", {"isl": 4000, "osl": 256, "concurrency": 16},
        {"tp": 1, "pp": 1, "dp": 1, "offload": 0.3, "kv_offload": 0.25,
         "tier": ["host:512GB@55GB/s", "nvme:4TB@12GB/s"]},
    ),
    "recurrent layers": ("falcon-mamba-7b", "h100", CLOSED, {}),
    "drafts": ("llama-3.1-8b", "h100", CLOSED, {"speculate": "gamma=4,acceptance=0.7"}),
    "drafts as requests come": (
        "llama-3.1-8b", "h100", {"isl": 1024, "osl": 256, "request_rate": 4.0}, {"speculate": "gamma=4,acceptance=0.7"},
    ),
    "one output token": ("llama-3.1-8b", "h100", {"isl": 2000, "osl": 1, "concurrency": 8}, {}),
    "a pipeline of chips": ("llama-3.1-8b", "groq", {"isl": 1024, "osl": 256, "concurrency": 4}, {}),
    "wafers": ("llama-3.3-70b", "cerebras-wse-3", {"isl": 1024, "osl": 256, "concurrency": 4}, {}),
    "arrivals at wafers": ("llama-3.3-70b", "cerebras-wse-3", {"isl": 1024, "osl": 256, "request_rate": 1.0}, {}),
    "dataflow": ("llama-3.1-8b", "sambanova-sn40l", {"isl": 1024, "osl": 256, "concurrency": 4}, {}),
    "mesh": ("llama-3.1-8b", "google-tpu-v6e", CLOSED, {"count": 4, "tp": 4}),
}  # fmt: skip


def ask(model: str, accelerator: str, traffic: dict, layout: dict) -> Asked:
    load = {"isl": None, "osl": None, "concurrency": None, "request_rate": None} | traffic
    return asked(model, accelerator, make_workload(load.pop("workload", None), **load), **layout)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def one(request) -> Asked:
    return ask(*request.param)


def derivatives(one: Asked, table: PlatformTable | None = None, parameters=PARAMETERS):
    return log_derivatives(
        one.ops, one.table if table is None else table, one.points, parameters, speculation=one.speculation
    )


def predicted(one: Asked, table: PlatformTable, points: Points | None = None) -> Predictions:
    return predict(one.ops, table, one.points if points is None else points, speculation=one.speculation)


def differences(one: Asked, name: str, h: float = 1e-4) -> dict[str, float]:
    up, down = (predicted(one, scaled(one.table, {name: np.exp(s * h)})) for s in (1, -1))
    with np.errstate(invalid="ignore"):
        return {m: float(np.log(getattr(up, m) / getattr(down, m))[0] / (2 * h)) for m in PREDICTED}


def test_elasticities_are_central_differences(one: Asked):
    found = derivatives(one)
    for name in PARAMETERS:
        numeric = differences(one, name)
        for metric in PREDICTED:
            assert found[metric][name][0] == pytest.approx(numeric[metric], abs=1e-4, nan_ok=True), (name, metric)


def test_values_are_those_of_plain_arrays(one: Asked):
    """The elasticities are those of the numbers that `predict` gives, which are computed on the way."""
    exact, known = predicted(one, seeded(one.table, PARAMETERS)), predicted(one, one.table)
    for metric in PREDICTED:
        assert plain(getattr(exact, metric)) == pytest.approx(getattr(known, metric), nan_ok=True)
    assert exact.bound == known.bound and exact.reason == known.reason


def test_all_times_together_scale_every_time(one: Asked):
    """Twice as slow in everything is twice as slow; in an open loop, if requests come half as often."""
    found = derivatives(one)
    for metric in ("ttft_s", "itl_s", "latency_s"):
        together = sum(sign * found[metric][name][0] for name, sign in TIMES.items())
        rate = one.load.request_rate
        if rate is not None:
            up, down = (
                getattr(predicted(one, one.table, _at(one, rate * np.exp(s * 1e-4))), metric)[0] for s in (1, -1)
            )
            together -= np.log(up / down) / 2e-4
        assert together == pytest.approx(1.0, abs=1e-4) or np.isnan(found[metric]["compute"][0])


def _at(one: Asked, rate: float):
    layout, load = one.layout, one.load
    return make_points(
        0, tp=layout.tp, pp=layout.pp, ep=layout.ep, dp=layout.dp, cp=layout.cp, offload=layout.offload,
        request_rate=rate, input_tokens=load.input_tokens, output_tokens=load.output_tokens, input_cv=load.input_cv,
        output_cv=load.output_cv,
    )  # fmt: skip


def test_rated_and_idle_power_are_all_that_sets_the_scale_of_power(one: Asked):
    found = derivatives(one)["power_w"]
    if one.platform.device.power.rated_w is not None:
        assert found["rated_power"][0] + found["idle_power"][0] == pytest.approx(1.0)


def test_watts_that_grow_with_a_part_are_central_differences(one: Asked):
    """Energy per FLOP and per byte kept: the direction and the table of members with more of a part agree."""
    table, h = idle_fixed(one.table), 1e-4
    found = derivatives(one, table, parameters_with_watts(table))
    for name in ("compute", "memory_bandwidth"):
        up, down = (predicted(one, _more(table, name, np.exp(s * h))) for s in (1, -1))
        for metric in PREDICTED:
            numeric = float(np.log(getattr(up, metric) / getattr(down, metric))[0] / (2 * h))
            assert found[metric][name][0] == pytest.approx(numeric, abs=1e-4, nan_ok=True), (name, metric)


def _more(table: PlatformTable, name: str, factor: float) -> PlatformTable:
    compute, memory = (factor, 1.0) if name == "compute" else (1.0, factor)
    return scaled(energy_kept(table, compute, memory), {name: factor})


def test_a_device_with_twice_of_everything_draws_twice_above_its_floor():
    one = ask(*CASES["a GPU"])
    table = energy_kept(one.table, compute=2.0, memory=2.0)
    for share in ("power_memory", "power_compute"):
        assert table.rated_w * getattr(table, share) == pytest.approx(
            2.0 * one.table.rated_w * getattr(one.table, share)
        )
    assert table.rated_w * table.power_floor == pytest.approx(one.table.rated_w * one.table.power_floor)


def test_every_column_moves_with_a_parameter_or_is_none_of_a_device():
    """A new column that is a rate or a time must be given to a parameter, or elasticities would leave it out."""
    moved = {column for powers in PARAMETERS.values() for column in powers}
    settings = {
        "platforms", "dies", "grouped_efficiency", "attention_efficiency", "bytes_w", "bytes_dense",
        "bytes_wide", "bytes_a", "bytes_kv", "imbalance", "interference", "grouping", "straggling", "accepted",
        "room", "domain", "unpacking", "fraction", "of_free", "reserve", "block", "step_tokens",
        "max_sequences", "compiled", "compute_efficiency", "memory_efficiency", "power_floor", "power_memory",
        "power_compute", "sigma_compute", "sigma_memory", "sigma_overhead", "sigma_request", "resident",
        "wafer", *WHOLE,
    }  # fmt: skip
    assert {f.name for f in fields(PlatformTable)} == moved | settings


def test_many_points_at_once_have_the_derivatives_of_each():
    one = ask(*CASES["a GPU"])
    many = make_points(0, concurrency=[1, 8, 32], input_tokens=1024, output_tokens=256)
    found = log_derivatives(one.ops, one.table, many)
    for i in range(3):
        alone = log_derivatives(one.ops, one.table, many[i : i + 1])
        assert found["latency_s"]["compute"][i] == pytest.approx(alone["latency_s"]["compute"][0])


def test_capacity_buys_in_whole_sequences():
    """Its derivative is 0, a tenth more is not: where memory limits the batch, more of it admits more requests."""
    one = ask("llama-3.3-70b", "h100", {"isl": 4096, "osl": 512, "concurrency": 256}, {"tp": 2, "pp": 1, "dp": 1})
    assert derivatives(one)["output_tokens_per_s"]["memory_capacity"][0] == 0.0
    more = predicted(one, scaled(one.table, {"memory_capacity": 1.1}))
    assert more.output_tokens_per_s[0] > 1.1 * predicted(one, one.table).output_tokens_per_s[0]
