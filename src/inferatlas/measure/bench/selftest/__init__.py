"""What the client can do on this machine: `bench selftest`.

In: how many streams. Out: the client's errors against a schedule that is known, what it costs, its ceiling, and up to
how many streams a run from here may be believed. `server.py` is the built-in mock (with `wire.py`, what it reads and
writes, and `account.py`, how late it was), `child.py` runs it in a process of its own, `testing.py` drives the client
against it, `found.py` holds what came out.
"""
