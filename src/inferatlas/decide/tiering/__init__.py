"""Memory beyond the main one: how much larger a model or a context fits, and at which slowdown.

In: a model, an accelerator, tiers and a load. Out: `curve.Tiers`: capacity against slowdown with its knee, the
conditions under which a larger model costs little, and what restoring a cache takes against computing it again.
Equations (28) to (32) of the performance model.
"""
