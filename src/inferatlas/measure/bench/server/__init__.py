"""The other side of a bench: the server that is loaded, its engine's own figures, and the machine that asks.

In: a base URL as people type it. Out: an `Endpoint` (`address.py`), the `Engine` behind it (`identify.py`, with
`engines.py` and `models.py`), a journal of its /metrics while load runs (`scraping.py`; which series mean what:
`series.py`) and the tables made of that (`tables.py`), the manifest of this machine (`environment.py`, `masking.py`).
"""
