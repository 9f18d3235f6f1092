"""What energy was for: idle time, requests, tokens, phases, steps, slices; and what it emits and costs.

In: `Energy` of windows, counts, steps, grids of runs. Out: shares with their uncertainty. `attribution.py` takes idle
off and divides by requests and tokens; `steps.py` and `lengths.py` (grids read by `grid_files.py`) tell prefill from
decode; `footprint.py` gives carbon, water and cost, over a series of the grid where `intensity.py` reads one.
Reference: energy.md, sections 5.3, 6 and 9.
"""
