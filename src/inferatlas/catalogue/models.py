"""The models of the catalogue by name, and models of one's own from a file.

In: a slug, an alias, a Hugging Face name, a YAML file in the catalogue's form, a Hugging Face
``config.json`` or the directory that holds one. Out: a `ModelConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from inferatlas.catalogue import hf_config, names
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.model_schema import to_model
from inferatlas.documents import parse_document, read_document
from inferatlas.errors import BadInput, UnknownName

FOLDER = "models"


def model_ids() -> tuple[str, ...]:
    """Slugs of the models of the catalogue, sorted."""
    return names.ids(FOLDER)


@cache
def models() -> Mapping[str, ModelConfig]:
    """Every model of the catalogue by slug."""
    return MappingProxyType({slug: _shipped(slug) for slug in model_ids()})


@cache
def model_names() -> Mapping[str, str]:
    """Every name that `load_model` knows (slugs, names, aliases, Hugging Face names; spelt as slugs), to its slug."""
    found = {slug: slug for slug in model_ids()}
    for slug in model_ids():
        # identity stands first in a file: reading thirty-odd heads costs less than building thirty-odd models
        file = names.DATA / FOLDER / f"{slug}.yaml"
        head = parse_document(file.read_text(encoding="utf-8").partition("\nconfig:")[0], str(file)).data
        for name in [head["name"], *head.get("aliases", []), *([head["hf_id"]] if "hf_id" in head else [])]:
            found.setdefault(names.slug(name), slug)
    return MappingProxyType(found)


def load_model(name_or_path: str | Path) -> ModelConfig:
    """The model of that name, or the one described by that file.

    Parameters
    ----------
    name_or_path : slug, alias or Hugging Face name in any case; a ``.yaml`` in the catalogue's form; a Hugging Face
        ``config.json`` (any ``.json``) or a directory with one. A name wins over a file of the same name.

    Raises
    ------
    UnknownName : neither a name nor a file; near names are offered.
    BadInput : the file cannot be read or accepted (file, line or field, what is allowed).

    Examples
    --------
    >>> load_model("meta-llama/Llama-3.1-8B-Instruct").id
    'llama-3.1-8b'
    """
    name = str(name_or_path).strip()
    if not name:
        raise BadInput("no model given", field="model", allowed="a name of the catalogue or a file")
    wanted = names.slug(name)
    slug = wanted if wanted in model_ids() else model_names().get(wanted)
    if slug is not None:
        return _shipped(slug)
    path = _existing(name)
    if path is None and Path(name).suffix.lower() in (".json", ".yaml", ".yml"):
        raise BadInput("no such file", field="model", hint="a name needs no ending", file=name)
    if path is None:
        raise UnknownName("model", name, model_names())
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BadInput("the directory holds no config.json", field="model", file=path)
        return hf_config.read(path / "config.json")
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        raise BadInput("not a model file", field="model", allowed=".yaml, .yml, .json or a directory", file=path)
    return hf_config.read(path) if path.suffix.lower() == ".json" else load_file(path)


def _existing(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError):  # longer than a file name can be; no such user
        return None


def load_file(path: str | Path) -> ModelConfig:
    """A model from a YAML file in the catalogue's form; `BadInput` with file, line and field where it is wrong."""
    return to_model(read_document(path))


@cache
def _shipped(slug: str) -> ModelConfig:
    return load_file(names.DATA / FOLDER / f"{slug}.yaml")
