"""Variation of one deployment: the account of its point, measured visits of experts, percentiles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.variability import GROUPS, QUANTILES, Variability, measured_exponent, variability
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.llm.experts import inclusion, zipf_popularity
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.performance.platform import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.variance import CAUSES, layer_cov, variance
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask

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


def written(folder: Path, lines: list[Any], name: str = "visits.txt") -> Path:
    file = folder / name
    file.write_text("\n".join(str(line) for line in lines) + "\n", encoding="utf-8")
    return file


def visits(exponent: float, experts: int = 128, top_k: int = 8) -> list[int]:
    """Visits of a million tokens, in no order of popularity."""
    share = inclusion(zipf_popularity(experts, exponent), top_k)
    return np.random.default_rng(5).permutation((1e6 * share).round().astype(int)).tolist()


OPS = operators(load_model(MIXTURE))


@pytest.mark.parametrize("exponent", [0.3, 0.6, 1.0, 1.5])
def test_an_exponent_is_recovered_from_the_visits_it_makes(tmp_path, exponent):
    assert measured_exponent(written(tmp_path, visits(exponent)), OPS) == pytest.approx(exponent, abs=1e-3)


def test_equal_visits_are_uniform(tmp_path):
    assert measured_exponent(written(tmp_path, [5000] * 128), OPS) == pytest.approx(0, abs=1e-6)
    noisy = np.random.default_rng(1).poisson(10_000, 128).tolist()
    assert measured_exponent(written(tmp_path, noisy), OPS) < 0.03


def test_a_table_has_its_counts_in_the_last_column_under_a_heading(tmp_path):
    counts = visits(0.6)
    rows = ["expert,visits", *(f"{i},{n}" for i, n in enumerate(counts)), "", "  "]
    assert measured_exponent(written(tmp_path, rows), OPS) == pytest.approx(0.6, abs=1e-3)


def test_measured_visits_take_the_place_of_the_exponent_and_leave_the_placement(tmp_path):
    file = written(tmp_path, visits(1.0))
    layout = {"tp": 1, "pp": 1, "ep": 8, "dp": 8}
    measured = asked(MIXTURE, layout=layout, counts=file, routing=Routing(0.0, "contiguous", 8))
    told = asked(MIXTURE, layout=layout, routing=Routing(1.0, "contiguous", 8))
    assert measured.inputs["routing"] == told.inputs["routing"] | {"exponent": pytest.approx(1.0, abs=1e-3)}
    assert measured.cov == pytest.approx(told.cov, rel=1e-2)
    assert any("measured visits" in line for line in measured.assumptions)
    assert any("an assumption" in line for line in told.assumptions)


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([1000] * 127, None, "127 counts"), ([1000] * 256, None, "256 counts"), ([], None, "0 counts"),
        ([1000] * 60 + ["many"] + [1000] * 67, 61, "'many' is not a count"),
        (["visits"] + [1000] * 127 + ["1e"], 129, "'1e' is not a count"),
        ([1000] * 127 + [-1], None, "counts"), ([0] * 128, None, "counts"), ([1000] * 127 + ["nan"], None, "counts"),
        ([1] * 127 + [10**9], None, "visits"),  # an expert is visited once a token at most
    ],
)  # fmt: skip
def test_what_is_no_list_of_visits_is_refused_with_the_file(tmp_path, lines, line, words):
    file = written(tmp_path, lines)
    with pytest.raises(BadInput, match=words) as caught:
        measured_exponent(file, OPS)
    assert (caught.value.field, caught.value.file, caught.value.line) == ("counts", str(file), line)


def test_files_that_cannot_be_read_and_models_without_experts_are_refused(tmp_path):
    binary = tmp_path / "visits.bin"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "none.txt", tmp_path, binary):
        with pytest.raises(BadInput, match="cannot be read") as caught:
            asked(MIXTURE, layout={"tp": 4, "pp": 1}, counts=file)
        assert (caught.value.field, caught.value.file) == ("counts", str(file))
    with pytest.raises(BadInput, match="has no experts") as caught:
        asked(counts=written(tmp_path, [1] * 128))
    assert caught.value.file == str(tmp_path / "visits.txt")


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
    ({"model": "falcon-mamba-7b"}, NotModelled, "model"), ({"part": "h1000"}, UnknownName, None),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(more, error, field):
    with pytest.raises(error) as caught:
        asked(**more)
    assert field is None or caught.value.field == field
