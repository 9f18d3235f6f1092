"""A platform: one device as one engine drives it at one precision; many of them as a table of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.arrays import Floats
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.precision import FORMATS, Precision, compute_format, sixteen_bit
from inferatlas.predict.performance.calibrated import NOTHING, WIDTHS, Calibration, current
from inferatlas.predict.performance.coefficients import PRESENT, Closest, Coefficients, coefficients
from inferatlas.predict.performance.collectives import Network, group_cost, hop_cost
from inferatlas.predict.performance.priors import constant, network
from inferatlas.predict.performance.widths import LOADS, elasticities, factors, surplus, width_table


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

    @property
    def peak_flop_per_s(self) -> float:
        """Peak of the accelerator in the format in which products are formed; FLOP/s."""
        return self.device.peaks[FORMATS[self.compute].rate]

    @property
    def label(self) -> str:
        return "predicted" if self.coefficients.closest.covered else "extrapolated"


def make_platform(
    device: Device, engine: EngineSettings, precision: Precision, *, model: str | None = None, era: str = PRESENT,
    version: str | None = None, source: str | None = None, drafted: bool = False,
    calibration: Calibration | None = None,
) -> Platform:  # fmt: skip
    """Bind a device, an engine and a precision; ``model``, ``era`` and ``source`` choose calibrated coefficients.

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
    return Platform(
        device,
        engine,
        precision,
        coefficients(
            device,
            engine.name,
            precision,
            compute,
            memory_fraction=engine.memory_fraction,
            model=model,
            era=era,
            version=version,
            source=source,
            drafted=drafted,
            calibration=calibration,
        ),
        net,
        compute,
        tuple(notes),
        era,
        version,
        learned,
        drafted,
    )


WHOLE = ("width", "elasticity", "surplus", "factor")  # columns that are not one value per platform


@dataclass(frozen=True)
class PlatformTable:
    """Platforms as a struct of arrays, one entry per platform; rates are per engine device (die).

    ``flop_s`` and ``flop_s_wide``: seconds per FLOP of quantised and of 16-bit products, efficiency
    included; ``byte_s``, ``cache_byte_s``, ``expert_byte_s``: seconds per byte of main memory when streaming
    weights, the KV cache and experts, efficiency included; ``offload_s`` of the memory behind it.
    ``domain``: engine devices on one scale-up network.
    """

    platforms: tuple[Platform, ...]
    dies: Floats
    flop_s: Floats
    flop_s_wide: Floats
    byte_s: Floats
    cache_byte_s: Floats
    expert_byte_s: Floats
    grouped_efficiency: Floats
    attention_efficiency: Floats
    bytes_w: Floats
    bytes_dense: Floats
    bytes_wide: Floats
    bytes_a: Floats
    bytes_kv: Floats
    kernel_s: Floats
    prefill_kernel_s: Floats
    layer_s: Floats
    routing_s: Floats
    imbalance: Floats
    sequence_s: Floats
    step_s: Floats
    request_s: Floats
    prompt_token_s: Floats
    interference: Floats
    grouping: Floats
    straggling: Floats
    accepted: Floats
    network_scale: Floats
    network_byte_scale: Floats
    capacity: Floats
    room: Floats
    offload_s: Floats
    domain: Floats
    fraction: Floats
    of_free: Floats
    reserve: Floats
    block: Floats
    step_tokens: Floats
    max_sequences: Floats
    compiled: Floats
    compute_efficiency: Floats
    memory_efficiency: Floats
    rated_w: Floats
    idle_w: Floats
    sigma_compute: Floats
    sigma_memory: Floats
    sigma_overhead: Floats
    sigma_request: Floats
    power_floor: Floats
    power_memory: Floats
    power_compute: Floats
    resident: NDArray[np.bool_]
    wafer: NDArray[np.bool_]
    width: Floats  # of intervals [load, platform, metric], see `widths`
    elasticity: Floats  # [metric]
    surplus: Floats  # of vendor, model and source [platform, metric]
    factor: Floats  # of accelerator, engine and model [platform, metric]

    def astype(self, dtype: type[np.floating]) -> PlatformTable:
        """The same table with its floats in another precision."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("platforms", *WHOLE)}
        return PlatformTable(
            self.platforms,
            **{k: v if v.dtype == bool else v.astype(dtype, copy=False) for k, v in columns.items()},
            **{name: getattr(self, name) for name in WHOLE},
        )

    def rows(self, index: NDArray[np.int32]) -> PlatformTable:
        """The table gathered for design points: entry i is the platform of point i.

        ``mode="clip"`` spares numpy's second pass over the index, which points from this table always satisfy.
        """
        return PlatformTable(
            self.platforms,
            **{
                f.name: getattr(self, f.name).take(index, mode="clip")
                for f in fields(self)
                if f.name not in ("platforms", *WHOLE)
            },
            **{name: getattr(self, name) for name in WHOLE},
        )


def platform_table(
    platforms: list[Platform] | tuple[Platform, ...], *, is_moe: bool = False,
    tuned: Mapping[str, Floats] | None = None, closest: Sequence[Closest] | None = None,
) -> PlatformTable:  # fmt: skip
    """Lay platforms out as arrays. ``is_moe``: MXFP4 checkpoints then quantise the experts only.

    ``tuned``: coefficients that replace those of the platforms, one value per platform; ``closest`` replaces
    theirs in the widths of intervals.
    """

    def column(value) -> Floats:
        return np.array([np.nan if (v := value(p)) is None else v for p in platforms], dtype=np.float64)

    def bytes_of(name: str) -> float:
        return FORMATS[name].bytes

    def wide(p: Platform) -> str:
        return sixteen_bit(p.device.peaks) or p.compute

    def dense(p: Platform) -> str:
        return wide(p) if is_moe and p.precision.weights == "mxfp4" else p.precision.weights

    def c(name: str) -> Floats:
        if tuned is not None and name in tuned:
            return np.asarray(tuned[name], dtype=np.float64)
        return column(lambda p: getattr(p.coefficients, name))

    dies = column(lambda p: p.device.engine_devices)
    peak_byte_s = dies / column(lambda p: p.device.memory.bytes_per_s)
    return PlatformTable(
        platforms=tuple(platforms),
        dies=dies,
        flop_s=dies / (column(lambda p: p.peak_flop_per_s) * c("compute_efficiency")),
        flop_s_wide=dies / (column(lambda p: p.device.peaks[FORMATS[wide(p)].rate]) * c("compute_efficiency")),
        byte_s=peak_byte_s / c("memory_efficiency"),
        cache_byte_s=peak_byte_s / c("cache_efficiency"),
        expert_byte_s=peak_byte_s / c("expert_efficiency"),
        grouped_efficiency=c("grouped_efficiency"),
        attention_efficiency=c("attention_efficiency"),
        bytes_w=column(lambda p: bytes_of(p.precision.weights)),
        bytes_dense=column(lambda p: bytes_of(dense(p))),
        bytes_wide=column(lambda p: max(2.0, bytes_of(wide(p)))),
        bytes_a=column(lambda p: bytes_of(p.precision.activations)),
        bytes_kv=column(lambda p: bytes_of(p.precision.kv_cache)),
        kernel_s=c("kernel_s"),
        prefill_kernel_s=c("prefill_kernel_s"),
        layer_s=c("layer_s"),
        routing_s=c("routing_s"),
        imbalance=c("imbalance"),
        sequence_s=c("sequence_s"),
        step_s=c("step_s"),
        request_s=c("request_s"),
        prompt_token_s=c("prompt_token_s"),
        interference=c("interference"),
        grouping=c("grouping"),
        straggling=c("straggling"),
        accepted=c("accepted"),
        network_scale=c("network_scale"),
        network_byte_scale=c("network_byte_scale"),
        capacity=column(lambda p: p.device.memory.bytes) / dies,
        room=np.minimum(c("room"), 1.0),  # memory holds no more than fits
        offload_s=dies / (column(_offload_bytes_per_s) * constant("offload", "efficiency")),
        domain=column(lambda p: p.network.domain),
        fraction=c("memory_fraction"),
        of_free=column(lambda p: float(p.engine.of_free)),
        reserve=c("reserve_bytes"),
        block=column(lambda p: p.engine.block_tokens),
        step_tokens=column(lambda p: p.engine.step_tokens),
        max_sequences=column(lambda p: min(p.engine.max_sequences, p.device.max_batch or 10**9)),
        compiled=column(lambda p: float(p.device.compiled_batches)),
        compute_efficiency=c("compute_efficiency"),
        memory_efficiency=c("memory_efficiency"),
        rated_w=column(lambda p: p.device.power.rated_w),
        idle_w=column(lambda p: p.device.power.idle_w),
        sigma_compute=c("sigma_compute"),
        sigma_memory=c("sigma_memory"),
        sigma_overhead=c("sigma_overhead"),
        sigma_request=c("sigma_request"),
        power_floor=c("power_floor"),
        power_memory=c("power_memory"),
        power_compute=c("power_compute"),
        resident=np.array([p.device.style in ("static_pipeline", "wafer") for p in platforms], dtype=bool),
        wafer=np.array([p.device.style == "wafer" for p in platforms], dtype=bool),
        **_intervals(platforms, closest, is_moe=is_moe),
    )


def _offload_bytes_per_s(platform: Platform) -> float | None:
    return None if platform.device.offload is None else platform.device.offload.bytes_per_s


def _intervals(platforms: Sequence[Platform], closest: Sequence[Closest] | None, *, is_moe: bool) -> dict[str, Floats]:
    """What intervals need of the platforms, in the columns of `PlatformTable`; see `widths`."""
    near = [p.coefficients.closest for p in platforms] if closest is None else closest
    asked = [(p.calibration.width, p, at) for p, at in zip(platforms, near, strict=True)]
    width = np.array([width_table(learned, at.level, is_moe=is_moe) for learned, _, at in asked])
    extra = [surplus(learned, p.device.vendor, at.level, model=at.model, source=at.source) for learned, p, at in asked]
    factor = [factors(learned, p.coefficients.names) for learned, p, _ in asked]
    return {
        "width": width.reshape(-1, len(LOADS), len(WIDTHS)).swapaxes(0, 1),
        "elasticity": elasticities(asked[0][0] if asked else {}),
        "surplus": np.array(extra).reshape(-1, len(WIDTHS)),
        "factor": np.array(factor).reshape(-1, len(WIDTHS)),
    }


@dataclass(frozen=True)
class GroupCosts:
    """Collective law of every (platform, group size) in use, to be gathered per point.

    Entry [i, g] of ``latency`` is in seconds, of ``latency_q`` latency^q, of ``per_byte`` seconds per byte of
    the full tensor, of ``q`` the exponent; all 0 (q 1) for groups of one.
    """

    latency: Floats
    latency_q: Floats
    per_byte: Floats
    q: Floats

    def astype(self, dtype: type[np.floating]) -> GroupCosts:
        return GroupCosts(*(getattr(self, f.name).astype(dtype, copy=False) for f in fields(self)))


def group_costs(table: PlatformTable, op: str, used: NDArray[np.bool_]) -> GroupCosts:
    """Costs for all platforms and the group sizes marked in ``used`` [platform, size]."""
    costs: dict[tuple[int, int], tuple[float, float, float]] = {}
    cache: dict[tuple[int, int], tuple[float, float, float]] = {}
    for i, n in zip(*np.nonzero(used), strict=True):
        network_of = table.platforms[i].network
        key = (id(network_of), int(n))
        if key not in cache:
            cache[key] = group_cost(network_of, op, int(n))
        costs[int(i), int(n)] = cache[key]
    return group_table(used.shape, costs)


def hop_costs(table: PlatformTable) -> GroupCosts:
    """Costs of one send per platform: column 0 none, 1 inside a scale-up domain, 2 between domains."""
    costs = {
        (i, 1 + across): hop_cost(platform.network, across=bool(across))
        for i, platform in enumerate(table.platforms)
        for across in (0, 1)
    }
    return group_table((len(table.platforms), 3), costs)


def group_table(shape: tuple[int, ...], costs: Mapping[tuple[int, int], tuple[float, float, float]]) -> GroupCosts:
    """(latency, per byte, q) by place as arrays; nothing elsewhere."""
    latency, per_byte, q = np.zeros(shape), np.zeros(shape), np.ones(shape)
    for at, one in costs.items():
        latency[at], per_byte[at], q[at] = one
    return GroupCosts(latency, np.where(latency > 0, latency**q, 0.0), per_byte, q)
