"""From a trace to a decision: the whole path on small traces, each step checked by asking for it on its own."""

import json
import re
import shlex
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import inferatlas
from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.catalogue.models import load_model
from inferatlas.cli.main import run
from inferatlas.decide.profiles.mix import ITL_S, KINDS, LOADS, TTFT_S
from inferatlas.decide.profiles.profile import Profile, profile
from inferatlas.decide.regimes.fitness import fitness
from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled, UnknownName
from inferatlas.predict.answer import Answer
from inferatlas.workload.traces import read_trace

NOT_MODELLED = str(Path(__file__).parents[2] / "not_modelled" / "config.json")  # layers no model of ours describes

SHARED = Path(__file__).parents[4] / "shared" / "traces"
MODEL, MIXTURE, GPU = "llama-3.1-8b", "qwen3-30b-a3b", "nvidia-h100-sxm"
DIGEST = {"compute", "memory_bandwidth", "interconnect", "memory_capacity", "latency_variance"}
Rows = Sequence[tuple[float, int, int]]


def written(folder: Path, rows: Rows, models: Sequence[str] = (), name: str = "requests.csv") -> Path:
    head = "arrival_s,input_tokens,output_tokens" + (",model" if models else "")
    lines = [f"{t!r},{isl},{osl}" + (f",{models[i]}" if models else "") for i, (t, isl, osl) in enumerate(rows)]
    file = folder / name
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


def every(seconds: float, isl: int, osl: int, n: int = 40) -> Rows:
    """Requests all alike, a fixed time apart: a workload without any spread, at a rate of 1/seconds."""
    return [(i * seconds, isl, osl) for i in range(n)]


def mixed(n: int = 240, rate: float = 2.0, seed: int = 7) -> Rows:
    """Requests at random, of chat lengths; every eighth is an embedding, every fortieth long."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / rate, n)).round(4)
    inputs, outputs = random.integers(50, 2000, n), random.integers(2, 300, n)
    outputs[::8] = 1
    inputs[5::40] = 40_000
    return list(zip(times.tolist(), inputs.tolist(), outputs.tolist(), strict=True))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("trace"), mixed())


@pytest.fixture(scope="module")
def everything(trace: Path) -> Profile:
    """All accelerators, no target."""
    return profile(MODEL, trace)


@pytest.fixture(scope="module")
def one(trace: Path) -> Profile:
    """One accelerator, with targets."""
    return profile(MODEL, trace, accelerator="h100", slo=["ttft:p95<2s", "itl<60ms"])


def asked(found: Profile, **more: Any) -> Answer:
    """The deployment of a profile, asked on its own."""
    it, load = found.deployment, found.inputs["workload"]
    lengths = {"isl": round(load["input_tokens"]), "osl": round(load["output_tokens"])}
    return inferatlas.predict(
        found.inputs["model"], it.accelerator, weights=it.weights, engine=it.engine,
        **({"request_rate": load["request_rate"]} | lengths | it.layout | more),
    )  # fmt: skip


# the whole path


@pytest.mark.parametrize("which", ["everything", "one"])
def test_every_step_of_the_path_is_there(which, request: pytest.FixtureRequest):
    found: Profile = request.getfixturevalue(which)
    assert found.inputs["model"] == MODEL and found.trace["requests"] == 240
    assert set(found.regimes) == {*LOADS, *KINDS}
    assert sum(found.regimes[name] for name in LOADS) == pytest.approx(1.0)
    assert found.regimes["embedding"] == pytest.approx(30 / 240)
    assert found.regimes["long-context"] == pytest.approx(6 / 240)
    assert found.constraint in DIGEST | {"overhead"}
    assert found.architecture_classes and found.deployment.count >= 1
    assert found.software["answered"] == found.deployment.engine
    assert len(found.signatures) == 3 and len(found.experiments) == 3
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["constraint"] == found.constraint


def test_resources_are_shares_of_what_they_are_of(everything: Profile, one: Profile):
    for found in (everything, one):
        rows = {row["name"]: row for row in found.constraints}
        assert set(rows) == DIGEST | {"overhead"}
        of_time = [row["value"] for row in found.constraints if row["of"] == "the time of a request"]
        assert len(of_time) == 4 and sum(of_time) == pytest.approx(1.0)
        assert all(0 <= row["value"] <= 1 for name, row in rows.items() if name != "latency_variance")
        bound = [row["binds_on"] for row in found.constraints if row["binds_on"] is not None]
        assert sum(bound) == found.constraints[0]["accelerators"]
        if found.constraint not in ("latency_variance", "memory_capacity"):
            assert rows[found.constraint]["value"] == max(of_time)
    assert one.constraints[0]["accelerators"] == 1 < everything.constraints[0]["accelerators"]


def test_memory_taken_is_that_of_the_prediction(one: Profile):
    held = asked(one).memory
    taken = held["weights_bytes"] + held["kv_bytes"] + held["activations_bytes"] + held["reserve_bytes"]
    row = next(row for row in one.constraints if row["name"] == "memory_capacity")
    assert row["value"] == pytest.approx(taken / held["usable_bytes"], rel=0.02)  # lengths are asked in whole tokens


def test_the_trace_is_told_with_its_percentiles(trace: Path, one: Profile):
    read = read_trace(trace)
    assert one.trace["request_rate"] == pytest.approx(239 / read.span_s)
    for name in ("input_tokens", "output_tokens"):
        values = getattr(read, name)
        assert one.trace[name]["mean"] == pytest.approx(values.mean())
        assert one.trace[name]["p99"] == pytest.approx(np.percentile(values, 99))
        assert one.trace[name]["max"] == values.max()
    assert one.trace["beyond_context"] == 0.0
    short = profile("llama-3-8b", trace, accelerator=GPU)
    assert short.trace["beyond_context"] == pytest.approx(6 / 240)


def test_without_targets_the_pace_is_mlperf_s_and_targets_change_it(trace: Path, one: Profile):
    default = profile(MODEL, trace, accelerator=GPU)
    same = profile(MODEL, trace, accelerator=GPU, slo=[f"ttft<{TTFT_S}s", f"itl<{ITL_S}s"])
    assert default.regimes == same.regimes != one.regimes
    assert any("450 ms" in text and "40 ms" in text for text in default.assumptions)
    assert any("2,000 ms" in text and "60 ms" in text for text in one.assumptions)


def test_multi_model_traces_say_so(tmp_path: Path):
    rows = every(1.0, 400, 50)
    file = written(tmp_path, rows, ["a", "b"] * 20)
    found = profile(MODEL, file, accelerator=GPU)
    assert found.regimes["multi-model"] == 1.0
    assert all("multi-model" in one["grades"] for one in found.architecture_classes)
    assert profile(MODEL, written(tmp_path, rows), accelerator=GPU).regimes["multi-model"] == 0.0


# the deployment

EXACT = [  # lengths without spread, so that `predict` can be asked the same question
    (MODEL, "nvidia-l4", 2.0, (1000, 100), None),
    (MODEL, "nvidia-h100-sxm", 0.02, (1000, 100), None),
    (MODEL, "amd-mi250", 0.01, (1500, 200), None),
    ("llama-3.3-70b", "nvidia-h100-sxm", 0.25, (1000, 200), None),
    ("llama-3.3-70b", "nvidia-h100-sxm", 0.25, (1000, 200), "itl<20ms"),
    (MODEL, "nvidia-l4", 0.5, (1000, 100), "latency<5s"),
]


def divisors(n: int) -> list[int]:
    return [i for i in range(1, n + 1) if n % i == 0]


def serves(answer: Answer, slo: str | None) -> bool:
    if not answer.fits:
        return False
    if slo is None:
        return True
    name, bound = slo.split("<")
    value = answer.metrics[f"{name}_s"]  # as likely as not: the predicted value is the median of its error
    assert value is not None
    return value.value < (float(bound[:-2]) / 1e3 if bound.endswith("ms") else float(bound[:-1]))


@pytest.mark.parametrize(("model", "part", "gap", "lengths", "slo"), EXACT)
def test_the_deployment_serves_the_rate_and_no_smaller_one_does(tmp_path: Path, model, part, gap, lengths, slo):
    file = written(tmp_path, every(gap, *lengths))
    found = profile(model, file, accelerator=part, slo=[slo] if slo else [])
    it = found.deployment
    assert it.accelerator == part
    assert it.count == it.layout["tp"] * it.layout["pp"] * it.layout["dp"]
    answer = asked(found)
    assert serves(answer, slo)
    latency = it.metrics["latency_s"]
    assert latency and answer.metrics["latency_s"]
    assert latency.value == pytest.approx(answer.metrics["latency_s"].value, rel=1e-3)
    assert it.bound == answer.bound
    layers = sum(group.count for group in load_model(model).layers)
    for count in range(1, it.count):
        for tp, pp in product(divisors(count), repeat=2):
            even = layers % pp == 0 or pp & (pp - 1) == 0  # the advisor tries no stages of 27, 27 and 26 layers
            if count % (tp * pp) == 0 and tp <= 8 and even:
                smaller = asked(found, tp=tp, pp=pp, ep=1, dp=count // (tp * pp))
                assert not serves(smaller, slo), smaller.inputs["layout"]


def test_a_higher_rate_never_needs_fewer(tmp_path: Path):
    counts = [
        profile(MODEL, written(tmp_path, every(gap, 1000, 100)), accelerator="nvidia-l4").deployment.count
        for gap in (10.0, 1.0, 0.3, 0.1)
    ]
    assert counts == sorted(counts) and counts[0] == 1 < counts[-1]


@pytest.mark.parametrize(("name", "part"), [("h100", GPU), ("groq-lpu-v1", "groq-lpu-v1"), ("mi300x", "amd-mi300x")])
def test_the_accelerator_given_is_the_one_looked_at(tmp_path: Path, name, part):
    found = profile(MODEL, written(tmp_path, every(5.0, 500, 50)), accelerator=name, max_count=200)
    assert found.deployment.accelerator == part
    assert found.constraints[0]["accelerators"] == 1
    assert len(found.architecture_classes) > 1  # the classes are still those of all


def test_engine_weights_and_count_bound_the_search(tmp_path: Path):
    file = written(tmp_path, every(0.05, 800, 100))
    default = profile(MODEL, file, accelerator=GPU)
    assert default.deployment.weights == "bf16"  # the checkpoint's: narrower ones change the answers
    found = profile(MODEL, file, accelerator=GPU, engine="tensorrt-llm", weights=("fp8",))
    assert (found.deployment.engine, found.deployment.weights) == ("tensorrt-llm", "fp8")
    assert found.deployment.command and found.deployment.command.startswith("trtllm-serve")
    assert profile("deepseek-v3", file, accelerator="h200").deployment.weights == "fp8"


def test_a_cluster_and_an_accelerator_of_one_s_own(tmp_path: Path):
    file = written(tmp_path, every(1.0, 500, 50))
    cluster = tmp_path / "my cluster.yaml"
    cluster.write_text(yaml.safe_dump({
        "id": "mine", "accelerator": "h100", "nodes": 1, "accelerators_per_node": 2, "price": "1 USD/h",
        "source": "an offer",
    }))  # fmt: skip
    found = profile(MODEL, file, accelerator=str(cluster))
    usd = found.deployment.metrics["usd_per_million_tokens"]
    assert usd and usd.value == pytest.approx(1e6 / (50 * 1.0 * 3600))
    with pytest.raises(NoFeasibleAnswer):
        profile(MODEL, written(tmp_path, every(0.003, 500, 50)), accelerator=str(cluster))
    text = next(Path(inferatlas.__file__).parent.rglob("nvidia-l4.yaml")).read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("id: nvidia-l4", "id: my-part", 1), encoding="utf-8")
    found = profile(MODEL, file, accelerator=str(own))
    assert found.deployment.accelerator == "my-part" and found.software["level"] == "official"
    assert shlex.split(found.experiments[2]["command"])[5] == str(own)


# the constraint


def test_a_percentile_and_a_latency_that_varies_make_variance_the_constraint(trace: Path):
    kinds = {
        slo: profile(MODEL, trace, accelerator="nvidia-l4", slo=[slo])
        for slo in ("latency:p99<10min", "latency:p50<10min", "latency<10min", "ttft:p90<10min")
    }
    cov = {slo: next(r["value"] for r in f.constraints if r["name"] == "latency_variance") for slo, f in kinds.items()}
    assert len(set(cov.values())) == 1 and cov["latency<10min"] > 0.10
    assert kinds["latency:p99<10min"].constraint == kinds["ttft:p90<10min"].constraint == "latency_variance"
    for slo in ("latency:p50<10min", "latency<10min"):
        assert kinds[slo].constraint == kinds[slo].deployment.bound != "latency_variance"


def test_a_percentile_alone_does_not(tmp_path: Path):
    # alone in a wafer nothing varies
    file = written(tmp_path, every(600.0, 500, 100))
    found = profile(MODEL, file, accelerator="cerebras-wse-3", slo=["latency:p99<10min"])
    assert next(r["value"] for r in found.constraints if r["name"] == "latency_variance") < 0.10
    assert found.constraint == found.deployment.bound


@pytest.mark.parametrize(
    ("part", "lengths", "gap", "constraint"),
    [
        (GPU, (200, 400), 10.0, "memory_bandwidth"),  # one stream reads the weights for every token
        (GPU, (6000, 2), 0.5, "compute"),  # reading prompts
        ("groq-lpu-v1", (200, 400), 10.0, "overhead"),
    ],
)
def test_what_must_bind_does(tmp_path: Path, part, lengths, gap, constraint):
    file = written(tmp_path, every(gap, *lengths))
    assert profile(MODEL, file, accelerator=part, max_count=200).constraint == constraint


# architecture classes


def test_classes_stand_in_the_order_of_their_scores(everything: Profile):
    scores = [one["score"] for one in everything.architecture_classes]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert len({one["name"] for one in everything.architecture_classes}) == len(scores) > 3
    for one in everything.architecture_classes:
        assert one["accelerator"] in accelerator_ids() and one["label"] in ("predicted", "extrapolated")
        assert set(one["grades"]) == {name for name, share in everything.regimes.items() if share > 0}


def test_a_score_is_that_of_each_regime_by_its_share(everything: Profile):
    shares = {name: share for name, share in everything.regimes.items() if share > 0}
    graded = fitness(MODEL, regimes=list(shares))
    for one in everything.architecture_classes[:3]:
        cells = [next(c for c in r.cells if c.accelerator == one["accelerator"]) for r in graded.regimes]
        weighted = sum((c.score or 0) * shares[r.regime.name] for c, r in zip(cells, graded.regimes, strict=True))
        assert one["score"] == pytest.approx(weighted / sum(shares.values()))
        others = {c.accelerator for c in graded.regimes[0].cells if c.architectural_class == one["name"]}
        assert one["accelerator"] in others


def test_without_a_name_the_best_of_those_that_serve_is_looked_at(everything: Profile):
    serving = [one for one in everything.architecture_classes if one["least_count"] is not None]
    # the best of the best class that serves, unless its best accelerator does not and another of it does
    assert everything.deployment.accelerator == serving[0]["accelerator"]
    assert everything.deployment.count == serving[0]["least_count"]


def test_where_no_accelerator_can_be_graded_there_are_no_classes_and_the_reason_is_told(tmp_path: Path):
    # requests that just fit the model, in a regime whose own do not
    file = written(tmp_path, every(60.0, 32_000, 768))
    found = profile("mistral-7b", file, accelerator=GPU)
    assert found.regimes["long-context"] == 1.0 and found.architecture_classes == []
    assert any("no accelerator is graded for long-context" in text for text in found.assumptions)


# experiments


def executed(capsys: pytest.CaptureFixture[str], found: Profile) -> list[str]:
    lines = []
    for experiment in found.experiments:
        words = shlex.split(experiment["command"])
        if words[1] == "variance":
            said = dict(zip(words[2::2], words[3::2], strict=True))
            assert (said["--engine"], said["--weights"]) == (found.deployment.engine, found.deployment.weights)
            assert {name: int(said[f"--{name}"]) for name in found.deployment.layout} == found.deployment.layout
        assert words[0] == "inferatlas" and experiment["question"].endswith("?")
        assert run(words[1:]) == 0, (experiment, capsys.readouterr().err)
        lines.append(capsys.readouterr().out)
    return lines


def test_experiments_are_the_digest_s_and_run(capsys: pytest.CaptureFixture[str], everything: Profile):
    first, second, third = executed(capsys, everything)
    assert everything.deployment.accelerator in second + third and "single" in first
    assert [one["command"].split()[1] for one in everything.experiments] == ["regimes", "crossover", "variance"]


ASKED: list[tuple[str, Rows, dict[str, Any]]] = [
    (MIXTURE, every(0.02, 300, 40), {"accelerator": "h100"}),
    (MODEL, every(0.005, 338, 60), {"accelerator": GPU, "engine": "tensorrt-llm", "weights": ("fp8",)}),
    (MODEL, every(0.05, 512, 1), {"accelerator": "h200"}),
    ("meta-llama/Llama-3.1-8B-Instruct", every(2.0, 10, 3), {"accelerator": "groq-lpu-v1", "max_count": 300}),
]


@pytest.mark.parametrize(("model", "rows", "limits"), ASKED)
def test_experiments_run_as_written_whatever_was_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model, rows, limits
):
    found = profile(model, written(tmp_path, rows), **limits)
    found.experiments.pop(0)  # the same for all
    executed(capsys, found)


def test_experiments_on_files_of_one_s_own_run(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    cluster, model = tmp_path / "my cluster.yaml", tmp_path / "config.json"
    cluster.write_text("id: mine\naccelerator: h100\nnodes: 1\naccelerators_per_node: 2\nsource: an offer\n")
    model.write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32_000,
        "max_position_embeddings": 8192, "torch_dtype": "bfloat16", "head_dim": 64, "tie_word_embeddings": True,
    }))  # fmt: skip
    found = profile(str(model), written(tmp_path, every(1.0, 500, 50)), accelerator=str(cluster))
    found.experiments.pop(0)
    executed(capsys, found)


# what cannot be


def refusal(kind: type[Exception], *args: Any, **more: Any) -> Any:
    with pytest.raises(kind) as caught:
        profile(*args, **more)
    return caught.value


def test_names_that_do_not_exist(trace: Path):
    assert refusal(UnknownName, MODEL, trace, accelerator="h1000").field == "accelerator"
    assert refusal(UnknownName, "llama-9", trace).field == "model"
    assert refusal(UnknownName, MODEL, trace, accelerator=GPU, engine="vllmm").field == "engine"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("arrival_s,isl,osl\n0,10,5\n", 2, "one request"),
        ("arrival_s,isl,osl\n0,10,5\n1,ten,5\n", 3, "ten"),
        ("arrival_s,isl,osl\n3,10,5\n3,10,5\n", 3, "one instant"),
    ],
)
def test_traces_that_cannot_be_read_are_refused_by_line(tmp_path: Path, text, line, message):
    file = tmp_path / "requests.csv"
    file.write_text(text)
    error = refusal(BadInput, MODEL, file)
    assert (error.file, error.line) == (str(file), line) and message in str(error)


def test_a_trace_that_is_not_there(tmp_path: Path):
    assert refusal(BadInput, MODEL, tmp_path / "none.csv").file == str(tmp_path / "none.csv")


@pytest.mark.parametrize("slo", ["ttft<fast", "ttft<500", "speed<1s", "ttft:p42<1s", "ttft>1s"])
def test_targets_that_are_none(trace: Path, slo):
    assert str(refusal(BadInput, MODEL, trace, slo=[slo]).field).startswith("slo")


def test_gaps_of_answers_of_one_token_have_no_target(tmp_path: Path):
    error = refusal(BadInput, MODEL, written(tmp_path, every(1.0, 500, 1)), accelerator=GPU, slo=["itl<20ms"])
    assert error.field == "slo" and "ttft" in error.allowed


def test_a_model_whose_context_is_shorter_than_all_requests(tmp_path: Path):
    file = written(tmp_path, every(1.0, 3000, 2000))
    error = refusal(BadInput, "llama-2-7b", file)
    assert (error.field, error.file) == ("trace", str(file)) and "4,096" in error.allowed


def test_requests_that_an_engine_would_refuse_count_nowhere_and_that_is_said(tmp_path: Path):
    rows = every(1.0, 800, 100)
    longer = [(at + 0.5, 5000, 100) for at, _, _ in rows[:: len(rows) // 10]]
    (tmp_path / "some").mkdir()
    found = profile("llama-2-7b", written(tmp_path / "some", sorted([*rows, *longer])), accelerator=GPU)
    plain = profile("llama-2-7b", written(tmp_path, rows), accelerator=GPU)
    assert found.trace["requests"] == len(rows) and found.regimes == plain.regimes
    assert found.trace["beyond_context"] == pytest.approx(len(longer) / (len(rows) + len(longer)))
    assert found.deployment.metrics == plain.deployment.metrics
    assert any(f"{len(longer)} of {len(rows) + len(longer)} requests exceed" in line for line in found.assumptions)


def test_the_start_command_admits_the_longest_request(tmp_path: Path):
    rows = [*every(2.0, 800, 100)[:-1], (1000.0, 60_000, 100)]
    command = profile(MODEL, written(tmp_path, rows), accelerator=GPU).deployment.command
    assert command is not None
    (length,) = re.findall(r"--max-model-len (\d+)", command)
    assert 60_100 <= int(length) <= 60_100 + 256


def test_a_model_without_a_performance_model(trace: Path):
    refusal(NotModelled, NOT_MODELLED, trace, accelerator=GPU)


@pytest.mark.parametrize("count", [0, 2000])
def test_counts_out_of_range(trace: Path, count):
    assert refusal(BadInput, MODEL, trace, accelerator=GPU, max_count=count).field == "max_count"


CANNOT: list[tuple[str, Rows, dict[str, Any], str, str]] = [
    (MODEL, every(0.002, 1000, 500), {}, "rate_beyond_capacity", "max_count"),
    ("llama-3.3-70b", every(10.0, 1000, 100), {}, "memory", "max_count"),
    (MODEL, every(10.0, 1000, 100), {"slo": ["ttft:p99<1ms"]}, "target", "slo"),
    (MODEL, every(10.0, 1000, 100), {"accelerator": "cerebras-wse-3", "engine": "sglang"}, "engine", "engine"),
    (MODEL, every(10.0, 1000, 100), {"accelerator": "amd-mi300x", "weights": ("nvfp4",)}, "precision", "weights"),
]


@pytest.mark.parametrize(("model", "rows", "limits", "code", "field"), CANNOT)
def test_where_nothing_serves_the_reason_is_that_of_what_came_nearest(tmp_path: Path, model, rows, limits, code, field):
    file = written(tmp_path, rows)
    error = refusal(NoFeasibleAnswer, model, file, **({"accelerator": GPU, "max_count": 1} | limits))
    assert (error.exit_code, error.code, error.field) == (3, code, field)
    assert limits.get("accelerator", GPU) in str(error)
    if code == "memory":  # two of 80 GB hold 141 GB of weights
        assert error.least_count == 2


def test_a_rate_that_no_accelerator_serves_alone(tmp_path: Path):
    file = written(tmp_path, every(1e-6, 1000, 500, n=20))
    error = refusal(NoFeasibleAnswer, MODEL, file, max_count=1)
    assert error.code == "rate_beyond_capacity" and "other accelerators" in str(error)


# real traces


def shared(name: str) -> Path:
    file = SHARED / name
    if not file.exists():
        pytest.skip(f"the trace {name} is not beside this repository")
    return file


def test_a_chat_service_is_a_moderate_batch():
    found = profile("llama-3.3-70b", shared("az23_conv.csv"), accelerator=GPU)
    assert found.regimes["moderate-batch"] > 0.9
    assert found.trace["requests"] == 19_366


def test_the_long_requests_of_a_trace_are_counted():
    file = shared("mc_conv.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    kept = [(row["input_length"], row["output_length"]) for row in rows if row["output_length"] > 0]
    long = sum(isl + osl >= 32_768 and osl > 1 for isl, osl in kept)
    found = profile(MODEL, file, accelerator=GPU)
    assert found.regimes["long-context"] == pytest.approx(long / len(kept), abs=1e-12)
    assert 0.05 < found.regimes["long-context"] < 0.15
    assert found.trace["arrival_step_s"] == pytest.approx(3.0, rel=1e-5)  # as its README says
    assert any("in steps of 3 s" in words for words in found.assumptions)
    assert any(f"vary by at least {found.trace['interarrival_cv']:.2f}" in words for words in found.assumptions)
    assert "in steps" not in " ".join(profile(MODEL, shared("az23_conv.csv"), accelerator=GPU).assumptions)
