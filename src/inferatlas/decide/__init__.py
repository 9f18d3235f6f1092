"""The advisor and the laboratory: what to buy, and why things are as they are.

In: models, workloads, traces, targets, limits. Out: ranked answers, and why not the others; grades, comparisons,
sweeps. Rooms from the ground up: ``coverage`` (what the calibration covers, in one line), ``advisor`` (every design
evaluated, judged, ranked, explained), ``fleet`` (each accelerator at the size a model needs), on it ``regimes`` (the
fitness matrix), ``scaling`` (strategies side by side), ``disaggregation`` (prefill apart from decode, shared pools),
``sweeps`` (where the best accelerator changes) and ``variability`` (how much latency varies, and why; measured
``visits`` of experts); ``profiles`` follows a trace through all of them. Uses what ``predict`` computes; of its own it
has only orders, grades and words.
"""
