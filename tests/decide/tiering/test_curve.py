"""Capacity against slowdown: what must hold of any curve, its knee, and what the JSON has."""

import json
import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.tiering.curve import SCALES, TierPoint, Tiers, tiers
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.handbook.tiers import hiding_batch
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.performance.priors import constant

CXL = "cxl:4TiB@64GB/s,latency=300ns"
CASES = {
    "dense": ("llama-3.3-70b", "h100", {"count": 2, "tier": CXL}),
    "moe": ("mixtral-8x7b", "h200", {"count": 1, "tier": CXL, "concurrency": 2}),
    "moe in layers": ("mixtral-8x7b", "h200", {"count": 1, "tier": CXL, "grow": "layers"}),
    "usual tiers": ("qwen3-30b-a3b", "h100", {"count": 1, "concurrency": 1}),
    "skewed": ("qwen3-30b-a3b", "h100", {"count": 1, "concurrency": 1, "tier": CXL, "routing": Routing(1.0)}),
    "two tiers": ("llama-3.1-8b", "nvidia-l4", {"count": 1, "tier": ["cxl:20GB@64GB/s", "nvme:8TB@12GB/s"]}),
    "recurrent": ("falcon-mamba-7b", "nvidia-l4", {"count": 1, "tier": CXL}),
    "stages": ("llama-3.3-70b", "h100", {"tp": 2, "pp": 2, "tier": CXL, "concurrency": 4}),
    "chips": ("llama-3.1-8b", "cerebras-wse-3", {"tier": CXL, "concurrency": 1}),
}


@lru_cache
def curve(case: str) -> Tiers:
    model, part, asked = CASES[case]
    return tiers(model, part, **asked)


every = pytest.mark.parametrize("case", CASES)


@every
def test_a_larger_model_is_never_faster_than_in_a_memory_without_end(case):
    points = curve(case).points
    for point in points:
        assert 1.0 <= point.slowdown["low"] <= point.slowdown["value"] <= point.slowdown["high"] < math.inf
        assert point.context_slowdown is None or point.context_slowdown >= 1.0 - 1e-9
        assert point.latency_s > 0 and point.output_tokens_per_s > 0


@every
def test_slowdown_and_capacity_never_fall_with_the_model(case):
    points = curve(case).points
    assert [point.model_scale for point in points] == list(SCALES[: len(points)])
    for before, after in pairwise(points):
        assert after.parameters > before.parameters or curve(case).inputs["grow"] == "experts"
        assert after.parameters >= before.parameters
        # shares and batches that are tried are steps; of a row of chips, more layers slow down the ideal too: each has
        # a smaller part of the chips' bandwidth
        assert case == "chips" or after.slowdown["value"] >= before.slowdown["value"] * (1 - 0.02)
        assert after.capacity_bytes >= before.capacity_bytes * (1 - 1e-9)


@every
def test_more_capacity_never_holds_a_shorter_context(case):
    points = sorted(curve(case).points, key=lambda point: point.capacity_bytes)
    for before, after in pairwise(points):
        assert after.max_context_tokens >= before.max_context_tokens


@every
def test_the_knee_is_the_last_point_within_the_slowdown(case):
    found = curve(case)
    within = [point for point in found.points if point.slowdown["value"] <= 1.3]
    if not within:
        assert found.knee is None
        return
    assert found.knee is not None
    assert found.knee["model_scale"] == within[-1].model_scale and found.knee["slowdown"]["value"] <= 1.3
    assert found.knee["more"] == (len(within) < len(found.points))
    assert found.knee["capacity_bytes"] == within[-1].capacity_bytes


@every
def test_placement_adds_up_and_no_tier_holds_more_than_it_has(case):
    found = curve(case)
    room = {tier["name"]: tier["bytes"] * found.inputs["count"] for tier in found.inputs["tiers"]}
    for point in found.points:
        placed = point.placement
        assert point.capacity_bytes == pytest.approx(placed["main_bytes"] + sum(placed["tiers_bytes"].values()))
        assert set(placed["tiers_bytes"]) == set(room)
        for name, held in placed["tiers_bytes"].items():
            assert 0 <= held <= room[name] * (1 + 1e-6)
        for share in ("weights_share", "cache_share", "experts_share"):
            assert 0 <= placed[share] <= 1
        some = sum(placed["tiers_bytes"].values()) > 0
        assert some == (placed["weights_share"] > 0 or placed["cache_share"] > 0)
        assert (placed["tier_joules_per_token"] is not None) == some


def test_the_json_has_what_was_agreed():
    found = json.loads(json.dumps(curve("two tiers").as_dict()))
    assert {"inputs", "points", "knee", "conditions", "restore", "assumptions"} <= set(found)
    for point in found["points"]:
        assert {"capacity_bytes", "model_scale", "max_context_tokens", "slowdown", "placement"} <= set(point)
        assert set(point["slowdown"]) == {"low", "value", "high"}
    assert found["assumptions"] and all(isinstance(line, str) for line in found["assumptions"])


def test_a_cache_that_waits_is_in_the_capacity():
    # what waits in the tiers is weights and cache of the requests in flight
    for point in curve("dense").points:
        placed = point.placement
        cache = 16 * (1024 + 128) * 327_680 * point.model_scale * placed["cache_share"]
        layers = 2 * (count(load_model("llama-3.3-70b")).total - 2 * 128_256 * 8192) * point.model_scale
        weights = layers * placed["weights_share"]
        assert placed["tiers_bytes"]["cxl"] == pytest.approx(weights + cache, rel=0.02, abs=1e6)


def test_28_the_batch_that_hides_the_stream_is_that_of_the_handbook():
    for point in curve("dense").points[1:]:
        assert point.hiding_batch is not None
        size = 2 * point.parameters * point.placement["weights_share"]
        rate = 64e9 * constant("offload", "efficiency")
        form = float(hiding_batch(size / 2, point.parameters / 2, 989e12, rate))  # one of two ranks
        assert form == pytest.approx(point.hiding_batch, rel=0.6)  # at peak; the predictor's rate is lower
        assert point.hiding_batch <= form * 1.1


def test_28_a_drive_that_holds_what_a_faster_tier_does_not_takes_the_larger_batch_to_hide():
    def last(*tier: str) -> TierPoint:
        return tiers("llama-3.3-70b", "nvidia-h100-sxm", count=2, tp=2, tier=tier).points[-1]

    fast, both = last("cxl:8TiB@64GB/s"), last("cxl:64GiB@64GB/s", "nvme:8TB@8GB/s")
    assert fast.model_scale == both.model_scale and fast.hiding_batch and both.hiding_batch
    held = both.placement["tiers_bytes"]["nvme"] / sum(both.placement["tiers_bytes"].values())
    assert both.hiding_batch == pytest.approx(fast.hiding_batch * held * 64 / 8, rel=0.05)  # the drive ends last


@pytest.mark.parametrize("case", ["dense", "moe", "recurrent"])
def test_a_faster_tier_never_has_a_larger_slowdown(case):
    model, part, asked = CASES[case]
    slower = curve(case).points
    faster = tiers(model, part, **(asked | {"tier": "cxl:4TiB@200GB/s,latency=300ns"})).points
    for before, after in zip(slower, faster, strict=True):
        assert after.slowdown["value"] <= before.slowdown["value"] * (1 + 1e-6)


def test_experts_that_few_tokens_take_wait_at_less_cost():
    even, skewed = curve("usual tiers"), curve("skewed")
    assert even.inputs["grow"] == skewed.inputs["grow"] == "experts"
    at = {point.model_scale: point.slowdown["value"] for point in skewed.points}
    bare = tiers("qwen3-30b-a3b", "h100", count=1, concurrency=1, tier=CXL)
    for point in bare.points:
        if point.placement["experts_share"] > 0.1:
            assert at[point.model_scale] < point.slowdown["value"]
    assert any("Zipf" in line for line in skewed.assumptions)


# what is refused


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"slowdown": 1.0}, "slowdown"), ({"slowdown": 0.5}, "slowdown"), ({"slowdown": math.nan}, "slowdown"),
        ({"slowdown": math.inf}, "slowdown"),
        ({"grow": "experts"}, "grow"), ({"tier": "cxl"}, "tier"), ({"routing": Routing(1.0)}, "skew"),
        ({"count": 0}, "count"), ({"isl": 0}, "isl"), ({"kv_compression": 0.5}, "kv_compression"),
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_question_is_refused_with_its_field(asked, field):
    with pytest.raises(BadInput) as caught:
        tiers("llama-3.1-8b", "h100", **asked)
    assert caught.value.exit_code == 2 and caught.value.field == field


def test_a_model_that_no_tier_holds_has_no_curve():
    with pytest.raises(NoFeasibleAnswer) as caught:
        tiers("llama-3.1-405b", "nvidia-l4", count=1, tier="cxl:1GB@64GB/s")
    assert caught.value.exit_code == 3


def test_everything_is_finite_or_absent():
    for case in CASES:
        for point in curve(case).points:
            assert np.isfinite([point.capacity_bytes, point.latency_s, point.output_tokens_per_s]).all()


def test_what_is_assumed_holds_for_every_point():
    said = " ".join(tiers("llama-3.1-8b", "h100", count=1).assumptions)
    assert "what main memory does not hold streams from host memory" in said and "(shares)" not in said
