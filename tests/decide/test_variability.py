"""Variation of one deployment: the account of its point, measured visits of experts, percentiles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.variability import GROUPS, QUANTILES, Variability, variability
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.llm.experts import inclusion, zipf_popularity
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.variance import CAUSES, layer_cov, variance
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes

DENSE, MIXTURE, GPU = "llama-3.3-70b", "qwen3-30b-a3b", "nvidia-h100-sxm"
CHAT = {"isl": 1024, "osl": 256, "concurrency": 32}


def asked(model: str = DENSE, part: str = GPU, *, layout: dict[str, Any] | None = None, **more: Any) -> Variability:
    load = more.pop("traffic", CHAT)
    return variability(model, part, **(layout or {"tp": 8, "pp": 1, "dp": 1}), **load, **more)


CASES = [
    (DENSE, GPU, {"tp": 8, "pp": 1, "dp": 1}, CHAT, Routing()),
    (DENSE, GPU, {"tp": 2, "pp": 4, "dp": 1}, {"workload": "chat", "request_rate": 1.0}, Routing()),
    (MIXTURE, GPU, {"tp": 1, "pp": 1, "ep": 8, "dp": 8}, CHAT, Routing(0.6, "contiguous")),
    ("llama-3.1-8b", "cerebras-wse-3", {"tp": 1, "pp": 2, "dp": 1}, CHAT, Routing()),
]


@pytest.mark.parametrize(("model", "part", "layout", "traffic", "routing"), CASES)
def test_figures_are_those_of_the_point(model, part, layout, traffic, routing):
    found = asked(model, part, layout=layout, traffic=traffic, routing=routing)
    ops, platform = operators(load_model(model)), bind(part, model=model)
    table = platform_table([platform], is_moe=bool(ops.experts))
    work = found.inputs["workload"]
    lengths = {name: work[name] for name in ("input_tokens", "output_tokens", "input_cv", "output_cv")}
    flying = {n: work[n] for n in ("concurrency", "request_rate") if work[n] is not None}
    points = make_points(0, **layout, **lengths, **flying)
    answer = predict(ops, table, points, routing=routing)
    spread = variance(ops, table, points, answer, routing)
    assert [row["cause"] for row in found.causes] == list(CAUSES)
    for row in found.causes:
        assert row["latency_cov"] == pytest.approx(np.sqrt(float(spread.latency[row["cause"]][0])))
        assert row["latency_share"] == pytest.approx(float(spread.shares()[row["cause"]][0]))
        if row["cause"] == "lengths":  # no cause of the gap
            assert row["gap_cov"] is row["gap_share"] is None
            continue
        assert row["gap_cov"] == pytest.approx(np.sqrt(float(spread.gap[row["cause"]][0])))
        assert row["gap_share"] == pytest.approx(float(spread.shares("gap")[row["cause"]][0]))
    assert found.cov["latency"] == pytest.approx(float(spread.cov()[0]))
    assert found.cov["latency_with_lengths"] == pytest.approx(float(spread.cov(fixed_lengths=False)[0]))
    assert found.cov["gap"] == pytest.approx(float(spread.cov("gap")[0]))
    assert found.means == pytest.approx({"itl_s": answer.itl_s[0], "latency_s": answer.latency_s[0]})
    assert found.batch == pytest.approx(float(answer.batch[0]))


def test_means_are_those_of_a_single_question():
    found, answer = asked(), ask(DENSE, GPU, tp=8, **CHAT)
    for name, mean in found.means.items():
        interval = answer.metrics[name]
        assert interval is not None and mean == pytest.approx(interval.value, rel=1e-6)
    assert found.label == answer.label
    assert found.inputs["layout"] == answer.inputs["layout"]


@pytest.mark.parametrize(
    "traffic", [CHAT, {"workload": "chat", "concurrency": 32}, {"workload": "code", "request_rate": 0.2}]
)
def test_percentiles_are_ordered_about_the_mean_and_wider_with_lengths(traffic):
    found = asked(traffic=traffic)
    fixed, varied = (found.percentiles[n] for n in ("latency_s", "latency_with_lengths_s"))
    for percentiles in (fixed, varied):
        assert list(percentiles) == list(QUANTILES)
        assert list(percentiles.values()) == sorted(percentiles.values())
        assert percentiles["p50"] <= found.means["latency_s"] <= percentiles["p99"]
    assert found.cov["latency"] <= found.cov["latency_with_lengths"]
    assert varied["p99"] >= fixed["p99"]
    assert (found.cov["latency"] == found.cov["latency_with_lengths"]) == ("workload" not in traffic)


@pytest.mark.parametrize(
    ("part", "layout", "deterministic"),
    [
        (GPU, {"tp": 1}, False), ("google-tpu-v5e", {"tp": 4}, False), ("sambanova-sn40l", {"tp": 8}, False),
        ("groq-lpu-v1", {"pp": 576}, True), ("cerebras-wse-3", {"pp": 2}, True),
    ],
)  # fmt: skip
def test_35_deterministic_is_a_machine_in_which_nothing_varies(part, layout, deterministic):
    found = asked("llama-3.1-8b", part, layout={"tp": 1, "pp": 1, "dp": 1} | layout)
    inside = {row["cause"]: row["gap_cov"] for row in found.causes}
    assert found.deterministic == deterministic
    assert (inside["stragglers"] == 0) == deterministic and inside["routing"] == 0


# routing


def test_routing_is_told_of_mixtures_on_every_number_of_devices():
    found = asked(MIXTURE, layout={"tp": 1, "pp": 1, "ep": 8, "dp": 8}, routing=Routing(0.6))
    (op,) = operators(load_model(MIXTURE)).experts
    assert [row["devices"] for row in found.routing] == [n for n in GROUPS if n <= op.experts]
    for row in found.routing:
        n = row["devices"]
        assert row["tokens"] == pytest.approx(found.batch * n)
        assert row["layer_cov"] == pytest.approx(layer_cov(op, row["tokens"], n, Routing(0.6)))
        assert row["step_cov"] == pytest.approx(row["layer_cov"] / np.sqrt(op.count))
        assert row["high"] == (row["layer_cov"] > 0.10)
        assert n >= row["imbalance_contiguous"] >= row["imbalance_balanced"] * (1 - 1e-9) >= 1 - 1e-9
        assert row["distinct"] <= -(-op.experts // n)
        assert (row["experts"], row["top_k"], row["layers"]) == (op.experts, op.top_k, op.count)
    assert asked().routing == []
    resident = asked("qwen3-30b-a3b", "cerebras-wse-3", layout={"tp": 1, "pp": 4, "dp": 1})
    assert resident.routing == []


# measured visits


def visits(exponent: float, experts: int = 128, top_k: int = 8) -> list[int]:
    """Visits of a million tokens, by rank."""
    return (1e6 * inclusion(zipf_popularity(experts, exponent), top_k)).round().astype(int).tolist()


def written(folder: Path, counts: list[int]) -> Path:
    file = folder / "visits.txt"
    file.write_text("\n".join(map(str, counts)) + "\n", encoding="utf-8")
    return file


SPREAD = {"tp": 1, "pp": 1, "ep": 8, "dp": 8}


@pytest.mark.parametrize("placement", ["contiguous", "balanced"])
def test_visits_that_a_zipf_law_makes_are_as_good_as_the_law(tmp_path, placement):
    measured = asked(MIXTURE, layout=SPREAD, counts=written(tmp_path, visits(1.0)), routing=Routing(0.0, placement))
    told = asked(MIXTURE, layout=SPREAD, routing=Routing(1.0, placement))
    assert measured.cov == pytest.approx(told.cov, rel=1e-2)
    assert measured.means == pytest.approx(told.means, rel=1e-2)
    assert measured.inputs["routing"] == told.inputs["routing"] | {"exponent": 0.0, "measured": True}
    assert any("measured visits" in line for line in measured.assumptions)
    assert any("an assumption" in line for line in told.assumptions)


def test_contiguous_placement_of_measured_visits_is_in_their_order(tmp_path):
    blocks = asked(MIXTURE, layout=SPREAD, counts=written(tmp_path, [10_000] * 64 + [1_000] * 64),
                   routing=Routing(0.0, "contiguous"))  # fmt: skip
    mixed = asked(MIXTURE, layout=SPREAD, counts=written(tmp_path, [10_000, 1_000] * 64),
                  routing=Routing(0.0, "contiguous"))  # fmt: skip
    skewed, even = blocks.routing[2], mixed.routing[2]
    assert skewed["devices"] == even["devices"] == 8
    assert skewed["skew"] == pytest.approx(20 / 11, rel=0.01) and even["skew"] == pytest.approx(1.0)
    assert blocks.means["itl_s"] > mixed.means["itl_s"]
    assert skewed["imbalance_balanced"] == pytest.approx(even["imbalance_balanced"], rel=1e-3)


def test_tokens_of_a_layer_are_those_of_the_replicas_that_share_it():
    whole = asked(MIXTURE, layout={"tp": 4, "pp": 1, "ep": 8, "dp": 2})
    tokens = {row["devices"]: row["tokens"] for row in whole.routing}
    assert tokens[2] == tokens[4] == pytest.approx(whole.batch)
    assert tokens[8] == pytest.approx(2 * whole.batch) and tokens[64] == pytest.approx(16 * whole.batch)


@pytest.mark.parametrize(
    ("routing", "field"),
    [(Routing(0.6), "skew"), (Routing(redundant=4), "redundant"), (Routing(placement="contiguous"), "placement")],
)
def test_a_model_without_experts_has_nothing_to_route(routing, field):
    with pytest.raises(BadInput, match="has no experts") as caught:
        asked(routing=routing)
    assert caught.value.field == field


def test_visits_and_an_exponent_contradict_each_other(tmp_path):
    with pytest.raises(BadInput, match="contradicts") as caught:
        asked(MIXTURE, layout=SPREAD, counts=written(tmp_path, visits(1.0)), routing=Routing(0.5))
    assert caught.value.field == "skew"


# questions


def test_what_is_open_is_chosen_and_said():
    found = asked(layout={"count": 8})
    assert found.inputs["count"] == 8
    assert any("layout not given in full" in line for line in found.assumptions)


def test_a_deployment_that_does_not_fit_says_why_and_what_would_do():
    with pytest.raises(NoFeasibleAnswer) as caught:
        asked(layout={"tp": 1, "pp": 1, "dp": 1})
    assert (caught.value.code, caught.value.exit_code) == ("memory", 3)
    assert caught.value.least_count is not None and caught.value.least_count > 1


def test_a_cluster_has_no_more_than_it_has(cluster):
    own = cluster("h100", nodes=1, per_node=4)
    assert asked("llama-3.1-8b", own, layout={"tp": 4}).inputs["count"] == 4
    with pytest.raises(BadInput, match="more than cluster") as caught:
        asked("llama-3.1-8b", own, layout={"tp": 8})
    assert (caught.value.field, caught.value.allowed) == ("count", "up to 4")
    small = cluster("h100", nodes=1, per_node=1)  # the number was left open: no mistake, but too small a cluster
    for command in (variability, ask):
        with pytest.raises(NoFeasibleAnswer, match="more than cluster") as none:
            command("llama-3.3-70b", small, **CHAT)
        assert none.value.code == "memory"


@pytest.mark.parametrize(("more", "error", "field"), [
    ({"traffic": {"isl": 131_072, "osl": 1, "concurrency": 1}}, BadInput, "isl"),
    ({"traffic": {"isl": 128, "osl": 128}}, BadInput, "concurrency"), ({"layout": {"tp": 0}}, BadInput, "tp"),
    ({"layout": {"count": 3, "tp": 2}}, BadInput, "count"), ({"engine": "vlm"}, UnknownName, None),
    ({"model": NOT_MODELLED}, NotModelled, "model"), ({"part": "h1000"}, UnknownName, None),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(more, error, field):
    with pytest.raises(error) as caught:
        asked(**more)
    assert field is None or caught.value.field == field
