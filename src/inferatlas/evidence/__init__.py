"""Evidence: measured points, what is learned from them and how well predictions meet them (floor 3).

In: tables of measured points (the schema is in `table`), and the public formats that `importers` reads. Out:
coefficients with intervals (`calibration`), scores (`validation`) and the scoreboard beside baselines (`accuracy`), the
measured points nearest to a question (`near`). A row becomes a question to the predictor in `questions`; what is fitted
is in `observations`, how in `hierarchy` (partial pooling) and `fitting`, interval widths in `intervals`.
What makes a run steady, simulated or measured, is in `steady`.
Implements section 14 and equation (54) of the performance model; the method is told in docs/calibration.md.
"""
