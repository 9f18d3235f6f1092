"""What one GPU answers, asked once at opening: the channels that it has, and how each of them is read.

The same call means different things on different GPUs, so nothing follows from a name:

- Fields 185 and 186 (average of 1 s, instant) are asked in each scope. GH200 was seen to answer only for the module
  (https://github.com/ml-energy/zeus/pull/172), GB10 only for the GPU (https://github.com/ml-energy/zeus/pull/242),
  GB200 and GB300 for both, where a module is wider than one GPU (https://github.com/NVIDIA/k8s-test-infra/issues/676).
- ``nvmlDeviceGetPowerUsage`` serves where no field does. It is instantaneous up to GA100 and an average over 1 s on
  later chips (https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html). GA100 (A100, A30) has compute
  capability 8.0, older chips less, other Ampere 8.6 or 8.7 (https://developer.nvidia.com/cuda-gpus).
- The counter, ``nvmlDeviceGetTotalEnergyConsumption`` or field 191, is of the one scope that power is given for: on
  GH200 it covers the module (zeus, as above). Where power is given for both, the counter's scope is known only if field
  191 differs between the two, and unknown otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Semantics
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.sources.asking import Value, no_value
from inferatlas.measure.metering.sources.nvml_errors import fault_of
from inferatlas.measure.metering.sources.nvml_fields import (
    AVERAGE,
    ENERGY,
    GPU,
    INSTANT,
    LIMIT,
    MEMORY,
    MODULE,
    Key,
    ask,
    milli,
)

SCOPES = {GPU: Scope.GPU, MODULE: Scope.MODULE}
COUNTER, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"
_ALL_ONES = {COUNTER: 0xFFFFFFFFFFFFFFFF, POWER: 0xFFFFFFFF}  # say "not available"
# Of the sensor: arXiv 2312.02741. The counter steps every 20 to 100 ms (reference/energy.md, section 2; unverified):
# the longer time makes no window look better than it is.
UPDATE_S = 0.1
AVERAGE_S = 1.0
GA100 = (8, 0)
# Two readings of one counter, taken one after the other, are not further apart than one step at 2 kW.
SAME_COUNTER_J = 200.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as it is read: ``fields`` in one call, which give the first channels; then one call for each of the rest.

    Parameters
    ----------
    device : its UUID. index : at opening. name : what people call it. notes : what it does not give, in sentences.
    """

    device: str
    index: int
    name: str
    channels: tuple[Channel, ...]
    fields: tuple[Key, ...]
    calls: tuple[str, ...]
    notes: tuple[str, ...]


def call(pynvml: Any, handle: Any, function: str) -> Value:
    """W or J from a call that gives mW or mJ, or why not. Never raises.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> call(Module(NVMLError=OSError, nvmlDeviceGetPowerUsage=lambda handle: 75_000), None, POWER)
    (75.0, <Fault.NONE: 0>)
    """
    try:
        return milli(getattr(pynvml, function)(handle), _ALL_ONES[function])
    except Exception as error:  # as in `ask`
        return no_value(fault_of(error))


def semantics_of(capability: tuple[int, int] | None) -> Semantics:
    """What ``nvmlDeviceGetPowerUsage`` gives on a chip of some compute capability; instant where that is unknown.

    Examples
    --------
    >>> semantics_of((7, 0)), semantics_of((8, 0)), semantics_of((8, 6)), semantics_of((9, 0))
    ('instant', 'instant', 'average', 'average')
    """
    return "instant" if capability is None or capability <= GA100 else "average"


def probe(pynvml: Any, handle: Any, index: int, several: bool) -> Gpu:
    """Ask a GPU for everything and keep what it answers.

    Parameters
    ----------
    several : whether the machine has more GPUs, which the meter of a module may cover as well.

    Raises
    ------
    NVMLError : a GPU without UUID or name, which is one that cannot be used.
    """
    name = f"{pynvml.nvmlDeviceGetName(handle)} #{index}"
    kind = Channel(
        "nvml",
        pynvml.nvmlDeviceGetUUID(handle),
        "power_w",
        "instant",
        Scope.GPU,
        name=name,
        update_s=UPDATE_S,
        quantum=1e-3,
        gain=GAINS["board"],
    )
    limits = _limits(pynvml, handle)
    powers = dict(_powers(pynvml, handle, kind))
    given = {scope for field, scope in powers if scope in SCOPES}
    fields, calls = dict(powers), {} if given else dict(_power_call(pynvml, handle, kind))
    energies, notes = _energies(pynvml, handle, kind, given)
    fields |= {key: channel for key, channel in energies.items() if not isinstance(key, str)}
    calls |= {key: channel for key, channel in energies.items() if isinstance(key, str)}
    channels = (
        replace(one, limit_w=limits.get(one.scope), shared=several and one.scope is not Scope.GPU)
        for one in (*fields.values(), *calls.values())
    )
    return Gpu(kind.device, index, name, tuple(channels), tuple(fields), tuple(calls), notes)


def _limits(pynvml: Any, handle: Any) -> dict[Scope | None, float]:
    """W that the device may draw, by scope. Calls that know no scope are not asked about a module."""
    found = ask(pynvml, handle, [(LIMIT, GPU), (LIMIT, MODULE)])
    limits: dict[Scope | None, float] = {SCOPES[scope]: watts for (_, scope), (watts, _) in found.items() if watts > 0}
    for function in ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"):
        if Scope.GPU in limits:
            break
        with suppress(pynvml.NVMLError):
            watts = getattr(pynvml, function)(handle) / 1e3
            limits |= {Scope.GPU: watts} if watts > 0 else {}
    return limits


def _powers(pynvml: Any, handle: Any, kind: Channel) -> Iterator[tuple[Key, Channel]]:
    """Power fields that answer. Each is asked on its own: one that a driver does not know must not spoil the others."""
    for scope in (GPU, MODULE, MEMORY):
        for field in (INSTANT, AVERAGE):
            value, fault = ask(pynvml, handle, [(field, scope)])[field, scope]
            # Parts that are not metered are given as 0 W (zeus, https://github.com/ml-energy/zeus,
            # get_average_memory_power_usage); of the GPU itself, 0 also comes from asking too often.
            if fault is not Fault.NONE or (value == 0 and scope != GPU):
                continue
            part = "memory" if scope == MEMORY else ""
            channel = _averaged(kind) if field == AVERAGE else kind
            yield (field, scope), replace(channel, scope=SCOPES.get(scope, Scope.GPU), part=part)


def _averaged(kind: Channel) -> Channel:
    return replace(kind, semantics="average", window_s=AVERAGE_S)


def _power_call(pynvml: Any, handle: Any, kind: Channel) -> Iterator[tuple[str, Channel]]:
    if call(pynvml, handle, POWER)[1] is not Fault.NONE:
        return
    try:
        capability = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    except pynvml.NVMLError:
        capability = None
    channel = kind if semantics_of(capability) == "instant" else _averaged(kind)
    yield POWER, replace(channel, assumed=capability is None)


def _energies(
    pynvml: Any, handle: Any, kind: Channel, given: set[int]
) -> tuple[dict[Key | str, Channel], tuple[str, ...]]:
    """The counters, and what there is to say of them. ``given`` : scopes that power is given for."""
    kind = replace(kind, quantity="energy_j", semantics="counter")
    asked = [ask(pynvml, handle, [(ENERGY, scope)]) for scope in SCOPES]
    keys = [key for one in asked for key, (_, fault) in one.items() if fault is Fault.NONE]
    # the two are held against each other as of one time
    if len(keys) == len(SCOPES) and _apart(list(ask(pynvml, handle, keys).values())):
        return {key: replace(kind, scope=SCOPES[key[1]]) for key in keys}, ()
    fault = Fault.NONE if keys else call(pynvml, handle, COUNTER)[1]
    if fault is not Fault.NONE:
        return {}, (f"{kind.name}: no energy counter ({fault.code})",)
    key = keys[0] if keys else COUNTER
    if len(given) > 1:
        note = f"{kind.name}: nothing tells whether the energy counter covers the GPU or the module"
        return {key: replace(kind, scope=None)}, (note,)
    return {key: replace(kind, scope=SCOPES[next(iter(given), GPU)])}, ()


def _apart(energies: list[Value]) -> bool:
    """Whether counters are several, and not one under several names."""
    joules = [value for value, fault in energies if fault is Fault.NONE]
    return len(joules) == len(energies) and max(joules) - min(joules) > SAME_COUNTER_J
