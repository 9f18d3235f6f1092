"""A platform: one device as one engine drives it at one precision; many of them as a table of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.precision import FORMATS, Precision, compute_format
from inferatlas.predict.performance.calibrated import NOTHING, Calibration, current
from inferatlas.predict.performance.coefficients import PRESENT, Coefficients, coefficients
from inferatlas.predict.performance.collectives import Network
from inferatlas.predict.performance.priors import network


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the predictor needs of a serving engine (defaults of the engine, from the catalogue).

    ``memory_fraction`` of device memory that the engine may use (of what is free after loading the weights
    where ``of_free``), ``block_tokens`` per KV block, ``step_tokens`` the token budget of a step (longer
    prompts are cut into chunks), ``max_sequences`` in one step.
    """

    name: str
    memory_fraction: float | None = None
    block_tokens: int = 16
    step_tokens: int = 8192
    max_sequences: int = 1024
    of_free: bool = False


@dataclass(frozen=True)
class Platform:
    """Device + engine + precision with the coefficients that answer for them.

    ``notes`` lists every assumption made for want of a published figure; results repeat them.
    """

    device: Device
    engine: EngineSettings
    precision: Precision
    coefficients: Coefficients
    network: Network
    compute: str  # format in which products are formed
    notes: tuple[str, ...] = field(default=())
    era: str = PRESENT  # generation of the engine
    version: str | None = None  # of the engine, where a measurement states it
    calibration: Calibration = NOTHING
    drafted: bool = False  # measured by a source that may have used speculative decoding
    kv_compression: float = 1.0  # of the cache, beyond its format
    unmeasured: tuple[str, ...] = ()  # what no measured point of the calibration had

    @property
    def peak_flop_per_s(self) -> float:
        """Peak of the accelerator in the format in which products are formed; FLOP/s."""
        return self.device.peaks[self.compute_rate]

    @property
    def compute_rate(self) -> str:
        """Which of the device's peaks that is."""
        return FORMATS[self.compute].rate

    @property
    def label(self) -> str:
        covered = self.coefficients.closest.covered and not self.unmeasured
        return "predicted" if covered else "extrapolated"


def make_platform(
    device: Device, engine: EngineSettings, precision: Precision, *, model: str | None = None, era: str = PRESENT,
    version: str | None = None, source: str | None = None, drafted: bool = False,
    calibration: Calibration | None = None, kv_compression: float | None = None, unmeasured: tuple[str, ...] = (),
) -> Platform:  # fmt: skip
    """Bind a device, an engine and a precision; ``model``, ``era`` and ``source`` choose calibrated coefficients.

    ``kv_compression``: how many times smaller the cache is than in its format; None: what the device's own unit does.

    Raises
    ------
    NoFeasibleAnswer : (code ``precision``) the device has no rate for these formats.
    """
    compute, note = compute_format(precision, device.peaks)
    if compute is None:
        raise NoFeasibleAnswer(
            f"{device.id} multiplies neither {precision.weights} with {precision.activations} activations",
            code="precision",
            field="weights",
            allowed="native rates: " + ", ".join(device.peaks),
        )
    net, notes = network(device)
    learned = current() if calibration is None else calibration
    if note:
        notes.append(note)
    if FORMATS[precision.weights].bits < FORMATS[compute].bits:
        notes.append(
            f"{precision.weights} weights are expanded and multiplied in {compute}: they save memory, not compute"
        )
    if device.power.rated_w is None:
        notes.append(f"{device.id} publishes no rated power: power, energy and carbon are unknown")
    elif device.power.idle_w is None:
        notes.append("idle power is not published: 0.15 of rated power assumed (0.10 to 0.25)")
    learned_by = coefficients(
        device, engine.name, precision, compute, memory_fraction=engine.memory_fraction, model=model, era=era,
        version=version, source=source, drafted=drafted, calibration=calibration,
    )  # fmt: skip
    own = {name: value for name in ("routing_s", "grouped_efficiency") if (value := getattr(device.units, name))}
    if own:  # a unit of the device's own for mixtures of experts
        learned_by = replace(learned_by, **own)
        notes.append(f"{device.id} states its own {' and '.join(own)}: taken as stated")
    ratio = kv_compression or device.units.cache_ratio or 1.0
    if ratio > 1:
        notes.append(_packed(device, ratio))
        unmeasured = (*unmeasured, "a packed KV cache")
    if own:
        unmeasured = (*unmeasured, "units for mixtures of experts")
    if unmeasured:
        notes.append(f"no measured point of the calibration had {', '.join(unmeasured)}: the interval is a prior")
    return Platform(
        device,
        engine,
        precision,
        learned_by,
        net,
        compute,
        tuple(notes),
        era,
        version,
        learned,
        drafted,
        ratio,
        unmeasured,
    )


def with_units(platform: Platform, values: Mapping[str, float]) -> Platform:
    """The platform with hardware for experts or for the cache, by the names of its facts; other names are left alone.

    Examples
    --------
    >>> from inferatlas.predict.platforms import bind
    >>> with_units(bind("h100"), {"kv_engine.compression": 4.0, "compute": 2.0}).kv_compression
    4.0
    """
    own = {_FACTS[name]: value for name, value in values.items() if name in _FACTS}
    if not own:
        return platform
    learned = {name: value for name, value in own.items() if name != "cache_ratio"}
    return replace(
        platform, device=replace(platform.device, units=replace(platform.device.units, **own)),
        coefficients=replace(platform.coefficients, **learned),
        kv_compression=own.get("cache_ratio", platform.kv_compression),
        unmeasured=(*platform.unmeasured, "units for experts or for the cache"),
    )  # fmt: skip


_FACTS = {
    "moe.routing_time": "routing_s", "moe.grouped_efficiency": "grouped_efficiency",
    "kv_engine.compression": "cache_ratio",
}  # fmt: skip


def _packed(device: Device, ratio: float) -> str:
    unit = "a unit of the device unpacks it" if device.units.cache_ratio else (
        "unpacking is charged at least what is saved in reading"
    )  # fmt: skip
    return f"the KV cache is taken to be packed {ratio:g} times smaller, whatever that does to quality; {unit}"
