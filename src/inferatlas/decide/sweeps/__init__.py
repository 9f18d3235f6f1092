"""Sweeps of one quantity: where the best accelerator changes, how sure that is, and where what binds changes.

In: a model, accelerators, what is swept. Out: `Crossovers`. ``grids`` gives the values, ``swept`` predicts them,
``crossings`` finds where curves cross (pure functions on arrays), ``crossover`` puts it together in ``crossovers``.
"""
