"""The manifest tells the machine, never a person, and holds no secret."""

import json
import os
import platform
import subprocess
import time
from types import SimpleNamespace

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server import environment as here
from inferatlas.measure.bench.server.environment import environment, finished, load_average
from inferatlas.measure.bench.server.masking import command_line, masked
from inferatlas.measure.metering import finding


def made(root, **files):
    """A machine's files; names are written with - for /."""
    for name, text in files.items():
        path = root / name.replace("-", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine():
    found = environment(["inferatlas", "bench", "run"], look_s=0)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["time"].endswith("Z")
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"]
    assert found["load_average"]["end"] is None
    assert finished(found)["load_average"]["end"] == load_average()
    assert platform.node() not in json.dumps(found) or platform.node() in found["kernel"]


def test_a_machine_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = environment([], root=tmp_path, look_s=0)
    for name in ("governor", "memory_bytes", "memory_limit_bytes", "cores_limit", "git", "accelerators"):
        assert found[name] is None
    assert (found["command"], found["drivers"], found["clock"]["source"]) == ("", {}, None)


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [({"proc-self-cgroup": "0::/a/b\n", "sys-fs-cgroup-a-cpu.max": "150000 100000\n",
       "sys-fs-cgroup-a-b-cpu.max": "max 100000\n", "sys-fs-cgroup-a-b-memory.max": "1048576\n"}, 1.5, 2**20),
     ({"proc-self-cgroup": "0::/beyond\n", "sys-fs-cgroup-cpu.max": "50000 100000\n",
       "sys-fs-cgroup-memory.max": "max\n"}, 0.5, None),
     ({"proc-self-cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n", "sys-fs-cgroup-cpu-x-cpu.cfs_quota_us": "200000\n",
       "sys-fs-cgroup-cpu-x-cpu.cfs_period_us": "100000\n",
       "sys-fs-cgroup-memory-x-memory.limit_in_bytes": "9223372036854771712\n"}, 2.0, None),
     ({"proc-self-cgroup": "3:cpu:/\n", "sys-fs-cgroup-cpu-cpu.cfs_quota_us": "-1\n"}, None, None)],
)  # fmt: skip
def test_limits_of_control_groups(tmp_path, files, cores, memory):
    found = environment([], root=made(tmp_path, **files), look_s=0)
    assert (found["cores_limit"], found["memory_limit_bytes"]) == (cores, memory)


def test_files_of_a_machine(tmp_path):
    root = made(
        tmp_path,
        **{"proc-cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9554\n", "proc-meminfo": "MemTotal:  1024 kB\n",
           "sys-module-nvidia-version": "570.86.15\n",
           "sys-devices-system-cpu-cpu0-cpufreq-scaling_governor": "performance\n"},
    )  # fmt: skip
    found = environment([], root=root, look_s=0)
    assert (found["cpu"], found["memory_bytes"]) == ("AMD EPYC 9554", 2**20)
    assert (found["drivers"], found["governor"]) == ({"nvidia": "570.86.15"}, "performance")


@pytest.mark.parametrize("look", [lambda: 1 / 0, lambda: time.sleep(0.05)])
def test_a_driver_that_fails_or_hangs_costs_nothing(monkeypatch, look):
    monkeypatch.setattr(here, "_accelerators", look)
    assert environment([], look_s=0.005)["accelerators"] is None


def test_accelerators_are_named_each_once_and_given_back(monkeypatch):
    closed = []
    power, energy, other = (
        SimpleNamespace(source="nvml", device=device, name=name)
        for device, name in (("GPU-1", "H200 #0"), ("GPU-1", "H200 #0"), ("GPU-2", ""))
    )

    def find(names):
        if names != ["nvml"]:
            raise BadInput("not on this machine")
        source = SimpleNamespace(close=lambda: closed.append(1))
        return SimpleNamespace(channels=(power, energy, other), sources=(source,))

    monkeypatch.setattr(finding, "find", find)
    assert environment([], look_s=5.0)["accelerators"] == ["H200 #0", "nvml"]
    assert closed == [1]


def test_the_commit_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment([], look_s=0)["git"] is None

    def git(*words):
        names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *names, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert environment([], look_s=0)["git"] is None  # without a commit
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    (tmp_path / "untracked").touch()
    assert environment([], look_s=0)["git"] == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a").write_text("2")
    assert environment([], look_s=0)["git"]["dirty"] is True


SECRET = "s3cret-Value"


@pytest.mark.parametrize(
    "argv",
    [["--api-key", SECRET], [f"--api-key={SECRET}"], [f"--api-key=a,{SECRET}&b"], ["--hf-token", SECRET],
     ["--TOKEN", SECRET], ["--password", SECRET], [f"-H=Authorization: Bearer {SECRET}"],
     ["-H", f"Authorization: Bearer {SECRET}"], ["--header", f"Authorization: Basic a=b,{SECRET}"],
     ["--header", f"X-Api-Key: {SECRET}"], [f"OPENAI_API_KEY={SECRET}"], [f"http://me:{SECRET}@h/v1"],
     [f"http://{SECRET}@h"], [f"--base-url=http://a:{SECRET}@x@h"], [f"http://h/x?token={SECRET}"],
     [f"--metrics-url=http://h/x?a=1&api_key={SECRET}&b=2"], ["--auth", SECRET], ["--secret", SECRET],
     ["--extra-body", f'{{"api_key": "{SECRET}"}}'], ["--note", f"with Bearer {SECRET}"],
     ["sk-abcdefgh12345678-s3cret-Value"], ["--bearer", SECRET], ["--client-secret", SECRET]],
)  # fmt: skip
def test_secrets_are_masked(argv):
    told = " ".join(masked(["bench", "run", *argv, "--seed", "1"]))
    assert SECRET not in told
    assert "***" in told
    assert told.endswith("--seed 1")


@pytest.mark.parametrize(
    "argv",
    [["--max-tokens", "128"], ["--api-key-env", "MY_KEY"], ["--slo", "ttft:p95<500ms"], ["--tokenizer", "x.json"],
     ["--dataset", "lmsys:conversations.jsonl"], ["--base-url", "http://h:8000/v1"], ["--concurrency", "1,2,4"],
     ["--output-tokens=8"], ["--keyboard=1"], ["--arrival", "gamma"]],
)  # fmt: skip
def test_nothing_else_is_masked(argv):
    assert masked(argv) == argv


def test_a_command_can_be_typed_again():
    line = command_line([f"{os.sep}home{os.sep}somebody{os.sep}bin{os.sep}inferatlas", "bench", "--slo", "a<b c"])
    assert line == "inferatlas bench --slo 'a<b c'"
