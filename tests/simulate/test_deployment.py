"""A deployment's file says what the fleet is; what breaks the schema, or contradicts itself, is refused by line."""

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.simulate.building import WAKE_S, build
from inferatlas.simulate.deployment import (
    AdaptersAsked,
    Deployment,
    Failures,
    LinkAsked,
    PoolAsked,
    read_deployment,
)
from inferatlas.simulate.fleet import Fault, Scaling
from inferatlas.simulate.lora import adapter_bytes
from inferatlas.workload import make_workload

LOAD = make_workload(isl=512, osl=64, request_rate=4.0)
WHOLE = """\
model: llama-3.1-8b
router: prefix
pools:
  - name: big
    accelerator: nvidia-h100-sxm
    replicas: 4
    tp: 1
    engine: vllm
    weights: fp8
    kv_cache: fp8
    speculate: gamma=4,acceptance=0.7
    scheduler: {profile: vllm-v1, max_num_seqs: 128, max_num_batched_tokens: 2048, kv_blocks: 7463}
    tier: {bytes: 256 GiB, rate: 50 GB/s, latency: 10 us}
    adapters: {slots: 8, rank: 16, count: 100}
    scaling:
      {least: 1, most: 8, signal: kv, up_above: 0.8, down_below: 0.2, every: 15 s, startup: 2 min, cooldown: 1 min}
    price: 2.5
faults: [{at: 100 s, replica: 0, for: 60 s}]
stale: 20 ms
retry: false
queue_limit: 1000
load_penalty: 256
network: 1 ms
workload: {isl: 512, osl: 64, request_rate: 4, arrival: gamma, burstiness: 0.5, requests: 200}
slo: ["ttft:p95<500ms", "itl<50ms"]
"""


def written(tmp_path, text):
    path = tmp_path / "deployment.yaml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path):
    asked = read_deployment(written(tmp_path, WHOLE))
    pool = asked.pools[0]
    assert (asked.models, asked.router, asked.retry, asked.queue_limit) == (("llama-3.1-8b",), "prefix", False, 1000)
    assert (asked.stale_s, asked.network_s, asked.load_penalty) == (0.02, 0.001, 256)
    assert (pool.tier.bytes, pool.tier.bytes_per_s, pool.usd_per_hour) == (256 * 2**30, 50e9, 2.5)
    assert pool.tier.latency_s == pytest.approx(10e-6)
    assert pool.adapters == AdaptersAsked(8, 16, 100)
    assert pool.scaling == Scaling(1, 8, "kv", 0.8, 0.2, 15.0, 120.0, 60.0)
    assert asked.faults == (Fault(100.0, 0, 60.0),)
    assert asked.slo == ("ttft:p95<500ms", "itl<50ms")
    assert asked.traffic.given() == {
        "isl": 512, "osl": 64, "request_rate": 4.0, "arrival": "gamma", "burstiness": 0.5, "requests": 200,
    }  # fmt: skip
    built = build(asked, LOAD, 576)
    made = built.fleet.pools[0]
    assert (made.name, made.replicas, made.scheduler.max_sequences, made.scheduler.step_tokens) == ("big", 4, 128, 2048)
    assert (made.scheduler.kv_blocks, made.law.speculation.gamma) == (7463, 4)
    assert built.asked[0][0].platform.precision.weights == "fp8"


MINIMAL = "model: llama-3.1-8b\npools:\n  - accelerator: h100\n"


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (MINIMAL + "rooter: random\n", 4, "rooter"),
        (MINIMAL + "    replica: 2\n", 4, "pools[1].replica"),
        (MINIMAL + "    tp: 1\n    tp: 2\n", 5, "pools[1].tp"),
        (MINIMAL + "    replicas: -1\n", 4, "pools[1].replicas"),
        (MINIMAL + "    replicas: two\n", 4, "pools[1].replicas"),
        (MINIMAL + "    replicas: 2\n    count: 4\n", 5, "pools[1].count"),
        (MINIMAL + "    role: middle\n", 4, "pools[1].role"),
        (MINIMAL + "    role: prefill\n", 4, "role"),
        (MINIMAL + "    role: decode\n", 4, "role"),
        (MINIMAL + "    models: [qwen2.5-7b]\n", 4, "pools[1].models"),
        (MINIMAL + "    price: cheap\n", 4, "pools[1].price"),
        (MINIMAL + "    price: -1\n", 4, "pools[1].price"),
        (MINIMAL + "    scheduler: vllm-v9\n", 4, "scheduler"),
        (MINIMAL + "    scheduler:\n      profile: vllm-v1\n      max_seqs: 4\n", 6, "max_seqs"),
        (MINIMAL + "    scheduler: {max_num_seqs: 4, max_sequences: 4}\n", 4, "pools[1].scheduler.max_sequences"),
        (MINIMAL + "    tier: {bytes: 1 GiB}\n", 4, "pools[1].tier.rate"),
        (MINIMAL + "    tier: {bytes: 1 GiB, rate: 50}\n", 4, "pools[1].tier.rate"),
        (MINIMAL + "    tier: {bytes: 1 GiB, rate: 0 GB/s}\n", 4, "pools[1].tier.rate"),
        (MINIMAL + "    adapters: {rank: 8}\n", 4, "pools[1].adapters.slots"),
        (MINIMAL + "    scaling: {least: 2, most: 1}\n", 4, "pools[1].scaling"),
        (MINIMAL + "    replicas: 9\n    scaling: {least: 1, most: 4}\n", 4, "pools[1].replicas"),
        (MINIMAL + "    scaling: {least: 1, most: 4, up_above: 2, down_below: 3}\n", 4, "pools[1].scaling"),
        (MINIMAL + "router: nearest\n", 4, "router"),
        (MINIMAL + "link: {rate: 50 GB/s}\n", 4, "link"),
        (MINIMAL + "stale: 5\n", 4, "stale"),
        (MINIMAL + "stale: -5 s\n", 4, "stale"),
        (MINIMAL + "retry: maybe\n", 4, "retry"),
        (MINIMAL + "queue_limit: 0\n", 4, "queue_limit"),
        (MINIMAL + "faults:\n  - {at: 1 s, replica: 0, for: 1 s}\n  - {at: 1 s, replica: 1, for: 1 s}\n", 6,
         "faults.replica"),
        (MINIMAL + "faults: [{at: 1 s, replica: 0}]\n", 4, "faults[1].for"),
        (MINIMAL + "faults: {mtbf: 1 h}\n", 4, "faults.mttr"),
        (MINIMAL + "slo:\n  - ttft<1s\n  - speed<9\n", 6, "slo"),
        (MINIMAL + "workload:\n  isl: 10\n  request_rate: -4\n", 6, "workload.request_rate"),
        (MINIMAL + "workload:\n  isl: 10\n  islet: 4\n", 6, "workload.islet"),
        (MINIMAL + "workload: {shares: [0.5, 0.5]}\n", 4, "workload.shares"),
        (MINIMAL + "workload:\n  trace: t.csv\n  isl: 4\n", 6, "isl"),
        ("model: llama-3.1-8b\nmodels: [a]\npools: [{accelerator: h100}]\n", 2, "model"),
        ("pools: [{accelerator: h100}]\n", None, "model"),
        ("model: llama-3.1-8b\n", None, "pools"),
        ("model: llama-3.1-8b\npools: {accelerator: h100}\n", 2, "pools"),
        ("model: llama-3.1-8b\npools:\n  - replicas: 1\n", 3, "pools[1].accelerator"),
        ("models: [llama-3.1-8b, llama-3.1-8b]\npools: [{accelerator: h100}]\n", 1, "models"),
        ("models: [llama-3.1-8b, qwen2.5-7b]\npools:\n  - {accelerator: h100, models: [qwen2.5-7b]}\n", 3, "pools"),
        ("model: [\n", 2, "deployment"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_by_field_and_line(tmp_path, text, line, field):
    path = written(tmp_path, text)
    with pytest.raises(BadInput) as wrong:
        read_deployment(path)
    assert (wrong.value.line, wrong.value.field, wrong.value.file) == (line, field, str(path))


@pytest.mark.parametrize(
    ("more", "line", "kind"),
    [
        ("    engine: vlm\n", 4, BadInput),
        ("    weights: fp9\n", 4, BadInput),
        ("    tp: 3\n", 4, NoFeasibleAnswer),
        ("    speculate: gamma=4\n", 4, BadInput),
    ],
)
def test_what_the_predictor_refuses_names_the_line_of_the_pool(tmp_path, more, line, kind):
    with pytest.raises(kind) as wrong:
        build(read_deployment(written(tmp_path, MINIMAL + more)), LOAD, 576)
    assert (wrong.value.line, wrong.value.file) == (line, str(tmp_path / "deployment.yaml"))


def test_a_model_that_does_not_fit_names_the_pool_and_what_would(tmp_path):
    text = "model: llama-3.1-8b\npools:\n  - {accelerator: h100}\n"
    text = text.replace("llama-3.1-8b", "llama-3.1-405b").replace("h100}", "h100, tp: 2, pp: 1}")
    with pytest.raises(NoFeasibleAnswer) as wrong:
        build(read_deployment(written(tmp_path, text)), LOAD, 576)
    assert wrong.value.code == "memory"
    assert wrong.value.line == 3
    assert wrong.value.least_count > 2


def test_an_engine_that_does_not_run_there_names_its_line(tmp_path):
    text = MINIMAL.replace("h100", "mi300x") + "    tp: 1\n    engine: tensorrt-llm\n"
    with pytest.raises(NoFeasibleAnswer) as wrong:
        build(read_deployment(written(tmp_path, text)), LOAD, 576)
    assert (wrong.value.line, wrong.value.code) == (5, "engine")


def test_names_that_are_unknown_are_found_in_the_file(tmp_path):
    for text, line in ((MINIMAL.replace("h100", "h10"), 3), (MINIMAL.replace("3.1-8b", "9-8b"), 1)):
        with pytest.raises(BadInput) as wrong:
            build(read_deployment(written(tmp_path, text)), LOAD, 576)
        assert wrong.value.line == line


def test_replicas_are_those_of_the_file():
    built = build(Deployment(("llama-3.1-8b",), (PoolAsked("h100", replicas=3, tp=2),)), LOAD, 576)
    assert (built.fleet.pools[0].replicas, built.fleet.accelerators) == (3, 6)
    counted = build(Deployment(("llama-3.1-8b",), (PoolAsked("h100", count=4, tp=2),)), LOAD, 576)
    assert (counted.fleet.pools[0].replicas, counted.fleet.accelerators) == (2, 4)


def test_experts_are_divided_among_whole_groups_of_replicas():
    pool = PoolAsked("h200", tp=1, ep=8)
    built = build(Deployment(("deepseek-r1",), (pool,)), LOAD, 576)
    assert (built.fleet.pools[0].replicas, built.fleet.accelerators) == (8, 8)
    with pytest.raises(BadInput, match="share their experts"):
        build(Deployment(("deepseek-r1",), (PoolAsked("h200", replicas=12, tp=1, ep=8),)), LOAD, 576)


def test_a_link_is_that_of_the_slower_network_ports_unless_it_is_given():
    pools = (PoolAsked("h100", role="prefill", replicas=3), PoolAsked("h200", role="decode", replicas=2))
    link = build(Deployment(("llama-3.1-8b",), pools), LOAD, 576).fleet.link
    assert link.bytes_per_s == pytest.approx(2 * link.lane_bytes_per_s)
    assert (link.layers, link.first_token) == (32, "decode")
    given = LinkAsked(bytes_per_s=1e9, latency_s=1e-3, overlap=False, first_token="prefill")
    link = build(Deployment(("llama-3.1-8b",), pools, link=given), LOAD, 576).fleet.link
    assert (link.bytes_per_s, link.lane_bytes_per_s, link.latency_s) == (1e9, 1e9, 1e-3)
    assert (link.layers, link.first_token) == (0, "prefill")


def test_several_models_take_their_weights_over_the_host_link_to_change():
    models = ("llama-3.1-8b", "qwen2.5-7b")
    pools = (PoolAsked("h100"), PoolAsked("l40s", models=("qwen2.5-7b",)))
    built = build(Deployment(models, pools), LOAD, 576)
    both, one = built.fleet.pools
    assert one.laws[0] is None
    assert one.model_load_s == 0
    expected = max(law.weight_bytes / law.host_bytes_per_s for law in both.laws) + WAKE_S
    assert both.model_load_s == pytest.approx(expected)
    assert any("wake up" in note for note in built.notes)


def test_adapters_take_room_from_the_cache_and_time_from_their_bytes():
    plain = build(Deployment(("llama-3.1-8b",), (PoolAsked("h100"),)), LOAD, 576).fleet.pools[0]
    given = AdaptersAsked(slots=8, rank=16, count=50)
    with_some = build(Deployment(("llama-3.1-8b",), (PoolAsked("h100", adapters=given),)), LOAD, 576).fleet.pools[0]
    size = adapter_bytes(load_model("llama-3.1-8b"), 16)
    assert size == 2 * 41_943_040  # 16 x (in + out) of seven projections, 32 times
    assert (plain.law.blocks - with_some.law.blocks) * plain.law.block_bytes == pytest.approx(8 * size, rel=0.01)
    assert with_some.adapters.load_s == pytest.approx(size / plain.law.host_bytes_per_s)
    own = AdaptersAsked(slots=8, load_s=1.0, step_s=0.5)
    said = build(Deployment(("llama-3.1-8b",), (PoolAsked("h100", adapters=own),)), LOAD, 576).fleet.pools[0].adapters
    assert (said.load_s, said.step_s) == (1.0, 0.5)


def test_all_stages_of_a_replica_fail_together():
    pools = (PoolAsked("h100", replicas=2, tp=1, pp=2),)
    built = build(Deployment(("llama-3.1-8b",), pools, faults=(Fault(5.0, 1, 9.0),)), LOAD, 576)
    assert built.fleet.faults == (Fault(5.0, 2, 9.0), Fault(5.0, 3, 9.0))


def test_random_failures_follow_the_seed_and_their_mean():
    asked = Deployment(("llama-3.1-8b",), (PoolAsked("h100", replicas=4),), faults=Failures(1000.0, 100.0))
    first, same, other = (build(asked, LOAD, 576, seed=s, horizon_s=1e6).fleet.faults for s in (1, 1, 2))
    assert first == same != other
    assert len(first) == pytest.approx(4e6 / 1100, rel=0.1)
    assert np.mean([fault.for_s for fault in first]) == pytest.approx(100, rel=0.1)
    with pytest.raises(BadInput, match="failures in"):
        build(asked, LOAD, 576, horizon_s=1e12)


def test_files_are_looked_for_beside_the_one_that_names_them(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\npolicy: static\n")
    asked = read_deployment(written(tmp_path, MINIMAL + "    scheduler: mine.yaml\n"))
    assert build(asked, LOAD, 576).fleet.pools[0].scheduler.policy == "static"


def test_settings_alone_change_the_scheduler_of_the_engine(tmp_path):
    text = MINIMAL + "    engine: sglang\n    scheduler: {max_running_requests: 32}\n"
    scheduler = build(read_deployment(written(tmp_path, text)), LOAD, 576).fleet.pools[0].scheduler
    assert (scheduler.policy, scheduler.prefix_cache, scheduler.max_sequences) == ("prefill-first", "tokens", 32)
