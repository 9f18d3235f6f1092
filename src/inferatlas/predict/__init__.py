"""The model of the world: what a model on a device under a load will do, with how much certainty.

Five rooms in a row, each importing only those before it: ``llm`` (a model as operators), ``hardware`` (a
device as rates), ``mapping`` (layouts and memory), ``performance`` (times, throughput, power, intervals),
``cost`` (money and carbon). On top, ``platforms`` binds names of the catalogue into platforms, ``replicas``
chooses the layout that was left open, ``placing`` what waits in slower memory, ``techniques`` reads how a model is
served beyond its layout, and ``question`` answers one question in words. Arrays in, arrays out;
equations (1) to (54). Beside them, ``handbook`` keeps the closed forms that no prediction uses.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The command and the package share a name, so the package answers when it is called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``inferatlas.predict(model, accelerator, ...)``: see `inferatlas.predict.question.ask`."""
        from inferatlas.predict.question import ask

        return ask(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
