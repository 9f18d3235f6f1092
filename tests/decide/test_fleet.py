"""Every accelerator at its size: a node where that holds the model, else nodes doubled; chips in whole nodes."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from inferatlas.catalogue.accelerators import accelerators, load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.fleet import fleet, formats_among, joined
from inferatlas.errors import NotModelled
from inferatlas.predict.hardware.device import device
from inferatlas.predict.mapping import reasons
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import weight_choices
from inferatlas.predict.question import ask
from inferatlas.predict.replicas import MOST_ACCELERATORS
from inferatlas.workload import Workload

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes

LLAMA = load_model("llama-3.3-70b")
LOAD = Workload("fixed", 1024, 256, concurrency=1)
LEVELS = {"concurrency": [1.0, 64.0]}


def some(*names: str):
    return [load_accelerator(name) for name in names]


@pytest.fixture(scope="module")
def found() -> Designs:
    return fleet(LLAMA, accelerators(), LOAD, LEVELS, room=2.0)


@pytest.fixture(scope="module")
def experts() -> Designs:
    return fleet(load_model("qwen3-235b-a22b"), accelerators(), LOAD, LEVELS)


@pytest.fixture(params=["found", "experts"])
def either(request: pytest.FixtureRequest) -> Designs:
    return request.getfixturevalue(request.param)


def counts(designs: Designs) -> dict[int, list[int]]:
    """Sizes by platform."""
    sizes: dict[int, set[int]] = {}
    for i, n in zip(designs.points.platform.tolist(), designs.points.accelerators.tolist(), strict=True):
        sizes.setdefault(i, set()).add(n)
    return {i: sorted(held) for i, held in sizes.items()}


def fits(designs: Designs, platform: int, **layouts) -> np.ndarray:
    """Whether one request at a time fits, asked anew, in layouts that may not be legal."""
    table = platform_table([designs.table.platforms[platform]], is_moe=bool(designs.ops.experts))
    asked = {"concurrency": 1, "input_tokens": LOAD.input_tokens, "output_tokens": LOAD.output_tokens}
    return predict(designs.ops, table, make_points(0, **layouts, **asked)).fits


def any_layout_fits(designs: Designs, platform: int, count: int) -> bool:
    """Brute force over every product of a count."""
    some = [n for n in range(1, count + 1) if count % n == 0]
    ranks = [1, 2, 4, 8, 16, 32, 64, 128] if designs.ops.experts else [1]
    rows = [(t, p, e, count // (t * p)) for t in some for p in some if count % (t * p) == 0 for e in ranks]
    tp, pp, ep, dp = zip(*rows, strict=True)
    return bool(fits(designs, platform, tp=tp, pp=pp, ep=ep, dp=dp).any())


def test_no_accelerator_vanishes_and_none_is_both_in_and_out(either: Designs):
    inside = {either.platform(i).device.id for i in range(len(either))}
    outside = [out.accelerator for out in either.rejected]
    assert len(outside) == len(set(outside)) and not inside & set(outside)
    assert inside | set(outside) == {one.id for one in accelerators()}
    assert all(out.code in {*reasons.CODES.values(), "precision"} and out.detail for out in either.rejected)
    served = {either.platform(i).device.id for i in np.flatnonzero(either.predictions.fits).tolist()}
    assert served == inside  # who is in can serve


def test_a_deployment_is_a_node_or_doubled_nodes_and_no_larger_than_it_must_be(either: Designs):
    grown = 0
    for i, sizes in counts(either).items():
        part = either.table.platforms[i].device
        if is_resident(part):
            continue
        (count,) = sizes
        doublings = np.log2(count / part.node)
        assert doublings >= 0 and doublings == int(doublings), part.id
        assert any_layout_fits(either, i, count), part.id
        if doublings:
            grown += 1
            assert not any_layout_fits(either, i, count // 2), part.id
    assert grown >= 3


def test_who_is_out_for_memory_fits_at_no_number_of_nodes(either: Designs):
    out = {one.accelerator: one.code for one in either.rejected}
    assert out
    for i, platform in enumerate(either.table.platforms):
        part = platform.device
        if part.id in out:
            assert out[part.id] in ("memory", "kv_cache")
            sizes = part.node * 2 ** np.arange(11)
            if is_resident(part):
                assert not fits(either, i, pp=np.arange(1, MOST_ACCELERATORS + 1)).any()
            else:
                assert not any(any_layout_fits(either, i, n) for n in sizes[sizes <= MOST_ACCELERATORS].tolist())


@pytest.mark.parametrize(
    ("model", "name", "least"),
    [("llama-3.3-70b", "tenstorrent-grayskull-e150", 80), ("qwen3-235b-a22b", "tenstorrent-wormhole-n150", 94)],
)
def test_the_count_that_holds_what_whole_nodes_do_not_is_where_predict_places_it(model: str, name: str, least: int):
    (out,) = fleet(load_model(model), some(name), LOAD, LEVELS).rejected
    assert (out.code, out.least_count) == ("memory", least)
    assert out.detail == (
        f"does not fit on up to 1,024 accelerators in whole nodes, except on {least} with fp16 weights in {least} "
        "pipeline stages"
    )
    asked = {"isl": 1024, "osl": 256, "concurrency": 1, "weights": "fp16"}
    answer = ask(model, name, **asked)
    assert answer.fits and answer.inputs["count"] == least
    assert not ask(model, name, **asked, count=least - 1).fits


def test_what_no_count_holds_and_what_another_count_holds_are_told_apart(cluster):
    (out,) = fleet(LLAMA, some(cluster("t4", nodes=1)), LOAD, LEVELS).rejected
    assert out.least_count is not None and out.detail.endswith(f"weights need {out.least_count}")
    assert out.detail.startswith("does not fit on up to 8 accelerators in whole nodes; ")
    long = Workload("long", 120_000, 256, concurrency=1)
    (out,) = fleet(LLAMA, some("tenstorrent-grayskull-e150"), long, LEVELS).rejected
    assert (out.detail, out.least_count) == ("does not fit on up to 1,024 accelerators in whole nodes", None)
    (out,) = fleet(LLAMA, some("h100"), LOAD, LEVELS, within=101).rejected  # a prime above the layers
    assert out.detail == "does not fit on so many accelerators, but on 2 with bf16 weights in 2 pipeline stages"


def test_chips_that_hold_the_model_are_whole_nodes_from_the_least_up_to_the_room(found: Designs):
    resident = {i: sizes for i, sizes in counts(found).items() if is_resident(found.table.platforms[i].device)}
    assert len(resident) >= 3
    for i, sizes in resident.items():
        node, least = found.table.platforms[i].device.node, sizes[0]
        assert least % node == 0
        assert fits(found, i, pp=least).all()
        if least > node:
            assert not fits(found, i, pp=np.arange(1, least - node + 1)).any()
        assert sizes == list(range(least, min(2 * least, MOST_ACCELERATORS) + 1, node))
        mine = found.points[np.flatnonzero(found.points.platform == i)]
        assert (mine.tp == 1).all() and (mine.ep == 1).all() and (mine.dp == 1).all()


def test_without_room_only_the_least_chips_are_tried(experts: Designs):
    for i, sizes in counts(experts).items():
        if is_resident(experts.table.platforms[i].device):
            assert len(sizes) == 1


def test_every_layout_is_asked_at_every_level_once(either: Designs):
    p = either.points
    rows = list(zip(*(c.tolist() for c in (p.platform, p.tp, p.pp, p.ep, p.dp, p.concurrency)), strict=True))
    assert len(rows) == len(set(rows))
    assert {row[:5] for row in rows if row[5] == 1.0} == {row[:5] for row in rows if row[5] == 64.0}
    assert set(p.concurrency.tolist()) == {1.0, 64.0} and (p.cp == 1).all() and not p.offload.any()
    assert (p.input_tokens == 1024).all() and (p.output_tokens == 256).all()


def test_levels_may_vary_anything_that_points_have():
    levels = {"input_tokens": [128.0, 4096.0], "request_rate": [0.1, 0.2]}
    found = fleet(LLAMA, some("h100"), LOAD, levels)
    pairs = set(zip(found.points.input_tokens.tolist(), found.points.request_rate.tolist(), strict=True))
    assert pairs == {(128.0, 0.1), (4096.0, 0.2)}
    assert np.isnan(found.points.concurrency).all()
    served = found.predictions.fits
    np.testing.assert_allclose(  # an open loop serves what it is offered
        found.metrics["output_tokens_per_s"].value[served], (found.points.request_rate * 256)[served], rtol=1e-5
    )


@pytest.mark.parametrize("within", [4, 16, 48])
def test_so_many_accelerators_as_are_asked_for(within: int):
    found = fleet(LLAMA, accelerators(), LOAD, LEVELS, within=within)
    assert (found.points.accelerators == within).all()
    inside = {found.platform(i).device.id for i in range(len(found))}
    assert inside | {out.accelerator for out in found.rejected} == {one.id for one in accelerators()}
    assert "nvidia-h100-sxm" in inside and "groq-lpu-v1" not in inside


def test_a_cluster_lends_no_more_than_it_has(cluster):
    h100 = cluster("h100", nodes=1, per_node=6)
    found = fleet(load_model("llama-3.1-8b"), some(h100, "l4"), LOAD, LEVELS)
    names, owner = found.accelerator_index()
    assert set(found.points.accelerators[owner == names.index("nvidia-h100-sxm")].tolist()) == {6}
    found = fleet(LLAMA, some(cluster("t4", nodes=1)), LOAD, LEVELS)  # 8 of 16 GB do not hold 141 GB
    assert [out.code for out in found.rejected] == ["memory"]


@pytest.mark.parametrize("name", ["h100", "groq-lpu-v1"])
@pytest.mark.parametrize("beside", [(), ("mi300x",)])
def test_more_than_a_cluster_has_is_refused_with_that_reason(cluster, name: str, beside: tuple[str, ...]):
    small = cluster(name, nodes=1)
    found = fleet(LLAMA, some(small, *beside), LOAD, LEVELS, within=16)
    (out,) = found.rejected
    assert out.code == "count" and "16 accelerators are more than the 8" in out.detail
    assert {found.platform(i).device.id for i in range(len(found))} == {f"amd-{one}" for one in beside}


def test_formats_are_those_named_that_a_part_runs_and_without_names_the_usual_one():
    model, part = load_model("deepseek-r1"), device(load_accelerator("h100"))
    assert formats_among(("int4", "fp8", "nvfp4"))(model, part) == ["fp8", "int4"]
    assert formats_among(())(model, part) == ["fp8"]


def test_formats_beyond_a_part_cost_it_nothing_but_themselves():
    # a checkpoint in NVIDIA's 4-bit format: MI300X runs it in its own formats, and in none if only that is asked
    model = replace(load_model("llama-3.1-8b"), checkpoint_weights="nvfp4")
    found = fleet(model, some("mi300x"), LOAD, LEVELS, formats=weight_choices)
    assert {p.precision.weights for p in found.table.platforms} >= {"bf16", "fp8", "int4"}
    assert "nvfp4" not in {p.precision.weights for p in found.table.platforms} and not found.rejected
    none = fleet(model, some("mi300x"), LOAD, LEVELS, formats=lambda *_: ["nvfp4"])
    assert len(none) == 0 and [out.code for out in none.rejected] == ["precision"]
    assert "NVFP4" in none.rejected[0].detail


def test_nobody_left_is_an_empty_fleet_with_all_reasons():
    known = some("h100", "mi300x", "groq")
    found = fleet(LLAMA, known, LOAD, LEVELS, formats=lambda *_: [])
    assert len(found) == 0
    assert {out.accelerator: out.code for out in found.rejected} == {one.id: "precision" for one in known}
    assert all(metric.value.size == 0 for metric in found.metrics.values())
    assert len(fleet(LLAMA, [], LOAD, LEVELS)) == 0


def test_a_fleet_says_what_a_single_question_says(found: Designs):
    rng = np.random.default_rng(3)
    for i in rng.choice(np.flatnonzero(found.predictions.fits), 12, replace=False).tolist():
        platform, points = found.platform(i), found.points
        layout = {name: int(getattr(points, name)[i]) for name in ("tp", "pp", "ep", "dp")}
        answer = ask(
            LLAMA.id, platform.device.id, **layout, engine=platform.engine.name, weights=platform.precision.weights,
            isl=1024, osl=256, concurrency=int(points.concurrency[i]),
        )  # fmt: skip
        assert answer.inputs["count"] == points.accelerators[i]
        for name, interval in answer.metrics.items():
            ours = found.metrics[name].at(i)
            assert (ours is None) == (interval is None), name
            if ours is not None and interval is not None:
                theirs = (interval.low, interval.value, interval.high)
                assert (ours.low, ours.value, ours.high) == pytest.approx(theirs, rel=1e-4), name


def test_what_does_not_fit_has_no_value_at_all(found: Designs):
    out = ~found.predictions.fits
    assert out.any()
    for name, metric in found.metrics.items():
        assert np.isnan(metric.value[out]).all(), name


def test_the_same_question_has_the_same_answer_in_any_order(found: Designs):
    again = fleet(LLAMA, accelerators(), LOAD, LEVELS, room=2.0)
    for field in fields(Predictions):
        np.testing.assert_array_equal(getattr(again.predictions, field.name), getattr(found.predictions, field.name))
    few = ("h100", "groq-lpu-v1", "l4")
    there, back = (fleet(LLAMA, some(*names), LOAD, LEVELS) for names in (few, few[::-1]))

    def best(designs: Designs) -> dict[str, float]:
        names, owner = designs.accelerator_index()
        rate = designs.metrics["output_tokens_per_s"].value
        return {name: float(np.nanmax(rate[owner == k])) for k, name in enumerate(names)}

    assert best(there) == best(back)


def test_joined_structs_are_their_parts_one_after_the_other():
    parts = [make_points(0, tp=n, concurrency=1, input_tokens=1, output_tokens=1) for n in (1, 2, 4)]
    whole = joined(parts)
    assert isinstance(whole, Points) and whole.tp.tolist() == [1, 2, 4] and whole.tp.dtype == np.int32
    assert joined(parts[:1]).tp.tolist() == [1]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(NotModelled):
        fleet(load_model(NOT_MODELLED), some("h100"), LOAD, LEVELS)
