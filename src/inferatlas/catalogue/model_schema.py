"""The form of a model file: what `catalogue/data/models/*.yaml` and a user's own file must look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from typing import Any, TypeVar

from inferatlas.catalogue import names
from inferatlas.catalogue.factfile import bad, check_keys, read_facts
from inferatlas.catalogue.facts import PROVENANCES, Fact, FactSheet
from inferatlas.catalogue.model import FORMS, RESIZES, Attention, FeedForward, Layers, ModelConfig, Recurrence, Vision
from inferatlas.catalogue.model_checks import oddity, whole_oddity
from inferatlas.documents import Document

KINDS = ("dense", "moe", "ssm", "hybrid", "linear rnn", "encoder-decoder", "embedding")
WEIGHTS = ("fp32", "bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4")
LARGEST = 2**31  # no size comes near; sizes are counted in 32 bits
MOST = {"projector": 2**40}  # a count of parameters, not a size

# Keys of ``config:`` that are fields of `ModelConfig` (their types are the fields' own), then where they were read.
_SIZES = ("hidden", "vocab", "tied_embeddings", "context_length")
_MORE = (
    "position_embeddings", "norm_bias", "lm_head_bias", "other_parameters", "checkpoint_weights", "token_types",
    "embedding_norm", "pooler", "position_buckets", "final_norm",
)  # fmt: skip
_PARTS = ("encoder", "vision")
_LEAST = {"context_length": 0, **dict.fromkeys(("hidden", "vocab", "tied_embeddings"), 1)}  # all else: 0
_WORDS = {"form": FORMS, "resize": RESIZES}  # fields of blocks with words of their own
_BLOCKS = {"attention": Attention, "cross": Attention, "recurrence": Recurrence, "ffn": FeedForward}
_ORIGIN = ("address", "provenance", "confidence")
# A fact read in the configuration says ``source: config`` instead of repeating its source, address and confidence.
FROM_CONFIG = "config"

At = tuple[str | int, ...]
Block = TypeVar("Block", Attention, FeedForward, Recurrence)


def to_model(document: Document) -> ModelConfig:
    """Check a document against the form and build the model.

    Raises
    ------
    BadInput : with file, line and dotted field of the first thing that is wrong.
    """
    data = document.data
    optional = ("hf_id", "aliases", "not_modelled", "note", "facts")
    check_keys(document, (), data, ("id", "name", "family", "kind", "config"), optional)
    for key in ("id", "name", "family", "hf_id", "not_modelled", "note"):
        if key in data:
            _text(document, (key,))
    if data["id"] != names.slug(data["id"]):
        raise bad(document, f"'{data['id']}' is not a slug", "id", allowed="lower-case words joined by hyphens")
    _one_of(document, ("kind",), KINDS)
    aliases = data.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise bad(document, "a list of texts is needed here", "aliases", allowed='[llama-8b, "8b"]')
    config = _checked_config(document)
    model = ModelConfig(
        id=data["id"], name=data["name"], family=data["family"], kind=data["kind"], hf_id=data.get("hf_id"),
        aliases=tuple(aliases), not_modelled=data.get("not_modelled"),
        layers=tuple(_layers(document, ("config", "layers"))),
        encoder=tuple(_layers(document, ("config", "encoder"))) if "encoder" in config else (),
        vision=_vision(document) if "vision" in config else None, facts=FactSheet(_facts(document)), file=document.file,
        **{key: config[key] for key in _SIZES + _MORE if key in config},
    )  # fmt: skip
    odd = whole_oddity(model)
    if odd is not None:
        raise bad(document, odd.message, *odd.at, allowed=odd.allowed)
    return model


def _checked_config(document: Document) -> dict[str, Any]:
    config = document.data["config"]
    check_keys(document, ("config",), config, (*_SIZES, "layers", "source"), (*_MORE, *_PARTS, *_ORIGIN))
    types = {field.name: field.type for field in fields(ModelConfig)}
    for key in _SIZES + _MORE:
        if key in config and key != "checkpoint_weights":
            _size(document, ("config", key), str(types[key]), least=_LEAST.get(key, 0))
    for key in ("source", *_ORIGIN):
        if key in config:
            _text(document, ("config", key))
    for key, words in (("checkpoint_weights", WEIGHTS), ("provenance", PROVENANCES)):
        if key in config:
            _one_of(document, ("config", key), words)
    if config["layers"] == [] and "not_modelled" not in document.data:
        raise bad(document, "no layers", "config", "layers", allowed="[] only where not_modelled says why")
    return config


def _layers(document: Document, where: At) -> Iterator[Layers]:
    groups = _at(document, where)
    if not isinstance(groups, list):
        raise bad(document, "a list of groups of layers is needed here", *where)
    for i, group in enumerate(groups):
        at: At = (*where, i)
        check_keys(document, at, group, ("count", "attention", "ffn"), ("norms", "recurrence", "cross"))
        _size(document, (*at, "count"), "int", least=1)
        if "norms" in group:
            _size(document, (*at, "norms"), "int", least=0)
        blocks: dict[str, Any] = {}
        for part, form in _BLOCKS.items():
            blocks[part] = None if group.get(part) is None else _block(document, (*at, part), form)
            message = None if blocks[part] is None else oddity(blocks[part])
            if message:
                raise bad(document, message, *at, part)
        yield Layers(group["count"], norms=group.get("norms", 2), **blocks)


def _block(document: Document, at: At, form: type[Block]) -> Block:
    """A block from a mapping with its fields as keys; fields without default are required."""
    data = _at(document, at)
    required = [field.name for field in fields(form) if field.default is MISSING]
    check_keys(document, at, data, required, [field.name for field in fields(form) if field.name not in required])
    for field in fields(form):
        if field.name in _WORDS:
            if field.name in data:
                _one_of(document, (*at, field.name), _WORDS[field.name])
        elif field.name in data:
            _size(document, (*at, field.name), str(field.type), least=1 if field.default in (MISSING, None) else 0)
    return form(**data)


def _vision(document: Document) -> Vision:
    at: At = ("config", "vision")
    data = _at(document, at)
    sizes = [field for field in fields(Vision) if field.name not in ("layers", "resize")]
    required = ["layers", *(field.name for field in sizes if field.default is MISSING)]
    check_keys(document, at, data, required, [field.name for field in fields(Vision) if field.name not in required])
    for field in sizes:
        if field.name in data:
            least = 1 if field.default in (MISSING, 1) and field.type != "bool" else 0
            _size(document, (*at, field.name), str(field.type), least=least)
    if "resize" in data:
        _one_of(document, (*at, "resize"), RESIZES)
    vision = Vision(**data | {"layers": tuple(_layers(document, (*at, "layers")))})
    message = oddity(vision)
    if message:
        raise bad(document, message, *at)
    return vision


def _facts(document: Document) -> Iterator[Fact]:
    """The configuration as a whole as the first fact (what the shapes rest on), then the file's own."""
    config, note = document.data["config"], document.data.get("note", "")
    parts = (("encoder ", config.get("encoder", ())), ("", config["layers"]))
    depths = [f"{sum(g['count'] for g in groups)} {word}layers, " for word, groups in parts if groups]
    shapes = f"{''.join(depths)}hidden {config['hidden']}, vocabulary {config['vocab']}"
    provenance = config.get("provenance", "retrieved")
    origin = {"source": config["source"], "address": config.get("address"), "confidence": config.get("confidence", "")}
    status = "unverified" if provenance == "recalled" else "chosen"
    yield Fact("config", shapes, "", shapes, "", "", status, provenance, note=note, **origin)
    for fact in read_facts(document, "model") if "facts" in document.data else ():
        yield replace(fact, **origin) if fact.source == FROM_CONFIG else fact


def _at(document: Document, at: At) -> Any:
    value: Any = document.data
    for step in at:
        value = value[step]
    return value


def _size(document: Document, at: At, kind: str, least: int) -> None:
    """``kind`` is the annotation of a field: ``bool``, ``int`` or ``int | None``."""
    value, most = _at(document, at), MOST.get(str(at[-1]), LARGEST)
    if kind == "bool":
        if not isinstance(value, bool):
            raise bad(document, f"'{value}' is not a truth value", *at, allowed="true or false")
    elif value is None and "None" in kind:
        pass
    elif isinstance(value, bool) or not isinstance(value, int) or not least <= value < most:
        raise bad(document, f"'{value}' is not a whole number >= {least}", *at, allowed=f"{least} to {most - 1}")


def _text(document: Document, at: At) -> None:
    value = _at(document, at)
    if not isinstance(value, str) or not value.strip():
        raise bad(document, "a text is needed here", *at)


def _one_of(document: Document, at: At, words: tuple[str, ...]) -> None:
    value = _at(document, at)
    if value not in words:
        raise bad(document, f"'{value}' is not allowed here", *at, allowed=", ".join(words))
