"""Experts spread or divided: parameters per unit of compute, imbalance by placement, and where the costs cross (26)."""

from functools import lru_cache
from typing import Any

import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.scaling import expert_choice
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.performance import parallelism as par
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.platforms import bind
from inferatlas.predict.replicas import Layout

MIXTURES = ["mixtral-8x7b", "qwen3-30b-a3b", "deepseek-r1", "gpt-oss-120b"]
CHOICES = [
    ("deepseek-r1", "nvidia-h200-sxm"), ("mixtral-8x7b", "amd-mi300x"), ("qwen3-30b-a3b", "nvidia-h100-sxm"),
    ("gpt-oss-120b", "nvidia-b200-sxm"), ("deepseek-r1", "google-tpu-v5p"), ("mixtral-8x7b", "nvidia-l4"),
    ("llama-4-scout", "intel-gaudi-3"),
]  # fmt: skip


@lru_cache
def chosen(model: str, part: str) -> tuple[Operators, Platform, list[dict[str, Any]]]:
    ops, platform = operators(load_model(model)), bind(part, model=model)
    return ops, platform, expert_choice.table(ops, platform, platform_table([platform], is_moe=True))


def tokens_of(rows: list[dict[str, Any]], *key: str) -> dict[tuple, int | None]:
    return {tuple(row[name] for name in key): row["tokens"] for row in rows}


# parameters per FLOP


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.3-70b", "llama-3.2-1b", "qwen2.5-72b", "phi-4"])
@pytest.mark.parametrize("layout", [Layout(1, 1, 1, 1), Layout(8, 2, 1, 4)])
def test_every_parameter_of_a_dense_model_costs_two_flops_but_those_looked_up(model, layout):
    config = load_model(model)
    found = expert_choice.params_per_flop(operators(config), layout, 16.0, Routing())
    held = count(config)
    assert 0.5 <= found <= 0.6
    assert found == pytest.approx(held.total / (2 * (held.total - (0 if config.tied_embeddings else held.embedding))))


@pytest.mark.parametrize("model", MIXTURES)
def test_a_mixture_on_one_group_holds_its_total_over_twice_its_active_parameters(model):
    config = load_model(model)
    for layout in (Layout(1, 1, 1, 1), Layout(8, 1, 1, 1)):
        found = expert_choice.params_per_flop(operators(config), layout, 16.0, Routing(1.0))
        assert found == pytest.approx(count(config).total / (2 * count(config).active_without_embedding))


@pytest.mark.parametrize("model", MIXTURES)
def test_parameters_per_flop_fall_with_the_imbalance(model):
    ops, spread = operators(load_model(model)), Layout(1, 1, 8, 8)

    def found(batch: float = 16.0, layout: Layout = spread, routing: Routing = Routing()) -> float:  # noqa: B008 - frozen
        return expert_choice.params_per_flop(ops, layout, batch, routing)

    assert found(layout=Layout(1, 1, 1, 8)) > found(batch=1e6) > found(batch=256.0) > found() > found(batch=1.0)
    skewed = [found(routing=Routing(z, "contiguous")) for z in (0.0, 0.3, 0.6, 1.0, 2.0)]
    assert skewed == sorted(skewed, reverse=True)
    assert found(routing=Routing(1.0, "contiguous")) <= found(routing=Routing(1.0, "balanced")) * (1 + 1e-9)
    # the busiest device can take no more than everything
    whole, routed = count(ops.model), sum(op.count * op.top_k * op.weights for op in ops.experts)
    least = whole.total / (2 * (whole.active_without_embedding + 7 * routed))
    assert found(batch=1.0, routing=Routing(3.0, "contiguous")) >= least


def test_two_dies_of_a_card_are_two_ranks_of_one_replica():
    ops = operators(load_model("mixtral-8x7b"))
    # experts over both dies of one card see its own tokens, over four cards those of four replicas
    one = expert_choice.imbalance(ops, Layout(1, 1, 2, 1), 8.0, Routing(), dies=2)
    assert one["imbalance"] == pytest.approx(
        expert_choice.imbalance(ops, Layout(2, 1, 2, 1), 8.0, Routing())["imbalance"]
    )
    four = expert_choice.imbalance(ops, Layout(1, 1, 8, 4), 8.0, Routing(), dies=2)
    assert four["imbalance"] == pytest.approx(
        expert_choice.imbalance(ops, Layout(2, 1, 8, 4), 8.0, Routing())["imbalance"]
    )


@pytest.mark.parametrize("model", MIXTURES)
@pytest.mark.parametrize("routing", [Routing(), Routing(0.6, "contiguous"), Routing(1.0, "balanced", 32)])
def test_placements_stand_beside_one_another_and_the_asked_one_is_among_them(model, routing):
    ops = operators(load_model(model))
    found = expert_choice.imbalance(ops, Layout(1, 1, 8, 8), 64.0, routing)
    assert found["imbalance_contiguous"] >= found["imbalance_balanced"] * (1 - 1e-9)
    # spare copies mend what persists; the noise of more and smaller pieces is a little larger
    assert found["imbalance_balanced"] >= found["imbalance_spare"] * 0.98
    same = {"contiguous": "imbalance_contiguous", "balanced": "imbalance_balanced"}[routing.placement]
    assert found["imbalance"] == found["imbalance_spare" if routing.redundant else same]
    assert all(1 <= found[name] <= 8 for name in found if name.startswith("imbalance"))
    assert found["spare_parameters"] == 32 * sum(op.count * op.weights for op in ops.experts)


# where spreading becomes cheaper


@pytest.mark.parametrize("case", CHOICES)
def test_crossovers_are_whole_steps_or_none_for_groups_that_divide_the_experts(case):
    ops, platform, rows = chosen(*case)
    op = max(ops.experts, key=lambda one: one.count)
    assert {(row["experts"], row["top_k"]) for row in rows if row["own"]} == {(op.experts, op.top_k)}
    for row in rows:
        assert row["tokens"] is None or (isinstance(row["tokens"], int) and 1 <= row["tokens"] <= 65_536)
        assert row["experts"] % row["devices"] == 0 and row["top_k"] < row["experts"]
        assert row["devices"] <= platform.network.domain or platform.network.scale_out
    assert len(tokens_of(rows, "experts", "top_k", "devices", "link")) == len(rows)


@pytest.mark.parametrize("case", CHOICES)
def test_fewer_experts_a_token_cross_no_later_where_the_exchange_decides(case):
    # bytes stand as k/n; on more than 4 k devices they are few, and what decides is who streams the most experts
    _, _, rows = chosen(*case)
    found = tokens_of([row for row in rows if row["link"] == 1.0], "experts", "top_k", "devices")
    for (experts, top_k, n), tokens in found.items():
        half = found.get((experts, top_k // 2, n))
        if tokens is not None and n <= 4 * top_k and (experts, top_k // 2, n) in found:
            assert half is not None and half <= tokens


@pytest.mark.parametrize(("case", "experts", "top_k", "devices"), [
    (CHOICES[4], 256, 8, 32), (CHOICES[1], 8, 2, 4), (CHOICES[3], 128, 4, 8), (CHOICES[6], 16, 2, 8),
])  # fmt: skip
def test_half_the_experts_a_token_cross_earlier(case, experts, top_k, devices):
    found = tokens_of([row for row in chosen(*case)[2] if row["link"] == 1.0], "experts", "top_k", "devices")
    half, whole = found[experts, top_k // 2, devices], found[experts, top_k, devices]
    assert half is not None and whole is not None and half < whole


@pytest.mark.parametrize("case", CHOICES)
def test_faster_links_move_the_crossover_to_more_tokens(case):
    _, _, rows = chosen(*case)
    own = tokens_of([row for row in rows if row["own"]], "devices", "link")
    for n in {devices for devices, _ in own}:
        known = [own[n, link] for link in expert_choice.LINKS if own.get((n, link)) is not None]
        assert known == sorted(known)


@pytest.mark.parametrize("case", CHOICES[:3])
def test_a_crossover_is_where_the_costs_of_26_cross(case):
    ops, platform, rows = chosen(*case)
    op = max(ops.experts, key=lambda one: one.count)
    table = platform_table([platform], is_moe=True)
    compute = float(table.grouped_efficiency[0]) / float(table.flop_s[0])
    memory = 1 / float(table.expert_byte_s[0])
    assert compute < 1 / float(table.flop_s[0])
    for row in (row for row in rows if row["link"] == 1.0):
        net, weights = platform.network, op.weights * op.experts // row["experts"]  # as many parameters in all
        layer = par.ExpertLayer(row["experts"], row["top_k"], weights, op.hidden, float(table.bytes_w[0]))
        machine = par.Machine(row["devices"], compute, memory, net.bytes_per_s, net.base_s, net)

        def cheaper(tokens: float, layer: par.ExpertLayer = layer, machine: par.Machine = machine) -> bool:
            spread, divided = (f(layer, machine, tokens) for f in (par.expert_parallel_time, par.tensor_parallel_time))
            return bool(spread < divided)

        if row["tokens"] is None:
            assert not cheaper(65_536)
        else:
            assert all(cheaper(row["tokens"] * 1.5**k) for k in range(12) if row["tokens"] * 1.5**k <= 65_536)
            assert row["tokens"] == 1 or not cheaper(0.97 * row["tokens"] - 1)
