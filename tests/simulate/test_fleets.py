"""What happens to fleets: failures, scaling, models taking turns, adapters, slower memory, drafts, uneven experts."""

from dataclasses import replace

import numpy as np
import pytest
from cases import LONGEST, plain_law, schedulers, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.predict.performance.speculation import Speculation, expected_tokens
from inferatlas.predict.question import asked
from inferatlas.simulate.drafting import verifications
from inferatlas.simulate.fleet import Adapters, Fault, Fleet, Link, Pool, Scaling, Scheduler, Tier
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.kernel.machine import loop
from inferatlas.simulate.running import Run, run, world
from inferatlas.simulate.tabulating import law_of
from inferatlas.workload import assign, make_requests, make_workload
from inferatlas.workload.chains import Chains
from inferatlas.workload.requests import Requests

KINDS = ("open", "turns", "clients")
MANY = 50_000  # events: many times what forty small requests take


def steady(n: int = 400, rate: float = 8.0, *, isl: int = 60, osl: int = 30, seed: int = 3) -> Requests:
    return make_requests(make_workload(isl=isl, osl=osl, input_cv=0.5, output_cv=0.5, request_rate=rate), n, seed)


def law(blocks: int = 400, most: int = 12):
    return plain_law(4, blocks, most)


def clean(w: k.World) -> None:
    """Nothing is in use any more."""
    rep = w.rep
    for name in ("private", "shared", "running", "waiting", "door", "joins", "joined", "loads", "parts", "fins", "b",
                 "outstanding", "counted", "adapters"):  # fmt: skip
        assert not rep[name].any(), name
    assert not w.phase.any()
    assert (w.unit["refs"] == 0).all()
    assert not w.adapter["active"].any()
    np.testing.assert_array_equal(w.unit["have"].sum(1), rep["cached"])
    assert w.run[0]["limbo"] == 0
    assert w.run[0]["flying"] == 0


@st.composite
def troubled(draw: st.DrawFn) -> tuple[Fleet, Requests]:
    """Fleets to which everything happens at once."""
    requests = draw(streams(kinds=KINDS, most=40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = len(requests)
    models = draw(st.integers(1, 2))
    adapters = tuple("abcde") if draw(st.booleans()) else ()
    requests = replace(
        requests, model=random.integers(0, models, n).astype(np.int32) if models > 1 else None,
        models=("one", "two") if models > 1 else (),
        adapter=random.integers(-1, 5, n).astype(np.int32) if adapters else None, adapters=adapters,
    )  # fmt: skip
    block = draw(st.sampled_from([1, 4, 16]))
    split = draw(st.booleans())
    policy = {"policy": "budget"} if split else {}
    scheduler = draw(schedulers(**policy))
    room = draw(st.sampled_from([LONGEST, 3 * LONGEST, 20 * LONGEST]))
    one = plain_law(block, -(-room // block) + 2)
    more = {
        "tier": Tier(draw(st.sampled_from([0.0, 3e6, 1e9])), 1e8, 1e-4) if draw(st.booleans()) else None,
        "adapters": Adapters(draw(st.integers(1, 4)), 0.01, 0.001) if adapters else None,
        "model_load_s": 0.05, "patience_s": draw(st.sampled_from([0.0, 0.3])),
        "scaling": Scaling(1, 4, up_above=2.0, down_below=1.0, every_s=0.05, startup_s=0.1, cooldown_s=0.05)
        if draw(st.booleans()) else None,
    }  # fmt: skip
    roles = ("prefill", "decode") if split else ("both",)
    pools = tuple(Pool((one,) * models, scheduler, draw(st.integers(1, 3)), role, **more) for role in roles)
    replicas = sum(4 if p.scaling else p.replicas for p in pools)
    faults = tuple(
        Fault(float(at), int(random.integers(0, replicas)), float(random.exponential(0.3)) + 1e-3)
        for at in np.cumsum(random.exponential(0.1, draw(st.integers(0, 8))))
    )
    return Fleet(
        pools, draw(st.sampled_from(["round-robin", "least-outstanding", "prefix", "two-choices", "conversation"])),
        models=("one", "two")[:models], link=Link(1e7, 4e6, 1e-4) if split else None, faults=faults,
        retry=draw(st.booleans()), queue_limit=draw(st.sampled_from([None, None, 1, 5])),
        stale_s=draw(st.sampled_from([0.0, 0.2])),
    ), requests  # fmt: skip


@settings(max_examples=400)
@given(troubled())
def test_whatever_happens_every_request_ends_once(case):
    fleet, requests = case
    w, advance = world(fleet, requests, seed=0, log=0, until_s=np.inf), loop()
    assert advance(w, MANY) == k.FINISHED
    phase = w.req["phase"]
    assert np.isin(phase, (k.DONE, k.FAILED)).all()
    assert (phase == k.DONE).sum() == w.run[0]["ended"]
    assert (phase == k.FAILED).sum() == w.run[0]["failed"]
    if fleet.retry and fleet.queue_limit is None:
        assert (phase == k.DONE).all()
    done = phase == k.DONE
    np.testing.assert_array_equal(w.req["made"][done], requests.output_tokens[done])
    clean(w)


def latency(found: Run) -> float:
    return float(np.mean(found.requests["finish"] - found.requests["sent"]))


def test_a_failure_costs_time_and_those_who_are_not_tried_again_fail():
    quiet = Fleet((Pool((law(),), replicas=2),))
    faults = (Fault(10.0, 0, 5.0), Fault(25.0, 1, 5.0))
    requests = steady()
    broken = run(replace(quiet, faults=faults), requests)
    assert latency(broken) > latency(run(quiet, requests))
    again = broken.requests["retries"]
    assert 0 < again.sum() < 60
    lost = run(replace(quiet, faults=faults, retry=False), requests)
    assert (lost.requests["phase"] == k.FAILED).sum() == (lost.requests["finish"] == 10.0).sum() + (
        lost.requests["finish"] == 25.0
    ).sum()


def test_requests_wait_while_nobody_is_up():
    fleet = Fleet((Pool((law(),)),), faults=(Fault(2.0, 0, 10.0),))
    q = run(fleet, steady(60, 8.0)).requests
    assert (q["phase"] == k.DONE).all()
    assert not ((q["finish"] > 2.0) & (q["finish"] < 12.0)).any()


def test_a_fleet_grows_under_load_and_shrinks_again():
    scaling = Scaling(1, 4, up_above=6.0, down_below=2.0, every_s=0.5, startup_s=2.0, cooldown_s=1.0)
    load = steady(1500, 40.0)
    later = steady(60, 1.0)
    both = Requests(
        "wave", np.concatenate([load.arrival_s, load.arrival_s[-1] + 5 + later.arrival_s]),
        np.concatenate([load.input_tokens, later.input_tokens]),
        np.concatenate([load.output_tokens, later.output_tokens]),
    )  # fmt: skip
    alone, scaled = (run(Fleet((Pool((law(),), scaling=s),)), both) for s in (None, scaling))
    assert latency(scaled) < latency(alone)
    assert scaled.totals["scalings"] >= 4
    up = (scaled.replicas["state"] == k.ACTIVE).sum()
    assert up == 1
    assert (scaled.replicas["served"] > 0).sum() >= 3


def test_models_take_turns_and_patience_saves_switches():
    requests = assign(steady(300, 3.0), ("one", "two"), (0.5, 0.5), 1, "model")

    def switches(patience: float) -> int:
        pool = Pool((law(), law()), model_load_s=0.5, patience_s=patience)
        found = run(Fleet((pool,), models=("one", "two")), requests)
        assert (found.requests["phase"] == k.DONE).all()
        return int(found.replicas["switches"].sum())

    assert switches(0.0) > switches(5.0) > 1


def test_no_more_adapters_in_a_step_than_slots():
    names = tuple(f"a{i}" for i in range(6))
    requests = assign(steady(400, 12.0), names, (1 / 6,) * 6, 1, "adapter")
    free, slow = (run(Fleet((Pool((law(),), adapters=Adapters(slots, 0.05, 0.002)),)), requests) for slots in (6, 1))
    assert latency(slow) > latency(free)
    # one slot: those of different adapters never decode at the same time
    q = slow.requests
    order = np.argsort(q["admitted"])
    adapter, begun, ended = q["adapter"][order], q["admitted"][order], q["finish"][order]
    other = adapter[1:] != adapter[:-1]
    assert (begun[1:][other] >= np.maximum.accumulate(ended)[:-1][other] - 1e-12).all()


def prompts(many: int, n: int, length: int = 64) -> Requests:
    """So many different prompts, sent in turn."""
    base = steady(n, 4.0)
    chains = Chains(
        np.arange(n + 1), (np.arange(n) % many).astype(np.int32), np.zeros(many, np.int32),
        np.full(many, length, np.int32),
    )  # fmt: skip
    return replace(base, input_tokens=np.full(n, length), chains=chains)


def test_a_slower_memory_keeps_what_the_device_gives_up():
    requests = prompts(30, 600)  # 30 prompts of 16 blocks, of which the device holds few
    small = Scheduler(kv_blocks=120)
    without = run(Fleet((Pool((law(),), small),)), requests)
    tier = Tier(1e12, 1e9, 1e-4)
    behind = run(Fleet((Pool((law(),), small, tier=tier),)), requests)
    large = run(Fleet((Pool((law(2000),)),)), requests)
    assert behind.totals["tier_tokens"] > 0
    assert without.totals["hit_tokens"] < 0.4 * large.totals["hit_tokens"]
    first = [float(np.mean(x.requests["first"] - x.requests["arrival"])) for x in (large, behind, without)]
    assert first[0] < first[1] < first[2]


def test_verifications_yield_what_equation_48_says():
    how = Speculation(4, 0.7)
    steps = verifications(np.full(2000, 4000), how, np.random.default_rng(2))
    assert 4000 / steps.mean() == pytest.approx(expected_tokens(4, 0.7), rel=2e-3)
    assert expected_tokens(4, 0.7) == pytest.approx(2.7731, abs=5e-5)


def test_drafts_shorten_answers_by_their_tokens_per_step():
    base = replace(law(), queries=5, speculation=Speculation(4, 0.7))
    requests = make_requests(make_workload(isl=20, osl=200, request_rate=0.05), 200, 1)  # one at a time
    plain, drafted = (run(Fleet((Pool((it,)),)), requests).requests for it in (law(), base))
    itl = [float(np.mean((q["finish"] - q["first"]) / 199)) for q in (plain, drafted)]
    assert itl[0] / itl[1] == pytest.approx(expected_tokens(4, 0.7), rel=0.03)


def test_a_full_queue_turns_requests_away():
    q = run(Fleet((Pool((law(),)),), queue_limit=2), steady(400, 60.0)).requests
    failed = q["phase"] == k.FAILED
    assert 0 < failed.sum() < 400
    assert (q["finish"][failed] == q["arrival"][failed]).all()


def test_routing_drawn_for_every_step_keeps_the_mean_and_widens_the_spread():
    one = asked("mixtral-8x7b", "h100", make_workload(isl=256, osl=64, concurrency=1), tp=4, ep=4)
    drawn = law_of(one, 320)
    assert drawn.imbalance is not None
    even = replace(drawn, imbalance=None)
    requests = make_requests(make_workload(isl=256, osl=64, request_rate=4.0), 2000, 1)
    noisy, quiet = (run(Fleet((Pool((it,)),)), requests).requests for it in (drawn, even))
    assert np.mean(noisy["finish"] - noisy["sent"]) == pytest.approx(np.mean(quiet["finish"] - quiet["sent"]), rel=5e-3)
    alone = make_requests(make_workload(isl=256, osl=64, request_rate=0.05), 300, 1, arrival="constant")
    spread = [
        float(np.std((q["finish"] - q["first"]) / 63))
        for q in (run(Fleet((Pool((it,)),)), alone).requests for it in (drawn, even))
    ]
    assert spread[0] > 1e3 * spread[1]


def test_the_router_that_knows_prefixes_finds_more_of_them():
    requests = prompts(25, 800)  # no multiple of three: round robin sends a prompt to another replica each time
    small = Scheduler(kv_blocks=200)
    hits = {
        router: run(Fleet((Pool((law(),), small, replicas=3),), router), requests).totals["hit_tokens"]
        for router in ("round-robin", "prefix")
    }
    assert hits["prefix"] > 1.5 * hits["round-robin"]


@pytest.mark.parametrize("swap", [False, True])
def test_every_gap_between_tokens_is_counted_also_those_of_preempted_requests(swap: bool):
    requests = steady(600, 14.0)
    found = run(Fleet((Pool((law(60),), Scheduler(swap=swap)),)), requests)
    assert found.replicas["preemptions"][0] > 50
    assert found.gaps.sum() == pytest.approx((requests.output_tokens - 1).sum())
    if not swap:  # the mean gap is that of all requests together, to the width of a bin
        centres = 1e-5 * np.exp((np.arange(found.gaps.size) + 0.5) * 0.005)
        total = (found.requests["finish"] - found.requests["first"]).sum()
        assert (found.gaps * centres).sum() == pytest.approx(total, rel=3e-3)
