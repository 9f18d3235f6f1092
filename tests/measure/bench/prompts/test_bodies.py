"""Bodies are JSON whatever is in them, with the fields that were asked for and no other."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.bodies import (
    Bodies,
    Form,
    forcing,
    messages_json,
    parse_extra,
    text_json,
)


def fields(form, prompt=b'"Why?"', output=16, number=0, **kw):
    return json.loads(Bodies(form).ask(prompt, 3, output, number, **kw).body)


TEXT = st.text(st.characters())  # lone surrogates included, which JSON in ASCII can hold


@given(TEXT, TEXT, st.integers(1, 10**9), st.integers(0, 10**9))
def test_any_text_comes_out_as_it_went_in(model, text, output, number):
    if not model.strip():
        model = "m"
    body = fields(Form(model, api="completions", seed=5), text_json(text), output, number)
    assert (body["model"], body["prompt"], body["max_tokens"]) == (model, text, output)
    said = [("system", text), ("user", model)]
    body = fields(Form(model), messages_json(said), output, number)
    assert body["messages"] == [{"role": role, "content": one} for role, one in said]


@pytest.mark.parametrize(
    ("kw", "expected"),
    [
        ({}, {"max_tokens": 16}),
        ({"force": "ignore_eos"}, {"max_tokens": 16, "ignore_eos": True}),
        ({"force": "min_max"}, {"max_tokens": 16, "min_tokens": 16, "ignore_eos": True}),
        (
            {"force": "min_max", "length_field": "max_completion_tokens"},
            {"max_completion_tokens": 16, "min_tokens": 16, "ignore_eos": True},
        ),
        ({"temperature": 0.0, "seed": 5}, {"max_tokens": 16, "temperature": 0.0, "seed": 12}),
        ({"seed": 2**31 - 1}, {"max_tokens": 16, "seed": 6}),
        ({"extra": {"top_k": 1, "chat_template_kwargs": {"x": [1]}}}, {"top_k": 1, "chat_template_kwargs": {"x": [1]}}),
        ({"force": "min_max", "extra": {"min_tokens": 1, "ignore_eos": None}}, {"min_tokens": 1}),
        ({"seed": 1, "extra": {"seed": 99}}, {"seed": 99}),
    ],
)
def test_fields(kw, expected):
    body = fields(Form("tiny", api="completions", **kw), number=7)
    base = {"model": "tiny", "stream": True, "stream_options": {"include_usage": True}, "prompt": "Why?"}
    assert body in ({**base, "max_tokens": 16, **expected}, {**base, **expected})
    assert all(body[name] == value for name, value in expected.items())


def test_usage_can_be_asked_with_every_event_or_not_at_all():
    body = fields(Form("tiny", api="completions", continuous_usage=True))
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert "stream_options" not in fields(Form("tiny", api="completions", extra={"stream_options": None}))


def test_extra_fields_replace_ours_and_come_last():
    body = fields(Form("tiny", api="completions", temperature=1.0, extra={"temperature": 0.5}))
    assert body["temperature"] == 0.5
    assert fields(Form("tiny", api="completions"), model="lora-7")["model"] == "lora-7"


def test_equal_prompts_have_equal_marks_and_no_text_is_kept():
    bodies = Bodies(Form("tiny", api="completions"))
    one, same, other = (bodies.ask(text_json(text), 3, n, n) for text, n in (("Why?", 8), ("Why?", 9), ("Who?", 8)))
    assert one.prompt == same.prompt != other.prompt
    assert one.prompt == hashlib.sha256(b'"Why?"').hexdigest()[:16]
    assert (one.input_tokens, one.output_tokens) == (3, 8)


@pytest.mark.parametrize(
    ("kw", "field"),
    [
        ({"model": ""}, "model"),
        ({"api": "chats"}, "api"),
        ({"force": "eos"}, "force"),
        ({"length_field": "n_predict"}, "length_field"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"extra": {"n": 2}}, "extra"),
        ({"extra": {"stream": False}}, "extra"),
        ({"extra": {"max_tokens": 5}}, "extra"),
        ({"extra": {"messages": []}}, "extra"),
        ({"extra": {"top_k": {1, 2}}}, "extra"),
        ({"extra": {"top_k": float("inf")}}, "extra"),
    ],
)
def test_forms_that_make_no_body_are_refused(kw, field):
    with pytest.raises(BadInput) as caught:
        Form(**{"model": "tiny", **kw})
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "{'a': 1}", "[" * 100_000])
def test_extra_fields_are_an_object(text):
    with pytest.raises(BadInput) as caught:
        parse_extra(text)
    assert caught.value.field == "extra"


def test_lengths_are_forced_as_each_engine_allows():
    """reference/load-generation.md, section 8.1."""
    found = {name: forcing(name).force for name in ("vllm", "SGLang", "llama.cpp", "tgi", "transformers", "openai", "")}
    assert found == {
        "vllm": "min_max",
        "SGLang": "min_max",
        "llama.cpp": "ignore_eos",
        "tgi": "none",
        "transformers": "none",
        "openai": "none",
        "": "none",
    }
    assert forcing("vllm").exact and forcing(None).exact is None
    assert all(forcing(name).source for name in (*found, None))
