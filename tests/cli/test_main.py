"""The command itself: what it loads, how it ends, what it says when something goes wrong."""

import os
import subprocess
import sys

import pytest

from inferatlas import __version__
from inferatlas.cli import main
from inferatlas.cli.emitting import as_typed

QUESTION = ["--isl", "128", "--osl", "32", "--concurrency", "1"]


def test_help_names_every_command(cli):
    ran = cli("--help")
    assert ran.code == 0
    for command in ("recommend", "predict", "explore", "catalogue", "--install-completion"):
        assert command in ran.out


FLAGS = {
    "recommend": "--model -m --accelerator -a --system --gpu --vendor --weights --kv-cache --engine --workload --isl "
    "--random-input-len --osl --random-output-len --concurrency --max-concurrency --request-rate --slo --ttft --tpot "
    "--itl --request-latency --objective --min-probability --max-count --max-usd-per-hour --max-power --top --price "
    "--region --site --utilisation --format --output --quiet --report",
    "predict": "--model -m --accelerator -a --system --gpu --count --total-gpus --tp --pp --ep --dp --engine --weights "
    "--activations --kv-cache --workload --isl --osl --concurrency --request-rate --price --region --site "
    "--utilisation --format --output --quiet",
    "explore": "--model -m --accelerator --vendor --weights --kv-cache --engine --workload --isl --osl --concurrency "
    "--max-count --price --region --site --format --output --quiet",
}


@pytest.mark.parametrize("command", FLAGS)
def test_help_of_a_command_names_its_flags(cli, command: str):
    words = set(cli(command, "--help").out.split())
    assert set(FLAGS[command].split()) <= words


def test_without_words_the_help_is_printed(cli):
    assert cli().out == cli("--help").out


def test_version(cli):
    assert cli("--version") == (0, f"inferatlas {__version__}\n", "")


@pytest.mark.parametrize("words", [["--help"], ["recommend", "--help"], ["catalogue", "--help"]])
def test_help_loads_neither_arrays_nor_tables_nor_charts(words: list[str]):
    code = (
        "import sys; from inferatlas.cli.main import run; code = run(sys.argv[1:]); "
        "print(code, *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    code, *loaded = done.stderr.split()
    assert code == "0"
    assert not {"numpy", "polars", "altair", "yaml", "pint", "pydantic", "scipy", "jinja2"} & set(loaded)


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "inferatlas", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"inferatlas {__version__}\n"


def test_a_reader_that_goes_away_ends_the_command_silently():
    code = "import sys; from inferatlas.cli.main import run; sys.exit(run(['catalogue', 'list']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (main.BROKEN_PIPE, "")


def test_an_interrupt_is_no_error_of_ours(cli, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("inferatlas.predict.question.ask", interrupted)
    ran = cli("predict", "-m", "llama-3.1-8b", "-a", "h100", *QUESTION)
    assert ran == (130, "", "interrupted\n")


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_is_named_as_ours_and_shows_its_traceback_only_on_request(cli, monkeypatch, debug: bool):
    def broken(*_, **__):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("inferatlas.predict.question.ask", broken)
    monkeypatch.setenv("INFERATLAS_DEBUG", "1" if debug else "")
    ran = cli("predict", "-m", "llama-3.1-8b", "-a", "h100", *QUESTION)
    assert ran.code == 1
    assert "a defect of ours, not of your input: ZeroDivisionError: a b" in ran.err
    assert "INFERATLAS_DEBUG=1" in ran.err
    assert ("Traceback" in ran.err) == debug


def test_the_command_is_repeated_as_a_shell_would_read_it():
    assert as_typed(["recommend", "--slo", "ttft:p95<500ms"]) == "inferatlas recommend --slo 'ttft:p95<500ms'"


def test_no_colour_reaches_a_pipe_and_tables_use_the_width_given(cli, monkeypatch: pytest.MonkeyPatch):
    words = ("predict", "-m", "llama-3.1-8b", "-a", "h100", *QUESTION)
    monkeypatch.delenv("COLUMNS", raising=False)
    wide = cli(*words).out
    monkeypatch.setenv("COLUMNS", "72")
    narrow = cli(*words).out
    assert "\033[" not in wide + narrow
    assert 72 < max(map(len, wide.splitlines())) <= 160
    assert max(len(line) for line in narrow.splitlines() if not line.startswith("  inferatlas")) <= 72
    # what is on the wide page is on the narrow one, however it is broken
    assert {word for word in wide.split() if not set(word) & set("─█▏")} <= set(narrow.split())
