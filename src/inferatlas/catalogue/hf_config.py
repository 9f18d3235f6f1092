"""A model from its Hugging Face ``config.json``.

In: a file. Out: a `ModelConfig` whose facts name the file and every library default that stood in for an
absent key. Weights are not needed; nothing is downloaded.
"""

from __future__ import annotations

import re
from pathlib import Path

from inferatlas.catalogue.facts import Fact, FactSheet
from inferatlas.catalogue.hf_families import FAMILIES
from inferatlas.catalogue.hf_keys import Keys, read_keys
from inferatlas.catalogue.model import ModelConfig

# text part of wrappers whose text_config leaves model_type out
_TEXT_TYPES = {"gemma3": "gemma3_text", "llama4": "llama4_text", "mistral3": "mistral"}
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "float8_e4m3fn": "fp8"}

_SSM = "state-space layers are not modelled yet"
_HYBRID = "hybrids of state-space and attention layers are not modelled yet"
_RNN = "linear recurrent layers are not modelled yet"
_ENCODER = "embedding models (no decode) are not modelled yet"
_BOTH = "encoder-decoder models are not modelled yet"
_SPARSE = "sparse attention is not modelled yet"
NOT_MODELLED: dict[str, tuple[str, str]] = {  # model_type -> (kind, reason)
    **dict.fromkeys(("mamba", "mamba2", "falcon_mamba"), ("ssm", _SSM)),
    **dict.fromkeys(
        ("jamba", "bamba", "nemotron_h", "zamba", "zamba2", "falcon_h1", "granitemoehybrid", "qwen3_next",
         "recurrent_gemma", "minimax", "lfm2"), ("hybrid", _HYBRID)),
    **dict.fromkeys(("rwkv", "rwkv5", "rwkv6", "rwkv7"), ("linear rnn", _RNN)),
    **dict.fromkeys(("t5", "mt5", "umt5", "bart", "mbart", "pegasus"), ("encoder-decoder", _BOTH)),
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "modernbert", "nomic_bert"), ("embedding", _ENCODER)),
    "deepseek_v32": ("moe", _SPARSE),
}  # fmt: skip


def supported() -> list[str]:
    """The ``model_type`` values that are modelled, sorted (wrappers with a text_config of one of these are too)."""
    return sorted({*FAMILIES, *_TEXT_TYPES})


def read(path: str | Path) -> ModelConfig:
    """Read a ``config.json``.

    Recognised architectures that have no performance model come back with ``not_modelled`` set. Of
    multimodal wrappers the text part counts; the vision part is named as a gap in the facts.

    Raises
    ------
    BadInput : not JSON, an unknown ``model_type``, a key missing, of a wrong type or out of range.
    """
    top = read_keys(path)
    if "model_type" not in top.data and "ssm_cfg" in top.data:  # the original Mamba files name no type
        top.data["model_type"] = "mamba"
    keys = top.section("text_config") if "text_config" in top.data else top
    wrapper = top.data.get("model_type")
    if keys is not top and not keys.has("model_type") and isinstance(wrapper, str) and wrapper in _TEXT_TYPES:
        keys.data["model_type"] = _TEXT_TYPES[wrapper]
    if not keys.has("model_type"):
        raise keys.bad("model_type", "is missing", ", ".join(supported()))
    model_type = keys.text("model_type")
    if model_type in NOT_MODELLED:
        return _not_modelled(keys, model_type, Path(path))
    if model_type not in FAMILIES:
        raise keys.bad("model_type", f"unknown architecture '{model_type}'", ", ".join(supported()))
    shapes = FAMILIES[model_type](keys)
    text_defaults = {"vocab_size": 262208, "max_position_embeddings": 131072} if model_type == "gemma3_text" else {}
    tied_in = keys if keys.has("tie_word_embeddings") or not top.has("tie_word_embeddings") else top
    slug, hf_id = _identity(top, Path(path))
    return ModelConfig(
        id=slug, name=slug, family=model_type, hf_id=hf_id,
        kind="moe" if any(group.ffn and group.ffn.is_moe for group in shapes.layers) else "dense",
        hidden=keys.count("hidden_size"),
        vocab=_count(keys, "vocab_size", text_defaults),
        context_length=_count(keys, "max_position_embeddings", text_defaults),
        tied_embeddings=tied_in.flag("tie_word_embeddings", shapes.tied),
        layers=shapes.layers, position_embeddings=shapes.position_embeddings, norm_bias=shapes.norm_bias,
        checkpoint_weights=_weights(top, keys),
        facts=_facts(keys, model_type, vision=any(key in top.data for key in ("vision_config", "audio_config"))),
        file=str(path),
    )  # fmt: skip


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


def _facts(keys: Keys, model_type: str, vision: bool = False) -> FactSheet:
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
    if vision:
        note = "the checkpoint holds more than the text model; its vision or audio part is not counted"
        facts.append(fact("parameters.other", None, "", "unverified", "gap", keys.file, note))
    return FactSheet(facts)
