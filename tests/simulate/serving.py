"""Small fleets and loads for the tests of what comes out of a run."""

from dataclasses import replace

import numpy as np

from inferatlas.simulate.fleet import Fleet, Link, Pool, Scheduler
from inferatlas.simulate.law import StepLaw, affine_law
from inferatlas.simulate.running import Run, run
from inferatlas.workload.requests import Requests

SLOTS, ISL, OSL = 16, 256, 32


def law(slots: int = SLOTS, **more: float) -> StepLaw:
    """10 ms a step, 0.5 ms more per sequence; 100 W idle and one more while it works."""
    made = affine_law(0.01, 0.0005, slots, per_prompt_token=1e-5, longest=4096, **more)  # pyright: ignore
    return replace(made, idle_w=100.0, block_bytes=1.6e6)


def capacity(slots: int = SLOTS) -> float:
    """Requests per second of one replica, all slots taken."""
    return slots / (OSL * (0.01 + 0.0005 * slots) + slots * ISL * 1e-5)


def load(n: int, rho: float, seed: int = 0, *, slots: int = SLOTS, clients: int | None = None) -> Requests:
    """Poisson arrivals at a share of the capacity, answers of geometric length."""
    random = np.random.default_rng(seed)
    at = np.cumsum(random.exponential(1 / (rho * capacity(slots)), n))
    output = random.geometric(1 / OSL, n)
    return Requests("load", np.zeros(n) if clients else at, np.full(n, ISL), output, clients=clients)


def one(scheduler: Scheduler = Scheduler(), **more: object) -> Fleet:  # noqa: B008 - frozen
    return Fleet((Pool((law(),), scheduler, usd_per_hour=2.0, **more),))  # pyright: ignore


def pair() -> Fleet:
    """Prefill and decode apart, with little memory."""
    prefill = Pool((law(),), Scheduler(kv_blocks=80), role="prefill", name="prefill")
    decode = Pool((law(),), Scheduler(kv_blocks=120), role="decode", name="decode")
    return Fleet((prefill, decode), link=Link(1e9, 1e9))


def served(n: int, rho: float, seed: int = 0, *, log: bool = False, fleet: Fleet | None = None, **more: object):
    """Run, fleet and requests."""
    fleet, requests = fleet or one(), load(n, rho, seed, **more)  # pyright: ignore
    return run(fleet, requests, log=log), fleet, requests


def interrupted(n: int, rho: float) -> tuple[Run, Fleet, Requests]:
    """A run that was stopped after its first look at the keyboard."""
    from inferatlas.simulate import running

    fleet, requests = one(), load(n, rho)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    many, running.EVENTS = running.EVENTS, 3 * n // 2
    try:
        return run(fleet, requests, log=True, told=stop), fleet, requests
    finally:
        running.EVENTS = many
