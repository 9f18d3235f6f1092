"""The self-test as a whole: counts add up, verdicts are those of any run, nothing is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.validity import Verdict
from inferatlas.measure.bench.selftest.found import Ceiling, SelfTest
from inferatlas.measure.bench.selftest.testing import Schedule, planned_s, selftest
from inferatlas.show.bench_selftest import selftest_page, selftest_rows
from inferatlas.show.page import Heading, Items, Table

QUICK = Schedule(0.02, 0.004, 8)
INVALID, DEGRADED, VALID = (
    Verdict("invalid", ("client_starved",)),
    Verdict("degraded", (), ("client_busy",)),
    Verdict("valid"),
)


@pytest.fixture(scope="module")
def looked() -> list[tuple[str, float]]:
    return []


@pytest.fixture(scope="module")
def found(looked: list[tuple[str, float]]) -> SelfTest:
    return selftest((5, 1, 5), 0.1, schedule=QUICK, look=lambda *told: looked.append(told))


def judged(found: SelfTest, *verdicts: Verdict) -> SelfTest:
    """The same with these verdicts on 1, 2, 3 ... streams."""
    levels = [replace(found.levels[0], streams=n, verdict=one) for n, one in enumerate(verdicts, 1)]
    return replace(found, levels=tuple(levels))


def test_counts_are_those_of_the_levels(found: SelfTest):
    """In 0.1 s there are two answers of 48 ms, one after the other."""
    assert [one.streams for one in found.levels] == [1, 5]
    for one in found.levels:
        assert (one.requests, one.tokens, one.failed) == (2 * one.streams, 16 * one.streams, {})
        assert one.ttft_error.n == one.requests and one.gap_error.n == 7 * one.requests
        assert one.stamp_error.n == 2 * one.requests
        assert 1 <= one.reached <= one.streams and one.reached <= one.client.most_in_flight == one.streams
        assert one.client.opened == one.streams
        assert one.cpu_s_per_million_tokens == pytest.approx(1e6 * one.client.cpu_s / one.tokens)


def test_a_first_token_is_never_early(found: SelfTest):
    """By at most what stamps of two clocks of the kernel may differ."""
    for one in found.levels:
        assert one.ttft_error.mean_s is not None and one.ttft_error.mean_s > -1e-3
        assert one.mock.p50_s is not None and 0 <= one.mock.p50_s <= (one.mock.p99_s or 0)


def test_the_ceiling_adds_up(found: SelfTest):
    burst = found.ceiling
    assert burst.failed == {} and burst.requests > 0 and burst.tokens == 128 * burst.requests
    assert burst.tokens_per_s == pytest.approx(128 * burst.requests_per_s)
    assert burst.seconds > 0.09 and min(burst.client_share, burst.mock_share) > 0


@pytest.mark.parametrize(
    ("client", "mock", "shared", "limit"),
    [
        (0.99, 0.4, False, "client"),
        (0.5, 0.95, False, "mock"),
        (0.9, 0.9, False, "neither"),
        (0.5, 0.5, True, "shared"),
    ],
)
def test_the_limit_is_the_side_whose_core_was_full(client: float, mock: float, shared: bool, limit: str):
    assert Ceiling(64, 10, {}, 1280, 1.0, client, mock, shared).limit == limit


@pytest.mark.parametrize(
    ("verdicts", "valid", "usable", "words"),
    [
        ((VALID, VALID), 2, 2, "valid up to 2 streams at least"),
        ((VALID, INVALID, VALID), 1, 1, "valid up to 1 stream, invalid at 2"),
        ((VALID, DEGRADED, INVALID), 1, 2, "valid up to 1 stream, degraded up to 2 streams, invalid at 3"),
        ((DEGRADED, VALID), None, 2, "degraded up to 2 streams at least"),
        ((INVALID,), None, None, "invalid even with 1 stream"),
    ],
)
def test_fit_up_to_the_first_that_is_not(found: SelfTest, verdicts, valid, usable, words):
    other = judged(found, *verdicts)
    assert (other.valid_up_to, other.usable_up_to) == (valid, usable)
    heading = selftest_page(other, "")[0]
    assert isinstance(heading, Heading)
    assert heading.text.startswith(f"Runs from this machine are {words}, of 250 tokens/s each; in a burst ")


def test_its_document_is_json_and_a_row_stands_for_every_level(found: SelfTest):
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["schedule"] == {"ttft_s": 0.02, "itl_s": 0.004, "output_tokens": 8}
    assert [one["streams"] for one in told["levels"]] == [1, 5]
    assert {"verdict", "reasons", "remarks", "valid"} == told["levels"][0]["validity"].keys()
    rows = selftest_rows(found)
    assert [(row["load"], row["streams"]) for row in rows] == [("paced", 1), ("paced", 5), ("burst", 64)]
    assert len({tuple(row) for row in rows}) == 1 and rows[-1]["tokens_per_s"] == found.ceiling.tokens_per_s


def test_the_page_explains_codes_and_what_disturbs(found: SelfTest):
    late = replace(found.levels[0], mock=replace(found.levels[0].mock, p99_s=1.0), verdict=INVALID)
    page = selftest_page(replace(found, levels=(late,), ceiling=replace(found.ceiling, shared=True)), "")
    (notes,) = (one.texts for one in page if isinstance(one, Items))
    said = " ".join(notes)
    assert "client_starved: half of the time" in said and "the mock itself was late" in said and "one core" in said
    assert [len(one.rows) for one in page if isinstance(one, Table)] == [1, 1]


def test_whoever_looks_is_told_of_every_part_in_time(found: SelfTest, looked: list[tuple[str, float]]):
    assert list(dict.fromkeys(what for what, _ in looked)) == ["1 in flight", "5 in flight", "a burst"]
    assert planned_s((1, 5), 0.1, QUICK) == pytest.approx(4 * 0.048 + 0.002 + 0.010 + 0.1)


@pytest.mark.parametrize(
    ("streams", "duration", "field"), [((), 1.0, "streams"), ((0, 4), 1.0, "streams"), ((20_000,), 1.0, "streams"),
                                       ((1,), 0.0, "duration"), ((1,), 1e9, "duration")],
)  # fmt: skip
def test_what_cannot_be_tested_is_refused(streams: tuple[int, ...], duration: float, field: str):
    with pytest.raises(BadInput) as caught:
        selftest(streams, duration)
    assert caught.value.field == field


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    for _ in range(500):
        try:
            if re.search(r"^State:\s+Z", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(
    not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(), reason="no /proc with children"
)
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_nothing_is_left_running_when_it_is_interrupted(sign: int, code: int):
    code_line = "from inferatlas.cli.main import run; import sys; sys.exit(run())"
    words = [sys.executable, "-c", code_line, "bench", "selftest", "--streams", "3", "--duration", "1min"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stderr is not None and command.stdout is not None
        assert command.stderr.readline() == "3 in flight\n"
        (mock,) = children(command.pid)
        command.send_signal(sign)
        assert command.wait(20) == code and command.stdout.read() == ""
    assert gone(mock)
