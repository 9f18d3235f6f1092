"""From names as sources print them to the catalogue's: models, accelerators, engines, precisions.

Nothing here opens a file that a name points to: names come from files of strangers.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerators import FOLDER, accelerator_ids, load_accelerator
from inferatlas.catalogue.memory import main_memory_bytes
from inferatlas.catalogue.models import model_names, models

_NOISE = {
    "nvidia", "amd", "intel", "google", "aws", "habana", "sambanova", "cerebras", "instinct", "gpu", "tensor", "core",
    "accelerator", "hbm", "hbm2", "hbm2e", "hbm3", "hbm3e", "gddr6", "gddr6x", "data", "center", "geforce", "grace",
    "hopper", "superchip", "oam", "ac",
}  # fmt: skip
_FORMAT_WORDS = {
    "fp8": "fp8", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "bf16": "bf16", "fp16": "fp16", "int8": "int8", "int4": "int4",
    "awq": "int4", "gptq": "int4", "w4a16": "int4", "w8a8": "int8", "fp4": "fp4",
}  # fmt: skip
# words at the end of a checkpoint's name that do not change its shapes
_VARIANT = re.compile(r"-(instruct|chat|hf|it|base|thinking|preview|kv|dynamic|v\d+(\.\d+)*|\d{4})$")
_PRECISIONS = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "full-prec": "fp16", "float32": "fp32", "float": "fp32",
    "e4m3": "fp8", "fp8-e4m3": "fp8", "fp8-e5m2": "fp8", "float8": "fp8", "fp8-block": "fp8", "fp8-static": "fp8",
    "fp8-ootb": "fp8", "fp8-dynamic": "fp8", "int8-sq": "int8", "sq": "int8", "w8a8": "int8", "int8-wo": "int8",
    "int4-wo": "int4", "awq": "int4", "gptq": "int4", "w4a16": "int4", "w4afp8": "int4", "modelopt-fp4": "nvfp4",
    "w4a16-mxfp4": "mxfp4", "w4a8-mxfp4-mxfp8": "mxfp4", "mxfp4": "mxfp4",
}  # fmt: skip
_ENGINES = {
    "tensorrt-llm": ("tensorrt", "trt"), "vllm": ("vllm",), "sglang": ("sglang",), "deepspeed-mii": ("deepspeed",),
    "tgi": ("tgi", "text-generation-inference"), "llama.cpp": ("llama.cpp", "llama-cpp", "llamacpp"),
}  # fmt: skip

LONGEST = 200


@dataclass(frozen=True, slots=True)
class Name:
    """A printed name: its slug, whether the catalogue holds it, the weight format that it tells, near names."""

    printed: str
    slug: str
    known: bool
    weights: str | None = None
    near: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def model(printed: str) -> Name:
    """The catalogue's slug of a model as printed.

    The organisation, words of the checkpoint's variant (Instruct, 2507, v0.1) and a weight format at the end are
    left off one by one until the catalogue knows the rest; if it never does, the name is kept without organisation.

    Examples
    --------
    >>> model("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8")
    Name(printed='Qwen/Qwen3-235B-A22B-Thinking-2507-FP8', slug='qwen3-235b-a22b', known=True, weights='fp8', near=())
    >>> model("Acme/Nonesuch-12B-Instruct").slug
    'nonesuch-12b-instruct'
    """
    full = names.slug(_clean(printed)).strip("/")
    known = model_names()
    bare = full.rsplit("/", 1)[-1]
    tried, weights = bare, None
    for _ in range(8):
        for spelling in (full, tried, tried.removeprefix("meta-")):
            if spelling in known:
                return Name(printed, known[spelling], True, weights)
        head, _, last = tried.rpartition("-")
        if head and (word := last.removeprefix("quantized.")) in _FORMAT_WORDS:
            tried, weights = head, weights or _FORMAT_WORDS[word]
        elif _VARIANT.search(tried):
            tried = _VARIANT.sub("", tried)
        else:
            break
    near = difflib.get_close_matches(tried, sorted(set(known.values())), n=3, cutoff=0.6)
    return Name(printed, bare or full, False, weights, tuple(near))


@lru_cache(maxsize=4096)
def accelerator(printed: str) -> Name:
    """The catalogue's slug of an accelerator as printed by a tool, a driver or a submission.

    A memory size must be that of the catalogue (within 10 %); a form factor that the catalogue does not hold
    (PCIe, NVL) is never taken for another one.

    Examples
    --------
    >>> [accelerator(name).slug for name in ("NVIDIA H100 80GB HBM3", "h200_sxm", "AMD Instinct MI300X 192GB HBM3")]
    ['nvidia-h100-sxm', 'nvidia-h200-sxm', 'amd-mi300x']
    >>> accelerator("NVIDIA H100 640GB").known
    False
    """
    full = names.slug(_clean(printed))
    found = _accelerator_slug(full)
    if found is None:
        words = [word for word in re.split(r"[^a-z0-9.]+", full) if word and word not in _NOISE]
        sizes = [float(m[1]) for word in words if (m := re.fullmatch(r"(\d+(?:\.\d+)?)gi?b", word))]
        bare = [word for word in words if not re.fullmatch(r"\d+(\.\d+)?gi?b", word)]
        plain = [word for word in bare if not re.fullmatch(r"sxm\d?", word)]
        exact = [[*plain, f"{size:g}gb"] for size in sizes] + [words]
        found = next((slug for part in exact if (slug := _accelerator_slug("-".join(part)))), None)
        if found is None:
            found = _accelerator_slug("-".join(bare)) or _accelerator_slug("-".join(plain))
            if found and sizes and not _holds(found, sizes[0]):
                found = None
    if found:
        return Name(printed, found, True)
    bare_name = "-".join(word for word in re.split(r"[^a-z0-9.]+", full) if word)
    tails = {slug.split("-", 1)[1]: slug for slug in accelerator_ids()}
    tail = "-".join(word for word in bare_name.split("-") if word not in _NOISE)
    near = [tails[key] for key in difflib.get_close_matches(tail, sorted(tails), n=3, cutoff=0.5)]
    return Name(printed, bare_name or full, False, None, tuple(near))


def _clean(printed: str) -> str:
    """What of a name may reach a terminal and a search: printable and of a name's length."""
    return "".join(c for c in printed[:LONGEST] if c.isprintable())


def _accelerator_slug(name: str) -> str | None:
    return name if name in accelerator_ids() else names.aliases(FOLDER).get(name)


def _holds(slug: str, gigabytes: float) -> bool:
    """Whether a part has that much memory; sources print GB and GiB alike and some the usable part."""
    have = main_memory_bytes(load_accelerator(slug))
    return have is not None and abs(have / 1e9 - gigabytes) <= 0.1 * gigabytes


@lru_cache(maxsize=4096)
def precision(printed: str | None, accelerator_slug: str = "", model_slug: str = "") -> str | None:
    """A number format as the table names it; "fp4" is MXFP4 on AMD and in gpt-oss, NVFP4 otherwise.

    Examples
    --------
    >>> precision("FP8"), precision("bfloat16"), precision("FP4", "amd-mi355x"), precision("auto")
    ('fp8', 'bf16', 'mxfp4', None)
    """
    if printed is None or (name := names.slug(printed)) in ("", "auto", "none", "null", "n/a"):
        return None
    if name in ("fp4", "float4", "mxfp4/nvfp4"):
        return "mxfp4" if accelerator_slug.startswith("amd") or model_slug.startswith("gpt-oss") else "nvfp4"
    return _PRECISIONS.get(name, name)


def activations(weights: str | None) -> str | None:
    """The activation format that a weight format fixes: 16-bit weights are never multiplied with less."""
    return weights if weights in ("bf16", "fp16", "fp32") else None


@lru_cache(maxsize=4096)
def engine(printed: str | None) -> str | None:
    """An engine as the table names it.

    >>> engine("TensorRT-LLM"), engine("dynamo-trt"), engine("TensorRT 10.2, CUDA 12.4"), engine("vLLM")
    ('tensorrt-llm', 'tensorrt-llm', 'tensorrt-llm', 'vllm')
    """
    if printed is None:
        return None
    name = names.slug(printed)
    return next((slug for slug, words in _ENGINES.items() if any(word in name for word in words)), name or None)


@lru_cache(maxsize=4096)
def is_moe(model_slug: str) -> bool | None:
    """Whether a model of the catalogue has experts; None for others."""
    known = models().get(model_slug)
    return None if known is None else any(layers.ffn is not None and layers.ffn.is_moe for layers in known.layers)
