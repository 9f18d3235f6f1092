"""Run the real command in this process: ``cli("predict", "--model", ...)`` -> exit code, stdout, stderr."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from inferatlas.cli.main import run


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out, parse_constant=_no_constant)

    def refused(self, message: str, code: int = 2) -> None:
        """An error of one message on stderr, nothing else, and the exit code that belongs to it."""
        assert self.code == code, self
        assert message.lower() in self.err.lower()
        assert self.err.startswith("error: ") and self.out == "" and "Traceback" not in self.err


def _no_constant(name: str) -> float:
    raise AssertionError(f"JSON holds {name}")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def ran(*words: str) -> Ran:
        code = run(words)
        return Ran(code, *capsys.readouterr())

    return ran
