"""Logs of readings: in memory, growing on disk, as tables, and those of other tools.

In: readings, files. Out: a `Log`, channel by channel on one clock. `journal.py` is the form while it grows; `tables.py`
the form for keeping (Parquet, CSV) and the door to every file: `tables_read.py` and `tables_rows.py` read our own and
plain ones, `formats.py` and its helpers those of vendors' tools, PDUs and analysers (`formats_tools.py` is the table of
what their columns mean). `moments.py` says what ``--from`` and ``--to`` mean.
"""
