"""Tools on the command line: their output or a fault, in time, never an exception."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.sources import command
from inferatlas.measure.metering.sources.command import run_tool


@pytest.fixture
def tool(tmp_path):
    """Write an executable shell script and return its path."""

    def write(body: str, mode: int = 0o755) -> str:
        path = tmp_path / "some-tool"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(mode)
        return str(path)

    return write


def runs(pid: str) -> bool:
    """Whether a process is there and not only waits to be collected."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_stdout_is_returned_and_stderr_is_not_mixed_into_it(tool):
    assert run_tool([tool("echo 12 W; echo note >&2")], 5.0) == ("12 W\n", Fault.NONE)


def test_a_tool_on_path_is_found_by_name(tool, tmp_path, monkeypatch):
    tool("echo found")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert run_tool(["some-tool"], 5.0) == ("found\n", Fault.NONE)


def test_words_reach_the_tool_as_they_are_and_no_shell_reads_them(tool):
    words = ["a b", "$(echo bad)", "; echo bad", "*"]
    text, fault = run_tool([tool('for one in "$@"; do echo "<$one>"; done'), *words], 5.0)
    assert fault is Fault.NONE
    assert text.splitlines() == [f"<{one}>" for one in words]


def test_the_locale_is_c(tool, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_tool([tool('echo "$LC_ALL"')], 5.0) == ("C\n", Fault.NONE)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("echo no BMC here >&2; exit 3", "no BMC here"),
        ("echo no BMC here; exit 3", "no BMC here"),
        ("exit 3", "ended with 3"),
        ("kill -9 $$", "ended with -9"),
    ],
)
def test_another_exit_status_is_a_failure_with_what_the_tool_said(tool, body, says):
    text, fault = run_tool([tool(body)], 5.0)
    assert fault is Fault.FAILED
    assert says in text


def test_a_tool_that_is_not_there_is_a_driver_that_is_gone():
    text, fault = run_tool(["inferatlas-no-such-tool"], 5.0)
    assert fault is Fault.DRIVER_GONE
    assert "is not installed" in text


def test_a_file_that_may_not_be_run_is_a_missing_permission(tool):
    assert run_tool([tool("echo", mode=0o644)], 5.0)[1] is Fault.PERMISSION_DENIED


def test_words_that_no_system_takes_are_a_failure_and_no_exception(tool):
    assert run_tool([tool("echo"), "a\0b"], 5.0)[1] is Fault.FAILED


def test_a_tool_that_hangs_is_a_timeout_although_what_it_started_holds_its_output_open(tool):
    start = time.monotonic()
    text, fault = run_tool([tool("sleep 30 & sleep 30")], 0.05)
    assert fault is Fault.TIMEOUT
    assert "0.05 s" in text
    assert time.monotonic() - start < 15


def test_a_tool_that_the_kernel_does_not_let_go_is_left_behind(tool, monkeypatch):
    waits = []

    def held(self, timeout=None):  # as in a driver that hangs: no signal ends it
        waits.append(timeout)
        raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", held)
    assert run_tool([tool("exec sleep 30")], 0.05)[1] is Fault.TIMEOUT
    assert waits == [command.LAST_S]


def test_whatever_ends_the_wait_ends_the_tool_and_all_that_it_started(tool, tmp_path, monkeypatch):
    started = tmp_path / "started"

    def interrupted(self, timeout):
        while not started.exists() or not started.read_text().endswith("\n"):
            time.sleep(0.001)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_tool([tool(f"sleep 30 & echo $! > {started}; wait")], 5.0)
    deadline = time.monotonic() + 10
    while runs(started.read_text().strip()):
        assert time.monotonic() < deadline, "what the tool started still runs"
        time.sleep(0.001)


def test_the_input_of_this_process_is_not_the_tools(tool):
    reader, writer = os.pipe()
    os.write(writer, b"something typed\n")
    before = os.dup(0)
    os.dup2(reader, 0)
    try:
        assert run_tool([tool('read line; echo "<$line>"')], 5.0) == ("<>\n", Fault.NONE)
    finally:
        os.dup2(before, 0)
        for one in (reader, writer, before):
            os.close(one)


def test_bytes_that_are_not_utf_8_do_not_raise(tool):
    text, fault = run_tool([tool(r"printf '\377 12 W'")], 5.0)
    assert fault is Fault.NONE
    assert text.endswith(" 12 W")
