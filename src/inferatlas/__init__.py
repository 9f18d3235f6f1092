"""inferatlas: which accelerator, how many and in which layout for a language model, and how sure that is.

The names below are the commands: ``inferatlas.recommend(...)`` answers what ``inferatlas recommend`` does.
Nothing is imported until it is used.

>>> import inferatlas
>>> inferatlas.predict("llama-3.1-8b", "nvidia-h100-sxm", concurrency=1, isl=128, osl=128).bound
'memory_bandwidth'
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from inferatlas import measure, predict, simulate
    from inferatlas.catalogue.accelerators import accelerators, load_accelerator
    from inferatlas.catalogue.models import load_model, models
    from inferatlas.decide.advisor.explore import explore
    from inferatlas.decide.advisor.recommend import recommend
    from inferatlas.decide.disaggregation.compare import disaggregate
    from inferatlas.decide.disaggregation.pool import pool
    from inferatlas.decide.ownership.own import own
    from inferatlas.decide.ownership.owner import Owner
    from inferatlas.decide.profiles.profile import profile
    from inferatlas.decide.regimes.fitness import fitness as regimes
    from inferatlas.decide.scaling.compare import scale
    from inferatlas.decide.sweeps.crossover import crossover
    from inferatlas.decide.tiering.curve import tiers
    from inferatlas.decide.variability import variability as variance
    from inferatlas.decide.whatif.whatif import whatif

_NAMES = {
    "accelerators": ("inferatlas.catalogue.accelerators", "accelerators"),
    "crossover": ("inferatlas.decide.sweeps.crossover", "crossover"),
    "disaggregate": ("inferatlas.decide.disaggregation.compare", "disaggregate"),
    "explore": ("inferatlas.decide.advisor.explore", "explore"),
    "load_accelerator": ("inferatlas.catalogue.accelerators", "load_accelerator"),
    "load_model": ("inferatlas.catalogue.models", "load_model"),
    "models": ("inferatlas.catalogue.models", "models"),
    "own": ("inferatlas.decide.ownership.own", "own"),
    "Owner": ("inferatlas.decide.ownership.owner", "Owner"),
    "pool": ("inferatlas.decide.disaggregation.pool", "pool"),
    "profile": ("inferatlas.decide.profiles.profile", "profile"),
    "recommend": ("inferatlas.decide.advisor.recommend", "recommend"),
    "regimes": ("inferatlas.decide.regimes.fitness", "fitness"),
    "tiers": ("inferatlas.decide.tiering.curve", "tiers"),
    "scale": ("inferatlas.decide.scaling.compare", "scale"),
    "variance": ("inferatlas.decide.variability", "variability"),
    "whatif": ("inferatlas.decide.whatif.whatif", "whatif"),
}
__all__ = [
    "Owner", "__version__", "accelerators", "crossover", "disaggregate", "explore", "load_accelerator", "load_model",
    "measure", "models", "own", "pool", "predict", "profile", "recommend", "regimes", "scale", "simulate", "tiers",
    "variance", "whatif",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in ("measure", "predict", "simulate"):  # packages; the latter two answer when they are called
        return _import_module(f"inferatlas.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module 'inferatlas' has no attribute '{name}'")
    module, attribute = _NAMES[name]
    return getattr(_import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
