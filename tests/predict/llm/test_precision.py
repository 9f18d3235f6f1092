"""Formats: bytes with their scales, and products only at rates that a part has (section 1)."""

import pytest

from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.llm.precision import (
    FORMATS,
    Precision,
    compute_format,
    default_activations,
    format_named,
)

A100 = {"bf16": 312e12, "fp16": 312e12, "int8": 624e12, "int4": 1248e12}
H100 = {"bf16": 989e12, "fp16": 989e12, "fp8": 1979e12, "int8": 1979e12}
B200 = {"bf16": 2250e12, "fp8": 4500e12, "fp4": 9000e12}


def test_bytes_include_scales():
    assert FORMATS["int4"].bytes == 0.5 + 2 / 128 == 0.515625
    assert FORMATS["nvfp4"].bytes == 0.5 + 1 / 16
    assert FORMATS["mxfp4"].bytes == 0.5 + 1 / 32
    assert all(f.bytes * 8 >= f.bits for f in FORMATS.values())


@pytest.mark.parametrize("peaks", [A100, H100, B200])
def test_weight_only_4_bit_multiplies_at_the_16_bit_rate(peaks):
    assert compute_format(Precision("int4", "bf16", "bf16"), peaks) == ("bf16", None)
    assert default_activations("int4", peaks) == "bf16"


def test_no_rate_is_made_up_from_another_width():
    assert compute_format(Precision("fp8", "fp8", "fp8"), A100) == (None, None)
    assert compute_format(Precision("nvfp4", "nvfp4", "fp8"), H100) == (None, None)
    assert compute_format(Precision("nvfp4", "nvfp4", "fp8"), B200) == ("nvfp4", None)


def test_8_bit_activations_need_a_native_rate():
    assert default_activations("fp8", H100) == "fp8"
    assert default_activations("fp8", A100) == "bf16"
    assert default_activations("nvfp4", H100) == "bf16"
    assert default_activations("mxfp4", B200) == "fp8"


def test_a_missing_16_bit_rate_is_answered_by_the_other_and_says_so():
    kind, note = compute_format(Precision("bf16", "bf16", "bf16"), {"fp16": 1e12})
    assert kind == "fp16"
    assert note is not None and "bf16" in note


def test_unknown_formats_are_refused_with_the_field():
    with pytest.raises(BadInput) as error:
        Precision("bf16", "bf16", "int4")
    assert error.value.field == "kv_cache"


def test_names_of_formats_ignore_case_and_near_ones_are_offered():
    assert Precision("BF16", "Fp16", "FP8") == Precision("bf16", "fp16", "fp8")
    with pytest.raises(UnknownName, match="did you mean nvfp4") as error:
        format_named("nvfp-4")
    assert (error.value.field, error.value.allowed) == ("weights", ", ".join(FORMATS))
