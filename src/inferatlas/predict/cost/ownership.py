"""What an hour of an accelerator costs its owner: capital, power, space and operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.cost.money import capital_recovery
from inferatlas.predict.performance.arguments import Array, floats

HOURS_PER_YEAR = 8760.0
HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Prior:
    """A starting value to be replaced by the owner's own, with the range to vary it over and where it comes from."""

    value: float
    low: float
    high: float
    unit: str
    source: str


_OURS = "prior of this project, to be replaced by the owner's figure"
PRIORS: dict[str, Prior] = {
    "interest": Prior(0.08, 0.04, 0.15, "1/year", _OURS),
    "life_years": Prior(5.0, 3.0, 6.0, "year", f"{_OURS}; a server lives 3 years in EcoLogits"),
    "network_share": Prior(0.15, 0.05, 0.30, "of capex", _OURS),
    "residual_share": Prior(0.0, 0.0, 0.3, "of capex at the end of life", _OURS),
    "availability": Prior(0.97, 0.90, 1.0, "of the hours of a year", _OURS),
    "maintenance_share": Prior(0.04, 0.03, 0.05, "of capex per year", _OURS),
    "pue": Prior(
        1.2, 1.05, 1.58, "1", "Cloud Carbon Footprint constants: Google 1.10, AWS 1.135, Azure 1.185, on premises 1.58"
    ),
    "usd_per_kwh": Prior(0.08, 0.04, 0.30, "USD/kWh", _OURS),
    "colo_usd_per_kw_month": Prior(
        184.06, 120.0, 220.0, "USD/(kW month)",
        "CBRE, North America Data Center Trends H2 2024: mean asking rate, 250 to 500 kW, primary markets; "
        "https://www.cbre.com/insights/reports/north-america-data-center-trends-h2-2024",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ownership:
    """The inputs of `ownership_usd_per_hour`, per accelerator; numbers or arrays. None is unknown.

    Parameters
    ----------
    capex_usd : price of the accelerator with its share of the server. No default: it is a fact or unknown.
    power_w : mean power drawn at the accelerator and its share of the server.
    provisioned_w : power reserved at the site, for which space is paid; at least what is drawn.
    interest, life_years : cost of capital per year, years of use.
    network_share : network and storage, as a share of capex.
    residual_share : share of capex that it still sells for at the end.
    availability : share of the year in which it can be used.
    maintenance_share : per year, as a share of capex.
    pue, usd_per_kwh, colo_usd_per_kw_month : facility overhead, tariff, and space with power but without energy.
    opex_usd_per_hour : anything else (staff, licences).

    Defaults, ranges and sources of the rest are in `PRIORS`.
    """

    capex_usd: ArrayLike | None
    power_w: ArrayLike | None
    provisioned_w: ArrayLike | None
    interest: ArrayLike | None = PRIORS["interest"].value
    life_years: ArrayLike | None = PRIORS["life_years"].value
    network_share: ArrayLike | None = PRIORS["network_share"].value
    residual_share: ArrayLike | None = PRIORS["residual_share"].value
    availability: ArrayLike | None = PRIORS["availability"].value
    maintenance_share: ArrayLike | None = PRIORS["maintenance_share"].value
    pue: ArrayLike | None = PRIORS["pue"].value
    usd_per_kwh: ArrayLike | None = PRIORS["usd_per_kwh"].value
    colo_usd_per_kw_month: ArrayLike | None = PRIORS["colo_usd_per_kw_month"].value
    opex_usd_per_hour: ArrayLike | None = 0.0


def ownership_usd_per_hour(it: Ownership) -> Array:
    """Cost of one usable hour of an accelerator that is owned, in USD: equation (51) in full, the sum of its parts.

    ``(capex (crf (1 + network) + maintenance) - residual a year)/(8760 availability)
    + P PUE $/kWh + P_provisioned colo/730 + opex``, powers in kW.

    Examples
    --------
    >>> round(float(ownership_usd_per_hour(Ownership(30000.0, 1000.0, 1730.0))), 3)
    1.69
    """
    return sum(ownership_parts(it).values(), np.zeros(()))


def ownership_parts(it: Ownership) -> dict[str, Array]:
    """The same by what is paid for: capital, network, maintenance, energy, space and the rest (``other``), in USD/h.

    The residual is spread over the life by the sinking-fund factor ``crf - interest``, so that a residual of 1 leaves
    only the interest to pay. What is unknown makes its own part NaN and no other.

    Examples
    --------
    >>> parts = ownership_parts(Ownership(30000.0, 1000.0, 1730.0))
    >>> {name: round(float(part), 3) for name, part in parts.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'capital': 0.884, 'network': 0.133, 'maintenance': 0.141, 'energy': 0.096, 'space': 0.436, 'other': 0.0}
    """
    capex, interest = floats(it.capex_usd, "capex_usd", 0), floats(it.interest, "interest", 0)
    recovery = capital_recovery(interest, floats(it.life_years, "life_years", above=0))
    residual = floats(it.residual_share, "residual_share", 0, 1) * (recovery - interest)
    per_year = capex / (HOURS_PER_YEAR * floats(it.availability, "availability", above=0, high=1))
    space_kw = floats(it.provisioned_w, "provisioned_w", 0) / 1e3
    return {
        "capital": per_year * (recovery - residual),
        "network": per_year * recovery * floats(it.network_share, "network_share", 0),
        "maintenance": per_year * floats(it.maintenance_share, "maintenance_share", 0),
        "energy": energy_usd_per_hour(it.power_w, it.pue, it.usd_per_kwh),
        "space": space_kw * floats(it.colo_usd_per_kw_month, "colo_usd_per_kw_month", 0) / HOURS_PER_MONTH,
        "other": floats(it.opex_usd_per_hour, "opex_usd_per_hour", 0),
    }


def energy_usd_per_hour(power_w: ArrayLike | None, pue: ArrayLike | None, usd_per_kwh: ArrayLike | None) -> Array:
    """Electricity of one hour, in USD: ``P PUE $/kWh`` with P in kW.

    Examples
    --------
    >>> round(float(energy_usd_per_hour(1730.0, 1.0, 0.08)), 3)
    0.138
    """
    power = floats(power_w, "power_w", 0) / 1e3
    return np.asarray(power * floats(pue, "pue", 1) * floats(usd_per_kwh, "usd_per_kwh", 0))
