"""Scaling strategies as families of layouts: which layouts belong to each, and which collective each lives by.

The pure ones spread a model in one way only over all accelerators; the hybrids are those of Sharma 2025, section
V-E (3D, experts with tensor parallelism, pipeline with offload), tensor parallelism with shards of the context,
and the best of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping import layouts
from inferatlas.predict.mapping.layouts import Layouts

OFFLOADS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # shares of the weights tried in slower memory


@dataclass(frozen=True)
class Candidates:
    """Layouts of one count with a share of offloaded weights each, as arrays."""

    tp: NDArray[np.int32]
    pp: NDArray[np.int32]
    ep: NDArray[np.int32]
    dp: NDArray[np.int32]
    cp: NDArray[np.int32]
    offload: NDArray[np.float64]
    dies: int = 1  # devices that an engine sees per accelerator

    def __len__(self) -> int:
        return len(self.tp)


@dataclass(frozen=True)
class Strategy:
    """A family of layouts: its name, whether a layout belongs to it, and the exchange it lives by."""

    name: str
    belongs: Callable[[Candidates], NDArray[np.bool_]]
    exchange: str
    published: str | None  # name in the table of published support


def _pure(field: str) -> Callable[[Candidates], NDArray[np.bool_]]:
    others = [name for name in ("tp", "pp", "cp") if name != field]

    def belongs(c: Candidates) -> NDArray[np.bool_]:
        alone = np.logical_and.reduce([getattr(c, name) == 1 for name in others])
        return alone & (c.ep == 1) & (c.dp == 1) & (c.offload == 0)

    return belongs


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("tensor", _pure("tp"), "all-reduce after every attention and feed-forward block", "tensor"),
    Strategy("pipeline", _pure("pp"), "one hop to the next stage per micro-batch", "pipeline"),
    Strategy(
        "expert",
        lambda c: (c.tp == 1) & (c.pp == 1) & (c.cp == 1) & (c.offload == 0) & (c.ep == c.dp * c.dies) & (c.dp > 1),
        "all-to-all before and after the experts of a layer", "expert",
    ),
    Strategy(
        "data",
        lambda c: (c.tp == 1) & (c.pp == 1) & (c.cp == 1) & (c.ep == 1) & (c.offload == 0),
        "none", None,
    ),
    Strategy("context", _pure("cp"), "ring of keys and values, and an exchange of attention parts", None),
    Strategy(
        "offload",
        lambda c: (c.tp == 1) & (c.pp == 1) & (c.cp == 1) & (c.ep == 1) & (c.offload > 0),
        "stream of weights from slower memory", "offload",
    ),
    Strategy(
        "hybrid 3d",
        lambda c: (c.tp > 1) & (c.pp > 1) & (c.ep == 1) & (c.cp == 1) & (c.offload == 0),
        "all-reduce inside a stage, hops between stages", None,
    ),
    Strategy(
        "hybrid expert + tensor",
        lambda c: (c.tp > 1) & (c.pp == 1) & (c.ep > 1) & (c.cp == 1) & (c.offload == 0),
        "all-reduce of attention, all-to-all of experts", None,
    ),
    Strategy(
        "hybrid context + tensor",
        lambda c: (c.tp > 1) & (c.cp > 1) & (c.pp == 1) & (c.offload == 0),
        "all-reduce, ring of keys and values", None,
    ),
    Strategy(
        "hybrid pipeline + offload",
        lambda c: (c.pp > 1) & (c.cp == 1) & (c.offload > 0),
        "stream of weights from slower memory, hops between stages", None,
    ),
    Strategy("hybrid best", lambda c: np.ones(len(c), dtype=bool), "as its parts", None),
)  # fmt: skip


def candidates(ops: Operators, device: Device, count: int) -> Candidates:
    """All layouts of ``count`` accelerators in which any strategy can be, the pure ones even where they are illegal.

    Offloading is tried on what replicas and pipelines hold (tensor parallelism too), and only where a slower memory
    is known.
    """
    found = layouts.layouts_of(ops, device, count, context=True)
    rows = [_columns(found, np.zeros(len(found)))]
    if device.offload is not None:
        plain = (found.cp == 1) & ((found.ep == 1) | (found.ep == found.tp * device.engine_devices))
        some = Layouts(*(getattr(found, n)[plain] for n in ("tp", "pp", "ep", "dp", "cp")))
        rows += [_columns(some, np.full(len(some), share)) for share in OFFLOADS[1:]]
    pure = list(_pure_shapes(count, bool(ops.experts), device.engine_devices))
    rows.append(np.array(pure, dtype=np.float64).reshape(-1, 6))
    table = np.unique(np.concatenate(rows), axis=0)
    whole = {n: np.ascontiguousarray(table[:, i], dtype=np.int32) for i, n in enumerate(("tp", "pp", "ep", "dp", "cp"))}
    return Candidates(**whole, offload=np.ascontiguousarray(table[:, 5]), dies=device.engine_devices)


def _columns(found: Layouts, offload: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([found.tp, found.pp, found.ep, found.dp, found.cp, offload], axis=1).astype(np.float64)


def _pure_shapes(count: int, moe: bool, dies: int) -> Iterator[tuple[float, ...]]:
    """The pure layouts (tp, pp, ep, dp, cp, offload), so that each strategy has one to say why it cannot be."""
    yield (count, 1, 1, 1, 1, 0.0)
    yield (1, count, 1, 1, 1, 0.0)
    yield (1, 1, 1, count, 1, 0.0)
    yield (1, 1, 1, 1, count, 0.0)
    yield (1, 1, 1, count, 1, OFFLOADS[-1])
    if moe and count > 1:
        yield (1, 1, count * dies, count, 1, 0.0)


@lru_cache(maxsize=1)
def published_support() -> dict[str, Any]:
    """What a study says about the support of each strategy (``published_support.yaml`` beside this file)."""
    import yaml

    text = resources.files("inferatlas.decide.scaling").joinpath("published_support.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
