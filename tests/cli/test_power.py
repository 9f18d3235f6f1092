"""``inferatlas power``: sources, watch, run, integrate, split; with and without sensors, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PYTHON = sys.executable


@pytest.fixture
def plain(tmp_path) -> Path:
    """A plain log: two devices, 500 W and 300 W for 30 s."""
    path = tmp_path / "plain.csv"
    rows = [f"{t / 10},{device},{watts}" for t in range(301) for device, watts in (("a", 500.0), ("b", 300.0))]
    path.write_text("\n".join(["time_s,device,power_w", *rows]) + "\n")
    return path


def under_nvml(library: Path, *words: str, **settings: str):
    """The real command under a stand-in for NVML."""
    environment = os.environ | {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_SCOPES": "gpu"} | settings
    command = [PYTHON, "-m", "inferatlas", "power", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


# sources


def test_without_sensors_sources_tell_what_is_missing_and_how_to_enable_it(cli, monkeypatch):
    found = cli("power", "sources", "--format", "json")
    assert found.code == 0
    rows = found.json()
    assert {"source", "available", "quantity", "semantics", "scope", "update_s", "why_not"} <= set(rows[0])
    assert all(one["why_not"] and one["enable"] for one in rows if not one["available"])
    assert {"nvml", "rapl", "redfish", "tpu"} <= {one["source"] for one in rows}
    table = cli("power", "sources")
    assert table.code == 0 and "To enable" in table.out


def test_sources_measure_how_often_values_change(fake_nvml_library):
    done = under_nvml(
        fake_nvml_library, "sources", "--format", "json", FAKE_NVML_GPUS="2", FAKE_NVML_TRACE="300:0.7,500:0.3"
    )
    assert done.returncode == 0, done.stderr
    (counter,) = [one for one in json.loads(done.stdout) if one["available"] and one["semantics"] == "counter"]
    assert counter["update_measured"] and counter["update_s"] == pytest.approx(0.1, rel=0.2)
    assert len(counter["devices"]) == 2 and counter["scope"] == "gpu" and counter["why_not"] is None


# integrate


def test_a_plain_log_is_integrated_exactly(cli, plain):
    found = cli("power", "integrate", str(plain), "--format", "json")
    (window,) = found.json()["windows"]
    assert found.code == 0 and window["joules"] == pytest.approx(24000.0, rel=1e-12)
    assert window["valid"] and window["reasons"] == [] and window["duration_s"] == 30.0
    assert window["mean_w"] == pytest.approx(800.0) and window["method"] == "instant" and window["source"] == "file"
    assert window["uncertainty_j"] == pytest.approx(0.05 * 24000) and window["scope"] is None
    assert {"semantics_assumed", "scope_unknown"} <= set(window["remarks"])
    assert [one["joules"] for one in window["devices"]] == pytest.approx([15000.0, 9000.0])


def test_moments_choose_the_window(cli, plain):
    for start, stop, length in (("5s", "25s", 20.0), ("-10s", "-5s", 5.0), ("2.5", "12.5", 10.0)):
        found = cli("power", "integrate", str(plain), "--from", start, "--to", stop, "--format", "json").json()
        assert found["windows"][0]["duration_s"] == pytest.approx(length)
        assert found["windows"][0]["joules"] == pytest.approx(800.0 * length)
    beyond = cli("power", "integrate", str(plain), "--to", "60s", "--format", "json")
    assert beyond.code == 0 and beyond.json()["windows"][0]["reasons"] == ["edge_not_bracketed"]


def test_what_a_plain_log_does_not_say_can_be_told(cli, plain):
    words = ("--scope", "gpu", "--semantics", "average", "--window", "1s", "--idle", "0s..10s", "--requests", "8")
    found = cli("power", "integrate", str(plain), "--from", "12s", *words, "--format", "json").json()
    (window,) = found["windows"]
    assert window["scope"] == "gpu" and window["method"] == "average"
    assert found["idle"][0]["net"]["joules"] == pytest.approx(0.0, abs=1e-6)
    assert found["per"][0]["gpu_joules_per_request"] == pytest.approx(800.0 * 18 / 8)
    words = ("--scope", "node-ac", "--region", "FRA", "--pue", "1.2", "--electricity", "0.1", "--format", "json")
    grid = cli("power", "integrate", str(plain), *words).json()["footprints"][0]["figures"]
    assert grid["cost"]["value"] == pytest.approx(24000 * 1.2 / 3.6e6 * 0.1)
    assert grid["carbon"]["low"] < grid["carbon"]["value"] < grid["carbon"]["high"]


def test_carbon_follows_a_series_of_the_grid(cli, tmp_path):
    log, series = tmp_path / "log.csv", tmp_path / "grid.csv"
    rows = [f"2026-11-29T{'10:59' if t < 60 else '11:00'}:{t % 60:02d}Z" for t in range(120)]
    log.write_text(
        "timestamp,power_w\n" + "".join(f"{stamp},{100 if n < 60 else 300}\n" for n, stamp in enumerate(rows))
    )
    series.write_text(
        "timestamp,gco2e_per_kwh\n2026-11-29T10:00:00Z,100\n2026-11-29T11:00:00Z,400\n2026-11-29T12:00:00Z,1\n"
    )
    words = ("--scope", "node-ac", "--region", "FRA", "--pue", "1", "--carbon-series", str(series), "--format", "json")
    found = cli("power", "integrate", str(log), *words).json()["footprints"][0]["figures"]
    joules = 100 * 59.5 + 200 * 1 * 0.5 + 300 * 59.0
    assert found["energy"]["value"] == pytest.approx(joules, rel=0.01)
    assert found["carbon"]["value"] == pytest.approx((100 * 60 * 100 + 300 * 59 * 400) / 3.6e6, rel=0.02)


def test_every_format_has_the_energy(cli, plain, tmp_path):
    for name in ("out.html", "out.csv", "out.parquet", "out.md", "out.jsonl"):
        assert cli("power", "integrate", str(plain), "--output", str(tmp_path / name)).code == 0
    page = (tmp_path / "out.html").read_text()
    assert "24.0 kJ" in page and "<svg" in page
    assert (tmp_path / "out.csv").read_text().count("\n") == 4  # the sum and both devices
    assert "24.0 kJ" in cli("power", "integrate", str(plain)).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.csv",), "no such file"), (("LOG", "--from", "20s", "--to", "10s"), "after the start"),
        (("LOG", "--from", "soon"), "from"), (("LOG", "--from", "2026-01-01T00:00:00Z"), "from"),
        (("LOG", "--idle", "10s"), "FROM..TO"), (("LOG", "--scope", "gpus"), "did you mean gpu"),
        (("LOG", "--pue", "1.2"), "need the grid"), (("LOG", "--region", "FRA", "--pue", "1.2"), "scope"),
        (("LOG", "--requests", "0"), "above 0"), (("LOG", "--semantics", "counter"), "semantics"),
        (("LOG", "--region", "Atlantis"), "unknown region"), (("LOG", "--carbon-series", "x.csv"), "need the grid"),
        (("",), "log: an empty name"), (("LOG", "--from", "1e400"), "from: '1e400' is out of range"),
        (("LOG", "--window", "0s"), "error: window: 0 s is not a window"),
        (("LOG", "--region", "FRA", "--electricity", "-1"), "electricity: -1.0 is out of range"),
        (("LOG", "--output-tokens", "0"), "output_tokens: 0 in the window"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(cli, plain, words, said):
    cli("power", "integrate", *(str(plain) if word == "LOG" else word for word in words)).refused(said)


def test_a_span_of_idle_may_count_from_the_end(cli, plain):
    found = cli("power", "integrate", str(plain), "--idle", "-10s..-5s", "--format", "json")
    assert found.code == 0 and found.json()["idle"][0]["net"]["joules"] == pytest.approx(0.0, abs=1e-6)


def test_devices_of_one_name_are_told_apart(cli, tmp_path):
    path = tmp_path / "log.csv"
    rows = [
        f"2026/09/11 04:19:{10 + t}.000, GPU-{n}, NVIDIA H100 80GB HBM3, {w} W"
        for t in range(41)
        for n, w in ((7, 500), (8, 300))
    ]
    path.write_text("\n".join(["timestamp, uuid, name, power.draw [W]", *rows]) + "\n")
    found = cli("power", "integrate", str(path))
    assert "NVIDIA H100 80GB HBM3, GPU-7" in found.out and "NVIDIA H100 80GB HBM3, GPU-8" in found.out


def test_a_damaged_log_is_refused_with_file_and_line(cli, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("time_s,power_w\n0,100\n1,many\n2,100\n")
    cli("power", "integrate", str(path)).refused(f"{path}:3")


# run


def test_a_command_under_constant_power_has_its_energy(fake_nvml_library, tmp_path):
    log = tmp_path / "power.parquet"
    code = "import time, sys; print('said'); time.sleep(2.4); sys.exit(4)"
    done = under_nvml(
        fake_nvml_library, "run", "--interval", "0.05", "--format", "json", "--log", str(log), "--", PYTHON, "-c", code,
        FAKE_NVML_GPUS="8", FAKE_NVML_TRACE="500",
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "said" in done.stderr  # stdout is for the result
    document = json.loads(done.stdout)
    (window,) = document["windows"]
    assert document["exit_code"] == 4 and window["method"] == "counter" and window["valid"], window
    # steps of 100 ms at both edges are 4 % of 2.4 s at worst
    assert window["joules"] == pytest.approx(8 * 500.0 * window["duration_s"], rel=0.04)
    assert window["uncertainty_j"] < 0.06 * window["joules"]
    assert len(window["devices"]) == 8 and {one["method"] for one in window["devices"][0]["checks"]} == {
        "average", "instant"
    }  # fmt: skip
    assert document["sampler"]["readings"] > 300 and log.exists() and not list(tmp_path.glob("*.journal"))


def test_a_gpu_that_is_lost_leaves_the_window_invalid_and_the_command_runs_on(fake_nvml_library):
    code = "import time; time.sleep(2.5)"
    done = under_nvml(
        fake_nvml_library, "run", "--interval", "0.05", "--format", "json", "--", PYTHON, "-c", code,
        FAKE_NVML_GPUS="2", FAKE_NVML_TRACE="500", FAKE_NVML_LOST="1@1.5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (window,) = json.loads(done.stdout)["windows"]
    first, second = window["devices"]
    assert first["valid"] and not second["valid"] and "device_lost" in second["reasons"]
    assert not window["valid"] and 0 < second["joules"] < first["joules"]


def test_without_sensors_the_command_runs_and_the_energy_is_unknown(tmp_path):
    done = subprocess.run(
        [PYTHON, "-m", "inferatlas", "power", "run", "--format", "json", "--", PYTHON, "-c", "print(1)"],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["exit_code"] == 0 and document["not_read"]
    assert all(one["joules"] is not None or one["reasons"] for one in document["windows"])


def test_what_cannot_be_run_is_refused(cli):
    manual = ("--source", "manual:100W")
    cli("power", "run", *manual, "--", "no-such-program").refused("is not a program")
    cli("power", "run", *manual).refused("no command")
    cli("power", "run", "--source", "nvlm", "--", "true").refused("did you mean nvml")
    cli("power", "run", *manual, "--interval", "0", "--", "true").refused("interval")
    cli("power", "run", *manual, "--idle", "soon", "--", "true").refused("idle")
    cli("power", "run", *manual, "--log", "x.txt", "--", "true").refused("log: 'x.txt' names no table")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ls", "--format", "csv"), "flags stand in it"),
        (("./job.sh", "a", "--interval", "5", "b"), "flags stand in it"),
        (("./job.sh", "-o", "x.json"), "flags stand in it"),
        (("--ouput", "x.json", "--", "true"), "'--ouput' is neither a flag nor a program"),
        (("--reqests", "5", "true"), "'--reqests' is neither a flag nor a program"),
    ],
)
def test_no_flag_is_taken_from_the_command_in_silence(cli, words, said):
    cli("power", "run", "--source", "manual:100W", *words).refused(said)


def test_flags_after_two_dashes_are_the_commands_own(tmp_path):
    words = [
        "run",
        "--source",
        "manual:100W",
        "--format",
        "json",
        "--",
        PYTHON,
        "-c",
        "import sys; print(sys.argv)",
        "--format",
        "x",
        "--",
    ]
    done = subprocess.run([PYTHON, "-m", "inferatlas", "power", *words], capture_output=True, text=True, check=True)
    assert "['-c', '--format', 'x', '--']" in done.stderr
    assert json.loads(done.stdout)["command"][-3:] == ["--format", "x", "--"]


def test_output_of_the_command_stays_where_it_is_when_the_result_goes_to_a_file(tmp_path):
    path = tmp_path / "out.json"
    words = ["run", "--source", "manual:100W", "--output", str(path), "--", PYTHON, "-c", "print('said')"]
    done = subprocess.run([PYTHON, "-m", "inferatlas", "power", *words], capture_output=True, text=True, check=True)
    assert done.stdout == "said\n" and f"wrote {path}" in done.stderr
    assert json.loads(path.read_text())["windows"][0]["joules"] > 0


# watch


def test_watching_writes_the_log_and_ends_with_energies(cli, tmp_path):
    path = tmp_path / "power.parquet"
    found = cli(
        "power", "watch", "--source", "manual:100W@node_ac", "--interval", "10ms", "--for", "0.3s",
        "--output", str(path), "--format", "json",
    )  # fmt: skip
    (window,) = found.json()["windows"]
    assert found.code == 0 and window["joules"] == pytest.approx(100 * window["duration_s"]) and path.exists()
    again = cli("power", "integrate", str(path), "--format", "json").json()["windows"][0]
    assert again["mean_w"] == pytest.approx(100.0) and again["scope"] == "node_ac"


def test_a_killed_watch_leaves_a_log_that_integrates(cli, tmp_path):
    path = tmp_path / "power.parquet"
    words = ["power", "watch", "--source", "manual:100W@node_ac", "--interval", "10ms", "--output", str(path)]
    process = subprocess.Popen(
        [PYTHON, "-m", "inferatlas", *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    journal = tmp_path / "power.parquet.journal"
    until = time.monotonic() + 30
    while (not journal.exists() or journal.stat().st_size < 3000) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    cli("power", "integrate", str(path)).refused(f"left {journal}")
    window = cli("power", "integrate", str(journal), "--format", "json").json()["windows"][0]
    assert window["mean_w"] == pytest.approx(100.0) and window["readings"] > 50


def test_a_watch_whose_file_cannot_be_written_ends_with_its_energies_and_status_2(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    words = [
        "power",
        "watch",
        "--source",
        "manual:100W",
        "--for",
        "1s",
        "-o",
        str(folder / "p.csv"),
        "--format",
        "json",
    ]
    process = subprocess.Popen(
        [PYTHON, "-m", "inferatlas", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 30
    while not list(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "cannot be written" in err
    assert json.loads(out)["windows"][0]["joules"] > 0


def test_wrong_ways_to_watch_are_refused(cli, tmp_path):
    manual = ("--source", "manual:100W")
    cli("power", "watch", *manual, "--for", "0s").refused("for")
    cli("power", "watch", *manual, "--for", "1s", "--prometheus", "9400").refused("HOST:PORT")
    cli("power", "watch", *manual, "--for", "1s", "--output", str(tmp_path / "none" / "p.csv")).refused("folder")
    cli("power", "watch", "--source", "redfish").refused("redfish")


# split


def test_phases_are_told_from_a_grid(cli, tmp_path):
    path = tmp_path / "grid.csv"
    rows = [
        (10, i, o, 10 * (0.05 * i + 0.4 * o + 2e-5 * o * (i + o / 2))) for i in (128, 1024, 4096) for o in (1, 128, 512)
    ]
    path.write_text(
        "requests,input_tokens,output_tokens,joules\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows)
    )
    found = cli("power", "split", str(path), "--isl", "1000", "--osl", "100", "--format", "json").json()
    assert found["joules_per_prefill_token"]["value"] == pytest.approx(0.05)
    assert found["request"]["prefill_j"]["value"] == pytest.approx(50.0)
    assert found["request"]["decode_j"]["value"] == pytest.approx(40.0 + 2e-5 * 100 * 1050)
    assert "A request of 1,000 input" in cli("power", "split", str(path), "--isl", "1000", "--osl", "100").out
    cli("power", "split", str(path), "--isl", "1000").refused("both lengths")
    cli("power", "split", str(path), "--isl", "0", "--osl", "1").refused("isl: 0 tokens")
    cli("power", "split", "").refused("grid: an empty name")
    path.write_text("requests,input_tokens,output_tokens,joules\n10,128,many,5\n")
    cli("power", "split", str(path)).refused(f"{path}:2")
