"""Greenhouse gas and water of tokens: equation (52).

Embodied carbon is published for few devices. The operational part stands on its own; the sum is unknown (NaN)
where the embodied part is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.cost.energy import joules_per_token
from inferatlas.predict.performance.arguments import Array, floats

JOULES_PER_KWH = 3.6e6
HOURS_PER_YEAR = 8760.0


def operational_gco2e_per_million_tokens(
    power_w: ArrayLike, pue: ArrayLike, gco2e_per_kwh: ArrayLike, tokens_per_s: ArrayLike
) -> Array:
    """Emissions of the electricity behind a million tokens, in gCO2e: ``E PUE CI`` of (52).

    Parameters
    ----------
    power_w : of the deployment. pue : 1 or more.
    gco2e_per_kwh : intensity of the grid, with its year, method and basis stated beside it.
    tokens_per_s : of the deployment.

    Examples
    --------
    >>> round(float(operational_gco2e_per_million_tokens(10000.0, 1.2, 369.0, 20000.0)), 2)
    61.5
    """
    energy = joules_per_token(power_w, tokens_per_s, pue) * 1e6 / JOULES_PER_KWH
    with np.errstate(invalid="ignore"):
        return energy * floats(gco2e_per_kwh, "gco2e_per_kwh", 0)


def embodied_g_per_hour(embodied_g: ArrayLike, life_years: ArrayLike, utilisation: ArrayLike = 1.0) -> Array:
    """Embodied emissions charged to an hour of use, in gCO2e/h: ``embodied/(life utilisation)`` of (52).

    Parameters
    ----------
    embodied_g : of the device with its share of the server, in gCO2e.
    life_years : above 0. utilisation : share of its life in use, above 0 and at most 1.

    Examples
    --------
    >>> round(float(embodied_g_per_hour(318e3, 4.0, 0.5)), 2)
    18.15
    """
    hours = floats(life_years, "life_years", above=0) * HOURS_PER_YEAR
    return floats(embodied_g, "embodied_g", 0) / (hours * floats(utilisation, "utilisation", above=0, high=1))


def embodied_die_g(area_m2: ArrayLike, g_per_m2: ArrayLike, good_share: ArrayLike = 1.0) -> Array:
    """Embodied emissions of one good die, in gCO2e: ``area CPA/yield`` of (52), after ACT (ISCA 2022).

    Parameters
    ----------
    area_m2 : of the die. g_per_m2 : carbon per area of the process. good_share : yield, above 0 and at most 1.

    Examples
    --------
    >>> round(float(embodied_die_g(814e-6, 1.5e7, 0.5)))
    24420
    """
    area, per_area = floats(area_m2, "area_m2", 0), floats(g_per_m2, "g_per_m2", 0)
    return area * per_area / floats(good_share, "good_share", above=0, high=1)


def gco2e_per_million_tokens(
    power_w: ArrayLike,
    pue: ArrayLike,
    gco2e_per_kwh: ArrayLike,
    embodied_g_per_hour: ArrayLike | None,
    tokens_per_s: ArrayLike,
) -> Array:
    """Operational and embodied emissions of a million tokens, in gCO2e: equation (52).

    Parameters
    ----------
    embodied_g_per_hour : of the whole deployment, from the function of that name; None where nothing is
        published, and then the sum is unknown too.

    Examples
    --------
    >>> round(float(gco2e_per_million_tokens(10000.0, 1.2, 369.0, 8 * 18.15, 20000.0)), 2)
    63.52
    """
    operational = operational_gco2e_per_million_tokens(power_w, pue, gco2e_per_kwh, tokens_per_s)
    hours = joules_per_token(1.0, tokens_per_s) * 1e6 / 3600
    with np.errstate(invalid="ignore"):
        return operational + floats(embodied_g_per_hour, "embodied_g_per_hour", 0) * hours


def water_l_per_million_tokens(
    power_w: ArrayLike, pue: ArrayLike, wue_site: ArrayLike, wue_grid: ArrayLike, tokens_per_s: ArrayLike
) -> Array:
    """Water of a million tokens, in litres: ``E (WUE_site + PUE WUE_grid)``, E at the machines.

    Parameters
    ----------
    wue_site, wue_grid : litres per kWh, evaporated at the site and at the power stations.

    Examples
    --------
    >>> round(float(water_l_per_million_tokens(10000.0, 1.2, 1.8, 3.13, 20000.0)), 3)
    0.772
    """
    energy = joules_per_token(power_w, tokens_per_s) * 1e6 / JOULES_PER_KWH
    per_kwh = floats(wue_site, "wue_site", 0) + floats(pue, "pue", 1) * floats(wue_grid, "wue_grid", 0)
    with np.errstate(invalid="ignore"):
        return energy * per_kwh
