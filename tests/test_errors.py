"""Errors say what is wrong, where, and what is allowed; their class carries the exit code."""

import copy
import pickle

import pytest

from inferatlas.errors import (
    BadInput,
    ConflictingData,
    InferAtlasError,
    NoFeasibleAnswer,
    NotModelled,
    TargetMissed,
    UnknownName,
    called,
)

EVERY = [
    InferAtlasError("a defect"),
    BadInput("too long", field="isl", allowed="1..131072", hint="shorten it", file="w.yaml", line=3),
    UnknownName("model", "lama-3", ["llama-3.1-8b"], field="config.model", file="c.yaml", line=7),
    NoFeasibleAnswer("does not fit", code="memory", least_count=4),
    NotModelled("state-space models", hint="planned"),
    TargetMissed("ttft:p95<500ms is missed"),
    ConflictingData("two peaks", field="compute.bf16"),
]


def test_the_class_decides_the_exit_code():
    assert [error.exit_code for error in EVERY] == [1, 2, 2, 3, 3, 4, 5]


def test_text_names_file_line_field_allowed_and_hint():
    assert str(EVERY[1]) == "w.yaml:3: isl: too long (allowed: 1..131072)\n  shorten it"
    assert str(BadInput("torn", file="w.yaml")) == "w.yaml: torn"
    assert str(InferAtlasError("a defect")) == "a defect"


def test_json_carries_the_same_and_the_reason_code():
    assert EVERY[1].as_dict() == {
        "error": "BadInput", "message": "too long", "field": "isl", "allowed": "1..131072", "hint": "shorten it",
        "file": "w.yaml", "line": 3, "exit_code": 2,
    }  # fmt: skip
    assert EVERY[3].as_dict()["code"] == "memory"
    assert EVERY[3].as_dict()["least_count"] == 4
    assert EVERY[4].as_dict()["code"] == "not_modelled"


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_errors_cross_process_borders_whole(error):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.as_dict() == error.as_dict()


def test_a_near_miss_is_offered():
    error = UnknownName("accelerator", "NVIDIA-H100-SMX", ["nvidia-h100-sxm", "groq-lpu-v1"])
    assert error.near[0] == "nvidia-h100-sxm"
    assert "did you mean nvidia-h100-sxm" in str(error)


def test_a_short_list_of_names_is_written_out_and_a_long_one_counted():
    assert UnknownName("metric", "zzz", ["ttft", "itl"]).allowed == "itl, ttft"
    assert UnknownName("metric", "zzz", ["ttft", "itl"]).hint is None
    long = UnknownName("model", "zzz", [f"model-{number}" for number in range(40)])
    assert long.allowed == "one of 40 names"
    assert long.hint is not None
    assert "catalogue list" in long.hint


def test_only_names_that_the_list_holds_are_looked_for_there():
    assert UnknownName("key", "zzz", [f"key-{number}" for number in range(40)]).hint is None


def test_who_raises_it_may_say_what_is_wrong_and_what_is_allowed():
    grades = ["good", "fair", *(f"grade-{number}" for number in range(40))]
    error = UnknownName("grade", "zzz", grades, field="thresholds.zzz", allowed="good to fair", file="r.yaml", line=3)
    assert str(error) == "r.yaml:3: thresholds.zzz: unknown grade 'zzz' (allowed: good to fair)"


def test_an_error_names_the_input_as_which_the_thing_was_given():
    with pytest.raises(UnknownName) as caught, called("decode", "accelerator"):
        raise UnknownName("accelerator", "h10", ["h100"])
    assert caught.value.field == "decode"
    with pytest.raises(BadInput) as other, called("decode", "accelerator"):
        raise BadInput("too long", field="isl")
    assert other.value.field == "isl"
