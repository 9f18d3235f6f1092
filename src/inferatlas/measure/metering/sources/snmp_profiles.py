"""Objects with the total power and energy of rack PDUs, by maker.

From the makers' MIBs, read as kept at https://github.com/librenms/librenms under ``mibs/``; none of these objects was
read from a PDU by this project.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.measure.metering.channel import Quantity

J_PER_WH = 3600.0


@dataclass(frozen=True, slots=True)
class Total:
    """One object with the total of a unit, whose number takes the place of ``{n}``.

    Parameters
    ----------
    factor : times the value gives W or J; also the step of the value.
    digits : an object with the count of decimals, by which the value is to be divided; "" for none.
    unit, is_unit : an object with the unit, and what it must be; "" where the MIB fixes it.
    state, lost : an object that has the value ``lost`` while there is no reading; "" for none.
    unsupported : the value by which a model says that it does not have this.
    """

    quantity: Quantity
    value: str
    factor: float
    digits: str = ""
    unit: str = ""
    is_unit: int = 0
    state: str = ""
    lost: int | None = None
    unsupported: int | None = None

    def objects(self, n: int) -> list[str]:
        """Every object that a reading of unit ``n`` takes, but those that stay the same."""
        return [one.format(n=n) for one in (self.value, self.state) if one]


@dataclass(frozen=True, slots=True)
class Profile:
    """A maker's MIB: the totals of unit ``{n}``, its serial and name; ``units`` counts units, "" where one is read."""

    totals: tuple[Total, ...]
    serial: str
    name: str
    source: str
    units: str = ""


_APC, _RARITAN, _GEIST = "1.3.6.1.4.1.318.1.1.26", "1.3.6.1.4.1.13742.6", "1.3.6.1.4.1.21239.5.2.3.1.1"


def _inlet(quantity: Quantity, kind: int, factor: float, unit: int) -> Total:
    """A sensor of a Raritan inlet: a column of its tables, then the PDU (always 1), the inlet, the kind of sensor."""
    at = f"1.{{n}}.{kind}"
    return Total(
        quantity, f"{_RARITAN}.5.2.3.1.4.{at}", factor,
        digits=f"{_RARITAN}.3.3.4.1.7.{at}", unit=f"{_RARITAN}.3.3.4.1.6.{at}", is_unit=unit,
        state=f"{_RARITAN}.5.2.3.1.2.{at}", lost=2,
    )  # fmt: skip


PROFILES = {
    # rPDU2DeviceStatusPower "in hundredths of kilowatts", rPDU2DeviceStatusEnergy "in tenths of kilowatt-hours"; models
    # "that do not support this feature will respond ... with a value of -1". Units: those of a chain of PDUs.
    "apc": Profile(
        totals=(
            Total("power_w", f"{_APC}.4.3.1.5.{{n}}", 10.0, unsupported=-1),
            Total("energy_j", f"{_APC}.4.3.1.9.{{n}}", 100 * J_PER_WH, unsupported=-1),
        ),
        units=f"{_APC}.3.0",
        serial=f"{_APC}.2.1.9.{{n}}",
        name=f"{_APC}.2.1.3.{{n}}",
        source="mibs/apc/PowerNet-MIB",
    ),
    # measurementsInletSensorValue of activePower(5) and activeEnergy(8), with inletSensorDecimalDigits,
    # inletSensorUnits (watt(3), wattHour(5)) and measurementsInletSensorIsAvailable (false is 2). Units: inlets, which
    # add up. The maker's guide has the same objects ("SNMP MIB User Guide", Raritan, 2019, sections 1.3, 1.4 and 7).
    "raritan": Profile(
        totals=(_inlet("power_w", 5, 1.0, 3), _inlet("energy_j", 8, J_PER_WH, 5)),
        units=f"{_RARITAN}.3.2.2.1.2.1",
        serial=f"{_RARITAN}.3.2.1.1.4.1",
        name=f"{_RARITAN}.3.2.2.1.13.1",
        source="mibs/raritan/PDU2-MIB",
    ),
    # pduTotalRealPower in watts (up to 9,999), pduTotalEnergy in watt-hours (up to 9,999,000), pduMainAvail (0: not)
    "geist": Profile(
        totals=(
            Total("power_w", f"{_GEIST}.9.{{n}}", 1.0, state=f"{_GEIST}.5.{{n}}", lost=0),
            Total("energy_j", f"{_GEIST}.12.{{n}}", J_PER_WH, state=f"{_GEIST}.5.{{n}}", lost=0),
        ),
        serial=f"{_GEIST}.2.{{n}}",
        name=f"{_GEIST}.3.{{n}}",
        source="mibs/vertiv/VERTIV-V5-MIB",
    ),
}
