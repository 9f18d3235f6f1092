"""Accelerators as pools see them: the smallest groups that serve on their own, rates, prices, network ports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.decide.disaggregation.doubt import measured_scales, moved
from inferatlas.predict.arrays import Floats, Ints
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping.layouts import enumerate_layouts, is_resident
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, make_points
from inferatlas.predict.platforms import bind, checkpoint_format
from inferatlas.predict.replicas import Layout

Index = NDArray[Any]  # of whole numbers: places in other arrays
STEP = 1.08  # from one length of a row of chips to the next: nobody tells 700 chips from 730


@dataclass(frozen=True)
class Units:
    """Groups of accelerators that serve requests on their own: one replica, or those that share their experts."""

    tp: Ints
    pp: Ints
    ep: Ints
    dp: Ints

    def __len__(self) -> int:
        return len(self.tp)

    def __getitem__(self, index: Index) -> Units:
        return Units(self.tp[index], self.pp[index], self.ep[index], self.dp[index])

    @property
    def size(self) -> Ints:
        """Accelerators of a unit."""
        return self.tp * self.pp * self.dp

    @property
    def replica(self) -> Ints:
        """Accelerators of one replica of it."""
        return self.tp * self.pp

    def layout(self, i: int, copies: int) -> Layout:
        """So many copies of unit i as one layout."""
        return Layout(int(self.tp[i]), int(self.pp[i]), int(self.ep[i]), int(self.dp[i]) * int(copies))


@dataclass(frozen=True)
class Side:
    """One accelerator with its engine: row 0 of ``table`` as predicted, the others with one rate moved (`doubt`)."""

    known: Accelerator
    platform: Platform
    table: PlatformTable
    money: Economics
    units: Units
    most: int

    @property
    def port_bytes_per_s(self) -> float:
        """What one accelerator sends to other nodes, B/s; the predictor's default where nothing is published."""
        network = self.platform.network
        return (network.scale_out or network.default_scale_out) * network.efficiency

    def points(
        self, u: Index, row: Index | int, rate: Floats, isl: Floats, osl: Floats, cv: tuple[float, float]
    ) -> Points:
        """Units u at a rate each; ``cv`` of the lengths."""
        units = self.units
        return make_points(
            row, tp=units.tp[u], pp=units.pp[u], ep=units.ep[u], dp=units.dp[u], request_rate=rate, input_tokens=isl,
            output_tokens=osl, input_cv=cv[0], output_cv=cv[1],
        )  # fmt: skip


def side_of(
    name: str, model: ModelConfig, ops: Operators, most: int, *, engine: str | None, weights: str | None,
    kv_cache: str | None,
) -> Side:  # fmt: skip
    """Bind an accelerator, with every unit of at most ``most`` accelerators.

    Raises
    ------
    UnknownName, NotModelled, NoFeasibleAnswer : as `platforms.bind`.
    """
    known = load_accelerator(name)
    part = device(known)
    platform = bind(known, engine, weights or checkpoint_format(model, part), kv_cache=kv_cache, model=model)
    money = economics(part.id, part.architectural_class, part.node, cluster=known.cluster)
    limit = min(most, known.cluster.count) if known.cluster else most
    units = units_of(ops, platform, limit)
    return Side(known, platform, moved(platform, is_moe=bool(ops.experts)), money, units, limit)


def as_measured(ops: Operators, side: Side, unit: int, isl: float, osl: float, flying: float) -> Side:
    """The same side, errors of whose table are as wide as those of a unit with ``flying`` requests per replica."""
    u = np.array([unit], dtype=np.int32)
    units = side.units[u]
    points = make_points(
        0, tp=units.tp, pp=units.pp, ep=units.ep, dp=units.dp, concurrency=max(flying, 1.0) * units.dp,
        input_tokens=isl, output_tokens=osl,
    )  # fmt: skip
    scales = measured_scales(ops, side.table, points)
    return replace(side, table=moved(side.platform, is_moe=bool(ops.experts), scales=scales))


def units_of(ops: Operators, platform: Platform, most: int) -> Units:
    """Legal units of up to ``most`` accelerators, whatever memory holds; of rows of chips, lengths `STEP` apart."""
    if is_resident(platform.device):
        steps = int(np.log(most) / np.log(STEP)) + 1
        chips = np.unique(np.append(np.rint(STEP ** np.arange(steps)), most)).astype(np.int32)
        one = np.ones_like(chips)
        return Units(one, chips, one, one)
    found = enumerate_layouts(ops, platform.device, most, every_count=False)
    ranks = found.tp * platform.device.engine_devices
    keep = found.dp == np.maximum(found.ep // ranks, 1)
    return Units(found.tp[keep], found.pp[keep], found.ep[keep], found.dp[keep])
