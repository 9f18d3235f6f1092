"""The serving simulator (floor 4): request by request, faster than requests are worth waiting for.

In: requests (`workload.Requests`) and a fleet (`fleet.py`) whose step times come from `predict` (`law.py`). Out: times
of every request, percentiles, energy and a run record. `kernel/` is the event loop, compiled by numba; `running.py`
lays the arrays out and turns it. Equations (10), (12), (42) to (46), (48) and (49) of the reference.
"""
