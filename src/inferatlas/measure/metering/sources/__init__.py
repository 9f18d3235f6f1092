"""Interfaces of vendors, operating systems, nodes and racks: one file each.

Every file has ``INTERFACE`` (an `Interface`: what it offers and how to enable it) and ``open_source(address)``, which
returns a `Source` or raises `Unavailable` with the reason. No vendor's package is imported before it is opened.
"""
