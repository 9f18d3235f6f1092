"""Work in a process of its own, so that the memory that it takes is gone when it is done.

A bench loads an endpoint point after point with a few dozen MB; what evaluates a point loads tables and takes some 200.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

TABLES = "polars"  # has threads of its own once it is loaded, which a copy of the process would lack


def apart(work: Callable[[], Any]) -> Any:
    """What some work gives, done in a copy of this process; in this one where copies are not safe.

    Raises
    ------
    Exception : what the work raises; RuntimeError where the copy was killed.

    Examples
    --------
    >>> apart(lambda: {"sum": 1 + 1})
    {'sum': 2}
    """
    if not sys.platform.startswith("linux") or TABLES in sys.modules:
        return work()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, theirs), daemon=False)
    process.start()
    theirs.close()
    try:
        found, error = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the evaluation was ended from outside (exit status {process.exitcode})") from None
    process.join()
    if error is not None:
        raise error
    return found


def _do(work: Callable[[], Any], answer: Connection) -> None:
    try:
        answer.send((work(), None))
    except Exception as error:
        answer.send((None, error))
