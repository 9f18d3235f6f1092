"""Random small fleets and requests, for properties that hold of all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from hypothesis import strategies as st

from inferatlas.predict.question import asked
from inferatlas.simulate.fleet import Pool, Role, Scheduler
from inferatlas.simulate.law import StepLaw, affine_law
from inferatlas.simulate.tabulating import law_of
from inferatlas.workload.chains import Chains
from inferatlas.workload.requests import Requests
from inferatlas.workload.workload import Workload

LONGEST = 96  # tokens of a request


@cache
def real_law() -> StepLaw:
    """Llama-3.1-8B on one H100."""
    load = Workload("short", 200, 100, concurrency=8)
    return law_of(asked("llama-3.1-8b", "h100", load, count=1), 400, max_sequences=24)


def plain_law(block: int, blocks: int, most: int = 12) -> StepLaw:
    """Seconds that no two sums of have in common."""
    law = affine_law(
        0.0101, 0.00037, most, prompt_s=0.00113, per_prompt_token=0.000291, per_context=0.0000071,
        blocks=blocks, block_tokens=block, longest=4096,
    )  # fmt: skip
    return replace(law, block_bytes=block * 1e5, step_tokens=512, host_bytes_per_s=1e8)


@dataclass(frozen=True)
class Small:
    """A pool in few words, for hypothesis to show."""

    scheduler: Scheduler
    block: int
    blocks: int
    replicas: int

    def pool(self, role: Role = "both") -> Pool:
        return Pool((plain_law(self.block, self.blocks),), self.scheduler, self.replicas, role, name=role)


def schedulers(**fixed: object) -> st.SearchStrategy[Scheduler]:
    """Of every policy; small budgets, so that prompts are cut."""
    free: dict[str, st.SearchStrategy[object]] = {
        "policy": st.sampled_from(["budget", "budget", "prefill-first", "static"]),
        "step_tokens": st.sampled_from([8, 24, 64, 512]),
        "max_sequences": st.sampled_from([1, 2, 4, 12]),
        "chunked": st.booleans(),
        "chunk_limit": st.sampled_from([None, None, 5, 16]),
        "reserve_whole": st.sampled_from([False, False, False, True]),
        "swap": st.booleans(),
        "prefix_cache": st.sampled_from(["none", "blocks", "tokens"]),
        "host_s": st.sampled_from([0.0, 0.0013]),
    }
    free |= {name: st.just(value) for name, value in fixed.items()}
    return st.builds(Scheduler, **free)  # pyright: ignore[reportArgumentType]


@st.composite
def pools(draw: st.DrawFn, scheduler: st.SearchStrategy[Scheduler] | None = None) -> Small:
    """Alike replicas with room for little more than one of the longest requests, or for many."""
    block = draw(st.sampled_from([1, 4, 16]))
    room = draw(st.sampled_from([LONGEST, 2 * LONGEST, 3 * LONGEST, 20 * LONGEST]))
    chosen = draw(schedulers() if scheduler is None else scheduler)
    return Small(chosen, block, -(-room // block) + 2, draw(st.integers(1, 3)))


@st.composite
def streams(draw: st.DrawFn, *, longest: int = LONGEST, most: int = 24, kinds: tuple[str, ...] = ("open",)) -> Requests:
    """Requests at random times: open loop, turns that wait for others, or clients; with prefixes or without."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.sampled_from([1, 2, 5, most // 2, most, most]))
    kind = draw(st.sampled_from(kinds))
    inputs = random.integers(1, longest * 2 // 3, n)
    outputs = np.minimum(random.geometric(draw(st.sampled_from([0.03, 0.1, 0.5])), n), longest - inputs)
    chains = draw(st.sampled_from([None, "shared", "shared"]))
    if chains is not None:
        chains, inputs = shared_prefixes(random, inputs, outputs)
    arrival = random.exponential(draw(st.sampled_from([0.01, 0.05, 0.3])), n)
    previous = None
    if kind == "open":
        arrival = np.cumsum(arrival)
    elif kind == "turns":
        first = np.sort(random.choice(n, max(n // 3, 1), replace=False))
        first[0] = 0
        starts = np.zeros(n, bool)
        starts[first] = True
        before = np.arange(n) - 1
        if draw(st.booleans()):  # several turns wait for the same one
            before = np.array([random.integers(0, max(i, 1)) for i in range(n)])
        previous = np.where(starts, -1, before)
        arrival[starts] = np.cumsum(arrival[starts])
    clients = draw(st.integers(1, 6)) if kind == "clients" else None
    return Requests("random", arrival, inputs, outputs, previous=previous, clients=clients, chains=chains)


def shared_prefixes(random: np.random.Generator, inputs: np.ndarray, outputs: np.ndarray) -> tuple[Chains, np.ndarray]:
    """A forest of units: prompts walk down from a few roots, then have a piece of their own and their answer."""
    begin, end, chains = [], [], []
    children: dict[int, list[int]] = {-1: []}
    made = inputs.copy()

    def new(parent: int, length: int) -> int:
        begin.append(0 if parent < 0 else end[parent])
        end.append(begin[-1] + length)
        children[len(begin) - 1] = []
        children[parent].append(len(begin) - 1)
        return len(begin) - 1

    for i, wanted in enumerate(inputs):
        chain, parent = [], -1
        while True:
            known = [u for u in children[parent] if end[u] <= wanted]
            covered = end[parent] if parent >= 0 else 0
            if known and random.random() < 0.8:
                parent = int(random.choice(known))
            elif covered < wanted and random.random() < 0.8:
                parent = new(parent, int(random.integers(1, wanted - covered + 1)))
            else:
                break
            chain.append(parent)
        covered = end[parent] if parent >= 0 else 0
        if covered == wanted and random.random() < 0.5:
            chain.append(new(parent, int(outputs[i])))  # the answer, which others may begin with
        chains.append(chain)
    start = np.concatenate([[0], np.cumsum([len(c) for c in chains])])
    unit = np.array([u for c in chains for u in c], np.int64)
    return Chains(start, unit, np.array(begin, np.int64), np.array(end, np.int64)), made
