"""Power and energy sensors of the kernel's hwmon class: graphics cards, Grace modules, meters of servers, supplies.

Files, units and meanings: https://docs.kernel.org/hwmon/sysfs-interface.html. What a chip's sensor covers is known from
its driver's documentation or not at all: such sensors have no scope, and are not added to each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Semantics
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, key_of, no_address
from inferatlas.measure.metering.sources.chassis import scope_of_machine
from inferatlas.measure.metering.sources.sysfs import MICRO, Files, number_of, set_to, text_of

TREE = "sys/class/hwmon"
LEAST_S = 0.05  # Grace averages over 50 ms at least, and supplies sit on slow buses

INTERFACE = Interface(
    name="hwmon",
    title="Sensors of the kernel: Intel and AMD graphics cards, NVIDIA Grace, ACPI power meters, supplies",
    offers=(
        Offer("energy_j", "counter", Scope.BOARD),
        Offer("energy_j", "counter", Scope.GPU),
        Offer("power_w", "average", Scope.GPU),
        Offer("power_w", "instant", Scope.GPU),
        Offer("power_w", "average", Scope.MODULE),
        Offer("power_w", "average", Scope.NODE_AC),
        Offer("power_w", "instant", None),
    ),
    enable=(
        "Linux with the driver of the device: amdgpu, i915 or xe for cards; acpi_power_meter for Grace and for servers "
        "(`sudo modprobe acpi_power_meter`); the files can be read by every user"
    ),
    notes=(
        "amdgpu: the socket; on APUs with the CPU, on MI250 both dies together. i915, xe: the card, and its package "
        "apart; their counters stay right only if read every 4 minutes (at 1 kW). Grace: a module is CPU, GPU and "
        "memory together; its parts cpu, cpu_rail and sysio are inside. A single ACPI meter is taken as the node, by "
        "the form of its chassis at its plug or behind supplies. Other chips: scope unknown."
    ),
)


@dataclass(frozen=True, slots=True)
class _Covers:
    """What a sensor covers: as in `Channel`; ``device`` is empty where the chip's place and the sensor name it."""

    scope: Scope | None
    part: str = ""
    device: str = ""


# Drivers that document what their power or energy covers, by the number of the sensor.
# amdgpu: "power used by the SoC ... On APUs this includes the CPU" (https://docs.kernel.org/gpu/amdgpu/thermal.html);
# power2 is power1 over another time, on one console's chip. i915: "the entire device"; xe: energy1 "Card", energy2
# "Package" (https://docs.kernel.org/admin-guide/abi-testing.html, sysfs-driver-intel-i915-hwmon and
# sysfs-driver-intel-xe-hwmon). Both drivers add up a register of 32 bits whenever they are read: a wrap between two
# readings is lost, every 4.4 minutes at 1 kW (Linux, drivers/gpu/drm/xe/xe_hwmon.c).
CARDS = {("amdgpu", 1): Scope.GPU, ("i915", 1): Scope.BOARD, ("xe", 1): Scope.BOARD, ("xe", 2): Scope.GPU}

# A processor with CPU and GPU shows the voltage of its northbridge (as above: "APUs only"); MI300A is one and does not
# (Linux, drivers/gpu/drm/amd/pm/amdgpu_pm.c), but is known by its number (unverified).
MI300A = "0x74a0"

# Chips whose counters are shown elsewhere as well: amd_energy reads the registers of RAPL
# (https://docs.kernel.org/5.10/hwmon/amd_energy.html), i915_gtN one tile of the card that i915 counts.
REPEATS = re.compile(r"amd_energy|i915_gt\d+")
# /sys/class/power_supply of a battery or a port shows as hwmon too, with its kind in device/type; none feeds a server.
SUPPLIES = {"Battery", "USB", "Wireless"}

# Zones of Grace, in power1_oem_info (https://docs.nvidia.com/grace-perf-tuning-guide/power-thermals.html#power-telemetry):
# Module is all of a Grace Hopper module, Grace the CPU's socket with its memory, CPU and SysIO are rails inside it.
GRACE = {"module": "", "grace": "cpu", "cpu": "cpu_rail", "sysio": "sysio"}
_ZONE = re.compile(r"(module|grace|cpu|sysio) power socket (\d+)", re.IGNORECASE)

_METER_OF = {Scope.NODE_AC: "bmc", Scope.NODE_DC: "bmc", None: "unknown"}  # whose gain counts; else the board's

_VALUE = re.compile(r"(power|energy)(\d+)_(input|average)")


@dataclass(frozen=True, slots=True)
class _Sensor:
    """One file with a value: ``stem`` is ``power1``, ``kind`` ``input``; ``place`` is the device's bus address."""

    chip: str
    place: str
    folder: Path
    stem: str
    kind: str
    label: str
    zone: str
    with_cpu: bool

    @property
    def file(self) -> Path:
        return self.folder / f"{self.stem}_{self.kind}"

    def beside(self, name: str) -> Path:
        return self.folder / f"{self.stem}_{name}"


def open_source(address: str = "", *, root: Path = Path("/")) -> Source:
    """Every power and energy sensor that answers.

    Parameters
    ----------
    address : nothing. root : the root of the file system.

    Raises
    ------
    Unavailable : no such sensor, or none that answers. BadInput : an address.

    Examples
    --------
    >>> open_source(root=Path("/nowhere"))
    Traceback (most recent call last):
    inferatlas.measure.metering.source.Unavailable: no chip in /sys/class/hwmon has a power or energy sensor
      ...
    """
    no_address("hwmon", address)
    sensors = [one for folder in _folders(root / TREE) for one in _sensors(folder)]
    if not sensors:
        raise Unavailable(f"no chip in /{TREE} has a power or energy sensor", hint=INTERFACE.enable)
    why_not = [_why_not(one) for one in sensors]
    said = tuple(
        f"{one.chip} {one.place} {one.stem}_{one.kind}: {why}" for one, why in zip(sensors, why_not, strict=True) if why
    )
    answering = [one for one, why in zip(sensors, why_not, strict=True) if not why]
    if not answering:
        raise Unavailable(f"no power or energy sensor in /{TREE} answers ({'; '.join(said)})", hint=INTERFACE.enable)
    meters = {one.place for one in answering if one.chip == "power_meter" and not _ZONE.match(one.zone)}
    node = scope_of_machine(root) if len(meters) == 1 else None
    channels = _distinct([_channel(one, _covers(one, node)) for one in answering], answering)
    return Files("hwmon", channels, tuple(one.file for one in answering), least_s=LEAST_S, notes=said)


def _why_not(sensor: _Sensor) -> str:
    """Why a sensor is not read; "" where it is."""
    value, fault = number_of(sensor.file)
    if fault is not Fault.NONE:
        return fault.code
    # Linux, drivers/gpu/drm/amd/pm/swsmu/smu13/aldebaran_ppt.c; no other card that runs draws nothing
    second = sensor.chip == "amdgpu" and value == 0
    return "0 W, as of the second die of a card, whose first counts for both" if second else ""


def _folders(tree: Path) -> list[Path]:
    numbered = tree.glob("hwmon*") if tree.is_dir() else []
    return sorted(numbered, key=lambda path: int("0" + "".join(filter(str.isdigit, path.name))))


def _sensors(hwmon: Path) -> Iterator[_Sensor]:
    """Sensors of one chip. Drivers of the older kind keep their files with the device, one directory further."""
    chip = text_of(hwmon / "name") or text_of(hwmon / "device" / "name") or hwmon.name
    if REPEATS.fullmatch(chip) or text_of(hwmon / "device" / "type") in SUPPLIES:
        return
    # the device's own name holds across restarts, hwmonN does not
    place = (hwmon / "device").resolve().name if (hwmon / "device").is_symlink() else hwmon.name
    apu = text_of(hwmon / "in1_label") == "vddnb" or text_of(hwmon / "device" / "device") == MI300A
    for folder in (hwmon, hwmon / "device"):
        found = [match for path in folder.glob("*_*") if (match := _VALUE.fullmatch(path.name))]
        for match in sorted(found, key=lambda match: (match[1], int(match[2]), match[3])):
            stem = match[1] + match[2]
            if set_to(folder / f"{stem}_is_battery", 1.0):
                continue
            label, zone = (text_of(folder / f"{stem}_{kind}") or "" for kind in ("label", "oem_info"))
            yield _Sensor(chip, place, folder, stem, match[3], label, zone, with_cpu=chip == "amdgpu" and apu)
        if found:
            return


def scope_of_chip(chip: str, sensor: str) -> Scope | None:
    """What a driver documents that a sensor covers; None where it does not say.

    Parameters
    ----------
    chip : name of the driver. sensor : the stem of its files.

    Examples
    --------
    >>> scope_of_chip("amdgpu", "power1"), scope_of_chip("xe", "energy2"), scope_of_chip("pmbus", "power1")
    (<Scope.GPU: 2>, <Scope.GPU: 2>, None)
    """
    number = re.search(r"[0-9]+$", sensor)
    return CARDS.get((chip, int(number[0]))) if number else None


def _covers(sensor: _Sensor, node: Scope | None) -> _Covers:
    """``node`` : what the only meter of the ACPI covers; None where there are several, each maybe of a part."""
    if zone := _ZONE.match(sensor.zone):
        return _Covers(Scope.MODULE, GRACE[zone[1].lower()], f"socket {int(zone[2])}")
    if scope := scope_of_chip(sensor.chip, sensor.stem):
        return _Covers(Scope.MODULE if sensor.with_cpu else scope, "", sensor.place)
    return _Covers(node if sensor.chip == "power_meter" else None)


def _channel(sensor: _Sensor, covers: _Covers) -> Channel:
    number = re.sub(r"\D", "", sensor.stem)
    energy = sensor.stem.startswith("energy")
    semantics: Semantics = "counter" if energy else "average" if sensor.kind == "average" else "instant"
    # of other chips, max is where an alarm is set
    limits = [f"power{number}_{kind}" for kind in (("cap", "max", "rated_max") if covers.scope else ("cap",))]
    return Channel(
        source="hwmon",
        device=covers.device or f"{sensor.place} {sensor.label or sensor.zone or number}",
        quantity="energy_j" if energy else "power_w",
        semantics=semantics,
        scope=covers.scope,
        part=covers.part,
        name=f"{sensor.chip} {sensor.label or sensor.zone}".strip(),
        window_s=set_to(sensor.beside("average_interval"), 1e-3) if semantics == "average" else None,
        update_s=set_to(sensor.folder / "update_interval", 1e-3),
        gain=GAINS[_METER_OF.get(covers.scope, "board")],
        limit_w=max(set_to(sensor.folder / one, MICRO) or 0.0 for one in limits) or None,
        shared=covers.scope is None,
    )


def _distinct(channels: list[Channel], sensors: list[_Sensor]) -> tuple[Channel, ...]:
    """Sensors that would go by one name (of one label, or of two chips at one place) are told apart by their number."""
    for more in (lambda one: one.stem, lambda one: f"{one.chip} {one.folder.name}"):
        keys = [key_of(one) for one in channels]
        channels = [
            replace(one, device=f"{one.device} {more(sensor)}") if keys.count(key) > 1 else one
            for one, sensor, key in zip(channels, sensors, keys, strict=True)
        ]
    return tuple(channels)
