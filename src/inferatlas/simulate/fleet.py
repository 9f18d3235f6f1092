"""A deployment as the simulator takes it: schedulers, pools of replicas, and what is between and around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferatlas.errors import BadInput
from inferatlas.simulate.law import StepLaw

Policy = Literal["budget", "prefill-first", "static"]
Role = Literal["both", "prefill", "decode"]
Router = Literal[
    "round-robin", "random", "least-outstanding", "least-kv", "shortest-queue", "two-choices", "prefix", "conversation"
]
ROUTERS: tuple[Router, ...] = (
    "round-robin", "random", "least-outstanding", "least-kv", "shortest-queue", "two-choices", "prefix", "conversation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scheduler:
    """How a replica fills its steps; numbers that are None are the engine's on that part.

    ``policy``: *budget* (one step holds decoding requests and prompts, up to ``step_tokens``), *prefill-first*
    (prompts have steps of their own, before any decoding) or *static* (a batch is fixed until its longest member ends).
    ``chunked``: a prompt may be cut to fill a step, each piece up to ``chunk_limit`` tokens. ``reserve_whole``: blocks
    for the longest answer are taken at admission, so that nobody is ever preempted. ``swap``: preempted requests move
    to host memory instead of being computed again. ``prefix_cache``: by whole blocks, by tokens (a radix tree) or none.
    ``host_s``: per step, beside the law.
    """

    name: str = "vllm-v1"
    policy: Policy = "budget"
    step_tokens: int | None = None
    max_sequences: int | None = None
    chunked: bool = True
    chunk_limit: int | None = None
    reserve_whole: bool = False
    swap: bool = False
    prefix_cache: Literal["none", "blocks", "tokens"] = "blocks"
    kv_blocks: int | None = None
    host_s: float = 0.0

    def __post_init__(self) -> None:
        for field in ("step_tokens", "max_sequences", "chunk_limit", "kv_blocks"):
            value = getattr(self, field)
            if value is not None and not (value == int(value) and value >= 1):
                raise BadInput(f"{value!r}", field=f"scheduler.{field}", allowed="a whole number of at least 1")
        if not 0 <= self.host_s < 10:
            raise BadInput(f"{self.host_s!r} seconds a step", field="scheduler.host_s", allowed="0 to 10")


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Replicas that are alike. ``laws``: one for each model of the fleet, None for those that it does not host."""

    laws: tuple[StepLaw | None, ...]
    scheduler: Scheduler = Scheduler()
    replicas: int = 1
    role: Role = "both"
    name: str = "pool"

    @property
    def law(self) -> StepLaw:
        return next(law for law in self.laws if law is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Pools and the router before them; ``link``: between those that compute prompts and those that decode."""

    pools: tuple[Pool, ...]
    router: Router = "least-outstanding"
