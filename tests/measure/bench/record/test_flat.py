"""Measured and simulated records give the same columns, and what is not told is unknown."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.measure.bench.record.finding import Record, find
from inferatlas.measure.bench.record.flat import COLUMNS, flat


def test_both_kinds_meet_in_one_row(measured: Callable[..., Path], simulated: Path):
    rows = [flat(one) for one in find([measured("c4"), simulated]).records]
    for row in rows:
        assert list(row) == list(COLUMNS)
        assert (row["load"], row["concurrency"], row["input_tokens"], row["output_tokens"]) == ("closed", 4, 100, 20)
        assert (row["engine"], row["accelerator"], row["accelerators"]) == ("vllm", "nvidia-h100-sxm", 1)
        assert (row["verdict"], row["valid"], row["failed"]) == ("valid", True, 0)
        assert row["completed"] == row["sent"] > 0
        assert 0 < row["itl_s_mean"] < row["ttft_s_p50"] < row["latency_s_p99"]
        assert row["output_tokens_per_s"] < row["total_tokens_per_s"]
    assert [row["label"] for row in rows] == [
        "measured",
        "extrapolated" if "extra" in rows[1]["label"] else "predicted",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
KEYS = (
    "label", "models", "load", "software", "hardware", "requests", "metrics", "validity", "workload", "outcome", "seed",
)  # fmt: skip


@settings(max_examples=40)
@given(st.sampled_from(("measured", "simulated")), st.dictionaries(st.sampled_from(KEYS), json_values))
def test_any_document_gives_a_row_of_the_right_types(kind: str, document: dict):
    row = flat(Record(Path("x"), {"schema_version": 1, "kind": kind, **document}))
    assert list(row) == list(COLUMNS)
    types = {"text": str, "whole": int, "number": float, "flag": bool, "texts": list}
    assert all(value is None or isinstance(value, types[COLUMNS[name]]) for name, value in row.items())


def test_nothing_told_is_nothing_known():
    row = flat(Record(Path("x"), {"kind": "measured"}))
    assert {name for name, value in row.items() if value not in (None, [])} == {"run", "directory", "kind"}


@pytest.mark.parametrize(("failed", "many"), [({"refused": 2, "http_500": 1}, 3), ({}, 0), (None, None), (4, 4)])
def test_failures_add_up(failed: object, many: int | None):
    assert flat(Record(Path("x"), {"kind": "measured", "requests": {"failed": failed}}))["failed"] == many
