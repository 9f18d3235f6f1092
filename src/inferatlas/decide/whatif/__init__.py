"""Hypothetical devices: what each parameter of one buys, beside another device, and the front of a family.

In: an accelerator (a name, or a file of one's own), a model, a load, and another accelerator or ranges of facts. Out:
both deployments; elasticities, exact by forward-mode differentiation (`predict.performance.parameters`), what a tenth
more of each parameter does, per watt and per dollar; every member of a family with its Pareto front. Equations (7),
(39), (51) and (54).
"""
