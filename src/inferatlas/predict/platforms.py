"""From names to platforms: which engine runs where, which formats a device can serve."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import inf

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import is_own, load_accelerator
from inferatlas.catalogue.engines import Engine, load_engine
from inferatlas.catalogue.model import ModelConfig
from inferatlas.documents import read_document
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.hardware.device import Device, MemoryTier, device
from inferatlas.predict.llm.measured import unmeasured
from inferatlas.predict.llm.precision import (
    FORMATS,
    SIXTEEN_BIT,
    Precision,
    default_activations,
    format_named,
    sixteen_bit,
)
from inferatlas.predict.performance.calibrated import Calibration
from inferatlas.predict.performance.coefficients import PRESENT
from inferatlas.predict.performance.platform import EngineSettings, Platform, make_platform

# The engine asked when the user names none: the first that the device supports officially, else the
# vendor's own stack, else an experimental one.
PREFERENCE = ("vllm", "sglang", "tensorrt-llm")
# Formats that `recommend` tries beside 16 bit, where the device multiplies them natively (INT4: weight-only).
SEARCHED = ("fp8", "int8", "nvfp4", "mxfp4", "blockfp8", "int4")


@lru_cache(maxsize=256)
def settings(engine: Engine, accelerator: Accelerator) -> EngineSettings:
    """The engine's defaults on an accelerator; what an engine does not state keeps the predictor's default."""
    default = EngineSettings(engine.id)

    def whole(fact: str, otherwise: int) -> int:
        value = engine.default(fact, accelerator)
        return int(value) if value else otherwise

    return EngineSettings(
        engine.id,
        memory_fraction=engine.default("memory_fraction", accelerator),
        block_tokens=whole("kv_block_tokens", default.block_tokens),
        step_tokens=whole("max_batched_tokens", default.step_tokens),
        max_sequences=whole("max_sequences", default.max_sequences),
        of_free=engine.facts.text("memory_basis") == "free",
    )


@lru_cache(maxsize=256)
def supported_engines(accelerator: Accelerator) -> dict[str, str]:
    """Engines that run on an accelerator and how well, best first: ``{"vllm": "official"}``; not to be changed."""
    found = {name: load_engine(name).support(accelerator) for name in (*PREFERENCE, "native", "deepspeed")}
    order = {"official": 0, "experimental": 1}
    usable = {name: level for name, level in found.items() if level in order}
    return dict(sorted(usable.items(), key=lambda item: order[item[1]]))


def default_engine(accelerator: Accelerator) -> str:
    """The engine that answers when none is named.

    Raises
    ------
    NoFeasibleAnswer : (code ``engine``) no engine is known to run on this accelerator.
    BadInput : the same of a user's own file, which can be completed; with file, field and line.
    """
    usable = supported_engines(accelerator)
    if not usable and is_own(accelerator) and accelerator.cluster is None:
        raise BadInput(
            "a prediction needs an engine that runs there",
            field="facts.software.vllm",
            allowed="software.vllm: official, or software.proprietary_sdk with its name",
            file=accelerator.file,
            line=read_document(accelerator.file).line(("facts",)),
        )
    if not usable:
        message = f"no serving engine is known to run on {accelerator.id}"
        raise NoFeasibleAnswer(message, code="engine", field="engine")
    return next(iter(usable))


def bind(
    accelerator: str | Accelerator, engine: str | None = None, weights: str | None = None,
    activations: str | None = None, kv_cache: str | None = None, *, model: str | ModelConfig | None = None,
    era: str = PRESENT, version: str | None = None, source: str | None = None, drafted: bool = False,
    proven: bool = False, calibration: Calibration | None = None, kv_compression: float | None = None,
    behind: tuple[MemoryTier, ...] = (),
) -> Platform:  # fmt: skip
    """A platform from names; what is not named gets the documented default and is visible in the result.

    ``weights`` default to the 16-bit format of the device, ``activations`` to what engines use with these
    weights (`default_activations`), ``kv_cache`` to what the engine takes (`default_cache`). ``model`` and, of a
    measurement, ``era``, ``version``, ``source`` and ``drafted`` (it may have used speculative decoding) choose among
    calibrated coefficients; ``proven``: it ran there, so support is not asked. ``kv_compression``: how many times
    smaller the cache is than in its format, 1 or more. ``behind``: memories behind the main one, instead of its own.

    Raises
    ------
    UnknownName : accelerator, engine or format. NoFeasibleAnswer : engine or formats not supported there.
    """
    known = load_accelerator(accelerator) if isinstance(accelerator, str) else accelerator
    part = device(known)
    if behind:
        part = replace(part, behind=tuple(sorted(behind, key=lambda tier: -(tier.reached_bytes_per_s or 0.0))))
    if kv_compression is not None and not 1 <= kv_compression < inf:
        raise BadInput(f"a cache {kv_compression!r} times smaller", field="kv_compression", allowed="1 or more")
    name = load_engine(engine).id if engine else default_engine(known)
    usable = supported_engines(known)
    if name not in usable and not proven:
        raise NoFeasibleAnswer(
            f"{name} is not supported on {known.id}",
            code="engine",
            field="engine",
            allowed=", ".join(usable) or "no engine is known to run there",
        )
    wide = sixteen_bit(part.peaks)
    weights = format_named(weights) if weights else wide
    if weights == "nvfp4" and part.vendor != "NVIDIA":
        raise NoFeasibleAnswer(
            "NVFP4 is a format of NVIDIA's tensor cores",
            code="precision",
            field="weights",
            allowed="mxfp4 for a 4-bit format elsewhere",
        )
    if weights is None:
        raise NoFeasibleAnswer(
            f"{known.id} has no 16-bit rate; name the weights",
            code="precision",
            field="weights",
            allowed=", ".join(part.peaks),
        )
    precision = Precision(
        weights,
        activations or default_activations(weights, part.peaks),
        kv_cache or default_cache(name, weights, wide),
    )
    lacking = None if proven else load_engine(name).lacks_kernel(precision.activations, known)
    if lacking:
        raise NoFeasibleAnswer(
            f"{name} on {known.id} has no {precision.activations} products: {lacking}",
            code="precision",
            field="weights",
            allowed=", ".join(form for form in part.peaks if form != precision.activations),
        )
    if part.style != "kernel" and weights not in SIXTEEN_BIT and FORMATS[weights].rate not in part.peaks:
        # kernels widen weights on the way to the multiplier; compiled machines take what they multiply
        raise NoFeasibleAnswer(
            f"{known.id} does not multiply {weights}",
            code="precision",
            field="weights",
            allowed=", ".join(part.peaks),
        )
    platform = make_platform(
        part,
        settings(load_engine(name), known),
        precision,
        model=model.id if isinstance(model, ModelConfig) else model,
        unmeasured=tuple(unmeasured(model)) if isinstance(model, ModelConfig) else (),
        kv_compression=kv_compression,
        era=era,
        version=version,
        source=source,
        drafted=drafted,
        calibration=calibration,
    )
    notes = list(platform.notes)
    if usable.get(name) == "experimental":
        notes.append(f"{name} on {known.id} is experimental")
    if part.engine_devices > 1:
        notes.append(
            f"an engine sees {part.engine_devices} devices per {known.id}: tensor parallelism inside the card is "
            f"{part.engine_devices} x tp, and tp 1 already exchanges data between the dies"
        )
    return replace(platform, notes=tuple(notes))


def default_cache(engine: str, weights: str, wide: str | None) -> str:
    """The format of the KV cache unless it is named: 16 bit, and FP8 where the checkpoint says so.

    TensorRT-LLM takes the cache's format from the checkpoint, and NVIDIA's FP8 and NVFP4 checkpoints carry an FP8
    cache (``kv_cache_quant_algo`` in their ``hf_quant_config.json``).
    """
    if engine == "tensorrt-llm" and weights in ("fp8", "nvfp4"):
        return "fp8"
    return weights if weights in SIXTEEN_BIT else wide or "bf16"


def weight_choices(model: ModelConfig, part: Device) -> list[str]:
    """Weight formats worth trying for a model on a device: its checkpoint's, 16 bit and native narrower ones.

    Weight-only INT4 is offered wherever 16 bit runs on kernels; resident machines and dataflow only take
    what their rates name. A checkpoint that ships in a 4-bit format is offered in it everywhere on kernels.
    """
    wide = sixteen_bit(part.peaks)
    choices = [wide] if wide else []
    for name in SEARCHED:
        if name in ("nvfp4", "mxfp4") and (name == "nvfp4") != (part.vendor == "NVIDIA"):
            continue  # each vendor multiplies its own 4-bit format; NVIDIA's MXFP4 rate is the same as NVFP4's
        if FORMATS[name].rate in part.peaks or (name == "int4" and part.style == "kernel" and wide):
            choices.append(name)
    own = model.checkpoint_weights
    foreign = own == "nvfp4" and part.vendor != "NVIDIA"
    if own not in (*choices, *SIXTEEN_BIT) and part.style == "kernel" and wide and not foreign:
        choices.append(own)
    return choices


def checkpoint_format(model: ModelConfig, part: Device) -> str | None:
    """The format in which a model is served unless another is named: its checkpoint's where the part runs it.

    Kernels widen narrow weights on the way to the multiplier; compiled machines take what they multiply. Elsewhere
    the part's 16-bit format, or the first that it takes; None: it takes none that we know.

    Examples
    --------
    >>> from inferatlas.catalogue.models import load_model
    >>> model = load_model("deepseek-r1")
    >>> [checkpoint_format(model, device(load_accelerator(name))) for name in ("h100", "cerebras-wse-3")]
    ['fp8', 'fp16']
    """
    choices = weight_choices(model, part)
    if model.checkpoint_weights in choices:
        return model.checkpoint_weights
    return sixteen_bit(part.peaks) or next(iter(choices), None)
