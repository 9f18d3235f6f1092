"""Operator time, collectives, steps, TTFT, ITL, throughput, power and intervals.

In: `Operators` of a model, `Platform`s (device + engine + precision + coefficients), `Points` (struct of
arrays). Out: `Predictions` (struct of arrays). One code path for one question and a million.
Equations (7) to (12), (16) to (29), (33) to (40), (42) to (47), (54); the plain roofline of section 16. ``under_load``
and ``variance`` look at predictions again: what they are spent on, and what makes them vary.
Coefficients are data beside this code: priors with origin and range (`priors.json`), moved by what was learned from
measured points (`calibration/`).
"""
