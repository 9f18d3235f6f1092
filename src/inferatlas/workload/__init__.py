"""Workloads and service targets (floor 1).

In: a name, a YAML file, lengths and a load as the user gives them; targets as text.
Out: a `Workload` (mean lengths with their spread, and exactly one load) and `ServiceTarget`s, in SI.

`workload.py` holds the types, `loading.py` reads profiles strictly from YAML, `making.py` merges a profile with
what was given explicitly, `targets.py` parses and checks targets. `data/` holds the named profiles: only derived
numbers (means, coefficients of variation), each with the source, licence and citation of the trace behind it.
"""

from inferatlas.workload.loading import load_workload, workload_names
from inferatlas.workload.making import make_workload
from inferatlas.workload.targets import ServiceTarget, parse_target, parse_targets
from inferatlas.workload.workload import Profile, Workload

__all__ = [
    "Profile",
    "ServiceTarget",
    "Workload",
    "load_workload",
    "make_workload",
    "parse_target",
    "parse_targets",
    "workload_names",
]
