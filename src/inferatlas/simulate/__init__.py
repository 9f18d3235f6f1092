"""The serving simulator (floor 4): request by request, faster than requests are worth waiting for.

In: requests (`workload.Requests`) and a fleet (`fleet.py`) whose step times come from `predict` (`law.py`, filled by
`tabulating.py`). Out: times of every request, percentiles, energy and a run record. Equations (10), (12), (42) to (46),
(48) and (49) of the reference.

A question on its way: `deployment.py` and `profiles.py` read what is asked, `sending.py` makes the requests,
`building.py` the fleet, `asking.py` puts both together; `running.py` lays the arrays out and turns the event loop
(`kernel/`, compiled); `outcome.py` says what came of it, `record.py` writes it down, `answering.py` judges it.
`comparing.py` and `limits.py` ask the same question in several ways and at several loads; `cases.py` scores runs that
were measured.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The command and the package share a name, so the package answers when it is called."""

    def __call__(self, *args: Any, replications: int = 1, **kwargs: Any) -> Any:
        """``inferatlas.simulate(model, accelerator, ...)``: see `inferatlas.simulate.asking.question`.

        >>> import inferatlas
        >>> found = inferatlas.simulate("llama-3.1-8b", "h100", isl=1024, osl=256, request_rate=6.0, requests=200)
        >>> found.outcome.completed
        200
        """
        from inferatlas.simulate.answering import simulate
        from inferatlas.simulate.asking import question

        return simulate(question(*args, **kwargs), replications=replications)[0]


sys.modules[__name__].__class__ = _Callable
