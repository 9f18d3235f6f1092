"""What the tests of Hugging Face configurations share: a file from a mapping, and whether two models are one."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from inferatlas.catalogue import hf_config
from inferatlas.catalogue.model import Layers, ModelConfig

OWN_NAMES = ("id", "name", "family", "aliases", "hf_id", "facts", "file", "layers", "encoder")


@pytest.fixture
def read_config(tmp_path: Path) -> Callable[[dict[str, Any]], ModelConfig]:
    """Reads a configuration as if it were a file."""

    def read(config: dict[str, Any]) -> ModelConfig:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return hf_config.read(path)

    return read


@pytest.fixture
def assert_same() -> Callable[[ModelConfig, ModelConfig], None]:
    """Compares all but names, with equal layers taken together."""

    def grouped(groups: tuple[Layers, ...]) -> Counter[tuple[Any, ...]]:
        counts: Counter[tuple[Any, ...]] = Counter()
        for group in groups:
            counts[group.attention, group.recurrence, group.cross, group.ffn, group.norms] += group.count
        return counts

    def compare(ours: ModelConfig, theirs: ModelConfig) -> None:
        assert grouped(ours.layers) == grouped(theirs.layers)
        assert grouped(ours.encoder) == grouped(theirs.encoder)
        for field in fields(ModelConfig):
            if field.name not in OWN_NAMES:
                assert getattr(ours, field.name) == getattr(theirs, field.name), field.name

    return compare
