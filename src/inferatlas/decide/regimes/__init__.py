"""The fitness matrix: every accelerator in every operating regime of Sharma 2025, or in regimes of one's own.

In: a model, regimes (`workload.Regime`), accelerators; models to compare with. Out: `Fitness`. ``fitness`` puts the
matrix together, ``asking`` says which model a regime asks, ``measures`` takes a regime's metric of every design,
``cells`` grades and explains, ``swapping`` charges models that take turns in memory, ``disagreement`` says why a
published grade is another one, ``against`` whether another model has another order (``ranks``), ``result`` holds it.
"""
