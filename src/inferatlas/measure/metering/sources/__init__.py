"""Interfaces of vendors, operating systems, nodes and racks.

Every file that `finding.SOURCES` names has ``INTERFACE`` (an `Interface`: what it offers and how to enable it) and
``open_source(address)``, which returns a `Source` or raises `Unavailable` with the reason; the others help one of them.
No vendor's package is imported before it is opened. `asking.py` has what all of them share.
"""
