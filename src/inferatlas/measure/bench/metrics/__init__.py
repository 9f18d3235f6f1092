"""Numbers of a record: the metrics of reference/load-generation.md, section 2, their intervals, and the verdict.

In: `requests.parquet` as arrays (`timings.py`, `reading.py`). On the way: gaps between tokens (`gaps.py`), tokens over
time (`flow.py`), the steady window (`steady.py`), the load that was delivered (`delivered.py`), targets kept
(`goodput.py`), intervals (`intervals.py`, `tails.py`). Out: `measured.Metrics`, whose terms are explained in
`definitions.py`; the verdict on the run (`validity.py`); several runs together (`repeats.py`).
"""
