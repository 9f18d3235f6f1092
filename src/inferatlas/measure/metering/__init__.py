"""Power and energy of real devices, with uncertainty.

In: sources (`source.py`; one file per vendor interface under `sources/`) or a recorded log. Out: `Energy`, joules with
the terms of their uncertainty, method, scope and validity.

A reading on its way: a `Source` reads its `Channel`s (what a number means), the `Sampler` keeps time and writes every
reading down (`log.py`, on disk `journal.py`), `counters.py` and `powers.py` integrate one channel over a window,
`windows.py` chooses between the channels of a device, holds them against each other and adds devices that may be
added. `meter.py` is the door from Python. `attribution.py` and `lengths.py` share energy out over phases, requests and
tokens; `footprint.py` turns it into carbon, water and cost. `tables.py` and `formats.py` read logs of other tools.
Method and tables: reference/energy.md, sections 2 to 6.
"""
