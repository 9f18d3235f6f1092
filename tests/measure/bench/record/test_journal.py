"""What a run leaves on the disk while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.record.journal import NAME, Journal, lines, read_state


def answered(number: int, reason: str | None = None) -> Answer:
    answer = Answer(number, Ask(b"{}", "0" * 16, 8, 2), 1_000, 0)
    answer.sent_ns, answer.end_ns = 1_000, 9_000
    answer.status, answer.reason = ("done", None) if reason is None else ("failed", reason)
    if reason is None:
        answer.read(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', 5_000)
        answer.read(b'data: {"choices":[{"delta":{"content":"b"}}]}\n\n', 7_000)
    return answer


def journal(folder: Path, *answers: Answer, segment: int = 0) -> None:
    found = Journal(folder)
    found.segment(segment)
    for one in answers:
        found.answer(one)
    found.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal(tmp_path, answered(0), answered(3, "http_500"))
    state = read_state(tmp_path / NAME)
    assert state.done == {0, 3}
    (_, _), (_, first), (_, second) = lines(tmp_path / NAME)
    assert (first["first"], first["gaps"], first["marks"]) == (5_000, [2_000], [-1, -1])
    assert (second["status"], second["reason"]) == ("failed", "http_500")


def test_requests_in_flight_at_a_stop_are_sent_once_more(tmp_path: Path) -> None:
    journal(tmp_path, answered(0), answered(1, "interrupted"))
    assert read_state(tmp_path / NAME).done == {0}
    journal(tmp_path, answered(1), segment=1)
    state = read_state(tmp_path / NAME)
    assert state.done == {0, 1}
    assert [state.segment_of[0], state.segment_of[1]] == [0, 1]


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_kill_within_a_line_loses_that_line_alone(tmp_path: Path, cut: int) -> None:
    journal(tmp_path, answered(0), answered(1))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_state(path).done == {0}
    journal(tmp_path, answered(1), segment=1)
    assert read_state(path).done == {0, 1}


def test_damage_inside_is_told_with_its_line(tmp_path: Path) -> None:
    journal(tmp_path, answered(0), answered(1))
    path = tmp_path / NAME
    content = path.read_bytes().split(b"\n")
    content[2] = b"{garbage"
    path.write_bytes(b"\n".join(content))
    with pytest.raises(BadInput, match="is damaged") as caught:
        read_state(path)
    assert caught.value.line == 3


def test_another_file_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"format": "something"}\n')
    with pytest.raises(BadInput, match="no journal"):
        read_state(tmp_path / NAME)
