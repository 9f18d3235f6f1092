"""The models of the catalogue by name, and models of one's own from a file.

In: a slug, an alias, a Hugging Face name, a YAML file in the catalogue's form, a Hugging Face
``config.json`` or the directory that holds one. Out: a `ModelConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
        return _asked(_shipped(slug), wanted)
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


def _asked(model: ModelConfig, wanted: str) -> ModelConfig:
    """A shipped model under the name asked for: of several checkpoints with one configuration, that one is served."""
    of = {names.slug(one).rpartition("/")[2]: one for one in (*model.aliases, model.hf_id or "") if "/" in one}
    tail = wanted.rpartition("/")[2]
    found = of.get(tail) if "/" in wanted else of.get(f"{tail}-instruct", of.get(tail))
    return model if wanted == model.id or found in (None, model.hf_id) else replace(model, hf_id=found)


def stands_for(model: ModelConfig) -> list[str]:
    """A line where a model of the catalogue answers for another checkpoint of its configuration, else none.

    Examples
    --------
    >>> stands_for(load_model("deepseek-v3"))
    ['deepseek-r1 stands for deepseek-ai/DeepSeek-V3, which has the same configuration']
    >>> stands_for(load_model("deepseek-r1"))
    []
    """
    own = _shipped(model.id).hf_id if model.id in model_ids() else model.hf_id
    return [] if model.hf_id == own else [f"{model.id} stands for {model.hf_id}, which has the same configuration"]


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
