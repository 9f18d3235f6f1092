"""A device that cannot be predicted: nobody publishes it of the catalogue's, of one's own it can be completed."""

import re
from pathlib import Path

import pytest

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.check import check
from inferatlas.errors import BadInput, NotModelled
from inferatlas.predict.hardware.device import device
from inferatlas.predict.platforms import bind

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "my-accelerator.yaml"
CLUSTER = "id: mine\naccelerator: {}\nnodes: 2\naccelerators_per_node: 8\nsource: us\n"


def without(*fields: str) -> str:
    text = EXAMPLE.read_text()
    for field in fields:
        text, found = re.subn(rf"^  {re.escape(field)}:\n(    .*\n)+", "", text, flags=re.M)
        assert found == 1, field
    return text


def test_the_example_is_sound_and_the_page_shows_it():
    assert check(str(EXAMPLE)) == []
    assert device(load_accelerator(str(EXAMPLE))).memory.bytes_per_s == 6e12
    page = (EXAMPLE.parents[1] / "whatif.md").read_text()
    assert EXAMPLE.read_text().partition("\nid: ")[2] in page


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (without("mem.hbm.capacity", "mem.hbm.bandwidth"), "facts.mem.hbm.capacity"),
        (without("mem.hbm.bandwidth"), "facts.mem.hbm.bandwidth"),
        (without("peak_bf16", "peak_fp8"), "facts.peak_bf16"),
        (EXAMPLE.read_text().replace("{value: 6, unit: TB/s", "{value: 0, unit: TB/s"), "facts.mem.hbm.bandwidth"),
    ],
    ids=["no memory", "no bandwidth", "no peak", "zero bandwidth"],
)
def test_a_file_of_ones_own_is_refused_with_field_and_line(tmp_path: Path, text: str, field: str):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as error:
        device(load_accelerator(str(file)))
    assert (error.value.exit_code, error.value.field, error.value.file) == (2, field, str(file))
    line = text.splitlines()[error.value.line - 1].strip()
    assert line == (f"{field.removeprefix('facts.')}:" if field.removeprefix("facts.") + ":" in text else "facts:")
    assert error.value.allowed

    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(CLUSTER.format(file))
    with pytest.raises(BadInput) as error:
        device(load_accelerator(str(cluster)))
    assert (error.value.field, error.value.file) == ("accelerator", str(cluster))


def test_of_the_catalogue_it_is_no_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A part of which nobody publishes the memory is "not modelled", exit code 3."""
    file = tmp_path / "own.yaml"
    file.write_text(without("mem.hbm.capacity", "mem.hbm.bandwidth"))
    monkeypatch.setattr("inferatlas.catalogue.names.DATA", tmp_path.resolve())
    with pytest.raises(NotModelled) as error:
        device(load_accelerator(str(file)))
    assert error.value.exit_code == 3


def test_a_file_without_an_engine_is_told_how_to_name_one(tmp_path: Path):
    file = tmp_path / "own.yaml"
    file.write_text(without("software.vllm"))
    with pytest.raises(BadInput) as error:
        bind(str(file))
    assert (error.value.field, error.value.file) == ("facts.software.vllm", str(file))
    assert file.read_text().splitlines()[error.value.line - 1].startswith("facts:")
