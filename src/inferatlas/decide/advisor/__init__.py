"""The advisor: search every design, filter by targets and budgets, rank, and say why not the others.

In: a model, a workload, service targets, limits. Out: `Recommendation` (ranked candidates with metrics,
probability of meeting the target, memory, launch command; rejected accelerators with reasons; Pareto set;
what flips the winner). ``search`` evaluates, ``judge`` applies targets and budgets, ``rank`` orders,
``why_not`` explains, ``sensitivity`` flips, ``launch`` writes command lines.
"""
