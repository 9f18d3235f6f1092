"""What the power of a machine covers, by the form of its chassis: at its plug, or behind the supplies of another one.

IPMI, the ACPI's meter and Redfish read the same meters of one machine; by the same rule they have the same scope.
"""

from __future__ import annotations

from pathlib import Path

from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.sources.sysfs import number_of

# ChassisType of Redfish (https://redfish.dmtf.org/schemas/v1/, Chassis), by its description: a system of its own draws
# at its plug; what "must be plugged into a multi-system chassis" draws behind the supplies of that. Of the other types
# it does not say what they hold.
REDFISH: dict[str, Scope] = {
    "RackMount": Scope.NODE_AC,
    "StandAlone": Scope.NODE_AC,
    "Blade": Scope.NODE_DC,
    "Sled": Scope.NODE_DC,
    "Shelf": Scope.NODE_DC,
    "Rack": Scope.RACK,
}

# System enclosure types of SMBIOS (DMTF DSP0134; numbers unverified) that are not systems of their own: a blade, and a
# chassis of several systems, where the reading may be of one of them or of all.
BLADE, SEVERAL_SYSTEMS = 28, 25
DMI = "sys/class/dmi/id/chassis_type"


def scope_of_machine(root: Path = Path("/")) -> Scope | None:
    """What the power of this machine covers that its controller reads; None where its form leaves that open.

    Without a form (ARM servers have none at times), the machine is taken as one with a plug of its own.

    Examples
    --------
    >>> scope_of_machine(Path("/nowhere"))
    <Scope.NODE_AC: 6>
    """
    form, _ = number_of(root / DMI)
    if form == SEVERAL_SYSTEMS:
        return None
    return Scope.NODE_DC if form == BLADE else Scope.NODE_AC
