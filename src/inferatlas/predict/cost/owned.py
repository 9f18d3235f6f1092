"""A million tokens of a machine that is owned: dollars, carbon and water by their parts, and what moves them.

Equations (51) and (52) with idle hours: of the hours that it can be used, the machine serves ``utilisation`` and draws
idle power in the rest, so tokens carry both. Elasticities (54) are exact derivatives, ``d ln total / d ln input``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.cost.carbon import (
    embodied_g_per_hour,
    operational_gco2e_per_million_tokens,
    water_l_per_million_tokens,
)
from inferatlas.predict.cost.money import capital_recovery, usd_per_million_tokens
from inferatlas.predict.cost.ownership import Ownership, Prior, ownership_parts
from inferatlas.predict.performance.arguments import Array, floats

UTILISATION = Prior(0.5, 0.3, 0.9, "of usable hours", "prior: 0.3 to 0.6 over a day (51), to be varied up to 0.9")
Parts = dict[str, dict[str, Array]]  # total -> part -> value


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned(Ownership):
    """The inputs of `token_parts`, per accelerator; numbers or arrays, None is unknown. Others as in `Ownership`.

    Parameters
    ----------
    tokens_per_s : of the accelerator's share while the deployment serves; the results are per million of these.
    power_w : drawn while it serves. idle_w : drawn while it does not.
    utilisation : share of the usable hours in which it serves, above 0 and at most 1.
    gco2e_per_kwh : of the grid. embodied_g : of making it, with its share of the server, in gCO2e.
    wue_site, wue_grid : litres per kWh, evaporated at the site and at the power stations.
    """

    tokens_per_s: ArrayLike | None
    idle_w: ArrayLike | None
    utilisation: ArrayLike | None = UTILISATION.value
    gco2e_per_kwh: ArrayLike | None = None
    embodied_g: ArrayLike | None = None
    wue_site: ArrayLike | None = None
    wue_grid: ArrayLike | None = None


def mean_power(it: Owned) -> Array:
    """Over all usable hours, in W: ``u P + (1 - u) P_idle``.

    Examples
    --------
    >>> float(mean_power(Owned(None, 500.0, None, tokens_per_s=1.0, idle_w=100.0, utilisation=0.25)))
    200.0
    """
    busy = floats(it.utilisation, "utilisation", above=0, high=1)
    return busy * floats(it.power_w, "power_w", 0) + (1 - busy) * floats(it.idle_w, "idle_w", 0)


def token_parts(it: Owned) -> Parts:
    """USD, gCO2e and litres of water of a million tokens, by their parts; what is unknown makes its own part NaN.

    Examples
    --------
    >>> it = Owned(30000.0, 500.0, 1730.0, tokens_per_s=1000.0, idle_w=70.0, gco2e_per_kwh=369.0, wue_grid=3.13)
    >>> {name: round(float(part), 3) for name, part in token_parts(it)["usd"].items()}
    {'capital': 0.491, 'network': 0.074, 'maintenance': 0.078, 'energy': 0.015, 'space': 0.242, 'other': 0.0}
    >>> {name: round(float(part), 3) for name, part in token_parts(it)["gco2e"].items()}
    {'operational': 70.11, 'embodied': nan}
    """
    busy = floats(it.utilisation, "utilisation", above=0, high=1)
    rate, mean = floats(it.tokens_per_s, "tokens_per_s", above=0), mean_power(it)
    hour = ownership_parts(replace(it, power_w=mean))
    usable = floats(it.availability, "availability", above=0, high=1) * busy
    making = embodied_g_per_hour(
        floats(it.embodied_g, "embodied_g", 0), floats(it.life_years, "life_years", above=0), usable
    )
    dry = np.zeros(())
    return {
        "usd": {name: usd_per_million_tokens(part, rate, busy) for name, part in hour.items()},
        "gco2e": {
            "operational": operational_gco2e_per_million_tokens(
                mean, floats(it.pue, "pue", 1), floats(it.gco2e_per_kwh, "gco2e_per_kwh", 0), rate * busy
            ),
            "embodied": making * 1e6 / (3600.0 * rate),
        },
        "water_l": {
            "site": water_l_per_million_tokens(mean, 1.0, floats(it.wue_site, "wue_site", 0), dry, rate * busy),
            "grid": water_l_per_million_tokens(
                mean, floats(it.pue, "pue", 1), dry, floats(it.wue_grid, "wue_grid", 0), rate * busy
            ),
        },
    }


def token_totals(it: Owned) -> dict[str, Array]:
    """The sums of `token_parts`; NaN where a part is unknown."""
    return {total: sum(parts.values(), np.zeros(())) for total, parts in token_parts(it).items()}


def elasticities(it: Owned) -> dict[str, dict[str, Array]]:
    """Of each total to each input that it depends on: ``d ln total / d ln input``, (54).

    An elasticity of 0.4 makes the total 0.4 % larger for every per cent that the input is larger. That of a total is
    the mean of those of its parts, weighted by their shares.

    Examples
    --------
    >>> it = Owned(30000.0, 500.0, 1730.0, tokens_per_s=1000.0, idle_w=70.0)
    >>> found = elasticities(it)["usd"]
    >>> round(float(found["capex_usd"]), 2), float(found["tokens_per_s"])
    (0.71, -1.0)
    """
    parts, out = token_parts(it), {}
    for total, responses in _responses(it).items():
        whole = sum(parts[total].values(), np.zeros(()))
        names = dict.fromkeys(name for response in responses.values() for name in response)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[total] = {
                name: sum(
                    (parts[total][part] * response.get(name, 0.0) for part, response in responses.items()),
                    np.zeros(()),
                )
                / whole
                for name in names
            }
    return out


def _responses(it: Owned) -> dict[str, dict[str, Mapping[str, Array | float]]]:
    """Elasticity of every part of every total to its inputs."""
    interest, years = floats(it.interest, "interest", 0), floats(it.life_years, "life_years", above=0)
    recovery, kept = capital_recovery(interest, years), 1.0 - floats(it.residual_share, "residual_share", 0, 1)
    to_rate, to_years = recovery_elasticities(interest, years)
    with np.errstate(divide="ignore", invalid="ignore"):
        paid = recovery * kept + interest * (1.0 - kept)
        capital = {
            "interest": (recovery * kept * to_rate + interest * (1.0 - kept)) / paid,
            "life_years": recovery * kept * to_years / paid,
            "residual_share": (1.0 - kept) * (interest - recovery) / paid,
        }
        mean = mean_power(it)
        idle = (1.0 - floats(it.utilisation, "utilisation")) * floats(it.idle_w, "idle_w", 0) / mean
        pause = floats(it.idle_w, "idle_w", 0) / mean
    hours = {"tokens_per_s": -1.0, "utilisation": -1.0}
    owned = hours | {"capex_usd": 1.0, "availability": -1.0}
    drawn = {"tokens_per_s": -1.0, "utilisation": -pause, "power_w": 1.0 - idle, "idle_w": idle}
    paid_for = drawn | {"pue": 1.0}
    return {
        "usd": {
            "capital": owned | capital,
            "network": owned | {"network_share": 1.0, "interest": to_rate, "life_years": to_years},
            "maintenance": owned | {"maintenance_share": 1.0},
            "energy": paid_for | {"usd_per_kwh": 1.0},
            "space": hours | {"provisioned_w": 1.0, "colo_usd_per_kw_month": 1.0},
            "other": hours | {"opex_usd_per_hour": 1.0},
        },
        "gco2e": {
            "operational": paid_for | {"gco2e_per_kwh": 1.0},
            "embodied": hours | {"embodied_g": 1.0, "life_years": -1.0, "availability": -1.0},
        },
        "water_l": {"site": drawn | {"wue_site": 1.0}, "grid": paid_for | {"wue_grid": 1.0}},
    }


def recovery_elasticities(rate: ArrayLike, years: ArrayLike) -> tuple[Array, Array]:
    """Of `capital_recovery` to the interest rate and to the life: with ``z = y ln(1 + r)``,
    ``1 - r y/((1 + r)(e^z - 1))`` and ``-z/(e^z - 1)``; 0 and -1 at a rate of 0.

    Examples
    --------
    >>> [round(float(e), 4) for e in recovery_elasticities(0.08, 5.0)]
    [0.2108, -0.8200]
    """
    r, y = floats(rate, "rate", 0), floats(years, "years", above=0)
    z = y * np.log1p(r)
    grown = np.where(z == 0, 1.0, np.expm1(z))
    to_rate = np.where(z == 0, 0.0, 1.0 - r * y / ((1.0 + r) * grown))
    return to_rate, np.where(z == 0, -1.0, -z / grown)
