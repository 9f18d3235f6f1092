"""The deployment that tiers are added to: its platform with them, its layout, and itself if memory had no end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.tiering.grown import Way
from inferatlas.predict.arrays import Floats
from inferatlas.predict.hardware.device import MemoryTier, device
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.placement import UNIFORM, Routing, no_experts
from inferatlas.predict.loads import check_load, usual_load
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.waiting import turns_of
from inferatlas.predict.placing import least_offload, place
from inferatlas.predict.platforms import bind, checkpoint_format
from inferatlas.predict.replicas import Layout, choose_layout, layout_notes, points_of, replicas_of
from inferatlas.predict.techniques import parse_tiers
from inferatlas.workload import Workload

HOST_BYTES, HOST_RATE = 256 * 2**30, 64e9  # of one accelerator: an eighth of a node's 2 TiB; PCIe 5 x16, one direction
DRIVE = MemoryTier("nvme", 8e12, 12e9)  # PCIe 5 x4: 7 to 14 GB/s a drive, performance-model (30)


@dataclass(frozen=True)
class Setting:
    """What the curve is about. ``boundless``: the same platform with a main memory of any size."""

    model: ModelConfig
    ops: Operators
    platform: Platform
    table: PlatformTable
    boundless: PlatformTable
    layout: Layout
    load: Workload
    routing: Routing
    notes: tuple[str, ...]

    @property
    def turns(self) -> float:
        """Groups of devices that stream one after the other (`waiting.turns_of`)."""
        return float(turns_of(self.ops, np.array(float(self.layout.pp)), resident=bool(self.table.resident[0])))

    @property
    def streaming_devices(self) -> float:
        """Engine devices of a replica that stream at the same time: tensor-parallel ranks, or the chips of a layer."""
        if self.table.resident[0]:
            return self.layout.pp / self.turns
        return self.layout.tp * self.platform.device.engine_devices

    def at_rates(self, rates: Floats, room: float | None = None) -> PlatformTable:
        """The platform once per row of rates of its slower memories [row, tier], which hold ``room`` bytes each."""
        many = platform_table([self.platform] * len(rates), is_moe=bool(self.ops.experts))
        held = many.tier_bytes if room is None else np.where(rates > 0, room, 0.0)
        return replace(many, tier_rate=rates, tier_bytes=held)

    def inputs(self, way: Way, slowdown: float) -> dict[str, Any]:
        """What was asked, as the answer repeats it."""
        tiers = [
            {"name": t.name, "bytes": t.bytes, "bytes_per_s": t.reached_bytes_per_s}
            for t in self.platform.device.behind
        ]
        return {
            "model": self.model.id, "accelerator": self.platform.device.id, "count": self.layout.count,
            "layout": asdict(self.layout), "engine": self.platform.engine.name,
            "weights": self.platform.precision.weights, "kv_cache": self.platform.precision.kv_cache,
            "workload": asdict(self.load), "tiers": tiers, "grow": way, "within": slowdown,
        }  # fmt: skip

    def assumptions(self, way: Way) -> list[str]:
        """Beside the notes: how the model grows, where things lie and what nobody measured."""
        more = "a larger model has more experts a layer, and a token takes as many of them as before"
        layers = "a larger model has more of the same layers"
        routed = (
            []
            if not self.ops.experts
            else ["experts are chosen uniformly: the least favourable case"]
            if not self.routing.is_skewed
            else [f"experts are chosen by a Zipf law of exponent {self.routing.exponent:g}: the rarest wait"]
        )
        waiting = replace(self.layout, offload=max(self.layout.offload, 0.5))
        return [
            *stands_for(self.model), *self.notes, *routed, more if way == "experts" else layers,
            "slowdown: mean latency of a request over that of the same model in a main memory without end; its "
            "interval comes from the share of their rate that slower memories reach and from the error of the step",
            *map(_of_any_scale, layout_notes(self.platform, waiting)[-3:]), *self.platform.notes,
        ]  # fmt: skip


def _of_any_scale(note: str) -> str:
    """A note of a layout without its shares: every point of a curve has shares of its own."""
    _, stream, source = note.partition(" stream from ")
    return f"what main memory does not hold streams from {source}" if stream else note


def setting_of(
    model: str, accelerator: str, *, count: int | None, tp: int | None, pp: int | None, ep: int | None,
    dp: int | None, tier: str | Sequence[str], workload: str | None, isl: int | None, osl: int | None,
    concurrency: int | None, engine: str | None, weights: str | None, kv_cache: str | None,
    kv_compression: float | None, routing: Routing,
) -> Setting:  # fmt: skip
    """From names to a deployment; parameters and errors as of `curve.tiers`."""
    config, known = load_model(model), load_accelerator(accelerator)
    load, notes = usual_load(config, workload, isl=isl, osl=osl, concurrency=concurrency)
    check_load(config, load)
    part = device(known)
    behind = parse_tiers(tier)
    if not behind:
        behind = usual(part.offload)
        words = " and ".join(
            f"{t.name} memory of {t.bytes / 1e9:,.0f} GB at {(t.bytes_per_s or 0.0) / 1e9:g} GB/s" for t in behind
        )
        notes.append(f"no tiers given: {words} for each accelerator")
    platform = bind(
        known, engine, weights or checkpoint_format(config, part), kv_cache=kv_cache, model=config,
        kv_compression=kv_compression, behind=behind,
    )  # fmt: skip
    ops = operators(config)
    if routing != UNIFORM and not ops.experts:
        raise no_experts(ops, routing)
    table = platform_table([platform], is_moe=bool(ops.experts))
    given = {"tp": tp, "pp": pp, "ep": ep, "dp": dp, "cp": None}
    layout, chosen = choose_layout(ops, table, load, count=count, **given)
    if not np.isfinite(least_offload(ops, table, points_of(load, [layout]))[0]) or _overfull(ops, table, load, layout):
        layout = place(ops, table, load, replicas_of(ops, table, count or layout.count, given)) or layout
        chosen = [f"layout {layout.tp} x {layout.pp} chosen: the least latency with what does not fit in the tiers"]
    boundless = replace(table, capacity=np.full(1, 1e18))
    bare = replace(layout, offload=0.0)
    return Setting(config, ops, platform, table, boundless, bare, load, routing, (*notes, *chosen))


def _overfull(ops: Operators, table: PlatformTable, load: Workload, layout: Layout) -> bool:
    """Whether the layout does not fit without slower memory."""
    return bool(least_offload(ops, table, points_of(load, [layout]))[0] > 0)


def usual(host: MemoryTier | None) -> tuple[MemoryTier, ...]:
    """The tiers of a common server: its share of the host's memory over the part's own link, and a drive."""
    if host is None:
        return (MemoryTier("host", HOST_BYTES, HOST_RATE), DRIVE)
    return (replace(host, bytes=min(host.bytes, HOST_BYTES)), DRIVE)
