"""A file that cannot be trusted is refused, and the error names the file, the line and what is allowed."""

from pathlib import Path

import pytest

from inferatlas.catalogue.accelerators import read_accelerator
from inferatlas.errors import BadInput

GOOD = """\
id: my-chip
name: My chip
vendor: Me
aliases: [mine]
architectural_class: gpu_simt
execution: {style: kernel, topology: switch, devices_per_card: 1, reason: "ours"}
facts:
  peak_bf16:
    - {value: 100, unit: TFLOPS, condition: "dense", status: chosen, provenance: retrieved,
       confidence: high, source: "data sheet", address: "https://example.org"}
    - {value: 200, unit: TFLOPS, condition: "sparse", status: rejected, provenance: retrieved, source: "data sheet"}
  power.idle:
    - {value: [40, 60], unit: W, status: chosen, provenance: retrieved, source: "log"}
  mem.hbm.bandwidth:
    - {value: null, status: chosen, provenance: gap}
"""


def _read(tmp_path: Path, text: str | bytes):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_accelerator(file)


def test_the_good_file_reads(tmp_path: Path):
    mine = _read(tmp_path, GOOD)
    assert mine.facts.number("peak_bf16") == 100e12
    assert mine.facts.number("power.idle") == 50
    assert mine.facts.number("mem.hbm.bandwidth") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("vendor: Me", "vendor: Me\ncolour: red", 4, "unknown key 'colour'"),
        ("vendor: Me\n", "", 1, "'vendor' is missing"),
        ("vendor: Me", "vendor: Me\nvendor: You", 4, "twice"),
        ("vendor: Me", "vendor: 3", 3, "a text is needed"),
        ("id: my-chip", "id: My Chip", 1, "not a slug"),
        ("gpu_simt", "gpu", 5, "'gpu' is not allowed"),
        ("style: kernel", "style: magic", 6, "'magic' is not allowed"),
        ("devices_per_card: 1", "devices_per_card: 0", 6, "whole number"),
        ("aliases: [mine]", "aliases: mine", 4, "a list of texts"),
        (', reason: "ours"', "", 6, "'reason' is missing"),
        ("confidence: high", "confidense: high", 10, "unknown key 'confidense'"),
        ("confidence: high", "confidence: sure", 10, "is not a confidence"),
        ("status: chosen, provenance: retrieved,\n", "status: best, provenance: retrieved,\n", 9, "is not a status"),
        ("provenance: retrieved, source: \"log\"", "provenance: heard, source: \"log\"", 13, "is not a provenance"),
        ('source: "log"', 'source: ""', 13, "a value without source"),
        (', source: "log"', "", 13, "a value without source"),
        ("https://example.org", "example.org", 10, "not a public address"),
        ("{value: 100, unit: TFLOPS", "{value: 100, unit: W", 9, "does not fit|not a unit that fits"),
        ("{value: 100, unit: TFLOPS", "{value: 100, unit: furlong", 9, "not a unit that fits"),
        ("{value: 100, unit: TFLOPS", "{value: 100", 9, "a number without unit"),
        ("{value: 100, unit: TFLOPS", "{value: -1, unit: TFLOPS", 9, "finite number >= 0"),
        ("{value: 100, unit: TFLOPS", "{value: .nan, unit: TFLOPS", 9, "finite number >= 0"),
        ("{value: 100, unit: TFLOPS", "{value: .inf, unit: TFLOPS", 9, "finite number >= 0"),
        ("{value: 100, unit: TFLOPS", "{value: fast, unit: TFLOPS", 9, "not a number"),
        ("{value: 100, unit: TFLOPS", "{value: true, unit: TFLOPS", 9, "not a number"),
        ("value: [40, 60]", "value: [60, 40]", 13, "below its high end"),
        ("value: [40, 60]", "value: [40, 50, 60]", 13, "two ends"),
        ("status: rejected", "status: chosen", 11, "two facts of this field are in use"),
        ("status: rejected", "status: unverified", 11, "two facts of this field are in use"),
        ("provenance: retrieved, source: \"log\"", "provenance: recalled, source: \"log\"", 13, "recalled value"),
        ("value: null", "value: 3, unit: TB/s", 15, "a gap has no value"),
        ("  mem.hbm.bandwidth:", "  mem.hbm.bandwith:", 14, "unknown field"),
        ("  power.idle:\n    - {", "  power.idle:\n      {", 12, "a list of facts"),
        ("facts:\n", "facts: {}\nrest:\n", 8, "unknown key 'rest'"),
        ("vendor: Me", "vendor: [Me", 4, "not valid YAML"),
        ("vendor: Me", "vendor: !!python/object:os.system Me", 3, "not valid YAML|tag"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str):
    assert old in GOOD
    with pytest.raises(BadInput, match=says) as caught:
        _read(tmp_path, GOOD.replace(old, new, 1))
    assert caught.value.exit_code == 2
    assert caught.value.file == str(tmp_path / "mine.yaml")
    assert caught.value.line is not None
    assert abs(caught.value.line - line) <= (1 if "YAML" in says or old == "  power.idle:\n    - {" else 0), (
        caught.value
    )


@pytest.mark.parametrize("text", ["", "# only a remark\n", "- a\n- b\n", "words", b"\xff\xfe\x00", "a: \x07", "a: *b"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str | bytes):
    with pytest.raises(BadInput) as caught:
        _read(tmp_path, text)
    assert caught.value.file is not None


def test_a_misspelt_field_gets_the_near_one(tmp_path: Path):
    with pytest.raises(BadInput) as caught:
        _read(tmp_path, GOOD.replace("peak_bf16:", "peaks_bf16:"))
    assert "peak_*" in (caught.value.hint or "")


def test_a_number_in_the_exponent_form_is_a_number(tmp_path: Path):
    assert _read(tmp_path, GOOD.replace("value: 100, unit: TFLOPS", "value: 1e14, unit: FLOPS")).facts.number(
        "peak_bf16"
    ) == pytest.approx(1e14)
