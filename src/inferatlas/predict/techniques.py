"""How a model is served beyond its layout, from text: memory tiers, the KV cache, drafts, images.

In: what people type. Out: the tiers of a device, a model with another cache policy, `Speculation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from inferatlas.catalogue.model import Attention, Layers, ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, called
from inferatlas.inputs import several
from inferatlas.predict.hardware.device import MemoryTier
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.vision import image_patches, image_tokens
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.quantities import parse

TIER = "name:capacity@rate, as in cxl:1TiB@64GB/s or nvme:8TB@12GB/s,latency=90us,outstanding=256,request=4KiB"
DRAFTS = "gamma=4,acceptance=0.7, and if wanted width=2, draft=MODEL"


def parse_tier(text: str) -> MemoryTier:
    """One memory behind the main one, of each accelerator: ``name:capacity@rate``, then ``,key=value`` (30).

    ``latency`` of a request, ``outstanding`` requests of ``request`` bytes at a time.

    Raises
    ------
    BadInput : with what is wrong in it.

    Examples
    --------
    >>> tier = parse_tier("cxl:1TiB@64GB/s")
    >>> tier.name, tier.bytes == 2**40, tier.bytes_per_s
    ('cxl', True, 64000000000.0)
    """
    head, *more = (part.strip() for part in text.split(","))
    match = re.fullmatch(r"([A-Za-z][\w.-]*):([^@]+)@(.+)", head)
    if not match:
        raise BadInput(f"'{text}' is no memory tier", field="tier", allowed=TIER)
    size, rate = parse(match[2].strip(), "B", field="tier"), parse(match[3].strip(), "B/s", field="tier")
    values = {"latency": None, "outstanding": None, "request": None} | _pairs(more, "tier", TIER)
    units = {"latency": "s", "outstanding": "1", "request": "B"}
    given = {k: None if v is None else parse(v, units[k], field=f"tier.{k}") for k, v in values.items()}
    for name, value in {"capacity": size, "rate": rate, **given}.items():
        if value is not None and not value > 0:
            raise BadInput(f"'{text}': the {name} is not above 0", field=f"tier.{name}", allowed="above 0")
    if (given["outstanding"] is None) != (given["request"] is None):
        raise BadInput("outstanding requests need their size", field="tier.request", allowed=TIER)
    return MemoryTier(match[1].lower(), size, rate, given["latency"], given["outstanding"], given["request"])


def parse_tiers(texts: str | Sequence[str] | None) -> tuple[MemoryTier, ...]:
    """Several of them; two of one name are a mistake."""
    found = tuple(parse_tier(text) for text in several(texts, "tier"))
    names = [tier.name for tier in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"{twice} is named twice", field="tier", allowed="each tier once")
    return found


def parse_speculation(text: str | None) -> Speculation | None:
    """Drafts and their acceptance: ``gamma=4,acceptance=0.7[,width=2][,draft=MODEL]``; None of None.

    Raises
    ------
    BadInput : a key that is unknown or missing, a number out of range. UnknownName : no such model.

    Examples
    --------
    >>> round(parse_speculation("gamma=4,acceptance=0.7").tokens, 4)
    2.7731
    """
    if text is None:
        return None
    known: dict[str, str | None] = {"gamma": None, "acceptance": None, "width": "1", "draft": None}
    values = known | _pairs([part.strip() for part in text.split(",")], "speculate", DRAFTS, known)
    for name in ("gamma", "acceptance"):
        if values[name] is None:
            raise BadInput(f"{name} is missing", field=f"speculate.{name}", allowed=DRAFTS)
    numbers = {name: parse(values[name] or "", "1", field=f"speculate.{name}") for name in known if name != "draft"}
    with called("speculate.draft", "model"):
        draft = _drafter(load_model(values["draft"])) if values["draft"] else None
    gamma, width = (_whole(numbers[name], f"speculate.{name}") for name in ("gamma", "width"))
    return Speculation(gamma, numbers["acceptance"], width, draft)


def _drafter(model: ModelConfig) -> Operators:
    if model.embeds or model.encoder:
        what = "yields a vector" if model.embeds else "has an encoder"
        raise BadInput(f"{model.id} {what}: it drafts nothing", field="speculate.draft", allowed="a decoder")
    return operators(model)


def _whole(value: float, field: str) -> int:
    if not isfinite(value) or value != int(value):
        raise BadInput(f"{value:g} is not a whole number", field=field, allowed="a whole number")
    return int(value)


def _pairs(parts: Sequence[str], field: str, allowed: str, known: Sequence[str] | dict | None = None) -> dict[str, str]:
    """``key=value`` by key; each once."""
    known = ("latency", "outstanding", "request") if known is None else known
    found: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or key not in known or not value.strip():
            raise BadInput(f"'{part}' is not understood", field=field, allowed=allowed)
        if key in found:
            raise BadInput(f"{key} is given twice", field=f"{field}.{key}", allowed="each key once")
        found[key] = value.strip()
    return found


def with_cache_policy(model: ModelConfig, *, keep: int | None = None, read: int | None = None) -> ModelConfig:
    """The model as served with a smaller cache, equations (4) and (31).

    ``keep`` tokens of the context at most, the rest evicted; ``read`` at most of those kept by each query (sparse
    attention, its choice free of cost). What this does to the quality of answers is not said.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> with_cache_policy(load_model("llama-3.1-8b"), keep=4096).layers[0].attention.window
    4096
    """
    for name, value in (("kv_keep", keep), ("kv_read", read)):
        if value is not None and value < 1:
            raise BadInput(f"{value} tokens", field=name, allowed="a whole number of tokens, 1 or more")
    if keep is None and read is None:
        return model

    def limited(attention: Attention | None) -> Attention | None:
        if attention is None or not attention.causal:
            return attention
        window = min((w for w in (attention.window, keep) if w is not None), default=None)
        selected = min((s for s in (attention.selected, read) if s is not None), default=None)
        return replace(attention, window=window, selected=selected)

    def of(group: Layers) -> Layers:
        return replace(group, attention=limited(group.attention))

    return replace(model, layers=tuple(of(group) for group in model.layers))


def check_cache(
    ops: Operators, *, kv_keep: int | None, kv_read: int | None, kv_compression: float | None, kv_offload: float | None
) -> None:
    """Refuse what would do something to a cache that the model does not have, and shares that are none.

    Raises
    ------
    BadInput : with the field.
    """
    if kv_offload is not None and not 0.0 <= kv_offload <= 1.0:
        raise BadInput(f"{kv_offload!r} is not a share of the KV cache", field="kv_offload", allowed="0 to 1")
    attends, keeps = any(row.kept for row in ops.attentions), any(row.kept for row in ops.attentions) or ops.recurrences
    given = {"kv_keep": (kv_keep, attends), "kv_read": (kv_read, attends), "kv_compression": (kv_compression, attends),
             "kv_offload": (kv_offload, keeps)}  # fmt: skip
    for field, (value, there) in given.items():
        if value is not None and not there:
            what = "keeps nothing of a request" if not keeps else "has no attention, and so no keys and values"
            raise BadInput(f"{ops.model.id} {what}", field=field, allowed="leave it out")


def with_images(model: ModelConfig, images: int, size: str) -> tuple[Operators, int]:
    """The operators of a model whose prompts hold ``images`` of ``size`` (``1024x768``), and their tokens per prompt.

    Raises
    ------
    BadInput : a negative number, a size that is none, a model without vision.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> with_images(load_model("gemma-3-27b"), 2, "1024x768")[1]
    512
    """
    if images < 0:
        raise BadInput(f"{images} images", field="images", allowed="0 or more")
    if not images:
        return operators(model), 0
    if model.vision is None:
        raise BadInput(f"{model.id} has no vision tower", field="images", allowed="a model with one")
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size.strip().lower())
    if not match:
        raise BadInput(f"'{size}' is no size of an image", field="image_size", allowed="pixels, as in 1024x768")
    width, height = int(match[1]), int(match[2])
    ops = operators(model, images=images, patches=image_patches(model.vision, width, height))
    return ops, images * image_tokens(model.vision, width, height)
