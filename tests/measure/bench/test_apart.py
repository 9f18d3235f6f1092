"""Work in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
from inferatlas.errors import BadInput
from inferatlas.measure.bench.apart import apart

def load():
    import polars
    return os.getpid()

assert apart(load) != os.getpid() and "polars" not in sys.modules

def refuse():
    raise BadInput("no room", field="output", allowed="some")

try:
    apart(refuse)
except BadInput as error:
    assert (error.field, error.allowed) == ("output", "some")
else:
    raise SystemExit("was not raised")

try:
    apart(lambda: os.kill(os.getpid(), 9))
except RuntimeError as error:
    assert "-9" in str(error)
import polars
assert apart(load) == os.getpid()
"""


def test_memory_of_the_work_is_not_ours_and_its_errors_are() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
