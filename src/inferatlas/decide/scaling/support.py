"""How well an accelerator and its engine support a scaling strategy, and what a study says of it."""

from __future__ import annotations

from typing import Any

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.engines import load_engine
from inferatlas.decide.scaling.strategies import Strategy, published_support
from inferatlas.errors import InferAtlasError
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.platforms import supported_engines
from inferatlas.predict.replicas import Layout

NAMES = {"tp": "tensor", "pp": "pipeline", "ep": "expert", "cp": "context"}


def of(platform: Platform, strategy: Strategy, layout: Layout | None) -> dict[str, Any]:
    """``level`` full, limited, unknown or none, with ``why``; ``flags`` of the engine; the ``published`` words if any.

    Limited: the engine is experimental there, does not offer a part of the strategy, or a group that exchanges at every
    layer leaves the scale-up domain. Unknown: nothing is known of the engine's offer. None: there is no such layout.
    """
    said = published_support()
    words = said["strategies"].get(strategy.published or "", {}).get(platform.device.id)
    out: dict[str, Any] = {"published": words, "source": said["source"] if words else None}
    if layout is None:
        return out | {"level": "none", "why": "no such layout", "flags": {}}
    level, why, flags = "full", [], {}
    for name in _parts(layout, platform.device.engine_devices):
        flag = load_engine(platform.engine.name).strategy(name)
        flags[name] = flag
        if flag == "no":
            level = "limited"
            why.append(f"{platform.engine.name} does not offer {name} parallelism")
        elif flag is None and level == "full" and platform.engine.name != "native":
            level = "unknown"
            why.append(f"whether {platform.engine.name} offers it ({name}) is not in the catalogue")
    part = platform.device
    group = max(layout.tp * layout.cp * part.engine_devices, layout.ep)
    if group > part.domain * part.engine_devices:
        level = "limited"
        why.append(f"groups of {group} leave the scale-up domain of {part.domain}")
    if _experimental(platform):
        level = "limited"
        why.append(f"{platform.engine.name} is experimental on {part.id}")
    return out | {"level": level, "why": "; ".join(why), "flags": flags}


def _parts(layout: Layout, dies: int) -> list[str]:
    """The kinds of parallelism that a layout asks of an engine; replicas behind a router ask nothing of it."""
    used = [name for field, name in NAMES.items() if getattr(layout, field) > 1]
    if layout.ep > layout.tp * dies:  # experts spread over replicas, whose attention is data-parallel within one engine
        used.append("data")
    return [*used, "offload"] if layout.offload > 0 else used


def _experimental(platform: Platform) -> bool:
    try:
        known = load_accelerator(platform.device.id)
    except InferAtlasError:  # a file of one's own: what it says was asked when it was bound
        return False
    return supported_engines(known).get(platform.engine.name) == "experimental"
