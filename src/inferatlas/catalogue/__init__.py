"""Facts with their sources: accelerators, engines, models, prices and carbon (floor 1).

In: the YAML files under ``data/`` (one per accelerator, engine or model; dated rows for prices and carbon), a user's
own YAML of the same form, or a Hugging Face ``config.json``. Out: `Accelerator`, `Engine`, `ModelConfig`, `Price`, ...
with every number in SI and its unit, condition, source and status beside it; conflicting values stay side by side.
Nothing is computed here and nothing unknown is filled in. The facts feed every equation of the performance model;
this floor implements none.

- `fields` says which unit each field takes, `factfile` reads facts from a `Document` (floor 0), which knows its lines.
- `accelerators`, `engines`, `prices`, `carbon` load; `memory` says which memory of a device holds the weights.
- `find` finds an accelerator, a model or an engine where only a name or a file is given.
- `conflicts` lists where sources disagree; `check` is ``inferatlas catalogue check``.
"""

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerator_ids, accelerators, load_accelerator
from inferatlas.catalogue.carbon import (
    Embodied,
    GridIntensity,
    Pue,
    embodied,
    grid_intensities,
    pues,
    water_intensities,
)
from inferatlas.catalogue.conflicts import Conflict, conflicts
from inferatlas.catalogue.engines import Engine, engine_ids, engines, load_engine
from inferatlas.catalogue.facts import Fact, FactSheet
from inferatlas.catalogue.memory import main_memory, main_memory_bytes
from inferatlas.catalogue.prices import Price, prices

__all__ = [
    "Accelerator",
    "Conflict",
    "Embodied",
    "Engine",
    "Fact",
    "FactSheet",
    "GridIntensity",
    "Price",
    "Pue",
    "accelerator_ids",
    "accelerators",
    "conflicts",
    "embodied",
    "engine_ids",
    "engines",
    "grid_intensities",
    "load_accelerator",
    "load_engine",
    "main_memory",
    "main_memory_bytes",
    "prices",
    "pues",
    "water_intensities",
]
