"""Coefficients of one kind of machine: priors, shifted by what was learned from measured points.

Each coefficient that calibration may move has a link: efficiencies a logit, so that they stay within (0, 1), all
else a logarithm, so that it stays positive. On that scale the prior of the execution style is shifted by the sum
of the effects of every level the question belongs to (class, vendor, accelerator, engine, ...): a level that was
never seen shifts nothing, so a question far from the evidence leans on what remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.precision import FORMATS, Precision
from inferatlas.predict.performance.calibrated import Calibration, current
from inferatlas.predict.performance.priors import sigma, table

LOGIT = (
    "compute_efficiency",
    "memory_efficiency",
    "cache_efficiency",
    "expert_efficiency",
    "grouped_efficiency",
    "attention_efficiency",
)
LOG = (
    "imbalance", "kernel_s", "prefill_kernel_s", "layer_s", "routing_s", "sequence_s", "step_s", "request_s",
    "prompt_token_s", "interference", "grouping", "straggling", "accepted", "room", "network_scale",
    "network_byte_scale", "power_floor", "power_memory", "power_compute",
)  # fmt: skip
TUNED = LOGIT + LOG
PRESENT = "2025"  # the generation of serving engines that is asked about unless a measurement says otherwise
TOP = 0.999  # an efficiency of 1 as a prior has no logit
HOME = "NVIDIA"  # where public engines are written and tuned first; elsewhere they are ports


def to_link(name: str, value: ArrayLike) -> Floats:
    """A coefficient on the scale on which effects add; 0 (nothing to scale) becomes minus infinity."""
    x = np.asarray(value, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.log(x) - np.log1p(-np.minimum(x, TOP)) if name in LOGIT else np.log(x)


def from_link(name: str, value: ArrayLike) -> Floats:
    """The inverse of `to_link`.

    Examples
    --------
    >>> [round(float(from_link(n, to_link(n, 0.8))), 12) for n in ("memory_efficiency", "step_s")]
    [0.8, 0.8]
    """
    x = np.asarray(value, dtype=np.float64)
    return 1.0 / (1.0 + np.exp(-x)) if name in LOGIT else np.exp(x)


def levels(
    *, architectural_class: str, vendor: str, accelerator: str, engine: str, era: str, weights: str, compute: str,
    style: str = "kernel", version: str | None = None, model: str | None = None, source: str | None = None,
    drafted: bool = False,
) -> tuple[str, ...]:  # fmt: skip
    """The levels that a question belongs to, from the widest to the closest.

    Generations of engines, engines and formats are levels of machines that run kernels; what is compiled for other
    ``style``s of execution shares nothing with them, nor with one another, beyond its vendor's stack.

    Examples
    --------
    >>> levels(architectural_class="gpu_simt", vendor="NVIDIA", accelerator="nvidia-h100-sxm", engine="vllm",
    ...        era="2025", weights="fp8", compute="fp8")[-1]
    'pair:nvidia-h100-sxm/vllm@2025'
    """
    names = [f"class:{architectural_class}", f"vendor:{vendor}"]
    if style == "kernel":
        names += [
            f"era:{era}",
            f"engine:{engine}",
            f"release:{engine}@{era}",
            f"bits:{FORMATS[weights].bits:g}",
            f"format:{weights}/{compute}",
        ]
    names += [f"accelerator:{accelerator}", f"pair:{accelerator}/{engine}@{era}"]
    if vendor != HOME:
        names.append(f"stack:{vendor}@{era}")
        if engine != "native":
            names.append(f"port:{engine}")
    if version:
        names.append(f"version:{engine}@{version}")
    if model:
        names += [f"model:{model}", f"served:{model}/{engine}@{era}", f"case:{model}/{accelerator}/{engine}@{era}"]
    if drafted:
        names.append(f"drafted:{model}/{engine}@{version}")
    if source:
        names += [f"source:{source}", f"harness:{source}/{engine}"]
    return tuple(names)


class Closest(NamedTuple):
    """How close measured points come to a question.

    ``level``: the closest one that points cover, of `ANSWERING`, ``points`` the measured rows there; ``covered``:
    accelerator, engine and formats were measured; ``model`` and ``source``: they were, anywhere.
    """

    level: str
    points: int = 0
    covered: bool = False
    model: bool = False
    source: bool = False


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What turns work into time and power on one kind of machine under one engine; all SI.

    ``sigma_*`` are standard deviations of the logarithm, from the ranges of the priors. ``names`` are the levels that
    the question belongs to (`levels`), ``closest`` says how close measured points come to it.
    """

    compute_efficiency: float
    memory_efficiency: float
    cache_efficiency: float
    expert_efficiency: float
    grouped_efficiency: float
    attention_efficiency: float
    imbalance: float
    kernel_s: float
    prefill_kernel_s: float
    layer_s: float
    routing_s: float
    sequence_s: float
    step_s: float
    request_s: float
    prompt_token_s: float
    interference: float
    grouping: float
    straggling: float
    accepted: float
    network_scale: float
    network_byte_scale: float
    power_floor: float
    power_memory: float
    power_compute: float
    room: float
    memory_fraction: float
    reserve_bytes: float
    sigma_compute: float
    sigma_memory: float
    sigma_overhead: float
    sigma_request: float
    names: tuple[str, ...]
    closest: Closest


ANSWERING = ("model+accelerator+engine", "accelerator+engine", "accelerator", "class+engine", "class", "prior")


def answering(calibration: Calibration, names: Sequence[str]) -> Closest:
    """How close the rows of a calibration come to a question of these levels.

    Examples
    --------
    >>> from inferatlas.predict.performance.calibrated import NOTHING
    >>> answering(NOTHING, levels(architectural_class="lpu", vendor="Groq", accelerator="groq-lpu-v1",
    ...                           engine="native", era="2025", weights="bf16", compute="bf16"))
    Closest(level='prior', points=0, covered=False, model=False, source=False)
    """
    rows: dict[str, int] = {}
    for name in names:
        kind = name.partition(":")[0]
        rows[kind] = max(rows.get(kind, 0), calibration.rows(name))
    found = {
        "model+accelerator+engine": rows.get("case", 0),
        "accelerator+engine": rows["pair"],
        "accelerator": rows["accelerator"],
        "class+engine": rows["class"] if rows.get("engine", rows.get("stack")) else 0,
        "class": rows["class"],
    }
    level = next((name for name in ANSWERING if found.get(name)), "prior")
    engine, form = rows.get("engine", rows["pair"]), rows.get("format", rows["pair"])
    covered = bool(rows["accelerator"] and engine and form)
    return Closest(level, found.get(level, 0), covered, bool(rows.get("model")), bool(rows.get("source")))


def coefficients(
    device: Device, engine: str, precision: Precision, compute: str, *, memory_fraction: float | None = None,
    model: str | None = None, era: str = PRESENT, version: str | None = None, source: str | None = None,
    drafted: bool = False, calibration: Calibration | None = None,
) -> Coefficients:  # fmt: skip
    """The coefficients for a device under an engine: priors of its style and part, moved by measured effects.

    ``calibration``: `calibrated.current` unless given. What physics forbids is cut off: prompts that share a step
    cannot take less than their FLOPs at the peak.
    """
    data = table()
    entries = {**data["styles"][device.style], **data["parts"].get(device.id, {})}
    values = {name: float(entry["value"]) for name, entry in entries.items()}
    if memory_fraction is not None and device.style == "kernel":
        values["memory_fraction"] = memory_fraction
    learned = current() if calibration is None else calibration
    names = levels(
        architectural_class=device.architectural_class, vendor=device.vendor, accelerator=device.id, engine=engine,
        era=era, version=version, weights=precision.weights, compute=compute, model=model, source=source,
        drafted=drafted, style=device.style,
    )  # fmt: skip
    for name, effects in learned.effects.items():
        shift = sum(effects.get(level, 0.0) for level in names)
        if shift and values.get(name):
            values[name] = float(from_link(name, to_link(name, values[name]) + shift))
    if source is None:
        values["straggling"] = 0.0  # a habit of closed-loop harnesses: requests that wait for their predecessor's slot
    if not drafted:
        values["accepted"] = 1.0
    values["interference"] = max(values["interference"], values["compute_efficiency"])
    overheads = [entries[name] for name in ("kernel_s", "layer_s", "step_s") if entries[name]["value"] > 0]
    wanted = {f.name for f in fields(Coefficients)}
    return Coefficients(
        **{name: value for name, value in values.items() if name in wanted},
        sigma_compute=sigma(entries["compute_efficiency"]),
        sigma_memory=sigma(entries["memory_efficiency"]),
        sigma_overhead=max((sigma(entry) for entry in overheads), default=0.0),
        sigma_request=sigma(entries["request_s"]),
        names=names,
        closest=answering(learned, names),
    )
