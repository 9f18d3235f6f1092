"""Workloads, service targets and operating regimes (floor 1).

In: a name, a YAML file, lengths and a load as the user gives them; targets as text.
Out: a `Workload` (mean lengths with their spread, and exactly one load), `ServiceTarget`s and `Regime`s, in SI.

`workload.py` holds the types, `loading.py` reads named lengths strictly from YAML, `making.py` merges them with what
was given explicitly, `targets.py` parses and checks targets. `data/` holds the named ones: only derived numbers
(means, coefficients of variation), each with the source, licence and citation of the trace behind it.

A regime is a declared condition in which accelerators are compared: a workload at several levels of concurrency, the
metric that counts, targets, and the words that grade a score. `regime.py` holds the types and says where the
thresholds of the grades come from, `regimes.py` reads them strictly from YAML, `data/regimes/` holds the eight
conditions of Sharma 2025 (arXiv:2506.00008) with the grades published there. `yaml_fields.py` reads the values of
lengths and regimes strictly from a `Document` (floor 0). `traces.py` reads request traces in the formats of
`trace_formats.py` into arrays (`trace_rows.py`, `trace_values.py`), `rounded.py` finds arrivals that were recorded in
coarse steps.

Requests for a simulator or a load generator are arrays too: `Requests` (`requests.py`), with the prefixes that prompts
share as `Chains` (`chains.py`). `streams.py` makes them from a workload or a trace, `turns.py` makes turns that
wait for each other, `arrivals.py` says when they come, `lengths.py` how long they are, `conversation_files.py` reads
lengths from conversations. Every source of chance has its own seeded stream (`seeds.py`). What needs arrays loads numpy
when it is first used.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from inferatlas.workload.loading import load_workload, workload_names
from inferatlas.workload.making import make_workload
from inferatlas.workload.regime import GRADES, METRICS, Better, Published, Regime
from inferatlas.workload.regimes import in_regime, load_regime, regime_names, regimes
from inferatlas.workload.targets import ServiceTarget, parse_target, parse_targets
from inferatlas.workload.workload import NamedLengths, Workload

if TYPE_CHECKING:
    from inferatlas.workload.arrivals import arrival_times, piecewise
    from inferatlas.workload.chains import Chains
    from inferatlas.workload.conversation_files import read_conversations
    from inferatlas.workload.lengths import Lengths
    from inferatlas.workload.requests import Requests, check_context, ideal_hit_share
    from inferatlas.workload.streams import assign, make_requests, replay
    from inferatlas.workload.traces import Trace, read_trace, trace_workload
    from inferatlas.workload.turns import conversations

_ARRAYS = {
    "Chains": "inferatlas.workload.chains",
    "Lengths": "inferatlas.workload.lengths",
    "Requests": "inferatlas.workload.requests",
    "Trace": "inferatlas.workload.traces",
    "arrival_times": "inferatlas.workload.arrivals",
    "assign": "inferatlas.workload.streams",
    "check_context": "inferatlas.workload.requests",
    "conversations": "inferatlas.workload.turns",
    "ideal_hit_share": "inferatlas.workload.requests",
    "make_requests": "inferatlas.workload.streams",
    "piecewise": "inferatlas.workload.arrivals",
    "read_conversations": "inferatlas.workload.conversation_files",
    "read_trace": "inferatlas.workload.traces",
    "replay": "inferatlas.workload.streams",
    "trace_workload": "inferatlas.workload.traces",
}

__all__ = [
    "GRADES",
    "METRICS",
    "Better",
    "Chains",
    "Lengths",
    "NamedLengths",
    "Published",
    "Regime",
    "Requests",
    "ServiceTarget",
    "Trace",
    "Workload",
    "arrival_times",
    "assign",
    "check_context",
    "conversations",
    "ideal_hit_share",
    "in_regime",
    "load_regime",
    "load_workload",
    "make_requests",
    "make_workload",
    "parse_target",
    "parse_targets",
    "piecewise",
    "read_conversations",
    "read_trace",
    "regime_names",
    "regimes",
    "replay",
    "trace_workload",
    "workload_names",
]


def __getattr__(name: str) -> object:
    if name not in _ARRAYS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_ARRAYS[name]), name)
