"""Field values of NVML: which there are of power and energy, in which scopes, and what number one holds.

Fields and scopes: nvml.h, https://docs.nvidia.com/deploy/nvml-api/group__nvmlFieldValueEnums.html ; the numbers are
part of the library's binary interface, and older versions of nvidia-ml-py lack the names of some.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.sources.asking import Value, known, no_value
from inferatlas.measure.metering.sources.nvml_errors import FAULTS, fault_of

AVERAGE, INSTANT, LIMIT, ENERGY = 185, 186, 190, 191  # mW over the last second, mW now, mW, mJ
GPU, MODULE, MEMORY = 0, 1, 2  # NVML_POWER_SCOPE_*

Key = tuple[int, int]  # field, scope

# nvmlValueType_t counts these members of nvmlValue_t; the values that some of them have for "not available"
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
_NOT_AVAILABLE = {"uiVal": 0xFFFFFFFF, "ulVal": 0xFFFFFFFFFFFFFFFF, "ullVal": 0xFFFFFFFFFFFFFFFF, "usVal": 0xFFFF}


def value_of(field: Any) -> Value:
    """W or J of an ``nvmlFieldValue_t`` that holds mW or mJ, or why it holds none.

    Examples
    --------
    >>> from types import SimpleNamespace as Struct
    >>> value_of(Struct(nvmlReturn=0, valueType=1, value=Struct(uiVal=412_345)))
    (412.345, <Fault.NONE: 0>)
    >>> value_of(Struct(nvmlReturn=3)), value_of(Struct(nvmlReturn=0, valueType=99))
    ((nan, <Fault.NOT_SUPPORTED: 2>), (nan, <Fault.UNREADABLE: 8>))
    """
    if field.nvmlReturn:
        return no_value(FAULTS.get(field.nvmlReturn, Fault.FAILED))
    kind = field.valueType
    if not 0 <= kind < len(_MEMBERS):
        return no_value(Fault.UNREADABLE)
    return milli(getattr(field.value, _MEMBERS[kind]), _NOT_AVAILABLE.get(_MEMBERS[kind]))


def milli(value: float, not_available: int | None) -> Value:
    """A number of thousandths in full units, unless it is the one that says "not available".

    Examples
    --------
    >>> milli(75_000, 0xFFFFFFFF), milli(0xFFFFFFFF, 0xFFFFFFFF)
    ((75.0, <Fault.NONE: 0>), (nan, <Fault.NOT_AVAILABLE: 1>))
    """
    return no_value(Fault.NOT_AVAILABLE) if value == not_available or math.isnan(value) else known(value / 1e3)


def ask(pynvml: Any, handle: Any, keys: Iterable[Key]) -> dict[Key, Value]:
    """Fields of one device in one call: W or J of each, or why not. Never raises.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> binding = Module(NVMLError=OSError, nvmlDeviceGetFieldValues=lambda handle, keys: [])
    >>> ask(binding, None, [])
    {}
    """
    keys = list(keys)
    try:
        fields = pynvml.nvmlDeviceGetFieldValues(handle, keys)
        return {key: value_of(field) for key, field in zip(keys, fields, strict=True)}
    except Exception as error:  # of NVML; of another kind from a binding that does not fit its library
        return dict.fromkeys(keys, no_value(fault_of(error)))
