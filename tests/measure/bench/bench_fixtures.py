"""Servers to measure: faults written by the test, the mock with its schedule, and a real engine."""

import contextlib
import itertools
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_gguf
from bench_faults import FaultServer
from bench_plans import GOOD
from bench_programs import Llama, Mock
from bench_runs import STEERING, Ran, within, words

SOURCE = Path(__file__).parents[4] / "shared" / "tools" / "mock_openai_server" / "mock_core.c"
NEEDED = ("gguf", "tokenizers", "xllamacpp")


@pytest.fixture
def served() -> Iterator[Callable[..., FaultServer]]:
    """``served(plan, ...)``: a `FaultServer` that is closed after the test."""
    with contextlib.ExitStack() as opened:

        def made(*plans, **how) -> FaultServer:
            server = FaultServer(*plans, **how)
            opened.callback(server.close)
            return server

        yield made


@pytest.fixture
def behind(served: Callable[..., FaultServer]) -> Callable[..., FaultServer]:
    """As ``served``, for a bench of 6 tokens a request: what it asks to get to know the server is answered well."""

    def made(*plans, **how) -> FaultServer:
        return served(*plans, first=GOOD["plain"], tokens=6, **how)

    return made


@pytest.fixture(scope="session")
def mock_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SOURCE.exists():
        pytest.skip("the mock server of ../shared is not here")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("mock") / "mock_core"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    return program


@pytest.fixture
def mock(mock_program: Path, tmp_path: Path) -> Iterator[Callable[..., Mock]]:
    """``mock("--ttft-ms", "20", ...)``: the mock with these flags, ended after the test."""
    numbers = itertools.count()
    with contextlib.ExitStack() as opened:

        def made(*flags: str) -> Mock:
            server = Mock(mock_program, tmp_path / f"mock{next(numbers)}.csv", *flags)
            opened.callback(server.close)
            return server

        yield made


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """llama.cpp's server with a model of random weights, one for all tests."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        pytest.skip(f"packages of a real engine are not installed: {', '.join(missing)}")
    server = Llama(tiny_gguf.write(tmp_path_factory.mktemp("tiny")))
    yield server
    server.close()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ssl.SSLContext]:
    """``tls(host)``: a server's context with a certificate for the host, of the authority in ``tls.authority``."""
    import trustme

    authority = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(path))

    def context(host: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(made)
        return made

    context.authority = path  # type: ignore[attr-defined]
    return context


@pytest.fixture
def bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Ran]:
    """``bench(base_url, "--concurrency", 2, ...)``: a bench of requests of 16 and 6 tokens into a folder of its own."""
    for name in os.environ:
        if name.endswith(STEERING):
            monkeypatch.delenv(name)

    def ran(base_url: str, *given: object) -> Ran:
        output = tmp_path_factory.mktemp("runs")
        code = within(words(base_url, output, *given))
        return Ran(code, *capsys.readouterr(), output)

    return ran
