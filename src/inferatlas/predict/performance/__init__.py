"""Operator time, collectives, steps, TTFT, ITL, throughput, power and intervals.

In: `Operators` of a model, `Platform`s (device + engine + precision + coefficients), `Points` (struct of
arrays). Out: `Predictions` (struct of arrays). One code path for one question and a million.
Equations (5) to (7), (10), (12), (15) to (19), (21) to (32), (34) to (36), (39), (40), (42), (44) to (49) and (54),
each in the form that predictions use; other closed forms, the plain roofline among them, are in `predict/handbook`.
``under_load`` and ``variance`` look at predictions again: what they are spent on, and what makes them vary. ``pools``
runs one phase alone; ``parameters`` differentiates predictions by what a device has (``dual``).
Coefficients are data beside this code: priors with origin and range (`priors.json`), moved by what was learned from
measured points (`calibration/`).
"""
