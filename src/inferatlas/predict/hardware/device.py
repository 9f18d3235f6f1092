"""A device as the predictor sees it: numbers from the catalogue's facts, None where unknown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import is_own
from inferatlas.catalogue.memory import MAIN_LEVELS, main_memory
from inferatlas.documents import read_document
from inferatlas.errors import BadInput, NotModelled
from inferatlas.predict.hardware.power import Power, power_of

_PEAKS = ("fp32", "bf16", "fp16", "fp8", "int8", "fp6", "fp4", "int4", "blockfp8")


@dataclass(frozen=True, slots=True)
class MemoryTier:
    """One level of memory: capacity in bytes and bandwidth in byte/s (None where unpublished).

    ``latency_s`` of a request, ``outstanding`` requests of ``line_bytes`` at a time: None where not stated.
    """

    name: str
    bytes: float
    bytes_per_s: float | None
    latency_s: float | None = None
    outstanding: float | None = None
    line_bytes: float | None = None

    @property
    def reached_bytes_per_s(self) -> float | None:
        """What so many outstanding requests draw through the latency, equation (30): ``min(W, N z/l)``.

        >>> MemoryTier("nvme", 8e12, 12e9, latency_s=1e-4, outstanding=32, line_bytes=4096).reached_bytes_per_s
        1310720000.0
        """
        if self.bytes_per_s is None or not self.latency_s or self.outstanding is None or self.line_bytes is None:
            return self.bytes_per_s
        return min(self.bytes_per_s, self.outstanding * self.line_bytes / self.latency_s)


@dataclass(frozen=True, slots=True)
class Units:
    """Hardware that few devices have, for mixtures of experts and for the KV cache; None where there is none.

    ``routing_s``: sorting tokens by expert and combining them, per block, in a unit of its own. ``grouped_efficiency``:
    products of few rows per expert, relative to dense ones, on cores made for them. ``cache_ratio``: a cache that is
    compressed and unpacked on its way to the cores, which take ``cache_bytes_per_s`` unpacked at most.
    """

    routing_s: float | None = None
    grouped_efficiency: float | None = None
    cache_ratio: float | None = None
    cache_bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator as sold; all rates are per card, dense.

    ``engine_devices``: how many devices an engine sees on the card (two dies of an MI250 or Max 1550):
    tensor parallelism inside the card multiplies with that between cards. ``domain`` is the largest
    group on the scale-up network, ``node`` how many share a host. ``link_bytes_per_s`` is one
    direction, all links of the device together; ``scale_out_bytes_per_s`` the share of the NICs.
    ``behind``: memories behind the main one in which weights and cache can wait, fastest first; empty where no rate is
    known.
    ``max_batch``: largest batch of a compiled artefact, None where batches are free.
    """

    id: str
    name: str
    vendor: str
    style: str
    topology: str
    architectural_class: str
    engine_devices: int
    peaks: dict[str, float]
    memory: MemoryTier
    tiers: tuple[MemoryTier, ...]
    link_bytes_per_s: float | None
    scale_out_bytes_per_s: float | None
    behind: tuple[MemoryTier, ...]
    domain: int
    node: int
    power: Power
    max_batch: int | None
    compiled_batches: bool
    support: dict[str, str]
    sdk: str | None
    units: Units = Units()

    @property
    def offload(self) -> MemoryTier | None:
        """The fastest memory behind the main one."""
        return self.behind[0] if self.behind else None


@lru_cache(maxsize=256)
def device(accelerator: Accelerator) -> Device:
    """Read a device from its facts.

    Raises
    ------
    NotModelled : no memory capacity, memory bandwidth or dense peak is known, so nothing can be said.
    BadInput : the same of a user's own file, which can be completed; with file, field and line.
    """
    facts = accelerator.facts
    peaks = {name: rate for name in _PEAKS if (rate := facts.number(f"peak_{name}"))}
    tiers = _tiers(accelerator)
    main = tiers.get(main_memory(accelerator) or "")
    if main is None or not main.bytes_per_s or not peaks:
        raise _incomplete(accelerator, main, peaks)
    node = _count(accelerator, "chips_per_node") or 1
    batch = facts.number("execution.max_batch")
    return Device(
        id=accelerator.id,
        name=accelerator.name,
        vendor=accelerator.vendor,
        style=accelerator.execution,
        topology=accelerator.topology,
        architectural_class=accelerator.architectural_class,
        engine_devices=accelerator.devices_per_card,
        peaks=peaks,
        memory=main,
        tiers=tuple(tiers.values()),
        link_bytes_per_s=facts.number("interconnect.scale_up.per_direction"),
        scale_out_bytes_per_s=facts.number("interconnect.scale_out.per_direction")
        or facts.number("interconnect.scale_out"),
        behind=_behind(tiers, main, facts.number("host_link.per_direction")),
        domain=max(_count(accelerator, "interconnect.scale_up.max_domain") or node, node),
        node=node,
        power=power_of(accelerator, node),
        max_batch=int(batch) if batch else None,
        compiled_batches=(facts.text("execution.fixed_batch") or "no").startswith("yes"),
        support={
            engine: facts.text(f"software.{engine.replace('-', '_')}") or "none"
            for engine in ("vllm", "sglang", "tensorrt-llm", "deepspeed")
        },
        sdk=facts.text("software.proprietary_sdk"),
        units=Units(
            facts.number("moe.routing_time"), facts.number("moe.grouped_efficiency"),
            facts.number("kv_engine.compression"), facts.number("kv_engine.bandwidth"),
        ),
    )  # fmt: skip


def _incomplete(accelerator: Accelerator, main: MemoryTier | None, peaks: dict[str, float]) -> NotModelled | BadInput:
    """What is missing for a prediction: nobody publishes it of the catalogue's parts, of one's own it can be given."""
    if main is None:
        missing, field, others = "memory capacity", "mem.hbm.capacity", [f"mem.{x}.capacity" for x in MAIN_LEVELS]
    elif not main.bytes_per_s:
        missing, field, others = "memory bandwidth", f"mem.{main.name}.bandwidth", []
    else:
        missing, field, others = "dense peak", "peak_bf16", [f"peak_{x}" for x in _PEAKS]
    if not is_own(accelerator):
        return NotModelled(f"{accelerator.id}: no {missing} in the catalogue", field="accelerator")
    if accelerator.cluster is not None:
        message = f"the accelerator {accelerator.id} has no {missing} above 0"
        return BadInput(message, field="accelerator", file=accelerator.file)
    given = accelerator.facts.number(field) is not None
    return BadInput(
        "must be above 0" if given else f"a prediction needs a {missing}",
        field=f"facts.{field}",
        allowed=", ".join(others) or "a fact above 0, with unit and source",
        file=accelerator.file,
        line=read_document(accelerator.file).line(("facts", field)),
    )


def _behind(tiers: dict[str, MemoryTier], main: MemoryTier, host_link: float | None) -> tuple[MemoryTier, ...]:
    """The faster of a second memory of the card's own and the host's, over its link (how much a host has varies)."""
    own = [tier for tier in tiers.values() if tier.bytes > main.bytes and tier.bytes_per_s]
    if host_link:
        own.append(MemoryTier("host", float("inf"), host_link))
    return tuple(sorted(own, key=lambda tier: -(tier.bytes_per_s or 0.0))[:1])


def _tiers(accelerator: Accelerator) -> dict[str, MemoryTier]:
    tiers: dict[str, MemoryTier] = {}
    for field in accelerator.facts.fields():
        parts = field.split(".")
        if len(parts) == 3 and parts[0] == "mem" and parts[2] == "capacity":
            capacity = accelerator.facts.number(field)
            if capacity:
                bandwidth = accelerator.facts.number(f"mem.{parts[1]}.bandwidth")
                tiers[parts[1]] = MemoryTier(parts[1], capacity, bandwidth)
    return tiers


def _count(accelerator: Accelerator, field: str) -> int | None:
    """A count; of a range ("1-8, server dependent") the largest."""
    fact = accelerator.facts.chosen(field)
    if fact is None or not isinstance(fact.value, float):
        return None
    return int(fact.high if fact.high is not None else fact.value)
