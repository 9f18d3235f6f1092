"""A deployment as the simulator takes it: schedulers, pools of replicas, and what is between and around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferatlas.errors import BadInput
from inferatlas.simulate.law import StepLaw

Policy = Literal["budget", "prefill-first", "static"]
Role = Literal["both", "prefill", "decode"]
PrefixCache = Literal["none", "blocks", "tokens"]
Router = Literal[
    "round-robin", "random", "least-outstanding", "least-kv", "shortest-queue", "two-choices", "prefix", "conversation"
]
Signal = Literal["outstanding", "kv"]
# in the order of `kernel.state`
POLICIES: tuple[Policy, ...] = ("budget", "prefill-first", "static")
ROLES: tuple[Role, ...] = ("both", "prefill", "decode")
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
    ``kv_blocks``: of each replica. ``host_s``: per step, beside the law's own.
    """

    name: str = "vllm-v1"
    policy: Policy = "budget"
    step_tokens: int | None = None
    max_sequences: int | None = None
    chunked: bool = True
    chunk_limit: int | None = None
    reserve_whole: bool = False
    swap: bool = False
    prefix_cache: PrefixCache = "blocks"
    kv_blocks: int | None = None
    host_s: float = 0.0

    def __post_init__(self) -> None:
        for field in ("step_tokens", "max_sequences", "chunk_limit", "kv_blocks"):
            value = getattr(self, field)
            if value is not None and not (value == int(value) and value >= 1):
                raise BadInput(f"{value!r}", field=field, allowed="a whole number of at least 1")
        if not 0 <= self.host_s < 10:
            raise BadInput(f"{self.host_s!r} seconds a step", field="host_s", allowed="0 to 10 seconds")


@dataclass(frozen=True, slots=True)
class Tier:
    """Slower memory behind the device's, for prefixes that the device has no room for: of one replica.

    What comes from it takes ``latency_s`` and its bytes over the rate, one request after the other.
    """

    bytes: float
    bytes_per_s: float
    latency_s: float = 0.0
    name: str = "host"


@dataclass(frozen=True, slots=True)
class Adapters:
    """LoRA: at most ``slots`` different ones in a step; one that is not on the device is loaded first.

    ``step_s``: seconds that each different adapter adds to a step.
    """

    slots: int
    load_s: float
    step_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """Replicas come and go: every ``every_s`` the mean ``signal`` over those that are up is compared with two bounds.

    ``signal``: requests outstanding per replica, or the share of KV blocks in use. A replica takes ``startup_s`` to
    come (node, weights, graphs); one that goes takes nothing new and ends what it has. ``cooldown_s`` between changes.
    The numbers that stand here are this project's choice, for want of any that services publish.
    """

    least: int
    most: int
    signal: Signal = "outstanding"
    up_above: float = 32.0
    down_below: float = 8.0
    every_s: float = 15.0
    startup_s: float = 120.0
    cooldown_s: float = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Replicas that are alike. ``laws``: one for each model of the fleet, None for those that it does not host.

    Of several models one is resident at a time: another one's weights take ``model_load_s`` to come, once what runs
    has ended; a model keeps a replica for ``patience_s`` while others wait. ``scaling``: ``replicas`` are up at first.
    Pipeline stages count as replicas of their own with a share of the memory (`StepLaw.lanes`).
    """

    laws: tuple[StepLaw | None, ...]
    scheduler: Scheduler = Scheduler()
    replicas: int = 1
    role: Role = "both"
    name: str = "pool"
    accelerator: str = ""
    tier: Tier | None = None
    adapters: Adapters | None = None
    scaling: Scaling | None = None
    model_load_s: float = 0.0
    patience_s: float = 1.0
    usd_per_hour: float | None = None  # per accelerator

    @property
    def law(self) -> StepLaw:
        return next(law for law in self.laws if law is not None)


@dataclass(frozen=True, slots=True)
class Link:
    """Between pools that compute prompts and pools that decode: all transfers together, and each of them.

    ``layers``: of the model; each is sent as soon as it is computed, so that all but one are on the way while the
    prompt is computed (49); 0: the cache leaves when the prompt is complete. ``first_token``: the side that sends it.
    """

    bytes_per_s: float
    lane_bytes_per_s: float
    latency_s: float = 0.0
    layers: int = 0
    first_token: Literal["prefill", "decode"] = "decode"


@dataclass(frozen=True, slots=True)
class Fault:
    """A replica (its number, from 0) fails at a time and is back after so many seconds, its memory empty."""

    at_s: float
    replica: int
    for_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Pools, the router before them, and what may happen to them.

    ``stale_s``: how old the state may be that routers see. ``load_penalty``: tokens of a cached prefix for which the
    prefix router accepts one more outstanding request (512, one block of Mooncake's, is this project's choice).
    ``retry``: requests on a replica that fails start again elsewhere; else they fail. ``queue_limit``: requests that a
    replica may have waiting; more are turned away.
    """

    pools: tuple[Pool, ...]
    router: Router = "least-outstanding"
    models: tuple[str, ...] = ("model",)
    link: Link | None = None
    faults: tuple[Fault, ...] = ()
    stale_s: float = 0.0
    load_penalty: float = 512.0
    retry: bool = True
    queue_limit: int | None = None
    network_s: float = 0.0  # from an engine to its client and back

    def __post_init__(self) -> None:
        roles = {pool.role for pool in self.pools}
        if ("prefill" in roles) != ("decode" in roles):
            raise BadInput("one half of a pair of pools", field="role", allowed="prefill and decode, or both")
        if "prefill" in roles and self.link is None:
            raise BadInput("pools that compute prompts and pools that decode have no link", field="link")

    @property
    def accelerators(self) -> int:
        """That are there at first."""
        return sum(pool.replicas * pool.law.accelerators for pool in self.pools)
