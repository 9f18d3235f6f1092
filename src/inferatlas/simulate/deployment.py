"""A deployment as somebody writes it down: models, pools of accelerators, and what is between and around them.

In: ``deployment.yaml``, read strictly (an unknown or repeated key, a value of the wrong form or out of range is refused
with the file and the line), or the same records made by hand. Out: `Deployment`; `building.py` makes a `Fleet` of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inferatlas.errors import BadInput
from inferatlas.simulate.fleet import Fault, Role, Router, Scaling, Tier
from inferatlas.simulate.profiles import Profile
from inferatlas.simulate.traffic import Traffic


@dataclass(frozen=True, slots=True)
class AdaptersAsked:
    """LoRA adapters of a rank, ``count`` different ones of which ``slots`` fit beside the weights.

    ``load_s`` (one from host memory) and ``step_s`` (each in a step) follow from their bytes unless they are given.
    """

    slots: int
    rank: int = 16
    count: int = 16
    load_s: float | None = None
    step_s: float | None = None


@dataclass(frozen=True, slots=True)
class PoolAsked:
    """Replicas that are alike, as `question.asked` takes them; what is None is chosen.

    ``replicas`` None: one, those of ``count``, or the least of ``scaling``. ``count``: accelerators in all, whose
    layout is chosen for the load. ``models`` None: all of the deployment. ``scheduler`` None: that of the engine.
    ``lines``: of the deployment's file, by key; ``line``: on which the pool begins.
    """

    accelerator: str
    name: str | None = None
    replicas: int | None = None
    count: int | None = None
    role: Role = "both"
    models: tuple[str, ...] | None = None
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    cp: int | None = None
    engine: str | None = None
    weights: str | None = None
    activations: str | None = None
    kv_cache: str | None = None
    speculate: str | None = None
    scheduler: Profile | None = None
    tier: Tier | None = None
    adapters: AdaptersAsked | None = None
    scaling: Scaling | None = None
    patience_s: float = 1.0
    model_load_s: float | None = None
    usd_per_hour: float | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    line: int | None = None

    def __post_init__(self) -> None:
        for name in ("replicas", "count"):
            value = getattr(self, name)
            if value is not None and not (value == int(value) and value >= 1):
                raise BadInput(f"{value!r}", field=name, allowed="a whole number of at least 1")


@dataclass(frozen=True, slots=True)
class LinkAsked:
    """Between pools that compute prompts and pools that decode; what is None is that of the network ports."""

    bytes_per_s: float | None = None
    lane_bytes_per_s: float | None = None
    latency_s: float | None = None
    first_token: str = "decode"
    overlap: bool = True


@dataclass(frozen=True, slots=True)
class Failures:
    """Replicas fail at random: mean seconds from a repair to the next failure, and mean seconds of a repair."""

    mtbf_s: float
    mttr_s: float


@dataclass(frozen=True, slots=True)
class Deployment:
    """All that is asked; fields as those of `fleet.Fleet`, ``models`` by name, ``slo`` as text."""

    models: tuple[str, ...]
    pools: tuple[PoolAsked, ...]
    router: Router = "least-outstanding"
    link: LinkAsked | None = None
    faults: tuple[Fault, ...] | Failures = ()
    stale_s: float = 0.0
    load_penalty: float = 512.0
    retry: bool = True
    queue_limit: int | None = None
    network_s: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)
    slo: tuple[str, ...] = ()
    file: str | None = None
    lines: Mapping[str, int] = field(default_factory=dict)


def read_deployment(path: str | Path) -> Deployment:
    """Read a deployment's file.

    Files that it names (accelerators, models, workloads, schedulers, traces) are looked for beside it.

    Raises
    ------
    BadInput : the file cannot be read or breaks the schema; with file, line, field and what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "deployment.yaml"
    ...     _ = file.write_text("model: llama-3.1-8b\\npools:\\n  - {accelerator: h100, replicas: 2, tp: 1}\\n")
    ...     asked = read_deployment(file)
    >>> asked.models, asked.pools[0].accelerator, asked.pools[0].replicas
    (('llama-3.1-8b',), 'h100', 2)
    """
    from inferatlas.simulate.reading import deployment_of

    return deployment_of(Path(path))
