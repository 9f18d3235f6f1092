"""A run that is killed at any moment and gone on with has every request exactly once."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_faults import FaultServer, prompts_asked, reply
from bench_plans import GOOD, dripping, streamed, told
from bench_runs import Ran, Record, alone, environment, killed, within, words

KILLS, CLIENTS, TOKENS = 20, 4, 6
SLOWLY = streamed(told, gap_s=0.004)


def whole(record: Record, count: int) -> None:
    rows = record.table()
    assert rows["id"].sort().to_list() == list(range(count)), "every request exactly once"
    assert set(rows["status"]) == {"done"} and set(rows["output_tokens"]) == {TOKENS}
    assert record.run["requests"] == {"sent": count, "completed": count, "failed": {}}
    assert rows["prompt"].n_unique() == count
    assert rows.sort("sent_s")["segment"].is_sorted(), "starts follow each other"
    assert (rows["token_s"].list.min() >= rows["sent_s"]).all() and (rows["itl_s"] > 0).all()
    assert not list(record.folder.glob("*.journal")) and not list(record.folder.glob("*.tmp*"))


def test_killed_twenty_times(behind, tmp_path):
    """Two points of 160 requests, by SIGKILL within the first second or so of each start, then let be.

    The server sees which request was asked how often: a kill costs those in flight and no others.
    """
    count = 160
    server = behind(SLOWLY)
    given = words(server.base_url, tmp_path, "--concurrency", CLIENTS, "--requests", count, "--repeat", 2)
    chance = random.Random(8)
    kills = 0
    while not list(tmp_path.glob("*/bench.json")):  # the first may come before there is anything
        kills += killed(given, chance.uniform(0.4, 1.2))
    (folder,) = (path.parent for path in tmp_path.glob("*/bench.json"))
    again = ["bench", "run", "--resume", str(folder), "--format", "json"]
    while kills < KILLS and killed(again, chance.uniform(0.1, 1.2)):
        kills += 1
    ran = alone(again, tmp_path)
    assert ran.code == 0, ran.err
    assert [record.folder.name for record in ran.records] == ["c4", "c4-2"]
    for record in ran.records:
        whole(record, count)
    asked = prompts_asked(server.requests)
    assert len(asked) == 2 * count
    assert sum(asked.values()) - len(asked) <= (kills + 1) * CLIENTS, "nothing that was measured is asked again"


# What a kill leaves is what lies in the folder at that moment: here it is copied while the run goes on.


def metrics(wire, asked) -> bool:
    text = f'vllm:num_requests_running{{model_name="tiny"}} {asked.number % 4}\n'
    wire.send(reply(200, text.encode(), "text/plain; version=0.0.4"))
    return True


class Copying:
    """A server that copies the bench's folder when it is asked for the n-th time."""

    def __init__(self, behind, output: Path, moments: list[int]) -> None:
        self.copies: list[Path] = []

        def plan(wire, asked) -> bool:
            if asked.number in moments:
                (folder,) = (path.parent for path in output.glob("runs*/*/bench.json"))
                copy = output / f"copy{asked.number}"
                shutil.copytree(folder, copy)
                self.copies.append(copy)
            return SLOWLY(wire, asked)

        self.server: FaultServer = behind(plan, get={"/metrics": metrics})


@pytest.fixture
def copied(behind, tmp_path) -> Path:
    """A bench of 40 requests in the state in which a kill after 20 would leave it."""
    copying = Copying(behind, tmp_path, [20])
    given = words(copying.server.base_url, tmp_path / "runs", "--concurrency", CLIENTS, "--requests", 40)
    assert within([*given, "--scrape-interval", "20ms"]) == 0
    return copying.copies[0]


def go_on(folder: Path) -> int:
    return within(["bench", "run", "--resume", str(folder), "--format", "json"])


def test_what_is_left_at_many_moments_is_gone_on_with(behind, tmp_path):
    """After the first request, some, all; in the second point the first is whole."""
    copying = Copying(behind, tmp_path, [0, 7, 39, 40, 55])
    load = ("--concurrency", CLIENTS, "--requests", 40, "--repeat", 2)
    assert within(words(copying.server.base_url, tmp_path / "runs", *load)) == 0
    assert len(copying.copies) == 5
    for copy in copying.copies:
        assert go_on(copy) == 0
        for name in ("c4", "c4-2"):
            whole(Record(copy / name), 40)


@pytest.mark.parametrize("name", ["requests.journal", "server.journal"])
@pytest.mark.parametrize("left", ["torn", "empty", "a torn first line", "one line", "no file"])
def test_a_journal_that_was_torn_is_gone_on_with(copied, name, left):
    """The last line half written; a file that was made and not yet written; its first line half written."""
    journal = copied / "c4" / name
    content = journal.read_bytes()
    first = content.index(b"\n") + 1
    kept = {"torn": content[:-7], "empty": b"", "a torn first line": content[:9], "one line": content[:first]}
    if left == "no file":
        journal.unlink()
    else:
        journal.write_bytes(kept[left])
    assert go_on(copied) == 0
    record = Record(copied / "c4")
    whole(record, 40)
    assert set(record.table("server")["running"].drop_nulls()) <= {0.0, 1.0, 2.0, 3.0}


def test_a_journal_that_is_damaged_within_is_refused(copied, capsys):
    """Not what a kill leaves: no number is made of it."""
    journal = copied / "c4" / "requests.journal"
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([*lines[:3], b"{oops", *lines[3:]]))
    capsys.readouterr()
    assert go_on(copied) == 2
    told = capsys.readouterr().err
    assert f"{journal}:4" in told and "Traceback" not in told


def test_going_on_with_what_is_whole_changes_nothing(behind, bench, capsys):
    server = behind(GOOD["plain"])
    ran = bench(server.base_url, "--concurrency", 2, "--requests", 10)
    before = {path: path.read_bytes() for path in ran.record.folder.iterdir()}
    assert go_on(ran.folder) == 0
    assert Ran(0, capsys.readouterr().out, "", ran.output).json()["runs"] == ran.json()["runs"]
    assert {path: path.read_bytes() for path in ran.record.folder.iterdir()} == before
    assert len(server.requests) == 10


def started(server: FaultServer, output: Path, count: int, clients: int, asked: int) -> subprocess.Popen:
    """A bench as a process of its own, which has asked so many requests."""
    given = words(server.base_url, output, "--concurrency", clients, "--requests", count)
    process = subprocess.Popen(
        [sys.executable, "-m", "inferatlas", *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip
    until = time.monotonic() + 30
    while len(server.requests) < asked and time.monotonic() < until:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_bench_that_is_stopped_in_order_says_so_and_goes_on(behind, tmp_path, sign):
    """What is in flight is told as interrupted, the exit code is 130, and the rest is done later."""
    process = started(behind(streamed(told, gap_s=0.03)), tmp_path, 24, CLIENTS, asked=10)
    process.send_signal(sign)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "--resume" in err and "Traceback" not in err
    ran = Ran(130, out, err, tmp_path)
    requests = ran.record.run["requests"]
    (interrupted,) = requests["failed"].values()
    assert requests["failed"] == {"interrupted": interrupted} and 1 <= interrupted <= CLIENTS
    assert requests["sent"] == requests["completed"] + interrupted < 24
    assert go_on(ran.folder) == 0
    whole(ran.record, 24)


def silent(wire, asked) -> bool:
    return wire.hang()


@pytest.mark.parametrize("warmup", [0, 2], ids=["first requests", "warm-up"])
def test_a_bench_can_be_stopped_before_anything_counts(tmp_path, warmup):
    """A server that says nothing to the first requests, or to those of the warm-up, is not waited for."""
    first = GOOD["plain"] if warmup else silent
    server = FaultServer(silent, tokens=TOKENS, first=first)
    given = words(server.base_url, tmp_path, "--concurrency", 2, "--requests", 8, "--warmup", warmup)
    process = subprocess.Popen(
        [sys.executable, "-m", "inferatlas", *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip
    until = time.monotonic() + 30
    while not (server.requests if warmup else server.others[3:]) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    server.close()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert ("--resume" in err) == bool(list(tmp_path.iterdir()))


def test_what_is_half_written_does_not_keep_a_disk_full(behind, tmp_path, monkeypatch):
    """The disk is full when the tables are written: the journal stays, and nothing that is half a table."""
    import polars as pl

    def full(self: pl.DataFrame, file: Path, **_: object) -> None:
        file.write_bytes(b"half")
        raise OSError("No space left on device (os error 28)")  # as Polars says it, without a number

    given = words(behind(SLOWLY).base_url, tmp_path, "--concurrency", CLIENTS, "--requests", 8)
    with monkeypatch.context() as patch:
        patch.setattr(pl.DataFrame, "write_ipc", full)
        assert within(given) == 2
    (folder,) = tmp_path.glob("*/c4")
    assert {one.name for one in folder.iterdir()} == {"requests.journal"}
    assert go_on(folder.parent) == 0
    whole(Record(folder), 8)


def test_a_disk_that_is_full_is_said_and_what_was_measured_stays(behind, tmp_path, capsys):
    """No file may become larger than 8 kB: as if the disk were full."""
    given = words(behind(SLOWLY).base_url, tmp_path, "--concurrency", CLIENTS, "--requests", 40)
    limits = "import resource as r, sys; r.setrlimit(r.RLIMIT_FSIZE, (8192, r.RLIM_INFINITY))\n"
    code = f"{limits}from inferatlas.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *given], capture_output=True, text=True, timeout=60,
        env=environment(NUMBA_DISABLE_JIT="1", PYTHONDONTWRITEBYTECODE="1"), check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "cannot be written" in done.stderr and "Traceback" not in done.stderr
    (journal,) = tmp_path.glob("*/c4/requests.journal")
    assert f"--resume {journal.parent.parent}" in done.stderr
    assert 0 < journal.stat().st_size <= 8192 and journal.read_bytes().endswith(b"\n"), "whole lines only"
    assert go_on(journal.parent.parent) == 0
    whole(Record(journal.parent), 40)
    capsys.readouterr()


def test_two_programs_do_not_write_one_bench(behind, tmp_path, capsys):
    process = started(behind(dripping), tmp_path, 3, 1, asked=1)
    try:
        (folder,) = (path.parent for path in tmp_path.glob("*/bench.json"))
        assert go_on(folder) == 2
    finally:
        process.kill()
        process.communicate()
    assert "another program" in capsys.readouterr().err


def test_no_bench_there(tmp_path, capsys):
    assert go_on(tmp_path) == 2
    told = capsys.readouterr().err
    assert "bench.json" in told and "Traceback" not in told
