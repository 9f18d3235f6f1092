"""Find an accelerator, a model or an engine where only a name, or a file, is given and not what kind it is of."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.engines import Engine, load_engine
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, model_names
from inferatlas.documents import read_document
from inferatlas.errors import UnknownName

Thing = Accelerator | ModelConfig | Engine


def find_thing(name: str) -> Thing:
    """The accelerator, model or engine of that name, or the one that a file describes.

    Raises
    ------
    UnknownName : no such name of any kind; near ones are offered. BadInput : a file that is refused.

    Examples
    --------
    >>> [find_thing(name).id for name in ("h100", "meta-llama/Llama-3.1-8B", "vLLM")]
    ['nvidia-h100-sxm', 'llama-3.1-8b', 'vllm']
    """
    if names.is_path(name):
        keys = read_document(Path(name).expanduser()).data
        return (
            load_engine(name)
            if "support_field" in keys
            else load_model(name)
            if "config" in keys
            else load_accelerator(name)
        )
    known: list[str] = []
    for load, folder in ((load_accelerator, "accelerators"), (load_engine, "engines")):
        with suppress(UnknownName):
            return load(name)
        known += [*names.ids(folder), *names.aliases(folder)]
    try:
        return load_model(name)
    except UnknownName:
        raise UnknownName("name", name, [*known, *model_names()]) from None
