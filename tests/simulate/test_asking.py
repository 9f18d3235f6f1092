"""Questions are requests and a fleet that go together; what cannot be served is refused, with its line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.simulate.asking import one_pool, prepare, question
from inferatlas.simulate.deployment import AdaptersAsked, Deployment, PoolAsked
from inferatlas.simulate.profiles import read_profile
from inferatlas.simulate.room import holds
from inferatlas.simulate.traffic import Traffic


def asked(**more):
    return question("llama-3.1-8b", "h100", **more)


def trace(tmp_path, *rows, head="arrival_s,isl,osl"):
    path = tmp_path / "trace.csv"
    path.write_text("\n".join((head, *rows)) + "\n")
    return str(path)


def test_without_a_load_it_is_the_usual_one_and_says_so():
    found = asked()
    assert len(found.requests) == 1000
    assert found.requests.clients == 16
    assert "load: 1,024 input and 256 output tokens, 16 requests in flight" in found.notes
    assert (found.label, found.load.concurrency) == ("predicted", 16)


def test_the_same_seed_gives_the_same_requests():
    given = {"isl": 512, "osl": 64, "input_cv": 0.5, "output_cv": 0.5, "request_rate": 3.0, "requests": 50}
    first, same, other = asked(seed=1, **given), asked(seed=1, **given), asked(seed=2, **given)
    assert np.array_equal(first.requests.arrival_s, same.requests.arrival_s)
    assert np.array_equal(first.requests.input_tokens, same.requests.input_tokens)
    assert not np.array_equal(first.requests.arrival_s, other.requests.arrival_s)
    assert np.array_equal(first.again(2).requests.arrival_s, other.requests.arrival_s)


def test_replicas_are_dp_or_what_a_count_makes():
    assert asked(dp=3).fleet.pools[0].replicas == 3
    assert asked(count=4, tp=2).fleet.accelerators == 4


def test_conversations_and_arrivals():
    talk = asked(isl=100, osl=20, request_rate=2.0, turns=4, think_s=5.0, requests=200, arrival="gamma", burstiness=0.5)
    assert talk.requests.previous is not None
    assert talk.label == "extrapolated"  # no calibration has seen shared prefixes
    even = asked(isl=100, osl=20, request_rate=2.0, arrival="constant", requests=9)
    assert np.allclose(np.diff(even.requests.arrival_s), 0.5)


def test_parameters_win_over_the_file(tmp_path):
    path = tmp_path / "deployment.yaml"
    path.write_text(
        "model: llama-3.1-8b\npools: [{accelerator: h100}]\nslo: [ttft<1s]\n"
        "workload: {isl: 100, osl: 10, request_rate: 2, requests: 20}\n"
    )
    assert question(config=path).targets[0].bound == 1.0
    found = question(config=path, concurrency=4, osl=30, slo="itl<50ms")
    assert (found.requests.clients, set(found.requests.output_tokens), len(found.requests)) == (4, {30}, 20)
    assert [target.metric for target in found.targets] == ["itl"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"isl": 0, "osl": 1, "concurrency": 1}, "isl"),
        ({"request_rate": -1.0}, "request_rate"),
        ({"request_rate": float("nan")}, "request_rate"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 4, "request_rate": 4.0}, "request_rate"),
        ({"request_rate": 4.0, "arrival": "random"}, "arrival"),
        ({"request_rate": 4.0, "arrival": "gamma"}, "burstiness"),
        ({"concurrency": 4, "arrival": "constant"}, "arrival"),
        ({"request_rate": 4.0, "think_s": 1.0}, "think_s"),
        ({"concurrency": 4, "turns": 3}, "concurrency"),
        ({"request_rate": 4.0, "turns": 0.5}, "turns"),
        ({"fixed_turns": True}, "fixed_turns"),
        ({"requests": 0}, "requests"),
        ({"requests": 1.5}, "requests"),
        ({"speed": 2.0}, "speed"),
        ({"seed": -1}, "seed"),
        ({"until_s": 0.0}, "until_s"),
        ({"router": "nearest"}, "router"),
        ({"scheduler": "vllm"}, "scheduler"),
        ({"adapter_share": 0.5}, "adapter_share"),
        ({"shares": (0.5, 0.5)}, "shares"),
        ({"slo": "speed<1"}, "slo"),
        ({"slo": "ttft<1"}, "slo ttft"),
        ({"workload": "chatting"}, "workload"),
        ({"trace": "/no/such.csv"}, "trace"),
        ({"dp": 0}, "dp"),
        ({"settings": {"max_sequences": 0}}, "max_sequences"),
    ],
)
def test_bad_input_names_its_field(given, field):
    with pytest.raises(BadInput) as wrong:
        asked(**given)
    assert wrong.value.field == field


def test_a_pool_or_a_file_and_not_neither():
    for given, field in (({}, "model"), ({"model": "llama-3.1-8b"}, "accelerator")):
        with pytest.raises(BadInput) as wrong:
            question(**given)
        assert wrong.value.field == field


def test_nothing_of_a_pool_is_given_beside_a_file(tmp_path):
    path = tmp_path / "deployment.yaml"
    path.write_text("model: llama-3.1-8b\npools: [{accelerator: h100}]\n")
    with pytest.raises(BadInput) as wrong:
        question(config=path, tp=2)
    assert wrong.value.field == "tp"


def test_a_trace_is_replayed_with_its_lines(tmp_path):
    path = trace(tmp_path, "1,500,40", "2,600,30", "3,700,50")
    found = asked(trace=path, speed=2.0, requests=2)
    assert found.requests.input_tokens.tolist() == [500, 600]
    assert np.allclose(found.requests.arrival_s, [0.0, 0.5])
    assert found.lines.tolist() == [2, 3]
    with pytest.raises(BadInput) as wrong:
        asked(trace=path, isl=3)
    assert wrong.value.field == "isl"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (("1,500,40", "-2,x,30"), 3),
        (("1,500,40", "2,-600,30"), 3),
        (("1,500,40", "2,600"), 3),
        (("3,700,50", "1,500,40", "2,600,30"), 3),
        (("1,500,40", "3,700,50", "4,100,2", "2,600,30"), 5),
        (("1,500,40", "nan,600,5"), 3),
        ((), None),
        (("1,500,40",), None),
    ],
)
def test_torn_negative_and_empty_traces_are_refused(tmp_path, rows, line):
    path = trace(tmp_path, *rows)
    with pytest.raises(BadInput) as wrong:
        asked(trace=path)
    assert wrong.value.file == path
    assert line is None or wrong.value.line == line


def test_a_request_beyond_the_context_is_named_with_its_line(tmp_path):
    path = trace(tmp_path, "1,500,40", "2,140000,30", "3,600,30")
    with pytest.raises(BadInput, match="request 2 of 3") as wrong:
        asked(trace=path)
    assert (wrong.value.line, wrong.value.file, wrong.value.exit_code) == (3, path, 2)
    assert len(asked(trace=path, longest=131_072).requests) == 2
    with pytest.raises(BadInput):
        asked(isl=140_000, osl=10, concurrency=1)


def test_a_request_that_no_cache_holds_is_named_with_its_line_and_what_would_fit(tmp_path):
    path = trace(tmp_path, "1,500,40", "2,6000,30", "3,600,30")
    with pytest.raises(NoFeasibleAnswer, match="request 2 of 3") as wrong:
        asked(trace=path, settings={"kv_blocks": 100})
    assert (wrong.value.line, wrong.value.file, wrong.value.exit_code) == (3, path, 3)
    assert wrong.value.allowed == "isl + osl up to 1,600"
    found = asked(trace=path, settings={"kv_blocks": 100}, longest=1600)
    assert holds(found.fleet.pools[0], found.fleet.pools[0].law) == 1600


def test_a_pool_of_prompts_needs_no_room_for_answers():
    small = {"kv_blocks": 64}
    pools = tuple(PoolAsked("h100", role=role, name=role) for role in ("prefill", "decode"))
    tight = replace(pools[0], scheduler=read_profile("vllm-v1").changed(small))
    load = Traffic(isl=1000, osl=500, request_rate=1.0, requests=5)
    assert prepare(Deployment(("llama-3.1-8b",), (tight, pools[1])), load).label == "extrapolated"
    tight = replace(pools[1], scheduler=read_profile("vllm-v1").changed(small))
    with pytest.raises(NoFeasibleAnswer, match="decode holds 1,024"):
        prepare(Deployment(("llama-3.1-8b",), (pools[0], tight)), load)


def test_several_models_are_asked_for_by_shares():
    fleet = Deployment(("llama-3.1-8b", "qwen2.5-7b"), (PoolAsked("h100"),))
    found = prepare(fleet, Traffic(isl=100, osl=10, request_rate=1.0, requests=2000, shares=(0.8, 0.2)))
    assert np.mean(found.requests.model == 0) == pytest.approx(0.8, abs=0.03)
    assert found.requests.models == fleet.models
    assert found.label == "extrapolated"
    with pytest.raises(BadInput, match=r"context of qwen2\.5-7b"):
        prepare(fleet, Traffic(isl=100_000, osl=10, request_rate=1.0, requests=20))


def test_adapters_are_asked_for_by_a_power_law():
    fleet = Deployment(("llama-3.1-8b",), (PoolAsked("h100", adapters=AdaptersAsked(4, count=3)),))
    found = prepare(fleet, Traffic(isl=100, osl=10, request_rate=1.0, requests=6000, adapter_share=0.55))
    seen = [float(np.mean(found.requests.adapter == i)) for i in (-1, 0, 1, 2)]
    assert seen == pytest.approx([0.45, 0.3, 0.15, 0.1], abs=0.02)


def test_embeddings_yield_one_token():
    found = question("bge-m3", "h100", isl=512, requests=10)
    assert set(found.requests.output_tokens) == {1}


def test_one_pool_takes_what_predict_takes():
    pool = one_pool("llama-3.1-8b", "h100", tp=2, dp=2, weights="fp8", scheduler="sarathi").pools[0]
    assert (pool.tp, pool.replicas, pool.weights, pool.scheduler.name) == (2, 2, "fp8", "sarathi")


def test_pairs_of_lengths_are_drawn_from_conversations_or_a_trace(tmp_path):
    talks = [
        {"conversations": [{"from": "human", "value": "why " * (50 + i)}, {"from": "gpt", "value": "so " * 80}]}
        for i in range(20)
    ]
    file = tmp_path / "talks.json"
    file.write_text(json.dumps(talks))
    found = asked(dataset=str(file), characters_per_token=4.0, request_rate=2.0, requests=100)
    assert set(found.requests.input_tokens) <= set(range(50, 70))
    assert set(found.requests.output_tokens) == {60}
    assert any("estimate" in note for note in found.notes)
    rows = trace(tmp_path, "1,500,40", "2,600,30", "3,700,50")
    drawn = asked(dataset=rows, request_rate=4.0, requests=50).requests
    pairs = set(zip(drawn.input_tokens.tolist(), drawn.output_tokens.tolist(), strict=True))
    assert pairs <= {(500, 40), (600, 30), (700, 50)}
    for more, field in (({}, "concurrency"), ({"isl": 5, "request_rate": 1.0}, "isl")):
        with pytest.raises(BadInput) as wrong:
            asked(dataset=rows, **more)
        assert wrong.value.field == field
