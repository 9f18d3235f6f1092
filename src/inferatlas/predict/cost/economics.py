"""What an accelerator-hour costs and what a kilowatt-hour emits: chosen rows of the catalogue with their sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TypeVar

from inferatlas.catalogue.accelerator import Cluster
from inferatlas.catalogue.carbon import GridIntensity, Pue, embodied, grid_intensities, pues, water_intensities
from inferatlas.catalogue.prices import Price, prices
from inferatlas.catalogue.rows import Row
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.cost.carbon import embodied_g_per_hour

RowT = TypeVar("RowT", bound=Row)
SERVER_LIFE_YEARS = 3.0  # as EcoLogits states it beside the figure
# The row that answers where several are at hand: rental is what most people pay, neocloud ownership
# lies between the other two models of the same source.
TERMS = {"rental": "3-year rental", "ownership": "neocloud"}
GPU_CLASSES = ("gpu_simt",)
MOST_PRICE = 1e6  # USD per accelerator-hour; what is sold costs below 100
LEAST_UTILISATION = 1e-4  # an hour a year


@dataclass(frozen=True, slots=True)
class Economics:
    """Per accelerator and site; None where nothing is published.

    ``usd_per_hour`` rental (or the user's own price), ``usd_per_hour_owned`` all-in cost of ownership per
    accelerator-hour, ``gco2e_per_kwh`` of the grid, ``pue`` of the site, ``embodied_g_per_hour`` share of
    making the accelerator and its host, ``utilisation`` share of hours at the stated load (1: always).
    """

    usd_per_hour: float | None
    price_source: str | None
    usd_per_hour_owned: float | None
    owned_source: str | None
    gco2e_per_kwh: float
    grid_source: str
    pue: float
    pue_source: str
    embodied_g_per_hour: float | None
    embodied_source: str | None
    utilisation: float = 1.0

    def as_dict(self) -> dict[str, float | str | None]:
        return asdict(self)


def economics(
    accelerator: str, architectural_class: str, node: int, *, price: float | None = None, region: str = "USA",
    site: str = "AWS", utilisation: float = 1.0, cluster: Cluster | None = None,
) -> Economics:  # fmt: skip
    """Choose the rows for an accelerator, a grid region and a site.

    Parameters
    ----------
    accelerator, architectural_class, node : identity; ``node`` accelerators share one host.
    price : own price in USD per accelerator-hour; replaces the rental row.
    region, site : names of rows of the grid and PUE tables.
    utilisation : share of all hours in which the stated load is served, in (0, 1].
    cluster : its own price, PUE and grid go before the catalogue's rows (and behind ``price``).

    Raises
    ------
    BadInput : price or utilisation out of range. UnknownName : region or site.
    """
    if price is not None and not 0 < price <= MOST_PRICE:
        allowed = f"above 0 and up to {MOST_PRICE:,.0f}"
        raise BadInput(f"{price!r} USD per accelerator-hour", field="price", allowed=allowed)
    if not LEAST_UTILISATION <= utilisation <= 1:
        allowed = f"{LEAST_UTILISATION:g} to 1"
        raise BadInput(f"{utilisation!r} is not a share of hours", field="utilisation", allowed=allowed)
    rental, owned = price_row(accelerator, "rental"), price_row(accelerator, "ownership")
    grid, place = grid_row(region), pue_row(site)
    intensity, pue = grid.value, place.value
    assert intensity is not None and pue is not None  # as the rows were chosen
    carbon, carbon_source = _embodied_per_hour(architectural_class, node, utilisation)
    hourly, price_source = (rental.value, source_of(rental)) if rental else (None, None)
    grid_source, pue_source = source_of(grid), source_of(place)
    if cluster is not None:
        theirs = f"cluster {cluster.id}: {cluster.source}"
        if cluster.usd_per_hour is not None:
            hourly, price_source = cluster.usd_per_hour, theirs
        if cluster.gco2e_per_kwh is not None:
            intensity, grid_source = cluster.gco2e_per_kwh, theirs
        if cluster.pue is not None:
            pue, pue_source = cluster.pue, theirs
    if price is not None:
        hourly, price_source = price, "given by the user"
    return Economics(
        usd_per_hour=hourly,
        price_source=price_source,
        usd_per_hour_owned=owned.value if owned else None,
        owned_source=source_of(owned) if owned else None,
        gco2e_per_kwh=intensity,
        grid_source=grid_source,
        pue=pue,
        pue_source=pue_source,
        embodied_g_per_hour=carbon,
        embodied_source=carbon_source,
        utilisation=utilisation,
    )


def price_row(accelerator: str, kind: str) -> Price | None:
    """The price of an accelerator-hour that answers, by ``rental`` or ``ownership``; None where none is known."""
    rows = [row for row in prices() if row.accelerator == accelerator and row.kind == kind and row.per == "accelerator"]
    return next((row for row in rows if row.term == TERMS[kind] and row.value is not None), None)


def grid_row(region: str) -> GridIntensity:
    """The grid that goes by a name or code (UnknownName)."""
    return _named("region", region, ((row, (row.region, row.code)) for row in grid_intensities()))


def water_row(region: str) -> GridIntensity | None:
    """Water of making a kilowatt-hour in a grid that goes by a name or code; None where nothing is published."""
    named = (row for row in water_intensities() if region.lower() in (row.region.lower(), row.code.lower()))
    return next((row for row in named if row.value is not None), None)


def pue_row(site: str) -> Pue:
    """The overhead of a site by its name (UnknownName)."""
    return _named("site", site, ((row, (row.site,)) for row in pues()))


def source_of(row: Price | GridIntensity | Pue) -> str:
    """What `Economics` says where a value comes from, in one line."""
    if isinstance(row, Price):
        return f"{row.term}, {row.date}, {row.region}: {row.source}"
    if isinstance(row, GridIntensity):
        stated = [one for one in (row.year, row.method, row.basis) if one != "not stated"]
        return f"{row.region} {', '.join(stated)}".rstrip() + f": {row.source}"
    return f"{row.site}: {row.source}"


def _named(kind: str, name: str, rows: Iterable[tuple[RowT, tuple[str, ...]]]) -> RowT:
    """The first row with a value that goes by a name."""
    held = [(row, names) for row, names in rows if row.value is not None]
    for row, names in held:
        if name.lower() in {n.lower() for n in names}:
            return row
    raise UnknownName(kind, name, [names[0] for _, names in held])


def embodied_of(architectural_class: str, node: int) -> tuple[float | None, str | None]:
    """Carbon of making an accelerator with its share of a server, in gCO2e, and its source: a generic GPU's.

    Nothing is published for other classes, so they have none, never a guess.
    """
    items = {row.item: row.value for row in embodied()}
    gpu, server = items.get("generic GPU"), items.get("server without GPUs")
    if architectural_class not in GPU_CLASSES or gpu is None or server is None:
        return None, None
    return gpu + server / max(node, 1), f"EcoLogits: generic GPU + 1/{node} of a server"


def _embodied_per_hour(architectural_class: str, node: int, utilisation: float) -> tuple[float | None, str | None]:
    """Equation (52) over the server's life of 3 years."""
    grams, source = embodied_of(architectural_class, node)
    if grams is None:
        return None, None
    return float(
        embodied_g_per_hour(grams, SERVER_LIFE_YEARS, utilisation)
    ), f"{source} over {SERVER_LIFE_YEARS:g} years"
