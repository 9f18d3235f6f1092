"""Scaling strategies side by side: one model on so many accelerators, spread in every way there is.

In: a model, an accelerator, a count, a load. Out: `Scaling`. ``strategies`` says which layouts each strategy has,
``compare`` searches and orders them, ``placed`` says everything of one, ``support`` how well machine and engine
support it, ``expert_choice`` when experts are better spread than divided. Equations (16), (26), (27).
"""
