"""Power and energy of real devices, with uncertainty.

In: sources (`source.py`; one file per interface under `sources/`) or a recorded log (`logs/`). Out: `Energy`, joules
with the terms of their uncertainty, method, scope and validity.

A reading on its way: a `Source` reads its `Channel`s (what a number means), the `Sampler` keeps time and writes every
reading down (`kept.py` holds it until then); `counters.py` and `powers.py` integrate one channel over a window by what
it means (`judging.py`: what makes it invalid), `windows.py` chooses between the channels of a device, holds them
against each other and adds devices that may be added. `meter.py` is the door from Python, `running.py` and
`watching.py` those of the commands, `live.py` and `exporter.py` what is seen meanwhile, `reporting.py` what is said at
the end; `accounting/` shares energy out.
Method and tables: reference/energy.md, sections 2 to 6.
"""
