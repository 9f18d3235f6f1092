"""AMD GPUs through AMD SMI: energy counters and power of cards, each once however many dies it has.

In: the driver, through AMD's package ``amdsmi`` and its library ``libamd_smi.so``. Out: readings of each card
(`amdsmi_cards.py`). Calls and units: reference/energy.md, section 2;
https://rocm.docs.amd.com/projects/amdsmi/en/latest/reference/amdsmi-py-api.html

What a socket's power covers is said where CPUs and GPUs share one: "all die in the socket (AID+CCD+XCD+HBM)"
(https://rocm.docs.amd.com/projects/amdsmi/en/docs-7.0.0/doxygen/docBin/html/structamdsmi__hsmp__metrics__table__t.html).
So it is the package of GPU and its memory, which is what NVML calls the GPU: scope ``gpu``. On MI300A the CPU is in it:
``module``. What the board loses outside the package is in neither, nor does AMD say that it is: not ``board``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import threading
import time
from collections.abc import Callable
from typing import Any

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Unavailable, no_address
from inferatlas.measure.metering.sources.amdsmi_cards import (
    CURRENT,
    Card,
    Processor,
    cards_of,
    energy_of,
    number_of,
    power_of,
    processor,
)
from inferatlas.measure.metering.sources.amdsmi_errors import GROUPS, NO_DRIVER, fault_of, unavailable

QUANTUM_J = 15.259e-6  # of the counter; how often it moves is not documented (1 ms is said, unverified)
# The library stood still before ROCm 6.1 (https://github.com/ROCm/amdsmi/issues/22); from 24.7 on, which came with ROCm
# 6.3 (https://rocm.docs.amd.com/en/docs-6.4.0/release/changelog.html), it is trusted.
LEAST_VERSION = (24, 7)

INTERFACE = Interface(
    "amdsmi",
    "AMD GPUs (AMD SMI)",
    (
        Offer("energy_j", "counter", Scope.GPU),
        Offer("power_w", "instant", Scope.GPU),
        Offer("power_w", "average", Scope.GPU),
        Offer("energy_j", "counter", Scope.MODULE),
        Offer("power_w", "instant", Scope.MODULE),
    ),
    enable=f"{NO_DRIVER}; the user must be in the groups render or video",
    extra="amd",
    notes="the firmware filters power (arXiv 2604.06056) over a time that is not documented; no counter in virtual "
    "machines, on MI100 and before ROCm 6.3; MI250 and partitioned MI300 are one card each; MI300A includes its CPU",
)


class AmdSmiSource:
    """The AMD cards of this machine. A driver that is unloaded stays gone until the source is opened again."""

    name = INTERFACE.name
    least_s = 0.01

    def __init__(
        self,
        amdsmi: Any,
        plan: list[tuple[Channel, Processor]],
        notes: tuple[str, ...],
        clock: Callable[[], int],
    ) -> None:
        self._amdsmi, self._plan, self._clock = amdsmi, plan, clock
        self.channels = tuple(channel for channel, _ in plan)
        self.notes = notes
        self._lock = threading.Lock()
        self._closed = False

    def read(self) -> list[Reading]:
        """Read every channel once."""
        with self._lock:
            if self._closed:
                return []
            return [self._read(n, channel, reader) for n, (channel, reader) in enumerate(self._plan)]

    def close(self) -> None:
        """Give the library back."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _shut_down(self._amdsmi)

    def _read(self, n: int, channel: Channel, reader: Processor) -> Reading:
        if channel.quantity == "energy_j":
            value, fault = energy_of(self._amdsmi, reader.handle)
        else:
            value, fault = power_of(self._amdsmi, reader.handle, reader.power or CURRENT)
        return Reading(n, self._clock(), value, fault)


def open_source(address: str = "", *, clock: Callable[[], int] = time.monotonic_ns) -> AmdSmiSource:
    """Start AMD SMI and see what each card answers.

    Parameters
    ----------
    clock : monotonic, in nanoseconds.

    Raises
    ------
    Unavailable : without package, library, driver, permission or card, or where no card gives energy or power.
    BadInput : with an address, as there is none to give.

    Examples
    --------
    >>> open_source("0000:c1:00.0")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: source: 'amdsmi' takes no address, got '0000:c1:00.0' (allowed: amdsmi)
    """
    no_address(INTERFACE.name, address)
    amdsmi = _binding()
    try:
        amdsmi.amdsmi_init()
    except amdsmi.AmdSmiException as error:
        raise unavailable(error) from error
    try:
        plan, notes = _plan(amdsmi)
    except BaseException:
        _shut_down(amdsmi)
        raise
    return AmdSmiSource(amdsmi, plan, notes, clock)


def _binding() -> Any:
    """AMD's package. It loads the library on import, and where it fails, it prints so and dies of something else.

    The print is Python's, and caught; what the library itself might print in C is not.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            return importlib.import_module("amdsmi")
    except ModuleNotFoundError as error:
        if error.name != "amdsmi":
            raise Unavailable(f"amdsmi cannot be imported: {error}", hint="pip install 'inferatlas[amd]'") from error
        raise Unavailable("amdsmi is not installed", hint="pip install 'inferatlas[amd]'") from error
    except Exception as error:  # KeyError without the library, AttributeError with one of another version
        if "libamd_smi" in said.getvalue():
            raise Unavailable(
                "libamd_smi.so is not installed", hint="install amd-smi-lib of ROCm; set ROCM_PATH if it is elsewhere"
            ) from error
        raise Unavailable(
            f"amdsmi and libamd_smi.so do not fit together: {error}",
            hint="install the amdsmi that comes with the ROCm of this machine (pip install /opt/rocm/share/amd_smi)",
        ) from error


def _plan(amdsmi: Any) -> tuple[list[tuple[Channel, Processor]], tuple[str, ...]]:
    """Every channel with the processor that gives it, and what to say of what is not read."""
    try:
        handles = amdsmi.amdsmi_get_processor_handles()
    except amdsmi.AmdSmiException as error:
        raise unavailable(error) from error
    if not handles:
        raise Unavailable("AMD SMI lists no GPU", hint=NO_DRIVER)
    processors, notes = [], []
    for n, handle in enumerate(handles):
        try:
            processors.append(processor(amdsmi, handle))
        except amdsmi.AmdSmiException as error:
            notes.append(f"processor {n} is not read ({fault_of(error).code})")
    cards, said = cards_of(processors)
    notes += said
    version = version_of(amdsmi)
    plan: list[tuple[Channel, Processor]] = []
    for n, card in enumerate(cards):
        channels, said = channels_of(card, n, _limit_w(amdsmi, card.reader.handle), version)
        plan += [(channel, card.reader) for channel in channels]
        notes += said
    if not plan:
        denied = any(Fault.PERMISSION_DENIED in (one.power_w[1], one.energy_j[1]) for one in processors)
        raise Unavailable(
            f"nothing to read: {'; '.join(notes)}",
            hint=GROUPS if denied else "a virtual machine has no meter: read on its host",
        )
    return plan, tuple(notes)


def channels_of(
    card: Card, n: int, limit_w: float | None, version: tuple[int, int] | None
) -> tuple[list[Channel], list[str]]:
    """Channels of one card, and what there is to say of what it lacks.

    Parameters
    ----------
    n : counts the cards. limit_w : its power cap. version : of the library.

    Examples
    --------
    >>> watts, joules = number_of(140), number_of(5e6)
    >>> die = Processor(None, "0000:c1:00.0", "", "AMD Instinct MI300X", CURRENT, watts, joules)
    >>> channels, notes = channels_of(Card(die.address, die), 0, 750.0, (26, 0))
    >>> [(one.quantity, one.semantics, one.scope.label) for one in channels], notes
    ([('power_w', 'instant', 'gpu'), ('energy_j', 'counter', 'gpu')], [])
    """
    reader, name = card.reader, f"{card.reader.market} #{n}"
    scope = Scope.MODULE if "MI300A" in reader.market else Scope.GPU
    channels, notes = [], []
    if (fault := reader.power_w[1]) is not Fault.NONE:
        notes.append(f"{name}: no power ({fault.code})")
    else:
        semantics = "instant" if reader.power == CURRENT else "average"
        channels.append(
            Channel(
                "amdsmi", card.device, "power_w", semantics, scope,
                name=name, quantum=1.0, gain=GAINS["board"], limit_w=limit_w,
            )
        )  # fmt: skip
    why_not = _distrust(reader, version)
    if why_not:
        notes.append(f"{name}: no energy counter ({why_not})")
    else:
        channels.append(
            Channel(
                "amdsmi", card.device, "energy_j", "counter", scope,
                name=name, quantum=QUANTUM_J, gain=GAINS["board"], limit_w=limit_w,
            )
        )  # fmt: skip
    return channels, notes


def _distrust(reader: Processor, version: tuple[int, int] | None) -> str:
    """Why a counter is not read; "" where it is."""
    if (fault := reader.energy_j[1]) is not Fault.NONE:
        return fault.code
    if "MI100" in reader.market:
        return "it is wrong on MI100, https://github.com/ROCm/amdsmi/issues/38"
    if version is None or version < LEAST_VERSION:
        given = "unknown" if version is None else ".".join(map(str, version))
        return f"version {given} of AMD SMI; before 24.7 it may stand still, https://github.com/ROCm/amdsmi/issues/22"
    return ""


def version_of(amdsmi: Any) -> tuple[int, int] | None:
    """Major and minor version of the library; the year was a number of its own before ROCm 6.4.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> version_of(Module(amdsmi_get_lib_version=lambda: {"year": 24, "major": 7, "minor": 1}))
    (24, 7)
    >>> version_of(Module(amdsmi_get_lib_version=lambda: {"major": 26, "minor": 0}))
    (26, 0)
    """
    try:
        given = amdsmi.amdsmi_get_lib_version()
        parts = [given[key] for key in ("year", "major", "minor") if key in given]
        return int(parts[0]), int(parts[1])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None
    except amdsmi.AmdSmiException:
        return None


def _limit_w(amdsmi: Any, handle: Any) -> float | None:
    """The power cap: µW since ROCm 6.1.2 (https://rocm.docs.amd.com/en/docs-6.1.2/about/release-notes.html), W before.

    No card has a cap of 100 kW, and none one of 0.1 W, so the number says which it is.
    """
    try:
        cap, _ = number_of(amdsmi.amdsmi_get_power_cap_info(handle).get("power_cap", "N/A"))
    except amdsmi.AmdSmiException:
        return None
    if not cap > 0:
        return None
    return cap * 1e-6 if cap > 1e5 else cap


def _shut_down(amdsmi: Any) -> None:
    with contextlib.suppress(amdsmi.AmdSmiException):
        amdsmi.amdsmi_shut_down()
