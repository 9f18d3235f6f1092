"""Energy counters of processors: RAPL of Intel and AMD, as the kernel's powercap tree shows it.

A zone is a directory with ``name``, ``energy_uj`` and ``max_energy_range_uj``
(https://docs.kernel.org/power/powercap/powercap.html). AMD's registers show in the same tree, under Intel's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from inferatlas.measure.metering.channel import GAINS, Channel, Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, no_address
from inferatlas.measure.metering.sources.sysfs import MICRO, Files, number_of, set_to, text_of

TREE = "sys/class/powercap"
UPDATE_S = 1e-3  # AMD: https://docs.kernel.org/5.10/hwmon/amd_energy.html; Intel: reference/energy.md, section 2
# Unverified: no processor is rated above 500 W (AMD EPYC 9965, Intel Xeon 6980P; data sheets not read). Twice that is
# beyond all. It tells a wrap from a reset, and whether a counter may have wrapped unseen, which takes 131 s at 500 W.
MOST_W = 1000.0
STEPS = 2**32 - 1  # the range is that of a 32-bit register (ENERGY_STATUS_MASK, drivers/powercap/intel_rapl_common.c)

INTERFACE = Interface(
    name="rapl",
    title="Processor energy counters (RAPL) of Intel and AMD",
    offers=(
        Offer("energy_j", "counter", Scope.MODULE, update_s=UPDATE_S),
        Offer("energy_j", "counter", Scope.BOARD, update_s=UPDATE_S),
    ),
    enable=(
        "Linux with the module intel_rapl_msr (AMD too), on the machine itself: virtual machines have none. "
        "The counters are readable by root only since CVE-2020-8694; for other users: "
        "`sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj` until the next boot, or the same by a udev rule"
    ),
    notes=(
        "Packages and their memory (dram) are separate meters and are not added. core and uncore are inside the "
        "package and are left out; AMD has no dram. psys is the platform as far as its maker wired it."
    ),
)


@dataclass(frozen=True, slots=True)
class _Zone:
    """One zone: its directory, which `intel-rapl:0:1` says is the second in the first, and what its file says it is."""

    path: Path
    control: str
    numbers: tuple[str, ...]
    name: str

    @property
    def energy(self) -> Path:
        return self.path / "energy_uj"


# Zone names (rapl_domain_names and its users in drivers/powercap/intel_rapl_common.c) -> scope, part
_PARTS = (
    (re.compile(r"package-\d+(-die-\d+)?"), Scope.MODULE, ""),
    (re.compile(r"dram"), Scope.MODULE, "dram"),
    (re.compile(r"psys"), Scope.BOARD, "platform"),
)


def open_source(address: str = "", *, root: Path = Path("/")) -> Source:
    """Counters of every package, of its memory, and of the platform, as far as they may be read.

    Parameters
    ----------
    address : nothing. root : the root of the file system.

    Raises
    ------
    Unavailable : no zones, or none that this user may read. BadInput : an address.

    Examples
    --------
    >>> open_source(root=Path("/nowhere"))
    Traceback (most recent call last):
    inferatlas.measure.metering.source.Unavailable: there are no RAPL zones in /sys/class/powercap
      ...
    """
    no_address("rapl", address)
    zones = _without_second_windows(_zones(root / TREE))
    if not zones:
        raise Unavailable(
            f"there are no RAPL zones in /{TREE}",
            hint="`sudo modprobe intel_rapl_msr` on the machine itself; virtual machines and ARM processors have none",
        )
    wanted = [(zone, *meant) for zone in zones if (meant := _meaning(zone.name))]
    faults = [number_of(zone.energy)[1] for zone, _, _ in wanted]
    readable = [one for one, fault in zip(wanted, faults, strict=True) if fault is Fault.NONE]
    if not readable:
        if Fault.PERMISSION_DENIED in faults:
            raise Unavailable(
                f"/{TREE}/intel-rapl*/energy_uj may be read by root only (CVE-2020-8694)", hint=INTERFACE.enable
            )
        found = ", ".join(sorted({zone.name for zone in zones}))
        why = f": {faults[0].code}" if faults else ""
        raise Unavailable(f"no package, dram or psys zone can be read among the RAPL zones {found}{why}")
    channels = tuple(_channel(zone, scope, part, zones) for zone, scope, part in readable)
    notes = tuple(
        f"{zone.path.name} {zone.name} is not read ({fault.code})"
        for (zone, _, _), fault in zip(wanted, faults, strict=True)
        if fault is not Fault.NONE
    )
    return Files("rapl", channels, tuple(zone.energy for zone, _, _ in readable), least_s=2 * UPDATE_S, notes=notes)


def _meaning(name: str) -> tuple[Scope, str] | None:
    """Scope and part of a zone; None of one that lies inside another or is not known.

    Examples
    --------
    >>> _meaning("package-0"), _meaning("core")
    ((<Scope.MODULE: 3>, ''), None)
    """
    return next(((scope, part) for names, scope, part in _PARTS if names.fullmatch(name)), None)


def _zones(tree: Path) -> list[_Zone]:
    found: list[_Zone] = []
    for path in sorted(tree.glob("*:*")) if tree.is_dir() else []:
        control, *numbers = path.name.split(":")
        name = text_of(path / "name")
        if control.startswith("intel-rapl") and name:
            found.append(_Zone(path, control, tuple(numbers), name))
    return found


def _without_second_windows(zones: list[_Zone]) -> list[_Zone]:
    """`intel-rapl-mmio:0` shows the counters of `intel-rapl:0` once more; it counts only where it is all there is."""
    packages = {zone.name for zone in zones if zone.control == "intel-rapl" and len(zone.numbers) == 1}
    tops = {(zone.control, zone.numbers[0]) for zone in zones if len(zone.numbers) == 1 and zone.name in packages}
    return [z for z in zones if z.control == "intel-rapl" or (z.control, z.numbers[0]) not in tops]


def _channel(zone: _Zone, scope: Scope, part: str, zones: list[_Zone]) -> Channel:
    top = next((one for one in zones if (one.control, one.numbers) == (zone.control, zone.numbers[:1])), zone)
    range_uj = set_to(zone.path / "max_energy_range_uj", 1.0)
    return Channel(
        source="rapl",
        device=f"{top.path.name} {top.name}",
        quantity="energy_j",
        semantics="counter",
        scope=scope,
        part=part,
        name=top.name,
        update_s=UPDATE_S,
        quantum=range_uj * MICRO / STEPS if range_uj else 0.0,
        wrap_j=range_uj * MICRO if range_uj else None,
        gain=GAINS["board"],
        limit_w=None if part == "platform" else MOST_W,
    )
