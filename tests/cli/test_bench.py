"""The flags of ``bench run``: what they make of a command line, and that none goes away unnoticed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from inferatlas.cli.main import run

URL = ("--base-url", "http://127.0.0.1:1")
# Scripts hold these; a name may be added, and taken away only with a word in the changelog.
FLAGS = """
--base-url --url -u --model -m --served-model-name --endpoint-type --api-key-env --ca-file --insecure --tokenizer
--wait-ready --extra-body --isl --random-input-len --osl --random-output-len --isl-osl-pairs --workload --input-cv
--output-cv --prefix-tokens --prefix --turns --think --token-ids --dataset --dataset-path --first --chars
--filter-after --force-length --ignore-eos --all-turns --longest --temperature --concurrency --max-concurrency
--request-rate --arrival --request-rate-mode --burstiness --ramp --trace --speed --requests --num-prompts
--request-count --duration --warmup --warmup-request-count --stagger --repeat --precision --find-knee --protocol
--seed --random-seed --timeout --connect-timeout --stall-timeout --drain --most-in-flight --power --source --no-power
--power-interval --idle --scrape-interval --accelerator -a --system --gpu --count --total-gpus --note --slo --goodput
--resume --dry-run --output -o --format --quiet -q
"""


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def made(*words: str) -> dict[str, Any]:
        assert run(["bench", "run", *URL, *words, "--dry-run"]) == 0
        return json.loads(capsys.readouterr().out)

    return made


def test_no_flag_goes_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "run", "--help"]) == 0
    shown = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
    assert set(FLAGS.split()) <= shown


def test_lists_are_sweeps(plan: Callable[..., dict[str, Any]]) -> None:
    found = plan("--concurrency", "1,2,4", "--isl", "512", "--osl", "128")
    assert [one["name"] for one in found["points"]] == ["c1", "c2", "c4"]
    assert (found["prompts"]["isl"], found["prompts"]["osl"]) == (512, 128)
    found = plan("--request-rate", "0.5,inf", "--arrival", "gamma", "--burstiness", "0.5")
    assert [(one["name"], one["kind"]) for one in found["points"]] == [("r0.5", "open"), ("offline", "offline")]
    assert found["points"][0]["burstiness"] == 0.5
    found = plan("--concurrency", "2", "--isl-osl-pairs", "128/64,8/4", "--repeat", "2")
    names = ["c2-i128-o64", "c2-i128-o64-2", "c2-i8-o4", "c2-i8-o4-2"]
    assert [one["name"] for one in found["points"]] == names


def test_times_have_units(plan: Callable[..., dict[str, Any]]) -> None:
    found = plan("--concurrency", "1", "--duration", "2min", "--timeout", "500ms", "--stagger", "0s")
    assert (found["points"][0]["duration_s"], found["rules"]["timeout_s"], found["rules"]["stagger_s"]) == (120, 0.5, 0)


def test_the_protocol_in_one_flag(plan: Callable[..., dict[str, Any]]) -> None:
    found = plan("--protocol", "brunetta")
    assert found["prompts"]["first"] == 1000
    assert found["prompts"]["characters"] == [64, 20000]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--concurrency", "0"),
        ("--concurrency", "x"),
        ("--concurrency", "1", "--request-rate", "2"),
        ("--concurrency", "2,2"),
        ("--request-rate", "nan"),
        ("--ramp", "1"),
        ("--concurrency", "1", "--isl-osl-pairs", "5"),
        ("--concurrency", "1", "--isl", "5", "--isl-osl-pairs", "5/5"),
        ("--concurrency", "1", "--chars", "9"),
        ("--concurrency", "1", "--extra-body", "[1]"),
        ("--concurrency", "1", "--slo", "speed<1"),
        ("--concurrency", "1", "--protocol", "mlperf-server"),
        ("--concurrency", "1", "--duration", "soon"),
        ("--concurrency", "1", "--endpoint-type", "voice"),
        ("--concurrency", "1", "--repeat", "0"),
        ("--concurrency", "1", "--repeat", "99999999999"),
        ("--concurrency", "1", "--seed", "-1"),
        ("--concurrency", "1", "--stagger", "-1"),
        ("--concurrency", "1", "--drain", "-1"),
        ("--concurrency", "1", "--wait-ready", "-1"),
        ("--request-rate", "1", "--most-in-flight", "0"),
        ("--concurrency", "1", "--temperature", "nan"),
        ("--concurrency", "1", "--input-cv", "nan"),
        ("--concurrency", "1", "--prefix-tokens", "-1"),
        ("--concurrency", "1", "--longest", "0"),
        ("--concurrency", "1", "--isl-osl-pairs", "0/5"),
        ("--concurrency", "1", "--isl", "8", "--prefix-tokens", "9"),
        ("--request-rate", "1", "--turns", "0"),
        ("--request-rate", "1", "--arrival", "gamma"),
        ("--request-rate", "1", "--burstiness", "0.5"),
        ("--request-rate", "1", "--dataset", "imitation", "--burstiness", "0.5"),
        ("--request-rate", "1", "--arrival", "diurnal"),
        ("--request-rate", "1", "--think", "1s"),
        ("--concurrency", "1", "--arrival", "gamma", "--burstiness", "0.5"),
        ("--concurrency", "1", "--speed", "2"),
        ("--concurrency", "1", "--chars", "5:9"),
        ("--concurrency", "1", "--first", "5"),
        ("--concurrency", "1", "--all-turns"),
        ("--concurrency", "1", "--filter-after"),
        ("--concurrency", "1", "--force-length", "reference"),
        ("--concurrency", "1", "--dataset", "imitation", "--first", "0"),
        ("--concurrency", "1", "--workload", "nope"),
        ("--request-rate", "4", "--protocol", "mlperf-offline"),
        ("--resume", "somewhere"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "run", *URL, *words, "--dry-run"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err


def test_a_server_that_is_not_there_is_told_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    assert run(["bench", "run", *URL, "--concurrency", "1", "--output", str(tmp_path)]) == 2
    assert "base_url" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
