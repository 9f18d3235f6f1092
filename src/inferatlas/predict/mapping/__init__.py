"""Layouts: enumerate them, check them, fit them into memory.

In: `Operators`, `Device`s, counts. Out: arrays tp, pp, ep, dp, cp with a reason code for each that cannot be
(`layouts.py`, `reasons.py`), memory per device and the largest batch (`memory.py`). Equations (4), (32), (33).
"""
