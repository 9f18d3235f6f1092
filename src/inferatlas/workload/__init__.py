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
`trace_formats.py` into arrays, `rounded.py` finds arrivals that were recorded in coarse steps.
"""

from inferatlas.workload.loading import load_workload, workload_names
from inferatlas.workload.making import make_workload
from inferatlas.workload.regime import GRADES, METRICS, Better, Published, Regime
from inferatlas.workload.regimes import in_regime, load_regime, regime_names, regimes
from inferatlas.workload.targets import ServiceTarget, parse_target, parse_targets
from inferatlas.workload.workload import NamedLengths, Workload

__all__ = [
    "GRADES",
    "METRICS",
    "Better",
    "NamedLengths",
    "Published",
    "Regime",
    "ServiceTarget",
    "Workload",
    "in_regime",
    "load_regime",
    "load_workload",
    "make_workload",
    "parse_target",
    "parse_targets",
    "regime_names",
    "regimes",
    "workload_names",
]
