"""The key of an API is sent where it belongs and found nowhere else: no file of a record, no output, no error."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from bench_faults import Wire, reply
from bench_plans import (
    GOOD,
    SILENT,
    cut,
    echoing,
    echoing_event,
    echoing_event_junk,
    echoing_junk,
    redirected,
)
from bench_runs import Ran, alone, environment, within, words

KEY = "k3y-0f-tests/+=~{not}[to].be(seen)"  # no known beginning, and every kind of character
NAME = "TESTS_OWN_KEY"
LOAD = ("--concurrency", 2, "--requests", 12, "--api-key-env", NAME)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(NAME, KEY)


def texts(folder: Path) -> list[tuple[Path, str]]:
    """All that can be read in a folder: files as they are, and every text of tables."""
    found = []
    for path in folder.rglob("*"):
        found.append((path, str(path)))
        if path.is_file():
            found.append((path, path.read_bytes().decode("latin-1")))
        if path.suffix == ".parquet":
            table = pl.read_parquet(path).select(pl.selectors.string())
            found += [(path, text) for column in table for text in column.drop_nulls()]
    return found


def secret(ran: Ran) -> None:
    """Nothing shows the key: whole, or in part so that it could be guessed."""
    for part in (KEY, KEY[:16], KEY[-16:]):
        assert part not in ran.out and part not in ran.err
        assert [str(path) for path, text in texts(ran.output) if part in text] == []


def test_the_key_is_sent_and_kept_nowhere(behind, bench):
    server = behind(GOOD["plain"], get={"/metrics": metrics})
    ran = bench(server.base_url, *LOAD, "--scrape-interval", "20ms")
    assert ran.code == 0, ran.err
    assert {one.headers.get("authorization") for one in server.requests} == {f"Bearer {KEY}"}
    assert NAME in (ran.folder / "bench.json").read_text(), "its name is kept, so that the bench can go on"
    secret(ran)


def metrics(wire: Wire, asked) -> bool:
    """Metrics with the request's headers in a label and in a comment."""
    told_of = asked.headers.get("authorization", "").replace("\\", "\\\\").replace('"', '\\"')
    text = f'# HELP vllm:num_requests_running {told_of}\nvllm:num_requests_running{{who="{told_of}"}} 1\n'
    wire.send(reply(200, text.encode(), "text/plain"))
    return True


@pytest.mark.parametrize(
    "plan", [echoing(400), echoing(401), echoing(500), echoing_event, echoing_junk, echoing_event_junk]
)
def test_servers_that_repeat_the_headers_in_errors(behind, bench, plan):
    server = behind(GOOD["plain"], plan)
    ran = bench(server.base_url, *LOAD)
    assert ran.record.run["requests"]["completed"] == 6 and sum(ran.record.run["requests"]["failed"].values()) == 6
    secret(ran)


@pytest.mark.parametrize("plan", [echoing(401), echoing_event, echoing_junk, echoing_event_junk])
def test_a_first_request_that_fails_with_the_headers_in_its_error(served, bench, plan):
    ran = bench(served(plan).base_url, *LOAD)
    assert ran.code == 2 and "error" in ran.err
    secret(ran)


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/version", "/props", "/server_info", "/info"])
@pytest.mark.parametrize("status", [200, 401, 500])
def test_other_addresses_of_the_server_that_repeat_the_headers(behind, bench, path, status):
    ran = bench(behind(GOOD["plain"], get={path: echoing(status)}).base_url, *LOAD, "--model", "tiny")
    secret(ran)


def test_a_model_that_has_the_key_as_its_name(behind, bench):
    def named(wire, asked) -> bool:
        wire.send(reply(200, f'{{"data":[{{"id":"{asked.headers.get("authorization", "")}"}}]}}'.encode()))
        return True

    secret(bench(behind(GOOD["plain"], get={"/v1/models": named}).base_url, *LOAD, "--model", "tiny"))


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/metrics", "/version"])
def test_the_key_goes_to_no_other_server(behind, served, bench, path):
    elsewhere = served(GOOD["plain"])
    server = behind(GOOD["plain"], get={path: redirected(elsewhere.base_url + path)})
    ran = bench(server.base_url, *LOAD, "--model", "tiny")
    assert not [one for one in (*elsewhere.requests, *elsewhere.others) if "authorization" in one.headers]
    secret(ran)


def test_what_lies_there_while_it_runs(behind, tmp_path, capsys):
    """Journals too, as a kill would leave them."""

    def plan(wire, asked) -> bool:
        if asked.number == 8:
            (folder,) = (path.parent for path in tmp_path.glob("runs/*/bench.json"))
            shutil.copytree(folder, tmp_path / "copy")
        return (GOOD["plain"] if asked.number % 2 else echoing(500))(wire, asked)

    server = behind(plan, get={"/metrics": metrics})
    given = words(server.base_url, tmp_path / "runs", *LOAD, "--scrape-interval", "20ms")
    assert within(given) == 0 and (tmp_path / "copy" / "c2" / "requests.journal").exists()
    secret(Ran(0, *capsys.readouterr(), tmp_path))


def test_a_resumed_bench_takes_the_key_from_the_environment_again(behind, tmp_path, monkeypatch, capsys):
    copied = tmp_path / "copy"

    def plan(wire, asked) -> bool:
        if asked.number == 6 and not copied.exists():
            (folder,) = (path.parent for path in tmp_path.glob("runs/*/bench.json"))
            shutil.copytree(folder, copied)
        return GOOD["plain"](wire, asked)

    server = behind(plan)
    assert within(words(server.base_url, tmp_path / "runs", *LOAD)) == 0
    many = len(server.requests)
    shutil.copytree(copied, tmp_path / "again")
    assert within(["bench", "run", "--resume", str(copied)]) == 0
    assert {one.headers["authorization"] for one in server.requests[many:]} == {f"Bearer {KEY}"}
    monkeypatch.delenv(NAME)
    assert within(["bench", "run", "--resume", str(tmp_path / "again")]) == 2
    out, err = capsys.readouterr()
    assert NAME in err
    secret(Ran(2, out, err, tmp_path))


def test_failures_of_the_connection_tell_nothing(behind, bench):
    server = behind(cut(2), SILENT["stalled in the middle"][0], cut(0, Wire.reset))
    secret(bench(server.base_url, *LOAD, "--requests", 6, "--stall-timeout", "100ms", "--timeout", "500ms"))


@pytest.mark.parametrize(
    "address",
    [f"http://me:{KEY.replace('/', '')}@127.0.0.1:1", f"http://127.0.0.1:1/v1?key={KEY}", f"http://127.0.0.1:1/#{KEY}"],
)
def test_keys_in_addresses_are_refused_and_not_repeated(bench, address):
    ran = bench(address, *LOAD)
    assert ran.code == 2 and "api-key-env" in ran.err and KEY[:8] not in ran.err + ran.out


def test_keys_on_the_command_line_are_not_kept(behind, tmp_path):
    """A process of its own, since the record tells the command that began it."""
    server = behind(GOOD["plain"])
    given = words(server.base_url, tmp_path, *LOAD, "--note", f"Authorization: Bearer {KEY}")
    ran = alone(given, tmp_path, **{NAME: KEY})
    assert ran.code == 0, ran.err
    assert KEY not in ran.record.run["command"] and KEY not in str(ran.record.run["environment"])


def test_defects_tell_nothing(behind, tmp_path, monkeypatch):
    """A traceback, where somebody asks for it, does not print what a header holds."""
    server = behind(GOOD["plain"])
    code = (
        "import sys\nfrom inferatlas.measure.bench.client import sending\n"
        "def broken(*_, **__): raise RuntimeError('a defect')\nsending.Sender._start = broken\n"
        "from inferatlas.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code, *words(server.base_url, tmp_path, *LOAD)], capture_output=True, text=True,
        timeout=60, env=environment(INFERATLAS_DEBUG="1", **{NAME: KEY}), check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "a defect" in done.stderr
    secret(Ran(1, done.stdout, done.stderr, tmp_path))
