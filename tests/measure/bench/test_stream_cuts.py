"""A stream says the same wherever the network cuts it, and the client counts what an independent reader counts."""

import json

from bench_plans import DONE, chunk, encoded, usage_event, used
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client.answer import Answer

TEXTS = st.text(max_size=4)  # empty ones too, and any letters: quotes, new lines, planes beyond the first
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXTS),
    st.builds(lambda text: {"content": None, "reasoning_content": text}, TEXTS),
    st.builds(lambda text: {"reasoning": text}, TEXTS),
    st.just({"role": "assistant", "content": ""}),
    st.just({"role": "assistant"}),
    st.just({}),
)


@st.composite
def streams(draw):
    """Events, and the bytes of them in one of the forms that the standard allows."""
    deltas = draw(st.lists(DELTAS, max_size=8))
    each = draw(st.booleans())  # usage in every event
    events = [chunk(delta, None, used(k + 1) if each else None) for k, delta in enumerate(deltas)]
    events += [usage_event(len(deltas))] if draw(st.booleans()) else []
    before = draw(st.sampled_from([b"data: ", b"data:", b": ping\n\ndata: ", b"event: message\nid: 3\ndata: "]))
    after = draw(st.sampled_from([b"\n\n", b"\r\n\r\n"]))
    return events, b"".join(encoded(event, before, after) for event in [*events, DONE])


@st.composite
def cut_streams(draw):
    events, body = draw(streams())
    marks = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return events, [body[a:b] for a, b in zip([0, *marks], [*marks, len(body)], strict=True)]


def read(pieces: list[bytes]) -> Answer:
    answer = Answer(0, Ask(b"", ""), 0, 0, keep_text=True)
    for at, piece in enumerate(pieces):
        assert answer.read(piece, at) is None
    assert answer.last(len(pieces)) is None
    return answer


@given(cut_streams())
def test_cuts_change_nothing(case):
    _, pieces = case
    cut, whole = read(pieces), read([b"".join(pieces)])
    assert list(cut.marks) == list(whole.marks)
    for field in ("text", "output_tokens", "input_tokens", "finish_reason", "done"):
        assert getattr(cut, field) == getattr(whole, field)
    assert list(cut.stamps) == sorted(cut.stamps)


@given(cut_streams())
def test_the_count_is_that_of_a_plain_reading(case):
    events, pieces = case
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    spoken = [one for one in deltas if any(one.get(name) for name in ("content", "reasoning_content", "reasoning"))]
    answer = read(pieces)
    assert len(answer.stamps) == len(answer.marks) == len(spoken)
    assert answer.text == "".join(one.get("content") or "" for one in deltas)
    assert (answer.first_answer_ns is None) == (not any(one.get("content") for one in deltas)) and answer.done
    counts = [event["usage"]["completion_tokens"] for event in events if event.get("usage")]
    assert answer.output_tokens == (counts[-1] if counts else None)


@given(streams())
def test_escapes_make_no_difference(case):
    """The same JSON in ASCII alone."""
    events, _ = case
    plain = [b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in events]
    ascii_only = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    assert list(read(plain).marks) == list(read(ascii_only).marks)
    assert read(plain).text == read(ascii_only).text
