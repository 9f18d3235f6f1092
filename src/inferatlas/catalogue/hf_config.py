"""A model from its Hugging Face ``config.json``.

In: a file. Out: a `ModelConfig` whose facts name the file and every library default that stood in for an
absent key. Weights are not needed; nothing is downloaded.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from inferatlas.catalogue.facts import Fact, FactSheet
from inferatlas.catalogue.hf_encoders import ENCODERS
from inferatlas.catalogue.hf_families import FAMILIES
from inferatlas.catalogue.hf_keys import Keys, read_keys
from inferatlas.catalogue.hf_recurrent import RECURRENT
from inferatlas.catalogue.hf_shapes import Shapes
from inferatlas.catalogue.hf_vision import TOWERS
from inferatlas.catalogue.model import ModelConfig, Vision

# text part of wrappers whose text_config leaves model_type out
_TEXT_TYPES = {"gemma3": "gemma3_text", "llama4": "llama4_text", "mistral3": "mistral", "qwen2_5_vl": "qwen2_5_vl_text"}
_READERS = {**FAMILIES, **RECURRENT, **ENCODERS}
_OUR_NAMES = ("mamba_ssm",)  # of files that name no type
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "float8_e4m3fn": "fp8"}

_HYBRID = "hybrids of {} and attention layers are not modelled yet"
NOT_MODELLED: dict[str, tuple[str, str]] = {  # model_type -> (kind, reason)
    **dict.fromkeys(
        ("zamba", "zamba2"), ("hybrid", "attention layers that share their weights are not modelled yet")),
    "falcon_h1": ("hybrid", "layers with attention and a state-space block side by side are not modelled yet"),
    "granitemoehybrid": ("hybrid", "hybrids with a shared block beside experts are not modelled yet"),
    "recurrent_gemma": ("hybrid", _HYBRID.format("gated linear recurrent")),
    "lfm2": ("hybrid", _HYBRID.format("gated convolution")),
    **dict.fromkeys(("qwen3_next", "kimi_linear"), ("hybrid", _HYBRID.format("gated delta-rule"))),
    "minimax": ("hybrid", _HYBRID.format("linear")),
    **dict.fromkeys(("rwkv", "rwkv5"), ("linear rnn", "RWKV before version 6 is not modelled yet")),
    **dict.fromkeys(
        ("bart", "mbart", "pegasus"), ("encoder-decoder", "encoder-decoders other than T5 are not modelled yet")),
    **dict.fromkeys(
        ("distilbert", "mpnet", "modernbert", "nomic_bert"),
        ("embedding", "encoders other than BERT and RoBERTa are not modelled yet")),
}  # fmt: skip


def supported() -> list[str]:
    """The ``model_type`` values that are modelled, sorted (wrappers with a text_config of one of these are too)."""
    return sorted({*_READERS, *_TEXT_TYPES} - set(_OUR_NAMES))


def read(path: str | Path) -> ModelConfig:
    """Read a ``config.json``.

    Recognised architectures that have no performance model come back with ``not_modelled`` set. Of multimodal
    wrappers the text part counts, and the vision tower where its form is known; else it is a gap in the facts. A file
    whose class has no head (``MistralModel``) is of a model that embeds.

    Raises
    ------
    BadInput : not JSON, an unknown ``model_type``, a key missing, of a wrong type or out of range.
    """
    top = read_keys(path)
    if "model_type" not in top.data and "ssm_cfg" in top.data:  # the original Mamba files name no type
        top.data["model_type"] = "mamba_ssm"
    keys = top.section("text_config") if "text_config" in top.data else top
    wrapper = top.data.get("model_type")
    if keys is not top and not keys.has("model_type") and isinstance(wrapper, str) and wrapper in _TEXT_TYPES:
        keys.data["model_type"] = _TEXT_TYPES[wrapper]
    if not keys.has("model_type"):
        raise keys.bad("model_type", "is missing", ", ".join(supported()))
    model_type = keys.text("model_type")
    if model_type in NOT_MODELLED:
        return _not_modelled(keys, model_type, Path(path))
    if model_type not in _READERS:
        raise keys.bad("model_type", f"unknown architecture '{model_type}'", ", ".join(supported()))
    return _model(top, keys, _as_used(top, keys, _READERS[model_type](keys)), Path(path))


def _model(top: Keys, keys: Keys, shapes: Shapes, path: Path) -> ModelConfig:
    model_type, (slug, hf_id) = keys.text("model_type"), _identity(top, path)
    text_defaults = {"vocab_size": 262208, "max_position_embeddings": 131072} if model_type == "gemma3_text" else {}
    tied_in = keys if keys.has("tie_word_embeddings") or not top.has("tie_word_embeddings") else top
    hidden = shapes.hidden or keys.count("hidden_size")
    context = shapes.context
    vision = _vision(top, hidden)
    unknown = top.has("audio_config") or (top.has("vision_config") and vision is None)
    experts = any(group.ffn and group.ffn.is_moe for group in shapes.layers)
    return ModelConfig(
        id=slug, name=slug, family=model_type, hf_id=hf_id, kind=shapes.kind or ("moe" if experts else "dense"),
        hidden=hidden, vocab=shapes.vocab or _count(keys, "vocab_size", text_defaults),
        context_length=_count(keys, "max_position_embeddings", text_defaults) if context is None else context,
        tied_embeddings=shapes.kind == "embedding" or tied_in.flag("tie_word_embeddings", shapes.tied),
        layers=shapes.layers, encoder=shapes.encoder, vision=vision,
        other_parameters=vision.parameters if vision else 0, position_embeddings=shapes.position_embeddings,
        token_types=shapes.token_types, position_buckets=shapes.position_buckets, norm_bias=shapes.norm_bias,
        embedding_norm=shapes.embedding_norm, final_norm=shapes.final_norm, pooler=shapes.pooler,
        checkpoint_weights=_weights(top, keys), facts=_facts(keys, model_type, unknown, vision), file=str(path),
    )  # fmt: skip


def _vision(top: Keys, hidden: int) -> Vision | None:
    wrapper = top.data.get("model_type")
    if not top.has("vision_config") or not isinstance(wrapper, str) or wrapper not in TOWERS:
        return None
    return TOWERS[wrapper](top, top.section("vision_config"), hidden)


def _as_used(top: Keys, keys: Keys, shapes: Shapes) -> Shapes:
    """A decoder without head embeds; and in some that embed every token sees all others."""
    classes = top.data.get("architectures")
    name = classes[0] if isinstance(classes, list) and classes else None
    if shapes.kind is not None or not isinstance(name, str) or not name.endswith("Model"):
        return shapes
    if keys.flag("is_causal", True) and not keys.flag("use_bidirectional_attention", False):
        return replace(shapes, kind="embedding")
    pairs = ((group, group.attention) for group in shapes.layers)
    layers = tuple(replace(group, attention=a and replace(a, causal=False)) for group, a in pairs)
    return replace(shapes, kind="embedding", layers=layers)


def _count(keys: Keys, key: str, defaults: dict[str, int]) -> int:
    return keys.count(key, default=defaults[key]) if key in defaults else keys.count(key)


def _identity(top: Keys, path: Path) -> tuple[str, str | None]:
    """A slug from the directory or file, and the Hugging Face name if the file tells it."""
    origin = top.data.get("_name_or_path")
    hf_id = origin if isinstance(origin, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", origin) else None
    stem = path.resolve().parent.name if path.name == "config.json" else path.stem
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-.") or "model", hf_id


def _not_modelled(keys: Keys, model_type: str, path: Path) -> ModelConfig:
    kind, reason = NOT_MODELLED[model_type]
    hidden = next((key for key in ("hidden_size", "d_model", "dim", "n_embd") if keys.has(key)), "hidden_size")
    context = next((key for key in ("max_position_embeddings", "n_positions", "context_length") if keys.has(key)), None)
    slug, hf_id = _identity(keys, path)
    return ModelConfig(
        id=slug, name=slug, family=model_type, kind=kind, hf_id=hf_id, hidden=keys.count(hidden),
        vocab=keys.count("vocab_size"), layers=(), tied_embeddings=keys.flag("tie_word_embeddings", True),
        context_length=keys.count(context) if context else 0,
        checkpoint_weights=_weights(keys, keys), not_modelled=reason, facts=_facts(keys, model_type), file=str(path),
    )  # fmt: skip


def _weights(top: Keys, keys: Keys) -> str:
    """The format in which the checkpoint stores its large matrices."""
    for part in (top, keys):
        if part.has("quantization_config"):
            return _quantized(part.section("quantization_config"))
    part = next((p for p in (keys, top) if p.has("torch_dtype") or p.has("dtype")), None)
    if part is None:
        return _DTYPES[top.text("torch_dtype", default="bfloat16")]
    key = "torch_dtype" if part.has("torch_dtype") else "dtype"
    dtype = part.text(key).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise part.bad(key, f"'{dtype}' is not supported", ", ".join(_DTYPES))
    return _DTYPES[dtype]


def _quantized(q: Keys) -> str:
    method = q.text("quant_method").lower()
    if method in ("fp8", "fbgemm_fp8", "mxfp4"):
        return method.removeprefix("fbgemm_")
    if method in ("awq", "gptq"):
        return _integer(q, "bits")
    if method == "bitsandbytes":
        return "int4" if q.data.get("load_in_4bit") else "int8"
    if method == "modelopt":
        algorithm = q.text("quant_algo").lower()
        if algorithm in ("fp8", "nvfp4"):
            return algorithm
        raise q.bad("quant_algo", f"'{algorithm}' is not supported", "FP8, NVFP4")
    if method == "compressed-tensors":
        return _compressed(q)
    allowed = "fp8, fbgemm_fp8, mxfp4, awq, gptq, bitsandbytes, modelopt, compressed-tensors"
    raise q.bad("quant_method", f"'{method}' is not supported", allowed)


def _compressed(q: Keys) -> str:
    groups = q.section("config_groups")
    if not groups.data:
        raise groups.bad("group_0", "is missing", "a group with weights")
    weights = groups.section(next(iter(groups.data))).section("weights")
    bits, kind = weights.count("num_bits"), weights.text("type")
    if kind == "int":
        return _integer(weights, "num_bits")
    formats = {4: "mxfp4" if weights.data.get("group_size") == 32 else "nvfp4", 8: "fp8"}  # blocks of 32 or 16
    if kind != "float" or bits not in formats:
        raise weights.bad("type", f"'{kind}' of {bits} bits is not supported", "int or float of 4 or 8 bits")
    return formats[bits]


def _integer(q: Keys, key: str) -> str:
    bits = q.count(key)
    if bits not in (4, 8):
        raise q.bad(key, f"{bits} bits are not supported", "4 or 8")
    return f"int{bits}"


def _facts(keys: Keys, model_type: str, unknown: bool = False, vision: Vision | None = None) -> FactSheet:
    """What the shapes rest on: the file, and the library's defaults for the keys it leaves out."""

    def fact(
        field: str, value: str | None, condition: str, status: str, provenance: str, source: str, note: str
    ) -> Fact:
        return Fact(field, value, "text", value or "", "text", condition, status, provenance, source, None, "", note)

    facts = [fact("config", f"model_type {model_type}", "", "chosen", "retrieved", keys.file, "")]
    for key, value in keys.assumed.items():
        note = "the file leaves this key out"
        facts.append(
            fact(
                f"default.{key}", str(value), "", "unverified", "recalled", "default of Hugging Face transformers", note
            )
        )
    if vision is not None:
        tower = vision.parameters - vision.projector
        for field, value in (("parameters.vision", tower), ("parameters.projector", vision.projector)):
            condition = "not used by text; held by the checkpoint and counted in the total"
            facts.append(
                Fact(
                    field,
                    float(value),
                    "1",
                    str(value),
                    "count",
                    condition,
                    "chosen",
                    "derived",
                    keys.file,
                    None,
                    "",
                    "",
                )
            )
    if unknown:
        note = "the checkpoint holds more than the text model; its vision or audio part is not counted"
        facts.append(fact("parameters.other", None, "", "unverified", "gap", keys.file, note))
    return FactSheet(facts)
