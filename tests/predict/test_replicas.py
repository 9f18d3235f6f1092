"""Layouts left open: what is chosen fits, keeps what was given, and uses exactly the accelerators asked for."""

from dataclasses import replace

import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping import layouts
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind
from inferatlas.predict.replicas import Layout, choose_layout, least_count, points_of
from inferatlas.workload import Workload, make_workload

LOAD = make_workload(None, isl=1024, osl=256, concurrency=64)
OPEN = {"count": None, "tp": None, "pp": None, "ep": None, "dp": None}


def at(model: str, part: str, weights: str | None = None) -> tuple[Operators, PlatformTable]:
    ops = operators(load_model(model))
    return ops, platform_table([bind(part, None, weights)], is_moe=bool(ops.experts))


def chosen(model: str, part: str, load: Workload = LOAD, weights: str | None = None, **given: int) -> Layout:
    ops, table = at(model, part, weights)
    return choose_layout(ops, table, load, **(OPEN | given))[0]


def flying(requests: int) -> Workload:
    return replace(LOAD, concurrency=requests)


def fits(model: str, part: str, layout: Layout, load: Workload = LOAD, weights: str | None = None) -> bool:
    ops, table = at(model, part, weights)
    return bool(predict(ops, table, points_of(load, [layout])).fits[0])


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.3-70b", "mixtral-8x7b", "deepseek-r1"])
@pytest.mark.parametrize("part", ["h100", "mi300x", "mi250", "l4", "tpu-v6e", "sambanova-sn40l"])
def test_what_is_chosen_freely_fits_and_nothing_smaller_of_even_stages_does(model: str, part: str):
    layout = chosen(model, part)
    assert fits(model, part, layout)
    assert (layout.dp, layout.ep) == (1, 1)
    ops, platform = operators(load_model(model)), bind(part)
    table = platform_table([platform], is_moe=bool(ops.experts))
    found = layouts.enumerate_layouts(ops, platform.device, layout.count, every_count=False)
    smaller = [
        Layout(int(tp), int(pp), int(ep), 1)
        for tp, pp, ep, dp in zip(found.tp, found.pp, found.ep, found.dp, strict=True)
        if dp == 1 and tp * pp < layout.count and ep == 1
    ]
    if smaller:
        assert not predict(ops, table, points_of(LOAD, smaller)).fits.any()


@pytest.mark.parametrize("part", ["groq", "graphcore-bow", "cerebras-wse-3"])
@pytest.mark.parametrize("users", [1, 4])
def test_chips_that_hold_the_model_are_enough_for_the_requests_in_flight(part: str, users: int):
    load = replace(LOAD, concurrency=users)
    layout = chosen("llama-3.1-8b", part, load)
    ops = operators(load_model("llama-3.1-8b"))
    table = platform_table([bind(part)])
    found = predict(ops, table, points_of(load, [layout]))
    assert found.fits[0]
    assert found.batch[0] == pytest.approx(users)


@pytest.mark.parametrize("part", ["h100", "l4", "mi250", "groq"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 8, 12, 16, 24, 64, 100, 576, 1024])
def test_a_count_is_used_to_the_last_accelerator(part: str, count: int):
    layout = chosen("llama-3.1-8b", part, count=count)
    assert layout.count == count
    assert layout.tp * layout.pp * layout.dp == count


@pytest.mark.parametrize(
    "given",
    [
        {"tp": 2}, {"pp": 2}, {"dp": 4}, {"tp": 2, "pp": 3}, {"tp": 2, "dp": 3}, {"pp": 4, "dp": 2}, {"pp": 3},
        {"count": 6, "tp": 2, "dp": 1}, {"count": 6, "pp": 3}, {"count": 12, "tp": 4}, {"count": 6, "tp": 3},
        {"count": 12, "tp": 2, "pp": 3}, {"count": 12, "tp": 2, "pp": 3, "dp": 2}, {"count": 14, "dp": 2},
        {"count": 10, "pp": 5, "dp": 1}, {"count": 7, "tp": 7}, {"count": 11, "dp": 11},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.3-70b"])
def test_what_is_given_stays_as_it_is(model: str, given: dict[str, int]):
    layout = chosen(model, "h100", **given)
    for name, value in given.items():
        assert getattr(layout, name) == value, name


def test_experts_stay_where_they_are_put():
    assert chosen("mixtral-8x7b", "h100", ep=4) == Layout(4, 1, 4, 1)
    assert chosen("mixtral-8x7b", "h100", ep=4, count=8) == Layout(4, 1, 4, 2)
    assert chosen("deepseek-r1", "h200", tp=1, pp=1, ep=16, dp=16) == Layout(1, 1, 16, 16)


@pytest.mark.parametrize("ep", [2, 8])
def test_experts_over_more_ranks_than_a_replica_has_need_no_larger_replicas(ep: int):
    ops, table = at("qwen3-30b-a3b", "h100")
    layout, notes = choose_layout(ops, table, flying(32), **(OPEN | {"ep": ep, "dp": 8}))
    assert layout == Layout(1, 1, ep, 8)
    assert notes == ["layout not given in full: tp 1, pp 1 chosen, the smallest replica that fits"]


@pytest.mark.parametrize("rate", [0.5, 8.0, 60.0])
@pytest.mark.parametrize("part", ["h100", "sambanova-sn40l", "groq", "cerebras-wse-3"])
def test_a_rate_takes_the_fewest_accelerators_that_serve_it(part: str, rate: float):
    ops, table = at("llama-3.1-8b", part)
    asked = replace(LOAD, concurrency=None, request_rate=rate)
    layout, notes = choose_layout(ops, table, asked, **OPEN)
    assert predict(ops, table, points_of(asked, [layout])).fits[0]
    assert notes[0].endswith(f"the fewest accelerators that serve {rate:g} requests/s")
    part_of = table.platforms[0].device
    tried = layouts.enumerate_layouts(ops, part_of, max(layout.count - 1, 1))
    shapes = zip(tried.tp.tolist(), tried.pp.tolist(), tried.ep.tolist(), tried.dp.tolist(), strict=True)
    fewer = [Layout(*shape) for shape in shapes if layout.count > 1]
    assert not fewer or not predict(ops, table, points_of(asked, fewer)).fits.any()


def test_what_the_note_says_of_a_choice_is_so():
    ops, table = at("llama-3.1-8b", "h100")
    alone, why = choose_layout(ops, table, flying(1), **(OPEN | {"count": 8}))
    assert alone.count == 8 and alone.dp == 1 and "no more replicas than requests in flight" in why[0]
    many, why = choose_layout(ops, table, flying(64), **(OPEN | {"count": 8}))
    assert many.dp == 8 and "the smallest replica that fits" in why[0]
    large, small = at("llama-3.1-405b", "h100")
    _, why = choose_layout(large, small, flying(1), **(OPEN | {"count": 1}))
    assert "none that fits was found" in why[0]
    ops, chips = at("llama-3.1-8b", "groq")
    held, why = choose_layout(ops, chips, flying(16), **OPEN)
    assert held.pp > choose_layout(ops, chips, flying(1), **OPEN)[0].pp
    assert "the fewest chips that hold 16 requests at once" in why[0]


def test_uneven_stages_are_found_where_the_count_asks_for_them():
    # 80 layers over 3 stages: 27 in the fullest; 3 divides neither heads nor layers
    assert chosen("llama-3.3-70b", "h100", count=3) == Layout(1, 3, 1, 1)
    assert fits("llama-3.3-70b", "h100", Layout(1, 3, 1, 1))
    assert chosen("llama-3.3-70b", "h100", count=9) == Layout(1, 3, 1, 3)


def test_replicas_do_not_outnumber_the_requests():
    few = chosen("llama-3.1-8b", "h100", replace(LOAD, concurrency=2), count=8)
    many = chosen("llama-3.1-8b", "h100", replace(LOAD, concurrency=64), count=8)
    assert few.count == many.count == 8
    assert few.dp <= 2
    assert many.dp == 8


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"count": 0}, "count"), ({"count": 1025}, "count"), ({"tp": -1}, "tp"), ({"pp": 0}, "pp"), ({"ep": 0}, "ep"),
        ({"dp": 2000}, "dp"), ({"tp": 1.5}, "tp"), ({"count": 2.5}, "count"), ({"dp": float("nan")}, "dp"),
        ({"count": 4, "tp": 2, "pp": 1, "dp": 1}, "count"), ({"count": 3, "tp": 2}, "count"),
        ({"count": 8, "pp": 3}, "count"), ({"count": 2, "dp": 4}, "count"), ({"tp": 8, "pp": 80, "dp": 2}, "count"),
        ({"tp": 64, "pp": 64}, "count"),
    ],
    ids=str,
)  # fmt: skip
def test_contradictions_are_refused(given, field: str):
    with pytest.raises(BadInput) as caught:
        chosen("llama-3.1-8b", "h100", **given)
    assert caught.value.field == field
    assert caught.value.exit_code == 2
    assert caught.value.allowed


def test_replicas_times_their_size_stay_within_reach():
    with pytest.raises(BadInput, match="2048 in all"):
        chosen("llama-3.3-70b", "h100", dp=1024)
    assert chosen("llama-3.1-8b", "h100", dp=1024).count == 1024


@pytest.mark.parametrize(
    ("model", "part", "weights", "least"),
    [
        ("llama-3.3-70b", "h100", "bf16", 2), ("llama-3.3-70b", "mi300x", "bf16", 1),
        ("llama-3.3-70b", "h100", "fp8", 1), ("llama-3.1-405b", "mi300x", "bf16", 5),
        ("llama-3.1-8b", "l4", "bf16", 1), ("deepseek-r1", "h200", "fp8", 6),
    ],
)  # fmt: skip
def test_the_least_count_is_that_of_weights_over_memory(model: str, part: str, weights: str, least: int):
    ops = operators(load_model(model))
    table = platform_table([bind(part, None, weights)], is_moe=bool(ops.experts))
    assert least_count(ops, table, LOAD) == least
    device = table.platforms[0].device
    parameters = sum(row.count * (row.weights + row.kv_weights + row.replicated) for row in ops.gemms)
    parameters += sum(row.count * row.experts * row.weights for row in ops.experts)
    room = device.memory.bytes * float(table.fraction[0])
    assert (least - 1) * room < parameters * float(table.bytes_w[0]) * 1.1
    assert fits(model, part, chosen(model, part, weights=weights, count=least), weights=weights)


def test_a_model_that_no_thousand_chips_hold_has_no_least_count():
    ops = operators(load_model("llama-3.1-405b"))
    assert least_count(ops, platform_table([bind("groq")]), replace(LOAD, input_tokens=100_000.0)) is None
