"""A name or a file is found whatever kind it is of."""

from pathlib import Path

import pytest

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.engines import Engine
from inferatlas.catalogue.find import find_thing
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.names import DATA
from inferatlas.errors import BadInput, UnknownName

OF_EACH_KIND = [
    ("accelerators", "groq-lpu-v1", Accelerator), ("models", "qwen3-8b", ModelConfig), ("engines", "vllm", Engine),
]  # fmt: skip


@pytest.mark.parametrize(("folder", "name", "kind"), OF_EACH_KIND)
def test_a_name_and_a_copy_of_its_file_are_of_one_kind(tmp_path: Path, folder: str, name: str, kind: type):
    own = tmp_path / "mine.yaml"
    own.write_text((DATA / folder / f"{name}.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    for thing in (find_thing(name), find_thing(str(own))):
        assert isinstance(thing, kind)
        assert thing.id == name


@pytest.mark.parametrize(
    ("name", "near"),
    [("nvidia-h100-smx", "nvidia-h100-sxm"), ("lama-3.1-8b", "llama-3.1-8b"), ("vllmm", "vllm")],
)
def test_a_misspelt_name_gets_near_ones_of_every_kind(name: str, near: str):
    with pytest.raises(UnknownName) as caught:
        find_thing(name)
    assert near in caught.value.near


def test_a_file_that_is_refused_says_where(tmp_path: Path):
    own = tmp_path / "mine.yaml"
    own.write_text("id: mine\nname: Mine\nvendr: me\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        find_thing(str(own))
    assert (caught.value.file, caught.value.line) == (str(own), 3)
